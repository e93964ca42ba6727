//! Small files of the state directory that must survive a power cut and that nobody else may read.
//!
//! Invariant: after a cut at any moment a file is the old one or the new one, whole. Each is written beside its place,
//! flushed, moved there, and the move is flushed.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Most bytes of one file, unless whoever reads it knows better: all of them are far smaller, but for what is kept of 128 cameras.
const MOST: u64 = 256 << 10;

/// The state directory.
#[derive(Debug, Clone)]
pub(crate) struct Files(PathBuf);

impl Files {
    /// The files of this directory; it is made when something is first written.
    pub(crate) fn new(directory: &Path) -> Self {
        Self(directory.to_owned())
    }

    /// Where a file is, for a sentence.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// What a file holds; `None` when there is none.
    ///
    /// # Errors
    /// When it is there and cannot be read, or is larger than 256 KiB.
    pub(crate) fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        self.read_within(name, MOST)
    }

    /// The same for a file that may have as many as `most` bytes.
    ///
    /// # Errors
    /// When it is there and cannot be read, or is larger.
    pub(crate) fn read_within(&self, name: &str, most: u64) -> io::Result<Option<Vec<u8>>> {
        let file = match File::open(self.path(name)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut bytes = Vec::new();
        file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > most {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the file is too large"));
        }
        Ok(Some(bytes))
    }

    /// Gives a file another name; one that has it already is gone then.
    ///
    /// # Errors
    /// When there is no such file, or the directory cannot be written.
    pub(crate) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))?;
        File::open(&self.0)?.sync_all()
    }

    /// Deletes every file whose name begins so, what a cut left of it included.
    ///
    /// # Errors
    /// When one of them cannot be deleted; the others are gone then.
    pub(crate) fn wipe(&self, beginning: &str) -> io::Result<()> {
        let (folder, beginning) = match beginning.rsplit_once('/') {
            Some((folder, beginning)) => (self.path(folder), beginning),
            None => (self.0.clone(), beginning),
        };
        let listed = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            listed => listed?,
        };
        let mut outcome = Ok(());
        for entry in listed.flatten() {
            if entry.file_name().to_string_lossy().starts_with(beginning) {
                let gone = fs::remove_file(entry.path());
                outcome = outcome.and(gone);
            }
        }
        outcome.and_then(|()| File::open(&folder)?.sync_all())
    }

    /// Replaces a file's content; only the owner may read it (mode 0600).
    ///
    /// # Errors
    /// When the directory cannot be made or written. The file is then as it was.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let place = self.path(name);
        let folder = place.parent().unwrap_or(&self.0);
        DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
        let fresh = self.path(&format!("{name}.new"));
        // One that a cut left behind may have another mode.
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&fresh, &place)?;
        File::open(folder)?.sync_all()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// A directory of a test's own, gone with it.
    pub(crate) struct Scratch(pub(crate) PathBuf);

    impl Scratch {
        pub(crate) fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("boxd-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            Self(path)
        }

        pub(crate) fn files(&self) -> Files {
            Files::new(&self.0)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_was_written_is_read_and_is_nobody_elses_to_read() {
        let scratch = Scratch::new("files");
        let files = Files::new(&scratch.0.join("deep/er"));
        assert_eq!(files.read("key").unwrap(), None);
        files.write("key", b"first").unwrap();
        files.write("key", b"second").unwrap();
        assert_eq!(files.read("key").unwrap().unwrap(), b"second");
        let mode = fs::metadata(files.path("key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_cut_in_the_middle_of_a_write_leaves_the_old_file_and_does_not_stop_the_next_write() {
        let scratch = Scratch::new("files-cut");
        let files = scratch.files();
        files.write("key", b"old").unwrap();
        // What a cut leaves: half a file beside the place, open to everyone.
        fs::write(files.path("key.new"), b"ha").unwrap();
        fs::set_permissions(files.path("key.new"), fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(files.read("key").unwrap().unwrap(), b"old");
        files.write("key", b"new").unwrap();
        assert_eq!(files.read("key").unwrap().unwrap(), b"new");
        assert_eq!(fs::metadata(files.path("key")).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_is_wiped_is_gone_with_what_cuts_left_of_it_and_nothing_else_is() {
        let scratch = Scratch::new("files-wipe");
        let files = scratch.files();
        files.wipe("core.json").unwrap();
        for name in ["core.json", "core.json.new", "core.json.damaged-7", "identity.key"] {
            files.write(name, b"x").unwrap();
        }
        files.rename("core.json", "core.json.damaged-8").unwrap();
        files.wipe("core.json").unwrap();
        let left: Vec<_> =
            fs::read_dir(&scratch.0).unwrap().flatten().map(|entry| entry.file_name()).collect();
        assert_eq!(left, ["identity.key"]);

        files.wipe("update/orders.json").unwrap();
        files.write("update/orders.json", b"x").unwrap();
        files.write("update/root.json", b"x").unwrap();
        files.wipe("update/orders.json").unwrap();
        let left: Vec<_> = fs::read_dir(files.path("update")).unwrap().flatten().collect();
        assert_eq!(left.iter().map(fs::DirEntry::file_name).collect::<Vec<_>>(), ["root.json"]);
    }

    #[test]
    fn an_endless_file_is_not_read() {
        let scratch = Scratch::new("files-large");
        let files = scratch.files();
        files.write("key", &vec![0; MOST as usize + 1]).unwrap();
        assert!(files.read("key").is_err());
    }
}
