//! WireGuard for box and cloud: boringtun's `noise`, our own peers, sockets and devices around it.
//!
//! * [`keys`], [`net`]: the words.
//! * [`peers`]: everybody we speak with, as a state machine without sockets.
//! * [`io`]: the kernel's side: a TUN device in a network namespace of its own, UDP, one thread.

pub mod io;
pub mod keys;
pub mod net;
pub mod peers;
