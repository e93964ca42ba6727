//! The crate as its caller and its viewers see it: access units in, answers out.

mod camera;
mod clips;
mod ffmpeg;
mod playlists;
mod properties;
mod transport;
mod viewer;
