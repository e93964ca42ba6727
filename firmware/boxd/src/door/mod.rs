//! The front door: the one place where strangers' HTTP comes in.

mod body;

use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) use body::{Body, not_found, reply, text};

/// What the door counts, since the box started.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Connections open now.
    pub(crate) open: AtomicU64,
    /// Connections taken.
    pub(crate) accepted: AtomicU64,
    /// Connections closed at once because too many were open, in all or from that address.
    pub(crate) refused: AtomicU64,
    /// Requests answered.
    pub(crate) requests: AtomicU64,
    /// Bytes of bodies handed to connections.
    pub(crate) bytes: AtomicU64,
}

impl Counters {
    /// Adds one.
    pub(crate) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
