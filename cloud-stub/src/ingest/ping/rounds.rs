//! Whose turn it is to be asked, without sockets and clocks: each every [`EVERY_MS`] at a moment of its own, so that however
//! many there are, they come evenly, and never more at once than there are seats.

use std::collections::{BTreeSet, HashMap};

/// Between two turns of one, milliseconds.
pub(super) const EVERY_MS: u64 = 30_000;

/// All who are asked, by their numbers. Times are milliseconds since any one moment.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    /// When the next turn of each is, and whose it is.
    turns: BTreeSet<(u64, u64)>,
    /// The same by number.
    due: HashMap<u64, u64>,
    /// The number of the next one.
    next: u64,
}

impl Rounds {
    /// Somebody new, whose moment in each round the random bits choose. Gives its number.
    pub(super) fn enter(&mut self, now_ms: u64, random: u64) -> u64 {
        let number = self.next;
        self.next += 1;
        self.put(number, now_ms + random % EVERY_MS);
        number
    }

    /// It is not asked any more.
    pub(super) fn leave(&mut self, number: u64) {
        if let Some(due) = self.due.remove(&number) {
            self.turns.remove(&(due, number));
        }
    }

    /// Whose turn it is: those who have waited longest, as many as there are seats. Whoever found none stays in line.
    pub(super) fn take(&mut self, now_ms: u64, seats: usize) -> Vec<u64> {
        let line = self.turns.iter().take_while(|(due, _)| *due <= now_ms);
        let taken: Vec<(u64, u64)> = line.take(seats).copied().collect();
        for (due, number) in &taken {
            self.turns.remove(&(*due, *number));
            // Rounds that were missed are left out, and one that would follow on the heels of a late turn.
            let missed = now_ms.saturating_sub(*due) + EVERY_MS / 2;
            self.put(*number, due + (missed / EVERY_MS + 1) * EVERY_MS);
        }
        taken.into_iter().map(|(_, number)| number).collect()
    }

    /// When the next turn is; `None`: nobody is asked.
    pub(super) fn next_ms(&self) -> Option<u64> {
        self.turns.first().map(|(due, _)| *due)
    }

    fn put(&mut self, number: u64, due: u64) {
        self.turns.insert((due, number));
        self.due.insert(number, due);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Bits that look random and are the same in every run.
    fn random(seed: u64) -> u64 {
        seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31)
    }

    #[test]
    fn each_is_asked_every_half_minute_at_its_own_moment() {
        let mut rounds = Rounds::default();
        let number = rounds.enter(1_000, 7_500);
        let asked: Vec<u64> =
            (0..200_000).step_by(100).filter(|now| rounds.take(*now, 9) == [number]).collect();
        assert_eq!(asked, [8_500, 38_500, 68_500, 98_500, 128_500, 158_500, 188_500]);
        assert_eq!(rounds.next_ms(), Some(218_500));
        rounds.leave(number);
        assert_eq!((rounds.take(1_000_000, 9), rounds.next_ms()), (Vec::new(), None));
    }

    #[test]
    fn five_thousand_that_come_at_once_are_spread_over_the_half_minute() {
        let mut rounds = Rounds::default();
        for seed in 0..5_000 {
            rounds.enter(0, random(seed));
        }
        for second in 1..=60 {
            let asked = rounds.take(second * 1_000, usize::MAX).len();
            // 5,000 in 30 s are 167 a second.
            assert!((100..250).contains(&asked), "{asked} in second {second}");
        }
    }

    #[test]
    fn with_too_few_seats_the_longest_wait_comes_first_and_nobody_is_left_out() {
        let mut rounds = Rounds::default();
        for seed in 0..1_000 {
            rounds.enter(0, random(seed));
        }
        // Ten seats a second for a thousand: a line of all is 100 s long, and the moment of each 45 s away at most.
        let mut last = vec![0; 1_000];
        for second in 1..=1_000_u64 {
            let asked = rounds.take(second * 1_000, 10);
            assert!(asked.len() <= 10);
            for number in asked {
                let seen = std::mem::replace(&mut last[usize::try_from(number).unwrap()], second);
                assert!(second - seen <= 146, "{number} waited from {seen} to {second}");
            }
        }
        assert!(last.iter().all(|seen| 1_000 - seen <= 146));
    }

    proptest! {
        #[test]
        fn nobody_is_asked_twice_within_a_quarter_of_a_minute(
            draws in proptest::collection::vec(any::<u64>(), 1..20),
            pauses in proptest::collection::vec((1_u64..100_000, 0_usize..8), 1..60),
        ) {
            let mut rounds = Rounds::default();
            let mut last: HashMap<u64, u64> = HashMap::new();
            for draw in &draws {
                rounds.enter(0, *draw);
            }
            let mut now = 0;
            for (pause, seats) in pauses {
                now += pause;
                let waiting = rounds.turns.iter().filter(|(due, _)| *due <= now).count();
                let asked = rounds.take(now, seats);
                prop_assert_eq!(asked.len(), waiting.min(seats));
                for number in asked {
                    let before = last.insert(number, now);
                    prop_assert!(before.is_none_or(|before| now - before >= EVERY_MS / 2));
                }
                prop_assert!(rounds.turns.len() == draws.len() && rounds.due.len() == draws.len());
            }
        }
    }
}
