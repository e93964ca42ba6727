//! How often each box may report: a bucket of tokens per address. What a box does beyond it costs nobody but itself.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// One more report after so long.
pub(super) const EVERY: Duration = Duration::from_secs(5);
/// Reports that may come at once after a silence.
const BURST: u32 = 10;
/// Full buckets are thrown away when there are so many.
const TIDY_AT: usize = 4096;

/// A bucket is kept as the time at which it will be full again.
#[derive(Debug, Default)]
pub(super) struct Buckets {
    full_at: HashMap<Ipv4Addr, Instant>,
}

impl Buckets {
    /// Takes a token of this address's; where none is left, says how long until there is one.
    pub(super) fn take(&mut self, of: Ipv4Addr, now: Instant) -> Result<(), Duration> {
        if self.full_at.len() >= TIDY_AT && !self.full_at.contains_key(&of) {
            self.full_at.retain(|_, full_at| *full_at > now);
        }
        let full_at = self.full_at.entry(of).or_insert(now);
        let next = (*full_at).max(now) + EVERY;
        let wait = next.saturating_duration_since(now + EVERY * BURST);
        if wait.is_zero() {
            *full_at = next;
            Ok(())
        } else {
            Err(wait)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOX: Ipv4Addr = Ipv4Addr::new(10, 13, 1, 1);

    #[test]
    fn ten_at_once_then_one_every_5_s() {
        let (mut buckets, start) = (Buckets::default(), Instant::now());
        assert_eq!((0..30).filter(|_| buckets.take(BOX, start).is_ok()).count(), 10);
        assert_eq!(buckets.take(BOX, start), Err(EVERY));
        assert!(buckets.take(Ipv4Addr::new(10, 13, 1, 2), start).is_ok(), "each box has its own");
        let mut taken = 0;
        for second in 1..=60 {
            taken += u32::from(buckets.take(BOX, start + Duration::from_secs(second)).is_ok());
        }
        assert_eq!(taken, 12);
        let later = start + Duration::from_secs(600);
        assert_eq!((0..30).filter(|_| buckets.take(BOX, later).is_ok()).count(), 10);
    }

    #[test]
    fn those_that_fell_silent_are_forgotten() {
        let (mut buckets, start) = (Buckets::default(), Instant::now());
        for n in 0..20_000_u32 {
            let now = start + Duration::from_millis(u64::from(n) * 20);
            buckets.take(Ipv4Addr::from_bits(n), now).unwrap();
        }
        assert!(buckets.full_at.len() <= TIDY_AT);
    }
}
