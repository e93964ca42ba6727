//! Ethernet frames, read and written as bytes: ARP (RFC 826), and datagrams of senders in other subnets, which the kernel's own
//! checks may keep from a UDP socket (RFC 3704).
//!
//! A frame is read without its Ethernet trailer's checksum, as Linux hands it over. Nothing in it is believed but who sent it.

use std::net::{IpAddr, Ipv4Addr};

use model::Source;

use crate::{Answer, Error, mac::Mac};

/// Largest frame that is read, in bytes: an Ethernet header and a full-sized packet.
pub const MAX_FRAME: usize = 14 + 9216;

/// Bytes of an Ethernet header.
const HEADER: usize = 14;
/// EtherType of ARP (RFC 826).
const ARP: [u8; 2] = [0x08, 0x06];
/// EtherType of IPv4 (RFC 894).
const IPV4: [u8; 2] = [0x08, 0x00];
/// ARP between Ethernet and IPv4: hardware and protocol types, and the lengths of their addresses.
const ARP_ETHERNET_IPV4: [u8; 6] = [0, 1, 0x08, 0x00, 6, 4];

/// A station and the address that it uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Station {
    /// Its address.
    pub address: Ipv4Addr,
    /// Its network card.
    pub mac: Mac,
}

impl Station {
    /// What is worth telling of it: a network card of a maker of cameras. Anybody else is not a camera.
    pub fn answer(self) -> Option<Answer> {
        let maker = self.mac.maker()?;
        Some(Answer { mac: Some(self.mac), maker: Some(maker.to_owned()), ..Answer::new(Source::Neighbour) })
    }
}

/// What one station says or asks by ARP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arp {
    /// Its network card, from the message itself.
    pub mac: Mac,
    /// The address that it uses; `None` for a probe (RFC 5227 section 1.1), whose sender has none yet.
    pub address: Option<Ipv4Addr>,
    /// The address that the message is about.
    pub target: Ipv4Addr,
}

/// Reads a frame as ARP.
///
/// # Errors
/// [`Error`] when it is none between Ethernet and IPv4, or of no station.
pub fn read_arp(frame: &[u8]) -> Result<Arp, Error> {
    const NOT_ARP: Error = Error::Not("ARP");
    let kind = frame.get(12..HEADER).ok_or(NOT_ARP)?;
    let body = frame.get(HEADER..HEADER + 28).ok_or(NOT_ARP)?;
    let operation = body.get(6..8).ok_or(NOT_ARP)?;
    if kind != ARP || !body.starts_with(&ARP_ETHERNET_IPV4) || !matches!(operation, [0, 1 | 2]) {
        return Err(NOT_ARP);
    }
    let mac = body.get(8..14).and_then(|bytes| bytes.try_into().ok()).and_then(Mac::new).ok_or(NOT_ARP)?;
    let address = |at: usize| {
        let bytes: [u8; 4] = body.get(at..at + 4)?.try_into().ok()?;
        Some(Ipv4Addr::from(bytes))
    };
    let sender = address(14).ok_or(NOT_ARP)?;
    let own = (!sender.is_unspecified()).then_some(sender);
    if sender.is_broadcast() || sender.is_multicast() || sender.is_loopback() {
        return Err(NOT_ARP);
    }
    Ok(Arp { mac, address: own, target: address(24).ok_or(NOT_ARP)? })
}

/// A frame that asks whether anybody uses an address, without claiming one (RFC 5227 section 2.1.1).
pub fn probe(own: Mac, target: Ipv4Addr) -> Vec<u8> {
    [
        [0xff; 6].as_slice(),
        &own.bytes(),
        &ARP,
        &ARP_ETHERNET_IPV4,
        &[0, 1],
        &own.bytes(),
        &[0; 4],
        &[0; 6],
        &target.octets(),
    ]
    .concat()
}

/// A whole UDP datagram in a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Who sent it.
    pub from: IpAddr,
    /// The port that it is for.
    pub port: u16,
    /// What it carries.
    pub payload: &'a [u8],
}

