//! A system as a slot takes it: the root with its hash tree, the FIT that vouches for the root, the header that vouches for both.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use board::{boot::script::Board, header::Header, map::BoardMap};
use ring::digest::{SHA256, digest};

use crate::{
    fit::{self, Key},
    verity,
};

/// The schema of the data that the sources here write.
pub const SCHEMA: u32 = 1;

/// What a release says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// The version that people read.
    pub version: String,
    /// The security version.
    pub security: u32,
    /// The schema of the data that it writes.
    pub schema: u32,
}

/// The files of a system.
#[derive(Debug, Clone)]
pub struct Files {
    /// The root: a squashfs, behind which the hash tree is put.
    pub root: PathBuf,
    /// The signed FIT.
    pub fit: PathBuf,
    /// The slot's header, as in the first sector of the FIT's partition.
    pub header: PathBuf,
}

/// A board, as its `board.toml` says it.
#[derive(Debug, Clone)]
pub struct Machine {
    /// The disk.
    pub map: BoardMap,
    /// What U-Boot's script is made with.
    pub boot: Board,
}

impl Machine {
    /// Reads a `board.toml`.
    ///
    /// # Errors
    /// Naming the key that is wrong.
    pub fn read(file: &Path) -> Result<Self> {
        let said = || format!("reading {}", file.display());
        let text = fs::read_to_string(file).with_context(said)?;
        Ok(Self {
            map: BoardMap::parse(&text).with_context(said)?,
            boot: Board::parse(&text).with_context(said)?,
        })
    }
}

/// Makes the FIT and the header for the root that is there. `initramfs` is told the root's device-mapper table and writes the
/// initramfs to the path that it is given.
///
/// # Errors
/// Naming the tool that failed.
pub fn complete(
    machine: &Machine,
    release: &Release,
    kernel: &Path,
    initramfs: impl FnOnce(&str, &Path) -> Result<()>,
    key: &Key,
    files: &Files,
) -> Result<()> {
    let table = verity::append(&files.root)?;
    let small = files.fit.with_extension("initramfs");
    initramfs(&table, &small)?;
    let parts = fit::Parts { kernel, initramfs: &small, load: machine.boot.kernel };
    fit::build(parts, Some(key), &files.fit)?;
    fs::remove_file(small)?;
    whole_sectors(&files.fit)?;
    let header = Header {
        version: release.version.clone(),
        board: machine.map.name.clone(),
        security: release.security,
        schema: release.schema,
        fit: measure(&files.fit)?,
        root: measure(&files.root)?,
    };
    fs::write(&files.header, header.encode()?).with_context(|| format!("writing {}", files.header.display()))
}

/// Slots are read by sectors.
fn whole_sectors(file: &Path) -> Result<()> {
    let file = File::options().write(true).open(file)?;
    let length = file.metadata()?.len();
    Ok(file.set_len(length.next_multiple_of(512))?)
}

/// Length and hash.
fn measure(file: &Path) -> Result<(u64, [u8; 32])> {
    let bytes = fs::read(file).with_context(|| format!("reading {}", file.display()))?;
    Ok((bytes.len() as u64, digest(&SHA256, &bytes).as_ref().try_into()?))
}
