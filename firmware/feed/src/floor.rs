//! A clock that never goes back, on machines whose own may.
//!
//! The latest time that was seen is kept, in a file or a database. When the clock is behind it at a start (a box after a
//! power cut, before it has asked the network for the time), time goes on from what was kept instead: names that count
//! from the time stay unique, so caches of an earlier run can never answer for this one.

use std::time::Duration;

/// How often the time is to be kept, and how far a clock that is behind is set ahead of what was kept: an earlier run
/// may have gone on for that long after its last write. 24 small writes a day do not wear flash out.
pub const KEEP_EVERY: Duration = Duration::from_secs(3600);
/// Media sequence numbers count half seconds since 2020: always ahead of what an earlier run reached (a segment lasts
/// 0.9 s or more), and within the 31 bits that some players keep.
const SEQUENCE_ZERO: u64 = 1_577_836_800;

/// The kept time.
#[derive(Debug, Clone, Copy)]
pub struct Floor {
    /// The clock was behind by this much at the start.
    behind: Duration,
}

impl Floor {
    /// A floor from what an earlier run kept; `now` is the clock. Both are since 1970.
    pub fn new(kept: Option<Duration>, now: Duration) -> Self {
        let behind = match kept.unwrap_or_default().saturating_sub(now) {
            Duration::ZERO => Duration::ZERO,
            behind => behind.saturating_add(KEEP_EVERY),
        };
        Self { behind }
    }

    /// The time since 1970 that is never before one of an earlier run: what is to be kept.
    pub fn time(self, now: Duration) -> Duration {
        now.saturating_add(self.behind)
    }
}

/// The first media sequence number of a stream that starts at this time since 1970, as [`Floor::time`] gives it.
pub fn first_sequence_number(time: Duration) -> u64 {
    time.as_secs().saturating_sub(SEQUENCE_ZERO) * 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_when_the_clock_went_back() {
        let seconds = Duration::from_secs;
        let first = Floor::new(None, seconds(1_800_000_000));
        assert_eq!(first.time(seconds(1_800_000_000)), seconds(1_800_000_000), "a good clock is believed");
        let kept = first.time(seconds(1_800_000_100));

        // The power went right before the next write, and the machine woke in 1970.
        let latest_used = first.time(seconds(1_800_000_099) + KEEP_EVERY);
        let second = Floor::new(Some(kept), seconds(5));
        assert!(second.time(seconds(5)) > latest_used);
        let kept = second.time(seconds(6));
        assert!(Floor::new(Some(kept), seconds(5)).time(seconds(5)) > second.time(seconds(6)));

        let later = seconds(1_900_000_000);
        assert_eq!(
            Floor::new(Some(kept), later).time(later),
            later,
            "a clock that is right again is believed"
        );
    }

    #[test]
    fn sequence_numbers_fit_players_of_31_bits_and_stay_ahead() {
        let now = Duration::from_secs(1_800_000_000);
        let number = first_sequence_number(now);
        assert!(number > 400_000_000 && number < 1 << 31, "{number}");
        // A day of segments of 0.9 s, then a restart.
        let day = Duration::from_secs(86_400);
        let reached = number + (day.as_secs_f64() / 0.9) as u64;
        assert!(first_sequence_number(now + day) > reached);
    }
}
