//! What a viewer may fetch: names, bodies, and how long they may be kept.
//!
//! Names are relative to the camera's own path (`/{camera_id}/`). A name stands for one content for ever, except the
//! three playlists: media sequence numbers never go back, so anything else may be cached without limit.

use core::fmt;

use bytes::Bytes;

/// The two ways in which the one set of cuts is packaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Container {
    /// Fragmented MP4 with low-latency parts.
    Fmp4,
    /// MPEG-TS, whole segments.
    Ts,
}

/// An object of one camera, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ObjectName {
    /// `index.m3u8`: the multivariant playlist.
    Multivariant,
    /// `live.m3u8` (fMP4) or `ts/index.m3u8` (MPEG-TS): a media playlist.
    Playlist(Container),
    /// `init-{n}.mp4`: the initialisation segment of the n-th format.
    Init(u64),
    /// `{msn}.m4s` or `ts/{msn}.ts`: a whole segment, by its media sequence number.
    Segment(Container, u64),
    /// `{msn}.{part}.m4s`: a part of a segment.
    Part(u64, u32),
}

impl ObjectName {
    /// Reads a name relative to the camera's path. Numbers are plain decimals without sign or leading zero, so that an
    /// object has one name only (a cache in between cannot be filled with copies).
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "index.m3u8" => return Some(Self::Multivariant),
            "live.m3u8" => return Some(Self::Playlist(Container::Fmp4)),
            "ts/index.m3u8" => return Some(Self::Playlist(Container::Ts)),
            _ => {}
        }
        if let Some(number) = name.strip_prefix("init-").and_then(|rest| rest.strip_suffix(".mp4")) {
            return decimal(number).map(Self::Init);
        }
        if let Some(number) = name.strip_prefix("ts/").and_then(|rest| rest.strip_suffix(".ts")) {
            return decimal(number).map(|msn| Self::Segment(Container::Ts, msn));
        }
        let stem = name.strip_suffix(".m4s")?;
        match stem.split_once('.') {
            None => decimal(stem).map(|msn| Self::Segment(Container::Fmp4, msn)),
            Some((msn, part)) => Some(Self::Part(decimal(msn)?, u32::try_from(decimal(part)?).ok()?)),
        }
    }
}

/// A decimal in its only spelling.
fn decimal(text: &str) -> Option<u64> {
    let canonical = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if canonical { text.parse().ok() } else { None }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Multivariant => f.write_str("index.m3u8"),
            Self::Playlist(Container::Fmp4) => f.write_str("live.m3u8"),
            Self::Playlist(Container::Ts) => f.write_str("ts/index.m3u8"),
            Self::Init(number) => write!(f, "init-{number}.mp4"),
            Self::Segment(Container::Fmp4, msn) => write!(f, "{msn}.m4s"),
            Self::Segment(Container::Ts, msn) => write!(f, "ts/{msn}.ts"),
            Self::Part(msn, part) => write!(f, "{msn}.{part}.m4s"),
        }
    }
}

/// Delivery directives of a playlist request (RFC 8216bis, 6.2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Request {
    /// `_HLS_msn`: answer when the playlist holds this media sequence number.
    pub msn: Option<u64>,
    /// `_HLS_part`: answer when the playlist holds this part of it.
    pub part: Option<u32>,
    /// `_HLS_skip=YES` or `v2`: a delta is welcome.
    pub skip: bool,
}

impl Request {
    /// Reads the directives of a query (without its question mark); other names are ignored. `None` when one is malformed,
    /// or when a part is asked for without its segment, which nobody could wait for.
    pub fn from_query(query: &str) -> Option<Self> {
        let mut request = Self::default();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name {
                "_HLS_msn" => request.msn = Some(value.parse().ok()?),
                "_HLS_part" => request.part = Some(value.parse().ok()?),
                "_HLS_skip" => request.skip = matches!(value, "YES" | "v2"),
                _ => {}
            }
        }
        (request.part.is_none() || request.msn.is_some()).then_some(request)
    }
}

/// What to say to a viewer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// 200 with this body.
    Ready(Body),
    /// Announced but not there yet: wait for the next [`crate::Progress`] that closed something, then ask again.
    NotYet,
    /// 404: never was, or no longer is.
    NotFound,
    /// 400: a directive that the standard forbids.
    BadRequest,
}

/// The content of an object: chunks to be written one after the other, shared with every other viewer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// The bytes, in order.
    pub chunks: Vec<Bytes>,
    /// Sum of the chunks' lengths, bytes.
    pub len: u64,
    /// Value for `Content-Type`.
    pub content_type: &'static str,
    /// How long it may be kept.
    pub cache: Cache,
}

/// How long an answer may be kept by the browser, a gateway or a CDN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cache {
    /// Not at all: it is old with the next part.
    NoStore,
    /// This many seconds: a playlist that a blocking request waited for; its address is used up soon.
    Seconds(u32),
    /// For ever: the name never stands for anything else.
    Immutable,
}

impl Body {
    pub(crate) fn new(chunks: Vec<Bytes>, content_type: &'static str, cache: Cache) -> Self {
        let len = chunks.iter().map(|chunk| chunk.len() as u64).sum();
        Self { chunks, len, content_type, cache }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_are_read_and_broken_ones_refused() {
        assert_eq!(Request::from_query(""), Some(Request::default()));
        let all = Request { msn: Some(7), part: Some(2), skip: true };
        assert_eq!(Request::from_query("_HLS_msn=7&_HLS_part=2&_HLS_skip=YES&token=x"), Some(all));
        assert_eq!(Request::from_query("_HLS_msn=-1"), None);
        assert_eq!(Request::from_query("_HLS_msn"), None);
        assert_eq!(Request::from_query("_HLS_msn=7&_HLS_part=99999999999"), None);
        assert_eq!(Request::from_query("_HLS_part=2"), None, "a part of no segment");
    }

    #[test]
    fn every_name_reads_back() {
        let names = [
            "index.m3u8",
            "live.m3u8",
            "ts/index.m3u8",
            "init-0.mp4",
            "1763719200.m4s",
            "1763719200.12.m4s",
            "ts/1763719200.ts",
            "18446744073709551615.4294967295.m4s",
        ];
        for name in names {
            assert_eq!(ObjectName::parse(name).map(|object| object.to_string()).as_deref(), Some(name));
        }
    }

    #[test]
    fn an_object_has_one_name_only() {
        let bad = [
            "",
            "/",
            "..",
            "01.m4s",
            "+1.m4s",
            "1.01.m4s",
            "1.2.3.m4s",
            ".m4s",
            "1..m4s",
            "1.ts",
            "ts/1.m4s",
            "ts/.ts",
            "init-.mp4",
            "init--1.mp4",
            "1.4294967296.m4s",
            "18446744073709551616.m4s",
            "ts/live.m3u8",
            "1.m4s ",
            "١.m4s",
        ];
        for name in bad {
            assert_eq!(ObjectName::parse(name), None, "{name:?}");
        }
    }
}
