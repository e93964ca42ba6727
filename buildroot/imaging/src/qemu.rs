//! QEMU as the board `qemu-aarch64`: which machine it is, and the device tree that it describes itself with.

use std::{path::Path, process::Command};

use anyhow::Result;

use crate::tool::finish;

/// The emulator.
pub const EMULATOR: &str = "qemu-system-aarch64";
/// The machine of board.toml; a device tree is right for exactly these.
pub const MACHINE: [&str; 7] = ["-cpu", "cortex-a53", "-smp", "2", "-m", "512", "-nodefaults"];

/// Writes the device tree that QEMU would hand to this machine with this boot loader to `into`.
///
/// # Errors
/// When QEMU does not.
pub fn dump_tree(boot_loader: &Path, into: &Path) -> Result<()> {
    let mut command = Command::new(EMULATOR);
    command.args(["-machine", &format!("virt,dumpdtb={}", into.display())]).args(MACHINE);
    // Without the boot loader QEMU describes a GPIO that the machine with it does not have.
    finish(command.args(["-display", "none", "-bios"]).arg(boot_loader))?;
    Ok(())
}
