//! A part of a disk as a disk of its own: nothing outside the region can be read or written through a [`Window`].

use crate::block::{BlockDevice, DiskError, Lock};
use crate::map::Region;

/// The view. Reads and writes are checked against the region first, then moved to its place.
#[derive(Debug)]
pub struct Window<D> {
    disk: D,
    region: Region,
}

impl<D: BlockDevice> Window<D> {
    /// A view of `region`, which is checked against the disk when it is used.
    pub const fn new(disk: D, region: Region) -> Self {
        Self { disk, region }
    }

    fn place(&self, at: u64, length: usize) -> Result<u64, DiskError> {
        let end = at.saturating_add(length as u64);
        let place = self.region.at.checked_add(at).filter(|_| end <= self.region.bytes);
        place.ok_or(DiskError::Range { at, end })
    }
}

impl<D: BlockDevice> BlockDevice for Window<D> {
    fn bytes(&self) -> u64 {
        self.region.bytes
    }

    fn read(&self, at: u64, into: &mut [u8]) -> Result<(), DiskError> {
        self.disk.read(self.place(at, into.len())?, into)
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let place = self.place(at, bytes.len())?;
        self.disk.write(place, bytes)
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        self.disk.flush()
    }

    fn lock(&self) -> Result<Lock, DiskError> {
        self.disk.lock()
    }
}
