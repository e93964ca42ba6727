//! Keeps the tunnel's peers equal to the directory's active boxes: a box that is revoked has no session any more as soon
//! as the directory says so, and nobody else notices.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use tokio::sync::watch;
use tunnel::io::Handle;
use tunnel::keys::PublicKey;
use tunnel::net::Cidr;
use tunnel::peers::Peer;

use crate::store::Directory;

/// Follows the directory until its owner is gone.
pub(super) async fn follow(handle: Handle, mut directory: watch::Receiver<Arc<Directory>>) {
    let (mut known, mut before) = (HashMap::new(), Arc::<Directory>::default());
    loop {
        let now = directory.borrow_and_update().clone();
        apply(&handle, &mut known, &before, &now);
        before = now;
        if directory.changed().await.is_err() {
            return;
        }
    }
}

/// Removes first: a key or an address may have changed hands.
fn apply(handle: &Handle, known: &mut HashMap<[u8; 32], Ipv4Addr>, before: &Directory, now: &Directory) {
    let had = known.len();
    for row in before.peers_unlike(now) {
        if now.by_key(&row.tunnel_key).is_none() && known.remove(&row.tunnel_key).is_some() {
            handle.remove(&PublicKey::from_bytes(row.tunnel_key));
        }
    }
    let mut moved = had != known.len();
    for row in now.peers_unlike(before) {
        if known.get(&row.tunnel_key) == Some(&row.address) {
            continue;
        }
        let peer = Peer {
            public: PublicKey::from_bytes(row.tunnel_key),
            preshared: None,
            allowed: vec![Cidr { address: IpAddr::V4(row.address), prefix: 32 }],
            remote: None,
            keepalive_s: None, // the box pings, and is answered
        };
        if !handle.put(peer) {
            tracing::error!("the hub has no room for the box at {}", row.address);
        }
        known.insert(row.tunnel_key, row.address);
        moved = true;
    }
    if moved {
        tracing::info!("the hub has {} peers", known.len());
    }
}
