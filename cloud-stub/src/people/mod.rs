//! People: who a request comes from, and what they may do.
//!
//! * [`who`] reads the cookie and asks the [`Directory`] alone: no database, no time lost.
//! * [`Who`] as an argument of a handler is somebody who is signed in; for a request that changes something it is also
//!   certain that their own page has sent it. It needs [`Gate`] as an extension of the router.

mod gate;
mod refusal;
mod who;

pub use gate::Gate;
pub use refusal::Refusal;
pub use who::{Who, fingerprint, who};
