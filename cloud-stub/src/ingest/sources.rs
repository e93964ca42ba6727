//! Cameras without a box as tenants have them: each is taken in by the cloud that has it ([`crate::nodes::holder`]), as soon as
//! its row says so, and begun anew when what is kept of it changes. Its title, its access and its site change nothing here.
//!
//! An encoder may be let in before its camera's row says that it is here ([`Claims`]). Its feed is then there already and is
//! kept; whatever feed is nobody's any more is closed, and its publisher with it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use model::{CameraId, CameraState, Trouble};
use tokio::task::AbortHandle;
use tunnel::io::Handle;

use super::ping::Way as Ping;
use super::pull::{self, Pulling};
use super::seal::Safe;
use super::settings::Pull;
use super::wired::Wired;
use super::{Claims, Here};
use crate::nodes::is_here;
use crate::peer::Pipe;
use crate::store::{Directory, Source, Store};

/// A directory that changes all the time is looked at this often.
const LOOK: Duration = Duration::from_millis(50);

/// What follows the directory.
pub(super) struct Sources {
    store: Store,
    here: Here,
    claims: Claims,
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
    node: String,
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
    pub(super) fn new(
        store: Store,
        here: Here,
        claims: Claims,
        pulling: Arc<Pulling>,
        safe: Safe,
        tunnel: Handle,
    ) -> Self {
        Self { store, here, claims, pulling, safe, tunnel, held: HashMap::new() }
    }

    /// Follows the directory and the claims for ever.
    pub(super) async fn follow(mut self) {
        let (mut directory, mut pending) = (self.store.directory(), self.claims.pending());
        loop {
            // What is claimed first: a claim that is settled meanwhile is in the directory.
            let claimed: HashSet<CameraId> = pending.borrow_and_update().keys().cloned().collect();
            let now = directory.borrow_and_update().clone();
            self.look(&now, &claimed);
            let changed = tokio::select! {
                changed = directory.changed() => changed,
                changed = pending.changed() => changed,
            };
            if changed.is_err() {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn look(&mut self, directory: &Directory, claimed: &HashSet<CameraId>) {
        let wanted = wanted(directory, claimed);
        self.held.retain(|id, _| wanted.contains_key(id));
        self.here.keep(|id| wanted.contains_key(id));
        for (id, source) in wanted {
            let stays = self.held.get(&id).is_some_and(|held| self.stays(held, &id, source));
            if !stays {
                let held = self.take(&id, source, directory);
                self.held.insert(id, held);
            }
        }
    }

    /// Whether a camera that is taken in goes on as it is.
    fn stays(&self, held: &Held, id: &CameraId, source: &Source) -> bool {
        if held.kind != source.kind {
            return false;
        }
        match source.kind.as_str() {
            // A publisher's key may change under a feed that plays on.
            "push" => true,
            // A peer that has just come is asked at once, not at the next try.
            "peer" if held.node != source.node && !self.streams(id) => false,
            _ => held.settings == *source.settings.expose(),
        }
    }

    fn streams(&self, id: &CameraId) -> bool {
        self.here.feed(id).is_some_and(|feed| matches!(feed.state(), CameraState::Streaming(_)))
    }

    fn take(&self, id: &CameraId, source: &Source, directory: &Directory) -> Held {
        let feed =
            if source.kind == "push" { self.here.feed_or_new(id, false) } else { self.here.put(id, false) };
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
        let (kind, node) = (source.kind.clone(), source.node.clone());
        Held { kind, settings: source.settings.expose().clone(), node, keeper, _pipe: pipe }
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

/// What this cloud is to have: what is its own, and encoders that it has let in of which the database does not say so yet.
fn wanted<'d>(directory: &'d Directory, claimed: &HashSet<CameraId>) -> HashMap<CameraId, &'d Source> {
    let sources = directory.portal().sources.iter().filter(|(_, source)| source.on);
    let sources = sources.filter_map(|(id, source)| Some((CameraId::new(id).ok()?, &**source)));
    sources
        .filter(|(id, source)| {
            let claimed = source.kind == "push" && claimed.contains(id);
            is_ours(source, directory, id.as_str()) && (claimed || is_here(directory, id.as_str()))
        })
        .collect()
}

/// What is taken in here: a camera behind a peer as soon as the peer is known.
fn is_ours(source: &Source, directory: &Directory, id: &str) -> bool {
    match source.kind.as_str() {
        "pull" | "push" => true,
        "peer" => directory.portal().peers.get(id).is_some(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::sample;

    /// Two clouds that live, read by `a`, and a camera.
    fn directory(kind: &str, node: &str, on: bool) -> Directory {
        sample::directory(kind, node, on, &["a", "b"])
    }

    #[test]
    fn an_encoder_that_was_let_in_is_kept_until_its_camera_goes_or_is_anothers() {
        let yard = CameraId::new("yard").unwrap();
        let (nobody, claimed) = (HashSet::new(), HashSet::from([yard.clone()]));
        let has = |directory: &Directory, claimed: &HashSet<CameraId>| {
            wanted(directory, claimed).contains_key(&yard)
        };
        assert!(has(&directory("push", "b", true), &claimed), "let in, not written yet");
        assert!(has(&directory("push", "a", true), &nobody), "written");
        assert!(!has(&directory("push", "b", true), &nobody), "it left, or is written elsewhere");
        assert!(!has(&directory("push", "a", false), &claimed), "switched off");
        assert!(!has(&Directory::default(), &claimed), "deleted");
        let pulled = directory("pull", "b", true);
        assert_eq!(has(&pulled, &claimed), is_here(&pulled, "yard"), "nobody lets in what is asked");
    }
}
