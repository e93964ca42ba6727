//! Access units in; timeline, segments, fMP4, MPEG-TS and playlists out. Sans-IO.
mod facts;
mod object;
mod stream;
mod timeline;
mod unit;

pub use facts::Facts;
pub use object::{Answer, Body, Cache, Container, ObjectName, Request};
pub use stream::{Options, Progress, Stream, UnusableFormat};
pub use timeline::{Repairs, Timed, Timeline};
pub use unit::{AccessUnit, AudioFormat, Format, Track, VideoFormat};
