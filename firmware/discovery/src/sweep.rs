//! Which addresses an RTSP sweep tries, and when: the cameras that announce nothing. A sweep never leaves the box's
//! own subnets, takes at most the /22 around the box of a larger one, and is paced.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::rtsp;

/// Widest range that is swept, as a prefix length: 1,022 hosts.
pub const WIDEST: u8 = 22;

/// One of the box's own subnets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network {
    /// The box's own address in it.
    pub own: Ipv4Addr,
    /// Prefix length, 0 to 32.
    pub prefix: u8,
}

impl Network {
    /// Whether it is swept at all: a LAN of private, link-local, shared or documentation addresses. The neighbours
    /// of a public address are strangers; a /31 or /32 has none; loopback is the box itself.
    pub fn is_swept(self) -> bool {
        let [a, b, ..] = self.own.octets();
        let shared = a == 100 && b & 0xc0 == 64; // RFC 6598
        let bench = a == 198 && b & 0xfe == 18; // RFC 2544
        let lan = self.own.is_private()
            || self.own.is_link_local()
            || self.own.is_documentation()
            || shared
            || bench;
        lan && self.prefix <= 30
    }

    /// The hosts of the range that is swept, in order, without network, broadcast and own address.
    pub fn hosts(self) -> impl Iterator<Item = Ipv4Addr> + Clone + Send {
        let prefix = self.prefix.clamp(WIDEST, 32);
        let mask = u32::MAX.checked_shl(u32::from(32 - prefix)).unwrap_or(0);
        let first = self.own.to_bits() & mask;
        let last = first | !mask;
        // A clamped range starts and ends inside the subnet, where these two are ordinary hosts; leaving them out
        // costs two addresses of a /16 and keeps the real ones safe.
        let inside = if self.is_swept() { first.saturating_add(1)..last } else { 0..0 };
        inside.map(Ipv4Addr::from_bits).filter(move |host| *host != self.own)
    }
}

/// How hard a sweep may press.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections under way at once.
    pub at_once: usize,
    /// Connections begun in a second.
    pub per_second: u32,
}

impl Default for Limits {
    /// 64 at once; 200 a second, so that a /24 with both ports takes about 3 s where hosts refuse, and half the
    /// kernel's default neighbour table (1,024) is the most that a second of silence can fill.
    fn default() -> Self {
        Self { at_once: 64, per_second: 200 }
    }
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Connect to this address, and call [`Sweep::finished`] when that is over.
    Try(SocketAddr),
    /// Nothing before this time, in milliseconds of the caller's clock.
    Wait(u64),
    /// Nothing before a connection is over.
    Full,
    /// All addresses were tried and all connections are over.
    Done,
}

/// One sweep of one network: first the common port on every host, then the other.
#[derive(Debug)]
pub struct Sweep {
    network: Network,
    limits: Limits,
    port: usize,
    next_host: u32,
    under_way: usize,
    begun: Option<(u64, u64)>, // when the first was begun, how many since
}

impl Sweep {
    /// A sweep of the network, with the default ports.
    pub fn new(network: Network, limits: Limits) -> Self {
        Self { network, limits, port: 0, next_host: 0, under_way: 0, begun: None }
    }

    /// What to do at this time.
    pub fn next(&mut self, now_ms: u64) -> Step {
        let Some(target) = self.peek() else {
            return if self.under_way == 0 { Step::Done } else { Step::Full };
        };
        if self.under_way >= self.limits.at_once.max(1) {
            return Step::Full;
        }
        let (start, count) = *self.begun.get_or_insert((now_ms, 0));
        let due = start + count * 1000 / u64::from(self.limits.per_second.max(1));
        if now_ms < due {
            return Step::Wait(due);
        }
        // After a pause (the machine slept, all connections were silent) the pace starts anew: no catching up.
        self.begun = Some(if now_ms > due + 100 { (now_ms, 1) } else { (start, count + 1) });
        self.under_way += 1;
        self.next_host = target.1;
        Step::Try(target.0)
    }

    /// A connection is over, whatever came of it.
    pub fn finished(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    /// The next target and the host to go on from. Moves on to the next port where the hosts are used up.
    fn peek(&mut self) -> Option<(SocketAddr, u32)> {
        loop {
            let port = *rtsp::PORTS.get(self.port)?;
            let from = self.next_host;
            let mut hosts = self.network.hosts();
            if let Some(host) = hosts.find(|host| host.to_bits() >= from) {
                return Some((SocketAddr::new(IpAddr::V4(host), port), host.to_bits() + 1));
            }
            self.port += 1;
            self.next_host = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn network(own: [u8; 4], prefix: u8) -> Network {
        Network { own: Ipv4Addr::from(own), prefix }
    }

    #[test]
    fn hosts_are_the_own_subnet_without_edges_and_self() {
        let hosts: Vec<_> = network([192, 168, 1, 2], 29).hosts().map(|host| host.octets()[3]).collect();
        assert_eq!(hosts, [1, 3, 4, 5, 6]);
        assert_eq!(network([10, 0, 0, 5], 24).hosts().count(), 253);
        let wide: Vec<_> = network([10, 1, 6, 5], 8).hosts().collect();
        assert_eq!(wide.len(), 1021);
        assert_eq!((wide[0], wide[1020]), (Ipv4Addr::new(10, 1, 4, 1), Ipv4Addr::new(10, 1, 7, 254)));
        for (own, prefix) in [
            ([127, 0, 0, 1], 8),
            ([8, 8, 8, 8], 24),
            ([10, 0, 0, 1], 31),
            ([10, 0, 0, 1], 32),
            ([0, 0, 0, 0], 0),
            ([255, 255, 255, 255], 24),
        ] {
            assert_eq!(network(own, prefix).hosts().count(), 0, "{own:?}/{prefix}");
        }
    }

    #[test]
    fn every_host_is_tried_once_on_each_port_within_the_limits() {
        let limits = Limits { at_once: 8, per_second: 100 };
        let mut sweep = Sweep::new(network([10, 0, 0, 5], 24), limits);
        let (mut tried, mut times, mut open, mut now) = (Vec::new(), Vec::new(), 0, 5_000);
        loop {
            match sweep.next(now) {
                Step::Try(target) => {
                    tried.push(target);
                    times.push(now);
                    open += 1;
                    assert!(open <= 8);
                }
                Step::Wait(until) => {
                    assert!(until > now);
                    now = until;
                }
                Step::Full => {
                    now += 20;
                    open -= 1;
                    sweep.finished();
                }
                Step::Done => break,
            }
        }
        assert_eq!(tried.len(), 506);
        assert_eq!(tried.iter().collect::<BTreeSet<_>>().len(), 506);
        assert!(tried[..253].iter().all(|target| target.port() == 554));
        for window in times.windows(112) {
            assert!(window[111] - window[0] >= 1000, "more than about 100 a second");
        }
    }

    #[test]
    fn a_pause_is_not_caught_up() {
        let mut sweep = Sweep::new(network([10, 0, 0, 5], 24), Limits { at_once: 500, per_second: 10 });
        assert!(matches!(sweep.next(0), Step::Try(_)));
        assert!(matches!(sweep.next(60_000), Step::Try(_)));
        assert_eq!(sweep.next(60_000), Step::Wait(60_100));
    }
}
