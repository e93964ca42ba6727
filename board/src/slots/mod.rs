//! The two slots on a disk: which one runs, what each holds, and how a new system comes into the other one.
//!
//! Nothing is ever written to the running slot. The other one is written only while the running one is good, and in an order
//! ([`SEQUENCE`]) that leaves, wherever power fails, either a slot that nobody starts or one that is whole. What is known of the
//! slots is read from the disk each time, so several processes may each have a [`Slots`] of the same disk.
//!
//! [`Slots`] is embedded_svc's [`Ota`](embedded_svc::ota::Ota), [`Update`] its `OtaUpdate`.

mod error;
mod ota;
mod sequence;
mod update;

pub use error::SlotError;
pub use sequence::{SEQUENCE, Step};
pub use update::{Finished, Update};

use ring::digest::{Context, SHA256};

use crate::block::{BlockDevice, DiskError};
use crate::boot::Table;
use crate::env::{self, Loaded};
use crate::header::{self, Header};
use crate::map::{PartitionMap, Region};
use crate::slot::{SlotName, State, Vars};

/// Bytes that are read, hashed or copied at a time.
const PIECE: usize = 64 * 1024;

/// Which image of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Image {
    /// The FIT: kernel, device tree, initial RAM disk.
    Fit,
    /// The root file system.
    Root,
}

impl Image {
    /// Both, in the order of a release.
    pub const BOTH: [Self; 2] = [Self::Fit, Self::Root];

    /// Its length, as a header says.
    pub const fn bytes(self, header: &Header) -> u64 {
        match self {
            Self::Fit => header.fit.0,
            Self::Root => header.root.0,
        }
    }

    /// Its SHA-256, as a header says.
    pub const fn sha256(self, header: &Header) -> [u8; 32] {
        match self {
            Self::Fit => header.fit.1,
            Self::Root => header.root.1,
        }
    }

    /// Where it lies: the FIT behind the header.
    pub const fn region(self, map: &PartitionMap, slot: SlotName) -> Region {
        match self {
            Self::Fit => {
                let Region { at, bytes } = map.fit(slot);
                Region { at: at.saturating_add(header::LENGTH), bytes: bytes.saturating_sub(header::LENGTH) }
            }
            Self::Root => map.root(slot),
        }
    }
}

/// The slots of a disk, seen from the one that runs.
#[derive(Debug)]
pub struct Slots<D> {
    disk: D,
    map: PartitionMap,
    running: SlotName,
    table: Table,
    sequence: &'static [Step],
    announced: Option<Header>,
}

impl<D: BlockDevice> Slots<D> {
    /// The slots of this disk, `running` being the one that this system was started from (its kernel's command line says so).
    ///
    /// # Errors
    /// When the boot table is unreadable, which a test excludes.
    pub fn new(disk: D, map: PartitionMap, running: SlotName) -> Result<Self, SlotError> {
        Ok(Self { disk, map, running, table: Table::ours()?, sequence: SEQUENCE, announced: None })
    }

    /// The same with another order of installing. There is one right order, [`SEQUENCE`]; this is for tests that install in wrong
    /// ones and show that a power cut then does harm, so that the right one is known to be needed step by step.
    #[must_use]
    pub fn with_sequence(mut self, sequence: &'static [Step]) -> Self {
        self.sequence = sequence;
        self
    }

    /// The same with another boot table, for tests as [`Slots::with_sequence`] is.
    #[must_use]
    pub const fn with_table(mut self, table: Table) -> Self {
        self.table = table;
        self
    }

    /// The slot that runs.
    pub const fn running(&self) -> SlotName {
        self.running
    }

    /// The slot that an update is written to.
    pub const fn target(&self) -> SlotName {
        self.running.other()
    }

    /// The disk.
    pub const fn disk(&self) -> &D {
        &self.disk
    }

    /// Gives the disk back.
    pub fn into_disk(self) -> D {
        self.disk
    }

    /// What the boot environment says.
    ///
    /// # Errors
    /// When the map does not fit the disk.
    pub fn vars(&self) -> Result<Loaded, SlotError> {
        Ok(env::load(&self.disk, &self.map)?)
    }

