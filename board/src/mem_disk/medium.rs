//! What is left when the power goes: the medium, and every way in which a cache of writes may have reached it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use crate::block::{DiskError, SECTOR};

/// [`SECTOR`] as the length of a slice.
const BYTES: usize = SECTOR as usize;
const ZEROS: [u8; BYTES] = [0; BYTES];

/// Sectors. Two media are equal when every byte is; a clone shares what neither changes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Medium {
    sectors: u64,
    /// Only those that are not all zeros.
    written: BTreeMap<u64, Arc<[u8]>>,
}

/// A write that may have reached the medium or not.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Write {
    /// First byte.
    pub at: u64,
    /// What was written; whole sectors.
    pub bytes: Arc<[u8]>,
}

/// How much of a write reached the medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// Nothing.
    Nothing,
    /// Everything.
    Everything,
    /// The first half of the sectors, rounded down.
    Beginning,
    /// The others.
    End,
}

/// A moment in which the power may go: what is safe, and what is on its way.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Moment {
    /// What was flushed.
    pub medium: Medium,
    /// What was written since, in order.
    pub unflushed: Vec<Write>,
}

/// Every medium that a [`Moment`] can leave; some may be equal.
#[derive(Debug, Clone)]
pub struct Survivors<'a> {
    moment: &'a Moment,
    /// The next choice for each write; `None`: all have been given.
    next: Option<Vec<Reached>>,
}

impl Medium {
    /// Zeros. `bytes` is rounded down to whole sectors.
    pub const fn new(bytes: u64) -> Self {
        Self { sectors: bytes / SECTOR, written: BTreeMap::new() }
    }

    /// Its length.
    pub const fn bytes(&self) -> u64 {
        self.sectors * SECTOR
    }

    /// Fills `into` from `at`.
    ///
    /// # Errors
    /// [`DiskError::Range`].
    pub fn read(&self, at: u64, into: &mut [u8]) -> Result<(), DiskError> {
        self.check(at, into.len())?;
        for (sector, piece) in (at / SECTOR..).zip(into.chunks_mut(BYTES)) {
            match self.written.get(&sector) {
                Some(bytes) => piece.copy_from_slice(bytes),
                None => piece.fill(0),
            }
        }
        Ok(())
    }

    /// Replaces what is at `at`, at once and for good.
    ///
    /// # Errors
    /// [`DiskError::Range`].
    pub fn write(&mut self, at: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.check(at, bytes.len())?;
        for (sector, piece) in (at / SECTOR..).zip(bytes.chunks(BYTES)) {
            if ZEROS.starts_with(piece) {
                self.written.remove(&sector);
            } else {
                self.written.insert(sector, piece.into());
            }
        }
        Ok(())
    }

    pub(super) fn check(&self, at: u64, length: usize) -> Result<(), DiskError> {
        let end = at.saturating_add(length as u64);
        if !at.is_multiple_of(SECTOR) || !end.is_multiple_of(SECTOR) || end > self.bytes() {
            return Err(DiskError::Range { at, end });
        }
        Ok(())
    }

    /// A write that was checked when it was made.
    pub(super) fn apply(&mut self, write: &Write, reached: Reached) {
        let half = write.bytes.len() / BYTES / 2 * BYTES;
        let range = match reached {
            Reached::Nothing => return,
            Reached::Everything => 0..write.bytes.len(),
            Reached::Beginning => 0..half,
            Reached::End => half..write.bytes.len(),
        };
        let at = write.at + range.start as u64;
        let _ = self.write(at, write.bytes.get(range).unwrap_or_default());
    }
}

impl Write {
    /// The bytes of the disk that it touches.
    pub fn range(&self) -> Range<u64> {
        self.at..self.at + self.bytes.len() as u64
    }

    /// What can become of it next, after `reached`; `None` after the last.
    fn after(&self, reached: Reached) -> Option<Reached> {
        match reached {
            Reached::Nothing => Some(Reached::Everything),
            // A sector is written whole or not at all.
            Reached::Everything => (self.bytes.len() > BYTES).then_some(Reached::Beginning),
            Reached::Beginning => Some(Reached::End),
            Reached::End => None,
        }
    }
}

impl Moment {
    /// Every medium that can be found when power comes back: each unflushed write is there, or not, or torn in the middle,
    /// whatever became of the others. A write of one sector is never torn. The first has nothing of them.
    pub fn survivors(&self) -> Survivors<'_> {
        Survivors { moment: self, next: Some(vec![Reached::Nothing; self.unflushed.len()]) }
    }

    /// The medium when all of it reaches it in order: a reset that leaves the disk its power.
    pub fn arrived(&self) -> Medium {
        let mut medium = self.medium.clone();
        for write in &self.unflushed {
            medium.apply(write, Reached::Everything);
        }
        medium
    }
}

impl Iterator for Survivors<'_> {
    type Item = Medium;

    fn next(&mut self) -> Option<Medium> {
        let choice = self.next.take()?;
        let mut medium = self.moment.medium.clone();
        for (write, reached) in self.moment.unflushed.iter().zip(&choice) {
            medium.apply(write, *reached);
        }
        let mut following = choice;
        for (write, reached) in self.moment.unflushed.iter().zip(&mut following) {
            if let Some(after) = write.after(*reached) {
                *reached = after;
                self.next = Some(following);
                break;
            }
            *reached = Reached::Nothing;
        }
        Some(medium)
    }
}
