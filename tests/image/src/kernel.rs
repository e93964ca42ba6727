//! Debian's kernel for virtual machines, and the initramfs that takes it to the proved root.
//!
//! A real board brings a kernel of its own with all of this built in; here modules do it.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use lab::paths;

use crate::{
    debian::{Debian, finish},
    tree::{Tree, entries},
};

/// What the initramfs loads, in this order, with parameters. A watchdog of 60 s leaves a slow first start its time and ends a
/// hang within what a patient owner waits.
const MODULES: &[&str] = &[
    "softdog soft_margin=60 nowayout=1",
    "virtio_mmio",
    "virtio_pci",
    "virtio_blk",
    "virtio_net",
    "virtio-rng",
    "sha2-ce",
    "dm-verity",
    "squashfs",
    "tun",
];

/// Copies the kernel to `into`: an arm64 `Image`, uncompressed.
///
/// # Errors
/// When the package has none.
pub fn image(debian: &Debian, into: &Path) -> Result<()> {
    let boot = debian.kernel().join("boot");
    let (_, kernel) = entries(&boot)?
        .into_iter()
        .find(|(name, _)| name.starts_with("vmlinuz-"))
        .with_context(|| format!("no kernel in {}", boot.display()))?;
    fs::copy(kernel, into)?;
    Ok(())
}

/// Writes an initramfs to `into` that proves the root by `table`, a device-mapper table with `DEVICE` for the partition.
/// `folder` is scratch space. The same table and packages give the same bytes.
///
/// # Errors
/// When a package lacks something.
pub fn initramfs(debian: &Debian, table: &str, folder: &Path, into: &Path) -> Result<()> {
    let tree = Tree::new(folder)?;
    tree.folders(&["dev", "proc", "root", "run", "sys"])?;
    let sources = paths::workspace().join("buildroot");
    tree.copy(&sources.join("initramfs/init"), "init", 0o755)?;
    tree.copy(&sources.join("overlay/usr/lib/streambox/partition"), "bin/partition", 0o755)?;
    tree.copy(&debian.file("busybox-static", "bin/busybox")?, "bin/busybox", 0o755)?;
    tree.link("bin/sh", "busybox")?;
    let dmsetup = debian.file("dmsetup", "sbin/dmsetup")?;
    tree.copy(&dmsetup, "bin/dmsetup", 0o755)?;
    libraries(debian, &tree, &[&dmsetup])?;
    modules(debian, &tree)?;
    tree.write("modules", (MODULES.join("\n") + "\n").as_bytes(), 0o644)?;
    tree.write("verity", table.as_bytes(), 0o644)?;
    fs::write(into, archive(tree.folder())?).with_context(|| format!("writing {}", into.display()))
}

/// Copies what programs of Debian's load at run time.
pub(crate) fn libraries(debian: &Debian, tree: &Tree, programs: &[&Path]) -> Result<()> {
    for soname in debian.libraries(programs)? {
        // The loader's path is in every program.
        let folder = if soname.starts_with("ld-linux") { "lib" } else { "lib/aarch64-linux-gnu" };
        tree.copy(&debian.library(&soname)?, &format!("{folder}/{soname}"), 0o755)?;
    }
    Ok(())
}

/// The configuration of the kernel, as the kernel's own build wrote it.
///
/// # Errors
/// When the package has none.
pub fn configuration(debian: &Debian) -> Result<String> {
    let boot = debian.kernel().join("boot");
    let config = entries(&boot)?.into_iter().find(|(name, _)| name.starts_with("config-"));
    let (_, path) = config.with_context(|| format!("no configuration in {}", boot.display()))?;
    fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
}

/// The names of all modules that the initramfs has: those that it loads, and what these need.
///
/// # Errors
/// When the kernel lacks one.
pub fn loaded(debian: &Debian) -> Result<Vec<String>> {
    let (_, needed) = needed(debian)?;
    let name = |file: &String| Some(Path::new(file).file_name()?.to_str()?.strip_suffix(".ko")?.to_owned());
    Ok(needed.iter().filter_map(|(file, _)| name(file)).collect())
}

/// Copies the modules with all that they need, and the list by which modprobe finds them.
fn modules(debian: &Debian, tree: &Tree) -> Result<()> {
    let (folder, needed) = needed(debian)?;
    let version = folder.file_name().unwrap_or_default().to_string_lossy();
    let mut list = String::new();
    for (file, others) in needed {
        tree.copy(&folder.join(&file), &format!("lib/modules/{version}/{file}"), 0o644)?;
        writeln!(list, "{file}:{others}")?;
    }
    tree.write(&format!("lib/modules/{version}/modules.dep"), list.as_bytes(), 0o644)
}

/// The folder of the kernel's modules, and of those that are loaded the file within and the others that it needs, as `modules.dep` says.
fn needed(debian: &Debian) -> Result<(PathBuf, Vec<(String, String)>)> {
    let all = debian.kernel().join("lib/modules");
    let version = fs::read_dir(&all)?.next().context("a kernel without modules")??.file_name();
    let folder = all.join(&version);
    if !folder.join("modules.dep").exists() {
        finish(std::process::Command::new("depmod").arg("-b").arg(debian.kernel()).arg(&version))?;
    }
    let needs = fs::read_to_string(folder.join("modules.dep"))?;
    let mut open: Vec<String> =
        MODULES.iter().filter_map(|line| Some(format!("/{}.ko", line.split(' ').next()?))).collect();
    let mut found: Vec<(String, String)> = Vec::new();
    while let Some(wanted) = open.pop() {
        let (file, others) = needs
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(file, _)| *file == wanted || file.ends_with(&wanted) && wanted.starts_with('/'))
            .with_context(|| format!("the kernel has no module {wanted}"))?;
        if found.iter().any(|(known, _)| known == file) {
            continue;
        }
        found.push((file.to_owned(), others.to_owned()));
        open.extend(others.split_whitespace().map(str::to_owned));
    }
    Ok((folder, found))
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
