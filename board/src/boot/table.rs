//! The table that boot script and running system are made from: `board/boot-table.toml`.

use serde::Deserialize;

use crate::slot::{Reset, SlotName, State};

/// When a start of a slot is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Count {
    /// Each time.
    #[serde(rename = "always")]
    Always,
    /// When the watchdog or a panic ended what ran before.
    #[serde(rename = "after a crash")]
    AfterCrash,
}

/// Starts that a slot gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tries {
    /// When it is committed.
    pub good: u8,
    /// When it is activated.
    pub trial: u8,
}

/// For each state when a start is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counted {
    /// [`State::Good`].
    pub good: Count,
    /// [`State::Trial`].
    pub trial: Count,
    /// [`State::Unknown`].
    pub unknown: Count,
    /// [`State::Empty`].
    pub empty: Count,
    /// [`State::Failed`].
    pub failed: Count,
}

/// Which slot is the last resort after a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Turn {
    /// The one that did not crash, so that two which take turns are both given time.
    #[serde(rename = "the other one")]
    Other,
    /// The same as without a crash.
    #[serde(rename = "the same one")]
    Same,
}

/// What is started when no slot has tries left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LastResort {
    /// When the watchdog or a panic ended what ran before.
    pub after_a_crash: Turn,
}

/// The table. Its fields are public so that a test can weaken it and show that this is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// Rounds of trials that may end without a verdict.
    pub rounds: u8,
    /// Starts that a slot gets.
    pub tries: Tries,
    /// When one is counted.
    pub count: Counted,
    /// What is started when no slot has tries left.
    pub last_resort: LastResort,
}

/// Why a table is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// No TOML of this form; the message names the line and the key.
    #[error("the boot table: {0}")]
    Unreadable(String),
    /// A number that the environment's one hexadecimal digit cannot hold, or that starts nothing.
    #[error("the boot table: {0} is not between 1 and 15")]
    Number(&'static str),
}

impl Table {
    /// The one that this version is built with.
    ///
    /// # Errors
    /// Never, a test holds; it is no panic all the same.
    pub fn ours() -> Result<Self, TableError> {
        Self::parse(include_str!("../../boot-table.toml"))
    }

    /// Reads a table.
    ///
    /// # Errors
    /// Names the key that is wrong.
    pub fn parse(text: &str) -> Result<Self, TableError> {
        let table: Self = toml::from_str(text).map_err(|error| TableError::Unreadable(error.to_string()))?;
        for (name, number) in
            [("rounds", table.rounds), ("tries.good", table.tries.good), ("tries.trial", table.tries.trial)]
        {
            if !(1..=15).contains(&number) {
                return Err(TableError::Number(name));
            }
        }
        Ok(table)
    }

    /// Whether a start of a slot in this state is counted.
    pub const fn counts(&self, state: State, reset: Reset) -> bool {
        let count = match state {
            State::Good => self.count.good,
            State::Trial => self.count.trial,
            State::Unknown => self.count.unknown,
            State::Empty => self.count.empty,
            State::Failed => self.count.failed,
        };
        match count {
            Count::Always => true,
            Count::AfterCrash => matches!(reset, Reset::Crash(_)),
        }
    }

    /// The slot that is not the last resort as long as there is another, because it has just crashed.
    pub(super) const fn stands_back(&self, reset: Reset) -> Option<SlotName> {
        match (self.last_resort.after_a_crash, reset) {
            (Turn::Other, Reset::Crash(slot)) => Some(slot),
            _ => None,
        }
    }
}
