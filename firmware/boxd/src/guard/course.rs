//! What the guard does next. Pure: it is told how the box is and what time it is, and gives one [`Act`] at a time, the same until it is
//! [`Course::done`].
//!
//! ```text
//! on trial ── Commit ─────────────────────────────────────────────> good
//!    │ └───── Fail (last: rolled_back) ── restart ─┐
//!    └─────── LetGo (last: no_verdict) ── restart ─┤ (more tries, then)
//!                                                  ▼
//!            good, the other one failed: the same trouble here? ── no ──> it stays failed
//!               │                                │  (Note given_up)
//!               │                                └ yes ── Note doubtful ── later, online ── TryAgain ── restart
//!               └ the other one out of tries ── Note no_verdict ── later ── Settle ── restart
//! ```
//!
//! A good system that starts and is well gives no act that writes anything.

use board::slot::{Record, State};
use update::health::{Aftermath, Before, Facts, Health, Limits, Second, Verdict, Why};

use super::word::{Ending, Last};

/// Viewers hold the next round of a new system back for so long after the start, milliseconds: a day.
const WATCHED_MS: u64 = 24 * 3_600_000;

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// The running system stays.
    Commit {
        /// Without a network.
        blind: bool,
    },
    /// The running system is not to be started again; restart the machine.
    Fail(Why),
    /// Restart the machine: the next start may try the same system again.
    LetGo(Why),
    /// The running system is good and is so anew after crashes, or its commit was cut off: its tries are full again, and what it
    /// committed counts.
    Refresh,
    /// Keep what is true, for the next system to be measured by.
    KeepBefore(Before),
    /// Keep how the other system ended.
    Note(Ending, Why),
    /// The other system failed for what is wrong here, too: it is tried once more; restart the machine.
    TryAgain(Why),
    /// The other system gets another round, or no more; restart the machine if it does.
    Settle,
}

/// What the guard finds when it starts.
#[derive(Debug, Clone)]
pub(super) struct Found {
    /// What is said of the running slot.
    pub(super) running: Record,
    /// What is said of the other one.
    pub(super) other: Record,
    /// Starts that a good slot gets.
    pub(super) full: u8,
    /// Which system runs, as [`Last::system`] says it.
    pub(super) running_system: Option<String>,
    /// Which system the other slot holds.
    pub(super) other_system: Option<String>,
    /// How the last update ended.
    pub(super) last: Option<Last>,
    /// What was true when the old system ran last.
    pub(super) before: Option<Before>,
    /// The least security version that the box takes is below the running system's: a cut came between the commit and that.
    pub(super) floor_owed: bool,
}

/// Times, milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// Of a trial.
    pub(super) limits: Limits,
    /// From the start of the old system to the next round of a new one.
    pub(super) retry_ms: u64,
}

/// What the guard is at.
pub(super) struct Course {
    times: Times,
    began_ms: u64,
    role: Role,
    facts: Option<Facts>,
    pending: Option<Act>,
}

enum Role {
    /// A board with one system, or one that is about to be left.
    Alone,
    /// On trial.
    Trial {
        health: Health,
        /// Why it is looked at.
        put: Put,
        /// Its time was over once, and nothing followed.
        late: bool,
    },
    /// The system to fall back to.
    Good(Good),
}

/// Why a system is on trial.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Put {
    /// It was installed: a bad end has consequences.
    Installed,
    /// The environment was lost: nobody knows which of the two was good. The one that is well is.
    Lost,
    /// The last resort, which failed once or was about to be overwritten: no other is signed. If it is well now it is kept, as
    /// only from a good system can the box be updated; without a network nothing shows that it is.
    LastResort,
}

struct Good {
    /// Since when the page answers and the data can be written, without a restart.
    well_since: Option<u64>,
    refresh: bool,
    kept: Option<Before>,
    fresh: Option<(Before, u64)>,
    other: Other,
}

enum Other {
    /// Nothing is to be done about it.
    Quiet,
    /// Its end is to be kept.
    Unnoted(Ending, Why, Box<Other>),
    /// It failed for what may lie outside.
    Judged(Aftermath, Why),
    /// It failed for what is wrong here, too.
    Doubtful(Why),
    /// It ended without a verdict.
    Spent(Why),
}

