//! A part of a disk as a disk of its own: nothing outside the region can be read or written through a [`Window`].

use crate::block::{BlockDevice, Claim, DiskError, Lock};
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

    fn claim(&self, at: u64, bytes: u64) -> Result<Option<Claim>, DiskError> {
        let length = usize::try_from(bytes).unwrap_or(usize::MAX);
        self.disk.claim(self.place(at, length)?, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mem_disk::{MemDisk, sector_of};

    #[test]
    fn a_window_moves_its_region_and_shows_nothing_else() {
        let mut disk = MemDisk::new(8 * 512);
        let mut window = Window::new(&mut disk, Region { at: 1024, bytes: 1024 });
        assert_eq!(window.bytes(), 1024);
        window.write(512, &sector_of(7)).unwrap();
        window.flush().unwrap();
        for (at, length) in [(1024, 512), (512, 1024), (u64::MAX - 511, 512), (u64::MAX - 1023, 1024)] {
            assert!(matches!(window.read(at, &mut vec![0; length]), Err(DiskError::Range { .. })), "{at}");
            assert!(matches!(window.write(at, &vec![1; length]), Err(DiskError::Range { .. })), "{at}");
        }
        let mut all = [0; 8 * 512];
        disk.read(0, &mut all).unwrap();
        let firsts: Vec<u8> = all.iter().step_by(512).copied().collect();
        assert_eq!(firsts, [0, 0, 0, 7, 0, 0, 0, 0]);
        assert_eq!((disk.operations(), disk.flushes()), (2, 1));
    }

    #[test]
    fn a_region_past_the_disk_is_an_error_and_no_panic() {
        let mut disk = MemDisk::new(512);
        for region in [Region { at: 512, bytes: 512 }, Region { at: u64::MAX - 511, bytes: u64::MAX }] {
            let mut window = Window::new(&mut disk, region);
            assert!(window.read(0, &mut sector_of(0)).is_err());
            assert!(window.write(512, &sector_of(0)).is_err());
        }
    }
}
