//! Who may show a login to a device, for the whole box: cameras' workers and errands ask here, and what was refused is known
//! over restarts of both.
//!
//! Invariant: what [`camera::ledger`] says of an account holds for every process of the box. On flash there is a keyed
//! fingerprint of a refused login, never the login.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use camera::Source;
use camera::ledger::{Account, Credential, Ledger, Refusal, Verdict};
use ring::hmac;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::cloud::{Files, random};
use crate::state::lock;
use crate::supervisor::now;

/// What is kept of refusals: JSON of a [`Kept`].
pub(crate) const FILE: &str = "refusals.json";
/// The key of the fingerprints, 32 random bytes.
pub(crate) const KEY: &str = "refusals.key";

/// A handle on the box's ledger; cheap to clone.
#[derive(Clone)]
pub(crate) struct Logins(Arc<Inner>);

struct Inner {
    ledger: Mutex<Ledger>,
    key: hmac::Key,
    files: Files,
    began: Instant,
    changed: watch::Sender<u64>,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    /// The box's clock, milliseconds since 1970.
    written_ms: u64,
    refusals: Vec<Refusal>,
}

/// Leave to show a login. Dropped without a word of what came of it, nothing is known of it.
pub(crate) struct Permit {
    logins: Logins,
    account: Account,
    open: bool,
}

/// The device has refused the login before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused {
    /// Until it may be shown again.
    pub(crate) wait: Duration,
    /// The device accepted it earlier: more likely a lock-out than a wrong password.
    pub(crate) worked: bool,
}

impl Logins {
    /// Takes up what an earlier run kept.
    pub(crate) fn open(files: Files) -> Self {
        let logins = Self(Arc::new(Inner {
            ledger: Mutex::default(),
            key: hmac::Key::new(hmac::HMAC_SHA256, &key(&files)),
            files,
            began: Instant::now(),
            changed: watch::Sender::new(0),
        }));
        match logins.0.files.read(FILE) {
            Ok(Some(bytes)) => match serde_json::from_slice::<Kept>(&bytes) {
                Ok(kept) => {
                    // A clock that went back tells nothing of how much time has passed: then none has.
                    let passed = millis(now()).saturating_sub(kept.written_ms);
                    lock(&logins.0.ledger).restore(kept.refusals, passed, logins.now_ms());
                }
                Err(error) => tracing::warn!(%error, "which passwords cameras have refused cannot be read"),
            },
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "which passwords cameras have refused cannot be read"),
        }
        logins
    }

    /// What is counted together for a camera: its host and its login; `None` without a login.
    pub(crate) fn account(&self, source: &Source) -> Option<Account> {
        let user = source.user.as_deref()?;
        let password = source.password.as_ref().map_or("", |password| password.expose());
        let mut context = hmac::Context::with_key(&self.0.key);
        // The length keeps "ab" + "c" and "a" + "bc" apart.
        context.update(&(user.len() as u64).to_be_bytes());
        context.update(user.as_bytes());
        context.update(password.as_bytes());
        let mut credential = [0; 16];
        for (to, from) in credential.iter_mut().zip(context.sign().as_ref()) {
            *to = *from;
        }
        let device = source.address.host()?.to_string();
        Some(Account { device, credential: Credential(credential) })
    }

    /// What stands against showing this login now; `None`: nothing.
    pub(crate) fn refusal(&self, account: &Account) -> Option<Refused> {
        let ledger = lock(&self.0.ledger);
        match ledger.verdict(account, self.now_ms()) {
            Verdict::Refused { wait_ms } => {
                Some(Refused { wait: Duration::from_millis(wait_ms), worked: ledger.worked(account) })
            }
            Verdict::Go | Verdict::Busy => None,
        }
    }

    /// Waits for somebody else who is showing the same login.
    ///
    /// # Errors
    /// [`Refused`] when the device refused it.
    pub(crate) async fn permit(&self, account: &Account) -> Result<Permit, Refused> {
        let mut changed = self.0.changed.subscribe();
        loop {
            changed.mark_unchanged();
            let verdict = lock(&self.0.ledger).show(account, self.now_ms());
            match verdict {
                Verdict::Go => {
                    return Ok(Permit { logins: self.clone(), account: account.clone(), open: true });
                }
                Verdict::Busy => {
                    // The sender lives as long as `self`.
                    let _ = changed.changed().await;
                }
                Verdict::Refused { wait_ms } => {
                    let worked = lock(&self.0.ledger).worked(account);
                    return Err(Refused { wait: Duration::from_millis(wait_ms), worked });
                }
            }
        }
    }

    fn now_ms(&self) -> u64 {
        millis(self.0.began.elapsed())
    }

    /// Refusals are rare, and a restart right after one must not forget it: written at once.
    fn keep(&self) {
        let refusals = lock(&self.0.ledger).refusals(self.now_ms());
        let kept = Kept { written_ms: millis(now()), refusals };
        let written = serde_json::to_vec(&kept)
            .map_err(std::io::Error::from)
            .and_then(|bytes| self.0.files.write(FILE, &bytes));
        if let Err(error) = written {
            tracing::warn!(%error, "cannot keep which passwords cameras have refused ([state] dir): a restart may try them once more");
        }
    }

    fn announce(&self) {
        self.0.changed.send_modify(|count| *count = count.wrapping_add(1));
    }
}

/// One camera's way to the ledger.
#[derive(Clone)]
pub(crate) struct Gate {
    logins: Logins,
    account: Option<Account>,
}

