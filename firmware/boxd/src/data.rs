//! Where files lie whose form belongs to a version: in a tree of their own, `d/1` in the state directory, so that the version of
//! the other slot finds its own as it left them ([`update::migrate`]).
//!
//! What all versions share stays beside the trees, and no migration touches it: `core.json`, the keys and the label, the cloud's
//! membership, the page's certificate, and the times that never go back. A file in that list must stay readable to older and newer
//! versions.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, symlink};
use std::path::{Path, PathBuf};

use update::migrate::{self, CURRENT, Folders, Schemas, TREES};

use crate::{lan, logins, owner};

/// The schema that this version writes.
const SCHEMA: u32 = 1;

/// How this version's files differ from other schemas'. Schema 0 is the same files, before there were trees.
struct Forms;

impl Schemas for Forms {
    fn names(&self) -> &[&str] {
        &[owner::EVENTS, lan::REACH, logins::FILE, logins::KEY]
    }

    fn convert(&self, _from: u32, _own: u32, _name: &str, bytes: Vec<u8>) -> Option<Vec<u8>> {
        Some(bytes)
    }
}

/// The directory of this version's tree, made ready. When that does not work (a full disk), what was there stays as it is for the
/// next start to try again, and the directory is one whose files are gone then.
pub(crate) fn open(state_dir: &Path) -> PathBuf {
    match migrate::run(&mut Tree(state_dir.to_owned()), SCHEMA, &Forms) {
        Ok(tree) => state_dir.join(tree),
        Err(error) => {
            tracing::warn!(
                directory = %state_dir.display(), %error,
                "what the box keeps for this version cannot be made ready ([state] dir); events and refused logins are \
                 not kept until that is possible"
            );
            state_dir.join(format!("{}.new", migrate::tree(SCHEMA)))
        }
    }
}

/// Deletes the trees of all versions.
///
/// # Errors
/// When something of them cannot be deleted.
pub(crate) fn forget(state_dir: &Path) -> io::Result<()> {
    let mut all = Tree(state_dir.to_owned());
    all.remove(TREES)?;
    all.remove(CURRENT)?;
    match all.flush("") {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The state directory as a migration sees it.
struct Tree(PathBuf);

impl Tree {
    fn path(&self, path: &str) -> PathBuf {
        if path.is_empty() { self.0.clone() } else { self.0.join(path) }
    }
}

/// What is not there is no error.
fn there<T>(outcome: io::Result<T>) -> io::Result<Option<T>> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

impl Folders for Tree {
    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let Some(entries) = there(fs::read_dir(self.path(folder)))? else { return Ok(Vec::new()) };
        let mut names = Vec::new();
        for entry in entries {
            // A name that is no text is none of ours.
            names.extend(entry?.file_name().into_string().ok());
        }
        names.sort();
        Ok(names)
    }

    fn read(&self, file: &str) -> io::Result<Option<Vec<u8>>> {
        crate::cloud::Files::new(&self.0).read(file)
    }

    fn linked(&self, link: &str) -> io::Result<Option<String>> {
        match fs::read_link(self.path(link)) {
            // Something else of that name.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(None),
            outcome => Ok(there(outcome)?.map(|to| to.to_string_lossy().into_owned())),
        }
    }

    fn write(&mut self, file: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.path(file);
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(bytes)
    }

    fn flush_file(&mut self, file: &str) -> io::Result<()> {
        File::open(self.path(file))?.sync_all()
    }

    fn flush(&mut self, folder: &str) -> io::Result<()> {
        File::open(self.path(folder))?.sync_all()
    }

    fn make(&mut self, folder: &str) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o755).create(self.path(folder))
    }

    fn link(&mut self, link: &str, to: &str) -> io::Result<()> {
        symlink(to, self.path(link))
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn remove(&mut self, path: &str) -> io::Result<()> {
        let path = self.path(path);
        let Some(found) = there(fs::symlink_metadata(&path))? else { return Ok(()) };
        if found.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::cloud::files_tests::Scratch;

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn an_upgrade_finds_everything_and_going_back_to_before_there_were_trees_does_too() {
        let scratch = Scratch::new("data-flat");
        let flat =
            ["core.json", "events.json", "identity.key", "reach.json", "refusals.json", "refusals.key"];
        for name in flat {
            scratch.files().write(name, name.as_bytes()).unwrap();
        }
        let tree = open(&scratch.0);
        assert_eq!(tree, scratch.0.join("d/1"));
        assert_eq!(names(&tree), ["events.json", "reach.json", "refusals.json", "refusals.key"]);
        assert_eq!(fs::read(tree.join("events.json")).unwrap(), b"events.json");
        let mode = fs::metadata(tree.join("refusals.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        for name in flat {
            assert_eq!(scratch.files().read(name).unwrap().unwrap(), name.as_bytes());
        }
        assert_eq!(fs::read_link(scratch.0.join("current")).unwrap(), Path::new("d/1"));
        // What was written since is there at the next start.
        fs::write(tree.join("events.json"), "later").unwrap();
        assert_eq!(open(&scratch.0), tree);
        assert_eq!(fs::read(tree.join("events.json")).unwrap(), b"later");
    }

    #[test]
    fn a_box_that_ran_a_newer_version_finds_its_own_tree_as_it_left_it() {
        let scratch = Scratch::new("data-back");
        let tree = open(&scratch.0);
        fs::write(tree.join("events.json"), "ours").unwrap();
        fs::create_dir(scratch.0.join("d/2")).unwrap();
        fs::write(scratch.0.join("d/2/events.json"), "of a later form").unwrap();
        fs::create_dir(scratch.0.join("d/3.new")).unwrap();
        fs::remove_file(scratch.0.join("current")).unwrap();
        symlink("d/2", scratch.0.join("current")).unwrap();
        assert_eq!(open(&scratch.0), tree);
        assert_eq!(fs::read(tree.join("events.json")).unwrap(), b"ours");
        assert_eq!(fs::read_link(scratch.0.join("current")).unwrap(), Path::new("d/1"));
        assert_eq!(names(&scratch.0.join("d")), ["1", "2"]);
    }

    #[test]
    fn what_cannot_be_made_ready_loses_nothing_and_is_tried_again() {
        let scratch = Scratch::new("data-stuck");
        scratch.files().write("events.json", b"kept").unwrap();
        fs::write(scratch.0.join("d"), "a file where the trees should be").unwrap();
        assert_eq!(open(&scratch.0), scratch.0.join("d/1.new"));
        assert_eq!(scratch.files().read("events.json").unwrap().unwrap(), b"kept");
        fs::remove_file(scratch.0.join("d")).unwrap();
        let tree = open(&scratch.0);
        assert_eq!(fs::read(tree.join("events.json")).unwrap(), b"kept");
    }

    #[test]
    fn a_reset_forgets_the_trees_of_all_versions_and_nothing_beside_them() {
        let scratch = Scratch::new("data-forget");
        forget(&scratch.0).unwrap();
        scratch.files().write("identity.key", b"x").unwrap();
        open(&scratch.0);
        fs::create_dir(scratch.0.join("d/2")).unwrap();
        forget(&scratch.0).unwrap();
        assert_eq!(names(&scratch.0), ["identity.key"]);
    }
}
