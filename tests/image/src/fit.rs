//! FITs, and the device tree that the machine here is started with.

use std::path::Path;

use anyhow::Result;
pub use imaging::{
    device_tree::Trust,
    fit::{CONFIGURATION, Key, Parts, build},
};

use crate::qemu;

/// Writes the device tree for [`qemu::Machine`] to `into`.
///
/// # Errors
/// When dtc, mkimage or QEMU does not.
pub fn tree(trust: Trust<'_>, into: &Path) -> Result<()> {
    imaging::device_tree::for_qemu(trust, Path::new(qemu::U_BOOT), into)
}
