//! Which slot is started, and how what is said of a slot may change. Pure: nothing here reads or writes a disk.
//!
//! The boot script is generated from the same [`Table`] and must decide as [`boot`] does.

pub mod script;
mod table;

pub use table::{Count, LastResort, Table, TableError, Turn};

use crate::slot::{Record, Reset, SlotName, State, Vars};

/// What the boot script does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Start {
    /// It starts this slot.
    Slot(SlotName),
    /// It starts this slot although its tries are spent: nothing better is left.
    LastResort(SlotName),
    /// No slot is signed: it waits for somebody with a cable.
    Recovery,
}

/// The boot script's decision. `signed` loads a slot and checks its signature; `save` writes the environment, each time before
/// something else happens.
///
/// A slot with tries left is started in order. A start of one that has not shown itself to be good is counted first, so that a
/// system that hangs is not tried for ever; a good one only when a crash came before, so that no number of power cuts makes the
/// box leave it.
///
/// When no tries are left there is still a last resort: a good slot before others, one that has failed after all, and after a
/// crash whichever did not crash, so that a box never starts only what crashes while the other slot is whole. A failed system is
/// not given a turn before one that is not: it has been seen running and was found wanting.
pub fn boot(
    table: &Table,
    mut vars: Vars,
    reset: Reset,
    mut signed: impl FnMut(SlotName) -> bool,
    mut save: impl FnMut(&Vars),
) -> Start {
    let order = [vars.first, vars.first.other()];
    for slot in order {
        if vars.of(slot).tries == 0 {
            continue;
        }
        if table.counts(vars.of(slot).state, reset) {
            vars.of_mut(slot).tries -= 1;
            save(&vars);
        }
        if signed(slot) {
            return Start::Slot(slot);
        }
        if vars.of(slot).tries > 0 {
            vars.of_mut(slot).tries = 0;
            save(&vars);
        }
    }
    let back = table.stands_back(reset);
    let mut last = order;
    last.sort_by_key(|slot| {
        let state = vars.of(*slot).state;
        (state == State::Failed, back == Some(*slot), state != State::Good)
    });
    last.into_iter().find(|slot| signed(*slot)).map_or(Start::Recovery, Start::LastResort)
}

/// Changes of what is said of a slot. Each gives the new state of the environment, or `None` if nothing changes, so that nothing is
/// written twice.
impl Table {
    /// The slot runs and is healthy. It is first from then on, unless it was good before and a new system waits for the next start:
    /// that one keeps its turn.
    pub fn commit(&self, vars: &Vars, slot: SlotName) -> Option<Vars> {
        let record = Record { state: State::Good, tries: self.tries.good, rounds: 0 };
        let other = vars.of(slot.other());
        let waits = vars.of(slot).state == State::Good && other.state == State::Trial && other.tries > 0;
        changed(*vars, slot, record, if waits { vars.first } else { slot })
    }

    /// The slot runs and is not to be run again.
    pub fn fail(&self, vars: &Vars, slot: SlotName) -> Option<Vars> {
        let record = Record { state: State::Failed, tries: 0, rounds: 0 };
        changed(*vars, slot, record, vars.first)
    }

    /// The slot is about to be overwritten.
    pub fn begin(&self, vars: &Vars, target: SlotName) -> Option<Vars> {
        let record = Record { state: State::Empty, tries: 0, rounds: 0 };
        changed(*vars, target, record, vars.first)
    }

    /// The slot was written whole and is to be tried at the next start.
    pub fn activate(&self, vars: &Vars, target: SlotName) -> Option<Vars> {
        let record = Record { state: State::Trial, tries: self.tries.trial, rounds: 0 };
        changed(*vars, target, record, target)
    }

    /// The slot was made equal to the good one that runs, which stays first.
    pub fn mirrored(&self, vars: &Vars, target: SlotName) -> Option<Vars> {
        let record = Record { state: State::Good, tries: self.tries.good, rounds: 0 };
        changed(*vars, target, record, target.other())
    }

    /// A good slot runs and the other one's tries ended without a verdict: power failed each time, perhaps. It gets another round,
    /// or has failed after the last.
    pub fn out_of_tries(&self, vars: &Vars, running: SlotName) -> Option<Vars> {
        let target = running.other();
        let record = vars.of(target);
        let spent = record.state == State::Trial && record.tries == 0;
        if !spent || vars.of(running).state != State::Good {
            return None;
        }
        let rounds = record.rounds.saturating_add(1);
        if rounds < self.rounds {
            return changed(*vars, target, Record { tries: self.tries.trial, rounds, ..record }, target);
        }
        self.fail(vars, target)
    }
}

fn changed(vars: Vars, slot: SlotName, record: Record, first: SlotName) -> Option<Vars> {
    let mut then = Vars { first, ..vars };
    *then.of_mut(slot) = record;
    (then != vars).then_some(then)
}

#[cfg(test)]
mod tests;
