//! The old system's own look at why the new one was given up: if it has the same trouble, the new one was not to blame.

use super::{Before, Facts, Limits, Why};

/// What the old system finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Second {
    /// Nothing yet; ask again then at the latest.
    Wait {
        /// Milliseconds.
        until_ms: u64,
    },
    /// Here it works: the new system was to blame.
    Stands,
    /// Here it does not work either: the new one may be tried again, later.
    Inconclusive,
}

/// Watches the old system after a fallback.
#[derive(Debug, Clone)]
pub struct Aftermath {
    limits: Limits,
    why: Why,
    before: Before,
    began_ms: u64,
    second: Option<Second>,
}

impl Aftermath {
    /// Of an old system that starts now, after the new one was given up. `before` is what was true before the update.
    pub const fn new(limits: Limits, why: Why, before: Before, now_ms: u64) -> Self {
        Self { limits, why, before, began_ms: now_ms, second: None }
    }

    /// The old system says how it is.
    pub fn tell(&mut self, facts: &Facts) {
        let works = match self.why {
            Why::Cameras => facts.delivering > 0 && facts.sees(self.before.delivering),
            Why::Tunnel => facts.tunnel_up,
            Why::Cloud => facts.cloud_answers,
            Why::Update => facts.can_update,
            // Nothing that the old system could show.
            _ => false,
        };
        if works && self.second.is_none() {
            self.second = Some(Second::Stands);
        }
    }

    /// What it finds; never changes once it is no [`Second::Wait`].
    pub fn verdict(&mut self, now_ms: u64) -> Second {
        if !self.why.outside() {
            return Second::Stands;
        }
        let deadline = self.began_ms.saturating_add(self.limits.deadline_ms);
        if now_ms >= deadline {
            self.second.get_or_insert(Second::Inconclusive);
        }
        self.second.unwrap_or(Second::Wait { until_ms: deadline })
    }
}