/// Reads a frame as a UDP datagram over IPv4 (RFC 791, RFC 768). Fragments are none: their second half has no port.
/// Checksums are not looked at, the card has done that.
pub fn read_datagram(frame: &[u8]) -> Option<Datagram<'_>> {
    if frame.get(12..HEADER)? != IPV4 {
        return None;
    }
    let packet = frame.get(HEADER..)?;
    let first = *packet.first()?;
    let header = usize::from(first & 0x0f) * 4;
    let total = usize::from(u16::from_be_bytes(packet.get(2..4)?.try_into().ok()?));
    let fragment = u16::from_be_bytes(packet.get(6..8)?.try_into().ok()?) & 0x3fff; // offset, and more to come
    if first >> 4 != 4 || header < 20 || *packet.get(9)? != 17 || fragment != 0 {
        return None;
    }
    let from: [u8; 4] = packet.get(12..16)?.try_into().ok()?;
    let datagram = packet.get(header..total)?;
    let length = usize::from(u16::from_be_bytes(datagram.get(4..6)?.try_into().ok()?));
    Some(Datagram {
        from: IpAddr::from(from),
        port: u16::from_be_bytes(datagram.get(2..4)?.try_into().ok()?),
        payload: datagram.get(8..length)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &[u8] = include_bytes!("../../fuzz/corpus/discovery_answer/arp-request.bin");
    const DATAGRAM: &[u8] = include_bytes!("../../fuzz/corpus/discovery_answer/frame-sadp.bin");

    #[test]
    fn a_question_tells_who_asks() {
        let arp = read_arp(REQUEST).unwrap();
        assert_eq!(arp.address, Some(Ipv4Addr::new(192, 168, 1, 64)));
        assert_eq!(arp.target, Ipv4Addr::new(192, 168, 1, 1));
        assert_eq!(arp.mac.to_string(), "44:19:b6:11:22:33");
        let station = Station { address: Ipv4Addr::new(192, 168, 1, 64), mac: arp.mac };
        assert_eq!(station.answer().and_then(|answer| answer.maker).as_deref(), Some("Hikvision"));
        let office = Station { mac: Mac::parse("3c:07:54:00:00:01").unwrap(), ..station };
        assert_eq!(office.answer(), None, "a computer is no camera");
    }

    #[test]
    fn a_probe_claims_no_address() {
        let own = Mac::parse("02:00:00:00:00:01").unwrap();
        let frame = probe(own, Ipv4Addr::new(192, 168, 1, 250));
        let arp = read_arp(&frame).unwrap();
        assert_eq!((arp.mac, arp.address, arp.target), (own, None, Ipv4Addr::new(192, 168, 1, 250)));
        assert_eq!((frame.len(), &frame[..6]), (42, [0xff; 6].as_slice()));
    }

    #[test]
    fn other_frames_are_no_arp() {
        for at in [12, 14, 16, 18, 19, 21] {
            let mut frame = REQUEST.to_vec();
            frame[at] ^= 0x40;
            assert_eq!(read_arp(&frame), Err(Error::Not("ARP")), "{at}");
        }
        assert!(read_arp(&REQUEST[..41]).is_err());
        for sender in [[255; 4], [127, 0, 0, 1], [239, 255, 255, 250]] {
            let mut frame = REQUEST.to_vec();
            frame[28..32].copy_from_slice(&sender);
            assert!(read_arp(&frame).is_err(), "{sender:?}");
        }
    }

    #[test]
    fn a_datagram_is_whole_or_none() {
        let datagram = read_datagram(DATAGRAM).unwrap();
        assert_eq!((datagram.from, datagram.port), (IpAddr::from([192, 168, 1, 64]), crate::sadp::PORT));
        assert!(crate::sadp::read(datagram.payload, datagram.from).unwrap().is_some());
        for length in 0..DATAGRAM.len() {
            assert_eq!(read_datagram(&DATAGRAM[..length]), None, "{length}");
        }
        let mut padded = DATAGRAM.to_vec();
        padded.extend([0; 18]);
        assert_eq!(read_datagram(&padded).unwrap().payload, datagram.payload, "Ethernet pads short frames");
        for (at, bit) in [(13, 1), (14, 0x20), (20, 0x20), (21, 1), (23, 1)] {
            let mut frame = DATAGRAM.to_vec();
            frame[at] ^= bit;
            assert_eq!(read_datagram(&frame), None, "{at}");
        }
    }
}
