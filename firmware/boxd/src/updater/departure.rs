//! When the main process restarts the box into a system that waits: [`update::restart`] decides, and here is what it is asked
//! with, and what follows. Pure: the clock and everything that is seen come in as arguments, words to the updater go out.
//!
//! ```text
//! waits ── Ask ──> Word::Look ── a fresh order ──> Go ──> Word::Leave ── the cloud was told ──> the box restarts
//!   ^                                │ not now              │ not now
//!   └──────── a while later ─────────┴──────────────────────┘
//! ```

use update::restart::{Moment, Step, Wait, Wish, decide};

use super::status::{Looks, Phase, Status};
use super::word::Word;

/// A permission is used within this, milliseconds.
const FRESH_MS: u64 = 60_000;
/// After a no the cloud is asked again after this, milliseconds, and after each further one after twice as long, at most
/// sixteen times: the next box of a site waits no longer than the one before it takes to prove itself.
const AGAIN_MS: u64 = 60_000;
const DOUBLED: u32 = 4;
/// A look that takes longer is no answer, milliseconds.
const LOOK_MS: u64 = 300_000;
/// The cloud hears within this that the box restarts, or it does not, milliseconds.
const LEAVE_MS: u64 = 30_000;

/// What is seen of the box.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen<'a> {
    /// What the updater said last.
    pub(super) status: &'a Status,
    /// Seconds since 1970, as the cloud has proven since the start.
    pub(super) proven: Option<u64>,
    /// Seconds since somebody watched; `None`: nobody has since the start.
    pub(super) quiet_s: Option<u64>,
    /// What the owner wants.
    pub(super) wish: Option<Wish>,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Turn {
    /// Nothing.
    Rest,
    /// Say this to the updater.
    Say(Word),
    /// Restart.
    Go,
}

/// How far the box is with its restart.
#[derive(Debug)]
pub(super) struct Departure {
    /// Whether it restarts without being told to by its owner.
    by_itself: bool,
    /// How long after a window has opened the cloud is asked, milliseconds: not all boxes ask in the same second.
    spread_ms: u64,
    /// Which version waits, and since when.
    waits: Option<(String, u64)>,
    /// Since when only the cloud's word is missing.
    open_since: Option<u64>,
    /// When it was asked, and how many looks there were.
    asked: Option<(u64, Looks)>,
    /// What it has said, and until when that counts.
    permit: Option<(bool, u64)>,
    /// How often it has said no.
    refusals: u32,
    /// When the cloud is told that the box goes.
    leaving: Option<u64>,
    /// A time that was signed, and when it came in.
    issued: Option<(u64, u64)>,
    wait: Option<Wait>,
}

impl Departure {
    pub(super) const fn new(by_itself: bool, spread_ms: u64) -> Self {
        Self {
            by_itself,
            spread_ms,
            waits: None,
            open_since: None,
            asked: None,
            permit: None,
            refusals: 0,
            leaving: None,
            issued: None,
            wait: None,
        }
    }

    /// What the box waits for; `None`: it restarts into nothing, or is about to.
    pub(super) const fn wait(&self) -> Option<Wait> {
        self.wait
    }

    /// What to do at `now_ms`, of a clock that never goes back.
    pub(super) fn turn(&mut self, now_ms: u64, seen: Seen<'_>) -> Turn {
        let Seen { status, .. } = seen;
        // A look ends by itself; what it finds is what counts.
        if status.phase == Phase::Looking {
            return Turn::Rest;
        }
        let version = status.version.as_ref().filter(|_| status.phase == Phase::Complete);
        let Some(version) = version else {
            *self = Self { issued: self.issued, ..Self::new(self.by_itself, self.spread_ms) };
            return Turn::Rest;
        };
        if self.waits.as_ref().is_none_or(|(waits, _)| waits != version) {
            *self = Self { issued: self.issued, ..Self::new(self.by_itself, self.spread_ms) };
            self.waits = Some((version.clone(), now_ms));
        }
        let issued = status.orders.as_ref().and_then(|orders| orders.issued);
        if let Some(issued) = issued.filter(|issued| self.issued.is_none_or(|(before, _)| before != *issued))
        {
            self.issued = Some((issued, now_ms));
        }
        // What is ordered no more waits for somebody again: that it was put off once is no word for it.
        let word = match seen.wish {
            Some(Wish::Later(in_s)) => in_s > 0 || status.orders.is_some(),
            wish => wish.is_some(),
        };
        if !word && (!self.by_itself || status.orders.is_none()) {
            self.wait = None;
            return Turn::Rest;
        }
        self.hear_the_cloud(now_ms, status);
        if let Some(at) = self.leaving {
            return self.leave(now_ms, at, status.leave, seen.wish == Some(Wish::Now));
        }
        self.decide(now_ms, seen)
    }

