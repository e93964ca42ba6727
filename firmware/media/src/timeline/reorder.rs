//! Decode times from presentation times: the n-th decoded picture takes the presentation time of the (n - D)-th shown
//! one, D being the reorder depth.
//!
//! That time is always known by then (D is by definition the number of pictures that may come before an earlier
//! shown one), it never exceeds the picture's own, and for a steady frame rate it is
//! `pts - (output index - decode index + D) * interval`. Unlike that formula it needs no steady frame rate.

use std::collections::VecDeque;

use crate::picture::MAX_REORDER;

/// A presentation time, and whether the camera said it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Shown {
    pub(super) at: i64,
    pub(super) believed: bool,
}

/// The presentation times that no decode time has been taken from; as many as the depth.
#[derive(Debug, Default)]
pub(super) struct Reorder {
    waiting: Vec<Shown>,
    depth: usize,
    /// The latest presentation times, in decode order.
    history: VecDeque<Shown>,
}

impl Reorder {
    /// D.
    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    /// Starts anew before a picture that is shown `at`.
    pub(super) fn restart(&mut self, at: i64, interval: i64) {
        self.history.clear();
        self.waiting.clear();
        self.waiting.extend((1..=self.depth as i64).rev().map(|back| before(at, back, interval)));
    }

    /// Changes the depth in a running stream, as if it had been so all along; gives the last decode time that this
    /// would have made.
    pub(super) fn set_depth(&mut self, depth: usize, interval: i64) -> Option<i64> {
        self.depth = depth.min(MAX_REORDER);
        let mut shown: Vec<Shown> = self.history.iter().copied().collect();
        shown.sort_unstable();
        let first = shown.first()?.at;
        while shown.len() <= self.depth {
            let at = shown.first().map_or(first, |shown| shown.at);
            shown.insert(0, before(at, 1, interval));
        }
        self.waiting = shown.split_off(shown.len() - self.depth);
        shown.last().map(|last| last.at)
    }

    /// How many of the latest pictures are shown after `at`.
    pub(super) fn later_than(&self, at: i64) -> usize {
        self.history.iter().filter(|shown| shown.at > at).count()
    }

    /// Takes the picture that is decoded next and gives its decode time.
    pub(super) fn push(&mut self, shown: Shown) -> Shown {
        if self.history.len() > MAX_REORDER {
            self.history.pop_front();
        }
        self.history.push_back(shown);
        let place = self.waiting.partition_point(|other| *other <= shown);
        self.waiting.insert(place, shown);
        self.waiting.remove(0)
    }

    /// The decode time of the next picture, as far as it is known.
    pub(super) fn next(&self) -> Option<i64> {
        self.waiting.first().map(|shown| shown.at)
    }
}

/// A picture that never was, some intervals earlier.
fn before(at: i64, back: i64, interval: i64) -> Shown {
    Shown { at: at - back * interval, believed: false }
}
