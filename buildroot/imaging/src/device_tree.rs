//! What a boot loader trusts and runs, in its own device tree: the key, the boot script and the reset marker's page.
//!
//! On a real board the tree is built into the boot loader, QEMU hands it over: who can write the disk can change none of it.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result};

use crate::{
    fit::{self, Key},
    qemu,
    tool::finish,
};

/// Bytes left free in the device tree: U-Boot and QEMU add nodes to it.
const ROOM: &str = "16384";

/// What is kept from the kernel at least.
const PAGE: u64 = 0x1000;

/// What a boot loader's device tree carries beside the board's own.
#[derive(Debug, Clone, Copy)]
pub struct Trust<'a> {
    /// Whose FITs run; nobody's: all run.
    pub key: Option<&'a Key>,
    /// The boot script, run at once and without a way to stop it; without one U-Boot shows its prompt.
    pub script: Option<&'a str>,
    /// The address of the reset marker: a page where neither U-Boot nor the kernel puts anything, or a register.
    pub marker: u64,
}

/// Writes the tree that QEMU is started with to `into`: QEMU's own for the machine with this boot loader, and what is added.
///
/// # Errors
/// When dtc, mkimage or QEMU does not.
pub fn for_qemu(trust: Trust<'_>, boot_loader: &Path, into: &Path) -> Result<()> {
    let (dumped, source) = (into.with_extension("qemu.dtb"), into.with_extension("dts"));
    qemu::dump_tree(boot_loader, &dumped)?;
    finish(Command::new("dtc").args(["-q", "-I", "dtb", "-O", "dts", "-o"]).args([&source, &dumped]))?;
    // The seeds that QEMU made for this dump would be every boot's: the kernel gathers its own.
    let seeds = "/ { chosen { /delete-property/ rng-seed; /delete-property/ kaslr-seed; }; };\n";
    fs::write(&source, fs::read_to_string(&source)? + seeds + &added(trust))?;
    compile(&source, into)?;
    if let Some(key) = trust.key {
        fit::trust(key, into)?;
    }
    [dumped, source].iter().try_for_each(|file| Ok(fs::remove_file(file)?))
}

/// Writes the same as a source that is included behind a board's own tree (`CONFIG_DEVICE_TREE_INCLUDES` of U-Boot) to `into`, with
/// `device-tree.dtsi` of the board's folder, if it has one.
///
/// # Errors
/// When dtc or mkimage does not.
pub fn include(trust: Trust<'_>, board: &Path, into: &Path) -> Result<()> {
    let lacking = board.join("device-tree.dtsi");
    let mut text = added(trust);
    if lacking.exists() {
        text += &fs::read_to_string(&lacking).with_context(|| format!("reading {}", lacking.display()))?;
    }
    if let Some(key) = trust.key {
        let (source, tree) = (into.with_extension("key.dts"), into.with_extension("key.dtb"));
        fs::write(&source, "/dts-v1/; / { };\n")?;
        compile(&source, &tree)?;
        fit::trust(key, &tree)?;
        let alone = finish(Command::new("dtc").args(["-q", "-I", "dtb", "-O", "dts"]).arg(&tree))?;
        text += alone.split_once("/dts-v1/;").context("dtc wrote no source")?.1;
        for file in [source, tree] {
            fs::remove_file(file)?;
        }
    }
    fs::write(into, text).with_context(|| format!("writing {}", into.display()))
}

fn compile(source: &Path, into: &Path) -> Result<()> {
    finish(
        Command::new("dtc").args(["-q", "-I", "dts", "-O", "dtb", "-p", ROOM, "-o"]).args([into, source]),
    )?;
    Ok(())
}

fn added(trust: Trust<'_>) -> String {
    let Trust { script, marker, .. } = trust;
    let config = script.map_or_else(String::new, |script| {
        let text = script.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        // U-Boot takes -2 as: do not even look whether somebody typed.
        format!("config {{ bootcmd = \"{text}\"; bootdelay = <0xfffffffe>; }};\n")
    });
    // A marker that does not begin a page is a register: no memory to keep anybody from.
    let page = if marker.is_multiple_of(PAGE) {
        format!(
            "reserved-memory {{ #address-cells = <2>; #size-cells = <2>; ranges;\n\
             reset-marker@{marker:x} {{ reg = <0 {marker:#x} 0 {PAGE:#x}>; no-map; }}; }};\n"
        )
    } else {
        String::new()
    };
    format!("/ {{\n{page}{config}}};\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_memory_is_kept_from_the_kernel_and_a_register_is_not_called_memory() {
        let tree = |marker| added(Trust { key: None, script: Some("run main"), marker });
        assert!(tree(0x0b00_0000).contains("reset-marker@b000000 { reg = <0 0xb000000 0 0x1000>; no-map; }"));
        assert!(!tree(0xff10_05d8).contains("reserved-memory"));
        assert!(tree(0xff10_05d8).contains("bootcmd = \"run main\""));
    }
}
