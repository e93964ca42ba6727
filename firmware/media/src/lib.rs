//! Access units in; timeline, segments, fMP4, MPEG-TS and playlists out. Sans-IO: bytes and times are arguments.
//!
//! One [`Stream`] per camera. Its caller
//! 1. makes it with a first number that no earlier run has reached ([`Stream::new`]), so that no name is used twice;
//! 2. calls [`Stream::set_format`] before the first unit and whenever the camera's format is said again (the same one
//!    changes nothing), [`Stream::push`] for each unit in the order of arrival, [`Stream::interrupt`] when the session
//!    is lost;
//! 3. wakes all waiting requests whenever one of these returns a [`Progress`] that closed something;
//! 4. answers `GET /{camera}/{name}` by [`ObjectName::parse`] and [`Stream::object`], media playlists with `_HLS_`
//!    directives by [`Stream::playlist`]. [`Answer::NotYet`]: wait for the next [`Progress`], ask again, and give up
//!    after a few target durations.
//!
//! Always true:
//! * A unit is kept as the one [`bytes::Bytes`] it came in; parts and fMP4 segments are written from it without a copy.
//! * Nothing is packaged before somebody asks; what is packaged is shared by all who ask. MPEG-TS, which is a copy, goes
//!   30 s after the last request for it.
//! * The units held never exceed [`Options::window_bytes`]; everything that a playlist lists can be fetched.
//! * `push` takes about a microsecond and allocates only when a segment begins or ends.
//! * No input panics: stamps may be anything ([`Timeline`] repairs them), contents too.
//!
//! The way through: `unit` -> [`Timeline`] -> `segmenter` (where to cut) -> `window` (what is kept) -> `fmp4`, `ts`,
//! `playlist` (what it looks like) -> `object` (what a viewer asks and gets), with `stream` in front.
pub mod aac;
mod bits;
mod facts;
mod fmp4;
pub mod h264;
pub mod h265;
pub mod nal;
mod object;
mod packaging;
mod picture;
mod playlist;
mod pulse;
mod segmenter;
mod stream;
#[cfg(test)]
mod testing;
mod timeline;
mod ts;
mod unit;
mod window;

pub use facts::Facts;
pub use object::{Answer, Body, Cache, Container, ObjectName, Request};
pub use packaging::UnusableFormat;
pub use picture::{MAX_SIDE, ParameterSetError, PictureFacts};
pub use pulse::{Mark, Pulse};
pub use stream::{Options, Progress, Stream};
pub use timeline::{Repairs, Timed, Timeline};
pub use unit::{AccessUnit, AudioFormat, Format, Track, VideoFormat};
