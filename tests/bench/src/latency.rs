//! From the moment the camera has sent a frame to the moment its part has been fetched over HTTP, and from the start of a
//! box to its first playlist.
//!
//! Frames are told apart by their bytes: the clip's frames all differ, so the coded slices in a fetched part name the frames that
//! the camera logged.

use std::collections::HashMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};

use crate::row::{Row, median, quantile};
use crate::stage::Stage;
use crate::viewers::newest_part;

/// How long parts are followed.
const FOLLOW: Duration = Duration::from_secs(30);
/// Starts that the first-playlist figure is the median of.
const STARTS: usize = 5;

/// Measures with one camera.
pub(crate) fn run(stage: &Stage) -> Result<Vec<Row>> {
    let log = stage.log("stamps");
    let log_text = log.display().to_string();
    let camera = stage.start_cameras(1, &["--stamp-log", &log_text])?;
    let mut rows = vec![first_playlist(stage)?];
    let _boxd = stage.start_box(1)?;
    stage.wait_streaming(1)?;
    let fetched = follow(stage)?;
    camera.stop()?;
    rows.extend(lags(&fetched, &places(&Stage::clip())?, &fs::read_to_string(&log)?)?);
    Ok(rows)
}

/// Seconds from starting the process to a media playlist with a segment or part in it.
fn first_playlist(stage: &Stage) -> Result<Row> {
    let mut seconds = Vec::new();
    for _ in 0..STARTS {
        let start = Instant::now();
        let _boxd = stage.start_box(1)?;
        stage.until("a first playlist", Duration::from_secs(20), || {
            Ok(stage.site().get("/cam0/live.m3u8").is_ok_and(|playlist| playlist.text().contains("#EXTINF")))
        })?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    Ok(Row::alone("first playlist after start, GOP of 2 s", median(&mut seconds), "s"))
}

/// A part: when its last byte was here, and its frames.
struct Fetched {
    unix_us: i64,
    frames: Vec<u64>,
}

/// Follows the low-latency playlist by blocking reloads and fetches each part as soon as it is listed.
fn follow(stage: &Stage) -> Result<Vec<Fetched>> {
    let site = stage.site();
    let (mut msn, mut part) =
        newest_part(&site.get("/cam0/live.m3u8")?.text()).context("no part is listed")?;
    let mut fetched = Vec::new();
    let end = Instant::now() + FOLLOW;
    while Instant::now() < end {
        let text = site.get(&format!("/cam0/live.m3u8?_HLS_msn={msn}&_HLS_part={}", part + 1))?.text();
        let (new_msn, new_part) = newest_part(&text).context("no part is listed")?;
        ensure!((new_msn, new_part) > (msn, part), "a blocking reload brought nothing new");
        (msn, part) = (new_msn, new_part);
        let body = site.get(&format!("/cam0/{msn}.{part}.m4s"))?.body;
        fetched.push(Fetched { unix_us: now_us(), frames: slices(&body) });
    }
    Ok(fetched)
}

/// Frames of the clip by the hash of their slice.
fn places(clip: &Path) -> Result<HashMap<u64, u64>> {
    let bytes = fs::read(clip)?;
    let mut places = HashMap::new();
    let mut starts: Vec<usize> =
        bytes.windows(3).enumerate().filter(|(_, w)| *w == [0, 0, 1]).map(|(at, _)| at + 3).collect();
    starts.push(bytes.len() + 3);
    for pair in starts.windows(2) {
        let [from, to] = pair else { continue };
        let nal = bytes.get(*from..to.saturating_sub(3)).unwrap_or_default();
        // A start code may have a fourth zero before it.
        let nal = nal.strip_suffix(&[0]).unwrap_or(nal);
        if is_slice(nal) {
            places.insert(hash(nal), places.len() as u64);
        }
    }
    Ok(places)
}

/// The slices in a part's mdat.
fn slices(part: &[u8]) -> Vec<u64> {
    let mut found = Vec::new();
    let mut rest = part;
    while let Some((&[a, b, c, d], after)) = rest.split_first_chunk() {
        let size = u32::from_be_bytes([a, b, c, d]) as usize;
        if after.starts_with(b"mdat") {
            let mut media = rest.get(8..size).unwrap_or_default();
            while let Some((&[a, b, c, d], after)) = media.split_first_chunk() {
                let length = u32::from_be_bytes([a, b, c, d]) as usize;
                let nal = after.get(..length).unwrap_or_default();
                if is_slice(nal) {
                    found.push(hash(nal));
                }
                media = after.get(length..).unwrap_or_default();
            }
        }
        rest = rest.get(size.max(8)..).unwrap_or_default();
    }
    found
}

/// ITU-T H.264 table 7-1: a coded slice of any picture.
fn is_slice(nal: &[u8]) -> bool {
    nal.first().is_some_and(|header| matches!(header & 0x1f, 1 | 5))
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

/// Lines `camera client frame rtp_stamp key unix_us` of the camera's log: when each frame of the endless loop had been sent.
fn lags(fetched: &[Fetched], places: &HashMap<u64, u64>, log: &str) -> Result<Vec<Row>> {
    let turn = places.len() as u64;
    let sent: Vec<(u64, i64)> = log
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let frame: u64 = words.nth(2)?.parse().ok()?;
            Some((frame % turn, words.nth(2)?.parse().ok()?))
        })
        .collect();
    let (mut every, mut last) = (Vec::new(), Vec::new());
    for part in fetched {
        for (index, frame) in part.frames.iter().enumerate() {
            let place = places.get(frame).context("a part holds a frame that the clip does not have")?;
            let (_, sent_us) = sent
                .iter()
                .rev()
                .find(|(sent, at)| sent == place && *at <= part.unix_us)
                .context("a frame was fetched before the camera sent it")?;
            let lag = (part.unix_us - sent_us) as f64 / 1000.0;
            every.push(lag);
            if index + 1 == part.frames.len() {
                last.push(lag);
            }
        }
    }
    ensure!(every.len() > 300, "only {} frames were matched", every.len());
    Ok(vec![
        Row::alone("latency, frame sent to part fetched, median", median(&mut every), "ms"),
        Row::alone("latency, frame sent to part fetched, p95", quantile(&mut every, 0.95), "ms"),
        Row::alone("latency, last frame of a part to part fetched, median", median(&mut last), "ms"),
        Row::alone("latency, last frame of a part to part fetched, p95", quantile(&mut last, 0.95), "ms"),
    ])
}

fn now_us() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_micros()).ok())
        .unwrap_or(0)
}
