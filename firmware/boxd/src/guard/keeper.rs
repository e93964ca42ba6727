//! What the guard reads and writes of the board: the boot environment, the slots' headers, and the small state in the `id` partition
//! that outlives the data. Everything here is asked rarely and written more rarely still.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use board::boot::Table;
use board::file_disk::FileDisk;
use board::slot::{SlotName, State};
use board::slots::Slots;
use update::Floors;
use update::health::Before;

use super::course::Found;
use super::word::{Held, Last, Status};
use crate::config::Config;
use crate::updater::Machine;

/// Names in the small state.
const BEFORE: &str = "before";
pub(crate) const LAST: &str = "last";

/// The board's two systems, seen from the one that runs.
pub(super) struct Keeper {
    machine: Machine,
    slots: Slots<FileDisk>,
    /// A copy of how the last update ended, for people with a shell.
    last: PathBuf,
}

impl Keeper {
    /// Opens the board; `None` for one that keeps a single system.
    ///
    /// # Errors
    /// When its map or disk cannot be used, or nobody says which slot runs.
    pub(super) fn open(config: &Config) -> anyhow::Result<Option<Self>> {
        if config.board.map.is_none() {
            return Ok(None);
        }
        let machine = Machine::open(&config.board)?;
        let slots = machine.slots()?;
        Ok(Some(Self { machine, slots, last: config.state_dir.join("update/last.json") }))
    }

    /// What is known at the start.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub(super) fn found(&self) -> anyhow::Result<Found> {
        let (running, other) = (self.slots.running(), self.slots.target());
        let vars = self.slots.vars()?.vars;
        let mut found = Found {
            running: vars.of(running),
            other: vars.of(other),
            full: Table::ours()?.tries.good,
            running_system: self.system(running)?,
            other_system: self.system(other)?,
            last: None,
            before: None,
            floor_owed: false,
        };
        // A small state that cannot be read must not keep a good system from being committed.
        match (self.get(LAST), self.get(BEFORE), self.floor_owed()) {
            (Ok(last), Ok(before), Ok(owed)) => {
                (found.last, found.before, found.floor_owed) = (last, before, owed);
            }
            (Err(error), ..) | (_, Err(error), _) | (.., Err(error)) => tracing::warn!("{error:#}"),
        }
        Ok(found)
    }

    /// Whether the box still takes what is below the running system.
    fn floor_owed(&self) -> anyhow::Result<bool> {
        let header = self.slots.header(self.slots.running())?;
        let floor = self.machine.floors()?.security;
        Ok(header.is_some_and(|header| header.security > floor))
    }

    /// What the box is told of the board.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub(super) fn status(&self, trial: bool) -> anyhow::Result<Status> {
        let vars = self.slots.vars()?.vars;
        let held = |slot: SlotName| {
            let state = match vars.of(slot).state {
                State::Empty => "empty",
                State::Trial => "trial",
                State::Good => "good",
                State::Failed => "failed",
                State::Unknown => "unknown",
            };
            let version = self.slots.header(slot)?.map(|header| header.version);
            anyhow::Ok(Held { slot: slot.to_string(), version, state: state.to_owned() })
        };
        Ok(Status {
            running: Some(held(self.slots.running())?),
            other: Some(held(self.slots.target())?),
            trial,
            last: self.get(LAST).unwrap_or_default(),
        })
    }

    /// Whether the next start is meant for the other slot: a new system waits there.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub(super) fn other_is_next(&self) -> anyhow::Result<bool> {
        let vars = self.slots.vars()?.vars;
        let other = self.slots.target();
        Ok(vars.first == other && vars.of(other).tries > 0)
    }

    /// The running system stays; its security version is the least that this box takes from now on.
    ///
    /// # Errors
    /// When the disk fails.
    pub(super) fn commit(&mut self) -> anyhow::Result<()> {
        self.slots.commit().context("cannot commit the running system")?;
        let Some(header) = self.slots.header(self.slots.running())? else { return Ok(()) };
        self.machine.raise_floors(&Floors { security: header.security, ..Floors::default() })
    }

    /// The running system is not to be started again.
    ///
    /// # Errors
    /// When the disk fails.
    pub(super) fn fail(&mut self) -> anyhow::Result<()> {
        self.slots.fail().map(drop).context("cannot give the running system up")
    }

    /// Another round for the other system, or no more; gives whether it gets one.
    ///
    /// # Errors
    /// When the disk fails.
    pub(super) fn settle(&mut self) -> anyhow::Result<bool> {
        let vars = self.slots.settle().context("cannot give the other system another round")?;
        Ok(vars.of(self.slots.target()).tries > 0)
    }

    /// The other system failed for what was not its fault.
    ///
    /// # Errors
    /// When the disk fails.
    pub(super) fn try_again(&mut self) -> anyhow::Result<()> {
        self.slots.try_again().map(drop).context("cannot put the other system on trial again")
    }

    /// Keeps what the next system is measured by.
    ///
    /// # Errors
    /// When the disk fails.
    pub(super) fn keep_before(&mut self, before: Before) -> anyhow::Result<()> {
        self.machine
            .store()?
            .set(BEFORE, &serde_json::to_vec(&before)?)
            .map(drop)
            .context("cannot keep what works now")
    }

    /// Keeps how an update ended, where it outlives the data, and beside the data for people.
    ///
    /// # Errors
    /// When the disk fails.
    pub(super) fn keep_last(&mut self, last: &Last) -> anyhow::Result<()> {
        let text = serde_json::to_vec(last)?;
        let copied =
            self.last.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&self.last, &text));
        if let Err(error) = copied {
            tracing::warn!(%error, file = %self.last.display(), "cannot write how the update ended");
        }
        self.machine.store()?.set(LAST, &text).map(drop).context("cannot keep how the update ended")
    }

    /// How the last update ended, and the version and the name of the running or the other system.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub(super) fn named(&self, running: bool) -> anyhow::Result<(String, String)> {
        let slot = if running { self.slots.running() } else { self.slots.target() };
        let version = self.slots.header(slot)?.map(|header| header.version).unwrap_or_default();
        Ok((version, self.system(slot)?.unwrap_or_default()))
    }

    fn system(&self, slot: SlotName) -> anyhow::Result<Option<String>> {
        let header = self.slots.header(slot)?;
        let start = header.and_then(|header| header.root.1.first_chunk().copied());
        Ok(start.map(|start| format!("{:016x}", u64::from_be_bytes(start))))
    }

    fn get<T: serde::de::DeserializeOwned>(&self, name: &str) -> anyhow::Result<Option<T>> {
        let bytes = self.machine.store()?.get(name).context("cannot read the small state")?;
        // What another version wrote in other words is as if nobody had written it.
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }
}
