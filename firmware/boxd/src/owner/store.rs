//! Keeps [`Core`] in the state directory: read at the start, written whole at each change.
//!
//! Invariant: what is in memory is what was written last. A change that cannot be written is taken back, and its asker is told.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use model::Private;

use super::core::Core;
use crate::cloud::Files;
use crate::state::lock;

/// The file.
pub(super) const FILE: &str = "core.json";
/// A file that could not be read is kept under this name and the time, seconds since 1970.
const ASIDE: &str = "core.json.damaged-";

/// The kept choices.
pub(crate) struct Store {
    files: Files,
    core: Mutex<Core>,
    /// Nothing is written any more: everything is being forgotten.
    closed: AtomicBool,
    /// What was found wrong at the start, for the log and the list of events.
    complaint: Option<String>,
}

impl Store {
    /// Reads the file. One that is damaged is set aside, and the box starts without it. `now_s` names it.
    pub(crate) fn open(files: Files, now_s: u64) -> Self {
        let read = files.read(FILE).map_err(|error| error.to_string());
        let read = read.and_then(|bytes| match bytes {
            Some(bytes) => Core::read(&bytes).map_err(|error| error.to_string()),
            None => Ok(Core::default()),
        });
        let (core, complaint) = match read {
            Ok(core) => (core, None),
            Err(error) => {
                let aside = format!("{ASIDE}{now_s}");
                let kept = match files.rename(FILE, &aside) {
                    Ok(()) => format!("It was set aside as {}.", files.path(&aside).display()),
                    Err(error) => format!("It cannot be set aside either ({error})."),
                };
                let sentence = format!(
                    "What was set up on this box cannot be read ({error}), so it starts without: set the password and \
                     add the cameras again. {kept}"
                );
                tracing::warn!(file = %files.path(FILE).display(), "{sentence}");
                (Core::default(), Some(sentence))
            }
        };
        Self { files, core: Mutex::new(core), closed: AtomicBool::new(false), complaint }
    }

    /// What was wrong with the file at the start.
    pub(crate) fn complaint(&self) -> Option<&str> {
        self.complaint.as_deref()
    }

    /// Looks at it.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&Core) -> T) -> T {
        look(&lock(&self.core))
    }

    /// Changes it, and writes it when `change` says that there is something to write.
    ///
    /// # Errors
    /// When it cannot be written. It is then as it was.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Core) -> T) -> std::io::Result<T> {
        if self.closed.load(Ordering::Acquire) {
            return Err(std::io::Error::other("everything is being forgotten"));
        }
        let mut core = lock(&self.core);
        let mut next = core.clone();
        let value = change(&mut next);
        let bytes = next.bytes();
        if bytes != core.bytes() {
            self.files.write(FILE, &bytes)?;
            *core = next;
        }
        Ok(value)
    }

    /// Everything is being forgotten: nothing is written any more.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// Every secret in it.
    pub(crate) fn secrets(&self) -> Vec<Private<String>> {
        self.with(|core| {
            let mut secrets: Vec<_> = core.password.iter().cloned().collect();
            for camera in &core.cameras {
                secrets.extend(camera.login.as_ref().map(|login| login.password.clone()));
            }
            secrets
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::cloud::files_tests::Scratch;

    #[test]
    fn what_the_owner_chose_is_there_after_a_restart_and_nobody_else_reads_it() {
        let scratch = Scratch::new("store");
        let store = Store::open(scratch.files(), 1);
        store.change(|core| core.name = Some("Hall".into())).unwrap();
        assert_eq!(Store::open(scratch.files(), 2).with(|core| core.name.clone()).as_deref(), Some("Hall"));
        let mode = std::fs::metadata(scratch.files().path(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_torn_file_is_set_aside_and_said_and_the_box_starts() {
        let scratch = Scratch::new("store-torn");
        scratch.files().write(FILE, b"{\"version\":1,\"password\":\"$argon").unwrap();
        let store = Store::open(scratch.files(), 77);
        assert!(store.complaint().unwrap().contains("damaged-77"));
        assert!(store.with(|core| core.password.is_none()));
        store.change(|core| core.name = Some("new".into())).unwrap();
        let aside = scratch.files().read("core.json.damaged-77").unwrap().unwrap();
        assert_eq!(aside, b"{\"version\":1,\"password\":\"$argon", "nothing is lost");
        assert!(Store::open(scratch.files(), 78).complaint().is_none());
    }

    #[test]
    fn a_change_that_cannot_be_kept_is_not_made() {
        let scratch = Scratch::new("store-full");
        std::fs::create_dir_all(&scratch.0).unwrap();
        // In the way of the write: a directory where the fresh file would be.
        std::fs::create_dir_all(scratch.0.join("core.json.new/x")).unwrap();
        let store = Store::open(scratch.files(), 1);
        assert!(store.change(|core| core.name = Some("Hall".into())).is_err());
        assert_eq!(store.with(|core| core.name.clone()), None);
    }
}
