//! Access units in; timeline, segments, fMP4, MPEG-TS and playlists out. Sans-IO.
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
pub use stream::{Options, Progress, Stream};
pub use timeline::{Repairs, Timed, Timeline};
pub use unit::{AccessUnit, AudioFormat, Format, Track, VideoFormat};
