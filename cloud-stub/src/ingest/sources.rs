//! Cameras without a box as tenants have them: each is taken in by the cloud that is to, as soon as its row says so, and
//! begun anew when what is kept of it changes. Its title, its access and its site change nothing here.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use model::{CameraId, CameraState, Trouble};
use tokio::task::AbortHandle;
use tunnel::io::Handle;

use super::Here;
use super::ping::Way as Ping;
use super::pull::{self, Pulling};
use super::seal::Safe;
use super::settings::Pull;
use super::wired::Wired;
use crate::nodes::is_here;
use crate::peer::Pipe;
use crate::store::{Directory, Source, Store};

/// A directory that changes all the time is looked at this often.
const LOOK: Duration = Duration::from_millis(50);

/// What follows the directory.
pub(super) struct Sources {
    store: Store,
    here: Here,
    pulling: Arc<Pulling>,
    safe: Safe,
    /// The way to peers.
    tunnel: Handle,
    held: HashMap<CameraId, Held>,
}

/// A camera that is taken in.
struct Held {
    kind: String,
    settings: String,
    /// Who keeps it read.
    keeper: Option<AbortHandle>,
    /// The way to a camera behind a peer.
    _pipe: Option<Pipe>,
}

/// What is asked for pictures, and the way there.
type Way = (camera::Source, Option<Pipe>);

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(keeper) = &self.keeper {
            keeper.abort();
        }
    }
}

impl Sources {
    /// Nothing yet.
    pub(super) fn new(store: Store, here: Here, pulling: Arc<Pulling>, safe: Safe, tunnel: Handle) -> Self {
        Self { store, here, pulling, safe, tunnel, held: HashMap::new() }
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
            .filter(|(id, source)| source.on && is_ours(source, directory, id) && is_here(directory, id))
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
                let held = self.take(&id, source, directory);
                self.held.insert(id, held);
            }
        }
    }

    fn take(&self, id: &CameraId, source: &Source, directory: &Directory) -> Held {
        let feed = self.here.put(id, false);
        let (mut keeper, mut pipe) = (None, None);
        match self.way(id, source, directory) {
            None => {}
            Some(Ok((target, way))) => {
                pipe = way;
                let way = pipe.as_ref().map_or(Ping::Judged, |pipe| Ping::Far(pipe.far()));
                let task = tokio::spawn(pull::keep(self.pulling.clone(), target, feed, Some(way)));
                keeper = Some(task.abort_handle());
            }
            Some(Err(detail)) => {
                feed.set_state(CameraState::Stopped { trouble: Trouble::Forbidden { detail } });
            }
        }
        let (kind, settings) = (source.kind.clone(), source.settings.expose().clone());
        Held { kind, settings, keeper, _pipe: pipe }
    }

    /// How a camera is asked for pictures; `None`: it sends them by itself.
    fn way(&self, id: &CameraId, source: &Source, directory: &Directory) -> Option<Result<Way, String>> {
        let text = source.settings.expose();
        match source.kind.as_str() {
            "pull" => {
                let kept = serde_json::from_str::<Pull>(text).map_err(|error| error.to_string());
                Some(kept.and_then(|kept| Ok((kept.source(id, &self.safe)?, None))))
            }
            "peer" => {
                let peer = directory.portal().peers.get(id.as_str())?;
                let kept = serde_json::from_str::<Wired>(text).map_err(|error| error.to_string());
                Some(kept.and_then(|kept| {
                    let [b, c, d, ..] = self.store.salt().map_err(|error| error.to_string())?;
                    let pipe = Pipe::open(self.tunnel.clone(), peer.address, [b, c, d]);
                    let pipe = pipe.map_err(|error| error.to_string())?;
                    Ok((kept.camera(id, &self.safe, pipe.address())?, Some(pipe)))
                }))
            }
            _ => None,
        }
    }
}

/// What is taken in here: a camera behind a peer as soon as the peer is known.
fn is_ours(source: &Source, directory: &Directory, id: &str) -> bool {
    match source.kind.as_str() {
        "pull" | "push" => true,
        "peer" => directory.portal().peers.get(id).is_some(),
        _ => false,
    }
}
