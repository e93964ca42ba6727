//! The video track's clock: 90 kHz, by the camera's stamps wherever they can be believed.

use super::anchor::{Anchor, Here, Surroundings, between, confirmed, from_us, to_us};
use super::interval::Interval;
use super::order::{Order, Poc};
use super::reorder::{Reorder, Shown};
use super::{GAP_US, JUMP_UNITS, Placed, Repairs, START_US, Timeline, Verdict};
use crate::unit::{AccessUnit, VideoFormat};

const TIMESCALE: u32 = Timeline::VIDEO_TIMESCALE;
/// Stamps may move on by this many intervals without the wall clock's word: a few lost frames in a late burst.
const STRIDE: i64 = 4;
/// How far behind its own end a track may be put to rejoin the other, in microseconds; it hurries until it is there.
const BEHIND_US: i64 = GAP_US;

/// The clock and its last readings; all times are 90 kHz ticks.
#[derive(Debug, Default)]
pub(super) struct VideoClock {
    order: Order,
    reorder: Reorder,
    interval: Interval,
    anchor: Option<Anchor>,
    here: Option<Here>,
    /// The last decode time before it was held back: the camera's own clock.
    truth: i64,
    /// The last of those that the camera said: what comes after it must be later.
    believed: i64,
    /// Decode times taken since then; `None` where no interval can be measured from it.
    steps: Option<i64>,
    /// The latest presentation time.
    newest: i64,
    /// The last unit's presentation time and order.
    last: (i64, Option<Poc>),
    last_arrival_us: i64,
    /// The last unit came after a gap.
    after_gap: bool,
    last_dts: Option<i64>,
    /// Where the last disbelieved stamp stood, and how many in a row agree with it.
    suspect: Option<(i64, u32)>,
    pub(super) repairs: Repairs,
}

impl VideoClock {
    pub(super) fn set_format(&mut self, format: &VideoFormat) {
        let (order, depth) = Order::of(format);
        self.order = order;
        self.interval.hint(format.facts().ok().and_then(|facts| facts.fps));
        // Where the format does not tell, what was seen of an earlier one stays.
        if let Some(depth) = depth {
            self.set_depth(depth);
        }
    }

    pub(super) fn interrupt(&mut self) {
        self.anchor = None;
        self.here = None;
    }

    pub(super) fn here(&self) -> Option<Here> {
        self.here
    }

    pub(super) fn end_us(&self) -> Option<i64> {
        self.last_dts.map(|_| to_us(self.expected(), TIMESCALE))
    }

    pub(super) fn predicted_interval(&self) -> i64 {
        let interval = self.interval.ticks();
        // The next picture takes the earliest waiting time, or its own if that is earlier still.
        let own = self.truth + interval;
        let next = self.reorder.next().map_or(own, |waiting| waiting.min(own));
        self.last_dts.map_or(interval, |last| (next - last).clamp((interval / 2).max(1), interval * 2))
    }

    pub(super) fn push(&mut self, unit: &AccessUnit, around: &Surroundings) -> Placed {
        let poc = self.order.read(&unit.data);
        // After a lost IDR picture orders seem to go back, but stamps do not: both must.
        let stamped = self.anchor.and_then(|anchor| anchor.ticks(unit));
        let overtaken =
            poc.map_or(0, |poc| poc.overtaken).min(stamped.map_or(0, |at| self.reorder.later_than(at)));
        if overtaken > self.reorder.depth() {
            self.set_depth(overtaken);
        }
        let mut discontinuity = false;
        let (pts, believed) = match self.judge(unit) {
            Verdict::Believed(pts) => (pts, true),
            Verdict::Replaced => {
                self.repairs.stamps += 1;
                (self.predicted_pts(poc), false)
            }
            Verdict::Anew { lost_time } => {
                let (pts, jump) = self.anchor_at(unit, around);
                discontinuity = self.last_dts.is_some() && (lost_time || jump);
                (pts, true)
            }
        };
        if believed {
            self.suspect = None;
            let (stamp, clock_rate, arrival_us) = (unit.stamp, unit.clock_rate, unit.arrival_us);
            let patience_us = to_us(2 * self.interval.ticks(), TIMESCALE);
            self.here =
                Some(Here { stamp, clock_rate, arrival_us, at_us: to_us(pts, TIMESCALE), patience_us });
        }
        self.newest = self.newest.max(pts);
        self.last = (pts, poc);
        self.last_arrival_us = unit.arrival_us;
        let dts = self.decode_time(Shown { at: pts, believed });
        Placed { dts, pts: pts.max(dts), discontinuity }
    }

