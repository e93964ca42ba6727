//! A block device: what slots, the boot environment and small state are kept on.
//!
//! Writes may stay in a cache and reach the medium in any order, or torn at a sector, until [`BlockDevice::flush`] returns.
//! Everything above this trait is written for exactly that, and tested with power cuts at every write.

use std::fs::File;

use nix::fcntl::{Flock, FlockArg};

/// Bytes that a medium writes whole or not at all.
pub const SECTOR: u64 = 512;

/// A device of sectors. Offsets and lengths are in bytes and multiples of [`SECTOR`].
pub trait BlockDevice {
    /// Length of the device.
    fn bytes(&self) -> u64;

    /// Fills `into` from `at`: what was written last, flushed or not.
    ///
    /// # Errors
    /// When the range lies outside, is not aligned, or the medium cannot read it.
    fn read(&self, at: u64, into: &mut [u8]) -> Result<(), DiskError>;

    /// Writes `bytes` at `at`.
    ///
    /// # Errors
    /// As [`BlockDevice::read`].
    fn write(&mut self, at: u64, bytes: &[u8]) -> Result<(), DiskError>;

    /// Returns when everything written so far would survive a power cut.
    ///
    /// # Errors
    /// When the medium cannot promise that.
    fn flush(&mut self) -> Result<(), DiskError>;

    /// Waits until nobody else who asks changes this disk, and keeps it so while the [`Lock`] lives. For what is read,
    /// changed and written again; it does not nest. A disk that only one process can have need not do anything.
    ///
    /// # Errors
    /// When the kernel refuses it.
    fn lock(&self) -> Result<Lock, DiskError> {
        Ok(Lock::default())
    }
}

/// Held while something on a disk is read, changed and written; dropped, it lets the next one in.
#[derive(Debug, Default)]
pub struct Lock(Option<Flock<File>>);

impl Lock {
    /// Locks a file, as flock(2) does: every process that asks the same way waits.
    ///
    /// # Errors
    /// When the file system has no locks.
    pub fn of(file: File) -> Result<Self, DiskError> {
        let locked = Flock::lock(file, FlockArg::LockExclusive);
        locked.map(|held| Self(Some(held))).map_err(|(_, error)| DiskError::Medium(error.into()))
    }

    /// Whether others are really kept out.
    pub const fn is_held(&self) -> bool {
        self.0.is_some()
    }
}

/// Refuses what is not whole sectors of a device of `bytes`.
///
/// # Errors
/// [`DiskError::Range`].
pub const fn whole_sectors(bytes: u64, at: u64, length: usize) -> Result<(), DiskError> {
    let end = at.saturating_add(length as u64);
    if at.is_multiple_of(SECTOR) && end.is_multiple_of(SECTOR) && end <= bytes {
        return Ok(());
    }
    Err(DiskError::Range { at, end })
}

/// Why a device did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// Past the end, or not on a sector's edge: a mistake of the caller.
    #[error("bytes {at} to {end} are not whole sectors of the device")]
    Range {
        /// First byte.
        at: u64,
        /// Byte behind the last.
        end: u64,
    },
    /// The medium.
    #[error("the disk: {0}")]
    Medium(#[from] std::io::Error),
    /// Only in tests: the power is gone.
    #[error("the power is cut")]
    Cut,
}

impl<D: BlockDevice + ?Sized> BlockDevice for &mut D {
    fn bytes(&self) -> u64 {
        (**self).bytes()
    }

    fn read(&self, at: u64, into: &mut [u8]) -> Result<(), DiskError> {
        (**self).read(at, into)
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> Result<(), DiskError> {
        (**self).write(at, bytes)
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        (**self).flush()
    }

    fn lock(&self) -> Result<Lock, DiskError> {
        (**self).lock()
    }
}
