//! When a worker rests: while nobody watches its camera, it looks ten times a second for what has come, instead of at every
//! frame. Wake-ups are what an unwatched camera costs.
//!
//! A rest ends at once when the supervisor says that somebody watches, and none begins until [`AWAKE`] later. Nobody rests
//! while a session is being opened, or where the kernel would throw away what is not read.

use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use camera::wire;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::state::lock;

/// Length of a rest, milliseconds: two or three frames. A TCP window of 64 KiB, where the kernel begins, then passes 5 Mbit/s,
/// and grows by what one look finds in it.
const REST_MS: u8 = 100;
/// How long after being told a worker stays awake: longer than [`feed::TELL_EVERY`] and the target duration of a player that
/// fetches whole segments.
const AWAKE: Duration = Duration::from_secs(20);

/// The supervisor's end: tells a worker that somebody watches.
pub(crate) struct Alarm(UnixStream);

impl Alarm {
    /// On a socket that does not block.
    pub(crate) fn new(socket: UnixStream) -> Self {
        Self(socket)
    }

    /// Ends a rest. What cannot be written need not be: a full socket holds the same word already, and whoever reads the
    /// link sees that a worker is gone.
    pub(crate) fn ring(&mut self) {
        let _ = self.0.write(&[wire::WATCHED]);
    }
}

/// The worker's end.
pub(crate) struct Rest {
    link: UnixStream,
    bed: Mutex<Bed>,
}

struct Bed {
    /// Whether what is not read is kept.
    allowed: bool,
    awake_until: Instant,
}

impl Rest {
    /// Awake for the first time, on a socket that does not block.
    pub(crate) fn new(link: UnixStream) -> Self {
        Self { link, bed: Mutex::new(Bed { allowed: false, awake_until: Instant::now() + AWAKE }) }
    }

    /// Whether a rest costs nothing but time.
    pub(crate) fn allow(&self, allowed: bool) {
        lock(&self.bed).allowed = allowed;
    }

    /// Rests, if now is a time for it. For the moment before a thread waits for its sockets.
    pub(crate) fn take(&self) {
        let mut bed = lock(&self.bed);
        if !bed.allowed || Instant::now() < bed.awake_until {
            return;
        }
        let mut link = [PollFd::new(self.link.as_fd(), PollFlags::POLLIN)];
        match poll(&mut link, PollTimeout::from(REST_MS)) {
            Ok(0) | Err(_) => {}
            Ok(_) => {
                bed.awake_until = Instant::now() + AWAKE;
                // A link that has ended would ring for ever; sending on it is what ends the worker.
                bed.allowed = self.heard().is_ok();
            }
        }
    }

    /// Takes all that was sent.
    fn heard(&self) -> io::Result<()> {
        let mut words = [0; 64];
        loop {
            match (&self.link).read(&mut words) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Alarm, Rest) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        theirs.set_nonblocking(true).unwrap();
        (Alarm::new(ours), Rest::new(theirs))
    }

    /// How long one rest lasts.
    fn rested(rest: &Rest) -> Duration {
        let began = Instant::now();
        rest.take();
        began.elapsed()
    }

    fn tired(rest: &Rest) {
        lock(&rest.bed).awake_until = Instant::now();
    }

    const WHOLE: Duration = Duration::from_millis(REST_MS as u64);

    #[test]
    fn a_worker_rests_only_while_nobody_watches_and_nothing_is_lost() {
        let (mut alarm, rest) = pair();
        rest.allow(true);
        assert!(rested(&rest) < WHOLE, "a first viewer may be on the way");
        tired(&rest);
        assert!(rested(&rest) >= WHOLE);
        rest.allow(false);
        assert!(rested(&rest) < WHOLE, "a session is being opened");
        rest.allow(true);
        alarm.ring();
        assert!(rested(&rest) < WHOLE, "somebody watches");
        assert!(rested(&rest) < WHOLE, "somebody watched a moment ago");
        tired(&rest);
        assert!(rested(&rest) >= WHOLE, "one word ends one rest");
    }

    #[test]
    fn a_viewer_ends_a_rest_at_once() {
        let (mut alarm, rest) = pair();
        rest.allow(true);
        tired(&rest);
        let ring = std::thread::spawn(move || {
            std::thread::sleep(WHOLE / 5);
            alarm.ring();
            alarm
        });
        let rested = rested(&rest);
        assert!(rested >= WHOLE / 5 && rested < WHOLE, "{rested:?}");
        ring.join().unwrap();
    }

    #[test]
    fn a_worker_whose_supervisor_is_gone_does_not_spin() {
        let (alarm, rest) = pair();
        rest.allow(true);
        tired(&rest);
        drop(alarm);
        rest.take();
        tired(&rest);
        assert!(!lock(&rest.bed).allowed);
    }

    #[test]
    fn a_worker_that_does_not_listen_holds_nobody_up() {
        let (mut alarm, rest) = pair();
        for _ in 0..100_000 {
            alarm.ring();
        }
        rest.allow(true);
        tired(&rest);
        assert!(rested(&rest) < WHOLE);
        tired(&rest);
        assert!(rested(&rest) >= WHOLE, "all words are taken together");
    }
}
