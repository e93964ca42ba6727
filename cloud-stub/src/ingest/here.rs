//! The cameras whose pictures this cloud has itself: one feed each, by the first segment of their links.
//!
//! A feed that is taken out is closed, and one that is put in begins with numbers that none before it has used: names of
//! segments are never used twice, so every object may be cached for as long as a cache likes.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use feed::{Feed, Floor, first_sequence_number};
use media::Stream;
use model::CameraId;

/// The feeds; a handle, cheap to clone.
#[derive(Clone)]
pub struct Here(Arc<Inner>);

struct Inner {
    floor: Floor,
    feeds: RwLock<HashMap<CameraId, Held>>,
}

struct Held {
    feed: Feed,
    /// A camera of the configuration: nobody's, and everybody may watch.
    open: bool,
}

impl Here {
    /// No cameras; numbers count from the floor's time.
    pub fn new(floor: Floor) -> Self {
        Self(Arc::new(Inner { floor, feeds: RwLock::default() }))
    }

    /// The feed of a camera.
    pub fn feed(&self, id: &CameraId) -> Option<Feed> {
        self.read(|feeds| feeds.get(id).map(|held| held.feed.clone()))
    }

    /// Whether it is a camera of the configuration, which everybody may watch.
    pub fn is_open(&self, id: &CameraId) -> bool {
        self.read(|feeds| feeds.get(id).is_some_and(|held| held.open))
    }

    /// Puts a camera in; `open` for those of the configuration. The feed of one that was there before is closed.
    pub fn put(&self, id: &CameraId, open: bool) -> Feed {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let first = first_sequence_number(self.0.floor.time(now));
        let feed = Feed::new(Stream::new(media::Options::default(), first));
        let held = Held { feed: feed.clone(), open };
        let before = self.0.feeds.write().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), held);
        if let Some(before) = before {
            before.feed.close();
        }
        feed
    }

    /// Takes a camera out: its link is unknown at once, and whoever waits for it is told so.
    pub fn remove(&self, id: &CameraId) {
        let gone = self.0.feeds.write().unwrap_or_else(PoisonError::into_inner).remove(id);
        if let Some(gone) = gone {
            gone.feed.close();
        }
    }

    /// Every camera and its feed.
    pub fn all(&self) -> Vec<(CameraId, Feed)> {
        self.read(|feeds| feeds.iter().map(|(id, held)| (id.clone(), held.feed.clone())).collect())
    }

    fn read<T>(&self, ask: impl FnOnce(&HashMap<CameraId, Held>) -> T) -> T {
        // No holder leaves a half-made map.
        ask(&self.0.feeds.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Default for Here {
    /// No cameras, on a machine whose clock is believed.
    fn default() -> Self {
        Self::new(Floor::new(None, std::time::Duration::ZERO))
    }
}

impl std::fmt::Debug for Here {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Here").field("cameras", &self.read(HashMap::len)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_waits_for_a_camera_that_goes_is_told() {
        let here = Here::default();
        let id = CameraId::new("gate").unwrap();
        assert!(here.feed(&id).is_none() && !here.is_open(&id));
        let first = here.put(&id, true);
        assert!(here.is_open(&id));
        let second = here.put(&id, false);
        assert!(first.is_closed() && !second.is_closed() && !here.is_open(&id));
        here.remove(&id);
        assert!(second.is_closed() && here.feed(&id).is_none());
    }
}
