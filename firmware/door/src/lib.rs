//! The door: where strangers' HTTP comes in.
//!
//! Everything that a stranger can make its owner hold is bounded here: connections in all and per address, the time of
//! a TLS handshake, the size and the time of a request's head, and how long an answer may lie unread. What is answered
//! is a [`Service`]'s affair; so is what is logged.
//!
//! [`serve`] takes connections from a [`listen`]ing socket and gives each request to the service together with a
//! [`Visit`]. [`Hosts`] says by which names the owner may be called, [`Body`] is what goes out, [`range`] cuts it.

mod body;
mod host;
mod inherited;
mod listen;
pub mod range;
mod seats;
mod serve;

pub use body::{Body, not_found, reply, text};
pub use host::Hosts;
pub use inherited::{InheritError, inherited};
pub use listen::{ListenError, listen};
pub use seats::{Seat, Seats};
pub use serve::{Counters, Limits, Service, Trouble, Visit, serve};
