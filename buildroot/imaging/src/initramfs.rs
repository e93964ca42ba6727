//! The initramfs that takes a kernel to the proved root: init, a shell, dmsetup, the root's table, and modules for a kernel that has
//! them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::tree::{Tree, entries};

/// What goes into it, beside what every box has.
#[derive(Debug, Clone, Default)]
pub struct Parts {
    /// Programs and their libraries, each with its place: `bin/busybox` and `bin/dmsetup` must be among them.
    pub programs: Vec<(String, PathBuf)>,
    /// Kernel modules, each with its place.
    pub modules: Vec<(String, PathBuf)>,
    /// The list by which modprobe finds them, and its place; none for a kernel without modules.
    pub list: Option<(String, String)>,
    /// What init loads, a module and its parameters a line.
    pub load: String,
    /// The root's device-mapper table, with `DEVICE` for the partition.
    pub table: String,
}

/// Writes an initramfs to `into`. `sources` is this repository's folder `buildroot`, `folder` is scratch space.
///
/// # Errors
/// When a file is missing.
pub fn write(sources: &Path, parts: &Parts, folder: &Path, into: &Path) -> Result<()> {
    let tree = Tree::new(folder)?;
    tree.folders(&["dev", "proc", "root", "run", "sys"])?;
    tree.copy(&sources.join("initramfs/init"), "init", 0o755)?;
    tree.copy(&sources.join("overlay/usr/lib/streambox/partition"), "bin/partition", 0o755)?;
    for (place, file) in &parts.programs {
        tree.copy(file, place, 0o755)?;
    }
    tree.link("bin/sh", "busybox")?;
    for (place, file) in &parts.modules {
        tree.copy(file, place, 0o644)?;
    }
    if let Some((place, text)) = &parts.list {
        tree.write(place, text.as_bytes(), 0o644)?;
    }
    tree.write("modules", parts.load.as_bytes(), 0o644)?;
    tree.write("verity", parts.table.as_bytes(), 0o644)?;
    fs::write(into, archive(tree.folder())?).with_context(|| format!("writing {}", into.display()))
}

/// A folder as a cpio archive as the kernel reads it (its Documentation/driver-api/early-userspace/buffer-format.rst): all of it
/// belongs to root and was made at the beginning of time.
fn archive(folder: &Path) -> Result<Vec<u8>> {
    use std::os::unix::fs::PermissionsExt;
    let mut bytes = Vec::new();
    for (number, (name, path)) in (1..).zip(entries(folder)?) {
        let meta = path.symlink_metadata()?;
        let content = if meta.is_symlink() {
            fs::read_link(&path)?.into_os_string().into_encoded_bytes()
        } else if meta.is_dir() {
            Vec::new()
        } else {
            fs::read(&path)?
        };
        entry(&mut bytes, number, meta.permissions().mode(), &name, &content);
    }
    entry(&mut bytes, 0, 0, "TRAILER!!!", &[]);
    // U-Boot and the chunks of a release like whole sectors.
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    Ok(bytes)
}

fn entry(bytes: &mut Vec<u8>, number: u32, mode: u32, name: &str, content: &[u8]) {
    let links = u32::from(number > 0);
    let header = [number, mode, 0, 0, links, 0, content.len() as u32, 0, 0, 0, 0, name.len() as u32 + 1, 0];
    bytes.extend(b"070701");
    bytes.extend(header.iter().flat_map(|field| format!("{field:08X}").into_bytes()));
    bytes.extend(name.as_bytes());
    bytes.push(0);
    pad(bytes);
    bytes.extend(content);
    pad(bytes);
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}
