//! What the box tells its guard of itself, and what it hears back: whether it may go on being fed for, how the two systems stand.
//!
//! A box that was not started by a guard (`boxd` by hand) tells nobody. What costs something is measured seldom: the set-up page is
//! asked once a minute, and by each word while a new system is on trial; a file is written once an hour, and once a minute on
//! trial. One such write is a block of 4 KiB, and with the file system's journal and inode some 20 KiB: half a megabyte a day in
//! the long run, and less than half a megabyte for the 20 minutes of a trial.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::net::UnixDatagram as StdUnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use model::CameraState;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use tokio::net::UnixDatagram;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use update::health::Facts;
use update::restart::{QUIET_S, Wait, Wish};

use crate::door::Way;
use crate::guard::word::{MOST, Status, VARIABLE};
use crate::guard::{OOM, word};
use crate::state::{Shared, lock};
use crate::updater;

/// Between two words, at most.
const EVERY: Duration = Duration::from_secs(5);
/// The page must answer within this.
const PAGE: Duration = Duration::from_secs(4);
/// Between two questions to the page, and between two writes, while nothing is at stake.
const PAGE_EVERY: Duration = Duration::from_secs(60);
const WRITE_EVERY: Duration = Duration::from_secs(3600);
/// Between two writes while a new system is on trial.
const WRITE_ON_TRIAL: Duration = Duration::from_secs(60);
/// What is written to, below the state directory.
const FILE: &str = "alive";

/// What is known of the two systems and of what brings new ones: for the pages, and for the guard. A handle, cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Systems(Arc<Known>);

#[derive(Debug, Default)]
struct Known {
    guard: Mutex<Option<Status>>,
    updater: Mutex<Option<updater::Status>>,
    /// What is waited for before the box restarts into a new system.
    wait: Mutex<Option<Wait>>,
    /// When the owner wants that; `None`: the owner has said nothing.
    wish: Mutex<Option<Wished>>,
    /// The box has shown that it can update itself: worth a word at once, since it may restart into what it found.
    proved: Notify,
}

/// What the owner has said.
#[derive(Debug, Clone)]
struct Wished {
    /// About this version.
    version: Option<String>,
    /// Not before.
    at: Instant,
    /// Whatever speaks against it.
    now: bool,
}

impl Systems {
    /// What the guard said last; `None` without one.
    pub(crate) fn guard(&self) -> Option<Status> {
        lock(&self.0.guard).clone()
    }

    /// What the updater said last; `None` without one.
    pub(crate) fn updater(&self) -> Option<updater::Status> {
        lock(&self.0.updater).clone()
    }

    /// The updater says how it stands.
    pub(crate) fn set_updater(&self, status: updater::Status) {
        let verified = status.verified;
        let before = lock(&self.0.updater).replace(status);
        if verified && !before.is_some_and(|before| before.verified) {
            self.0.proved.notify_one();
        }
    }

    /// What the updater said of leaving is about another time.
    pub(crate) fn forget_leave(&self) {
        if let Some(status) = &mut *lock(&self.0.updater) {
            status.leave = None;
        }
    }

    /// What is waited for before the box restarts into a new system; `None`: none waits, or only for its owner.
    pub(crate) fn wait(&self) -> Option<Wait> {
        *lock(&self.0.wait)
    }

    /// This is waited for.
    pub(crate) fn set_wait(&self, wait: Option<Wait>) {
        *lock(&self.0.wait) = wait;
    }

    /// The owner wants the box to restart into the new system so much later; at once when that is nothing.
    pub(crate) fn set_wish(&self, later: Duration) {
        let (version, at) = (self.waits(), Instant::now() + later);
        *lock(&self.0.wish) = Some(Wished { version, at, now: later.is_zero() });
    }

    /// What the owner wants now of the system that waits; what was said of another one counts for nothing.
    pub(crate) fn wish(&self) -> Option<Wish> {
        let waits = self.waits();
        let Wished { at, now, .. } = lock(&self.0.wish).clone().filter(|wished| wished.version == waits)?;
        Some(if now {
            Wish::Now
        } else {
            Wish::Later(at.saturating_duration_since(Instant::now()).as_secs())
        })
    }

