//! A block device: what slots, the boot environment and small state are kept on.
//!
//! Writes may stay in a cache and reach the medium in any order, or torn at a sector, until [`BlockDevice::flush`] returns.
//! Everything above this trait is written for exactly that, and tested with power cuts at every write.

use std::fs::File;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, Flock, FlockArg, fcntl};
use nix::libc;

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

    /// Keeps `bytes` from `at` for one writer, for as long as the [`Claim`] lives; `None` while somebody else has any of them. It
    /// waits for nobody, and has nothing to do with [`BlockDevice::lock`].
    ///
    /// # Errors
    /// When the kernel refuses it.
    fn claim(&self, at: u64, bytes: u64) -> Result<Option<Claim>, DiskError> {
        let _ = (at, bytes);
        Ok(Some(Claim::default()))
    }
}

/// Held while somebody writes to a part of a disk for long; dropped, the part is free.
#[derive(Debug, Default)]
pub struct Claim(Option<File>);

impl Claim {
    /// Claims a part of a file that is open for writing, by a lock of its open file description (fcntl_locking(2)): it ends with the
    /// process, however that ends.
    ///
    /// # Errors
    /// When the file system has no such locks.
    pub fn of(file: File, at: u64, bytes: u64) -> Result<Option<Self>, DiskError> {
        let range = |number: u64| i64::try_from(number).map_err(|_| DiskError::Range { at, end: u64::MAX });
        let part = libc::flock {
            l_type: libc::F_WRLCK as i16,
            l_whence: libc::SEEK_SET as i16,
            l_start: range(at)?,
            l_len: range(bytes)?,
            l_pid: 0,
        };
        match fcntl(&file, FcntlArg::F_OFD_SETLK(&part)) {
            Ok(_) => Ok(Some(Self(Some(file)))),
            Err(Errno::EAGAIN | Errno::EACCES) => Ok(None),
            Err(error) => Err(DiskError::Medium(error.into())),
        }
    }

    /// Whether others are really kept out.
    pub const fn is_held(&self) -> bool {
        self.0.is_some()
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

    fn claim(&self, at: u64, bytes: u64) -> Result<Option<Claim>, DiskError> {
        (**self).claim(at, bytes)
    }
}
