//! The watchdog, and when it is fed: only while the box has told how it is, or was started, lately. Whoever calls [`Dog::look`] proves by
//! that that the guard itself still runs.

use std::io;
use std::time::Duration;

use board::watchdog::{KernelWatchdog, Watchdog, WatchdogFile};

use crate::config::WatchdogAt;

/// The board's watchdog, if it has one.
pub(super) struct Dog {
    watchdog: Option<Box<dyn Watchdog>>,
    /// A box that says nothing for so long is hung.
    silent_ms: u64,
    /// When the box gave its last sign of life.
    sign_ms: u64,
    fed_ms: u64,
    feed_every_ms: u64,
    hungry: bool,
}

/// Opens the watchdog of a place.
///
/// # Errors
/// When it is not there, or another process has it.
pub(super) fn open(at: &WatchdogAt, bite: Duration) -> io::Result<Option<Box<dyn Watchdog>>> {
    Ok(match at {
        WatchdogAt::None => None,
        WatchdogAt::Device(path) => Some(Box::new(KernelWatchdog::open(path, bite)?)),
        WatchdogAt::File(path) => Some(Box::new(WatchdogFile::open(path.clone(), bite)?)),
    })
}

impl Dog {
    /// Over a box that is started at 0.
    pub(super) fn new(watchdog: Option<Box<dyn Watchdog>>, silent: Duration) -> Self {
        // Three times within its time: one that is late does no harm.
        let feed_every = watchdog.as_ref().map_or(Duration::ZERO, |dog| dog.timeout() / 3);
        Self {
            watchdog,
            silent_ms: millis(silent),
            sign_ms: 0,
            fed_ms: 0,
            feed_every_ms: millis(feed_every),
            hungry: false,
        }
    }

    /// The box told how it is, or was started.
    pub(super) const fn sign(&mut self, now_ms: u64) {
        self.sign_ms = now_ms;
    }

    /// Whether the box has been silent for too long.
    pub(super) const fn silent(&self, now_ms: u64) -> bool {
        now_ms.saturating_sub(self.sign_ms) > self.silent_ms
    }

    /// Whether there is a watchdog at all.
    pub(super) const fn is_there(&self) -> bool {
        self.watchdog.is_some()
    }

    /// Feeds it when it is time and the box lives.
    pub(super) fn look(&mut self, now_ms: u64) {
        let silent = self.silent(now_ms);
        let Some(watchdog) = &mut self.watchdog else { return };
        if silent {
            if !self.hungry {
                tracing::error!(
                    seconds = self.silent_ms / 1000,
                    "the box says nothing any more: its watchdog is not fed and restarts the machine"
                );
            }
            self.hungry = true;
            return;
        }
        self.hungry = false;
        if now_ms.saturating_sub(self.fed_ms) < self.feed_every_ms {
            return;
        }
        match watchdog.feed() {
            Ok(()) => self.fed_ms = now_ms,
            Err(error) => tracing::warn!(%error, "cannot feed the watchdog"),
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    struct Counted(Arc<AtomicU64>);

    impl Watchdog for Counted {
        fn feed(&mut self) -> io::Result<()> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }

        fn timeout(&self) -> Duration {
            Duration::from_secs(30)
        }
    }

    #[test]
    fn it_is_fed_while_the_box_gives_signs_of_life_and_no_longer() {
        let fed = Arc::new(AtomicU64::new(0));
        let mut dog = Dog::new(Some(Box::new(Counted(fed.clone()))), Duration::from_secs(60));
        for now in (0..=300_000).step_by(1000) {
            if now <= 100_000 {
                dog.sign(now);
            }
            dog.look(now);
        }
        // Every 10 s up to 160 s, from 10 s on: it was fed when it was opened.
        assert_eq!(fed.load(Ordering::Relaxed), 16);
        assert!(!dog.silent(160_000) && dog.silent(160_001));
        dog.sign(400_000);
        dog.look(400_000);
        assert_eq!(fed.load(Ordering::Relaxed), 17, "a box that is started anew is fed for again");
    }

    #[test]
    fn a_board_without_a_watchdog_is_watched_all_the_same() {
        let mut dog = Dog::new(open(&WatchdogAt::None, Duration::ZERO).unwrap(), Duration::from_secs(2));
        dog.look(1);
        assert!(!dog.is_there() && !dog.silent(2000) && dog.silent(2001));
    }
}
