//! One camera: its streams, its clock, who watches.
//!
//! Invariant: frame number n of a stream is due n / fps seconds after the camera started and is stamped accordingly,
//! whether anybody watches or not; the clip's loop, gaps and switches never disturb that.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::watch;

use crate::{
    auth::{Ledger, Login},
    client::{Client, Frame},
    clip::Codec,
    encoder::{self, Setting},
    log::{Log, unix_us},
    quirks::Quirks,
    rtp::Train,
};

/// Video frames and sound of one clip, ready to send. Shared by cameras.
#[derive(Debug)]
pub(crate) struct Reel {
    pub(crate) codec: Codec,
    /// As [`crate::clip::Clip::sets`].
    pub(crate) sets: Vec<Vec<u8>>,
    pub(crate) video: Vec<Train>,
    /// Frames per second.
    pub(crate) fps: f64,
    /// Pictures from one keyframe to the next.
    pub(crate) gop: u32,
}

/// Sound, ready to send. Shared by cameras.
#[derive(Debug)]
pub(crate) struct Sound {
    /// RTP payload type.
    pub(crate) kind: u8,
    /// Samples per second, which is the RTP clock.
    pub(crate) rate: u32,
    /// Samples per frame.
    pub(crate) samples: u32,
    /// AudioSpecificConfig of AAC; none for G.711.
    pub(crate) config: Option<[u8; 2]>,
    pub(crate) frames: Vec<Train>,
}

/// One stream: main or sub.
#[derive(Debug)]
pub(crate) struct Stream {
    /// Path in the RTSP address, with its slash.
    pub(crate) path: String,
    /// Token of its ONVIF profile.
    pub(crate) token: String,
    /// Number of its video source, from 1.
    pub(crate) source: u16,
    /// Name of that source.
    pub(crate) source_name: String,
    /// What it can play: the first clip, the second if there is one, what else its encoder can do.
    pub(crate) reels: Vec<Arc<Reel>>,
    /// Whether `clip=second` has something to play.
    pub(crate) has_second: bool,
    /// What its encoder was set to.
    pub(crate) setting: Mutex<Setting>,
    pub(crate) sound: Option<Arc<Sound>>,
    /// Who watches.
    pub(crate) clients: Mutex<Vec<Arc<Client>>>,
    show: Mutex<Show>,
}

#[derive(Debug, Default)]
struct Show {
    /// Number of the next video frame.
    frame: u64,
    /// Number of the next sound frame.
    sound: u64,
    /// Where the clip is.
    position: usize,
    /// Which of the reels it is.
    reel: usize,
    /// Number of the next stamp jump; each shifts by another amount.
    jump: u64,
}

/// One camera.
#[derive(Debug)]
pub(crate) struct Camera {
    pub(crate) index: usize,
    pub(crate) name: String,
    pub(crate) uuid: String,
    /// Maker and model, as ONVIF tells them.
    pub(crate) maker: String,
    pub(crate) model: String,
    pub(crate) login: Option<Login>,
    /// Who may ask by ONVIF, where that is somebody else.
    pub(crate) onvif_login: Option<Login>,
    pub(crate) rtsp_port: u16,
    pub(crate) http_port: u16,
    pub(crate) streams: Vec<Stream>,
    pub(crate) quirks: Mutex<Quirks>,
    pub(crate) ledger: Mutex<Ledger>,
    pub(crate) log: Arc<Log>,
    /// Changes when all clients are to be dropped.
    pub(crate) dropped: watch::Sender<u64>,
    pub(crate) sessions: AtomicU64,
    /// Frames handed to clients.
    pub(crate) sent: AtomicU64,
    /// Requests by HTTP.
    pub(crate) requests: AtomicU64,
    /// Changes of an encoder.
    pub(crate) changes: AtomicU64,
    start: Instant,
    start_unix_us: i64,
    /// RTP stamp of frame 0.
    base: u32,
}

/// Video or sound of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Track {
    Video,
    Sound,
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a camera is made of.
pub(crate) struct Parts {
    pub(crate) index: usize,
    pub(crate) name: String,
    pub(crate) maker: String,
    pub(crate) model: String,
    pub(crate) login: Option<Login>,
    pub(crate) onvif_login: Option<Login>,
    pub(crate) rtsp_port: u16,
    pub(crate) http_port: u16,
    pub(crate) streams: Vec<Stream>,
    pub(crate) quirks: Quirks,
    pub(crate) log: Arc<Log>,
    /// Time of frame 0.
    pub(crate) start: Instant,
}

impl Stream {
    /// A stream of `first`, the main one of its source or not.
    pub(crate) fn new(
        path: String,
        token: String,
        first: &Arc<Reel>,
        main: bool,
        sound: Option<Arc<Sound>>,
    ) -> Self {
        Self {
            path,
            token,
            source: 1,
            source_name: "source".into(),
            reels: vec![Arc::clone(first)],
            has_second: false,
            setting: Mutex::new(Setting::of(first, main)),
            sound,
            clients: Mutex::default(),
            show: Mutex::default(),
        }
    }

    /// Frames per second, whichever clip plays.
    pub(crate) fn fps(&self) -> f64 {
        self.reels.first().map_or(25.0, |reel| reel.fps)
    }
}

