//! The two slots and what is said of each in the boot environment.

use std::fmt;

/// One of the two places that a system can be in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SlotName {
    /// `fit_a` and `root_a`.
    A,
    /// `fit_b` and `root_b`.
    B,
}

impl SlotName {
    /// Both, A first.
    pub const BOTH: [Self; 2] = [Self::A, Self::B];

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    /// As the environment, the kernel's command line and the names of partitions write it.
    pub const fn letter(self) -> char {
        match self {
            Self::A => 'a',
            Self::B => 'b',
        }
    }

    /// The slot of a letter.
    pub fn of(letter: &str) -> Option<Self> {
        Self::BOTH.into_iter().find(|slot| letter.chars().eq([slot.letter()]))
    }
}

impl fmt::Display for SlotName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.letter())
    }
}

/// What is known of the system in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// Nothing that could run; an installation may be under way.
    Empty,
    /// Installed whole, has not shown yet that it is healthy.
    Trial,
    /// Was healthy once.
    Good,
    /// Was tried and is not to be tried again.
    Failed,
    /// Says something that no version writes: the environment was lost.
    Unknown,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Empty, Self::Trial, Self::Good, Self::Failed, Self::Unknown];

    /// As the environment writes it.
    pub const fn letter(self) -> char {
        match self {
            Self::Empty => 'e',
            Self::Trial => 't',
            Self::Good => 'g',
            Self::Failed => 'x',
            Self::Unknown => 'u',
        }
    }

    /// The state of a letter; [`State::Unknown`] for any other.
    pub fn of(letter: &str) -> Self {
        Self::ALL.into_iter().find(|state| letter.chars().eq([state.letter()])).unwrap_or(Self::Unknown)
    }
}

/// One slot's part of the boot environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Record {
    /// What is known of it.
    pub state: State,
    /// How often the boot script may still start it, 0 to 15.
    pub tries: u8,
    /// How many rounds of trials ended without a verdict, 0 to 15.
    pub rounds: u8,
}

impl Record {
    /// What is known of a slot when no copy of the environment is right.
    pub const LOST: Self = Self { state: State::Unknown, tries: 1, rounds: 1 };
}

/// The boot environment's state: all that the boot script and the running system tell each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Vars {
    /// The slot that is tried first; the other one comes second.
    pub first: SlotName,
    /// What is said of A.
    pub a: Record,
    /// What is said of B.
    pub b: Record,
}

impl Vars {
    /// What is known when no copy of the environment is right: each slot may be tried once, and the boot loader's signature check
    /// decides.
    pub const LOST: Self = Self { first: SlotName::A, a: Record::LOST, b: Record::LOST };

    /// What is said of a slot.
    #[must_use]
    pub const fn of(&self, slot: SlotName) -> Record {
        match slot {
            SlotName::A => self.a,
            SlotName::B => self.b,
        }
    }

    /// The same to be changed.
    pub const fn of_mut(&mut self, slot: SlotName) -> &mut Record {
        match slot {
            SlotName::A => &mut self.a,
            SlotName::B => &mut self.b,
        }
    }
}

/// How the last run of the system ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reset {
    /// Power came, or somebody asked for a restart.
    Normal,
    /// The watchdog or a panic ended it while this slot ran.
    Crash(SlotName),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_read_as_they_are_written_and_any_other_is_unknown() {
        for slot in SlotName::BOTH {
            assert_eq!(SlotName::of(&slot.to_string()), Some(slot));
            assert_ne!(slot.other(), slot);
        }
        for state in State::ALL {
            assert_eq!(State::of(&state.letter().to_string()), state);
        }
        for text in ["", "c", "A", "ab"] {
            assert_eq!((SlotName::of(text), State::of(text)), (None, State::Unknown), "{text:?}");
        }
    }
}
