//! How long to wait before the next try. Pure: randomness and time are arguments.
//!
//! Invariant: the delay is at least half a second and at most a minute, and two cameras that fail together do not
//! try together again.

use model::Trouble;

/// After this much streaming an outage counts as over, milliseconds.
pub(crate) const HEALTHY_MS: u64 = 30_000;
/// A camera that restarts is asked again at least every [`QUICK_MS`] for this long, milliseconds.
const RESTART_MS: u64 = 120_000;
/// Longest delay while a camera may be restarting, milliseconds: with a GOP of 2 s and a player's own delay, the picture
/// is to be back within 5 s.
const QUICK_MS: u64 = 1_500;
/// Longest delay, milliseconds.
const LONGEST_MS: u64 = 60_000;
/// A refused password is tried again after this, milliseconds: cameras lock out for up to 30 minutes.
const LOCK_OUT_MS: u64 = 30 * 60_000;
/// A password that was accepted before is tried once more after this, milliseconds: a restarting camera may refuse
/// what it accepts a minute later.
const SECOND_CHANCE_MS: u64 = 60_000;

/// Milliseconds until try number `attempt` of an outage (0: the first after a stream broke).
///
/// Grows from 0.5..1 s to 30..60 s by doubling; the half that varies is drawn from `random`. In the first two
/// minutes of an outage (`outage_ms`) a camera that does not answer is taken for one that restarts: at most 1.5 s.
pub(crate) fn retry_delay_ms(trouble: &Trouble, attempt: u32, outage_ms: u64, random: u64) -> u64 {
    let restarting = matches!(
        trouble,
        Trouble::Unreachable { .. } | Trouble::Closed | Trouble::Stalled { .. } | Trouble::NotRtsp { .. }
    );
    let longest = if restarting && outage_ms < RESTART_MS { QUICK_MS } else { LONGEST_MS };
    let bound = 1_000_u64.checked_shl(attempt.min(20)).unwrap_or(LONGEST_MS).min(longest);
    bound / 2 + random % (bound / 2 + 1)
}

/// Milliseconds until a refused password is tried again; `second_chance` when the camera accepted it before and
/// has refused it once since.
pub(crate) const fn refused_delay_ms(second_chance: bool) -> u64 {
    if second_chance { SECOND_CHANCE_MS } else { LOCK_OUT_MS }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn away() -> Trouble {
        Trouble::Unreachable { address: "cam:554".into() }
    }

    #[test]
    fn a_restarting_camera_is_back_within_five_seconds() {
        // The last try that still fails ends just before it answers; connecting and DESCRIBE take the rest.
        let worst = (0..40).map(|attempt| retry_delay_ms(&away(), attempt, 60_000, u64::MAX)).max();
        assert!(worst <= Some(3_000), "{worst:?}");
    }

    #[test]
    fn a_camera_that_stays_away_is_asked_once_a_minute() {
        assert!((30_000..=60_000).contains(&retry_delay_ms(&away(), 30, 600_000, 12_345)));
        assert!(retry_delay_ms(&Trouble::Busy, 0, 0, 7) <= 1_000);
        assert!((30_000..=60_000).contains(&retry_delay_ms(&Trouble::Busy, 8, 0, 7)));
    }

    #[test]
    fn sixteen_cameras_do_not_come_back_together() {
        let delays: std::collections::BTreeSet<u64> = (0..16)
            .map(|seed| retry_delay_ms(&away(), 3, 10_000, crate::random::Random::new(seed).draw()))
            .collect();
        assert!(delays.len() >= 14, "{delays:?}");
    }

    proptest! {
        #[test]
        fn never_below_half_a_second_nor_over_a_minute(attempt: u32, outage: u64, random: u64) {
            for trouble in [away(), Trouble::NoVideo, Trouble::Busy] {
                let delay = retry_delay_ms(&trouble, attempt, outage, random);
                prop_assert!((500..=60_000).contains(&delay), "{delay}");
            }
        }
    }
}
