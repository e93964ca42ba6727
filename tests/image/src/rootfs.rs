//! The read-only root: Buildroot's overlay, a busybox, the box's program, and who it is.
//!
//! An uncompressed squashfs, so that a change stays where it is and the rest of the image is the same bytes as before: an update
//! then fetches only the change, and each chunk is compressed on its way. Nobody can log in: no ssh, no getty, no shell on the
//! serial port.

use std::path::Path;

use anyhow::Result;
use imaging::tree::Tree;
use lab::paths;

use crate::{build::Options, debian::Debian, kernel::libraries};

/// What the overlay's scripts call, and init itself.
const APPLETS: &[&str] = &[
    "cat", "chmod", "cp", "cut", "devmem", "grep", "head", "hostname", "init", "ip", "killall", "mkdir",
    "mount", "mv", "pidof", "reboot", "rm", "sed", "sh", "sleep", "sync", "tr", "udhcpc", "umount", "usleep",
    "wc",
];
/// What makes and mends the data's file system.
const TOOLS: &[&str] = &["debugfs", "e2fsck", "mke2fs"];

/// Writes a root to `into`. `folder` is scratch space. The same inputs give the same bytes.
///
/// # Errors
/// When something is missing, or mksquashfs fails.
pub fn squashfs(
    debian: &Debian,
    program: &Path,
    options: &Options,
    folder: &Path,
    into: &Path,
) -> Result<()> {
    let tree = Tree::new(folder)?;
    tree.folders(&["data", "dev", "proc", "run", "sys", "tmp", "var"])?;
    tree.overlay(&paths::workspace().join("buildroot/overlay"))?;
    tree.copy(&debian.file("busybox-static", "bin/busybox")?, "bin/busybox", 0o755)?;
    for applet in APPLETS {
        let (folder, to) = if matches!(*applet, "init" | "reboot" | "udhcpc") {
            ("sbin", "../bin/busybox")
        } else {
            ("bin", "busybox")
        };
        tree.link(&format!("{folder}/{applet}"), to)?;
    }
    let tools = TOOLS.iter().map(|tool| debian.file("e2fsprogs", &format!("sbin/{tool}")));
    let tools = tools.collect::<Result<Vec<_>>>()?;
    for (name, file) in TOOLS.iter().zip(&tools) {
        tree.copy(file, &format!("sbin/{name}"), 0o755)?;
    }
    for (place, file) in libraries(debian, &tools.iter().map(AsRef::as_ref).collect::<Vec<_>>())? {
        tree.copy(&file, &place, 0o755)?;
    }
    tree.copy(&debian.file("e2fsprogs", "etc/mke2fs.conf")?, "etc/mke2fs.conf", 0o644)?;
    tree.copy(program, "bin/boxd", 0o755)?;
    tree.copy(&options.board_file(), "etc/streambox/board.toml", 0o644)?;
    tree.write("etc/streambox/version", format!("{}\n", options.version).as_bytes(), 0o644)?;
    for file in &options.files {
        tree.write(&file.name, &file.bytes, file.mode)?;
    }
    tree.squashfs(into)
}
