//! A root file system that proves itself: its hash tree behind it (dm-verity), and the table by which the kernel reads it.
//!
//! No salt and no superblock: the same root gives the same bytes, a changed block changes only its path up the tree, and the
//! one hash that everything hangs on comes with the FIT's signature.

use std::{
    fs::{self, File},
    path::Path,
    process::Command,
};

use anyhow::{Context, Result};

use crate::tool::finish;

/// Bytes of a data block and of a hash block: a page.
const BLOCK: u64 = 4096;
/// Sectors of a block, as device-mapper tables count.
const SECTORS: u64 = BLOCK / 512;

/// Puts the hash tree behind the root in `file` and gives the device-mapper table, with `DEVICE` for the partition.
///
/// A block that is not what it was ends in a panic, so in a restart that counts as a crash, so in the other slot.
///
/// # Errors
/// When veritysetup fails.
pub fn append(file: &Path) -> Result<String> {
    let blocks = fs::metadata(file)?.len().div_ceil(BLOCK);
    File::options().write(true).open(file)?.set_len(blocks * BLOCK)?;
    let mut command = Command::new("veritysetup");
    command.args(["format", "--no-superblock", "--hash", "sha256", "--salt", "-"]);
    command.args(["--data-block-size", &BLOCK.to_string(), "--hash-block-size", &BLOCK.to_string()]);
    command.args(["--data-blocks", &blocks.to_string()]);
    command.args(["--hash-offset", &(blocks * BLOCK).to_string()]);
    let said = finish(command.args([file, file]))?;
    let hash = said
        .lines()
        .find_map(|line| line.strip_prefix("Root hash:"))
        .with_context(|| format!("veritysetup names no root hash: {said}"))?
        .trim();
    Ok(format!(
        "0 {} verity 1 DEVICE DEVICE {BLOCK} {BLOCK} {blocks} {blocks} sha256 {hash} - 1 panic_on_corruption\n",
        blocks * SECTORS
    ))
}
