//! WireGuard for box and cloud: boringtun's `noise`, our own peers, sockets and devices around it.
//!
//! * [`keys`], [`net`]: the words.
//! * [`peers`]: everybody we speak with, as a state machine without sockets.
//! * [`route`]: which hub, which address, UDP or TLS, as a state machine without sockets.
//! * [`carrier`]: the same datagrams in a WebSocket.
//! * [`client`]: the box's way to its cloud, kept open by both.
//! * [`mtu`]: how large packets inside may be.
//! * [`quick`]: wg-quick files.
//! * [`segments`]: TCP packets larger than the MTU, cut and joined.
//! * [`io`]: the kernel's side: a TUN device in a network namespace of its own, UDP, one thread.

pub mod carrier;
pub mod client;
pub mod io;
pub mod keys;
pub mod mtu;
pub mod net;
pub mod peers;
pub mod quick;
pub mod route;
pub mod segments;
