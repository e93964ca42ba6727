//! Everybody we speak WireGuard with. Datagrams and packets come in, datagrams and packets come out through a [`Sink`];
//! no socket, no thread.
//!
//! Always true here:
//! * A packet from a peer leaves only if its source address is the peer's (cryptokey routing, WireGuard paper section 2),
//!   and it leaves as a packet: nothing that one peer sent is ever sent to another.
//! * A peer's remote moves only when an authenticated data packet (a keepalive too) came from there. An answer to a
//!   handshake goes to where the question came from and moves nobody.
//! * Handshakes beyond the allowed rate are answered by cookies before any curve is computed (section 5.3).
//! * A peer that expired is woken again for as long as it has a remote and something to say.
//!
//! Time comes in by argument, except that boringtun reads the clock by itself for its session timers.

use core::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use boringtun::noise::handshake::parse_handshake_anon;
use boringtun::noise::rate_limiter::RateLimiter;
use boringtun::noise::{Packet, Tunn, TunnResult};
use x25519_dalek::StaticSecret;

use crate::keys::{PresharedKey, PrivateKey, PublicKey};
use crate::net::{Cidr, Owners};

mod ping;
mod slot;
#[cfg(test)]
mod tests;

/// What a data message adds to a packet: header and tag (section 5.4.6).
pub const DATA_OVERHEAD: usize = 32;
/// The largest IP packet.
const MAX_PACKET: usize = 65_535;
/// Packets kept for a peer while its handshake runs.
const MAX_WAITING: u16 = 32;
/// The first byte of a data message.
const DATA: u8 = 4;
/// Peers that fit boringtun's index: 24 bits, the other 8 count a peer's sessions.
const MAX_PEERS: usize = 1 << 24;

/// One open connection that carries datagrams (a WebSocket).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CarrierId(pub u64);

/// Where a peer's datagrams go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Remote {
    /// A UDP address.
    Udp(SocketAddr),
    /// A carrier.
    Carrier(CarrierId),
}

impl Remote {
    /// The address that a cookie is bound to. A carrier proved its address by being open: it gets one of its own, in the
    /// discard range 100::/64 (RFC 6666).
    const fn cookie_address(self) -> IpAddr {
        match self {
            Self::Udp(address) => address.ip(),
            Self::Carrier(CarrierId(id)) => IpAddr::V6(Ipv6Addr::from_bits((0x0100 << 112) | id as u128)),
        }
    }
}

/// What is to be known of a peer beforehand.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Its name.
    pub public: PublicKey,
    /// A further secret, if both ends have one.
    pub preshared: Option<PresharedKey>,
    /// The addresses inside the tunnel that are its own.
    pub allowed: Vec<Cidr>,
    /// Where to find it; without one it has to come to us.
    pub remote: Option<Remote>,
    /// Seconds of silence after which a keepalive is sent; it also makes us keep the session up.
    pub keepalive_s: Option<u16>,
}

/// What is known of a peer now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerStatus {
    /// Its name.
    pub public: PublicKey,
    /// Where its datagrams go.
    pub remote: Option<Remote>,
    /// Since the last completed handshake.
    pub last_handshake: Option<Duration>,
    /// Where the last completed handshake ran over.
    pub handshake_over: Option<Remote>,
    /// Since the last authenticated datagram.
    pub last_received: Option<Duration>,
    /// Since the last data message, an empty one too: unlike a handshake's first message, nobody can send one again.
    pub last_data: Option<Duration>,
    /// Since the last empty packet: a keepalive, or the answer to a ping.
    pub last_empty: Option<Duration>,
    /// Bytes of its datagrams that were authentic.
    pub rx_bytes: u64,
    /// Bytes of datagrams sent to it.
    pub tx_bytes: u64,
}

/// Takes what a [`PeerSet`] gives.
pub trait Sink {
    /// A datagram to be sent.
    fn datagram(&mut self, to: Remote, bytes: &[u8]);
    /// An IP packet that came out of the tunnel.
    fn packet(&mut self, ip: &[u8]);
}