impl Course {
    /// Of a board with one system.
    pub(super) const fn alone(times: Times) -> Self {
        Self { times, began_ms: 0, role: Role::Alone, facts: None, pending: None }
    }

    /// Of what was found at `now_ms`.
    pub(super) fn new(times: Times, found: &Found, now_ms: u64) -> Self {
        let same = |system: &Option<String>| {
            let last = found.last.as_ref()?;
            system.as_ref().is_some_and(|system| *system == last.system).then_some(last)
        };
        let role = match found.running.state {
            State::Trial => {
                let retried = same(&found.running_system).is_some_and(|last| {
                    let outside = last.why.is_some_and(Why::outside);
                    outside && !matches!(last.end, Ending::Committed | Ending::CommittedBlind)
                });
                let health = Health::new(times.limits, found.before, retried, now_ms);
                Role::Trial { health, put: Put::Installed, late: false }
            }
            state @ (State::Unknown | State::Empty | State::Failed) => {
                let health = Health::new(times.limits, Some(Before::default()), false, now_ms);
                let put = if state == State::Unknown { Put::Lost } else { Put::LastResort };
                Role::Trial { health, put, late: false }
            }
            State::Good => {
                let other = Other::of(found, same(&found.other_system), times.limits, now_ms);
                let crashed = found.running.tries < found.full || found.running.rounds > 0;
                let refresh = crashed || found.floor_owed;
                Role::Good(Good { well_since: None, refresh, kept: found.before, fresh: None, other })
            }
        };
        Self { times, began_ms: now_ms, role, facts: None, pending: None }
    }

    /// Whether the running system is on trial and its time is not over: what is kept of a trial is not kept for ever.
    pub(super) const fn trial(&self) -> bool {
        matches!(self.role, Role::Trial { late: false, .. })
    }

    /// The box says how it is.
    pub(super) fn tell(&mut self, now_ms: u64, facts: Facts) {
        self.facts = Some(facts);
        match &mut self.role {
            Role::Alone => {}
            Role::Trial { health, .. } => health.tell(now_ms, facts),
            Role::Good(good) => good.tell(now_ms, &facts),
        }
    }

    /// The box's main process ended; `by_itself`: because its owner wanted it to start anew.
    pub(super) const fn ended(&mut self, by_itself: bool) {
        self.facts = None;
        match &mut self.role {
            Role::Alone => {}
            Role::Trial { health, .. } if by_itself => health.restarted(),
            Role::Trial { health, .. } => health.died(),
            Role::Good(good) => good.well_since = None,
        }
    }

    /// What to keep before the machine restarts into a new system: what is true now, however lately it became so, as that system is
    /// measured by it. A box that could update itself can.
    pub(super) fn leaving(&self) -> Option<Before> {
        let (Role::Good(good), Some(facts)) = (&self.role, self.facts) else { return None };
        let mut before = Before::from(facts);
        before.can_update |= good.kept.is_some_and(|kept| kept.can_update);
        (good.kept != Some(before)).then_some(before)
    }

    /// What is to be done now.
    pub(super) fn next(&mut self, now_ms: u64) -> Option<Act> {
        if self.pending.is_none() {
            self.pending = self.decide(now_ms);
        }
        self.pending
    }

    /// The act was done.
    pub(super) fn done(&mut self) {
        let Some(act) = self.pending.take() else { return };
        match (&mut self.role, act) {
            (Role::Trial { .. }, Act::Commit { .. }) => {
                self.role = Role::Good(Good {
                    well_since: None,
                    refresh: false,
                    kept: None,
                    fresh: None,
                    other: Other::Quiet,
                });
            }
            (Role::Good(good), Act::Refresh) => good.refresh = false,
            (Role::Good(good), Act::KeepBefore(before)) => good.kept = Some(before),
            (Role::Good(good), Act::Note(..)) => {
                if let Other::Unnoted(.., then) = std::mem::replace(&mut good.other, Other::Quiet) {
                    good.other = *then;
                }
            }
            (Role::Good(good), Act::Settle | Act::TryAgain(_)) => good.other = Other::Quiet,
            (role, Act::Fail(_) | Act::LetGo(_)) => *role = Role::Alone,
            _ => {}
        }
    }