impl Gate {
    /// For a camera.
    pub(crate) fn new(logins: &Logins, source: &Source) -> Self {
        Self { logins: logins.clone(), account: logins.account(source) }
    }

    /// What stands against showing the camera's login now; `None`: nothing.
    pub(crate) fn refusal(&self) -> Option<Refused> {
        self.logins.refusal(self.account.as_ref()?)
    }

    /// Leave to show the camera's login, if it has one; waits for others who show the same.
    ///
    /// # Errors
    /// [`Refused`] when the device refused it.
    pub(crate) async fn permit(&self) -> Result<Option<Permit>, Refused> {
        match &self.account {
            Some(account) => self.logins.permit(account).await.map(Some),
            None => Ok(None),
        }
    }

    /// A permit for what has happened already.
    pub(crate) fn late_permit(&self) -> Option<Permit> {
        let account = self.account.clone()?;
        Some(Permit { logins: self.logins.clone(), account, open: false })
    }
}

impl Permit {
    /// The device accepted the login.
    pub(crate) fn accepted(&mut self) {
        let now_ms = self.logins.now_ms();
        let was_refused = {
            let mut ledger = lock(&self.logins.0.ledger);
            let before = ledger.refusals(now_ms).len();
            ledger.accepted(&self.account, now_ms);
            before != ledger.refusals(now_ms).len()
        };
        self.open = false;
        if was_refused {
            self.logins.keep();
        }
        self.logins.announce();
    }

    /// The device refused it, and says that it is locked for so long.
    pub(crate) fn refused(&mut self, locked: Duration) {
        let now_ms = self.logins.now_ms();
        lock(&self.logins.0.ledger).refused(&self.account, now_ms, millis(locked));
        self.open = false;
        self.logins.keep();
        self.logins.announce();
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.open {
            lock(&self.logins.0.ledger).unknown(&self.account);
            self.logins.announce();
        }
    }
}

/// The key in the state directory; made and kept there when it has none. Without a key that can be kept, refusals hold
/// until the restart only.
fn key(files: &Files) -> [u8; 32] {
    let kept = files.read(KEY).ok().flatten().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    kept.unwrap_or_else(|| {
        let fresh = random::<32>().unwrap_or_default();
        if let Err(error) = files.write(KEY, &fresh) {
            tracing::warn!(%error, "cannot keep which passwords cameras have refused ([state] dir)");
        }
        fresh
    })
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use model::CameraId;

    use super::*;
    use crate::cloud::files_tests::Scratch;

    fn source(address: &str, user: &str, password: &str) -> Source {
        let id = CameraId::new("gate").unwrap();
        Source::new(id, address, Some(user.into()), Some(password.to_owned().into())).unwrap()
    }

    fn on_a_runtime<T>(test: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
    }

    #[test]
    fn a_refusal_outlives_the_box_and_the_password_is_not_on_flash() {
        let scratch = Scratch::new("logins");
        let wrong = source("rtsp://10.0.0.7/1", "admin", "canary-password");
        on_a_runtime(async {
            let logins = Logins::open(scratch.files());
            let account = logins.account(&wrong).unwrap();
            logins.permit(&account).await.unwrap().refused(Duration::ZERO);
        });
        let again = Logins::open(scratch.files());
        // Another picture and another protocol of the same device.
        let other = source("http://10.0.0.7/onvif/device_service", "admin", "canary-password");
        let account = again.account(&other).unwrap();
        let refused = again.refusal(&account).expect("not shown again after a restart");
        assert!(refused.wait > Duration::from_secs(29 * 60) && refused.wait <= Duration::from_secs(30 * 60));
        let right = again.account(&source("rtsp://10.0.0.7/1", "admin", "right")).unwrap();
        assert_eq!(again.refusal(&right), None, "another password is tried at once");
        let apart = again.account(&source("rtsp://10.0.0.7/1", "adminc", "anary-password")).unwrap();
        assert_eq!(again.refusal(&apart), None);
        for name in [FILE, KEY] {
            let bytes = scratch.files().read(name).unwrap().unwrap();
            assert!(!String::from_utf8_lossy(&bytes).contains("canary"));
        }
    }

    #[test]
    fn who_waits_for_another_learns_of_the_refusal_or_goes_when_nothing_is_known() {
        let scratch = Scratch::new("logins-wait");
        let logins = Logins::open(scratch.files());
        let account = logins.account(&source("10.0.0.7", "admin", "x")).unwrap();
        on_a_runtime(async {
            let first = logins.permit(&account).await.unwrap();
            let second = logins.permit(&account);
            let mut second = std::pin::pin!(second);
            assert!(tokio::time::timeout(Duration::from_millis(20), &mut second).await.is_err());
            drop(first);
            let mut second = second.await.unwrap();
            let third = logins.permit(&account);
            let mut third = std::pin::pin!(third);
            assert!(tokio::time::timeout(Duration::from_millis(20), &mut third).await.is_err());
            second.refused(Duration::ZERO);
            assert!(third.await.is_err(), "it is not shown a second time");
        });
    }

    #[test]
    fn rubbish_in_the_file_refuses_nothing_and_breaks_nothing() {
        let scratch = Scratch::new("logins-rubbish");
        scratch.files().write(FILE, b"{\"written_ms\":").unwrap();
        scratch.files().write(KEY, b"short").unwrap();
        let logins = Logins::open(scratch.files());
        let account = logins.account(&source("10.0.0.7", "admin", "x")).unwrap();
        assert_eq!(logins.refusal(&account), None);
    }
}
