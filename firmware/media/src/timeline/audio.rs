//! The audio track's clock: counted frames, so that no sample is missing or doubled, held to the camera's stamps
//! whenever both drift apart.

use super::anchor::{Anchor, Here, Surroundings, after, between, confirmed, from_us, to_us};
use super::{GAP_US, JUMP_UNITS, Placed, Repairs, START_US, Verdict};
use crate::aac::AudioConfig;
use crate::unit::AccessUnit;

/// Samples of a frame where the AudioSpecificConfig cannot be read.
const FRAME: i64 = 1024;
/// How far count and stamps may drift apart, in microseconds: a few frames at 44.1 kHz, one at 8 kHz, and still
/// in time with the lips.
const DRIFT_US: i64 = 100_000;
/// How far behind its own end the track may be put to rejoin the other, in microseconds.
const BEHIND_US: i64 = GAP_US;

/// The clock and its last readings; all times are samples.
#[derive(Debug, Default)]
pub(super) struct AudioClock {
    /// Samples per second; 0 while the format has no audio.
    rate: u32,
    frame: i64,
    muted: bool,
    anchor: Option<Anchor>,
    here: Option<Here>,
    /// The last unit's place by the camera's clock.
    truth: i64,
    last_arrival_us: i64,
    last_dts: Option<i64>,
    /// The count is ahead of the stamps: frames are placed closer until it is not.
    ahead: bool,
    suspect: Option<(i64, u32)>,
    pub(super) repairs: Repairs,
}

impl AudioClock {
    pub(super) fn set_format(&mut self, config: &[u8], rate: u32) {
        let config = AudioConfig::parse(config).ok();
        self.frame = config.map_or(FRAME, |config| i64::from(config.frame_samples(rate)));
        self.muted = false;
        if rate != self.rate {
            self.last_dts = self.last_dts.map(|last| after(last, rate, self.rate));
            self.rate = rate;
            self.interrupt();
        }
    }

    /// The format has no audio any more; its time is kept in case it comes back.
    pub(super) fn mute(&mut self) {
        self.muted = true;
        self.interrupt();
    }

    pub(super) fn interrupt(&mut self) {
        self.anchor = None;
        self.here = None;
    }

    pub(super) fn here(&self) -> Option<Here> {
        self.here
    }

    pub(super) fn timescale(&self) -> u32 {
        self.rate.max(1)
    }

    pub(super) fn end_us(&self) -> Option<i64> {
        self.last_dts.map(|_| to_us(self.expected(), self.rate))
    }

    pub(super) fn predicted_interval(&self) -> i64 {
        if self.ahead { (self.frame / 2).max(1) } else { self.frame.max(1) }
    }

    /// `None` while the format has no audio.
    pub(super) fn push(&mut self, unit: &AccessUnit, around: &Surroundings) -> Option<Placed> {
        if self.muted {
            return None;
        }
        let drift = from_us(DRIFT_US, self.rate).max(self.frame);
        let (believed, lost_time) = match self.judge(unit, drift) {
            Verdict::Believed(at) => {
                self.truth = at;
                (true, false)
            }
            Verdict::Replaced => {
                self.repairs.stamps += 1;
                self.truth += self.frame;
                (false, false)
            }
            Verdict::Anew { lost_time } => {
                self.anchor_at(unit, around);
                (true, lost_time)
            }
        };
        let expected = self.last_dts.map(|_| self.expected());
        let off = self.truth - expected.unwrap_or(self.truth);
        self.ahead = off < -drift || (self.ahead && off < 0);
        let gap = from_us(GAP_US, self.rate);
        let dts = expected.filter(|_| off <= drift).unwrap_or(self.truth.max(0));
        if believed {
            self.suspect = None;
            let (stamp, clock_rate, arrival_us) = (unit.stamp, unit.clock_rate, unit.arrival_us);
            let at_us = to_us(self.truth, self.rate);
            self.here = Some(Here { stamp, clock_rate, arrival_us, at_us, patience_us: 0 });
        }
        let discontinuity = self.last_dts.is_some() && (lost_time || off > gap);
        self.last_arrival_us = unit.arrival_us;
        self.last_dts = Some(dts);
        Some(Placed { dts, pts: dts, discontinuity })
    }

    fn judge(&mut self, unit: &AccessUnit, drift: i64) -> Verdict {
        let Some(at) = self.anchor.and_then(|anchor| anchor.ticks(unit)) else {
            return Verdict::Anew { lost_time: true };
        };
        let moved = at - self.truth;
        let elapsed_us = between(self.last_arrival_us, unit.arrival_us);
        let lost = moved > 0 && confirmed(moved, elapsed_us, self.rate);
        if (moved - self.frame).abs() <= drift || (lost && moved <= from_us(GAP_US, self.rate)) {
            return Verdict::Believed(at);
        }
        if lost || elapsed_us > GAP_US {
            self.repairs.gaps += 1;
            return Verdict::Anew { lost_time: true };
        }
        let agreeing = match self.suspect {
            Some((before, count)) if at > before && at - before <= self.frame + drift => count + 1,
            _ => 1,
        };
        self.suspect = Some((at, agreeing));
        if agreeing >= JUMP_UNITS {
            self.repairs.jumps += 1;
            return Verdict::Anew { lost_time: false };
        }
        Verdict::Replaced
    }

    fn anchor_at(&mut self, unit: &AccessUnit, around: &Surroundings) {
        let joined = around.other.and_then(|other| other.place(unit)).map(|us| from_us(us, self.rate));
        let earliest = self.last_dts.map_or(0, |_| self.expected() - from_us(BEHIND_US, self.rate));
        self.truth = match joined {
            Some(at) => at.max(earliest),
            None => from_us(around.end_us.max(START_US), self.rate),
        };
        self.anchor = Some(Anchor::new(unit, self.truth, self.rate));
    }

    /// Where the next unit is expected.
    fn expected(&self) -> i64 {
        self.last_dts.unwrap_or_default() + self.predicted_interval()
    }
}
