//! Cameras behind a WireGuard peer that is no box: a router, a PC or a telephone beside the camera, with nothing of ours on it.
//!
//! ```text
//! camera ◀──LAN── peer: forwards :554 of its tunnel address ◀══WireGuard══▶ hub ◀──Pipe── whoever reads RTSP
//! ```
//!
//! * [`Offer`] is what its owner gets once: a file for `wg-quick`, and the same without its commands for whatever reads a QR
//!   code. The private key is made for it and kept nowhere.
//! * [`Target`] is where the camera is in the peer's own network.
//! * [`Pipe`] leads from an address of this machine to the peer's camera, at its [`Far`] end.

mod far;
mod offer;
mod pipe;
mod target;

pub use far::Far;
pub use offer::Offer;
pub use pipe::Pipe;
pub use target::{InvalidTarget, Target};
