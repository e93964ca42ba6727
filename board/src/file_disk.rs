//! A disk that the kernel gives: the node of a block device, or a plain file in its place.
//!
//! After [`FileDisk::flush`](BlockDevice::flush) the kernel's cache of what was written is dropped, so that reading it back asks
//! the medium and not the memory that it was written from.

use std::fs::{File, OpenOptions};
use std::io::{Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

use crate::block::{BlockDevice, Claim, DiskError, Lock, whole_sectors};

/// The disk. Its length is what it was when it was opened.
#[derive(Debug)]
pub struct FileDisk {
    file: File,
    path: PathBuf,
    bytes: u64,
}

impl FileDisk {
    /// Opens a node or a file for reading and writing.
    ///
    /// # Errors
    /// When it is not there, may not be written, or has no length.
    pub fn open(path: &Path) -> Result<Self, DiskError> {
        let mut file = OpenOptions::new().read(true).write(true).open(path)?;
        // A block device has no length in its metadata; its end is as far as one can seek (lseek(2)).
        let bytes = file.seek(SeekFrom::End(0))?;
        Ok(Self { file, path: path.to_owned(), bytes })
    }
}

impl BlockDevice for FileDisk {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn read(&self, at: u64, into: &mut [u8]) -> Result<(), DiskError> {
        whole_sectors(self.bytes, at, into.len())?;
        Ok(self.file.read_exact_at(into, at)?)
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> Result<(), DiskError> {
        whole_sectors(self.bytes, at, bytes.len())?;
        Ok(self.file.write_all_at(bytes, at)?)
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        self.file.sync_data()?;
        // Length 0 is the whole file; only clean pages go (posix_fadvise(2)), and after the sync all are.
        posix_fadvise(&self.file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)
            .map_err(std::io::Error::from)?;
        Ok(())
    }

    fn lock(&self) -> Result<Lock, DiskError> {
        // A description of its own: a lock belongs to one (flock(2)), so two users of this disk exclude each other, too.
        Lock::of(File::open(&self.path)?)
    }

    fn claim(&self, at: u64, bytes: u64) -> Result<Option<Claim>, DiskError> {
        Claim::of(OpenOptions::new().read(true).write(true).open(&self.path)?, at, bytes)
    }
}
