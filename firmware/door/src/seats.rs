//! How many connections may be open, in all and from one address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::Limits;

/// The connections that are open. Each holds a [`Seat`].
#[derive(Debug, Clone)]
pub(crate) struct Seats {
    limits: Arc<Limits>,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_peer: HashMap<IpAddr, usize>,
}

/// The right to one open connection; given back when dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    seats: Seats,
    /// Nobody for a proxy, which speaks for many.
    peer: Option<IpAddr>,
}

impl Seats {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits: Arc::new(limits), taken: Arc::default() }
    }

    /// A seat for this peer, if one is free.
    pub(crate) fn take(&self, peer: IpAddr) -> Option<Seat> {
        let peer = peer.to_canonical();
        let peer = (!self.limits.proxies.contains(&peer)).then(|| household(peer));
        let mut taken = lock(&self.taken);
        if taken.all >= self.limits.seats {
            return None;
        }
        if let Some(peer) = peer {
            let of_peer = taken.by_peer.get(&peer).copied().unwrap_or(0);
            if of_peer >= self.limits.seats_per_peer {
                return None;
            }
            taken.by_peer.insert(peer, of_peer + 1);
        }
        taken.all += 1;
        Some(Seat { seats: self.clone(), peer })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = lock(&self.seats.taken);
        taken.all = taken.all.saturating_sub(1);
        let Some(peer) = self.peer else { return };
        if let Some(of_peer) = taken.by_peer.get_mut(&peer) {
            *of_peer = of_peer.saturating_sub(1);
            if *of_peer == 0 {
                taken.by_peer.remove(&peer);
            }
        }
    }
}

/// Nobody leaves a half-made value behind: a poisoned lock is used as it is.
fn lock(taken: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
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

    fn seats(proxies: &[&str]) -> Seats {
        let proxies = proxies.iter().map(|proxy| proxy.parse().unwrap()).collect();
        Seats::new(Limits { proxies, ..Limits::default() })
    }

    #[test]
    fn one_peer_cannot_take_all_seats() {
        let seats = seats(&[]);
        let greedy: Vec<_> =
            (0..2000u32).filter_map(|i| seats.take(format!("2001:db8::{i:x}").parse().unwrap())).collect();
        assert_eq!(greedy.len(), 256);
        assert!(seats.take("192.0.2.1".parse().unwrap()).is_some());
        drop(greedy);
        assert!(seats.take("2001:db8::1".parse().unwrap()).is_some());
        assert_eq!(lock(&seats.taken).by_peer.len(), 0, "nothing is remembered of those who left");
    }

    #[test]
    fn all_peers_together_are_bounded() {
        let seats = seats(&[]);
        let taken: Vec<_> = (0..5000u32).filter_map(|i| seats.take(IpAddr::from(i.to_be_bytes()))).collect();
        assert_eq!(taken.len(), 1024);
        assert!(seats.take("192.0.2.1".parse().unwrap()).is_none());
    }

    #[test]
    fn a_proxy_may_bring_many_but_not_more_than_all() {
        let seats = seats(&["192.0.2.7"]);
        let proxy = || seats.take("::ffff:192.0.2.7".parse().unwrap());
        let taken: Vec<_> = std::iter::from_fn(proxy).collect();
        assert_eq!(taken.len(), 1024);
        drop(taken);
        assert!(seats.take("192.0.2.1".parse().unwrap()).is_some());
    }
}
