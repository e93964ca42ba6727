//! What of a peer's packets the hub's kernel gets to see. Of a box: requests to our web server, the answers of the box's own,
//! and echo requests, by which a box finds out how large packets may be. Of a peer with a camera: the camera's answers, so
//! that only the hub begins anything. Everything else vanishes without a word, as THREATS row 16 wants it; the tunnel has
//! already checked that the source is the sender's and the destination ours, and the namespace forwards nothing.

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::sync::{Arc, PoisonError, RwLock};

/// The web server's port, on either end.
pub(super) const HTTP: u16 = 80;
/// Where a peer's camera is (RFC 2326 section 3.2): the same inside every tunnel, whatever it is behind the peer.
pub(crate) const RTSP: u16 = 554;
/// IPv4's numbers of TCP (RFC 9293) and ICMP (RFC 792).
const TCP: u8 = 6;
const ICMP: u8 = 1;
/// An echo request's type and code.
const ECHO: [u8; 2] = [8, 0];
/// TCP's flags (RFC 9293 section 3.1).
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

/// The addresses of the peers that are no boxes, as those who keep the peers and the filter share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Cameras(Arc<RwLock<HashSet<Ipv4Addr>>>);

impl Cameras {
    /// Notes it; to be called before such a peer comes in, and after it has gone.
    pub(super) fn set(&self, address: Ipv4Addr, camera: bool) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if camera {
            known.insert(address)
        } else {
            known.remove(&address)
        };
    }

    /// Whether this packet may come in.
    pub(super) fn passes(&self, ip: &[u8]) -> bool {
        judge(ip, |from| self.0.read().unwrap_or_else(PoisonError::into_inner).contains(&from))
            .unwrap_or(false)
    }
}

/// None for what cannot be read.
fn judge(ip: &[u8], camera: impl FnOnce(Ipv4Addr) -> bool) -> Option<bool> {
    let (protocol, content) = whole(ip)?;
    let camera = camera(Ipv4Addr::from(*ip.get(12..)?.first_chunk::<4>()?));
    if protocol == ICMP {
        return Some(!camera && content.get(..2)? == ECHO);
    }
    let tcp = content.get(..20).filter(|_| protocol == TCP)?;
    let port = |at: usize| Some(u16::from_be_bytes([*tcp.get(at)?, *tcp.get(at + 1)?]));
    let (from, to, flags) = (port(0)?, port(2)?, *tcp.get(13)?);
    let opens = flags & SYN != 0 && flags & ACK == 0;
    Some(if camera { from == RTSP && !opens } else { to == HTTP || from == HTTP && !opens })
}

/// Protocol and content of an IPv4 packet (RFC 791 section 3.1) that is not a fragment. What the tunnel's MTU lets through
/// whole is never cut, so a fragment is somebody's trick.
fn whole(ip: &[u8]) -> Option<(u8, &[u8])> {
    let first = *ip.first()?;
    let header = usize::from(first & 0x0f) * 4;
    let fragment = u16::from_be_bytes([*ip.get(6)?, *ip.get(7)?]) & 0x3fff;
    if first >> 4 != 4 || header < 20 || fragment != 0 {
        return None;
    }
    Some((*ip.get(9)?, ip.get(header..)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The address of a peer with a camera; packets are a box's unless they say so.
    const CAMERA: Ipv4Addr = Ipv4Addr::new(10, 13, 1, 9);

    fn passes(ip: &[u8]) -> bool {
        let cameras = Cameras::default();
        cameras.set(CAMERA, true);
        cameras.passes(ip)
    }

    /// The same packet from the camera.
    fn of_camera(mut ip: Vec<u8>) -> Vec<u8> {
        ip[12..16].copy_from_slice(&CAMERA.octets());
        ip
    }

    #[test]
    fn of_a_peer_with_a_camera_only_the_answers_of_the_camera_pass() {
        assert!(passes(&of_camera(packet(0, TCP, 554, 40_000, SYN | ACK))));
        assert!(passes(&of_camera(packet(3, TCP, 554, 40_000, ACK))));
        assert!(!passes(&of_camera(packet(0, TCP, 554, 80, SYN))), "it opens nothing");
        for (from, to, flags) in
            [(40_000, 80, SYN), (40_000, 80, ACK), (80, 40_000, ACK), (40_000, 554, SYN), (8554, 40_000, ACK)]
        {
            assert!(!passes(&of_camera(packet(0, TCP, from, to, flags))), "{from} to {to}");
        }
        assert!(!passes(&of_camera(packet(0, ICMP, 0x0800, 0, 0))), "no echo");
        assert!(!passes(&of_camera(packet(0, 17, 554, 40_000, 0))), "UDP");
        // What is a camera's is not a box's, and an address is neither for ever.
        assert!(!passes(&packet(0, TCP, 554, 40_000, ACK)));
        let cameras = Cameras::default();
        cameras.set(CAMERA, true);
        cameras.set(CAMERA, false);
        assert!(cameras.passes(&of_camera(packet(0, TCP, 40_000, 80, SYN))));
    }

    /// An IPv4 packet of so many words of options.
    fn packet(options: usize, protocol: u8, from: u16, to: u16, flags: u8) -> Vec<u8> {
        let header = 20 + options * 4;
        let mut ip = vec![0; header + 20];
        ip[0] = 0x40 | (header / 4) as u8;
        ip[9] = protocol;
        ip[header..header + 2].copy_from_slice(&from.to_be_bytes());
        ip[header + 2..header + 4].copy_from_slice(&to.to_be_bytes());
        ip[header + 13] = flags;
        ip
    }

    #[test]
    fn requests_to_us_and_answers_of_the_box_pass() {
        assert!(passes(&packet(0, TCP, 40_000, 80, SYN)));
        assert!(passes(&packet(3, TCP, 40_000, 80, ACK)));
        assert!(passes(&packet(0, TCP, 80, 40_000, SYN | ACK)));
        assert!(passes(&packet(0, TCP, 80, 40_000, ACK)));
        assert!(passes(&packet(0, ICMP, 0x0800, 0, 0)), "an echo request");
    }

    #[test]
    fn nothing_else_passes() {
        assert!(!passes(&packet(0, TCP, 40_000, 22, SYN)));
        assert!(!passes(&packet(0, TCP, 80, 5432, SYN)), "a connection may not be opened from port 80");
        assert!(!passes(&packet(0, 17, 40_000, 80, 0)), "UDP");
        for kind in [0, 5, 13] {
            assert!(!passes(&packet(0, ICMP, kind << 8, 0, 0)), "an answer, a redirect, a timestamp request");
        }
        for place in [6, 7] {
            let mut fragment = packet(0, TCP, 40_000, 80, SYN);
            fragment[place] = if place == 6 { 0x20 } else { 1 };
            assert!(!passes(&fragment), "a fragment");
        }
        let mut six = packet(0, TCP, 40_000, 80, SYN);
        six[0] = 0x65;
        assert!(!passes(&six));
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged(bytes: Vec<u8>) {
            let _ = passes(&bytes);
        }

        #[test]
        fn what_passes_is_an_echo_or_from_or_to_port_80(options in 0_usize..11, protocol: u8, from: u16, to: u16, flags: u8) {
            let passed = passes(&packet(options, protocol, from, to, flags));
            let tcp = protocol == TCP && (to == 80 || from == 80);
            prop_assert!(!passed || tcp || protocol == ICMP && from == 0x0800);
        }
    }
}
