//! Access units in; timeline, segments, fMP4, MPEG-TS and playlists out. Sans-IO.
mod unit;

pub use unit::{AccessUnit, AudioFormat, Format, Track, VideoFormat};
