//! What Buildroot has made, Buildroot's `target` folder, as the root and as a source for the initramfs.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::{elf, initramfs::Parts, tree::Tree};

/// Where Buildroot says that the folder is not a root yet: owners and devices are missing, which the root here does not have either.
const WARNING: &str = "THIS_IS_NOT_YOUR_ROOT_FILESYSTEM";
/// Places that a running box mounts something on.
const PLACES: [&str; 7] = ["data", "dev", "proc", "run", "sys", "tmp", "var"];
/// What the initramfs takes from the root.
const PROGRAMS: [&str; 2] = ["busybox", "dmsetup"];

/// Writes the root to `into`. `folder` is scratch space.
///
/// # Errors
/// When mksquashfs fails.
pub fn root(target: &Path, folder: &Path, into: &Path) -> Result<()> {
    let tree = Tree::new(folder)?;
    tree.overlay(target)?;
    tree.remove(WARNING)?;
    tree.folders(&PLACES)?;
    tree.squashfs(into)
}

/// What the initramfs is made of, for a kernel that has everything built in.
///
/// # Errors
/// When a program or a library of one is missing.
pub fn parts(target: &Path, table: &str) -> Result<Parts> {
    let find = |name: &str, folders: &[&str]| -> Result<PathBuf> {
        let mut places = folders.iter().map(|folder| target.join(folder).join(name));
        let found = places.find(|path| path.is_file());
        found.with_context(|| format!("{} has no {name}", target.display()))
    };
    let library = |soname: &str| find(soname, &["lib", "usr/lib"]);
    let mut programs = Vec::new();
    for name in PROGRAMS {
        programs.push((format!("bin/{name}"), find(name, &["bin", "sbin", "usr/bin", "usr/sbin"])?));
    }
    let files: Vec<&Path> = programs.iter().map(|(_, file)| file.as_path()).collect();
    for soname in elf::libraries(&files, library)? {
        programs.push((format!("lib/{soname}"), library(&soname)?));
    }
    programs.push(loader(target)?);
    Ok(Parts { programs, table: table.to_owned(), ..Parts::default() })
}

/// The dynamic loader, by the name that is in every program: musl's is the C library itself.
fn loader(target: &Path) -> Result<(String, PathBuf)> {
    let folder = target.join("lib");
    for entry in folder.read_dir().with_context(|| format!("reading {}", folder.display()))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.starts_with("ld-") {
            return Ok((format!("lib/{name}"), folder.join(name)));
        }
    }
    bail!("{} has no dynamic loader", folder.display())
}
