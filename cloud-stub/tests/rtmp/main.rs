//! Encoders that push by RTMP to a real cloud: ffmpeg, GStreamer, and one of our own that also does what they never would.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod clip;
mod clouds;
#[path = "../common/folder.rs"]
mod folder;
mod hostile;
mod keys;
mod plays;
mod publisher;
mod stage;
