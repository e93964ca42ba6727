//! Access units in, access units on one steady timeline out, whatever stamps the camera sends.
//!
//! Per track and for any input: `dts` strictly increases, `pts >= dts`, every unit of a track that the format
//! has comes out exactly once and at once (no look-ahead, so no added latency).

use bytes::Bytes;

use crate::unit::{AccessUnit, Format, Track};

/// An access unit with its place on the stream's timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timed {
    /// Its elementary stream.
    pub track: Track,
    /// Decode time in ticks of the track's timescale ([`Timeline::timescale`]); strictly increasing, never negative.
    pub dts: i64,
    /// Presentation time in the same ticks; never before `dts`. Both tracks share one zero.
    pub pts: i64,
    /// Decoding may start here.
    pub random_access: bool,
    /// Real time is missing right before this unit: a session was lost or the camera was silent. `dts` follows
    /// on without a hole when the other track was silent too; else it jumps forward, to stay with that track.
    pub discontinuity: bool,
    /// The box's clock at `dts`, microseconds since 1970, for EXT-X-PROGRAM-DATE-TIME.
    pub wall_us: i64,
    /// The unit's bytes, as they came.
    pub data: Bytes,
}

/// How often the timeline had to help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Repairs {
    /// Units whose stamp was replaced by a prediction.
    pub stamps: u64,
    /// Times a track's clock was anchored anew because it had jumped for good.
    pub jumps: u64,
    /// Times a track was silent for longer than a few of its intervals.
    pub gaps: u64,
}

/// The common timeline of one camera's tracks.
#[derive(Debug, Default)]
pub struct Timeline {}

impl Timeline {
    /// Ticks per second of every video track.
    pub const VIDEO_TIMESCALE: u32 = 90_000;

    /// An empty timeline. Units are refused until [`Timeline::set_format`].
    pub fn new() -> Self {
        Self::default()
    }

    /// Says what the stream is made of from the next unit on.
    pub fn set_format(&mut self, _format: &Format) {}

    /// The session was lost: stamps start anew with the next unit.
    pub fn interrupt(&mut self) {}

    /// Places one unit. `None` only when the format has no such track.
    pub fn push(&mut self, _unit: AccessUnit) -> Option<Timed> {
        None
    }

    /// Ticks per second of a track: 90,000 for video, the sample rate for audio.
    pub fn timescale(&self, track: Track) -> u32 {
        let _ = track;
        Self::VIDEO_TIMESCALE
    }

    /// The best guess of `next dts - last dts`, in ticks, at least 1: the duration to give to the last sample of
    /// a part that is closed before its next unit comes. Errors of earlier guesses are already worked into it.
    pub fn predicted_interval(&self, track: Track) -> i64 {
        let _ = track;
        3600
    }

    /// Fixes the `dts` of the track's next unit, because a part has been closed that ends there. Ignored where it
    /// is not after the last `dts`, and where the next unit comes with `discontinuity` and a jump.
    pub fn pin_next_dts(&mut self, _track: Track, _dts: i64) {}

    /// How often the timeline had to help so far.
    pub fn repairs(&self) -> Repairs {
        Repairs::default()
    }
}