    /// The version that waits for a restart, or is on its way.
    fn waits(&self) -> Option<String> {
        lock(&self.0.updater).as_ref()?.version.clone()
    }

    /// The guard says how the board is.
    pub(crate) fn set_guard(&self, status: Status) {
        *lock(&self.0.guard) = Some(status);
    }
}

/// The socket to the guard that started this process; `None`: there is none. Ends with the guard from now on, so that it is never
/// started twice.
///
/// # Errors
/// When one was announced that cannot be used.
pub(crate) fn inherited() -> io::Result<Option<StdUnixDatagram>> {
    let Some(number) = std::env::var_os(VARIABLE) else { return Ok(None) };
    let number = number.to_str().and_then(|number| number.parse().ok());
    let number = number.filter(|number| *number > 2).ok_or(io::ErrorKind::InvalidInput)?;
    let socket = StdUnixDatagram::from(sandbox::inherited(number)?);
    socket.peer_addr()?;
    socket.set_nonblocking(true)?;
    prctl::set_pdeathsig(Signal::SIGTERM)?;
    // The guard is spared when memory runs out, this process and its workers are not.
    if let Err(error) = fs::write(OOM, "0") {
        tracing::debug!(%error, "cannot be chosen when memory runs out");
    }
    Ok(Some(socket))
}

/// What is asked for facts.
pub(crate) struct Sources {
    /// The box.
    pub(crate) shared: Shared,
    /// The set-up page; `None`: there is to be none.
    pub(crate) way: Option<Way>,
    /// Where data is kept.
    pub(crate) state_dir: PathBuf,
    /// Whether anybody can be asked for updates.
    pub(crate) source: bool,
    /// A box that says nothing for so long is taken for hung.
    pub(crate) silent: Duration,
}

/// Tells the guard how the box is, for ever.
pub(crate) async fn tell(socket: Option<StdUnixDatagram>, sources: Sources) {
    let socket = socket.map(UnixDatagram::from_std).and_then(|socket| {
        socket.inspect_err(|error| tracing::error!(%error, "the guard cannot be told how the box is")).ok()
    });
    let Some(socket) = socket else { return std::future::pending().await };
    let systems = sources.shared.systems().clone();
    let mut teller = Teller::new(sources);
    let every = EVERY.min(teller.sources.silent / 3);
    loop {
        let facts = teller.look().await;
        if let Ok(message) = serde_json::to_vec(&facts) {
            // One that does not read has nine words waiting: it does not miss this one.
            let _ = socket.try_send(&message);
        }
        let again = tokio::time::sleep(every);
        let mut again = std::pin::pin!(again);
        let mut message = [0; MOST];
        loop {
            tokio::select! {
                () = &mut again => break,
                () = systems.0.proved.notified() => break,
                read = socket.recv(&mut message) => {
                    let Ok(length) = read else {
                        again.await;
                        break;
                    };
                    if let Some(status) = word::status(message.get(..length).unwrap_or_default()) {
                        systems.set_guard(status);
                    }
                }
            }
        }
    }
}

struct Teller {
    sources: Sources,
    page: Measured,
    data: Measured,
    writing: Option<JoinHandle<io::Result<()>>>,
    /// Reports that were taken and that were not, when last looked at, and which of them came last.
    reports: (u64, u64),
    taken: bool,
    /// This box has shown that it can update itself. An updater that is started anew need not show it again.
    proved: bool,
}

/// Something that costs to measure.
#[derive(Debug, Default)]
struct Measured {
    so: bool,
    at: Option<Instant>,
}

impl Measured {
    fn is_due(&self, every: Duration) -> bool {
        self.at.is_none_or(|at| at.elapsed() >= every)
    }

    fn set(&mut self, so: bool) {
        *self = Self { so, at: Some(Instant::now()) };
    }
}