/// The peers of one private key.
pub struct PeerSet {
    secret: StaticSecret,
    public: x25519_dalek::PublicKey,
    /// Counts handshakes and asks for cookies.
    gate: RateLimiter,
    /// What each peer's own check uses: it has passed the gate already.
    open: Arc<RateLimiter>,
    slots: Vec<Option<Box<Slot>>>,
    free: Vec<u32>,
    names: HashMap<PublicKey, u32>,
    owners: Owners,
    answers_pings: bool,
    scratch: Box<[u8]>,
}

struct Slot {
    peer: Peer,
    tunn: Tunn,
    /// Packets given to boringtun while there was no session.
    waiting: u16,
    /// The session that we answered a handshake for; its first data packet completes the handshake.
    answered: Option<u32>,
    handshake: Option<(Instant, Remote)>,
    received: Option<Instant>,
    /// When the last data message came.
    data: Option<Instant>,
    /// When the last empty packet came.
    empty: Option<Instant>,
    /// When something was last sent, or ought to have been.
    sent: Option<Instant>,
    rx_bytes: u64,
    tx_bytes: u64,
}

/// What a datagram is, by boringtun's reading.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Initiation,
    Response,
    Cookie,
    Data(u32),
}

impl PeerSet {
    /// Nobody yet. Above `handshakes_per_second` in all, a handshake is only answered to who can show a cookie.
    pub fn new(private: &PrivateKey, handshakes_per_second: u64) -> Self {
        let secret = private.secret();
        let public = x25519_dalek::PublicKey::from(&secret);
        Self {
            gate: RateLimiter::new(&public, handshakes_per_second),
            open: Arc::new(RateLimiter::new(&public, u64::MAX)),
            secret,
            public,
            slots: Vec::new(),
            free: Vec::new(),
            names: HashMap::new(),
            owners: Owners::default(),
            answers_pings: false,
            scratch: vec![0; MAX_PACKET + DATA_OVERHEAD].into(),
        }
    }

    /// How many peers there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is nobody.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Adds a peer, or changes it. Its session lives on unless the preshared key changed; a remote of `None` leaves a
    /// known remote alone. A network that belonged to another peer moves here. False when there is no room (16 million).
    pub fn put(&mut self, peer: Peer) -> bool {
        let at = match self.names.get(&peer.public) {
            Some(&at) => at,
            None => match self.add(&peer) {
                Some(at) => at,
                None => return false,
            },
        };
        let Some(slot) = self.slots.get_mut(at as usize).and_then(Option::as_mut) else { return false };
        for network in &slot.peer.allowed {
            self.owners.take(*network, at);
        }
        for network in &peer.allowed {
            self.owners.give(*network, at);
        }
        let remade = slot.peer.preshared != peer.preshared;
        let remote = peer.remote.or(slot.peer.remote);
        slot.peer = Peer { remote, ..peer };
        if remade {
            slot.renew_state(tunn(&self.secret, &slot.peer, at, &self.open));
        }
        true
    }

    fn add(&mut self, peer: &Peer) -> Option<u32> {
        let at = match self.free.pop() {
            Some(at) => at,
            None if self.slots.len() < MAX_PEERS => {
                self.slots.push(None);
                self.slots.len() as u32 - 1
            }
            None => return None,
        };
        let slot = Slot {
            tunn: tunn(&self.secret, peer, at, &self.open),
            peer: Peer { allowed: Vec::new(), ..peer.clone() },
            waiting: 0,
            answered: None,
            handshake: None,
            received: None,
            data: None,
            empty: None,
            sent: None,
            rx_bytes: 0,
            tx_bytes: 0,
        };
        *self.slots.get_mut(at as usize)? = Some(Box::new(slot));
        self.names.insert(peer.public, at);
        Some(at)
    }

