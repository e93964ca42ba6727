//! The clock on the wall at each unit: follows the arrivals, without their jitter.

use super::anchor::between;

/// Arrivals that differ by more mean that the box's clock was set or that time was left out, in microseconds.
pub(super) const STEP_US: i64 = 2_000_000;
/// Units over which lateness wears in; a packet may be late but never early, so earliness wears in faster.
const LATE: i64 = 64;
const EARLY: i64 = 4;

/// The difference between the clock on the wall and the timeline.
#[derive(Debug, Default)]
pub(super) struct Wall {
    /// That difference and the last answer, in microseconds.
    state: Option<(i64, i64)>,
}

impl Wall {
    /// The clock on the wall at a unit that stands at `at_us` and arrived at `arrival_us`, in microseconds since 1970.
    pub(super) fn at(&mut self, at_us: i64, arrival_us: i64) -> i64 {
        let seen = between(at_us, arrival_us);
        let (ahead, wall) = match self.state {
            Some((ahead, last)) if (seen - ahead).abs() <= STEP_US => {
                let late = seen - ahead;
                let ahead = ahead + late / if late > 0 { LATE } else { EARLY };
                (ahead, (at_us + ahead).max(last + 1))
            }
            _ => (seen, at_us + seen),
        };
        self.state = Some((ahead, wall));
        wall
    }
}
