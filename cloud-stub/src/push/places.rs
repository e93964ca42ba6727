//! One encoder at a time sends for a camera. A place that has seen no picture for [`GIVES_WAY`] is given to the next who
//! comes with the key; before that, the next is refused.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use model::CameraId;
use tokio::sync::Notify;

/// Longer than any keyframe's hiccup on the way, shorter than the patience of whoever restarted the encoder.
pub(super) const GIVES_WAY: Duration = Duration::from_secs(3);

/// Who sends for which camera.
#[derive(Debug, Clone, Default)]
pub(super) struct Places(Arc<Mutex<HashMap<CameraId, Held>>>);

#[derive(Debug)]
struct Held {
    number: u64,
    picture: Instant,
    lost: Arc<Notify>,
}

/// The right to send for a camera; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Places,
    camera: CameraId,
    number: u64,
    lost: Arc<Notify>,
}

impl Places {
    /// The place at a camera, if nobody sends; true when somebody has lost it by that.
    pub(super) fn take(&self, camera: &CameraId, now: Instant) -> Option<(Place, bool)> {
        let mut places = self.lock();
        let before = places.get(camera);
        if before.is_some_and(|held| now.saturating_duration_since(held.picture) < GIVES_WAY) {
            return None;
        }
        let number = before.map_or(0, |held| held.number + 1);
        let lost = Arc::new(Notify::new());
        let held = Held { number, picture: now, lost: lost.clone() };
        let before = places.insert(camera.clone(), held);
        if let Some(before) = &before {
            before.lost.notify_one();
        }
        let place = Place { places: self.clone(), camera: camera.clone(), number, lost };
        Some((place, before.is_some()))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CameraId, Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Notes that a picture came; false when the place is somebody else's by now.
    pub(super) fn picture(&self, now: Instant) -> bool {
        let mut places = self.places.lock();
        let held = places.get_mut(&self.camera).filter(|held| held.number == self.number);
        held.map(|held| held.picture = now).is_some()
    }

    /// Returns when it was given to somebody else.
    pub(super) async fn lost(&self) {
        self.lost.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = self.places.lock();
        if places.get(&self.camera).is_some_and(|held| held.number == self.number) {
            places.remove(&self.camera);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_sends_stays_and_who_is_silent_gives_way() {
        let (places, start) = (Places::default(), Instant::now());
        let (gate, yard) = (CameraId::new("gate").unwrap(), CameraId::new("yard").unwrap());
        let (first, replaced) = places.take(&gate, start).unwrap();
        assert!(!replaced);
        assert!(places.take(&yard, start).is_some(), "each camera has its own");
        let later = start + Duration::from_secs(60);
        assert!(first.picture(later));
        assert!(places.take(&gate, later + GIVES_WAY / 2).is_none());
        let (second, replaced) = places.take(&gate, later + GIVES_WAY).unwrap();
        assert!(replaced);
        first.lost().await;
        assert!(!first.picture(later + GIVES_WAY), "what it still sends is nobody's");
        drop(first);
        assert!(second.picture(later + GIVES_WAY), "who leaves late takes nothing along");
        drop(second);
        assert!(!places.take(&gate, later + GIVES_WAY).unwrap().1);
    }
}
