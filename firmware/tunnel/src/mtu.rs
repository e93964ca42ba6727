//! How large packets inside the tunnel may be: from 1280 bytes, which every path carries, upwards as far as an echo of that
//! size comes back (as RFC 8899 does it), and back to 1280 as soon as such echoes vanish.
//!
//! Sans-IO: [`Probe::poll`] gives the packets to send and the MTU to set, [`Probe::answer`] takes what came. Datagrams that
//! carry more than 1280 bytes must not be fragmented outside (see `io`), or the answers would prove nothing.

use core::net::Ipv4Addr;
use std::time::{Duration, Instant};

use crate::segments::checksum;

/// Sizes that are tried, bytes: what every path carries; behind PPPoE, mobile and other tunnels; Ethernet less the tunnel.
const SIZES: [u16; 3] = [1280, 1380, 1420];
/// How long an echo may take before it is asked for again.
const PATIENCE: Duration = Duration::from_secs(1);
/// Echoes that may stay away before a size is taken for too large (RFC 8899 section 5.1.2, MAX_PROBES).
const TRIES: u8 = 3;
/// How often a size above the least is proved again.
const PROVE: Duration = Duration::from_secs(10);
/// After how long a size that failed is tried again (RFC 8899 section 5.1.1, PMTU_RAISE_TIMER).
const RAISE: Duration = Duration::from_secs(600);
/// Bytes of IPv4 and ICMP headers.
const HEADERS: usize = 28;
const ICMP: u8 = 1;
const ECHO: u8 = 8;
const ECHO_REPLY: u8 = 0;

/// Finds the MTU of the path to one peer.
#[derive(Debug)]
pub struct Probe {
    own: Ipv4Addr,
    peer: Ipv4Addr,
    identifier: u16,
    sequence: u16,
    /// Index of the size in use.
    used: usize,
    asked: Option<Asked>,
    prove_at: Instant,
    raise_at: Instant,
}

/// An echo that is on its way.
#[derive(Debug, Clone, Copy)]
struct Asked {
    size: usize,
    tries: u8,
    at: Instant,
}

impl Probe {
    /// Begins at 1280 bytes between two addresses inside the tunnel; `identifier` tells our echoes from others.
    pub fn new(own: Ipv4Addr, peer: Ipv4Addr, identifier: u16, now: Instant) -> Self {
        Self { own, peer, identifier, sequence: 0, used: 0, asked: None, prove_at: now, raise_at: now }
    }

    /// The MTU in use, bytes.
    pub fn mtu(&self) -> u16 {
        size(self.used)
    }

    /// The path changed: back to 1280 bytes, and upwards again from there. Gives the MTU to set.
    pub fn restart(&mut self, now: Instant) -> u16 {
        *self = Self { sequence: self.sequence, ..Self::new(self.own, self.peer, self.identifier, now) };
        self.mtu()
    }

    /// Moves on: gives packets to `send`, and the MTU to set when it changed. To be called a few times a second. While the
    /// line is not `busy`, what was found is not proved again: that would cost a silent line 380 MB a month each way.
    pub fn poll(&mut self, now: Instant, busy: bool, send: &mut impl FnMut(&[u8])) -> Option<u16> {
        if let Some(asked) = self.asked {
            if now.saturating_duration_since(asked.at) < PATIENCE {
                return None;
            }
            if asked.tries >= TRIES {
                self.asked = None;
                self.raise_at = now + RAISE;
                // A size that was in use and fails means another path: what is below it is not proved either.
                let lost = asked.size == self.used;
                self.used = if lost { 0 } else { self.used };
                return lost.then(|| self.mtu());
            }
            self.ask(asked.size, asked.tries + 1, now, send);
        } else if busy && self.used > 0 && now >= self.prove_at {
            self.ask(self.used, 1, now, send);
        } else if self.used + 1 < SIZES.len() && now >= self.raise_at {
            self.ask(self.used + 1, 1, now, send);
        }
        None
    }

    /// Takes a packet that came out of the tunnel. `None` when it is not for us; else the MTU to set, if it changed.
    pub fn answer(&mut self, ip: &[u8], now: Instant) -> Option<Option<u16>> {
        let (header, icmp) = ip.split_at_checked(20)?;
        let ours = header.first() == Some(&0x45)
            && header.get(9) == Some(&ICMP)
            && header.get(12..16) == Some(&self.peer.octets()[..])
            && header.get(16..20) == Some(&self.own.octets()[..])
            && icmp.first() == Some(&ECHO_REPLY)
            && icmp.get(4..6) == Some(&self.identifier.to_be_bytes()[..]);
        if !ours {
            return None;
        }
        let asked = self.asked.filter(|asked| {
            // Only the last try counts: an earlier echo may have come by the path before.
            ip.len() == usize::from(size(asked.size))
                && icmp.get(6..8) == Some(&self.sequence.to_be_bytes()[..])
        });
        let Some(asked) = asked else { return Some(None) };
        self.asked = None;
        self.prove_at = now + PROVE;
        let raised = asked.size > self.used;
        self.used = asked.size;
        Some(raised.then(|| self.mtu()))
    }

    fn ask(&mut self, size: usize, tries: u8, now: Instant, send: &mut impl FnMut(&[u8])) {
        self.sequence = self.sequence.wrapping_add(1);
        self.asked = Some(Asked { size, tries, at: now });
        send(&self.echo(self::size(size)));
    }

