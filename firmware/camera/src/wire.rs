//! Events, sources and errands as bytes on the stream socket between boxd and a camera's worker.
//!
//! Each frame is [`HEADER_BYTES`] of header, then `body_len` bytes of body. A unit's body is its own
//! [`Bytes`], so a writer sends header and body with one `writev` and a reader fills one buffer of the exact
//! size. The header, all numbers big-endian:
//!
//! ```text
//!  0  version (1)      4  body length, u32      16  stamp, i64
//!  1  kind             8  clock rate, u32       24  arrival, i64 µs since 1970
//!  2  flags           12  zero
//!  3  zero
//! ```
//!
//! Clock rate, stamp, arrival and flags are zero but for units. Hostile bytes give an error, never a panic.

use core::net::IpAddr;
use core::num::NonZeroU32;

use bytes::{BufMut as _, Bytes, BytesMut};
use media::{AccessUnit, AudioFormat, Format, Track, VideoFormat};
use model::{CameraId, Private};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::source::{Source, StreamChoice, Transport};

/// Length of a header.
pub const HEADER_BYTES: usize = 32;
/// Most bytes of one access unit: 8 MiB (THREATS.md, row 2).
pub const MAX_UNIT_BYTES: usize = 8 << 20;
/// Most bytes of what an errand brings back: a still picture of 512 KiB in base64, and some words.
pub const MAX_OUTCOME_BYTES: usize = 1 << 20;
/// Most bytes of any other body.
pub const MAX_CONTROL_BYTES: usize = 64 << 10;

const VERSION: u8 = 1;
const SOURCE: u8 = 1;
const STATE: u8 = 2;
const FORMAT: u8 = 3;
const UNIT: u8 = 4;
const INTERRUPTED: u8 = 5;
const FACTS: u8 = 6;
const LOGIN: u8 = 7;
const ERRAND: u8 = 8;
const OUTCOME: u8 = 9;

/// What boxd writes to a running worker, a byte each: somebody watches.
pub const WATCHED: u8 = 1;
/// The answer to [`Login::Wanted`].
pub const MAY_LOG_IN: u8 = 2;

const AUDIO: u8 = 1;
const RANDOM_ACCESS: u8 = 2;
const LOSS: u8 = 4;

/// A frame to write: header, then body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The header.
    pub header: [u8; HEADER_BYTES],
    /// The body; may be empty.
    pub body: Bytes,
}

/// A header that was read and checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    kind: u8,
    flags: u8,
    body_len: usize,
    clock_rate: u32,
    stamp: i64,
    arrival_us: i64,
}

/// Why bytes are not a frame, or a value does not fit one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Another version: the two processes are of different builds.
    #[error("the worker speaks version {0} of the worker protocol, this is version {VERSION}")]
    Version(u8),
    /// No such kind of frame here.
    #[error("unexpected frame of kind {0} from the worker")]
    Kind(u8),
    /// More than the limit.
    #[error("a frame of {len} bytes is over the limit of {limit}")]
    TooLarge {
        /// Bytes of the body.
        len: usize,
        /// The most that is accepted.
        limit: usize,
    },
    /// Not what the kind asks for.
    #[error("a frame's {0} is malformed")]
    Malformed(&'static str),
}

