//! The system's clock, moved.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cloud_stub::store::{System, World};

#[derive(Clone, Default)]
pub(crate) struct Clock(pub(crate) Arc<AtomicU64>);

impl World for Clock {
    fn now_ms(&self) -> u64 {
        System.now_ms() + self.0.load(Ordering::Relaxed)
    }

    fn random(&self) -> Option<[u8; 16]> {
        System.random()
    }
}
