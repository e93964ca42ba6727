//! Which time it is, on boxes without a battery behind their clock. Pure: the clock and what is known come in as
//! arguments, what is to be done comes out.
//!
//! Invariant: what is kept as trusted came with a proof (the tunnel, or a verified TLS connection to the cloud), never
//! from NTP or from the box's own clock alone; and it never goes back.
//!
//! WireGuard refuses a handshake whose stamp (TAI64N) is not later than the last one (paper, 5.4.2), so a clock that
//! went back locks the tunnel out until it has caught up. Hence: a clock behind the trusted floor is set to it, and the
//! cloud is asked for its time; when nobody tells it, the clock is set ahead of everything that an earlier run may have
//! stamped, and one that is a little ahead is left alone.

use std::time::Duration;

/// The floor is kept at most this often: 288 small writes a day do not wear flash out.
pub(crate) const KEEP_EVERY: Duration = Duration::from_secs(300);
/// How far a clock is set ahead of the floor when nobody tells the time: an earlier run may have gone on for
/// [`KEEP_EVERY`] after its last write, and its answers come every half minute.
const MARGIN: Duration = Duration::from_secs(300 + 60);
/// A clock this far behind proven time is set; below that it is none of the box's business.
const BEHIND: Duration = Duration::from_secs(3);
/// A clock this far ahead of proven time is set back: no start of the box puts it there ([`MARGIN`]), so somebody lied.
const AHEAD: Duration = Duration::from_secs(900);

/// What is to be done to the clock. Times are since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing.
    Leave,
    /// Set it forward.
    Forward(Duration),
    /// Set it back.
    Back(Duration),
}

impl Step {
    /// The time that the clock is to show, if it is to be set.
    pub(crate) const fn target(self) -> Option<Duration> {
        match self {
            Self::Leave => None,
            Self::Forward(time) | Self::Back(time) => Some(time),
        }
    }
}

/// At the start of the box: the clock cannot be before the trusted floor, nor before this program was built.
pub(crate) fn at_start(clock: Duration, floor: Option<Duration>, built: Duration) -> Step {
    let least = floor.map_or(built, |floor| floor.max(built));
    if clock < least { Step::Forward(least) } else { Step::Leave }
}

/// When the clock was behind at the start, and nobody has told the time since: no stamp of an earlier run is later.
pub(crate) fn when_nobody_tells(clock: Duration, floor: Option<Duration>) -> Step {
    match floor.map(|floor| floor.saturating_add(MARGIN)) {
        Some(past) if clock < past => Step::Forward(past),
        _ => Step::Leave,
    }
}

/// When somebody trusted has told the time.
pub(crate) fn when_told(clock: Duration, told: Duration) -> Step {
    if told > clock.saturating_add(BEHIND) {
        Step::Forward(told)
    } else if clock > told.saturating_add(AHEAD) {
        Step::Back(told)
    } else {
        Step::Leave
    }
}

/// When somebody who proved nothing has told the time (a server whose certificate is not valid *yet*): the clock may go
/// forward by it, because it is certainly wrong, but the floor must not.
pub(crate) fn when_hinted(clock: Duration, hinted: Duration) -> Step {
    if hinted > clock.saturating_add(BEHIND) { Step::Forward(hinted) } else { Step::Leave }
}

/// The floor to keep now that somebody trusted has told the time; `None` while the kept one is recent enough.
pub(crate) fn floor_to_keep(kept: Option<Duration>, told: Duration) -> Option<Duration> {
    match kept {
        Some(kept) if told < kept.saturating_add(KEEP_EVERY) => None,
        _ => Some(told),
    }
}

