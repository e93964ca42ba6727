//! Cameras without a box: their pictures come to this cloud itself, and from here they go out by the same kind of link.
//!
//! ```text
//! camera ──RTSP──▶ cloud puller (sandboxed) ──socket pairs──┐
//! exec command ──MPEG-TS──▶ demux ──────────────────────────┼─▶ Here: a Feed each ──▶ gateway
//! encoder ──RTMP──▶ rtmp ───────────────────────────────────┘
//! ```
//!
//! * [`Here`] holds the feeds by the first segment of their links; whoever fills one asks it for the feed.
//! * [`Rule`] says which addresses are contacted for a camera.

mod floor;
mod here;
mod target;

pub use floor::{floor, keep_floor};
pub use here::Here;
pub use target::{Forbidden, Rule};
