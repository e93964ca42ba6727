//! What the owner chooses on the box's page, and what the box does about it.
//!
//! ```text
//! page's process ── desk ─┬─ roster ─── store (core.json)   cameras come, change and go
//!                         ├─ overview ─ obstacles           what the page shows
//!                         ├─ errands ── boxd camera ID      one question to one camera
//!                         ├─ events                         what changed and when
//!                         └─ diagnostics ── redact          a text without secrets
//! ```
//!
//! An [`Owner`] is a handle, cheap to clone. Cameras of `core.json` stream from the start on, whatever the page's process does.

mod adding;
mod core;
pub(crate) mod desk;
mod diagnostics;
mod errands;
mod events;
mod obstacles;
mod overview;
mod redact;
mod roster;
mod store;
mod watcher;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use camera::Source;
use model::{CameraId, Private};
use setup::desk::{Channel, Refusal};
use tokio::sync::watch;

use self::core::Kept;
use crate::cloud::{Files, Time};
use crate::data;
use crate::lan::{self, Reach};
use crate::log::Lines;
use crate::logins::{self, Logins, millis};
use crate::state::{Camera, Shared, lock};
use crate::supervisor::Supervisor;
use errands::Errands;
use events::Events;
use store::Store;

/// Files that a reset deletes, by how their names begin; the owner's password goes last, so that a reset that was cut short can
/// be asked for again by the same owner only. The identity's and the tunnel's keys, the trusted times and the label stay, and what
/// is signed of updates; what was ordered and is to be told of them is between this owner and its cloud.
const FORGOTTEN: [&str; 12] = [
    "cloud.json",
    "update/journal.json",
    "update/reports.json",
    "update/orders.json",
    "update/status.json",
    "update/last.json",
    logins::FILE,
    logins::KEY,
    events::FILE,
    "page-certificate.json",
    lan::REACH,
    store::FILE,
];
/// The file of the events, in this version's tree.
pub(crate) const EVENTS: &str = events::FILE;

/// A handle on what the owner chose.
#[derive(Clone)]
pub(crate) struct Owner(Arc<Inner>);

pub(crate) struct Inner {
    shared: Shared,
    supervisor: Supervisor,
    store: Store,
    events: Events,
    errands: Errands,
    logins: Logins,
    lines: Lines,
    time: Arc<Time>,
    files: Files,
    /// Secrets of the configuration file, that diagnostics must not show.
    configured_secrets: Vec<Private<String>>,
    /// Every camera's source: the configuration's, the adopted and the owner's.
    sources: Mutex<BTreeMap<CameraId, Source>>,
    /// Pictures of recorders that were asked for, by device.
    channels: Mutex<BTreeMap<String, Vec<Channel>>>,
    /// Cameras at whose address somebody else is, and who.
    changed: Mutex<BTreeMap<CameraId, String>>,
    /// One change of the list of cameras at a time.
    turn: tokio::sync::Mutex<()>,
    reach: Mutex<Option<Reach>>,
    ended: watch::Sender<bool>,
}

/// What the owner's part of the box is made of.
pub(crate) struct Parts {
    pub(crate) shared: Shared,
    pub(crate) supervisor: Supervisor,
    pub(crate) logins: Logins,
    pub(crate) lines: Lines,
    pub(crate) time: Arc<Time>,
    pub(crate) files: Files,
    /// Those of this version's own form.
    pub(crate) tree: Files,
    /// Secrets of the configuration file.
    pub(crate) secrets: Vec<Private<String>>,
}

impl Owner {
    /// Reads what was kept.
    pub(crate) fn open(parts: Parts) -> Self {
        let Parts { shared, supervisor, logins, lines, time, files, tree, secrets } = parts;
        let store = Store::open(files.clone(), time.now().as_secs());
        let events = Events::open(tree);
        let now_ms = millis(time.now());
        if let Some(complaint) = store.complaint() {
            events.add(now_ms, "settings_lost", None, complaint.to_owned());
        }
        events.add(
            now_ms,
            "started",
            None,
            format!("The box has started, version {}.", env!("CARGO_PKG_VERSION")),
        );
        if let Some(kbps) = store.with(|core| core.uplink_kbps) {
            shared.cloud().set_cap(kbps.map(|kbps| u64::from(kbps) * 1000));
        }
        Self(Arc::new(Inner {
            shared,
            supervisor,
            store,
            events,
            errands: Errands::new(logins.clone()),
            logins,
            lines,
            time,
            files,
            configured_secrets: secrets,
            sources: Mutex::default(),
            channels: Mutex::default(),
            changed: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            reach: Mutex::default(),
            ended: watch::Sender::new(false),
        }))
    }

    /// A camera of the configuration, or one that was adopted, is there.
    pub(crate) fn streams(&self, source: &Source, camera: &Camera) {
        lock(&self.0.sources).insert(source.id.clone(), source.clone());
        camera.set_rank(self.0.store.with(|core| core.rank(&source.id)));
    }

    /// How devices of other subnets are reached.
    pub(crate) fn set_reach(&self, reach: Reach) {
        *lock(&self.0.reach) = Some(reach);
        self.keep_reached();
    }

    /// Says which cameras must stay reachable, whatever subnet they are in.
    pub(crate) fn keep_reached(&self) {
        if let Some(reach) = &*lock(&self.0.reach) {
            reach.keep(self.places(|camera| camera.on));
        }
    }

    /// The addresses of the cameras that the owner added, switched off or not.
    pub(crate) fn addresses(&self) -> Vec<IpAddr> {
        self.places(|_| true)
    }

    fn places(&self, which: impl Fn(&Kept) -> bool) -> Vec<IpAddr> {
        let kept = self.0.store.with(|core| core.cameras.clone());
        kept.iter().filter(|camera| which(camera)).filter_map(adopt_address).collect()
    }

    /// Returns when the owner wants the box to start anew.
    pub(crate) async fn ended(&self) {
        // The sender lives as long as `self`.
        let _ = self.0.ended.subscribe().wait_for(|ended| *ended).await;
    }

    /// The box ends: what is still to be written is.
    pub(crate) fn finish(&self) {
        self.0.events.keep(true);
    }

    /// Forgets everything but who the box is, then lets it start anew.
    ///
    /// # Errors
    /// When something cannot be deleted. The box goes on then, and the owner is who it was.
    pub(crate) fn forget_all(&self) -> std::io::Result<()> {
        tracing::warn!("the owner wants everything forgotten");
        self.0.events.close();
        self.0.store.close();
        data::forget(&self.0.files.path(""))?;
        // Those of the trees may lie beside them from before there were any.
        for name in FORGOTTEN {
            self.0.files.wipe(name)?;
        }
        self.restart();
        Ok(())
    }

    /// Starts the box anew, once answers that are under way have left.
    pub(crate) fn restart(&self) {
        let ended = self.0.ended.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(300)).await;
            ended.send_replace(true);
        });
    }

    fn event(&self, code: &str, camera: Option<&CameraId>, sentence: String) {
        self.0.events.add(millis(self.0.time.now()), code, camera.cloned(), sentence);
    }
}

/// The IP address of a kept camera, if it was given as one.
fn adopt_address(kept: &Kept) -> Option<IpAddr> {
    let source = Source::new(kept.id.clone(), kept.address.expose(), None, None).ok()?;
    crate::adopt::address(&source.address)
}

fn refusal(code: &str, sentence: &str) -> Refusal {
    Refusal { code: code.to_owned(), sentence: sentence.to_owned() }
}
