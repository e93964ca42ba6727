//! How long to wait after a failure: longer each time, up to a limit, and never two boxes alike.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

/// Pauses that double.
#[derive(Debug, Clone)]
pub(crate) struct Pause {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Pause {
    /// From the first to the longest.
    pub(crate) const fn new((first, longest): (Duration, Duration)) -> Self {
        Self { first, longest, next: first }
    }

    /// The pause after one more failure.
    pub(crate) fn next(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.longest);
        jittered(pause)
    }

    /// The first pause, which changes nothing.
    pub(crate) fn first(&self) -> Duration {
        jittered(self.first)
    }

    /// It worked.
    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }
}

/// Half to all of a pause, so that what failed together does not come back together.
pub(crate) fn jittered(pause: Duration) -> Duration {
    let random = RandomState::new().hash_one(0) as u32;
    pause / 2 + pause.mul_f64(f64::from(random) / f64::from(u32::MAX) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cloud_that_stays_away_is_asked_ever_more_rarely() {
        let mut pause = Pause::new((Duration::from_secs(1), Duration::from_secs(60)));
        let pauses: Vec<_> = (0..20).map(|_| pause.next()).collect();
        assert!(pauses[0] <= Duration::from_secs(1) && pauses[0] >= Duration::from_millis(500));
        assert!(pauses[19] <= Duration::from_secs(60) && pauses[19] >= Duration::from_secs(30));
        assert!(pauses[10..].iter().any(|other| *other != pauses[10]), "jittered");
        pause.reset();
        assert!(pause.next() <= Duration::from_secs(1));
    }
}
