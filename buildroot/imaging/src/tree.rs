//! A file system being put together in a folder. Owners and times are nobody's business here: the writers of archives and
//! images leave them out, so that the same files give the same bytes.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use crate::tool::finish;

/// The folder.
#[derive(Debug)]
pub struct Tree(PathBuf);

impl Tree {
    /// An empty one; what was in the folder is gone.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn new(folder: &Path) -> Result<Self> {
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        fs::create_dir_all(folder)?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
        Ok(Self(folder.to_path_buf()))
    }

    /// Where it is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// Makes empty folders.
    ///
    /// # Errors
    /// When one cannot be made.
    pub fn folders(&self, names: &[&str]) -> Result<()> {
        names.iter().try_for_each(|name| parents(&self.0.join(name).join("x")))
    }

    /// Writes a file, in place of what is there.
    ///
    /// # Errors
    /// When the folder cannot be written to.
    pub fn write(&self, name: &str, bytes: &[u8], mode: u32) -> Result<()> {
        let path = self.0.join(name);
        parents(&path)?;
        if path.symlink_metadata().is_ok() {
            fs::remove_file(&path)?;
        }
        fs::write(&path, bytes).with_context(|| format!("writing {}", path.display()))?;
        Ok(fs::set_permissions(&path, fs::Permissions::from_mode(mode))?)
    }

    /// Copies a file under a name.
    ///
    /// # Errors
    /// When the file cannot be read, or the folder not written to.
    pub fn copy(&self, from: &Path, name: &str, mode: u32) -> Result<()> {
        let bytes = fs::read(from).with_context(|| format!("reading {}", from.display()))?;
        self.write(name, &bytes, mode)
    }

    /// Takes a file away, if it is there.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove(&self, name: &str) -> Result<()> {
        let path = self.0.join(name);
        if path.symlink_metadata().is_ok() {
            fs::remove_file(&path).with_context(|| format!("removing {name}"))?;
        }
        Ok(())
    }

    /// Makes a link.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn link(&self, name: &str, to: &str) -> Result<()> {
        let path = self.0.join(name);
        parents(&path)?;
        symlink(to, &path).with_context(|| format!("linking {name}"))
    }

    /// Writes it to `into` as an uncompressed squashfs, so that a change stays where it is and the rest is the same bytes as before: an
    /// update then fetches only the change, and each chunk is compressed on its way.
    ///
    /// # Errors
    /// When mksquashfs fails.
    pub fn squashfs(&self, into: &Path) -> Result<()> {
        if into.exists() {
            fs::remove_file(into)?;
        }
        let mut command = Command::new("mksquashfs");
        command.arg(&self.0).arg(into);
        command.args(["-noI", "-noD", "-noF", "-noX", "-no-xattrs", "-no-exports", "-no-duplicates"]);
        command.args([
            "-all-time",
            "0",
            "-mkfs-time",
            "0",
            "-all-root",
            "-noappend",
            "-no-progress",
            "-quiet",
        ]);
        // One writer: several would put files where the scheduler likes.
        command.args(["-processors", "1"]).env_remove("SOURCE_DATE_EPOCH");
        finish(&mut command)?;
        let length = fs::metadata(into).context("mksquashfs wrote nothing")?.len();
        ensure!(length > 0, "mksquashfs wrote nothing");
        Ok(())
    }

    /// Lays another folder over it: links stay links, files keep only whether they are programs.
    ///
    /// # Errors
    /// When something of it cannot be read.
    pub fn overlay(&self, from: &Path) -> Result<()> {
        for (name, path) in entries(from)? {
            let meta = path.symlink_metadata()?;
            if meta.is_symlink() {
                self.link(&name, &fs::read_link(&path)?.to_string_lossy())?;
            } else if meta.is_file() {
                let program = meta.permissions().mode() & 0o100 != 0;
                self.copy(&path, &name, if program { 0o755 } else { 0o644 })?;
            }
        }
        Ok(())
    }
}

/// Makes the folders that a file lies in.
fn parents(path: &Path) -> Result<()> {
    let Some(parent) = path.parent().filter(|parent| !parent.exists()) else { return Ok(()) };
    parents(parent)?;
    fs::create_dir(parent)?;
    // Whatever the umask here is.
    Ok(fs::set_permissions(parent, fs::Permissions::from_mode(0o755))?)
}

/// Everything under a folder, by its name in it; folders before what is in them, otherwise sorted.
///
/// # Errors
/// When a folder cannot be read.
pub fn entries(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next).with_context(|| format!("reading {}", next.display()))? {
            let path = entry?.path();
            if path.symlink_metadata()?.is_dir() {
                open.push(path.clone());
            }
            found.push((path.strip_prefix(folder)?.to_string_lossy().into_owned(), path));
        }
    }
    found.sort();
    Ok(found)
}