    fn decide(&mut self, now_ms: u64) -> Option<Act> {
        let online = self.facts.is_some_and(|facts| facts.online());
        let ran_ms = now_ms.saturating_sub(self.began_ms);
        let watched = self.facts.is_some_and(|facts| facts.watched);
        let may_restart = ran_ms >= self.times.retry_ms && (!watched || ran_ms >= WATCHED_MS);
        match &mut self.role {
            Role::Alone => None,
            Role::Trial { health, put, late } => match health.verdict(now_ms) {
                Verdict::Wait { .. } => None,
                Verdict::Commit { blind } if !blind || *put != Put::LastResort => Some(Act::Commit { blind }),
                Verdict::RollBack { why } if *put == Put::Installed => Some(Act::Fail(why)),
                Verdict::Inconclusive { why } if *put == Put::Installed => Some(Act::LetGo(why)),
                // Nobody knows of a better system. It is looked at again and again: only from a good one can the box be updated.
                Verdict::Commit { .. } | Verdict::RollBack { .. } | Verdict::Inconclusive { .. } => {
                    *health = Health::new(self.times.limits, Some(Before::default()), false, now_ms);
                    *late = true;
                    None
                }
            },
            Role::Good(good) => good.decide(self.times.limits, now_ms, online, may_restart),
        }
    }
}

impl Good {
    fn tell(&mut self, now_ms: u64, facts: &Facts) {
        if facts.page_answers && facts.data_writable {
            self.well_since.get_or_insert(now_ms);
        } else {
            self.well_since = None;
        }
        let before = Before::from(*facts);
        if self.fresh.is_none_or(|(fresh, _)| fresh != before) {
            self.fresh = Some((before, now_ms));
        }
        if let Other::Judged(aftermath, _) = &mut self.other {
            aftermath.tell(facts);
        }
    }

    fn decide(&mut self, limits: Limits, now_ms: u64, online: bool, may_restart: bool) -> Option<Act> {
        let lasts = |since: u64| now_ms.saturating_sub(since) >= limits.healthy_ms;
        if self.refresh && self.well_since.is_some_and(lasts) {
            return Some(Act::Refresh);
        }
        // What is true for a moment is not kept: each time costs a write.
        if let Some((fresh, since)) = self.fresh
            && lasts(since)
            && self.kept != Some(fresh)
        {
            return Some(Act::KeepBefore(fresh));
        }
        let proven = online && self.kept.is_some_and(|before| before.online());
        if let Other::Judged(aftermath, why) = &mut self.other {
            let (ending, then) = match aftermath.verdict(now_ms) {
                Second::Wait { .. } => return None,
                Second::Stands => (Ending::GivenUp, Other::Quiet),
                Second::Inconclusive => (Ending::Doubtful, Other::Doubtful(*why)),
            };
            self.other = Other::Unnoted(ending, *why, Box::new(then));
        }
        match &self.other {
            Other::Unnoted(ending, why, _) => Some(Act::Note(*ending, *why)),
            Other::Doubtful(why) => (may_restart && proven).then_some(Act::TryAgain(*why)),
            // What hung or crashed may be tried without a network; what had no network only when there is one.
            Other::Spent(why) => (may_restart && (proven || !why.outside())).then_some(Act::Settle),
            Other::Quiet | Other::Judged(..) => None,
        }
    }
}

impl Other {
    /// Of the other slot, and of how the last update ended if that was this system.
    fn of(found: &Found, last: Option<&Last>, limits: Limits, now_ms: u64) -> Self {
        let why = last.and_then(|last| last.why);
        match (found.other.state, last.map(|last| last.end), why) {
            (State::Failed, Some(Ending::RolledBack), Some(why)) if why.outside() => {
                let before = found.before.unwrap_or_default();
                Self::Judged(Aftermath::new(limits, why, before, now_ms), why)
            }
            // Power may have failed between the word that it is tried again and the trial.
            (State::Failed, Some(Ending::Doubtful | Ending::Again), Some(why)) => Self::Doubtful(why),
            (State::Trial, Some(Ending::NoVerdict), Some(why)) if found.other.tries == 0 => Self::Spent(why),
            (State::Trial, ..) if found.other.tries == 0 => {
                // It was let go of after a second trial, or it never said anything.
                let why = why.unwrap_or(Why::NoVerdict);
                Self::Unnoted(Ending::NoVerdict, why, Box::new(Self::Spent(why)))
            }
            _ => Self::Quiet,
        }
    }
}

#[cfg(test)]
#[path = "course_tests.rs"]
mod tests;
