//! Bytes in, cameras out. No socket, no clock, no randomness: those are arguments, and what to send is a value.
//!
//! The rules, which every module keeps:
//!
//! 1. No input panics, and none costs more than its size: datagrams past [`MAX_DATAGRAM`] are refused, XML stops
//!    at depth [`soap::MAX_DEPTH`] and at any DTD or entity, one datagram gives at most [`MAX_ANSWERS`] answers.
//! 2. Only the address that answered is ever believed. A host that a message names is thrown away and replaced
//!    ([`place`]), port and path are kept. An address that a message claims for its sender is kept apart ([`Answer::claims`]).
//! 3. Nothing here asks for, holds or sends a credential.
//! 4. An answer that does not come from a camera is no answer: printers, routers and televisions speak the same
//!    protocols.
//!
//! The way through: [`wsd`], [`mdns`], [`ssdp`], [`sadp`], [`dhip`] and [`rtsp`] build what is sent and turn what comes back into
//! [`Answer`]s; [`ether`] does so with frames, for who is in another subnet or says nothing at all; [`sweep`] says which addresses to try, and when; [`Registry`] merges answers into
//! [`model::Device`]s, bounded whatever is thrown at it.

mod answer;
pub mod dhip;
pub mod ether;
pub mod mac;
mod maker;
pub mod mdns;
pub mod place;
mod registry;
pub mod rtsp;
pub mod sadp;
pub mod soap;
pub mod ssdp;
pub mod sweep;
mod text;
pub mod wsd;

pub use answer::{Answer, Error, Kind, Protocol, read, read_as_all};
pub use registry::{MAX_DEVICES, MAX_PER_ADDRESS, Registry};

/// Largest datagram that is read, in bytes: the largest that UDP over IPv4 can carry.
pub const MAX_DATAGRAM: usize = 64 * 1024;

/// Most answers that one datagram may hold.
pub const MAX_ANSWERS: usize = 16;
