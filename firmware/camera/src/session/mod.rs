//! One RTSP session: from an address to access units.
//!
//! [`probe`] asks for the description first, over a connection of its own, with a limit on every byte: retina
//! reads messages of any size and tells its errors only as text. What the probe accepted is then opened by
//! retina ([`stream`]), which asks again in the same way: the same address, the same challenge answered alike. Where a
//! camera's answer could lead retina elsewhere, and for TLS, a [`pipe`] stands between the two.

pub mod clean;
pub mod failure;
pub mod limits;
pub mod message;
pub mod pipe;
pub mod probe;
pub mod rewrite;
pub mod sdp;
pub mod sprop;
pub mod stream;
pub mod target;
pub mod tls;
