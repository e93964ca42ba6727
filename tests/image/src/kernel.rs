//! Debian's kernel for virtual machines, and the initramfs that takes it to the proved root.
//!
//! A real board brings a kernel of its own with all of this built in; here modules do it.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use imaging::{
    elf,
    initramfs::{self, Parts},
    tool::finish,
    tree::entries,
};
use lab::paths;

use crate::debian::Debian;

/// What the initramfs loads, in this order, with parameters. A watchdog of 60 s leaves a slow first start its time and ends a
/// hang within what a patient owner waits.
pub const MODULES: &[&str] = &[
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
    let dmsetup = debian.file("dmsetup", "sbin/dmsetup")?;
    let mut programs = libraries(debian, &[&dmsetup])?;
    programs.push(("bin/busybox".into(), debian.file("busybox-static", "bin/busybox")?));
    programs.push(("bin/dmsetup".into(), dmsetup));
    let (modules, list) = modules(debian)?;
    let parts = Parts {
        programs,
        modules,
        list: Some(list),
        load: MODULES.join("\n") + "\n",
        table: table.to_owned(),
    };
    initramfs::write(&paths::workspace().join("buildroot"), &parts, folder, into)
}

/// What programs of Debian's load at run time, each with its place.
pub(crate) fn libraries(debian: &Debian, programs: &[&Path]) -> Result<Vec<(String, PathBuf)>> {
    let place = |soname: String| {
        // The loader's path is in every program.
        let folder = if soname.starts_with("ld-linux") { "lib" } else { "lib/aarch64-linux-gnu" };
        Ok((format!("{folder}/{soname}"), debian.library(&soname)?))
    };
    elf::libraries(programs, |soname| debian.library(soname))?.into_iter().map(place).collect()
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

/// A file, and its place in the initramfs.
type Placed<T> = (String, T);

/// The modules with all that they need, and the list by which modprobe finds them.
fn modules(debian: &Debian) -> Result<(Vec<Placed<PathBuf>>, Placed<String>)> {
    let (folder, needed) = needed(debian)?;
    let version = folder.file_name().unwrap_or_default().to_string_lossy();
    let place = |file: &str| format!("lib/modules/{version}/{file}");
    let mut list = String::new();
    let mut files = Vec::new();
    for (file, others) in needed {
        writeln!(list, "{file}:{others}")?;
        files.push((place(&file), folder.join(&file)));
    }
    Ok((files, (place("modules.dep"), list)))
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
