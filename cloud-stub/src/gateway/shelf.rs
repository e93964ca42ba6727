//! What is at hand and what is on its way: whoever asks for the same thing at the same time waits for one fetch.
//!
//! One lock covers both, so nothing is fetched twice and nothing that was closed comes back. A fetch is a task of its
//! own: those who wait may leave without disturbing it, and when the last one has left it ends.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use model::CameraId;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::cache::Cache;
use super::directory::Place;
use super::object::{Key, Object};

/// Blocking reloads of one camera that may wait at once. All who watch live wait for the next part or two, in two
/// containers, with and without a delta.
const BLOCKED: usize = 8;
/// Other objects of one camera that may be on their way at once.
const UNDER_WAY: usize = 16;
/// What an entry costs beside its body, bytes: key, headers, two map entries.
const ENTRY: u64 = 512;

/// Why nothing came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// The box cannot be reached, or the other cloud.
    Unreachable,
    /// The other cloud says that it cannot reach the box.
    Offline,
    /// The box broke off, or said what no box says.
    Broken,
    /// The box was too slow.
    Late,
    /// More bytes than an object may have.
    TooLarge,
    /// Too much is under way.
    Busy,
    /// The link was switched off, or leads elsewhere now.
    Gone,
}

/// What a fetch came to.
pub(super) type Outcome = Result<Arc<Object>, Failure>;

/// Everything at hand and on its way.
#[derive(Debug)]
pub(super) struct Shelf(Mutex<State>);

#[derive(Debug)]
struct State {
    cache: Cache<Key, Arc<Object>>,
    fetches: HashMap<Key, Fetch>,
    cameras: HashMap<CameraId, Known>,
    started: u64,
}

/// A camera of which something is at hand or on its way.
#[derive(Debug)]
struct Known {
    place: Place,
    blocked: usize,
    under_way: usize,
}

/// One fetch.
#[derive(Debug)]
struct Fetch {
    number: u64,
    waiting: usize,
    outcome: watch::Sender<Option<Outcome>>,
    /// `None` for the moment between its start here and its task's.
    task: Option<AbortHandle>,
}

/// What [`Shelf::ask`] has.
#[derive(Debug)]
pub(super) enum Asked {
    /// At hand.
    Here(Arc<Object>),
    /// On its way; the flag says whether this very request started the fetch.
    Coming(Waiting, bool),
    /// Too much of this camera is under way.
    Busy,
}

/// A place in the queue for a fetch. Dropping it leaves the queue.
#[derive(Debug)]
pub(super) struct Waiting {
    shelf: Arc<Shelf>,
    key: Key,
    number: u64,
    outcome: watch::Receiver<Option<Outcome>>,
}

/// The bytes that a fetch has reserved; given back when dropped.
#[derive(Debug)]
pub(super) struct Room {
    shelf: Arc<Shelf>,
    bytes: u64,
}

/// What a fetch under way owes its shelf.
#[derive(Debug)]
pub(super) struct Order {
    shelf: Arc<Shelf>,
    key: Key,
    number: u64,
}

impl Shelf {
    /// An empty shelf for at most `bound` bytes.
    pub(super) fn new(bound: u64) -> Arc<Self> {
        let state =
            State { cache: Cache::new(bound), fetches: HashMap::new(), cameras: HashMap::new(), started: 0 };
        Arc::new(Self(Mutex::new(state)))
    }

    /// Gives what is at hand, joins the fetch under way, or starts one: `fetch` spawns the task that fetches.
    pub(super) fn ask(
        self: &Arc<Self>,
        key: &Key,
        place: &Place,
        now: Instant,
        fetch: impl FnOnce(Order) -> AbortHandle,
    ) -> Asked {
        let mut state = self.lock();
        if state.cameras.get(&key.camera).is_some_and(|known| known.place != *place) {
            state.close(&key.camera);
        }
        if let Some(object) = state.cache.get(key, now) {
            return Asked::Here(object.clone());
        }
        if let Some(fetch) = state.fetches.get_mut(key) {
            fetch.waiting += 1;
            let (number, outcome) = (fetch.number, fetch.outcome.subscribe());
            return Asked::Coming(Waiting { shelf: self.clone(), key: key.clone(), number, outcome }, false);
        }
        if !state.admit(key, place) {
            return Asked::Busy;
        }
        state.started += 1;
        let number = state.started;
        let (sender, outcome) = watch::channel(None);
        state.fetches.insert(key.clone(), Fetch { number, waiting: 1, outcome: sender, task: None });
        drop(state); // a runtime that is going down drops the task at once, and its order locks
        let task = fetch(Order { shelf: self.clone(), key: key.clone(), number });
        match self.lock().fetches.get_mut(key).filter(|fetch| fetch.number == number) {
            Some(fetch) => fetch.task = Some(task),
            None => task.abort(),
        }
        Asked::Coming(Waiting { shelf: self.clone(), key: key.clone(), number, outcome }, true)
    }

    /// Drops everything of cameras that are no longer where they were, and ends what is on its way from there.
    pub(super) fn keep(&self, still: impl Fn(&CameraId, &Place) -> bool) {
        let mut state = self.lock();
        let dead: Vec<CameraId> = state
            .cameras
            .iter()
            .filter(|(camera, known)| !still(camera, &known.place))
            .map(|(camera, _)| camera.clone())
            .collect();
        for camera in dead {
            state.close(&camera);
        }
    }

