//! Which mirror is asked next, and when: one that failed rests, longer each time, while the others are asked.

/// The first rest after a failure, and the longest, milliseconds.
const REST: (u64, u64) = (1_000, 60_000);
/// Longest rest that a mirror may ask for itself (Retry-After, RFC 9110, 10.2.3), milliseconds.
const ASKED: u64 = 3_600_000;

/// One mirror's record.
#[derive(Debug, Clone, Copy, Default)]
struct Mirror {
    /// Failures since its last good chunk.
    failures: u32,
    /// It rests until then.
    until: u64,
}

/// All mirrors, and which of them served last.
#[derive(Debug, Clone)]
pub(crate) struct Mirrors {
    list: Vec<Mirror>,
    preferred: usize,
}

/// Who is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// This one, now.
    Ask(usize),
    /// Nobody before then.
    Rest(u64),
    /// There is none.
    Nobody,
}

impl Mirrors {
    /// So many, none of which has failed.
    pub(crate) fn new(count: usize) -> Self {
        Self { list: vec![Mirror::default(); count], preferred: 0 }
    }

    /// Whether there is none.
    pub(crate) const fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Who is asked at `now`: of those that do not rest the one that has failed least often, from the one that served last on.
    /// So mirrors that take longer to fail than they rest do not keep the box from one that was never asked.
    pub(crate) fn next(&self, now: u64) -> Next {
        let count = self.list.len();
        let all = (0..count).map(|offset| (self.preferred + offset) % count.max(1));
        let awake =
            all.filter_map(|index| Some((index, self.list.get(index).filter(|one| one.until <= now)?)));
        let awake = awake.min_by_key(|(_, one)| one.failures).map(|(index, _)| index);
        match (awake, self.list.iter().map(|mirror| mirror.until).min()) {
            (Some(index), _) => Next::Ask(index),
            (None, Some(until)) => Next::Rest(until),
            (None, None) => Next::Nobody,
        }
    }

    /// It served a good chunk.
    pub(crate) fn served(&mut self, index: usize) {
        if let Some(mirror) = self.list.get_mut(index) {
            *mirror = Mirror::default();
            self.preferred = index;
        }
    }

    /// It did not. It rests for as long as it `asked` (milliseconds, an hour at most), else half to all of a pause that
    /// doubles; `random` spreads boxes that failed together.
    pub(crate) fn failed(&mut self, index: usize, asked: Option<u64>, now: u64, random: u32) {
        let Some(mirror) = self.list.get_mut(index) else { return };
        let pause = (REST.0 << mirror.failures.min(16)).min(REST.1);
        let jittered = pause / 2 + pause / 2 * u64::from(random) / u64::from(u32::MAX);
        mirror.failures = mirror.failures.saturating_add(1);
        mirror.until = now.saturating_add(asked.map_or(jittered, |asked| asked.clamp(jittered, ASKED)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_that_failed_rests_while_another_one_is_asked() {
        let mut mirrors = Mirrors::new(2);
        assert_eq!(mirrors.next(0), Next::Ask(0));
        mirrors.failed(0, None, 0, u32::MAX);
        assert_eq!(mirrors.next(0), Next::Ask(1));
        mirrors.failed(1, None, 0, 0);
        assert_eq!(mirrors.next(0), Next::Rest(500), "half of a second, without jitter");
        assert_eq!(mirrors.next(500), Next::Ask(1));
        mirrors.served(1);
        assert_eq!(mirrors.next(5_000), Next::Ask(1), "who serves goes on serving");
        assert_eq!(Mirrors::new(0).next(0), Next::Nobody);
    }

    #[test]
    fn mirrors_that_fail_slowly_do_not_take_turns_before_one_that_was_never_asked() {
        let mut mirrors = Mirrors::new(3);
        mirrors.failed(0, None, 60_000, u32::MAX);
        assert_eq!(mirrors.next(60_000), Next::Ask(1));
        // The first one's rest is long over.
        mirrors.failed(1, None, 120_000, u32::MAX);
        assert_eq!(mirrors.next(120_000), Next::Ask(2));
        mirrors.served(2);
        mirrors.failed(2, None, 180_000, u32::MAX);
        assert_eq!(mirrors.next(180_000), Next::Ask(0), "all have failed as often: the next in turn");
    }

    #[test]
    fn rests_grow_to_a_minute_and_a_wish_counts_up_to_an_hour() {
        let mut mirrors = Mirrors::new(1);
        let mut rests = Vec::new();
        for _ in 0..40 {
            mirrors.failed(0, None, 1_000, u32::MAX);
            let Next::Rest(until) = mirrors.next(1_000) else { panic!("it rests") };
            rests.push(until - 1_000);
        }
        assert_eq!(rests[..7], [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000]);
        assert_eq!(rests.last(), Some(&60_000));
        mirrors.served(0);
        for (asked, rest) in [(120_000, 120_000), (u64::MAX, 3_600_000), (0, 1_000)] {
            let mut mirrors = mirrors.clone();
            mirrors.failed(0, Some(asked), 0, u32::MAX);
            assert_eq!(mirrors.next(0), Next::Rest(rest), "{asked}");
        }
    }
}