    fn hear_the_cloud(&mut self, now_ms: u64, status: &Status) {
        if self.permit.is_some_and(|(_, until)| now_ms >= until) {
            self.permit = None;
        }
        let Some((at, before)) = self.asked else { return };
        if status.looks.ended > before.ended || now_ms >= at + LOOK_MS {
            self.asked = None;
            let answered = status.looks.answered > before.answered;
            let may = answered && status.orders.as_ref().is_some_and(|orders| orders.may_restart);
            self.permitted(now_ms, may);
        }
    }

    fn permitted(&mut self, now_ms: u64, may: bool) {
        if may {
            self.permit = Some((true, now_ms + FRESH_MS));
        } else {
            self.permit = Some((false, now_ms + (AGAIN_MS << self.refusals.min(DOUBLED))));
            self.refusals += 1;
        }
    }

    fn decide(&mut self, now_ms: u64, seen: Seen<'_>) -> Turn {
        let orders = seen.status.orders.clone().unwrap_or_default();
        let waited_s = self.waits.as_ref().map_or(0, |(_, since)| now_ms.saturating_sub(*since) / 1000);
        let signed = self.issued.map(|(issued, at)| issued + now_ms.saturating_sub(at) / 1000);
        let moment = Moment {
            windows: &orders.windows,
            deadline: orders.deadline,
            trusted: seen.proven.or(signed),
            waited_s,
            quiet_s: seen.quiet_s,
            wish: seen.wish,
            permit: if orders.ask { self.permit.map(|(may, _)| may) } else { Some(true) },
        };
        match decide(&moment) {
            Step::Go => {
                self.wait = None;
                self.leaving = Some(now_ms);
                Turn::Say(Word::Leave)
            }
            Step::Ask => {
                self.wait = Some(Wait::Cloud);
                let since = *self.open_since.get_or_insert(now_ms);
                if self.asked.is_some() || now_ms < since + self.spread_ms {
                    return Turn::Rest;
                }
                self.asked = Some((now_ms, seen.status.looks));
                Turn::Say(Word::Look)
            }
            Step::Wait(wait) => {
                if wait != Wait::Cloud {
                    self.open_since = None;
                }
                self.wait = Some(wait);
                Turn::Rest
            }
        }
    }