impl Header {
    /// Reads a header.
    ///
    /// # Errors
    /// [`WireError`] when it is of another version, of an unknown kind, or announces too much.
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Self, WireError> {
        let [version, kind, flags, zero, rest @ ..] = bytes;
        let [l0, l1, l2, l3, c0, c1, c2, c3, z0, z1, z2, z3, times @ ..] = rest;
        let [s0, s1, s2, s3, s4, s5, s6, s7, a0, a1, a2, a3, a4, a5, a6, a7] = times;
        if *version != VERSION {
            return Err(WireError::Version(*version));
        }
        let limit = match *kind {
            UNIT => MAX_UNIT_BYTES,
            SOURCE | STATE | FORMAT | FACTS | LOGIN | ERRAND => MAX_CONTROL_BYTES,
            OUTCOME => MAX_OUTCOME_BYTES,
            INTERRUPTED => 0,
            kind => return Err(WireError::Kind(kind)),
        };
        let header = Self {
            kind: *kind,
            flags: *flags,
            body_len: u32::from_be_bytes([*l0, *l1, *l2, *l3]) as usize,
            clock_rate: u32::from_be_bytes([*c0, *c1, *c2, *c3]),
            stamp: i64::from_be_bytes([*s0, *s1, *s2, *s3, *s4, *s5, *s6, *s7]),
            arrival_us: i64::from_be_bytes([*a0, *a1, *a2, *a3, *a4, *a5, *a6, *a7]),
        };
        let used = if header.kind == UNIT { AUDIO | RANDOM_ACCESS | LOSS } else { 0 };
        let idle =
            header.kind == UNIT || (header.clock_rate == 0 && header.stamp == 0 && header.arrival_us == 0);
        if header.flags & !used != 0 || [*zero, *z0, *z1, *z2, *z3] != [0; 5] || !idle {
            return Err(WireError::Malformed("header"));
        }
        if header.body_len > limit {
            return Err(WireError::TooLarge { len: header.body_len, limit });
        }
        Ok(header)
    }

    /// Bytes of body that follow.
    pub const fn body_len(&self) -> usize {
        self.body_len
    }

    /// Whether it is that of an errand: the worker does one thing and ends, instead of streaming.
    pub const fn is_errand(&self) -> bool {
        self.kind == ERRAND
    }

    fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let mut out = &mut bytes[..];
        out.put_slice(&[VERSION, self.kind, self.flags, 0]);
        out.put_u32(self.body_len as u32);
        out.put_u32(self.clock_rate);
        out.put_u32(0);
        out.put_i64(self.stamp);
        out.put_i64(self.arrival_us);
        bytes
    }
}

/// The frame of a source (boxd to worker). It holds the password.
///
/// # Errors
/// [`WireError::TooLarge`] when user, password and address together pass the limit.
pub fn encode_source(source: &Source) -> Result<Frame, WireError> {
    control(SOURCE, json(&WireSource::new(source))?)
}

/// The source in a frame.
///
/// # Errors
/// [`WireError`] when the frame is not one of a source.
pub fn decode_source(header: &Header, body: &[u8]) -> Result<Source, WireError> {
    if header.kind != SOURCE {
        return Err(WireError::Kind(header.kind));
    }
    from_json::<WireSource>(body, "source")?.source()
}

/// The frame of an errand (boxd to worker): instead of a source, one question to the camera. It holds the password.
///
/// # Errors
/// [`WireError::TooLarge`] when it passes the limit.
pub fn encode_errand(source: &Source, errand: &impl Serialize) -> Result<Frame, WireError> {
    control(ERRAND, json(&WireErrand { source: WireSource::new(source), errand })?)
}

/// The errand in a frame.
///
/// # Errors
/// [`WireError`] when the frame is not one of an errand.
pub fn decode_errand<E: DeserializeOwned>(header: &Header, body: &[u8]) -> Result<(Source, E), WireError> {
    if header.kind != ERRAND {
        return Err(WireError::Kind(header.kind));
    }
    let wire: WireErrand<E> = from_json(body, "errand")?;
    Ok((wire.source.source()?, wire.errand))
}

/// The frame of what an errand brought back (worker to boxd).
///
/// # Errors
/// [`WireError::TooLarge`] when it passes [`MAX_OUTCOME_BYTES`].
pub fn encode_outcome(outcome: &impl Serialize) -> Result<Frame, WireError> {
    limited(OUTCOME, json(outcome)?, MAX_OUTCOME_BYTES)
}

/// What an errand brought back.
///
/// # Errors
/// [`WireError`] when the frame is not one of an outcome.
pub fn decode_outcome<T: DeserializeOwned>(header: &Header, body: &[u8]) -> Result<T, WireError> {
    if header.kind != OUTCOME {
        return Err(WireError::Kind(header.kind));
    }
    from_json(body, "outcome")
}

