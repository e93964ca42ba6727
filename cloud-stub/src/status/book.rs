//! The outages of one camera: stretches that never overlap, of which only the last may still go on.
//!
//! Several tell of the same outage: the box, which saw the pictures; the cloud, which heard nothing of the box. What
//! overlaps is one outage, as long as both together, for the reason that lasted longest. Told again, nothing changes:
//! a stretch that begins or ends within [`JITTER`] of where it did is the same one, as it was.

use std::collections::BTreeMap;

use super::Reason;

/// How far two reports of the same moment may lie apart: a report is under way for a while.
const JITTER: u64 = 1_500;
/// Shorter stretches that end by themselves are none: the box counts from three seconds on as well.
pub(crate) const LEAST: u64 = 3_000;
/// Most stretches in memory; older ones are in the database only.
const KEPT: usize = 64;

/// A stretch of time, milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// When it began.
    pub from_ms: u64,
    /// When it ended; `None` while it lasts.
    pub to_ms: Option<u64>,
    /// Why.
    pub reason: Reason,
}

impl Span {
    fn end(&self, now: u64) -> u64 {
        self.to_ms.unwrap_or(now).max(self.from_ms)
    }
}

/// The outages of one camera.
#[derive(Debug, Clone, Default)]
pub struct Book {
    /// By their beginning.
    spans: BTreeMap<u64, Span>,
    /// What is to be written: `None` is to be deleted.
    changes: BTreeMap<u64, Option<Span>>,
    /// Added to every beginning, so that two books may share a table: 0 or 1.
    parity: u64,
}

impl Book {
    /// A book of what the database holds. Beginnings are even or odd numbers, all of them.
    pub fn new(parity: u64, spans: impl IntoIterator<Item = Span>) -> Self {
        let spans = spans.into_iter().map(|span| (span.from_ms, span)).collect();
        Self { spans, changes: BTreeMap::new(), parity: parity & 1 }
    }

    /// The stretch that goes on.
    pub fn open(&self) -> Option<&Span> {
        self.spans.values().next_back().filter(|span| span.to_ms.is_none())
    }

    /// All that is in memory, oldest first.
    pub fn spans(&self) -> impl DoubleEndedIterator<Item = &Span> {
        self.spans.values()
    }

    /// Notes a stretch. Whatever it overlaps becomes one with it.
    pub fn tell(&mut self, told: Span, now: u64) {
        let from = told.from_ms.min(now) & !1 | self.parity;
        let mut whole =
            Span { from_ms: from, to_ms: told.to_ms.map(|to| to.clamp(from, now.max(from))), ..told };
        let touched: Vec<Span> = self
            .spans
            .values()
            .filter(|span| {
                span.from_ms <= whole.end(u64::MAX - JITTER) + JITTER
                    && whole.from_ms <= span.end(u64::MAX - JITTER) + JITTER
            })
            .copied()
            .collect();
        let mut longest = whole.end(now) - whole.from_ms;
        for old in &touched {
            let long = old.end(now) - old.from_ms;
            if long > longest + 2 * JITTER {
                longest = long;
                whole.reason = old.reason;
            }
            let same = whole.from_ms.abs_diff(old.from_ms) <= JITTER;
            whole.from_ms = if same { old.from_ms } else { whole.from_ms.min(old.from_ms) };
            whole.to_ms = match (old.to_ms, whole.to_ms) {
                (Some(old), Some(new)) if old.abs_diff(new) <= JITTER => Some(old),
                (Some(old), Some(new)) => Some(old.max(new)),
                // An old stretch that lasts has just been told to have ended; one that had ended goes on.
                (None, ended) => ended,
                (Some(_), None) => None,
            };
        }
        if touched == [whole] {
            return;
        }
        for old in touched.iter().filter(|old| old.from_ms != whole.from_ms) {
            self.delete(old.from_ms);
        }
        self.put(whole);
    }

    /// What lasts has ended. Too short a stretch was none.
    pub fn end(&mut self, at_ms: u64) {
        let Some(&open) = self.open() else { return };
        let at_ms = at_ms.max(open.from_ms);
        if at_ms - open.from_ms < LEAST && open.reason.counts() {
            self.delete(open.from_ms);
        } else {
            self.put(Span { to_ms: Some(at_ms), ..open });
        }
    }

    /// Whether something is to be written.
    pub fn changed(&self) -> bool {
        !self.changes.is_empty()
    }

    /// What has changed since the last time: beginnings, and what stands there now (`None`: nothing).
    pub fn take_changes(&mut self) -> BTreeMap<u64, Option<Span>> {
        std::mem::take(&mut self.changes)
    }

    /// Takes back what could not be written; what has changed since is newer.
    pub fn give_back(&mut self, changes: BTreeMap<u64, Option<Span>>) {
        for (from, change) in changes {
            self.changes.entry(from).or_insert(change);
        }
    }

