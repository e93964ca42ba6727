//! What the parts of the box share: the cameras, the devices on the LAN, when it all began.
//!
//! A [`Shared`] is a handle, cheap to clone. Nothing in it blocks: locks are held for a lookup or a copy, never
//! over an await. Cameras come and go while the box runs. Who holds one that is gone finds its feed closed, and the next one
//! of the same id is the same camera: ids are never given to another device.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use model::status::Picture;
use model::{CameraId, Device, DeviceKey};
use tokio::sync::watch;

use crate::cloud::Cloud;
use crate::door::Counters;
use crate::facts::Systems;
use crate::whereabouts::Whereabouts;
use feed::Feed;

/// Everything that the front door shows.
#[derive(Clone)]
pub(crate) struct Shared(Arc<Inner>);

struct Inner {
    cameras: RwLock<BTreeMap<CameraId, Arc<Camera>>>,
    devices: RwLock<Vec<Device>>,
    door: Arc<Counters>,
    cloud: Cloud,
    whereabouts: Whereabouts,
    systems: Systems,
    started: Instant,
    /// When somebody watched last, milliseconds after the start; 0: nobody yet.
    watched: AtomicU64,
}

/// One camera of the box.
pub(crate) struct Camera {
    id: CameraId,
    device: Option<DeviceKey>,
    feed: Feed,
    /// What the owner calls it.
    name: Mutex<Option<String>>,
    /// Its place in the owner's order.
    rank: AtomicU32,
    restarts: AtomicU64,
    worker: AtomicU32,
    requests: AtomicU64,
    small: AtomicBool,
    picture: watch::Sender<Picture>,
}

impl Shared {
    /// A box without cameras, and what is known of its cloud.
    pub(crate) fn new(cloud: Cloud) -> Self {
        Self(Arc::new(Inner {
            cameras: RwLock::default(),
            devices: RwLock::default(),
            door: Arc::default(),
            cloud,
            whereabouts: Whereabouts::default(),
            systems: Systems::default(),
            started: Instant::now(),
            watched: AtomicU64::new(0),
        }))
    }

    /// All cameras, in the owner's order, then by id.
    pub(crate) fn cameras(&self) -> Vec<Arc<Camera>> {
        let cameras = self.0.cameras.read().unwrap_or_else(PoisonError::into_inner);
        let mut cameras: Vec<_> = cameras.values().cloned().collect();
        cameras.sort_by_key(|camera| camera.rank());
        cameras
    }

