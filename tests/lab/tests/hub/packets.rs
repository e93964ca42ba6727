//! A box of which nothing is left but its key: it puts any packet into its tunnel, and sees all that comes out.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use tokio::net::UdpSocket;
use tokio::time::timeout_at;
use tunnel::keys::PublicKey;
use tunnel::net::Cidr;
use tunnel::peers::{Peer, PeerSet, Remote, Sink};

use super::stage::{Stage, key};

/// A TCP flag.
pub(crate) const SYN: u8 = 2;

/// The box.
pub(crate) struct Stranger {
    peers: PeerSet,
    socket: UdpSocket,
    hub: PublicKey,
    at: SocketAddr,
}

#[derive(Default)]
struct Out {
    datagrams: Vec<Vec<u8>>,
    packets: Vec<Vec<u8>>,
}

impl Sink for Out {
    fn datagram(&mut self, _: Remote, bytes: &[u8]) {
        self.datagrams.push(bytes.to_vec());
    }

    fn packet(&mut self, ip: &[u8]) {
        self.packets.push(ip.to_vec());
    }
}

impl Stranger {
    pub(crate) fn new(stage: &Stage, number: u8) -> Result<Self> {
        let socket = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_nonblocking(true)?;
        let (hub, at) = (stage.public(), stage.listen());
        let mut peers = PeerSet::new(&key(number), 1000);
        peers.put(Peer {
            public: hub,
            preshared: None,
            // Whatever it is, it belongs into the tunnel.
            allowed: vec![Cidr { address: Ipv4Addr::UNSPECIFIED.into(), prefix: 0 }],
            remote: Some(Remote::Udp(at)),
            keepalive_s: None,
        });
        Ok(Self { peers, socket: UdpSocket::from_std(socket)?, hub, at })
    }

    /// Completes a handshake; the hub may need a moment to hear of this box.
    pub(crate) async fn greet(&mut self) -> Result<()> {
        for _ in 0..10 {
            let mut out = Out::default();
            self.peers.renew(&self.hub, &mut out, None, Instant::now());
            self.flush(&out);
            self.listen(Duration::from_millis(300)).await;
            let known = self.peers.peer(&self.hub, Instant::now());
            if known.is_some_and(|peer| peer.last_handshake.is_some()) {
                return Ok(());
            }
        }
        bail!("the hub does not answer")
    }

    fn flush(&self, out: &Out) {
        for datagram in &out.datagrams {
            let _ = self.socket.try_send_to(datagram, self.at);
        }
    }

    pub(crate) fn send(&mut self, packet: &[u8]) {
        let mut out = Out::default();
        self.peers.packet(packet, &mut out, Instant::now());
        assert!(!out.datagrams.is_empty(), "nothing was sent");
        self.flush(&out);
    }

    /// The packets that come out of the tunnel within this time.
    pub(crate) async fn listen(&mut self, time: Duration) -> Vec<Vec<u8>> {
        let until = tokio::time::Instant::now() + time;
        let (mut buffer, mut packets) = ([0; 2048], Vec::new());
        while let Ok(Ok((length, from))) = timeout_at(until, self.socket.recv_from(&mut buffer)).await {
            let mut out = Out::default();
            self.peers.datagram(Remote::Udp(from), &buffer[..length], &mut out, Instant::now());
            self.flush(&out);
            packets.append(&mut out.packets);
        }
        packets
    }
}

/// IPv4 without options (RFC 791).
fn ip(protocol: u8, from: Ipv4Addr, to: Ipv4Addr, content: &[u8]) -> Vec<u8> {
    let mut ip = vec![0x45, 0, 0, 0, 0, 1, 0, 0, 64, protocol, 0, 0];
    ip.extend(from.octets());
    ip.extend(to.octets());
    ip.extend(content);
    let length = ip.len() as u16;
    ip[2..4].copy_from_slice(&length.to_be_bytes());
    seal(&mut ip);
    ip
}

/// Sets the header's checksum.
pub(crate) fn seal(ip: &mut [u8]) {
    ip[10..12].fill(0);
    let sum = checksum(&ip[..20]);
    ip[10..12].copy_from_slice(&sum);
}

/// The internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> [u8; 2] {
    let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!sum as u16).to_be_bytes()
}

/// A segment with the checksum over its pseudo header at this place.
fn sealed(protocol: u8, from: Ipv4Addr, to: Ipv4Addr, mut segment: Vec<u8>, place: usize) -> Vec<u8> {
    let mut pseudo = [from.octets(), to.octets()].concat();
    pseudo.extend([0, protocol]);
    pseudo.extend((segment.len() as u16).to_be_bytes());
    pseudo.extend(&segment);
    let sum = checksum(&pseudo);
    segment[place..place + 2].copy_from_slice(&sum);
    ip(protocol, from, to, &segment)
}

pub(crate) fn tcp(from: Ipv4Addr, to: Ipv4Addr, source: u16, destination: u16, flags: u8) -> Vec<u8> {
    let mut segment = [source.to_be_bytes(), destination.to_be_bytes()].concat();
    segment.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    sealed(6, from, to, segment, 16)
}

pub(crate) fn udp(from: Ipv4Addr, to: Ipv4Addr, source: u16, destination: u16) -> Vec<u8> {
    let mut datagram = [source.to_be_bytes(), destination.to_be_bytes()].concat();
    datagram.extend([0, 12, 0, 0, 1, 2, 3, 4]);
    sealed(17, from, to, datagram, 6)
}

pub(crate) fn echo(from: Ipv4Addr, to: Ipv4Addr) -> Vec<u8> {
    let mut message = vec![8, 0, 0, 0, 0, 1, 0, 1];
    let sum = checksum(&message);
    message[2..4].copy_from_slice(&sum);
    ip(1, from, to, &message)
}