impl Teller {
    fn new(sources: Sources) -> Self {
        let (page, data) = (Measured::default(), Measured::default());
        Self { sources, page, data, writing: None, reports: (0, 0), taken: false, proved: false }
    }

    async fn look(&mut self) -> Facts {
        let shared = self.sources.shared.clone();
        let systems = shared.systems();
        let trial = systems.guard().is_some_and(|guard| guard.trial);
        self.ask_page(trial).await;
        self.write(trial).await;
        self.proved |= systems.updater().is_some_and(|updater| updater.verified);
        let status = shared.cloud().status();
        let tunnel_up = status.tunnel.is_some_and(|tunnel| tunnel.up);
        let cameras = shared.cameras();
        let live = |camera: &&Arc<_>| live(camera);
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Facts {
            tunnel_up,
            cloud_answers: tunnel_up && self.last_report_was_taken(),
            cameras: count(cameras.len()),
            delivering: count(cameras.iter().filter(live).count()),
            page_answers: self.page.so,
            data_writable: self.data.so,
            source: self.sources.source,
            can_update: self.proved,
            watched: shared.quiet().is_some_and(|quiet| quiet.as_secs() < QUIET_S),
        }
    }

    async fn ask_page(&mut self, trial: bool) {
        let Some(way) = &self.sources.way else { return self.page.set(true) };
        // A page that did not answer is asked again at once.
        if trial || !self.page.so || self.page.is_due(PAGE_EVERY) {
            let answer = tokio::time::timeout(PAGE, way.answers()).await;
            self.page.set(answer.unwrap_or(false));
        }
    }

    /// Writes beside the box's own work: a medium that hangs holds nothing back but the word that it works.
    async fn write(&mut self, trial: bool) {
        let every = if trial { WRITE_ON_TRIAL } else { WRITE_EVERY };
        if self.writing.is_none()
            && (!self.data.so && self.data.is_due(WRITE_ON_TRIAL) || self.data.is_due(every))
        {
            let directory = self.sources.state_dir.clone();
            self.writing = Some(tokio::task::spawn_blocking(move || write(&directory)));
        }
        let Some(writing) = &mut self.writing else { return };
        match tokio::time::timeout(PAGE, &mut *writing).await {
            Err(_) => self.data.so = false,
            Ok(outcome) => {
                let outcome = outcome.unwrap_or_else(|error| Err(io::Error::other(error)));
                if let Err(error) = &outcome {
                    tracing::warn!(%error, directory = %self.sources.state_dir.display(), "the data cannot be written ([state] dir)");
                }
                self.writing = None;
                self.data.set(outcome.is_ok());
            }
        }
    }

    fn last_report_was_taken(&mut self) -> bool {
        let counters = self.sources.shared.cloud().counters();
        let reports =
            (counters.reports.load(Ordering::Relaxed), counters.reports_failed.load(Ordering::Relaxed));
        if reports.1 != self.reports.1 {
            self.taken = false;
        } else if reports.0 != self.reports.0 {
            self.taken = true;
        }
        self.reports = reports;
        self.taken
    }
}

fn live(camera: &crate::state::Camera) -> bool {
    matches!(camera.feed().state(), CameraState::Streaming(_))
}

/// Writes a small file so that it is on the medium.
fn write(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let mut file = File::create(directory.join(FILE))?;
    file.write_all(b"The box writes here to see whether it can.\n")?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_s_word_is_about_the_version_that_waits() {
        let systems = Systems::default();
        let waits = |version: Option<&str>| {
            let version = version.map(str::to_owned);
            systems.set_updater(updater::Status { version, ..updater::Status::default() });
        };
        waits(Some("1.1"));
        assert_eq!(systems.wish(), None);
        systems.set_wish(Duration::from_millis(1));
        assert_eq!(systems.wish(), Some(Wish::Later(0)));
        for other in [None, Some("1.2")] {
            waits(other);
            assert_eq!(systems.wish(), None, "{other:?} was not put off");
        }
        systems.set_wish(Duration::ZERO);
        assert_eq!(systems.wish(), Some(Wish::Now));
    }
}
