//! Which clouds live, by the stamps that they leave in the database. Their clocks are compared with nobody's: a cloud lives
//! for as long as its stamp moves. While the database says nothing, nobody dies.

use std::collections::HashMap;
use std::time::Duration;

/// How often each cloud leaves a stamp.
pub const BEAT: Duration = Duration::from_secs(2);
/// A cloud whose stamp has not moved for this long is dead, milliseconds: three beats may be lost.
pub const DEAD_MS: u64 = 8000;
/// Readings that lie farther apart than this say nothing of what was in between, milliseconds.
const GAP_MS: u64 = DEAD_MS / 2;

/// The stamps as they were read last.
#[derive(Debug, Default)]
pub struct Pulses {
    beats: HashMap<String, Beat>,
    read_ms: u64,
}

#[derive(Debug, Clone, Copy)]
struct Beat {
    stamp: u64,
    /// When it was first seen, by our clock.
    moved_ms: u64,
}

impl Pulses {
    /// Takes what the database says at `now_ms`: every cloud's id and stamp. A cloud that is not in it any more has stopped.
    pub fn read(&mut self, rows: impl IntoIterator<Item = (String, i64)>, now_ms: u64) {
        let slept = now_ms.saturating_sub(self.read_ms);
        let known = std::mem::take(&mut self.beats);
        for (id, stamp) in rows {
            let stamp = stamp.max(0) as u64;
            let moved_ms = match known.get(&id) {
                Some(beat) if beat.stamp != stamp => now_ms,
                // Nobody looked for a while, and whoever lived may not have been able to say so either.
                Some(beat) if slept > GAP_MS => beat.moved_ms.saturating_add(slept),
                Some(beat) => beat.moved_ms,
                // A stranger: believed if its stamp is of now, else once it moves.
                None if now_ms.abs_diff(stamp) < DEAD_MS => now_ms,
                None => 0,
            };
            self.beats.insert(id, Beat { stamp, moved_ms });
        }
        self.read_ms = now_ms;
    }

    /// The ids of those that live.
    pub fn alive(&self) -> impl Iterator<Item = &str> {
        let alive = |beat: &Beat| self.read_ms.saturating_sub(beat.moved_ms) < DEAD_MS;
        self.beats.iter().filter(move |(_, beat)| alive(beat)).map(|(id, _)| id.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 1_800_000_000_000;

    fn alive(pulses: &Pulses) -> Vec<&str> {
        let mut alive: Vec<&str> = pulses.alive().collect();
        alive.sort_unstable();
        alive
    }

    /// Reads every 2 s; `b` stamps by a clock of its own until `b_until`.
    fn read(pulses: &mut Pulses, from: u64, to: u64, b_until: u64) {
        for now in (from..=to).step_by(2000) {
            let b = (now.min(b_until) - 3_600_000) as i64;
            pulses.read([("a".to_owned(), now as i64), ("b".to_owned(), b)], now);
        }
    }

    #[test]
    fn a_cloud_whose_stamp_stands_still_is_dead_after_8_s_whatever_its_clock() {
        let mut pulses = Pulses::default();
        read(&mut pulses, START, START, u64::MAX);
        assert_eq!(alive(&pulses), ["a"], "an hour behind: not believed at first sight");
        read(&mut pulses, START + 2000, START + 20_000, u64::MAX);
        assert_eq!(alive(&pulses), ["a", "b"]);
        read(&mut pulses, START + 22_000, START + 26_000, START + 20_000);
        assert_eq!(alive(&pulses), ["a", "b"], "6 s");
        read(&mut pulses, START + 28_000, START + 28_000, START + 20_000);
        assert_eq!(alive(&pulses), ["a"], "8 s");
        read(&mut pulses, START + 30_000, START + 30_000, u64::MAX);
        assert_eq!(alive(&pulses), ["a", "b"], "it is back");
    }

    #[test]
    fn nobody_dies_while_the_database_says_nothing() {
        let mut pulses = Pulses::default();
        read(&mut pulses, START, START + 10_000, u64::MAX);
        // A minute without a database: the first reading shows the old stamps.
        read(&mut pulses, START + 70_000, START + 70_000, START + 10_000);
        assert_eq!(alive(&pulses), ["a", "b"]);
        read(&mut pulses, START + 72_000, START + 76_000, START + 10_000);
        assert_eq!(alive(&pulses), ["a", "b"]);
        read(&mut pulses, START + 78_000, START + 78_000, START + 10_000);
        assert_eq!(alive(&pulses), ["a"], "8 s of readings");
    }

    #[test]
    fn who_stops_cleanly_is_gone_at_once_and_an_old_line_is_never_believed() {
        let mut pulses = Pulses::default();
        read(&mut pulses, START, START + 4000, u64::MAX);
        pulses.read([("a".to_owned(), 1)], START + 6000);
        assert_eq!(alive(&pulses), ["a"]);
        let mut pulses = Pulses::default();
        for now in [START, START + 2000, START + 60_000, START + 62_000] {
            pulses.read([("old".to_owned(), (START - 60_000) as i64)], now);
            assert_eq!(alive(&pulses), [""; 0]);
        }
    }
}