    /// Drops what is over, and forgets cameras of which nothing is left.
    pub(super) fn tidy(&self, now: Instant) {
        let mut state = self.lock();
        state.cache.expire(now);
        let State { cache, cameras, .. } = &mut *state;
        let kept: HashSet<&CameraId> = cache.keys().map(|key| &key.camera).collect();
        cameras.retain(|camera, known| known.blocked + known.under_way > 0 || kept.contains(camera));
    }

    /// Bytes and objects at hand.
    pub(super) fn kept(&self) -> (u64, usize) {
        let state = self.lock();
        (state.cache.kept(), state.cache.objects())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No holder leaves a half-made value.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Counts one more fetch of this camera, if it may have one. Where all blocking reloads are taken, the one farthest in
    /// the future makes way for a nearer one: who watches live asks for the next part, who means harm must ask for others.
    fn admit(&mut self, key: &Key, place: &Place) -> bool {
        let known = self.cameras.entry(key.camera.clone()).or_insert_with(|| Known {
            place: place.clone(),
            blocked: 0,
            under_way: 0,
        });
        if !key.blocks() {
            let free = known.under_way < UNDER_WAY;
            known.under_way += usize::from(free);
            return free;
        }
        if known.blocked >= BLOCKED {
            let distance = |key: &Key| (key.directives.msn, key.directives.part);
            let rivals = self.fetches.keys().filter(|other| other.camera == key.camera && other.blocks());
            let farthest = rivals.max_by_key(|other| distance(other)).cloned();
            match farthest {
                Some(farthest) if distance(&farthest) > distance(key) => self.end(&farthest, Failure::Busy),
                _ => return false,
            }
        }
        if let Some(known) = self.cameras.get_mut(&key.camera) {
            known.blocked += 1;
        }
        true
    }

    /// Takes a fetch off the list, if it is this one.
    fn take(&mut self, key: &Key, number: u64) -> Option<Fetch> {
        if self.fetches.get(key)?.number != number {
            return None;
        }
        let fetch = self.fetches.remove(key)?;
        if let Some(known) = self.cameras.get_mut(&key.camera) {
            let count = if key.blocks() { &mut known.blocked } else { &mut known.under_way };
            *count = count.saturating_sub(1);
        }
        Some(fetch)
    }

    /// Ends a fetch; those who wait hear why.
    fn end(&mut self, key: &Key, why: Failure) {
        let number = self.fetches.get(key).map_or(0, |fetch| fetch.number);
        if let Some(fetch) = self.take(key, number) {
            fetch.stop();
            fetch.outcome.send_replace(Some(Err(why)));
        }
    }

    /// Drops everything of a camera.
    fn close(&mut self, camera: &CameraId) {
        let under_way: Vec<Key> = self.fetches.keys().filter(|key| key.camera == *camera).cloned().collect();
        for key in under_way {
            self.end(&key, Failure::Gone);
        }
        self.cache.retain(|key| key.camera != *camera);
        self.cameras.remove(camera);
    }
}

impl Waiting {
    /// What the fetch came to.
    pub(super) async fn outcome(mut self) -> Outcome {
        match self.outcome.wait_for(Option::is_some).await {
            Ok(outcome) => (*outcome).clone().unwrap_or(Err(Failure::Broken)),
            Err(_) => Err(Failure::Broken),
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut state = self.shelf.lock();
        let Some(fetch) = state.fetches.get_mut(&self.key).filter(|fetch| fetch.number == self.number) else {
            return;
        };
        fetch.waiting -= 1;
        if fetch.waiting == 0
            && let Some(fetch) = state.take(&self.key, self.number)
        {
            fetch.stop();
        }
    }
}

impl Fetch {
    fn stop(&self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Order {
    /// No bytes yet.
    pub(super) fn room(&self) -> Room {
        Room { shelf: self.shelf.clone(), bytes: 0 }
    }

    /// Hands over what came: it is shared for `stay`, and everybody who waits gets it. Nothing happens when the fetch was
    /// ended meanwhile.
    pub(super) fn deliver(self, outcome: Result<(Object, Duration), Failure>, mut room: Room, now: Instant) {
        let mut state = self.shelf.lock();
        let Some(fetch) = state.take(&self.key, self.number) else { return };
        state.cache.release(std::mem::take(&mut room.bytes));
        let outcome = outcome.and_then(|(object, stay)| {
            let object = Arc::new(object);
            let cost = object.size() + ENTRY;
            // What the cache does not hold, nobody can read: it is the one owner.
            let kept = state.cache.insert(self.key.clone(), object.clone(), cost, now + stay);
            kept.then_some(object).ok_or(Failure::Busy)
        });
        fetch.outcome.send_replace(Some(outcome));
    }
}

impl Drop for Order {
    /// A fetch that ends without a delivery leaves nobody waiting.
    fn drop(&mut self) {
        let fetch = self.shelf.lock().take(&self.key, self.number);
        if let Some(fetch) = fetch {
            fetch.outcome.send_replace(Some(Err(Failure::Broken)));
        }
    }
}

impl Room {
    /// Makes it larger; false when there is no more.
    pub(super) fn grow(&mut self, bytes: u64) -> bool {
        let grown = self.shelf.lock().cache.reserve(bytes);
        if grown {
            self.bytes += bytes;
        }
        grown
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.shelf.lock().cache.release(self.bytes);
    }
}
