//! Cameras without a box as tenants have them: each is taken in by the cloud that is to, as soon as its row says so, and
//! begun anew when what is kept of it changes. Its title, its access and its site change nothing here.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use model::{CameraId, CameraState, Trouble};
use tokio::task::AbortHandle;

use super::Here;
use super::pull::{self, Pulling};
use super::seal::Safe;
use super::settings::Pull;
use crate::nodes::is_here;
use crate::store::{Directory, Source, Store};

/// A directory that changes all the time is looked at this often.
const LOOK: Duration = Duration::from_millis(50);

/// What follows the directory.
pub(super) struct Sources {
    store: Store,
    here: Here,
    pulling: Arc<Pulling>,
    safe: Safe,
    held: HashMap<CameraId, Held>,
}

/// A camera that is taken in.
struct Held {
    kind: String,
    settings: String,
    /// Who keeps it read.
    keeper: Option<AbortHandle>,
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(keeper) = &self.keeper {
            keeper.abort();
        }
    }
}

impl Sources {
    /// Nothing yet.
    pub(super) fn new(store: Store, here: Here, pulling: Arc<Pulling>, safe: Safe) -> Self {
        Self { store, here, pulling, safe, held: HashMap::new() }
    }

    /// Follows the directory for ever.
    pub(super) async fn follow(mut self) {
        let mut directory = self.store.directory();
        loop {
            let now = directory.borrow_and_update().clone();
            self.look(&now);
            if directory.changed().await.is_err() {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn look(&mut self, directory: &Directory) {
        let wanted: HashMap<CameraId, &Source> = directory
            .portal()
            .sources
            .iter()
            .filter(|(id, source)| source.on && is_ours(source) && is_here(directory, id))
            .filter_map(|(id, source)| Some((CameraId::new(id).ok()?, &**source)))
            .collect();
        let here = &self.here;
        self.held.retain(|id, _| {
            let stays = wanted.contains_key(id);
            if !stays {
                here.remove(id);
            }
            stays
        });
        for (id, source) in wanted {
            let same = self
                .held
                .get(&id)
                .is_some_and(|held| held.kind == source.kind && held.settings == *source.settings.expose());
            // A publisher's key may change under a feed that plays on.
            let keeps = source.kind == "push" && self.held.get(&id).is_some_and(|held| held.kind == "push");
            if !same && !keeps {
                let held = self.take(&id, source);
                self.held.insert(id, held);
            }
        }
    }

    fn take(&self, id: &CameraId, source: &Source) -> Held {
        let feed = self.here.put(id, false);
        let mut keeper = None;
        if source.kind == "pull" {
            let kept = serde_json::from_str::<Pull>(source.settings.expose());
            match kept.map_err(|error| error.to_string()).and_then(|kept| kept.source(id, &self.safe)) {
                Ok(target) => {
                    let task = tokio::spawn(pull::keep(self.pulling.clone(), target, feed));
                    keeper = Some(task.abort_handle());
                }
                Err(detail) => {
                    feed.set_state(CameraState::Stopped { trouble: Trouble::Forbidden { detail } });
                }
            }
        }
        Held { kind: source.kind.clone(), settings: source.settings.expose().clone(), keeper }
    }
}

/// Kinds that are taken in here; a camera behind a peer is the tunnel's affair.
fn is_ours(source: &Source) -> bool {
    matches!(source.kind.as_str(), "pull" | "push")
}
