//! How often passwords are checked: at most 30 times in any minute, whoever asks.
//!
//! Of those, 20 are for anybody, at most 10 for one address; 5 are for addresses and 5 for browsers in which the owner has signed
//! in before. So guesses from any number of addresses never use up what the owner needs. What is remembered is bounded by these
//! numbers. Time is an argument.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

/// Within this time the checks are counted.
pub const MINUTE: Duration = Duration::from_secs(60);
/// Most checks in a minute, for all together.
pub const MOST: usize = STRANGERS + KNOWN_ADDRESSES + KNOWN_BROWSERS;
/// Most checks in a minute for one address.
pub const MOST_PER_ADDRESS: usize = 10;
const STRANGERS: usize = 20;
const KNOWN_ADDRESSES: usize = 5;
const KNOWN_BROWSERS: usize = 5;
/// Addresses that are remembered.
const REMEMBERED: usize = 64;
/// Checks that may wait for each other: one is done at a time, and each holds a thread.
const UNDER_WAY: usize = 3;
/// When to come again while too many wait: a check takes less.
const SHORTLY: Duration = Duration::from_secs(1);

/// From whose share a check is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Share {
    /// A browser in which the owner has signed in.
    Browser,
    /// An address from which the owner has signed in.
    Address,
    /// Anybody's.
    Stranger,
}

/// Counts checks.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    /// Of the last minute, oldest first.
    checks: VecDeque<(Duration, IpAddr, Share)>,
    under_way: Vec<Share>,
    /// Latest last.
    known: VecDeque<IpAddr>,
}

impl Throttle {
    /// Lets one check begin; [`Self::done`] ends it. `browser`: the request bears a browser's mark.
    ///
    /// # Errors
    /// How long to wait.
    pub(crate) fn begin(&mut self, now: Duration, peer: IpAddr, browser: bool) -> Result<Share, Duration> {
        let peer = peer.to_canonical();
        while self.checks.front().is_some_and(|(at, ..)| now.saturating_sub(*at) >= MINUTE) {
            self.checks.pop_front();
        }
        let shares = [
            (browser, Share::Browser),
            (self.known.contains(&peer), Share::Address),
            (true, Share::Stranger),
        ];
        let mut wait = MINUTE;
        for share in shares.into_iter().filter_map(|(may, share)| may.then_some(share)) {
            match self.free(now, peer, share) {
                Ok(()) => {
                    self.checks.push_back((now, peer, share));
                    self.under_way.push(share);
                    return Ok(share);
                }
                Err(later) => wait = wait.min(later),
            }
        }
        Err(wait)
    }

    /// A check that [`Self::begin`] allowed has ended.
    pub(crate) fn done(&mut self, share: Share) {
        if let Some(at) = self.under_way.iter().position(|other| *other == share) {
            self.under_way.swap_remove(at);
        }
    }

    /// The owner has signed in from there.
    pub(crate) fn know(&mut self, peer: IpAddr) {
        let peer = peer.to_canonical();
        self.known.retain(|other| *other != peer);
        if self.known.len() >= REMEMBERED {
            self.known.pop_front();
        }
        self.known.push_back(peer);
    }

    /// Nobody is known any more.
    pub(crate) fn forget(&mut self) {
        self.known.clear();
    }

    fn free(&self, now: Duration, peer: IpAddr, share: Share) -> Result<(), Duration> {
        let size = match share {
            Share::Browser => KNOWN_BROWSERS,
            Share::Address => KNOWN_ADDRESSES,
            Share::Stranger => STRANGERS,
        };
        let ends = |at: &Duration| (*at + MINUTE).saturating_sub(now);
        let mut of_share = self.checks.iter().filter(|(_, _, other)| *other == share);
        let first = of_share.next().map(|(at, ..)| ends(at));
        if let Some(first) = first
            && 1 + of_share.count() >= size
        {
            return Err(first);
        }
        if share != Share::Browser {
            let mut of_peer =
                self.checks.iter().filter(|(_, other, share)| *other == peer && *share != Share::Browser);
            let first = of_peer.next().map(|(at, ..)| ends(at));
            if let Some(first) = first
                && 1 + of_peer.count() >= MOST_PER_ADDRESS
            {
                return Err(first);
            }
        }
        if self.under_way.iter().filter(|other| **other == share).count() >= UNDER_WAY {
            return Err(SHORTLY);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn peer(number: u32) -> IpAddr {
        IpAddr::from((0x0a00_0000 + number).to_be_bytes())
    }

    fn checked(throttle: &mut Throttle, now: Duration, peer: IpAddr, browser: bool) -> bool {
        throttle.begin(now, peer, browser).map(|share| throttle.done(share)).is_ok()
    }

    #[test]
    fn one_address_gets_ten_a_minute() {
        let mut throttle = Throttle::default();
        let mut allowed = 0;
        for millis in 0..60_000 {
            allowed += usize::from(checked(&mut throttle, Duration::from_millis(millis), peer(1), false));
        }
        assert_eq!(allowed, 10);
        assert!(checked(&mut throttle, MINUTE, peer(1), false), "the first is a minute ago");
    }

    #[test]
    fn whoever_must_wait_is_told_how_long() {
        let mut throttle = Throttle::default();
        for second in 0..10 {
            assert!(checked(&mut throttle, Duration::from_secs(second), peer(1), false));
        }
        let wait = throttle.begin(Duration::from_secs(20), peer(1), false).unwrap_err();
        assert_eq!(wait, Duration::from_secs(40));
        assert!(checked(&mut throttle, Duration::from_secs(60), peer(1), false));
        assert!(!checked(&mut throttle, Duration::from_secs(60), peer(1), false), "one for one");
    }

    #[test]
    fn checks_that_wait_for_each_other_are_few_and_the_owners_do_not_wait_for_strangers() {
        let mut throttle = Throttle::default();
        let begun: Vec<_> =
            (0..10).filter_map(|number| throttle.begin(Duration::ZERO, peer(number), false).ok()).collect();
        assert_eq!(begun.len(), UNDER_WAY);
        assert_eq!(throttle.begin(Duration::ZERO, peer(99), false), Err(SHORTLY));
        assert_eq!(throttle.begin(Duration::ZERO, peer(99), true), Ok(Share::Browser));
        for share in begun {
            throttle.done(share);
        }
        assert_eq!(throttle.begin(Duration::ZERO, peer(99), false), Ok(Share::Stranger));
    }

    proptest! {
        #[test]
        fn never_more_than_thirty_in_any_minute(
            tries in proptest::collection::vec((0u64..2_000, 0u32..50, any::<bool>(), any::<bool>()), 1..600),
        ) {
            let mut throttle = Throttle::default();
            let (mut now, mut at) = (Duration::ZERO, Vec::new());
            for (pause, number, browser, know) in tries {
                now += Duration::from_millis(pause);
                if checked(&mut throttle, now, peer(number), browser) {
                    at.push(now);
                }
                if know {
                    throttle.know(peer(number));
                }
                let lately = at.iter().filter(|at| now.abs_diff(**at) < MINUTE).count();
                prop_assert!(lately <= 30, "{lately}");
                prop_assert!(throttle.checks.len() <= 30 && throttle.known.len() <= REMEMBERED);
            }
        }
    }
}