    /// An echo request (RFC 792) of so many bytes, with DF.
    fn echo(&self, size: u16) -> Vec<u8> {
        let mut icmp = vec![ECHO, 0, 0, 0];
        icmp.extend(self.identifier.to_be_bytes());
        icmp.extend(self.sequence.to_be_bytes());
        icmp.resize(8 + usize::from(size).saturating_sub(HEADERS), 0);
        let sum = checksum::finished(checksum::add(0, &icmp));
        icmp.iter_mut().skip(2).zip(sum).for_each(|(to, from)| *to = from);
        let mut ip = vec![0x45, 0];
        ip.extend(size.to_be_bytes());
        ip.extend([0, 0, 0x40, 0, 64, ICMP, 0, 0]);
        ip.extend(self.own.octets());
        ip.extend(self.peer.octets());
        let sum = checksum::finished(checksum::add(0, &ip));
        ip.iter_mut().skip(10).zip(sum).for_each(|(to, from)| *to = from);
        ip.extend(icmp);
        ip
    }
}

fn size(index: usize) -> u16 {
    let [least, ..] = SIZES;
    SIZES.get(index).copied().unwrap_or(least)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "a test starts somewhere")]

    use proptest::prelude::*;

    use super::*;

    const OWN: Ipv4Addr = Ipv4Addr::new(10, 13, 1, 1);
    const HUB: Ipv4Addr = Ipv4Addr::new(10, 13, 0, 1);

    /// A path that drops larger packets, and a hub that answers as any host does.
    struct World {
        probe: Probe,
        now: Instant,
        carries: u16,
        mtu: u16,
        sent: usize,
        busy: bool,
    }

    impl World {
        fn new(carries: u16) -> Self {
            let now = Instant::now();
            Self { probe: Probe::new(OWN, HUB, 7, now), now, carries, mtu: 1280, sent: 0, busy: true }
        }

        fn run(&mut self, seconds: u64) {
            for _ in 0..seconds * 4 {
                self.now += Duration::from_millis(250);
                let mut out = Vec::new();
                if let Some(mtu) =
                    self.probe.poll(self.now, self.busy, &mut |packet: &[u8]| out.push(packet.to_vec()))
                {
                    self.mtu = mtu;
                }
                for packet in out {
                    self.sent += 1;
                    assert_eq!(checksum::folded(checksum::add(0, &packet[..20])), [0xff; 2]);
                    assert_eq!(checksum::folded(checksum::add(0, &packet[20..])), [0xff; 2]);
                    assert_eq!(usize::from(u16::from_be_bytes([packet[2], packet[3]])), packet.len());
                    if packet.len() <= usize::from(self.carries)
                        && let Some(Some(mtu)) = self.probe.answer(&reply(&packet), self.now)
                    {
                        self.mtu = mtu;
                    }
                }
            }
        }
    }

    fn reply(echo: &[u8]) -> Vec<u8> {
        let mut reply = echo.to_vec();
        reply[12..16].copy_from_slice(&echo[16..20]);
        reply[16..20].copy_from_slice(&echo[12..16]);
        reply[20] = ECHO_REPLY;
        reply
    }

    #[test]
    fn it_climbs_as_far_as_the_path_carries() {
        for (carries, wanted) in [(1300, 1280), (1400, 1380), (1500, 1420)] {
            let mut world = World::new(carries);
            world.run(8);
            assert_eq!(world.mtu, wanted, "a path of {carries}");
            assert_eq!(world.probe.mtu(), wanted);
        }
    }

    #[test]
    fn it_falls_back_when_large_ones_vanish_and_climbs_when_they_return() {
        let mut world = World::new(1500);
        world.run(8);
        world.carries = 1300;
        world.run(14);
        assert_eq!(world.mtu, 1280);
        world.carries = 1500;
        world.run(300);
        assert_eq!(world.mtu, 1280, "not before its time");
        world.run(320);
        assert_eq!(world.mtu, 1420);
        world.carries = 1400;
        let mtu = world.probe.restart(world.now);
        assert_eq!(mtu, 1280);
        world.run(8);
        assert_eq!(world.mtu, 1380, "a new path is looked at afresh");
    }

    #[test]
    fn it_costs_little() {
        let mut world = World::new(1300);
        world.run(600);
        assert!(world.sent <= 6, "{}", world.sent);
        let mut world = World::new(1500);
        world.run(600);
        assert!(world.sent <= 62, "{}", world.sent);
        (world.sent, world.busy) = (0, false);
        world.run(3600);
        assert_eq!(world.sent, 0, "a silent line is left alone");
        (world.carries, world.busy) = (1300, true);
        world.run(5);
        assert_eq!(world.mtu, 1280, "and looked at as soon as it is used again");
    }

    #[test]
    fn answers_to_others_are_left_to_them() {
        let mut probe = Probe::new(OWN, HUB, 7, Instant::now());
        let mut echo = Vec::new();
        probe.poll(Instant::now(), true, &mut |packet: &[u8]| echo = packet.to_vec());
        let good = reply(&echo);
        for (at, value) in [(9, 6), (15, 9), (19, 9), (20, 8), (25, 9)] {
            let mut other = good.clone();
            other[at] = value;
            assert_eq!(probe.answer(&other, Instant::now()), None, "byte {at}");
        }
        assert_eq!(
            probe.answer(&good[..1300], Instant::now()),
            Some(None),
            "shorter than asked proves nothing"
        );
        assert_eq!(probe.answer(&good, Instant::now()), Some(Some(1380)));
        assert_eq!(probe.answer(&good, Instant::now()), Some(None), "once");
    }

    proptest! {
        #[test]
        fn any_packet_is_survived(ip in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut probe = Probe::new(OWN, HUB, 7, Instant::now());
            probe.poll(Instant::now(), true, &mut |_| ());
            prop_assert_ne!(probe.answer(&ip, Instant::now()), Some(Some(1380)));
        }
    }
}
