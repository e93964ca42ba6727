//! The folder of releases on the disk. A file is there whole or not at all, and only one publisher writes at a time.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

/// An open folder; others wait until it is dropped.
pub(super) struct Folder {
    path: PathBuf,
    _turn: Flock<File>,
    /// How many files were begun: two workers may write the same one at once.
    begun: AtomicUsize,
}

impl Folder {
    /// Opens the folder, making it when it is not there.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let named = || format!("opening {}", path.display());
        fs::create_dir_all(path.join("metadata")).with_context(named)?;
        let file = File::open(path).with_context(named)?;
        let turn = Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno): (File, Errno)| errno);
        Ok(Self { path: path.to_owned(), _turn: turn.with_context(named)?, begun: AtomicUsize::new(0) })
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub(super) fn read(&self, name: &str) -> Result<Vec<u8>> {
        let path = self.path(name);
        fs::read(&path).with_context(|| format!("reading {}", path.display()))
    }

    /// The file's bytes; `None` when there is no such file.
    pub(super) fn read_if_there(&self, name: &str) -> Result<Option<Vec<u8>>> {
        if self.path(name).exists() { self.read(name).map(Some) } else { Ok(None) }
    }

    /// Writes a file beside its name, brings it to the disk, then gives it its name.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.path(name);
        let named = || format!("writing {}", path.display());
        let parent = path.parent().unwrap_or(&self.path);
        fs::create_dir_all(parent).with_context(named)?;
        let mut beside = path.clone().into_os_string();
        beside.push(format!(".{}.part", self.begun.fetch_add(1, Ordering::Relaxed)));
        let mut file = File::create(&beside).with_context(named)?;
        file.write_all(bytes).and_then(|()| file.sync_all()).with_context(named)?;
        fs::rename(&beside, &path).with_context(named)?;
        File::open(parent).and_then(|folder| folder.sync_all()).with_context(named)
    }
}
