//! A disk in memory that loses its power, for tests of everything that must survive that.
//!
//! A write stays in a cache until the next flush. Each write and each flush is an operation, counted from 1; [`MemDisk::cut_at`]
//! lets the power go in one of them, and from then on every operation says [`DiskError::Cut`]. What may be on the medium then is
//! what [`Moment::survivors`] gives: every subset of the unflushed writes, torn ones among them. Start a disk
//! [`MemDisk::on`] each of them to see what the code makes of it. [`MemDisk::record`] keeps the moments of all operations of
//! one run, so that one run is enough to cut everywhere.
//!
//! Nothing here depends on chance or on time: the same calls give the same media.

mod medium;

use std::io;
use std::ops::Range;

pub use medium::{Medium, Moment, Reached, Survivors, Write};

use crate::block::{BlockDevice, DiskError, SECTOR};

/// What a worn or lying medium does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The n-th write, counted from 1, fails; nothing of it is written.
    WriteFails(u64),
    /// Writes that touch these bytes fail; nothing of them is written.
    Unwritable(Range<u64>),
    /// Reads that touch these bytes fail.
    Unreadable(Range<u64>),
    /// The lowest bit of the first of these bytes is read inverted, and nobody says so.
    Flipped(Range<u64>),
    /// Writes that touch these bytes report success and are forgotten at once.
    Forgotten(Range<u64>),
    /// Every flush fails.
    FlushFails,
}

/// A disk in memory. A clone is another disk with the same content.
#[derive(Debug, Clone)]
pub struct MemDisk {
    now: Moment,
    /// What reads give: the medium with everything of the cache.
    seen: Medium,
    operations: u64,
    cut_at: Option<u64>,
    faults: Vec<Fault>,
    /// The bytes that each write touched.
    writes: Vec<Range<u64>>,
    flushes: u64,
    moments: Option<Vec<Moment>>,
}

impl MemDisk {
    /// A disk of zeros. `bytes` is rounded down to whole sectors.
    pub fn new(bytes: u64) -> Self {
        Self::on(Medium::new(bytes))
    }

    /// A disk that was switched on with this on it, nothing counted yet.
    pub fn on(medium: Medium) -> Self {
        Self {
            seen: medium.clone(),
            now: Moment { medium, unflushed: Vec::new() },
            operations: 0,
            cut_at: None,
            faults: Vec::new(),
            writes: Vec::new(),
            flushes: 0,
            moments: None,
        }
    }

    /// The power goes in this operation, counted from 1: a write is on its way then, a flush has not ended.
    pub fn cut_at(&mut self, operation: u64) {
        self.cut_at = Some(operation);
    }

    /// Whether the power is gone.
    pub fn is_cut(&self) -> bool {
        self.cut_at.is_some_and(|at| self.operations >= at)
    }

    /// One more thing that is wrong with it.
    pub fn add(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    /// Forgets what is wrong with it.
    pub fn heal(&mut self) {
        self.faults.clear();
    }

    /// What would be found if the power went now: see [`Moment::survivors`].
    pub const fn moment(&self) -> &Moment {
        &self.now
    }

    /// Writes and flushes so far.
    pub const fn operations(&self) -> u64 {
        self.operations
    }

    /// Writes so far that touched any of these bytes.
    pub fn writes_in(&self, range: &Range<u64>) -> usize {
        self.writes.iter().filter(|write| touch(write, range)).count()
    }

    /// Flushes so far.
    pub const fn flushes(&self) -> u64 {
        self.flushes
    }

    /// From now on keeps the [`Moment`] of each operation.
    pub fn record(&mut self) {
        self.moments = Some(Vec::new());
    }

    /// The moments since [`MemDisk::record`]: one in each operation, as [`MemDisk::cut_at`] would leave it.
    pub fn moments(&self) -> &[Moment] {
        self.moments.as_deref().unwrap_or_default()
    }

    /// Counts an operation; `after` is what is on its way in it.
    fn operation(&mut self) -> Result<(), DiskError> {
        if self.is_cut() {
            return Err(DiskError::Cut);
        }
        self.operations += 1;
        Ok(())
    }

    /// The moment within an operation has come.
    fn pass(&mut self) -> Result<(), DiskError> {
        if let Some(moments) = &mut self.moments {
            moments.push(self.now.clone());
        }
        if self.is_cut() { Err(DiskError::Cut) } else { Ok(()) }
    }
}

fn touch(one: &Range<u64>, other: &Range<u64>) -> bool {
    one.start < other.end && other.start < one.end
}

fn broken(words: &str) -> DiskError {
    DiskError::Medium(io::Error::other(words.to_owned()))
}

impl BlockDevice for MemDisk {
    fn bytes(&self) -> u64 {
        self.seen.bytes()
    }