    /// The owner's word is enough; otherwise the cloud must have heard it, and not said no.
    fn leave(&mut self, now_ms: u64, at: u64, told: Option<bool>, owner: bool) -> Turn {
        match told {
            None if now_ms < at + LEAVE_MS => Turn::Rest,
            Some(true) => Turn::Go,
            _ if owner => Turn::Go,
            _ => {
                self.leaving = None;
                self.wait = Some(Wait::Cloud);
                self.permitted(now_ms, false);
                Turn::Rest
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use update::restart::Window;

    use super::super::orders::Orders;
    use super::*;

    /// A box with 1.1 complete, ordered by a cloud whose clock says 1,000 s, without windows.
    fn ordered() -> Status {
        let orders = Orders {
            version: Some("1.1".to_owned()),
            campaign: "spring".to_owned(),
            deadline: Some(90_000),
            issued: Some(1_000),
            ask: true,
            may_restart: true,
            ..Orders::default()
        };
        let version = orders.version.clone();
        Status { phase: Phase::Complete, version, orders: Some(orders), ..Status::default() }
    }

    const fn seen(status: &Status) -> Seen<'_> {
        Seen { status, proven: None, quiet_s: None, wish: None }
    }

    fn looked(status: &mut Status, may: Option<bool>) {
        status.looks.ended += 1;
        status.looks.answered += u64::from(may.is_some());
        if let (Some(orders), Some(may)) = (&mut status.orders, may) {
            orders.may_restart = may;
        }
    }

    #[test]
    fn a_box_asks_afresh_tells_the_cloud_and_goes() {
        let mut departure = Departure::new(true, 5_000);
        let mut status = ordered();
        // What was allowed before the download counts for nothing.
        assert_eq!(departure.turn(0, seen(&status)), Turn::Rest);
        assert_eq!(departure.turn(4_999, seen(&status)), Turn::Rest, "not all boxes in one second");
        assert_eq!(departure.turn(5_000, seen(&status)), Turn::Say(Word::Look));
        assert_eq!(departure.turn(6_000, seen(&status)), Turn::Rest);
        looked(&mut status, Some(true));
        assert_eq!(departure.turn(7_000, seen(&status)), Turn::Say(Word::Leave));
        assert_eq!(departure.turn(8_000, seen(&status)), Turn::Rest);
        status.leave = Some(true);
        assert_eq!(departure.turn(9_000, seen(&status)), Turn::Go);
    }

    #[test]
    fn a_no_is_asked_again_later_and_later() {
        let mut departure = Departure::new(true, 0);
        let mut status = ordered();
        let mut now = 0;
        for wait_s in [60, 120, 240, 480, 960, 960] {
            assert_eq!(departure.turn(now, seen(&status)), Turn::Say(Word::Look));
            // No, or no answer.
            looked(&mut status, (wait_s != 120).then_some(false));
            assert_eq!(departure.turn(now, seen(&status)), Turn::Rest);
            assert_eq!(departure.wait(), Some(Wait::Cloud));
            assert_eq!(departure.turn(now + wait_s * 1000 - 1, seen(&status)), Turn::Rest);
            now += wait_s * 1000;
        }
        // The cloud takes back what it has said when it hears that the box goes.
        assert_eq!(departure.turn(now, seen(&status)), Turn::Say(Word::Look));
        looked(&mut status, Some(true));
        assert_eq!(departure.turn(now, seen(&status)), Turn::Say(Word::Leave));
        status.leave = Some(false);
        assert_eq!(departure.turn(now, seen(&status)), Turn::Rest);
        status.leave = None;
        assert_eq!(departure.turn(now + 900_000, seen(&status)), Turn::Rest);
    }

    #[test]
    fn the_cloud_s_signed_time_opens_the_window_and_viewers_keep_it_shut() {
        let mut departure = Departure::new(true, 0);
        let mut status = ordered();
        status.orders.as_mut().unwrap().windows = vec![Window { from: 1_100, to: 1_200 }];
        assert_eq!(departure.turn(0, seen(&status)), Turn::Rest);
        assert_eq!(departure.wait(), Some(Wait::Window { at: Some(1_100) }));
        assert_eq!(departure.turn(99_999, seen(&status)), Turn::Rest);
        let watched = Seen { quiet_s: Some(3), ..seen(&status) };
        assert_eq!(departure.turn(100_000, watched), Turn::Rest);
        assert_eq!(departure.wait(), Some(Wait::Viewers));
        assert_eq!(departure.turn(101_000, seen(&status)), Turn::Say(Word::Look));
        // What the tunnel has proven is newer than what was signed.
        let mut other = Departure::new(true, 0);
        assert_eq!(other.turn(0, Seen { proven: Some(1_200), ..seen(&status) }), Turn::Rest);
        assert_eq!(other.wait(), Some(Wait::Window { at: None }));
    }

    #[test]
    fn what_nobody_ordered_waits_for_somebody_and_the_owner_s_word_is_enough() {
        let mut status = ordered();
        status.orders = None;
        let mut departure = Departure::new(true, 0);
        assert_eq!(departure.turn(0, seen(&status)), Turn::Rest);
        assert_eq!(departure.turn(u64::MAX / 2, seen(&status)), Turn::Rest);
        assert_eq!(departure.wait(), None);
        let now = Seen { wish: Some(Wish::Now), quiet_s: Some(0), ..seen(&status) };
        assert_eq!(departure.turn(u64::MAX / 2, now), Turn::Say(Word::Leave));
        status.leave = Some(false);
        let now = Seen { wish: Some(Wish::Now), quiet_s: Some(0), ..seen(&status) };
        assert_eq!(departure.turn(u64::MAX / 2, now), Turn::Go);
        // What was put off, and is ordered no more when its time has come.
        let mut departure = Departure::new(true, 0);
        let later = |in_s| Seen { wish: Some(Wish::Later(in_s)), ..seen(&status) };
        assert_eq!(departure.turn(0, later(60)), Turn::Rest);
        assert_eq!(departure.wait(), Some(Wait::Owner { in_s: 60 }));
        assert_eq!(departure.turn(60_000, later(0)), Turn::Rest);
        assert_eq!(departure.wait(), None);
        // A box that never restarts by itself.
        let status = ordered();
        let mut departure = Departure::new(false, 0);
        assert_eq!(departure.turn(0, seen(&status)), Turn::Rest);
        let later = Seen { wish: Some(Wish::Later(60)), ..seen(&status) };
        assert_eq!(departure.turn(0, later), Turn::Rest);
        assert_eq!(departure.wait(), Some(Wait::Owner { in_s: 60 }));
        let over = Seen { wish: Some(Wish::Later(0)), ..seen(&status) };
        assert_eq!(departure.turn(60_000, over), Turn::Say(Word::Look), "what is ordered only waits so long");
    }

    #[test]
    fn a_cloud_that_never_hears_it_keeps_the_box_where_it_is() {
        let mut departure = Departure::new(true, 0);
        let mut status = ordered();
        assert_eq!(departure.turn(0, seen(&status)), Turn::Say(Word::Look));
        looked(&mut status, Some(true));
        assert_eq!(departure.turn(1, seen(&status)), Turn::Say(Word::Leave));
        assert_eq!(departure.turn(29_999, seen(&status)), Turn::Rest);
        assert_eq!(departure.turn(30_001, seen(&status)), Turn::Rest);
        assert_eq!(departure.wait(), Some(Wait::Cloud));
        // Another version is another matter.
        status.version = Some("1.2".to_owned());
        status.orders.as_mut().unwrap().ask = false;
        assert_eq!(departure.turn(40_000, seen(&status)), Turn::Say(Word::Leave));
    }
}
