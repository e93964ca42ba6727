//! What all tasks found together, and the clock that it is dated by.

use std::{
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use discovery::{Answer, Registry};
use model::Device;
use tokio::sync::watch;

#[derive(Debug)]
pub(super) struct Found {
    registry: Mutex<Registry>,
    version: watch::Sender<u64>,
    started: Instant,
    started_unix_ms: u64,
}

impl Found {
    pub(super) fn new() -> Self {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            registry: Mutex::default(),
            version: watch::Sender::new(0),
            started: Instant::now(),
            started_unix_ms: u64::try_from(unix.as_millis()).unwrap_or_default(),
        }
    }

    /// Milliseconds since the Unix epoch as they were at the start, counted on without jumps.
    pub(super) fn now_ms(&self) -> u64 {
        self.started_unix_ms + u64::try_from(self.started.elapsed().as_millis()).unwrap_or_default()
    }

    pub(super) fn hear(&self, answer: Answer, from: IpAddr, interface: &str) {
        // The wire cannot come from this machine's inside (RFC 1122 section 3.2.1.3).
        if from.is_loopback() {
            return;
        }
        let now = self.now_ms();
        let changed = self.registry().heard(answer, from, interface, now);
        self.announce(changed);
    }

    pub(super) fn expire(&self) {
        let now = self.now_ms();
        let changed = self.registry().expire(now);
        self.announce(changed);
    }

    pub(super) fn devices(&self) -> Vec<Device> {
        self.registry().devices()
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    fn announce(&self, changed: bool) {
        if changed {
            self.version.send_modify(|version| *version += 1);
        }
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
