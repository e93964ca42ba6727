//! Judges of what the box serves. None shares code with the crates that it judges.
//!
//! * [`record`]: follows playlists and keeps every segment, as a viewer would fetch them.
//! * [`ts`]: walks MPEG-TS packets; [`fmp4`]: walks movie fragments.
//! * [`tools`]: ffmpeg, ffprobe, tshark, GStreamer, hls-parser and m3u8-parser.

pub mod fmp4;
pub mod playlist;
pub mod record;
pub mod tools;
pub mod ts;
