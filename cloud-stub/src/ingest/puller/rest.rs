//! When a puller rests: while all its cameras play, it looks from time to time for what has come, instead of at every
//! packet of each. Wake-ups are what many cameras cost, and one look serves them all.
//!
//! Nobody rests while a session is being opened. The kernel keeps what comes meanwhile: TCP's window.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Length of a rest while nobody watches, milliseconds. A TCP window of 64 KiB, where the kernel begins, then passes 5 Mbit/s,
/// and grows by what one look finds in it.
const REST_MS: u8 = 100;
/// The same while somebody watches one of the cameras: a picture then waits for half of it on average, and a part is ten
/// times as long.
const SHORT_MS: u8 = 20;
/// How long somebody is taken to watch after it was told: longer than [`feed::TELL_EVERY`] and the target duration of a
/// player that fetches whole segments.
const AWAKE: Duration = Duration::from_secs(20);

/// The rest of one process.
pub(super) struct Rest {
    control: OwnedFd,
    /// Cameras that are not to be kept waiting.
    restless: AtomicUsize,
    watched_until: Mutex<Option<Instant>>,
}

impl Rest {
    /// Ends early when something comes on the control socket.
    pub(super) fn new(control: OwnedFd) -> Self {
        Self { control, restless: AtomicUsize::new(0), watched_until: Mutex::default() }
    }

    /// Somebody watches.
    pub(super) fn watched(&self) {
        let mut until = self.watched_until.lock().unwrap_or_else(PoisonError::into_inner);
        *until = Some(Instant::now() + AWAKE);
    }

    /// Rests, if now is a time for it. For the moment before a thread waits for its sockets.
    pub(super) fn take(&self) {
        if self.restless.load(Ordering::Relaxed) > 0 {
            return;
        }
        let until = *self.watched_until.lock().unwrap_or_else(PoisonError::into_inner);
        let watched = until.is_some_and(|until| Instant::now() < until);
        let mut control = [PollFd::new(self.control.as_fd(), PollFlags::POLLIN)];
        // A rest that fails is a short one.
        let _ = poll(&mut control, PollTimeout::from(if watched { SHORT_MS } else { REST_MS }));
    }
}

/// Whether one camera may be kept waiting; gone, it may.
pub(super) struct Restless {
    rest: Arc<Rest>,
    now: bool,
}

impl Restless {
    /// A camera that is about to be connected.
    pub(super) fn new(rest: Arc<Rest>) -> Self {
        let mut new = Self { rest, now: false };
        new.set(true);
        new
    }

    /// Notes it.
    pub(super) fn set(&mut self, restless: bool) {
        match (self.now, restless) {
            (false, true) => drop(self.rest.restless.fetch_add(1, Ordering::Relaxed)),
            (true, false) => drop(self.rest.restless.fetch_sub(1, Ordering::Relaxed)),
            _ => {}
        }
        self.now = restless;
    }
}

impl Drop for Restless {
    fn drop(&mut self) {
        self.set(false);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_process_rests_only_when_none_of_its_cameras_is_being_connected() {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let rest = Arc::new(Rest::new(theirs.into()));
        let rested = || {
            let began = Instant::now();
            rest.take();
            began.elapsed()
        };
        let (short, whole) = (Duration::from_millis(SHORT_MS.into()), Duration::from_millis(REST_MS.into()));
        assert!(rested() >= whole);
        let (mut one, two) = (Restless::new(rest.clone()), Restless::new(rest.clone()));
        one.set(true);
        assert!(rested() < short);
        one.set(false);
        assert!(rested() < short, "the other one is still being connected");
        drop(two);
        rest.watched();
        let watched = rested();
        assert!(watched >= short && watched < whole, "{watched:?}");
        ours.write_all(b"w").unwrap();
        assert!(rested() < short, "a word ends it");
    }
}
