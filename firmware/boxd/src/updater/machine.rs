//! The box's two slots and its small state, found by the board's partition map.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use board::file_disk::FileDisk;
use board::header::Header;
use board::map::BoardMap;
use board::partition::Window;
use board::reset::Started;
use board::slot::SlotName;
use board::slots::Slots;
use board::store::Store;
use update::{Floors, Release};

use crate::config;

/// The name of the floors in the small state.
const FLOORS: &str = "floors";

/// The disk that updates are written to.
#[derive(Debug)]
pub(crate) struct Machine {
    /// The partition map.
    pub(crate) map: BoardMap,
    /// The slot that runs.
    pub(crate) running: SlotName,
    /// Whether this start came after a crash or the watchdog.
    pub(crate) crashed: bool,
    disk: PathBuf,
}

impl Machine {
    /// Reads the map and what the kernel was started with.
    ///
    /// # Errors
    /// When the board has no map, or was not started from a slot.
    pub(crate) fn open(board: &config::Board) -> anyhow::Result<Self> {
        let file = board.map.as_ref().context(
            "this box has one system only, which it cannot update: it has no partition map ([board] map)",
        )?;
        let text =
            std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let map = BoardMap::parse(&text).with_context(|| format!("{} ([board] map)", file.display()))?;
        let line = board.command_line.clone().unwrap_or_else(|| "/proc/cmdline".into());
        let words =
            std::fs::read_to_string(&line).with_context(|| format!("cannot read {}", line.display()))?;
        let started = Started::parse(&words);
        let running = started.slot.with_context(|| {
            format!("{} does not say from which slot the box was started (slot=a or slot=b)", line.display())
        })?;
        let disk = board.disk.clone().unwrap_or_else(|| PathBuf::from(&map.device));
        Ok(Self { map, running, crashed: started.crashed, disk })
    }

    /// The slots.
    ///
    /// # Errors
    /// When the disk cannot be opened.
    pub(crate) fn slots(&self) -> anyhow::Result<Slots<FileDisk>> {
        Ok(Slots::new(self.open_disk()?, self.map.partitions.clone(), self.running)?)
    }

    /// What the box never goes below. A disk that has lost both copies counts as a new one: signatures still hold.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub(crate) fn floors(&self) -> anyhow::Result<Floors> {
        let kept = self.store()?.get(FLOORS)?;
        Ok(kept.and_then(|bytes| Floors::decode(&bytes).ok()).unwrap_or_default())
    }

    /// Raises the floors to these. Writes only what is higher.
    ///
    /// # Errors
    /// When the disk cannot be written.
    pub(crate) fn raise_floors(&self, floors: &Floors) -> anyhow::Result<()> {
        self.store()?.revise(FLOORS, |kept| {
            let mut raised = kept.and_then(|bytes| Floors::decode(bytes).ok()).unwrap_or_default();
            raised.raise(floors);
            Some(raised.encode().to_vec())
        })?;
        Ok(())
    }

    /// The small state.
    ///
    /// # Errors
    /// When the disk cannot be opened.
    pub(crate) fn store(&self) -> anyhow::Result<Store<Window<FileDisk>>> {
        Ok(Store::new(Window::new(self.open_disk()?, self.map.partitions.id())))
    }

    fn open_disk(&self) -> anyhow::Result<FileDisk> {
        FileDisk::open(&self.disk)
            .with_context(|| format!("cannot open the disk {} ([board] disk)", self.disk.display()))
    }

    /// What the slot's header will say of a release.
    ///
    /// # Errors
    /// When the release is for another board.
    pub(crate) fn header(&self, release: &Release) -> anyhow::Result<Header> {
        ensure!(
            release.board == self.map.name,
            "the release is for the board {}, and this box is a {}",
            release.board,
            self.map.name
        );
        let image =
            |image: &update::Image| Some((image.bytes, update::Chunk(image.sha256.clone(), 1).hash()?));
        let (fit, root) = image(&release.fit).zip(image(&release.root)).context("a hash is none")?;
        Ok(Header {
            version: release.version.clone(),
            board: release.board.clone(),
            security: release.security,
            schema: release.schema,
            fit,
            root,
        })
    }
}
