//! How many connections may be open, in all and from one address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex};

use crate::state::lock;

/// Most connections in all.
const SEATS: usize = 1024;
/// Most connections from one peer: an office behind one router address, each viewer with six connections.
const SEATS_PER_PEER: usize = 256;

/// The connections that are open. Each holds a [`Seat`].
#[derive(Clone, Default)]
pub(super) struct Seats(Arc<Mutex<Taken>>);

#[derive(Default)]
struct Taken {
    all: usize,
    by_peer: HashMap<IpAddr, usize>,
}

/// The right to one open connection; given back when dropped.
pub(super) struct Seat {
    seats: Seats,
    peer: IpAddr,
}

impl Seats {
    /// A seat for this peer, if one is free.
    pub(super) fn take(&self, peer: IpAddr) -> Option<Seat> {
        let peer = household(peer);
        let mut taken = lock(&self.0);
        let of_peer = taken.by_peer.get(&peer).copied().unwrap_or(0);
        if taken.all >= SEATS || of_peer >= SEATS_PER_PEER {
            return None;
        }
        taken.all += 1;
        taken.by_peer.insert(peer, of_peer + 1);
        Some(Seat { seats: self.clone(), peer })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = lock(&self.seats.0);
        taken.all = taken.all.saturating_sub(1);
        if let Some(of_peer) = taken.by_peer.get_mut(&self.peer) {
            *of_peer = of_peer.saturating_sub(1);
            if *of_peer == 0 {
                taken.by_peer.remove(&self.peer);
            }
        }
    }
}

/// What counts as one peer: an IPv4 address, or an IPv6 network of 64 bits (one host picks freely within it).
fn household(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(peer) => IpAddr::V4(peer),
        IpAddr::V6(peer) => IpAddr::V6(Ipv6Addr::from_bits(peer.to_bits() >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_peer_cannot_take_all_seats() {
        let seats = Seats::default();
        let greedy: Vec<_> =
            (0..2000u32).filter_map(|i| seats.take(format!("2001:db8::{i:x}").parse().unwrap())).collect();
        assert_eq!(greedy.len(), SEATS_PER_PEER);
        assert!(seats.take("192.0.2.1".parse().unwrap()).is_some());
        drop(greedy);
        assert!(seats.take("2001:db8::1".parse().unwrap()).is_some());
        assert_eq!(lock(&seats.0).by_peer.len(), 0, "nothing is remembered of those who left");
    }

    #[test]
    fn all_peers_together_are_bounded() {
        let seats = Seats::default();
        let taken: Vec<_> = (0..5000u32).filter_map(|i| seats.take(IpAddr::from(i.to_be_bytes()))).collect();
        assert_eq!(taken.len(), SEATS);
        assert!(seats.take("192.0.2.1".parse().unwrap()).is_none());
    }
}
