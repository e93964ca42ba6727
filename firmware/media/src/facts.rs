//! Numbers of one stream, for metrics and for the page.

/// What one stream holds and how it runs, at the moment of asking.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Facts {
    /// Bytes of access units in the window.
    pub window_bytes: u64,
    /// Bytes that packaging added to them: MPEG-TS segments, fMP4 headers, playlists.
    pub packaged_bytes: u64,
    /// Access units in the window.
    pub window_units: u64,
    /// Seconds of video in the window.
    pub window_seconds: f64,
    /// Segments that the playlists list.
    pub segments: u64,
    /// Access units since the stream was made.
    pub units: u64,
    /// Access units before or in which packets were lost, since the stream was made.
    pub lossy_units: u64,
    /// Access units whose stamp could not be believed and was replaced, since the stream was made.
    pub repaired_stamps: u64,
    /// Access units that no playlist can hold, since the stream was made: before the first keyframe, or without format.
    pub dropped_units: u64,
    /// Arrival of the last access unit, microseconds since 1970.
    pub last_wall_us: Option<i64>,
    /// Pictures per second, over the last complete segment.
    pub fps: f64,
    /// Bits per second of all tracks, over the window.
    pub bit_rate: u64,
    /// Seconds between the last two keyframes.
    pub gop_seconds: f64,
}