    fn read(&self, at: u64, into: &mut [u8]) -> Result<(), DiskError> {
        if self.is_cut() {
            return Err(DiskError::Cut);
        }
        self.seen.read(at, into)?;
        let range = at..at + into.len() as u64;
        for fault in &self.faults {
            match fault {
                Fault::Unreadable(bad) if touch(bad, &range) => return Err(broken("unreadable sector")),
                Fault::Flipped(bad) => {
                    let byte = bad.start.checked_sub(at).and_then(|byte| into.get_mut(byte as usize));
                    if let Some(byte) = byte {
                        *byte ^= 1;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.seen.check(at, bytes.len())?;
        self.operation()?;
        let write = Write { at, bytes: bytes.into() };
        let range = write.range();
        self.writes.push(range.clone());
        for fault in &self.faults {
            match fault {
                Fault::WriteFails(nth) if *nth == self.writes.len() as u64 => {
                    return Err(broken("write error"));
                }
                Fault::Unwritable(bad) if touch(bad, &range) => return Err(broken("unwritable sector")),
                Fault::Forgotten(bad) if touch(bad, &range) => return self.pass(),
                _ => {}
            }
        }
        self.seen.apply(&write, Reached::Everything);
        self.now.unflushed.push(write);
        self.pass()
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        self.operation()?;
        self.flushes += 1;
        if self.faults.contains(&Fault::FlushFails) {
            return Err(broken("flush error"));
        }
        self.pass()?;
        self.now.medium = self.seen.clone();
        self.now.unflushed.clear();
        Ok(())
    }
}

/// [`SECTOR`] bytes of one value, for tests.
pub const fn sector_of(byte: u8) -> [u8; SECTOR as usize] {
    [byte; SECTOR as usize]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The first byte of each sector.
    fn firsts(medium: &Medium) -> Vec<u8> {
        let mut bytes = vec![0; medium.bytes() as usize];
        medium.read(0, &mut bytes).unwrap();
        bytes.iter().step_by(512).copied().collect()
    }

    fn found(disk: &MemDisk) -> BTreeSet<Vec<u8>> {
        disk.moment().survivors().map(|medium| firsts(&medium)).collect()
    }

    #[test]
    fn every_subset_of_what_was_not_flushed_can_be_found_and_torn_writes_too() {
        let mut disk = MemDisk::new(4 * 512);
        disk.write(0, &sector_of(1)).unwrap();
        disk.flush().unwrap();
        disk.write(0, &sector_of(2)).unwrap();
        disk.write(1024, &[sector_of(3), sector_of(3)].concat()).unwrap();
        let mut expected = BTreeSet::new();
        for first in [1, 2] {
            for tail in [[0, 0], [3, 3], [3, 0], [0, 3]] {
                expected.insert(vec![first, 0, tail[0], tail[1]]);
            }
        }
        assert_eq!(found(&disk), expected);
        assert_eq!(disk.moment().survivors().count(), expected.len(), "none twice");
        disk.flush().unwrap();
        assert_eq!(found(&disk), BTreeSet::from([vec![2, 0, 3, 3]]));
    }

    #[test]
    fn an_overwritten_sector_is_any_of_what_was_written_there() {
        let mut disk = MemDisk::new(512);
        disk.write(0, &sector_of(1)).unwrap();
        disk.write(0, &sector_of(2)).unwrap();
        assert_eq!(found(&disk), BTreeSet::from([vec![0], vec![1], vec![2]]));
        let mut read = sector_of(0);
        disk.read(0, &mut read).unwrap();
        assert_eq!(read[0], 2, "what runs sees its last write");
    }

    #[test]
    fn a_cut_in_an_operation_leaves_what_the_record_of_a_whole_run_says() {
        let run = |disk: &mut MemDisk| -> Result<(), DiskError> {
            disk.write(0, &sector_of(1))?;
            disk.flush()?;
            disk.write(512, &sector_of(2))?;
            disk.flush()
        };
        let mut whole = MemDisk::new(1024);
        whole.record();
        run(&mut whole).unwrap();
        assert_eq!((whole.moments().len(), whole.operations(), whole.flushes()), (4, 4, 2));
        for (at, moment) in (1..).zip(whole.moments()) {
            let mut disk = MemDisk::new(1024);
            disk.cut_at(at);
            assert!(matches!(run(&mut disk), Err(DiskError::Cut)), "{at}");
            assert!(matches!(disk.write(0, &sector_of(9)), Err(DiskError::Cut)));
            assert!(matches!(disk.read(0, &mut sector_of(0)), Err(DiskError::Cut)));
            assert_eq!(disk.moment(), moment, "{at}");
        }
        // A flush that was cut has promised nothing.
        assert_eq!(whole.moments()[1].unflushed.len(), 1);
    }

    #[test]
    fn equal_bytes_are_equal_media_however_they_came_there() {
        let mut one = Medium::new(1024);
        one.write(0, &sector_of(5)).unwrap();
        one.write(0, &sector_of(0)).unwrap();
        assert_eq!(one, Medium::new(1024));
        one.write(512, &sector_of(5)).unwrap();
        assert_ne!(one, Medium::new(1024));
    }

    #[test]
    fn writes_are_counted_by_region_and_only_whole_sectors_are_taken() {
        let mut disk = MemDisk::new(2048);
        disk.write(512, &[0; 1024]).unwrap();
        let counts = [0..512, 512..513, 1535..1536, 1536..2048].map(|range| disk.writes_in(&range));
        assert_eq!(counts, [0, 1, 1, 0]);
        for (at, length) in [(0, 1), (1, 512), (2048, 512), (u64::MAX - 511, 512)] {
            assert!(
                matches!(disk.write(at, &vec![0; length]), Err(DiskError::Range { .. })),
                "{at} {length}"
            );
            assert!(
                matches!(disk.read(at, &mut vec![0; length]), Err(DiskError::Range { .. })),
                "{at} {length}"
            );
        }
        assert_eq!(disk.operations(), 1);
    }

    #[test]
    fn a_worn_disk_fails_or_lies_exactly_where_it_was_told_to() {
        let mut disk = MemDisk::new(4 * 512);
        disk.add(Fault::WriteFails(2));
        disk.write(0, &sector_of(1)).unwrap();
        assert!(disk.write(0, &sector_of(2)).is_err());
        disk.write(512, &sector_of(3)).unwrap();
        disk.add(Fault::Unreadable(600..601));
        assert!(disk.read(512, &mut sector_of(0)).is_err());
        let mut read = sector_of(0);
        disk.read(0, &mut read).unwrap();
        assert_eq!(read, sector_of(1), "the failed write left nothing");
        disk.add(Fault::Flipped(7..8));
        disk.read(0, &mut read).unwrap();
        assert_eq!((read[6], read[7], read[8]), (1, 0, 1));
        disk.add(Fault::Forgotten(1024..1025));
        disk.add(Fault::Unwritable(1536..1537));
        disk.write(1024, &sector_of(4)).unwrap();
        assert!(disk.write(1536, &sector_of(4)).is_err());
        disk.heal();
        assert!(disk.flush().is_ok());
        assert_eq!(firsts(&disk.moment().medium), [1, 3, 0, 0]);
        disk.add(Fault::FlushFails);
        disk.write(0, &sector_of(6)).unwrap();
        assert!(disk.flush().is_err());
        assert_eq!(disk.moment().unflushed.len(), 1, "what failed to be flushed is not safe");
    }
}
