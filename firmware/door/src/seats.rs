//! How many connections may be open, in all and from one address.
//!
//! When every seat is taken, whoever holds most gives one up that is of no use yet: the one that has waited longest for a
//! request. So connections that are opened and left silent, from however many addresses, shut nobody out.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::Limits;

/// The connections that are open, or whatever else is shared out fairly. Each holds a [`Seat`].
#[derive(Debug, Clone)]
pub struct Seats {
    limits: Arc<Limits>,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    /// By number, which a seat gets anew whenever it becomes idle: the lowest idle one waits longest.
    chairs: BTreeMap<u64, Chair>,
    last: u64,
    by_peer: HashMap<IpAddr, usize>,
}

#[derive(Debug)]
struct Chair {
    /// Nobody for a proxy, which speaks for many.
    peer: Option<IpAddr>,
    idle: bool,
    lost: Arc<Notify>,
}

/// The right to one open connection; given back when dropped.
#[derive(Debug)]
pub struct Seat {
    seats: Seats,
    number: Mutex<u64>,
    lost: Arc<Notify>,
}

impl Seats {
    /// Seats within these limits.
    pub fn new(limits: Limits) -> Self {
        Self { limits: Arc::new(limits), taken: Arc::default() }
    }

    /// A seat for this peer, if one is free or can be made free. It is in use until [`Seat::rest`] says otherwise.
    pub fn take(&self, peer: IpAddr) -> Option<Seat> {
        let peer = peer.to_canonical();
        let peer = (!self.limits.proxies.contains(&peer)).then(|| household(peer));
        let mut taken = lock(&self.taken);
        let of_peer = taken.held(peer);
        if peer.is_some() && of_peer >= self.limits.seats_per_peer {
            return None;
        }
        if taken.chairs.len() >= self.limits.seats && !taken.make_room(of_peer) {
            return None;
        }
        if let Some(peer) = peer {
            taken.by_peer.insert(peer, of_peer + 1);
        }
        let lost = Arc::new(Notify::new());
        let number = taken.sit(Chair { peer, idle: false, lost: lost.clone() });
        Some(Seat { seats: self.clone(), number: Mutex::new(number), lost })
    }
}

impl Taken {
    fn held(&self, peer: Option<IpAddr>) -> usize {
        peer.map_or(0, |peer| self.by_peer.get(&peer).copied().unwrap_or(0))
    }

    fn sit(&mut self, chair: Chair) -> u64 {
        self.last += 1;
        self.chairs.insert(self.last, chair);
        self.last
    }

    /// Ends the seat that is idle longest of whoever holds most, if that is more than the newcomer holds.
    fn make_room(&mut self, newcomer: usize) -> bool {
        let idle = self.chairs.iter().filter(|(_, chair)| chair.idle);
        let held = idle.map(|(number, chair)| (self.held(chair.peer), *number));
        // The first of the largest.
        let victim = held.reduce(|best, next| if next.0 > best.0 { next } else { best });
        let Some((_, number)) = victim.filter(|(held, _)| *held > newcomer) else { return false };
        let Some(chair) = self.leave(number) else { return false };
        chair.lost.notify_one();
        true
    }

    fn leave(&mut self, number: u64) -> Option<Chair> {
        let chair = self.chairs.remove(&number)?;
        if let Some(peer) = chair.peer
            && let Some(of_peer) = self.by_peer.get_mut(&peer)
        {
            *of_peer = of_peer.saturating_sub(1);
            if *of_peer == 0 {
                self.by_peer.remove(&peer);
            }
        }
        Some(chair)
    }
}

impl Seat {
    /// Nothing is done with it now: it may be given to somebody else, see [`Seat::lost`].
    pub fn rest(&self) {
        self.set(true);
    }

    /// It is in use, and stays its holder's.
    pub fn work(&self) {
        self.set(false);
    }

    /// Returns when it was given to somebody else. Whoever holds it ends then.
    pub async fn lost(&self) {
        self.lost.notified().await;
    }

    fn set(&self, idle: bool) {
        let mut taken = lock(&self.seats.taken);
        let mut number = lock(&self.number);
        // It may be lost already.
        let Some(mut chair) = taken.chairs.remove(&number) else { return };
        chair.idle = idle;
        *number = taken.sit(chair);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let number = *lock(&self.number);
        lock(&self.seats.taken).leave(number);
    }
}

/// Nobody leaves a half-made value behind: a poisoned lock is used as it is.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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

    fn peer(number: u32) -> IpAddr {
        IpAddr::from((0x0a00_0000 + number).to_be_bytes())
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
        assert!(lock(&seats.taken).chairs.is_empty());
    }

    #[test]
    fn all_peers_together_are_bounded() {
        let seats = seats(&[]);
        let taken: Vec<_> = (0..5000u32).filter_map(|i| seats.take(IpAddr::from(i.to_be_bytes()))).collect();
        assert_eq!(taken.len(), 1024);
        assert!(seats.take("192.0.2.1".parse().unwrap()).is_none(), "all are in use");
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

    #[tokio::test(flavor = "current_thread")]
    async fn silent_crowds_make_room_for_whoever_comes() {
        let seats = seats(&[]);
        // 200 addresses take every seat and say nothing, but for one connection each of two.
        let mut crowd: Vec<_> =
            (0..1024).map(|number| (number, seats.take(peer(number % 200)).unwrap())).collect();
        for (number, seat) in &crowd {
            if *number >= 2 {
                seat.rest();
            }
        }
        let newcomer = seats.take(peer(999)).unwrap();
        // 24 of them hold six seats, the others five; the oldest seats of the first two are in use.
        let lost = tokio::time::timeout(std::time::Duration::from_secs(5), crowd[2].1.lost()).await;
        assert!(lost.is_ok(), "a peer with most, its oldest idle one");
        assert_eq!(lock(&seats.taken).chairs.len(), 1024, "never more than all");
        assert_eq!(lock(&seats.taken).by_peer[&peer(2)], 5);
        // Who was given away gives nothing back a second time.
        crowd.remove(2);
        assert_eq!(lock(&seats.taken).chairs.len(), 1024);
        crowd.remove(199);
        assert_eq!(lock(&seats.taken).chairs.len(), 1023);
        // What is in use is nobody else's.
        let more: Vec<_> = (1000..3000).filter_map(|number| seats.take(peer(number))).collect();
        let lost = |seat: &Seat| !lock(&seats.taken).chairs.contains_key(&lock(&seat.number));
        assert!(!lost(&newcomer) && !lost(&crowd[0].1) && !lost(&crowd[1].1));
        assert!(more.len() >= 1000, "{}", more.len());
    }

    #[test]
    fn whoever_holds_as_many_takes_nothing_from_others() {
        let seats = seats(&[]);
        let held: Vec<_> = (0..1024).map(|number| seats.take(peer(number % 256)).unwrap()).collect();
        held.iter().for_each(Seat::rest);
        assert!(seats.take(peer(0)).is_none(), "each has four");
        let newcomer = seats.take(peer(999)).unwrap();
        newcomer.rest();
        newcomer.work();
        assert_eq!(lock(&seats.taken).chairs.len(), 1024);
    }
}
