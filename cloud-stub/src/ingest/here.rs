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

    /// The feed of a camera, which is put in if it is not there: whoever fills it and whoever follows the database may come
    /// first.
    pub fn feed_or_new(&self, id: &CameraId, open: bool) -> Feed {
        let mut feeds = self.0.feeds.write().unwrap_or_else(PoisonError::into_inner);
        let new = || Held { feed: self.new_feed(), open };
        feeds.entry(id.clone()).or_insert_with(new).feed.clone()
    }

    /// Puts a camera in; `open` for those of the configuration. The feed of one that was there before is closed.
    pub fn put(&self, id: &CameraId, open: bool) -> Feed {
        let feed = self.new_feed();
        let held = Held { feed: feed.clone(), open };
        let before = self.0.feeds.write().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), held);
        if let Some(before) = before {
            before.feed.close();
        }
        feed
    }

    /// Takes out all cameras but those of the configuration and those that stay: their links are unknown at once, and whoever
    /// waits for them is told so.
    pub fn keep(&self, stays: impl Fn(&CameraId) -> bool) {
        let mut gone = Vec::new();
        self.0.feeds.write().unwrap_or_else(PoisonError::into_inner).retain(|id, held| {
            let stays = held.open || stays(id);
            if !stays {
                gone.push(held.feed.clone());
            }
            stays
        });
        for feed in gone {
            feed.close();
        }
    }

    /// Every camera and its feed.
    pub fn all(&self) -> Vec<(CameraId, Feed)> {
        self.read(|feeds| feeds.iter().map(|(id, held)| (id.clone(), held.feed.clone())).collect())
    }

    fn new_feed(&self) -> Feed {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let first = first_sequence_number(self.0.floor.time(now));
        Feed::new(Stream::new(media::Options::default(), first))
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
        here.keep(|stays| *stays == id);
        assert!(!second.is_closed());
        here.keep(|_| false);
        assert!(second.is_closed() && here.feed(&id).is_none());
    }

    #[test]
    fn whoever_comes_second_finds_the_feed_that_is_there_and_the_configurations_stay() {
        let here = Here::default();
        let [gate, yard] = ["gate", "yard"].map(|id| CameraId::new(id).unwrap());
        let filled = here.feed_or_new(&gate, false);
        filled.set_state(model::CameraState::Stopped { trouble: model::Trouble::NoVideo });
        let followed = here.feed_or_new(&gate, false);
        assert!(followed.trouble().is_some() && !filled.is_closed(), "one and the same");
        let own = here.feed_or_new(&yard, true);
        here.keep(|_| false);
        assert!(filled.is_closed() && !own.is_closed() && here.all().len() == 1);
    }
}
