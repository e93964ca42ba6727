//! A block device: what slots, the boot environment and small state are kept on.
//!
//! Writes may stay in a cache and reach the medium in any order, or torn at a sector, until [`BlockDevice::flush`] returns.
//! Everything above this trait is written for exactly that, and tested with power cuts at every write.

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
}