/// The frame of an event (worker to boxd). A unit's body is the unit's own bytes.
///
/// # Errors
/// [`WireError::TooLarge`] when it passes the limit of its kind.
pub fn encode_event(event: &Event) -> Result<Frame, WireError> {
    match event {
        Event::State(state) => control(STATE, json(state)?),
        Event::Facts(facts) => control(FACTS, json(facts)?),
        Event::Format(format) => control(FORMAT, format_body(format)?),
        Event::Interrupted => control(INTERRUPTED, Bytes::new()),
        Event::Login(login) => control(LOGIN, json(login)?),
        Event::Unit(unit) => {
            let len = unit.data.len();
            if len > MAX_UNIT_BYTES {
                return Err(WireError::TooLarge { len, limit: MAX_UNIT_BYTES });
            }
            let flag = |set: bool, flag: u8| if set { flag } else { 0 };
            let header = Header {
                kind: UNIT,
                flags: flag(unit.track == Track::Audio, AUDIO)
                    | flag(unit.random_access, RANDOM_ACCESS)
                    | flag(unit.loss, LOSS),
                body_len: len,
                clock_rate: unit.clock_rate.get(),
                stamp: unit.stamp,
                arrival_us: unit.arrival_us,
            };
            Ok(Frame { header: header.encode(), body: unit.data.clone() })
        }
    }
}

/// The event in a frame. A unit keeps `body` as its data.
///
/// # Errors
/// [`WireError`] when the frame is not one of an event, or `body` is not what it should be.
pub fn decode_event(header: &Header, body: Bytes) -> Result<Event, WireError> {
    if body.len() != header.body_len {
        return Err(WireError::Malformed("length"));
    }
    match header.kind {
        STATE => Ok(Event::State(from_json(&body, "state")?)),
        FACTS => Ok(Event::Facts(from_json(&body, "facts")?)),
        FORMAT => Ok(Event::Format(read_format(body)?)),
        INTERRUPTED => Ok(Event::Interrupted),
        LOGIN => Ok(Event::Login(from_json(&body, "login")?)),
        UNIT => Ok(Event::Unit(AccessUnit {
            track: if header.flags & AUDIO == 0 { Track::Video } else { Track::Audio },
            stamp: header.stamp,
            clock_rate: NonZeroU32::new(header.clock_rate).ok_or(WireError::Malformed("clock rate"))?,
            arrival_us: header.arrival_us,
            random_access: header.flags & RANDOM_ACCESS != 0,
            loss: header.flags & LOSS != 0,
            data: body,
        })),
        kind => Err(WireError::Kind(kind)),
    }
}

#[derive(Serialize, Deserialize)]
struct WireSource {
    id: CameraId,
    address: String,
    user: Option<String>,
    password: Option<String>,
    transport: WireTransport,
    stream: WireStream,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    channel: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pinned: Option<IpAddr>,
}

impl WireSource {
    fn new(source: &Source) -> Self {
        Self {
            id: source.id.clone(),
            address: source.address.unmasked(),
            user: source.user.clone(),
            password: source.password.as_ref().map(|password| password.expose().clone()),
            transport: match source.transport {
                Transport::Tcp => WireTransport::Tcp,
                Transport::Udp => WireTransport::Udp,
            },
            stream: match source.stream {
                StreamChoice::Auto => WireStream::Auto,
                StreamChoice::Main => WireStream::Main,
                StreamChoice::Sub => WireStream::Sub,
            },
            channel: source.channel.clone(),
            pinned: source.pinned,
        }
    }

    fn source(self) -> Result<Source, WireError> {
        let source =
            Source::new(self.id, &self.address, None, None).map_err(|_| WireError::Malformed("address"))?;
        if source.user.is_some() || source.password.is_some() {
            return Err(WireError::Malformed("address"));
        }
        Ok(Source {
            user: self.user,
            password: self.password.map(Private::new),
            transport: match self.transport {
                WireTransport::Tcp => Transport::Tcp,
                WireTransport::Udp => Transport::Udp,
            },
            stream: match self.stream {
                WireStream::Auto => StreamChoice::Auto,
                WireStream::Main => StreamChoice::Main,
                WireStream::Sub => StreamChoice::Sub,
            },
            channel: self.channel,
            pinned: self.pinned,
            ..source
        })
    }
}