    /// Forgets a peer and its session at once. False when it was not known.
    pub fn remove(&mut self, public: &PublicKey) -> bool {
        let Some(at) = self.names.remove(public) else { return false };
        if let Some(slot) = self.slots.get_mut(at as usize).and_then(Option::take) {
            for network in &slot.peer.allowed {
                self.owners.take(*network, at);
            }
        }
        self.free.push(at);
        true
    }

    /// Sends a peer's datagrams elsewhere from now on. False when it is not known.
    pub fn set_remote(&mut self, public: &PublicKey, remote: Remote) -> bool {
        let Some(slot) = self.find(public) else { return false };
        slot.peer.remote = Some(remote);
        true
    }

    /// Starts a new handshake at once, beside the session that may live; over `via`, without moving the peer there, or to
    /// its remote. Should no answer come, it is repeated to the peer's remote. False when the peer or a way is not known.
    pub fn renew(
        &mut self,
        public: &PublicKey,
        out: &mut impl Sink,
        via: Option<Remote>,
        now: Instant,
    ) -> bool {
        let Some(&at) = self.names.get(public) else { return false };
        let Some(slot) = self.slots.get_mut(at as usize).and_then(Option::as_mut) else { return false };
        let Some(to) = via.or(slot.peer.remote) else { return false };
        if let TunnResult::WriteToNetwork(bytes) =
            slot.tunn.format_handshake_initiation(&mut self.scratch, true)
        {
            slot.sent = Some(now);
            slot.tx_bytes += bytes.len() as u64;
            out.datagram(to, bytes);
        }
        true
    }

    /// Starts anew with everybody after the wall clock was set: boringtun reads it once per peer, for the timestamp of
    /// handshakes (section 5.1), which has to grow. Sessions end.
    pub fn rebuild_clock(&mut self) {
        for (at, slot) in self.slots.iter_mut().enumerate() {
            if let Some(slot) = slot {
                slot.renew_state(tunn(&self.secret, &slot.peer, at as u32, &self.open));
            }
        }
    }

    /// A datagram came in. Whatever is wrong with it, it is dropped.
    pub fn datagram(&mut self, from: Remote, bytes: &[u8], out: &mut impl Sink, now: Instant) {
        if bytes.len() > self.scratch.len() {
            return;
        }
        let Ok(packet) = Tunn::parse_incoming_packet(bytes) else { return };
        let (at, kind) = match packet {
            Packet::HandshakeInit(_) | Packet::HandshakeResponse(_) => {
                let Some(found) = self.at_gate(from, bytes, out) else { return };
                found
            }
            Packet::PacketCookieReply(reply) => (reply.receiver_idx >> 8, Kind::Cookie),
            Packet::PacketData(data) => (data.receiver_idx >> 8, Kind::Data(data.receiver_idx)),
        };
        let Some(slot) = self.slots.get_mut(at as usize).and_then(Option::as_mut) else { return };
        match slot.tunn.decapsulate(None, bytes, &mut self.scratch) {
            TunnResult::WriteToNetwork(reply) => {
                slot.authentic(bytes, now);
                slot.tx_bytes += reply.len() as u64;
                slot.sent = Some(now);
                if kind == Kind::Initiation {
                    slot.answered =
                        reply.get(4..8).and_then(|index| index.try_into().ok()).map(u32::from_le_bytes);
                } else {
                    slot.handshake = Some((now, from));
                    slot.peer.remote.get_or_insert(from);
                }
                out.datagram(from, reply);
            }
            TunnResult::WriteToTunnelV4(packet, source) => {
                if self.owners.owner(IpAddr::V4(source)) == Some(at) {
                    out.packet(packet);
                }
                slot.data(kind, from, bytes, now);
            }
            TunnResult::WriteToTunnelV6(packet, source) => {
                if self.owners.owner(IpAddr::V6(source)) == Some(at) {
                    out.packet(packet);
                }
                slot.data(kind, from, bytes, now);
            }
            TunnResult::Done => {
                slot.data(kind, from, bytes, now);
                slot.pinged(kind, self.answers_pings, &mut self.scratch, out, now);
            }
            TunnResult::Err(_) => return,
        }
        if slot.waiting > 0 {
            slot.flush(&mut self.scratch, out, now);
        }
    }

