//! The file system as a migration needs it, and the migration done to it.

use std::io;

use super::{CURRENT, Found, Schemas, Step, TREES, plan, tree};

/// Folders and small files below one folder. What is done may stay in a cache and reach the medium in any order until
/// [`Folders::flush`] or [`Folders::flush_file`] returns.
#[allow(clippy::missing_errors_doc, reason = "each fails when the medium does, and says so")]
pub trait Folders {
    /// The names in a folder, sorted; none when it is not there.
    fn list(&self, folder: &str) -> io::Result<Vec<String>>;
    /// A file's bytes; `None` when it is not there.
    fn read(&self, file: &str) -> io::Result<Option<Vec<u8>>>;
    /// Where a link points to; `None` when it is not there.
    fn linked(&self, link: &str) -> io::Result<Option<String>>;
    /// Makes a file with these bytes; it is not there before.
    fn write(&mut self, file: &str, bytes: &[u8]) -> io::Result<()>;
    /// Returns when the bytes of a file would survive a power cut; its name may still be lost.
    fn flush_file(&mut self, file: &str) -> io::Result<()>;
    /// Returns when the names in a folder would survive a power cut.
    fn flush(&mut self, folder: &str) -> io::Result<()>;
    /// Makes a folder, if it is not there.
    fn make(&mut self, folder: &str) -> io::Result<()>;
    /// Makes a link, which is not there before.
    fn link(&mut self, link: &str, to: &str) -> io::Result<()>;
    /// Gives something another name within its folder, at once; a file or link of that name is replaced.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;
    /// Deletes a file, a link, or a folder with all in it; nothing there is fine.
    fn remove(&mut self, path: &str) -> io::Result<()>;
}

/// Makes the tree of schema `own` ready and current; gives its folder.
///
/// # Errors
/// When the medium fails or is full. Every tree is then as it was, and the next start tries again.
pub fn run(folders: &mut impl Folders, own: u32, schemas: &impl Schemas) -> io::Result<String> {
    let found = Found { current: folders.linked(CURRENT)?, trees: folders.list(TREES)? };
    for step in plan(&found, own, schemas.names()) {
        perform(folders, &step, schemas)?;
    }
    Ok(tree(own))
}

/// One step of a plan.
///
/// # Errors
/// As [`run`].
pub fn perform(folders: &mut impl Folders, step: &Step, schemas: &impl Schemas) -> io::Result<()> {
    match step {
        Step::Remove(path) => folders.remove(path),
        Step::Make(folder) => folders.make(folder),
        Step::Flush(folder) => folders.flush(folder),
        Step::Rename(from, to) => folders.rename(from, to),
        Step::Link(link, to) => folders.link(link, to),
        Step::Carry { from, own, into } => {
            for name in schemas.names() {
                let source = match tree(*from).as_str() {
                    "" => (*name).to_owned(),
                    folder => format!("{folder}/{name}"),
                };
                let Some(bytes) = folders.read(&source)? else { continue };
                let Some(bytes) = schemas.convert(*from, *own, name, bytes) else { continue };
                let target = format!("{into}/{name}");
                folders.write(&target, &bytes)?;
                folders.flush_file(&target)?;
            }
            Ok(())
        }
    }
}