impl Camera {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts {
            index,
            name,
            maker,
            model,
            login,
            onvif_login,
            rtsp_port,
            http_port,
            streams,
            quirks,
            log,
            start,
        } = parts;
        let now = Instant::now();
        let ahead = start.saturating_duration_since(now).as_micros() as i64;
        Self {
            index,
            uuid: uuid(&name, index, http_port),
            name,
            maker,
            model,
            login,
            onvif_login,
            rtsp_port,
            http_port,
            streams,
            quirks: Mutex::new(quirks),
            ledger: Mutex::default(),
            log,
            dropped: watch::Sender::new(0),
            sessions: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            changes: AtomicU64::new(0),
            start,
            start_unix_us: unix_us() + ahead,
            base: crate::random() as u32,
        }
    }

    pub(crate) fn quirks(&self) -> Quirks {
        lock(&self.quirks).clone()
    }

    /// What a login is worth: none given, wrong (or locked), right.
    pub(crate) fn login_passes(&self, right: bool) -> bool {
        let (limit, lasts) = {
            let quirks = lock(&self.quirks);
            (quirks.lockout, Duration::from_secs(quirks.lockout_seconds))
        };
        lock(&self.ledger).note(right, Instant::now(), limit, lasts)
    }

    /// The camera's clock: microseconds since 1970, wrong by its quirk.
    pub(crate) fn clock_us(&self) -> i64 {
        unix_us() + lock(&self.quirks).clock_offset * 1_000_000
    }

    /// Stamp of the next video or sound frame of a stream.
    pub(crate) fn next_stamp(&self, stream: &Stream, track: Track) -> u32 {
        let show = lock(&stream.show);
        match track {
            Track::Video => self.video_stamp(stream, show.frame),
            Track::Sound => {
                let samples = stream.sound.as_ref().map_or(0, |sound| sound.samples);
                self.base.wrapping_add((show.sound * u64::from(samples)) as u32)
            }
        }
    }

    fn video_stamp(&self, stream: &Stream, frame: u64) -> u32 {
        self.base.wrapping_add((frame as f64 * 90_000.0 / stream.fps()).round() as u64 as u32)
    }

    /// When the next frame of a track is due.
    pub(crate) fn due(&self, stream: usize, track: Track) -> Option<Instant> {
        let stream = self.streams.get(stream)?;
        let show = lock(&stream.show);
        let seconds = match track {
            Track::Video => show.frame as f64 / stream.fps(),
            Track::Sound => {
                let sound = stream.sound.as_ref()?;
                show.sound as f64 * f64::from(sound.samples) / f64::from(sound.rate)
            }
        };
        Some(self.start + Duration::from_secs_f64(seconds))
    }

    /// Sends the next frame of a track to all who watch. `scratch` is reused from call to call.
    pub(crate) fn send(&self, stream: usize, track: Track, scratch: &mut Vec<u8>) {
        let Some(stream) = self.streams.get(stream) else { return };
        let quirks = lock(&self.quirks);
        let mut show = lock(&stream.show);
        match track {
            Track::Video => {
                let number = show.frame;
                show.frame += 1;
                let seconds = number as f64 / stream.fps();
                let silent = quirks.gap.is_some_and(|(every, length)| seconds % every > every - length);
                if quirks.stall || silent {
                    return;
                }
                let Some((at, reel)) = encoder::playing(stream, quirks.second_clip) else { return };
                if at != show.reel {
                    (show.reel, show.position) = (at, 0);
                }
                let Some(train) = reel.video.get(show.position) else { return };
                show.position = (show.position + 1) % reel.video.len();
                let mut stamp = self.video_stamp(stream, number);
                if quirks.stamp_jumps && number % ((2.0 * stream.fps()) as u64).max(1) == 7 {
                    let seconds = if show.jump % 2 == 0 { -9_800_i64 } else { 37_600 };
                    show.jump += 1;
                    stamp = stamp.wrapping_add((seconds * 90_000) as u32);
                }
                let start_at_key = !quirks.mid_gop;
                drop((quirks, show));
                self.deliver(
                    stream,
                    &Frame { track, train, number, stamp, rate: 90_000, start_at_key },
                    scratch,
                );
            }
            Track::Sound => {
                let Some(sound) = &stream.sound else { return };
                let number = show.sound;
                show.sound += 1;
                if quirks.stall {
                    return;
                }
                let Some(train) = sound.frames.get((number % sound.frames.len() as u64) as usize) else {
                    return;
                };
                let stamp = self.base.wrapping_add((number * u64::from(sound.samples)) as u32);
                drop((quirks, show));
                let rate = sound.rate;
                self.deliver(
                    stream,
                    &Frame { track, train, number, stamp, rate, start_at_key: true },
                    scratch,
                );
            }
        }
    }

    fn deliver(&self, stream: &Stream, frame: &Frame<'_>, scratch: &mut Vec<u8>) {
        let mut count = 0;
        for client in lock(&stream.clients).iter() {
            count += u64::from(client.send(self, frame, scratch));
        }
        if count > 0 && frame.track == Track::Video {
            self.sent.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// The stamp that a sender report pairs with the time now.
    pub(crate) fn report_stamp(&self, rate: u32) -> (i64, u32) {
        let now = unix_us();
        let ticks = i128::from(now - self.start_unix_us) * i128::from(rate) / 1_000_000;
        let offset = lock(&self.quirks).clock_offset * 1_000_000;
        (now + offset, self.base.wrapping_add(ticks as u32))
    }
}

/// A stable UUID (RFC 9562 version 8) from what tells cameras apart.
fn uuid(name: &str, index: usize, port: u16) -> String {
    use md5::Digest;
    let mut bytes: [u8; 16] = md5::Md5::digest(format!("{name} {index} {port}")).into();
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}
