//! Time and randomness, so that tests can choose both.

use std::time::{SystemTime, UNIX_EPOCH};

use ring::rand::{SecureRandom as _, SystemRandom};

/// Where a store takes time and randomness from.
pub trait World: Send + Sync + 'static {
    /// Milliseconds since 1970.
    fn now_ms(&self) -> u64;

    /// Sixteen random bytes, fit for secrets; `None` when the system has none to give.
    fn random(&self) -> Option<[u8; 16]>;
}

/// The system's clock and randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct System;

impl World for System {
    fn now_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn random(&self) -> Option<[u8; 16]> {
        let mut bytes = [0; 16];
        SystemRandom::new().fill(&mut bytes).ok().map(|()| bytes)
    }
}