    fn put(&mut self, span: Span) {
        self.spans.insert(span.from_ms, span);
        self.changes.insert(span.from_ms, Some(span));
        while self.spans.len() > KEPT {
            self.spans.pop_first();
        }
        // While the database is gone: the oldest news is lost first.
        while self.changes.len() > 4 * KEPT {
            self.changes.pop_first();
        }
    }

    fn delete(&mut self, from_ms: u64) {
        self.spans.remove(&from_ms);
        self.changes.insert(from_ms, None);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ZERO: u64 = 1_000_000_000_000;

    fn span(from: u64, to: Option<u64>, reason: Reason) -> Span {
        Span { from_ms: ZERO + from, to_ms: to.map(|to| ZERO + to), reason }
    }

    fn shown(book: &Book) -> Vec<(u64, Option<u64>, Reason)> {
        book.spans().map(|span| (span.from_ms - ZERO, span.to_ms.map(|to| to - ZERO), span.reason)).collect()
    }

    #[test]
    fn an_outage_that_is_told_again_is_the_same_one() {
        let mut book = Book::default();
        book.tell(span(10_000, None, Reason::Camera), ZERO + 14_000);
        book.take_changes();
        book.tell(span(10_400, None, Reason::Camera), ZERO + 44_000);
        assert!(book.take_changes().is_empty(), "the report was slower this time");
        book.tell(span(9_800, Some(60_000), Reason::Camera), ZERO + 60_500);
        book.take_changes();
        book.tell(span(9_600, Some(60_900), Reason::Camera), ZERO + 62_500);
        assert!(book.take_changes().is_empty());
        assert_eq!(shown(&book), [(10_000, Some(60_000), Reason::Camera)]);
    }

    #[test]
    fn a_site_that_was_away_and_a_camera_that_started_late_are_one_outage() {
        let mut book = Book::default();
        book.tell(span(0, None, Reason::Site), ZERO + 80_000);
        book.end(ZERO + 600_000);
        // The box has started at 585 s; its camera gave a picture at 604 s.
        book.tell(span(585_000, None, Reason::Camera), ZERO + 600_000);
        assert_eq!(shown(&book), [(0, None, Reason::Site)]);
        book.tell(span(585_200, Some(604_000), Reason::Camera), ZERO + 604_300);
        assert_eq!(shown(&book), [(0, Some(604_000), Reason::Site)]);
        assert_eq!(book.take_changes().len(), 1);
    }

    #[test]
    fn pictures_between_two_outages_keep_them_apart() {
        let mut book = Book::default();
        book.tell(span(0, Some(10_000), Reason::Camera), ZERO + 30_000);
        book.tell(span(14_000, Some(20_000), Reason::Password), ZERO + 30_000);
        assert_eq!(shown(&book).len(), 2);
        // A third one over both makes them one.
        book.tell(span(9_000, Some(15_000), Reason::Site), ZERO + 30_000);
        assert_eq!(shown(&book).len(), 1);
        let changes = book.take_changes();
        assert_eq!(changes.values().filter(|change| change.is_some()).count(), 1);
        assert!(changes.get(&(ZERO + 14_000)).is_some_and(Option::is_none), "the second row goes");
    }

    #[test]
    fn what_was_over_in_a_moment_was_none() {
        let mut book = Book::default();
        book.tell(span(0, None, Reason::Camera), ZERO);
        book.end(ZERO + 900);
        assert_eq!(shown(&book), []);
        assert_eq!(book.take_changes().values().flatten().count(), 0, "its row goes");
    }

    #[test]
    fn two_books_share_a_table() {
        let mut aside = Book::new(1, []);
        aside.tell(span(0, None, Reason::Off), ZERO);
        let mut book = Book::new(0, []);
        book.tell(span(0, None, Reason::Camera), ZERO);
        assert_ne!(aside.open().unwrap().from_ms, book.open().unwrap().from_ms);
    }

    proptest! {
        #[test]
        fn stretches_never_overlap_and_what_was_told_is_covered(
            told in proptest::collection::vec((0_u64..200_000, 0_u64..60_000), 1..40),
        ) {
            let now = ZERO + 400_000;
            let mut book = Book::default();
            for (from, long) in &told {
                book.tell(span(*from, Some(from + long), Reason::Camera), now);
            }
            let shown = shown(&book);
            for pair in shown.windows(2) {
                prop_assert!(pair[0].1.is_some_and(|to| to < pair[1].0), "{shown:?}");
            }
            for (from, long) in &told {
                let middle = from + long / 2;
                let covered = shown.iter().any(|(a, b, _)| {
                    a.saturating_sub(JITTER) <= middle && middle <= b.unwrap_or(u64::MAX - JITTER) + JITTER
                });
                prop_assert!(covered, "{from}+{long} is not in {shown:?}");
            }
        }
    }
}
