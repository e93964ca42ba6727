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
    let mut known = HashMap::new();
    loop {
        let wanted = wanted(&directory.borrow_and_update());
        apply(&handle, &mut known, wanted);
        if directory.changed().await.is_err() {
            return;
        }
    }
}

fn wanted(directory: &Directory) -> HashMap<[u8; 32], Ipv4Addr> {
    directory.peers().map(|row| (row.tunnel_key, row.address)).collect()
}

/// Removes first: a key or an address may have changed hands.
fn apply(handle: &Handle, known: &mut HashMap<[u8; 32], Ipv4Addr>, wanted: HashMap<[u8; 32], Ipv4Addr>) {
    for key in known.keys().filter(|key| !wanted.contains_key(*key)) {
        handle.remove(&PublicKey::from_bytes(*key));
    }
    let mut added = 0;
    for (key, address) in wanted.iter().filter(|(key, address)| known.get(*key) != Some(*address)) {
        let peer = Peer {
            public: PublicKey::from_bytes(*key),
            preshared: None,
            allowed: vec![Cidr { address: IpAddr::V4(*address), prefix: 32 }],
            remote: None,
            keepalive_s: None, // the box pings, and is answered
        };
        if handle.put(peer) {
            added += 1;
        } else {
            tracing::error!("the hub has no room for the box at {address}");
        }
    }
    let removed = known.len() + added - wanted.len().min(known.len() + added);
    if added + removed > 0 {
        tracing::info!("the hub has {} peers", wanted.len());
    }
    *known = wanted;
}