    /// Lets a handshake message pass, or answers it by a cookie; gives its peer.
    fn at_gate(&self, from: Remote, bytes: &[u8], out: &mut impl Sink) -> Option<(u32, Kind)> {
        let mut cookie = [0; 64];
        match self.gate.verify_packet(Some(from.cookie_address()), bytes, &mut cookie) {
            Ok(Packet::HandshakeInit(initiation)) => {
                let half = parse_handshake_anon(&self.secret, &self.public, &initiation).ok()?;
                let public = PublicKey::from_bytes(half.peer_static_public);
                Some((*self.names.get(&public)?, Kind::Initiation))
            }
            Ok(Packet::HandshakeResponse(response)) => Some((response.receiver_idx >> 8, Kind::Response)),
            Err(TunnResult::WriteToNetwork(reply)) => {
                out.datagram(from, reply);
                None
            }
            Ok(_) | Err(_) => None,
        }
    }

    /// An IP packet is to be sent into the tunnel. Without an owner, or without a way to it, it is dropped.
    pub fn packet(&mut self, ip: &[u8], out: &mut impl Sink, now: Instant) {
        if ip.len() > MAX_PACKET {
            return;
        }
        let Some(at) = Tunn::dst_address(ip).and_then(|to| self.owners.owner(to)) else { return };
        let Some(slot) = self.slots.get_mut(at as usize).and_then(Option::as_mut) else { return };
        let Some(to) = slot.peer.remote else { return };
        if slot.waiting >= MAX_WAITING {
            return;
        }
        match slot.tunn.encapsulate(ip, &mut self.scratch) {
            TunnResult::WriteToNetwork(bytes) => {
                if bytes.first() != Some(&DATA) {
                    slot.waiting += 1;
                }
                slot.sent = Some(now);
                slot.tx_bytes += bytes.len() as u64;
                out.datagram(to, bytes);
            }
            _ => slot.waiting += 1,
        }
    }

    /// Moves timers; to be called every 250 ms.
    pub fn tick(&mut self, out: &mut impl Sink, now: Instant) {
        self.gate.reset_count();
        for slot in self.slots.iter_mut().flatten() {
            slot.tick(&mut self.scratch, out, now);
        }
    }

    /// Moves one peer's timers: what a peer that was just put asks for, goes out at once.
    pub fn tick_one(&mut self, public: &PublicKey, out: &mut impl Sink, now: Instant) {
        let Some(&at) = self.names.get(public) else { return };
        if let Some(slot) = self.slots.get_mut(at as usize).and_then(Option::as_mut) {
            slot.tick(&mut self.scratch, out, now);
        }
    }

    /// What is known of everybody.
    pub fn status(&self, now: Instant) -> Vec<PeerStatus> {
        self.slots.iter().flatten().map(|slot| slot.status(now)).collect()
    }

    /// What is known of one peer.
    pub fn peer(&self, public: &PublicKey, now: Instant) -> Option<PeerStatus> {
        let at = *self.names.get(public)?;
        Some(self.slots.get(at as usize)?.as_ref()?.status(now))
    }

    fn find(&mut self, public: &PublicKey) -> Option<&mut Slot> {
        let at = *self.names.get(public)?;
        self.slots.get_mut(at as usize)?.as_deref_mut()
    }
}

fn tunn(secret: &StaticSecret, peer: &Peer, at: u32, limiter: &Arc<RateLimiter>) -> Tunn {
    let public = x25519_dalek::PublicKey::from(*peer.public.as_bytes());
    let preshared = peer.preshared.as_ref().map(PresharedKey::bytes);
    // Keepalives are ours: boringtun cannot change their period, and sends them beside other traffic.
    Tunn::new(secret.clone(), public, preshared, None, at, Some(Arc::clone(limiter)))
}
