//! The crate as its caller and its viewers see it: access units in, answers out.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod camera;
mod clips;
mod ffmpeg;
mod playlists;
mod properties;
mod transport;
mod viewer;
