//! The boxes and cameras as hub and gateway see them: a picture in memory that is replaced as a whole whenever the
//! database has changed, and stays as it is while the database is gone.
//!
//! A directory never changes once it is shared; only when a box was last heard of ([`Seen`]) moves on inside it. Those that
//! follow each other share what is the same in both, so a change costs little however many boxes there are.

use std::collections::{BTreeSet, HashMap};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use model::status::CameraReport;
use model::{BoxId, CameraId};

use super::map::Map;
use super::portal::{Access, Portal};

/// Whether a box may come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BoxState {
    /// It may: its peer is in the hub, its cameras have links.
    Active,
    /// Its owner gave it away: no peer and no link until somebody claims it.
    Released,
    /// Stolen or retired: no peer, no link, and its identity is refused for good.
    Revoked,
}

impl BoxState {
    /// Its word in the database and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Released => "released",
            Self::Revoked => "revoked",
        }
    }

    /// The state of a word.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Active, Self::Released, Self::Revoked].into_iter().find(|state| state.name() == name)
    }
}

/// When a box last reported. Shared by all directories that follow each other.
#[derive(Debug, Clone, Default)]
pub struct Seen(Arc<AtomicU64>);

impl Seen {
    /// Heard of at this time, milliseconds since 1970. An earlier time than the known one changes nothing.
    pub fn note(&self, at_ms: u64) {
        self.0.fetch_max(at_ms, Ordering::Relaxed);
    }

    /// The last report, milliseconds since 1970; `None` before the first one.
    pub fn last_ms(&self) -> Option<u64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|at| *at != 0)
    }
}

/// One box.
#[derive(Debug, Clone)]
pub struct BoxRow {
    /// Its name: the hash of `identity`.
    pub id: BoxId,
    /// Its Ed25519 public key.
    pub identity: [u8; 32],
    /// Its WireGuard public key (X25519).
    pub tunnel_key: [u8; 32],
    /// Its address inside the tunnel, a /32 that no other box has, in whatever state.
    pub address: Ipv4Addr,
    /// By what name its owner claimed it.
    pub owner: String,
    /// Whether it may come in.
    pub state: BoxState,
    /// When it joined last, milliseconds since 1970.
    pub enrolled_ms: u64,
    /// Its firmware's version, as far as it has said.
    pub version: String,
    /// What its tenant calls it, or empty.
    pub name: String,
    /// The id of the site where it stands, or empty.
    pub site: String,
    /// The id of the cloud whose hub holds it, or empty.
    pub node: String,
    /// When it last reported.
    pub seen: Seen,
}

/// One camera that a box has reported, and its public link.
#[derive(Debug, Clone)]
pub struct CameraRow {
    /// Its public id: 128 random bits in 26 characters, the same for ever.
    pub public_id: CameraId,
    /// The box that streams it.
    pub box_id: BoxId,
    /// Its name in the box's own links.
    pub camera_id: CameraId,
    /// What its box calls it.
    pub name: String,
    /// What its tenant calls it, or empty.
    pub title: String,
    /// Who may watch.
    pub access: Access,
    /// False: the owner has switched the link off.
    pub on: bool,
    /// What the box last said of it.
    pub report: CameraReport,
    /// Since when it has been streaming, or not streaming, milliseconds since 1970 by the cloud's clock.
    pub since_ms: u64,
}

/// A camera that may be watched, with its box.
#[derive(Debug, Clone, Copy)]
pub struct Watched<'a> {
    /// The camera.
    pub camera: &'a Arc<CameraRow>,
    /// Its box, which is active.
    pub from: &'a Arc<BoxRow>,
}

/// All boxes and cameras.
#[derive(Debug, Clone, Default)]
pub struct Directory {
    boxes: Map<BoxId, Arc<BoxRow>>,
    by_address: Map<Ipv4Addr, Arc<BoxRow>>,
    by_key: Map<[u8; 32], Arc<BoxRow>>,
    cameras: Map<CameraId, Arc<CameraRow>>,
    of_box: Map<BoxId, Arc<HashMap<CameraId, Arc<CameraRow>>>>,
    portal: Portal,
    here: Arc<str>,
    alive: Arc<BTreeSet<String>>,
    /// The number of the last change of the database that this shows.
    version: u64,
}

impl Directory {
    /// The number of the last change of the database that this shows.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// People, access, cameras without a box, other clouds.
    pub fn portal(&self) -> &Portal {
        &self.portal
    }

    /// Replaces all that is known of those.
    pub fn set_portal(&mut self, mut portal: Portal) {
        portal.index();
        self.portal = portal;
    }

    /// The id of the cloud by which this is read; empty where it shares the database with no other.
    pub fn here(&self) -> &str {
        &self.here
    }

    /// Says by which cloud this is read.
    pub fn set_here(&mut self, id: &str) {
        self.here = id.into();
    }

    /// The ids of the clouds that live.
    pub fn alive(&self) -> &BTreeSet<String> {
        &self.alive
    }

    /// Says which clouds live.
    pub fn set_alive(&mut self, alive: BTreeSet<String>) {
        self.alive = Arc::new(alive);
    }