#[derive(Serialize, Deserialize)]
struct WireErrand<E> {
    source: WireSource,
    errand: E,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum WireTransport {
    Tcp,
    Udp,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum WireStream {
    Auto,
    Main,
    Sub,
}

fn control(kind: u8, body: Bytes) -> Result<Frame, WireError> {
    limited(kind, body, MAX_CONTROL_BYTES)
}

fn limited(kind: u8, body: Bytes, limit: usize) -> Result<Frame, WireError> {
    if body.len() > limit {
        return Err(WireError::TooLarge { len: body.len(), limit });
    }
    let header = Header { kind, flags: 0, body_len: body.len(), clock_rate: 0, stamp: 0, arrival_us: 0 };
    Ok(Frame { header: header.encode(), body })
}

fn json<T: Serialize>(value: &T) -> Result<Bytes, WireError> {
    serde_json::to_vec(value).map(Bytes::from).map_err(|_| WireError::Malformed("value"))
}

fn from_json<'de, T: Deserialize<'de>>(body: &'de [u8], what: &'static str) -> Result<T, WireError> {
    serde_json::from_slice(body).map_err(|_| WireError::Malformed(what))
}

/// Body of a format: codec (1: H.264, 2: H.265), its parameter sets, audio (0: none, 1: AAC), its rate (u32),
/// channels (u16) and AudioSpecificConfig. Each set and the config stand behind a u16 length.
fn format_body(format: &Format) -> Result<Bytes, WireError> {
    let mut out = BytesMut::new();
    match &format.video {
        VideoFormat::H264 { sps, pps } => {
            out.put_u8(1);
            put_sets(&mut out, &[sps, pps])?;
        }
        VideoFormat::H265 { vps, sps, pps } => {
            out.put_u8(2);
            put_sets(&mut out, &[vps, sps, pps])?;
        }
    }
    match &format.audio {
        None => out.put_u8(0),
        Some(AudioFormat::Aac { config, sample_rate, channels }) => {
            out.put_u8(1);
            out.put_u32(sample_rate.get());
            out.put_u16(*channels);
            put_sets(&mut out, &[config])?;
        }
    }
    Ok(out.freeze())
}

fn put_sets(out: &mut BytesMut, sets: &[&Bytes]) -> Result<(), WireError> {
    for set in sets {
        let len = u16::try_from(set.len())
            .map_err(|_| WireError::TooLarge { len: set.len(), limit: usize::from(u16::MAX) })?;
        out.put_u16(len);
        out.put_slice(set);
    }
    Ok(())
}

fn read_format(mut body: Bytes) -> Result<Format, WireError> {
    let video = match take(&mut body, 1)?.first() {
        Some(1) => VideoFormat::H264 { sps: take_set(&mut body)?, pps: take_set(&mut body)? },
        Some(2) => VideoFormat::H265 {
            vps: take_set(&mut body)?,
            sps: take_set(&mut body)?,
            pps: take_set(&mut body)?,
        },
        _ => return Err(WireError::Malformed("video codec")),
    };
    let audio = match take(&mut body, 1)?.first() {
        Some(0) => None,
        Some(1) => {
            let rate = take(&mut body, 4)?.iter().fold(0, |rate, byte| rate << 8 | u32::from(*byte));
            let sample_rate = NonZeroU32::new(rate).ok_or(WireError::Malformed("sample rate"))?;
            let channels = take(&mut body, 2)?.iter().fold(0, |count, byte| count << 8 | u16::from(*byte));
            Some(AudioFormat::Aac { config: take_set(&mut body)?, sample_rate, channels })
        }
        _ => return Err(WireError::Malformed("audio codec")),
    };
    if body.is_empty() { Ok(Format { video, audio }) } else { Err(WireError::Malformed("format")) }
}

fn take(body: &mut Bytes, len: usize) -> Result<Bytes, WireError> {
    if body.len() < len {
        return Err(WireError::Malformed("format"));
    }
    Ok(body.split_to(len))
}

fn take_set(body: &mut Bytes) -> Result<Bytes, WireError> {
    let len = take(body, 2)?.iter().fold(0, |len, byte| len << 8 | usize::from(*byte));
    take(body, len)
}

#[cfg(test)]
mod tests;
