//! Whether a new system may stay. One [`Health`] per start of a system on trial; it is told facts and deaths and gives one
//! [`Verdict`], which never changes afterwards:
//!
//! ```text
//!            all required facts true for `healthy_ms` without a break
//! waiting ──────────────────────────────────────────────────────────> Commit
//!    │ died more often than `deaths`: at once ──────────────────────> RollBack (Dies)
//!    └ `deadline_ms` ─┬ something of its own is wrong ──────────────> RollBack
//!                     ├ no network, and none before ────────────────> Commit, blind
//!                     ├ the network was there before ───────────────> RollBack; a second time Inconclusive
//!                     └ no network, and nobody knows about before ──> Inconclusive
//! ```
//!
//! Required are: the page, the data, what was true before the update, and that this very system has fetched and verified a
//! fresh word about updates: a system that cannot update itself is never kept, but where nobody could be asked before either.
//!
//! After a [`Verdict::RollBack`] for a reason that may lie outside ([`Why::outside`]) the old system looks for itself: [`Aftermath`].
//! Times are milliseconds of one clock that never goes back.

mod aftermath;
mod facts;
mod why;

pub use aftermath::{Aftermath, Second};
pub use facts::{Before, Facts};
pub use why::Why;

/// How long is long enough. The defaults are those of a box in a factory; a test may be less patient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Everything must be well for so long, without a restart.
    pub healthy_ms: u64,
    /// A verdict falls so long after the start at the latest.
    pub deadline_ms: u64,
    /// Who says nothing for so long is not well.
    pub silent_ms: u64,
    /// The main program may end so often.
    pub deaths: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { healthy_ms: 300_000, deadline_ms: 1_200_000, silent_ms: 60_000, deaths: 5 }
    }
}

/// What is to become of the new system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing yet; ask again then at the latest.
    Wait {
        /// Milliseconds.
        until_ms: u64,
    },
    /// It stays.
    Commit {
        /// Nobody could be asked whether it can update itself, and nobody could before.
        blind: bool,
    },
    /// It is not to be tried again: back to the old one.
    RollBack {
        /// What it could not do.
        why: Why,
    },
    /// Nothing can be said: it may be tried again, as often as the boot environment's rounds allow.
    Inconclusive {
        /// What it could not do.
        why: Why,
    },
}

/// Watches one start of a system on trial.
#[derive(Debug, Clone)]
pub struct Health {
    limits: Limits,
    before: Option<Before>,
    /// This release was rolled back for an outside reason before.
    retried: bool,
    began_ms: u64,
    last: Option<(u64, Facts)>,
    /// Since when nothing is missing.
    whole_since: Option<u64>,
    /// Since when nothing is missing but the proof that it can update itself.
    near_since: Option<u64>,
    deaths: u32,
    decided: Option<Verdict>,
}

impl Health {
    /// Of a system that starts now. `before`: what the old one could do, if anybody knows. `retried`: the same release was rolled
    /// back once for a reason that lay outside; it is not rolled back for such a reason a second time.
    pub const fn new(limits: Limits, before: Option<Before>, retried: bool, now_ms: u64) -> Self {
        Self {
            limits,
            before,
            retried,
            began_ms: now_ms,
            last: None,
            whole_since: None,
            near_since: None,
            deaths: 0,
            decided: None,
        }
    }

    /// The system says how it is.
    pub fn tell(&mut self, at_ms: u64, facts: Facts) {
        self.notice_silence(at_ms);
        let missing = self.missing(&facts);
        if missing.is_some_and(|why| why != Why::Update) {
            self.near_since = None;
        } else {
            self.near_since.get_or_insert(at_ms);
        }
        if missing.is_some() {
            self.whole_since = None;
        } else {
            self.whole_since.get_or_insert(at_ms);
        }
        self.last = Some((at_ms, facts));
    }

    /// The main program ended and is started again.
    pub const fn died(&mut self) {
        self.deaths = self.deaths.saturating_add(1);
        self.restarted();
    }

    /// Somebody wanted the main program to start anew: no fault of its own, but what was well before proves nothing now.
    pub const fn restarted(&mut self) {
        self.last = None;
        self.whole_since = None;
        self.near_since = None;
    }

    /// What is to become of it.
    pub fn verdict(&mut self, now_ms: u64) -> Verdict {
        if let Some(decided) = self.decided {
            return decided;
        }
        let verdict = self.judge(now_ms);
        if !matches!(verdict, Verdict::Wait { .. }) {
            self.decided = Some(verdict);
        }
        verdict
    }

    fn judge(&mut self, now_ms: u64) -> Verdict {
        self.notice_silence(now_ms);
        if self.deaths > self.limits.deaths {
            return Verdict::RollBack { why: Why::Dies };
        }
        if self.lasts(self.whole_since, now_ms) {
            return Verdict::Commit { blind: false };
        }
        let deadline = self.began_ms.saturating_add(self.limits.deadline_ms);
        if now_ms >= deadline {
            return self.final_verdict(now_ms);
        }
        let healthy = self.whole_since.map(|since| since.saturating_add(self.limits.healthy_ms));
        Verdict::Wait { until_ms: healthy.map_or(deadline, |at| at.min(deadline)) }
    }

    fn final_verdict(&self, now_ms: u64) -> Verdict {
        let Some((_, facts)) = self.last else { return Verdict::RollBack { why: Why::Silent } };
        let why = match self.missing(&facts) {
            None => Why::Flapping,
            Some(Why::Update) => {
                if self.nobody_to_ask(&facts) {
                    if self.lasts(self.near_since, now_ms) {
                        return Verdict::Commit { blind: true };
                    }
                    return Verdict::RollBack { why: Why::Flapping };
                }
                if self.before.is_none() && !facts.online() {
                    return Verdict::Inconclusive { why: Why::Unproven };
                }
                Why::Update
            }
            Some(why) => why,
        };
        if why.outside() && self.retried {
            return Verdict::Inconclusive { why };
        }
        Verdict::RollBack { why }
    }

    /// The worst of what is required and not so.
    fn missing(&self, facts: &Facts) -> Option<Why> {
        let before = self.before.unwrap_or_default();
        let required = [
            (facts.page_answers, Why::Page),
            (facts.data_writable, Why::Data),
            (facts.sees(before.delivering), Why::Cameras),
            (facts.tunnel_up || !before.tunnel_up, Why::Tunnel),
            (facts.cloud_answers || !before.cloud_answers, Why::Cloud),
            (facts.can_update, Why::Update),
        ];
        required.into_iter().find(|(so, _)| !so).map(|(_, why)| why)
    }

    /// Whether it could not be proved before either that the system can update itself.
    fn nobody_to_ask(&self, facts: &Facts) -> bool {
        self.before
            .is_some_and(|before| (!before.source && !facts.source) || (!before.online() && !facts.online()))
    }

    fn lasts(&self, since: Option<u64>, now_ms: u64) -> bool {
        since.is_some_and(|since| now_ms.saturating_sub(since) >= self.limits.healthy_ms)
    }

    /// A stretch ends where nothing was heard for too long.
    fn notice_silence(&mut self, now_ms: u64) {
        let silent = |(at, _)| now_ms.saturating_sub(at) > self.limits.silent_ms;
        if self.last.is_some_and(silent) {
            self.last = None;
            self.whole_since = None;
            self.near_since = None;
        }
    }
}