/// Whether the clock jumped between two looks at it: `passed` is what a clock that never jumps counted in between.
/// Others may set the clock, too (an NTP daemon).
pub(crate) fn jumped(before: Duration, after: Duration, passed: Duration) -> bool {
    let expected = before.saturating_add(passed);
    after.abs_diff(expected) > BEHIND
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    const BUILT: Duration = s(1_790_000_000);

    #[test]
    fn a_box_that_wakes_in_1970_goes_on_after_everything_that_it_said_before_the_cut() {
        // The last answer that was kept, and the last handshake before the power went.
        let kept = s(1_800_000_000);
        let last_stamp = kept + KEEP_EVERY + s(29);
        assert_eq!(at_start(s(12), Some(kept), BUILT), Step::Forward(kept), "no farther than what is known");
        let Step::Forward(time) = when_nobody_tells(kept + s(60), Some(kept)) else { panic!("must be set") };
        assert!(time > last_stamp, "the hub would refuse the handshake");
        assert_eq!(when_nobody_tells(time, Some(kept)), Step::Leave);
        assert_eq!(when_nobody_tells(BUILT, None), Step::Leave, "a new box has stamped nothing");
    }

    #[test]
    fn a_new_box_wakes_no_earlier_than_it_was_built() {
        assert_eq!(at_start(s(0), None, BUILT), Step::Forward(BUILT));
        assert_eq!(at_start(BUILT + s(1), None, BUILT), Step::Leave);
        // An update newer than the floor.
        assert_eq!(at_start(s(0), Some(s(5)), BUILT), Step::Forward(BUILT));
    }

    #[test]
    fn a_clock_that_can_be_right_is_believed_at_the_start() {
        let kept = s(1_800_000_000);
        for clock in [kept, kept + s(1), kept + s(400), s(2_147_483_648)] {
            assert_eq!(at_start(clock, Some(kept), BUILT), Step::Leave, "{clock:?}");
        }
    }

    #[test]
    fn proven_time_sets_a_clock_that_is_wrong_and_leaves_one_that_a_start_put_ahead() {
        let told = s(1_800_000_000);
        assert_eq!(when_told(s(12), told), Step::Forward(told));
        assert_eq!(when_told(s(1_799_999_997), told), Step::Leave);
        assert_eq!(when_told(told + MARGIN + s(60), told), Step::Leave, "stamps must not go back");
        // A time server says 2038.
        assert_eq!(when_told(s(2_147_483_648), told), Step::Back(told));
    }

    #[test]
    fn a_hint_moves_the_clock_forward_only() {
        assert_eq!(when_hinted(s(12), BUILT), Step::Forward(BUILT));
        assert_eq!(when_hinted(BUILT, s(12)), Step::Leave);
    }

    #[test]
    fn somebody_who_sets_the_clock_is_noticed() {
        assert!(!jumped(BUILT, BUILT + s(5), s(5)));
        assert!(!jumped(BUILT, BUILT + s(6), s(5)), "slewing is no jump");
        assert!(jumped(s(12), BUILT, s(5)));
        assert!(jumped(BUILT, s(12), s(5)));
    }

    proptest! {
        #[test]
        fn the_floor_never_goes_back_and_is_written_rarely(told in proptest::collection::vec(0..4_000_000_000_u64, 1..50)) {
            let mut kept: Option<Duration> = None;
            for told in told {
                if let Some(floor) = floor_to_keep(kept, s(told)) {
                    prop_assert!(kept.is_none_or(|kept| floor >= kept + KEEP_EVERY));
                    kept = Some(floor);
                }
            }
        }

        #[test]
        fn after_a_start_and_an_answer_the_clock_is_near_the_truth(
            clock in 0..4_000_000_000_u64, kept in proptest::option::of(1_790_000_000..1_800_000_000_u64), truth in 1_800_000_000..1_900_000_000_u64,
        ) {
            let kept = kept.map(s);
            let started = at_start(s(clock), kept, BUILT).target().unwrap_or(s(clock));
            prop_assert!(started >= s(clock), "a start never sets the clock back");
            let told = when_told(started, s(truth)).target().unwrap_or(started);
            prop_assert!(told.abs_diff(s(truth)) <= AHEAD);
        }
    }
}
