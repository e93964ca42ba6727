//! How a release fares: how many boxes have decided, and whether too many of them have failed.
//!
//! Chance makes the first few boxes look better or worse than the release is. So a campaign is stopped at once only when
//! even the lower end of what the failure rate may be ([`bound`]) is too much.

use serde::{Deserialize, Serialize};

/// Most failures that a release may bring, as a share of the boxes that have decided.
const MOST_FAILED: f64 = 0.02;
/// Most boxes that are not heard of any more: each costs somebody a way, a box that fell back costs nothing.
const MOST_SILENT: f64 = 0.005;
/// The quantile of the normal distribution for 90 %, one-sided.
const Z: f64 = 1.2816;
/// Fewer failures than this stop nothing at once: one box may be broken by itself.
const FEWEST: u32 = 2;

/// Boxes that have decided, since a person has last let the campaign go on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// They keep the release.
    pub committed: u32,
    /// They do not.
    pub failed: u32,
    /// They were not heard of after their restart.
    pub silent: u32,
}

impl Tally {
    /// How many have decided.
    pub fn decided(self) -> u32 {
        self.committed + self.failures()
    }

    /// How many of them count as failures.
    pub fn failures(self) -> u32 {
        self.failed + self.silent
    }

    /// The share of failures that was seen; 0 when nobody has decided.
    pub fn rate(self) -> f64 {
        f64::from(self.failures()) / f64::from(self.decided().max(1))
    }

    /// The least that the share of failures may be.
    pub fn bound(self) -> f64 {
        bound(self.failures(), self.decided())
    }

    /// Why the campaign must stop at once, if it must.
    pub fn too_many(self) -> Option<String> {
        let Self { silent, .. } = self;
        let (failures, decided) = (self.failures(), self.decided());
        if failures >= FEWEST && self.bound() > MOST_FAILED {
            let least = percent(self.bound());
            return Some(format!(
                "{failures} of {decided} boxes failed: at least {least} would, and 2 % is the most"
            ));
        }
        let least = bound(silent, decided);
        (silent >= FEWEST && least > MOST_SILENT).then(|| {
            let least = percent(least);
            format!(
                "{silent} of {decided} boxes were not heard of after their restart: at least {least} would not be, \
                 and 0.5 % is the most"
            )
        })
    }

    /// Why no further ring may be opened, if none may.
    pub fn too_many_to_go_on(self) -> Option<String> {
        let (failures, decided) = (self.failures(), self.decided());
        (self.rate() > MOST_FAILED).then(|| {
            format!("too many failures to go on: {failures} of {decided} boxes, and 2 % is the most")
        })
    }
}

/// The lower end of Wilson's interval for a share, one-sided at 90 % (E. B. Wilson, Probable inference, 1927).
pub fn bound(hits: u32, of: u32) -> f64 {
    if of == 0 {
        return 0.0;
    }
    let (n, z2) = (f64::from(of), Z * Z);
    let share = f64::from(hits.min(of)) / n;
    let middle = share + z2 / (2.0 * n);
    let spread = Z * (share * (1.0 - share) / n + z2 / (4.0 * n * n)).sqrt();
    ((middle - spread) / (1.0 + z2 / n)).max(0.0)
}

/// A share as people read it.
fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(committed: u32, failed: u32, silent: u32) -> Tally {
        Tally { committed, failed, silent }
    }

    #[test]
    fn the_bound_is_wilsons() {
        // By Python, from the formula as Wilson gives it.
        for (hits, of, expected) in [
            (0, 10, 0.0),
            (1, 10, 0.0304),
            (2, 2, 0.5491),
            (2, 40, 0.0210),
            (15, 500, 0.0217),
            (10, 10, 0.8589),
        ] {
            assert!((bound(hits, of) - expected).abs() < 1e-4, "{hits} of {of}: {}", bound(hits, of));
        }
        assert!(bound(0, 0).abs() < f64::EPSILON);
        assert!(bound(9, 3) <= 1.0, "nonsense stays a share");
    }

    #[test]
    fn one_failure_stops_nothing_and_two_among_few_do() {
        assert_eq!(tally(0, 1, 0).too_many(), None);
        assert_eq!(tally(0, 0, 1).too_many(), None);
        assert!(tally(0, 2, 0).too_many().is_some());
        assert!(tally(38, 2, 0).too_many().is_some());
        assert_eq!(tally(98, 2, 0).too_many(), None, "2 of 100 may be chance");
        assert_eq!(tally(9_970, 30, 0).too_many(), None, "0.3 % is ordinary");
        assert!(tally(9_700, 300, 0).too_many().is_some());
    }

    #[test]
    fn boxes_that_are_lost_weigh_more_than_boxes_that_fell_back() {
        assert!(tally(98, 0, 2).too_many().unwrap().contains("not heard of"));
        assert_eq!(tally(98, 2, 0).too_many(), None);
        assert_eq!(tally(998, 0, 2).too_many(), None);
    }

    #[test]
    fn a_ring_is_left_only_with_few_failures() {
        assert_eq!(tally(0, 0, 0).too_many_to_go_on(), None);
        assert_eq!(tally(98, 2, 0).too_many_to_go_on(), None);
        assert!(tally(97, 3, 0).too_many_to_go_on().is_some());
        assert!(tally(0, 1, 0).too_many_to_go_on().is_some());
    }
}
