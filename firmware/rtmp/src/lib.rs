//! RTMP publishers: bytes in, formats and access units out. Sans-IO: bytes, times and randomness are arguments.
//!
//! One [`Session`] and one [`Tracks`] per connection. The caller
//! 1. gives what came to [`Session::next`] until it takes no more and returns `None`, and sends [`Session::output`]
//!    after that;
//! 2. answers [`Event::Publish`] by [`Session::accept`] or [`Session::refuse`];
//! 3. gives [`Event::Video`] and [`Event::Audio`] to [`Tracks`], and what comes out to a `media::Stream`;
//! 4. closes the connection at any error, and soon after [`Event::End`]; deadlines are its affair.
//!
//! Always true:
//! * No input panics, and every input moves on: the work is in proportion to the bytes.
//! * Before [`Session::accept`] a session holds less than [`STRANGER_BYTES`], after it less than [`PUBLISHER_BYTES`].
//! * Nothing is allocated because the peer says that it will send something; only what has come is held.
//! * A stream key is a [`model::Private`] from where it is read on.
//!
//! rtmp-rs 0.6.0 (MIT) was considered: its decoder keeps as many chunk streams as a peer opens (65,600) and reserves for
//! each the up to 16 MiB that a header of twelve bytes announces, before anybody has shown a key; it writes stream
//! keys to the log; and its server owns its sockets. Nothing of that can be bounded from outside.
//!
//! The way through: `handshake` -> `chunk` (messages out of chunks) -> [`Session`] (commands, in `amf`) -> `tag` (FLV and
//! Enhanced RTMP) -> `record` and `nals` (ISO/IEC 14496-15) -> [`Tracks`].
//!
//! Sources: Adobe's Real Time Messaging Protocol (RTMP) 1.0 of 2012; Action Message Format AMF 0 of 2007; Video File Format
//! (FLV) 10.1; Enhanced RTMP v1 and v2 of the Veovera Software Organization.

mod amf;
mod chunk;
mod handshake;
mod nals;
mod record;
mod session;
mod tag;
mod tracks;

pub use chunk::MOST_CHUNK_STREAMS;
pub use session::{Event, Fault, PUBLISHER_BYTES, STRANGER_BYTES, Session};
pub use tracks::{MOST_UNIT_BYTES, Taken, Tracks};
