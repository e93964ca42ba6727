//! What ties a camera's stamps to the timeline, and how two tracks are tied to each other.

use core::num::NonZeroU32;

use super::{GAP_US, JOIN_US};
use crate::unit::AccessUnit;

/// Times beyond this are as good as infinite: sums of a few of them still fit.
const FAR: i64 = 1 << 60;

/// One stamp and its place in ticks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Anchor {
    stamp: i64,
    clock_rate: NonZeroU32,
    at: i64,
    timescale: u32,
}

/// A track's latest believed unit, in terms that the other track understands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Here {
    pub(super) stamp: i64,
    pub(super) clock_rate: NonZeroU32,
    pub(super) arrival_us: i64,
    /// Its presentation time.
    pub(super) at_us: i64,
    /// How long it may be silent and still count as alive.
    pub(super) patience_us: i64,
}

/// What a track must know of its neighbour to place a unit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Surroundings {
    pub(super) other: Option<Here>,
    /// Where the later of both tracks ends.
    pub(super) end_us: i64,
}

/// An integer of any size within the range that is safe to add.
fn near(value: i128) -> i64 {
    value.clamp(-i128::from(FAR), i128::from(FAR)) as i64
}

/// `value * to / from`, rounded to the nearest.
fn rescale(value: i128, to: u32, from: u32) -> i64 {
    let from = i128::from(from.max(1));
    near((value * i128::from(to) + from / 2).div_euclid(from))
}

/// Ticks of one timescale as ticks of another: the next that is certainly later.
pub(super) fn after(ticks: i64, to: u32, from: u32) -> i64 {
    rescale(i128::from(ticks), to, from) + 1
}

/// Ticks as microseconds.
pub(super) fn to_us(ticks: i64, timescale: u32) -> i64 {
    rescale(i128::from(ticks), 1_000_000, timescale)
}

/// Microseconds as ticks.
pub(super) fn from_us(us: i64, timescale: u32) -> i64 {
    rescale(i128::from(us), timescale, 1_000_000)
}

/// Microseconds from one arrival to the next.
pub(super) fn between(earlier_us: i64, later_us: i64) -> i64 {
    near(i128::from(later_us) - i128::from(earlier_us))
}

/// Whether the clock on the wall confirms that `moved` ticks have passed, within half a second or a quarter.
pub(super) fn confirmed(moved: i64, elapsed_us: i64, timescale: u32) -> bool {
    let moved_us = to_us(moved, timescale);
    moved_us.saturating_sub(elapsed_us).saturating_abs() <= JOIN_US.max(moved_us / 4)
}

impl Anchor {
    pub(super) fn new(unit: &AccessUnit, at: i64, timescale: u32) -> Self {
        Self { stamp: unit.stamp, clock_rate: unit.clock_rate, at, timescale }
    }

    /// Where the unit's stamp stands; `None` where it counts at another rate.
    pub(super) fn ticks(&self, unit: &AccessUnit) -> Option<i64> {
        let moved = i128::from(unit.stamp) - i128::from(self.stamp);
        (unit.clock_rate == self.clock_rate).then(|| {
            near(i128::from(rescale(moved, self.timescale, self.clock_rate.get())) + i128::from(self.at))
        })
    }
}

impl Here {
    /// Where a unit of the other track belongs, in microseconds; `None` where this track is not alive.
    pub(super) fn place(&self, unit: &AccessUnit) -> Option<i64> {
        let since = between(self.arrival_us, unit.arrival_us);
        let alive = since.saturating_abs() <= self.patience_us.saturating_add(GAP_US);
        let own = i128::from(unit.stamp) * 1_000_000 / i128::from(unit.clock_rate.get());
        let other = i128::from(self.stamp) * 1_000_000 / i128::from(self.clock_rate.get());
        let by_stamps = near(own - other);
        let moved =
            if by_stamps.saturating_sub(since).saturating_abs() <= JOIN_US { by_stamps } else { since };
        alive.then(|| self.at_us.saturating_add(moved))
    }
}
