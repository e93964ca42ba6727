//! How long a frame lasts: the mean of the last few steps without those that are no single step.

/// Steps that are remembered: a change of frame rate is followed after half of them.
const STEPS: usize = 8;
/// Ticks of 1 ms and of 10 s at 90 kHz: no camera is faster, and slower ones are treated as pausing.
const RANGE: core::ops::RangeInclusive<i64> = 90..=900_000;
/// Ticks of a frame before anything is known: 25 frames per second.
const DEFAULT: i64 = 3_600;

/// The length of one frame in 90 kHz ticks.
#[derive(Debug, Clone)]
pub(super) struct Interval {
    steps: [i64; STEPS],
    seen: usize,
    ticks: i64,
}

impl Default for Interval {
    fn default() -> Self {
        Self { steps: [0; STEPS], seen: 0, ticks: DEFAULT }
    }
}

impl Interval {
    /// The frame rate that the stream claims, to start with.
    pub(super) fn hint(&mut self, fps: Option<f64>) {
        if let (Some(fps), 0) = (fps, self.seen) {
            self.ticks = ((90_000.0 / fps) as i64).clamp(*RANGE.start(), *RANGE.end());
        }
    }

    /// One step of the camera's clock.
    pub(super) fn learn(&mut self, step: i64) {
        if let Some(slot) = self.steps.get_mut(self.seen % STEPS) {
            *slot = step.clamp(*RANGE.start(), *RANGE.end());
        }
        self.seen = self.seen.saturating_add(1);
        let mut known = self.steps;
        let count = self.seen.min(STEPS);
        let known = known.get_mut(..count).unwrap_or_default();
        known.sort_unstable();
        let median = known.get((count - 1) / 2).copied().unwrap_or(DEFAULT);
        // A lost frame makes two of them; stamps that alternate between 30 and 50 ms are single steps still.
        let single = |step: &&i64| **step * 4 <= median * 7 && **step * 7 >= median * 4;
        let (sum, kept) =
            known.iter().filter(single).fold((0, 0), |(sum, kept), step| (sum + step, kept + 1));
        self.ticks = (sum + kept / 2) / kept.max(1);
    }

    /// Ticks of one frame, 90 to 900,000.
    pub(super) fn ticks(&self) -> i64 {
        self.ticks
    }
}
