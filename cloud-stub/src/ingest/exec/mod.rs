//! `[[camera]] exec`: a command that writes MPEG-TS, for what cannot be repackaged as it is. It runs while somebody watches.
//!
//! ```text
//! idle ──somebody watches──▶ running ──nobody for 30 s──▶ idle
//!                             │ it ends, writes rubbish, or no picture for 15 s
//!                             └──▶ waiting (doubled up to a minute), its last words are the reason
//! ```
//!
//! Whatever it has started goes with it: the whole process group is killed. What it writes faster than it plays is left
//! in the pipe, which holds the command back.

mod transport;

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use feed::Feed;
use media::{Format, VideoFormat};
use model::{CameraId, CameraState, CodecKind, StreamFacts, Trouble};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};

use super::pull::jittered;
use transport::{Demux, Item};

/// A command that nobody watches is ended after this.
const IDLE: Duration = Duration::from_secs(30);
/// Longest time without a picture, from the start too.
const PICTURE: Duration = Duration::from_secs(15);
/// Pause before a command that ended is started again, the first time and at most.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// A command that ran for so long did its work.
const GROWN_UP: Duration = Duration::from_secs(60);
/// How far what it writes may be ahead of what has played.
const AHEAD: Duration = Duration::from_millis(1500);
/// Bytes that are read at once.
const READ: usize = 64 << 10;
/// Bytes of its last words that are kept, and characters that are shown.
const WORDS: (usize, usize) = (2048, 300);

/// Keeps a command at hand for ever.
pub(super) async fn keep(id: CameraId, command: Vec<String>, feed: Feed) {
    let mut pause = PAUSE.0;
    loop {
        feed.watched().await;
        feed.begin_anew();
        let born = Instant::now();
        let Some(detail) = run(&id, &command, &feed).await else {
            tracing::info!(camera = %id, "nobody watches: the command is ended");
            feed.interrupt();
            feed.begin_anew();
            pause = PAUSE.0;
            continue;
        };
        if born.elapsed() >= GROWN_UP {
            pause = PAUSE.0;
        }
        let wait = jittered(pause);
        pause = (pause * 2).min(PAUSE.1);
        tracing::warn!(camera = %id, detail, "the command has ended");
        let retry_in_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        feed.set_state(CameraState::Waiting { trouble: Trouble::Command { detail }, retry_in_ms });
        feed.interrupt();
        tokio::time::sleep(wait).await;
    }
}

/// A process and all that it has started.
struct Group {
    child: Child,
    leader: Option<Pid>,
}

impl Group {
    fn start(command: &[String]) -> std::io::Result<Self> {
        let (program, arguments) = command.split_first().ok_or(std::io::ErrorKind::InvalidInput)?;
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let leader = child.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw);
        Ok(Self { child, leader })
    }

    /// Ends it; how it ended, if it had by itself.
    async fn end(mut self) -> Option<std::process::ExitStatus> {
        // A command that has closed its output is about to end by itself.
        let ended = tokio::time::timeout(Duration::from_millis(200), self.child.wait()).await;
        ended.ok().and_then(Result::ok)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.leader {
            // Already gone is as good.
            let _ = killpg(leader, Signal::SIGKILL);
        }
    }
}

/// Runs the command until nobody watches (`None`) or it ends: why.
async fn run(id: &CameraId, command: &[String], feed: &Feed) -> Option<String> {
    let mut group = match Group::start(command) {
        Ok(group) => group,
        Err(error) => return Some(format!("it cannot be started: {error}")),
    };
    tracing::info!(camera = %id, "the command is started");
    let name = command.first().map(Path::new).and_then(Path::file_name);
    let name = name.map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let (Some(output), Some(errors)) = (group.child.stdout.take(), group.child.stderr.take()) else {
        return Some("its output cannot be read".to_owned());
    };
    let words = tokio::spawn(last_words(errors));
    let ended = tokio::select! {
        ended = fill(output, feed, &name) => Some(ended),
        () = idle(feed) => None,
    };
    let ended = match ended {
        None => None,
        Some(Ended::Silent) => {
            let status = group.end().await;
            let words = tokio::time::timeout(Duration::from_millis(200), words).await;
            let words = words.ok().and_then(Result::ok).filter(|words| !words.is_empty());
            return Some(words.unwrap_or_else(|| {
                status.map_or_else(|| "it has closed its output".to_owned(), |status| status.to_string())
            }));
        }
        Some(Ended::Wrong(why)) => Some(why),
    };
    words.abort();
    ended
}

/// Returns when nobody has watched for long.
async fn idle(feed: &Feed) {
    while tokio::time::timeout(IDLE, feed.watched()).await.is_ok() {}
}

/// Why a command's output is not read any more.
enum Ended {
    /// There is no more.
    Silent,
    /// It is of no use.
    Wrong(String),
}

