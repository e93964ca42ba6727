//! Keeps the tunnel's peers equal to the directory's active boxes and to its peers with a camera: whoever is revoked or removed
//! has no session any more as soon as the directory says so, and nobody else notices.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use tokio::sync::watch;
use tunnel::io::Handle;
use tunnel::keys::PublicKey;
use tunnel::net::Cidr;
use tunnel::peers::Peer;

use super::filter::Cameras;
use crate::store::Directory;

/// Follows the directory until its owner is gone.
pub(super) async fn follow(handle: Handle, cameras: Cameras, mut directory: watch::Receiver<Arc<Directory>>) {
    let mut keeper = Keeper { handle, cameras, boxes: HashMap::new(), wired: HashMap::new() };
    let mut before = Arc::<Directory>::default();
    loop {
        let now = directory.borrow_and_update().clone();
        keeper.apply(&before, &now);
        before = now;
        if directory.changed().await.is_err() {
            return;
        }
    }
}

struct Keeper {
    handle: Handle,
    cameras: Cameras,
    /// The keys of boxes and their addresses.
    boxes: HashMap<[u8; 32], Ipv4Addr>,
    /// The same of peers with a camera.
    wired: HashMap<[u8; 32], Ipv4Addr>,
}

impl Keeper {
    /// Removes first: a key or an address may have changed hands.
    fn apply(&mut self, before: &Directory, now: &Directory) {
        let had = (self.boxes.len(), self.wired.len());
        for row in before.peers_unlike(now) {
            if now.by_key(&row.tunnel_key).is_none() && self.boxes.remove(&row.tunnel_key).is_some() {
                self.handle.remove(&PublicKey::from_bytes(row.tunnel_key));
            }
        }
        let (were, are) = (&before.portal().peers, &now.portal().peers);
        for (id, row) in were.unlike(are) {
            if are.get(id) != Some(row) && self.wired.remove(&row.tunnel_key).is_some() {
                self.handle.remove(&PublicKey::from_bytes(row.tunnel_key));
                self.cameras.set(row.address, false);
            }
        }
        let mut moved = had != (self.boxes.len(), self.wired.len());
        for row in now.peers_unlike(before) {
            moved |= put(&self.handle, &mut self.boxes, row.tunnel_key, row.address);
        }
        for (_, row) in are.unlike(were) {
            self.cameras.set(row.address, true);
            moved |= put(&self.handle, &mut self.wired, row.tunnel_key, row.address);
        }
        if moved {
            tracing::info!("the hub has {} boxes and {} other peers", self.boxes.len(), self.wired.len());
        }
    }
}

/// Lets a peer in; gives whether it was not.
fn put(
    handle: &Handle,
    known: &mut HashMap<[u8; 32], Ipv4Addr>,
    tunnel_key: [u8; 32],
    address: Ipv4Addr,
) -> bool {
    if known.get(&tunnel_key) == Some(&address) {
        return false;
    }
    let peer = Peer {
        public: PublicKey::from_bytes(tunnel_key),
        preshared: None,
        allowed: vec![Cidr { address: IpAddr::V4(address), prefix: 32 }],
        remote: None,
        keepalive_s: None, // it speaks first: a box pings and is answered, others keep alive
    };
    if !handle.put(peer) {
        tracing::error!("the hub has no room for the peer at {address}");
    }
    known.insert(tunnel_key, address);
    true
}