    /// The camera of this id (the first segment of a link).
    pub(crate) fn camera(&self, id: &str) -> Option<Arc<Camera>> {
        let id = CameraId::new(id).ok()?;
        self.0.cameras.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// Adds a camera; `None` when the id is taken.
    pub(crate) fn add(&self, id: CameraId, device: Option<DeviceKey>, feed: Feed) -> Option<Arc<Camera>> {
        let mut cameras = self.0.cameras.write().unwrap_or_else(PoisonError::into_inner);
        if cameras.contains_key(&id) {
            return None;
        }
        let camera = Arc::new(Camera {
            id: id.clone(),
            device,
            feed,
            name: Mutex::default(),
            rank: AtomicU32::new(u32::MAX),
            restarts: AtomicU64::new(0),
            worker: AtomicU32::new(0),
            requests: AtomicU64::new(0),
            small: AtomicBool::new(false),
            picture: watch::Sender::new(Picture::Main),
        });
        cameras.insert(id, Arc::clone(&camera));
        Some(camera)
    }

    /// Takes a camera away: from now on its links are unknown, and whoever waits for it is told so.
    pub(crate) fn remove(&self, id: &CameraId) -> Option<Arc<Camera>> {
        let gone = self.0.cameras.write().unwrap_or_else(PoisonError::into_inner).remove(id)?;
        gone.feed.close();
        Some(gone)
    }

    /// The devices that discovery knows now, streamed or not.
    pub(crate) fn devices(&self) -> Vec<Device> {
        self.0.devices.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the list of devices.
    pub(crate) fn set_devices(&self, devices: Vec<Device>) {
        *self.0.devices.write().unwrap_or_else(PoisonError::into_inner) = devices;
    }

    /// What the front door counts.
    pub(crate) fn door(&self) -> &Arc<Counters> {
        &self.0.door
    }

    /// What is known of the cloud.
    pub(crate) fn cloud(&self) -> &Cloud {
        &self.0.cloud
    }

    /// Where people find the page.
    pub(crate) fn whereabouts(&self) -> &Whereabouts {
        &self.0.whereabouts
    }

    /// What is known of the two systems, and of new ones.
    pub(crate) fn systems(&self) -> &Systems {
        &self.0.systems
    }

    /// Somebody watches one of the cameras, from the LAN or through the tunnel.
    pub(crate) fn watch(&self) {
        let now = u64::try_from(self.uptime().as_millis()).unwrap_or(u64::MAX);
        self.0.watched.store(now.max(1), Ordering::Relaxed);
    }

    /// How long nobody has watched; `None`: nobody has since the start.
    pub(crate) fn quiet(&self) -> Option<Duration> {
        let watched = Some(self.0.watched.load(Ordering::Relaxed)).filter(|at| *at > 0)?;
        Some(self.uptime().saturating_sub(Duration::from_millis(watched)))
    }

    /// How long the box has been running.
    pub(crate) fn uptime(&self) -> Duration {
        self.0.started.elapsed()
    }
}

impl Camera {
    /// Its id.
    pub(crate) fn id(&self) -> &CameraId {
        &self.id
    }

    /// The discovered device that it was made from; `None` for a camera that was named by its address.
    pub(crate) fn device(&self) -> Option<&DeviceKey> {
        self.device.as_ref()
    }

    /// What the owner calls it; `None`: nothing yet.
    pub(crate) fn name(&self) -> Option<String> {
        lock(&self.name).clone()
    }

    /// The owner calls it so.
    pub(crate) fn set_name(&self, name: Option<String>) {
        *lock(&self.name) = name;
    }

    /// Its place in the owner's order.
    pub(crate) fn rank(&self) -> u32 {
        self.rank.load(Ordering::Relaxed)
    }

    /// Puts it into the owner's order.
    pub(crate) fn set_rank(&self, rank: u32) {
        self.rank.store(rank, Ordering::Relaxed);
    }

    /// Its state and its media.
    pub(crate) fn feed(&self) -> &Feed {
        &self.feed
    }

    /// How often its worker process had to be started again.
    pub(crate) fn restarts(&self) -> u64 {
        self.restarts.load(Ordering::Relaxed)
    }

    /// Counts one more start of its worker process.
    pub(crate) fn count_restart(&self) {
        self.restarts.fetch_add(1, Ordering::Relaxed);
    }

    /// Viewers' requests for its stream.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Counts one request of a viewer.
    pub(crate) fn count_request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether it has a smaller picture than the one that the owner chose.
    pub(crate) fn has_small(&self) -> bool {
        self.small.load(Ordering::Relaxed)
    }

    /// Notes that it has a smaller picture.
    pub(crate) fn set_small(&self, small: bool) {
        self.small.store(small, Ordering::Relaxed);
    }

    /// Which of its pictures is wanted.
    pub(crate) fn picture(&self) -> Picture {
        *self.picture.borrow()
    }

    /// Wants another of its pictures; its worker follows.
    pub(crate) fn set_picture(&self, picture: Picture) {
        self.picture.send_if_modified(|now| std::mem::replace(now, picture) != picture);
    }

    /// Changes when another picture is wanted.
    pub(crate) fn pictures(&self) -> watch::Receiver<Picture> {
        self.picture.subscribe()
    }

    /// The process id of its worker, while one runs.
    pub(crate) fn worker(&self) -> Option<u32> {
        Some(self.worker.load(Ordering::Relaxed)).filter(|pid| *pid != 0)
    }

    /// Notes the process id of its worker.
    pub(crate) fn set_worker(&self, pid: Option<u32>) {
        self.worker.store(pid.unwrap_or(0), Ordering::Relaxed);
    }
}

/// A lock whose holder never leaves a half-made value: a poisoned one is used as it is.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns once the box is to stop. A sender that is gone means the same.
pub(crate) async fn stopping(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}