/// Moves what the command writes into the feed.
async fn fill(mut output: impl AsyncRead + Unpin, feed: &Feed, name: &str) -> Ended {
    let mut demux = Demux::default();
    let mut buffer = vec![0; READ];
    let mut items = Vec::new();
    let mut pace = Pace::default();
    let mut picture = Instant::now();
    loop {
        let Some(left) = PICTURE.checked_sub(picture.elapsed()) else {
            return Ended::Wrong(format!("no picture for {} s", PICTURE.as_secs()));
        };
        let len = match tokio::time::timeout(left, output.read(&mut buffer)).await {
            Err(_) => continue,
            Ok(Ok(0) | Err(_)) => return Ended::Silent,
            Ok(Ok(len)) => len,
        };
        let read = buffer.get(..len).unwrap_or_default();
        if let Err(garbage) = demux.push(read, now_us(), &mut items) {
            return Ended::Wrong(garbage.to_string());
        }
        let mut wait = Duration::ZERO;
        for item in items.drain(..) {
            match item {
                Item::Format(format) => {
                    let facts = match facts(&format, name) {
                        Ok(facts) => facts,
                        Err(why) => return Ended::Wrong(why),
                    };
                    if let Err(error) = feed.set_format(format) {
                        return Ended::Wrong(error.to_string());
                    }
                    feed.set_state(CameraState::Streaming(facts));
                }
                Item::Unit(unit) => {
                    if unit.track == media::Track::Video {
                        picture = Instant::now();
                        wait = pace.ahead(unit.stamp, picture);
                    }
                    feed.push(unit);
                }
            }
        }
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
            picture = Instant::now();
        }
    }
}

/// How far what has been read is ahead of the clock.
#[derive(Default)]
struct Pace {
    /// The furthest stamp, and when it is due.
    at: Option<(i64, Instant)>,
}

impl Pace {
    /// How long to wait before more is read; `stamp` is of 90 kHz.
    fn ahead(&mut self, stamp: i64, now: Instant) -> Duration {
        /// A step that is longer is a clock that jumps.
        const JUMP: i64 = 10 * 90_000;
        let (last, due) = self.at.unwrap_or((stamp, now));
        let step = stamp.saturating_sub(last);
        let (furthest, step) = match step {
            1..=JUMP => (stamp, step.unsigned_abs()),
            _ if step.unsigned_abs() > JUMP as u64 => (stamp, 0),
            _ => (last, 0),
        };
        let due = due.max(now) + Duration::from_micros(step * 100 / 9);
        self.at = Some((furthest, due));
        due.saturating_duration_since(now).saturating_sub(AHEAD)
    }
}

/// What is shown of a stream.
fn facts(format: &Format, name: &str) -> Result<StreamFacts, String> {
    let picture = format.video.facts().map_err(|error| error.to_string())?;
    Ok(StreamFacts {
        url: format!("exec:{name}"),
        video: match format.video {
            VideoFormat::H264 { .. } => CodecKind::H264,
            VideoFormat::H265 { .. } => CodecKind::H265,
        },
        size: (picture.width, picture.height),
        audio: format.audio.as_ref().map(|_| CodecKind::Aac),
        notes: Vec::new(),
    })
}

/// The last line that a command has written to its standard error, without logins.
async fn last_words(mut errors: impl AsyncRead + Unpin) -> String {
    let mut kept = Vec::new();
    let mut buffer = [0; 1024];
    while let Ok(len) = errors.read(&mut buffer).await {
        if len == 0 {
            break;
        }
        kept.extend_from_slice(buffer.get(..len).unwrap_or_default());
        let over = kept.len().saturating_sub(WORDS.0);
        kept.drain(..over);
    }
    last_line(&String::from_utf8_lossy(&kept))
}

/// The last line with something in it, as it may be shown.
fn last_line(text: &str) -> String {
    let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let line: String = line.chars().filter(|char| !char.is_control()).take(WORDS.1).collect();
    // Programs repeat the address that they were given.
    let mut shown = String::new();
    let mut rest = line.as_str();
    while let Some((before, after)) = rest.split_once("://") {
        shown.push_str(before);
        shown.push_str("://");
        let end = after.find([' ', '\'', '"']).unwrap_or(after.len());
        let (address, later) = after.split_at(end);
        match address.rsplit_once('@') {
            Some((_, host)) => shown.extend(["***@", host]),
            None => shown.push_str(address),
        }
        rest = later;
    }
    shown + rest
}

fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_are_shown_without_logins() {
        let said = "frame=1\nrtsp://u:canary@10.0.0.5/1: Connection refused\n\n";
        assert_eq!(last_line(said), "rtsp://***@10.0.0.5/1: Connection refused");
        let said = "[in] 'http://a:can@ary@h/x' and https://b/c?d: no\u{7}";
        assert_eq!(last_line(said), "[in] 'http://***@h/x' and https://b/c?d: no");
        assert_eq!(last_line(""), "");
        assert_eq!(last_line(&"x".repeat(5000)).len(), WORDS.1);
    }

    #[test]
    fn what_is_written_faster_than_it_plays_is_held_back() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let second = Duration::from_secs(1);
        assert_eq!(pace.ahead(5_000_000, start), Duration::ZERO);
        assert_eq!(pace.ahead(5_000_000 + 90_000, start), Duration::ZERO, "a little is fine");
        assert_eq!(pace.ahead(5_000_000 + 45_000, start), Duration::ZERO, "pictures change places");
        assert_eq!(pace.ahead(5_000_000 + 270_000, start) + AHEAD, second * 3);
        assert_eq!(pace.ahead(5_000_000 + 270_000, start + second * 3), Duration::ZERO);
        for jump in [0, i64::MAX, i64::MIN, 7] {
            assert_eq!(pace.ahead(jump, start + second * 3), Duration::ZERO, "its clock has jumped");
        }
    }
}