    /// What a slot holds; `None` if nothing whole. A header that the medium cannot read is none, as for the boot script: what is
    /// written there next may mend it, so that an update must still find its way in.
    ///
    /// # Errors
    /// When the map does not fit the disk.
    pub fn header(&self, slot: SlotName) -> Result<Option<Header>, SlotError> {
        let mut sector = [0; header::ENCODED];
        match self.disk.read(self.map.fit(slot).at, &mut sector) {
            Ok(()) => Ok(Header::decode(&sector)),
            Err(DiskError::Medium(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The running system is healthy: it is good from now on, and first unless a new one waits. At most one write.
    ///
    /// # Errors
    /// When the environment cannot be written.
    pub fn commit(&mut self) -> Result<Vars, SlotError> {
        let (table, running) = (self.table, self.running);
        self.change(|vars| table.commit(vars, running))
    }

    /// The running system is not to be started again; whoever calls this restarts the box then. At most one write.
    ///
    /// # Errors
    /// When the environment cannot be written.
    pub fn fail(&mut self) -> Result<Vars, SlotError> {
        let (table, running) = (self.table, self.running);
        self.change(|vars| table.fail(vars, running))
    }

    /// Deals with an update that was tried and neither committed nor failed: another round for it, or no more. To be called once
    /// after each start of a good slot. At most one write, and none unless there is such an update.
    ///
    /// # Errors
    /// When the environment cannot be written.
    pub fn settle(&mut self) -> Result<Vars, SlotError> {
        let (table, running) = (self.table, self.running);
        self.change(|vars| table.out_of_tries(vars, running))
    }

    /// Puts the other system on trial again although it has failed: what it failed for turned out not to be its fault. At most one
    /// write, and none unless a good system runs and the other slot holds a whole one that failed.
    ///
    /// # Errors
    /// When the disk cannot be read or the environment cannot be written.
    pub fn try_again(&mut self) -> Result<Vars, SlotError> {
        let (table, running, target) = (self.table, self.running, self.target());
        let whole = self.header(target)?.is_some();
        self.change(|vars| {
            let failed = whole && vars.of(target).state == State::Failed;
            let due = failed && vars.of(running).state == State::Good;
            due.then(|| table.activate(vars, target)).flatten()
        })
    }

    /// Takes back that the next start tries the other system: nobody wants it any more. Its images stay, and cost the next order of
    /// it no more than being read. One whose tries are spent is left to [`Slots::settle`]. At most one write, and none unless a good
    /// system runs.
    ///
    /// # Errors
    /// When the environment cannot be written.
    pub fn withdraw(&mut self) -> Result<Vars, SlotError> {
        let (table, running, target) = (self.table, self.running, self.target());
        self.change(|vars| {
            let other = vars.of(target);
            let waits = other.state == State::Trial && other.tries > 0;
            let due = waits && vars.of(running).state == State::Good;
            due.then(|| table.begin(vars, target)).flatten().map(|vars| Vars { first: running, ..vars })
        })
    }

    fn change(&mut self, make: impl FnOnce(&Vars) -> Option<Vars>) -> Result<Vars, SlotError> {
        Ok(env::change(&mut self.disk, &self.map, make)?)
    }

    /// Prepares to bring a system into the other slot. Nothing is written before the first [`Update::begin`] or
    /// [`Update::write_at`], so that what is there can still be read and used.
    ///
    /// # Errors
    /// When the running slot is not good, or the images do not fit.
    pub fn install(&mut self, header: Header) -> Result<Update<'_, D>, SlotError> {
        header.encode()?;
        for image in Image::BOTH {
            let (bytes, room) = (image.bytes(&header), image.region(&self.map, self.target()).bytes);
            if bytes > room {
                return Err(SlotError::Large { image, bytes, room });
            }
        }
        if self.vars()?.vars.of(self.running).state != State::Good {
            return Err(SlotError::NotGood(self.running));
        }
        Ok(Update::new(self, header, Table::activate))
    }

    /// The system that the next [`initiate_update`](embedded_svc::ota::Ota::initiate_update) brings: that trait's way of installing
    /// knows lengths and hashes only at its end, and here nothing is written without them.
    pub fn announce(&mut self, header: Header) {
        self.announced = Some(header);
    }

    /// Makes the other slot equal to the running one, so that there is a second good one again; for a system that has run well for
    /// a week. Gives whether there was anything to do; there is not while an update waits to be tried. Long: it reads the whole
    /// system, and writes what differs.
    ///
    /// # Errors
    /// As [`Slots::install`]; and when the running system is not what its header says, before anything is written.
    pub fn mirror(&mut self) -> Result<bool, SlotError> {
        let header = self.header(self.running)?.ok_or(SlotError::NoSystem(self.running))?;
        let same = self.header(self.target())?.as_ref() == Some(&header);
        match self.vars()?.vars.of(self.target()).state {
            State::Good if same => return Ok(false),
            // An update that waits for its turn.
            State::Trial => return Ok(false),
            _ => {}
        }
        for image in Image::BOTH {
            if self.hash(self.running, image, &header)? != image.sha256(&header) {
                return Err(SlotError::Corrupt(self.running, image));
            }
        }
        let mut update = self.install(header)?.keeping_the_order();
        update.begin()?;
        update.copy_running()?;
        update.finish()?.activate()?;
        Ok(true)
    }

    /// SHA-256 of an image in a slot, as long as `header` says.
    fn hash(&self, slot: SlotName, image: Image, header: &Header) -> Result<[u8; 32], SlotError> {
        let mut context = Context::new(&SHA256);
        let mut piece = vec![0; PIECE];
        let (length, mut at) = (image.bytes(header), 0);
        while at < length {
            let part = usize::try_from(length - at).unwrap_or(PIECE).min(PIECE);
            let part = piece.get_mut(..part).unwrap_or_default();
            self.read(slot, image, at, part)?;
            context.update(part);
            at += part.len() as u64;
        }
        Ok(context.finish().as_ref().try_into().unwrap_or_default())
    }

    /// Reads of an image in a slot, within the slot.
    fn read(&self, slot: SlotName, image: Image, at: u64, into: &mut [u8]) -> Result<(), SlotError> {
        let place = place(image.region(&self.map, slot), at, into.len())?;
        Ok(self.disk.read(place, into)?)
    }
}

/// Where a part of a region lies on the disk.
fn place(region: Region, at: u64, length: usize) -> Result<u64, DiskError> {
    let end = at.saturating_add(length as u64);
    let place = region.at.checked_add(at).filter(|_| end <= region.bytes);
    place.ok_or(DiskError::Range { at, end })
}

#[cfg(test)]
mod tests;