    /// The boxes that may come in: the peers of a hub.
    pub fn peers(&self) -> impl Iterator<Item = &Arc<BoxRow>> {
        self.boxes.values().filter(|row| row.state == BoxState::Active)
    }

    /// Those of the peers that may differ from what they were in `old`: all that do, and few others.
    pub fn peers_unlike<'a>(&'a self, old: &'a Self) -> impl Iterator<Item = &'a Arc<BoxRow>> {
        self.boxes.unlike(&old.boxes).map(|(_, row)| row).filter(|row| row.state == BoxState::Active)
    }

    /// All boxes, in whatever state.
    pub fn boxes(&self) -> impl Iterator<Item = &Arc<BoxRow>> {
        self.boxes.values()
    }

    /// All cameras, whether they may be watched or not.
    pub fn cameras(&self) -> impl Iterator<Item = &Arc<CameraRow>> {
        self.cameras.values()
    }

    /// A box by its name, in whatever state.
    pub fn by_id(&self, id: &BoxId) -> Option<&Arc<BoxRow>> {
        self.boxes.get(id)
    }

    /// The active box of an address inside the tunnel.
    pub fn by_address(&self, address: Ipv4Addr) -> Option<&Arc<BoxRow>> {
        self.by_address.get(&address).filter(|row| row.state == BoxState::Active)
    }

    /// The active box of a WireGuard public key.
    pub fn by_key(&self, tunnel_key: &[u8; 32]) -> Option<&Arc<BoxRow>> {
        self.by_key.get(tunnel_key).filter(|row| row.state == BoxState::Active)
    }

    /// The camera of a public id, if it may be watched: it exists, its link is on, and its box is active. All else is
    /// `None`, so that nobody learns why.
    pub fn watched(&self, public_id: &str) -> Option<Watched<'_>> {
        let camera = self.cameras.get(&CameraId::new(public_id).ok()?).filter(|camera| camera.on)?;
        let from = self.boxes.get(&camera.box_id).filter(|row| row.state == BoxState::Active)?;
        Some(Watched { camera, from })
    }

    /// A camera by its public id, whether it may be watched or not.
    pub fn camera(&self, public_id: &str) -> Option<&Arc<CameraRow>> {
        self.cameras.get(&CameraId::new(public_id).ok()?)
    }

    /// The camera of a box by its name in the box's own links.
    pub fn camera_of(&self, from: &BoxId, camera: &CameraId) -> Option<&Arc<CameraRow>> {
        self.of_box.get(from)?.get(camera)
    }

    /// The cameras of a box.
    pub fn cameras_of(&self, from: &BoxId) -> impl Iterator<Item = &Arc<CameraRow>> {
        self.of_box.get(from).into_iter().flat_map(|cameras| cameras.values())
    }

    /// Says which change of the database this shows.
    pub fn set_version(&mut self, version: u64) {
        self.version = version;
    }

    /// Adds a box or replaces what is known of it; the time of its last report is carried on.
    pub fn put_box(&mut self, mut row: BoxRow) {
        if let Some(old) = self.boxes.get(&row.id).cloned() {
            if let Some(at) = row.seen.last_ms() {
                old.seen.note(at);
            }
            row.seen = old.seen.clone();
            self.forget_box(&old);
        }
        let row = Arc::new(row);
        self.by_address.insert(row.address, row.clone());
        self.by_key.insert(row.tunnel_key, row.clone());
        self.boxes.insert(row.id.clone(), row);
    }

    /// Replaces all cameras of a box.
    pub fn put_cameras(&mut self, of: &BoxId, cameras: impl IntoIterator<Item = CameraRow>) {
        let before = self.of_box.remove(of).unwrap_or_default();
        for old in before.values() {
            self.cameras.remove(&old.public_id);
        }
        let mut by_id = HashMap::new();
        for camera in cameras.into_iter().map(Arc::new) {
            self.cameras.insert(camera.public_id.clone(), camera.clone());
            by_id.insert(camera.camera_id.clone(), camera);
        }
        if !by_id.is_empty() {
            self.of_box.insert(of.clone(), Arc::new(by_id));
        }
    }

    /// Takes over from `old` what stands in no database: when boxes were last heard of, by which cloud this is read, and which
    /// clouds live.
    pub(super) fn carry_on(&mut self, old: &Self) {
        (self.here, self.alive) = (old.here.clone(), old.alive.clone());
        for (id, row) in std::mem::take(&mut self.boxes).iter() {
            let mut row = BoxRow::clone(row);
            if let Some(before) = old.boxes.get(id) {
                if let Some(at) = row.seen.last_ms() {
                    before.seen.note(at);
                }
                row.seen = before.seen.clone();
            }
            self.put_box(row);
        }
    }

    fn forget_box(&mut self, old: &BoxRow) {
        // Another box may have the key or the address by now.
        if self.by_address.get(&old.address).is_some_and(|row| row.id == old.id) {
            self.by_address.remove(&old.address);
        }
        if self.by_key.get(&old.tunnel_key).is_some_and(|row| row.id == old.id) {
            self.by_key.remove(&old.tunnel_key);
        }
        self.boxes.remove(&old.id);
    }
}
