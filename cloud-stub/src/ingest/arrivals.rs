//! Cameras behind WireGuard peers are where their peers are: the cloud whose hub hears one writes it down.
//!
//! Only data count, empty packets too. A handshake's first message does not: whoever saw one on its way to one hub can send it
//! to another.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use model::CameraId;
use tunnel::io::Handle;
use tunnel::keys::PublicKey;

use crate::nodes::lives;
use crate::store::{Directory, Store};

/// Between two looks at who has come.
const LOOK: Duration = Duration::from_secs(1);
/// A peer that nobody has must have been heard this lately: longer than it is silent while it is there (its keepalive).
const FRESH: Duration = Duration::from_secs(30);
/// A peer that another cloud has must have been heard this long after that became known: one key that is used at two places
/// moves its camera once in this time, and not with each packet.
const SETTLED: Duration = Duration::from_secs(5);

/// Writes arrivals down for ever. What the database does not take is found again with the next look.
pub(super) async fn keep(store: Store, tunnel: Handle) {
    let mut arrivals = Arrivals::default();
    loop {
        tokio::time::sleep(LOOK).await;
        let directory = store.directory().borrow().clone();
        let heard = |key| tunnel.peer(&PublicKey::from_bytes(key))?.last_data;
        let come = arrivals.look(&directory, Instant::now(), heard);
        if let Err(error) = store.hold_sources(&come).await {
            tracing::debug!("{error}");
        }
    }
}

/// Peers that are not here as far as the database knows.
#[derive(Debug, Default)]
struct Arrivals {
    /// Where each is, and since when that is known.
    elsewhere: HashMap<CameraId, (String, Instant)>,
}

impl Arrivals {
    /// Which cameras' peers have come here; `heard` is the time since a peer's last data.
    fn look(
        &mut self,
        directory: &Directory,
        now: Instant,
        heard: impl Fn([u8; 32]) -> Option<Duration>,
    ) -> Vec<CameraId> {
        let here = directory.here();
        let mut before = std::mem::take(&mut self.elsewhere);
        if here.is_empty() {
            return Vec::new();
        }
        let mut come = Vec::new();
        for (id, peer) in directory.portal().peers.iter() {
            let Some(source) = directory.portal().sources.get(id).filter(|source| source.node != here) else {
                continue;
            };
            let Ok(id) = CameraId::new(id) else { continue };
            let known = before.remove(&id).filter(|(node, _)| *node == source.node);
            let (node, since) = known.unwrap_or_else(|| (source.node.clone(), now));
            let at_most = if lives(directory, &node) {
                now.saturating_duration_since(since).checked_sub(SETTLED)
            } else {
                Some(FRESH)
            };
            if at_most.zip(heard(peer.tunnel_key)).is_some_and(|(at_most, ago)| ago <= at_most) {
                come.push(id.clone());
            }
            self.elsewhere.insert(id, (node, since));
        }
        come
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::ingest::sample;
    use crate::store::WirePeer;

    /// What `a` reads of a camera behind a peer that is at `node`.
    fn directory(node: &str, alive: &[&str]) -> Directory {
        let mut directory = sample::directory("peer", node, true, alive);
        let mut portal = directory.portal().clone();
        portal
            .peers
            .put("yard", Some(WirePeer { tunnel_key: [7; 32], address: Ipv4Addr::new(10, 13, 1, 1) }));
        directory.set_portal(portal);
        directory
    }

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_peer_that_no_living_cloud_has_is_here_as_soon_as_it_is_heard() {
        let now = Instant::now();
        for node in ["", "b"] {
            let mut arrivals = Arrivals::default();
            let directory = directory(node, &["a"]);
            assert!(arrivals.look(&directory, now, |_| None).is_empty(), "never heard");
            assert!(arrivals.look(&directory, now, |_| Some(seconds(60))).is_empty(), "gone since");
            assert_eq!(arrivals.look(&directory, now, |_| Some(seconds(1))).len(), 1);
        }
        let mut arrivals = Arrivals::default();
        assert!(arrivals.look(&directory("a", &["a", "b"]), now, |_| Some(seconds(0))).is_empty(), "known");
        assert!(arrivals.look(&Directory::default(), now, |_| Some(seconds(0))).is_empty(), "a cloud alone");
    }

    #[test]
    fn a_peer_that_another_cloud_has_must_be_heard_well_after_that_was_known() {
        let start = Instant::now();
        let mut arrivals = Arrivals::default();
        let mut look = |node, at, ago| {
            let directory = directory(node, &["a", "b"]);
            !arrivals.look(&directory, start + seconds(at), |_| Some(seconds(ago))).is_empty()
        };
        // It was here until a moment ago, and b has written it down.
        assert!(!look("b", 100, 0) && !look("b", 104, 4) && !look("b", 130, 30));
        assert!(look("b", 131, 0), "it has come back");
        assert!(!look("a", 132, 0), "which is written");
        assert!(!look("b", 133, 0) && !look("b", 136, 0), "the same key speaks with both");
        assert!(look("b", 139, 0));
    }
}
