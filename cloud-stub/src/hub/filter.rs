//! What of a box's packets the hub's kernel gets to see: requests to our web server, the answers of the box's own, and
//! echo requests, by which a box finds out how large packets may be. Everything else vanishes without a word, as THREATS row 16 wants it; the tunnel has already checked that the source is
//! the sender's and the destination ours, and the namespace forwards nothing.

/// The web server's port, on either end.
pub(super) const HTTP: u16 = 80;
/// IPv4's numbers of TCP (RFC 9293) and ICMP (RFC 792).
const TCP: u8 = 6;
const ICMP: u8 = 1;
/// An echo request's type and code.
const ECHO: [u8; 2] = [8, 0];
/// TCP's flags (RFC 9293 section 3.1).
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

/// Whether this packet may come in.
pub(super) fn passes(ip: &[u8]) -> bool {
    judge(ip).unwrap_or(false)
}

/// None for what cannot be read.
fn judge(ip: &[u8]) -> Option<bool> {
    let (protocol, content) = whole(ip)?;
    if protocol == ICMP {
        return Some(content.get(..2)? == ECHO);
    }
    let tcp = content.get(..20).filter(|_| protocol == TCP)?;
    let port = |at: usize| Some(u16::from_be_bytes([*tcp.get(at)?, *tcp.get(at + 1)?]));
    let (from, to, flags) = (port(0)?, port(2)?, *tcp.get(13)?);
    let opens = flags & SYN != 0 && flags & ACK == 0;
    Some(to == HTTP || from == HTTP && !opens)
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
