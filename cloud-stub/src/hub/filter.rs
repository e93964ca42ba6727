//! What of a box's packets the hub's kernel gets to see: requests to our web server, and the answers of the box's own.
//! Everything else vanishes without a word, as THREATS row 16 wants it; the tunnel has already checked that the source is
//! the sender's and the destination ours, and the namespace forwards nothing.

/// The web server's port, on either end.
pub(super) const HTTP: u16 = 80;
/// IPv4's number of TCP (RFC 9293).
const TCP: u8 = 6;
/// TCP's flags (RFC 9293 section 3.1).
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

/// Whether this packet may come in.
pub(super) fn passes(ip: &[u8]) -> bool {
    reads_tcp(ip).is_some_and(|(from, to, flags)| {
        let opens = flags & SYN != 0 && flags & ACK == 0;
        to == HTTP || from == HTTP && !opens
    })
}

/// The ports and flags of a TCP segment in an IPv4 packet (RFC 791 section 3.1) that is not a fragment. What the tunnel's
/// MTU lets through whole is never cut, so a fragment is somebody's trick.
fn reads_tcp(ip: &[u8]) -> Option<(u16, u16, u8)> {
    let first = *ip.first()?;
    let header = usize::from(first & 0x0f) * 4;
    let fragment = u16::from_be_bytes([*ip.get(6)?, *ip.get(7)?]) & 0x3fff;
    if first >> 4 != 4 || header < 20 || fragment != 0 || *ip.get(9)? != TCP {
        return None;
    }
    let tcp = ip.get(header..header + 20)?;
    let port = |at: usize| Some(u16::from_be_bytes([*tcp.get(at)?, *tcp.get(at + 1)?]));
    Some((port(0)?, port(2)?, *tcp.get(13)?))
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
    }

    #[test]
    fn nothing_else_passes() {
        assert!(!passes(&packet(0, TCP, 40_000, 22, SYN)));
        assert!(!passes(&packet(0, TCP, 80, 5432, SYN)), "a connection may not be opened from port 80");
        assert!(!passes(&packet(0, 17, 40_000, 80, 0)), "UDP");
        assert!(!passes(&packet(0, 1, 0x0800, 80, 0)), "an echo request");
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
        fn what_passes_is_tcp_from_or_to_port_80(options in 0_usize..11, protocol: u8, from: u16, to: u16, flags: u8) {
            let passed = passes(&packet(options, protocol, from, to, flags));
            prop_assert!(!passed || protocol == TCP && (to == 80 || from == 80));
        }
    }
}