    fn judge(&mut self, unit: &AccessUnit) -> Verdict {
        let Some(at) = self.anchor.and_then(|anchor| anchor.ticks(unit)) else {
            return Verdict::Anew { lost_time: true };
        };
        let interval = self.interval.ticks();
        let gap = from_us(GAP_US, TIMESCALE).max(STRIDE * interval);
        let elapsed_us = between(self.last_arrival_us, unit.arrival_us);
        let moved = at - self.newest;
        if at > self.believed {
            let on_time = confirmed(moved, elapsed_us, TIMESCALE);
            if moved <= STRIDE * interval || (on_time && moved <= gap) {
                self.after_gap = false;
                return Verdict::Believed(at);
            }
            if on_time {
                // Gap after gap: the camera has become as slow as this.
                if self.after_gap {
                    self.interval.learn(moved);
                }
                return self.gap();
            }
        }
        if elapsed_us > to_us(gap, TIMESCALE) {
            return self.gap();
        }
        let reach = interval * (STRIDE + 2 * self.reorder.depth() as i64);
        let agreeing = match self.suspect {
            Some((before, count)) if (at - before).abs() <= reach && at != before => count + 1,
            _ => 1,
        };
        self.suspect = Some((at, agreeing));
        if agreeing >= JUMP_UNITS {
            self.repairs.jumps += 1;
            return Verdict::Anew { lost_time: false };
        }
        Verdict::Replaced
    }

    fn gap(&mut self) -> Verdict {
        self.after_gap = true;
        self.repairs.gaps += 1;
        Verdict::Anew { lost_time: true }
    }

    /// Ties the unit's stamp to a new place; gives it, and whether the track jumps ahead to be there.
    fn anchor_at(&mut self, unit: &AccessUnit, around: &Surroundings) -> (i64, bool) {
        let interval = self.interval.ticks();
        let delay = self.reorder.depth() as i64 * interval;
        let follows = self.last_dts.map(|_| self.expected() + delay);
        let joined = around.other.and_then(|other| other.place(unit)).map(|us| from_us(us, TIMESCALE));
        let earliest = follows.map_or(0, |at| at - from_us(BEHIND_US, TIMESCALE));
        let at = match joined {
            Some(at) => at.max(earliest),
            None => from_us(around.end_us.max(START_US), TIMESCALE) + delay,
        };
        let jump = follows.is_some_and(|follows| at > follows + STRIDE * interval);
        self.anchor = Some(Anchor::new(unit, at, TIMESCALE));
        self.reorder.restart(at, interval);
        self.truth = at - delay - interval;
        self.believed = self.truth;
        self.steps = None;
        self.newest = at;
        (at, jump)
    }

    /// Where the picture would be shown if it came on time.
    fn predicted_pts(&self, poc: Option<Poc>) -> i64 {
        let interval = self.interval.ticks();
        let (last_pts, last_poc) = self.last;
        let by_order = match (poc, last_poc) {
            (Some(poc), Some(last)) if !poc.restart && self.reorder.depth() > 0 => {
                self.order.frames(last.count, poc.count).map(|frames| last_pts + frames * interval)
            }
            _ => None,
        };
        by_order.filter(|at| *at > self.truth).unwrap_or(self.newest.max(self.truth) + interval)
    }

    fn decode_time(&mut self, shown: Shown) -> i64 {
        let taken = self.reorder.push(shown);
        self.truth = taken.at;
        self.steps = self.steps.map(|steps| steps + 1);
        if taken.believed {
            if let Some(steps) = self.steps.filter(|_| taken.at > self.believed) {
                self.interval.learn((taken.at - self.believed) / steps);
            }
            self.believed = taken.at;
            self.steps = Some(0);
        }
        let dts = match self.last_dts {
            // Behind the predictions: the camera's clock catches up a little with each frame.
            Some(last) if taken.at <= last => last + (self.interval.ticks() / 4).max(1),
            _ => taken.at.max(0),
        };
        self.last_dts = Some(dts);
        dts
    }

    /// Where the next unit is expected to be decoded.
    fn expected(&self) -> i64 {
        self.last_dts.unwrap_or_default() + self.predicted_interval()
    }

    fn set_depth(&mut self, depth: usize) {
        if let Some(truth) = self.reorder.set_depth(depth, self.interval.ticks()) {
            self.truth = truth;
            self.believed = truth;
            self.steps = None;
        }
    }
}
