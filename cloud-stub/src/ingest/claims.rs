//! Encoders that are at this cloud while the database has their cameras elsewhere: each is written down as soon as the
//! database takes it, and counts as this cloud's until then.
//!
//! A publisher holds its [`Claim`] for as long as it sends. One that leaves before anything was written has never been here.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use model::CameraId;
use tokio::sync::watch;

use crate::store::Store;

/// Before a write is tried again that the database did not take.
const AGAIN: Duration = Duration::from_secs(1);

/// What waits to be written, each by the number of its claim.
type Pending = HashMap<CameraId, u64>;

/// The claims; a handle, cheap to clone.
#[derive(Debug, Clone)]
pub struct Claims(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    next: AtomicU64,
    pending: watch::Sender<Pending>,
}

/// A publisher's claim to a camera; withdrawn when dropped.
#[derive(Debug)]
pub struct Claim {
    claims: Claims,
    camera: CameraId,
    number: u64,
}

impl Default for Claims {
    fn default() -> Self {
        Self(Arc::new(Inner { next: AtomicU64::new(0), pending: watch::Sender::new(Pending::new()) }))
    }
}

impl Claims {
    /// Says that the encoder of this camera is here. Nothing waits for the database.
    pub fn claim(&self, camera: &CameraId) -> Claim {
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        self.0.pending.send_modify(|pending| {
            pending.insert(camera.clone(), number);
        });
        Claim { claims: self.clone(), camera: camera.clone(), number }
    }

    /// What waits to be written, now and whenever that changes.
    pub(super) fn pending(&self) -> watch::Receiver<Pending> {
        self.0.pending.subscribe()
    }

    /// Writes for ever. Troubles of the database are the follower's to log.
    ///
    /// While it is away, viewers are led to where the camera was before: they see it as one that does not stream, and its
    /// picture within a second after the database works again.
    pub(super) async fn write(self, store: Store) {
        let mut pending = self.pending();
        loop {
            let due = pending.borrow_and_update().clone();
            let cameras: Vec<CameraId> = due.keys().cloned().collect();
            // Only what the directory shows is settled: until then it would seem to be elsewhere.
            let written = async { store.hold_sources(&cameras).await.and(store.refresh().await) };
            if let Err(error) = written.await {
                tracing::debug!("{error}");
                tokio::time::sleep(AGAIN).await;
                continue;
            }
            for (camera, number) in due {
                self.settle(&camera, number);
            }
            if pending.changed().await.is_err() {
                return;
            }
        }
    }

    /// Takes a claim off the list, if it is still that one.
    fn settle(&self, camera: &CameraId, number: u64) {
        self.0.pending.send_if_modified(|pending| {
            let its = pending.get(camera) == Some(&number);
            if its {
                pending.remove(camera);
            }
            its
        });
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.claims.settle(&self.camera, self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_leaves_takes_back_its_own_claim_and_no_other() {
        let claims = Claims::default();
        let pending = claims.pending();
        let gate = CameraId::new("gate").unwrap();
        let waits = || pending.borrow().contains_key(&gate);
        let first = claims.claim(&gate);
        assert!(waits());
        let second = claims.claim(&gate);
        drop(first);
        assert!(waits(), "the second one sends");
        drop(second);
        assert!(!waits());
    }
}
