//! The part of the boxes: each with its own address in 127.0.0.0/8, its own keys and its own route to the hub, all in one
//! loop.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use ::tunnel::keys::{PrivateKey, PublicKey};
use ::tunnel::net::Cidr;
use ::tunnel::peers::{Peer, PeerSet, Remote, Sink};
use ::tunnel::route::{Action, Route};
use anyhow::{Context, Result};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::hub;

/// How often each box looks after itself.
const TICK: Duration = Duration::from_millis(250);
/// Sockets that are served before the clock is looked at.
const BATCH: usize = 256;

/// One descriptor for each box, and some.
pub(super) fn more_descriptors(boxes: u32) -> Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let wanted = u64::from(boxes) + 200;
    setrlimit(Resource::RLIMIT_NOFILE, wanted, hard.max(wanted))
        .with_context(|| format!("{boxes} boxes need {wanted} open files; the limit is {hard}"))
}

/// All boxes.
pub(super) struct Fleet {
    epoll: Epoll,
    boxes: Vec<Box>,
    next_tick: Instant,
}

struct Box {
    socket: UdpSocket,
    peers: PeerSet,
    route: Route,
    hub: PublicKey,
    at: SocketAddr,
    handshake: Option<Instant>,
    /// When it was last told to forget that it ever stood.
    since: Instant,
}

struct Out<'a>(&'a UdpSocket);

impl Sink for Out<'_> {
    fn datagram(&mut self, to: Remote, bytes: &[u8]) {
        if let Remote::Udp(to) = to {
            let _ = self.0.send_to(bytes, to); // a datagram may be lost
        }
    }

    fn packet(&mut self, _: &[u8]) {}
}

impl Fleet {
    pub(super) fn new(count: u32, at: SocketAddr) -> Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let hub = PrivateKey::from_bytes(hub::KEY).public();
        let mut boxes = Vec::new();
        for number in 0..count {
            let address = Ipv4Addr::from_bits(Ipv4Addr::new(127, 1, 0, 1).to_bits() + number);
            let socket = UdpSocket::bind((address, 0))?;
            socket.set_nonblocking(true)?;
            epoll.add(&socket, EpollEvent::new(EpollFlags::EPOLLIN, number.into()))?;
            let mut peers = PeerSet::new(&PrivateKey::from_bytes(hub::key(number)), 10);
            let allowed = vec![Cidr::host(Ipv4Addr::new(10, 13, 0, 1).into())];
            peers.put(Peer { public: hub, preshared: None, allowed, remote: None, keepalive_s: None });
            let now = Instant::now();
            let route = Route::new([false], now, number.into());
            boxes.push(Box { socket, peers, route, hub, at, handshake: None, since: now });
        }
        Ok(Self { epoll, boxes, next_tick: Instant::now() })
    }

    /// Runs for so long, or until `done`.
    pub(super) fn run(&mut self, time: Duration, done: impl Fn(&Self) -> bool) -> Result<()> {
        let end = Instant::now() + time;
        let mut events = [EpollEvent::empty(); BATCH];
        loop {
            let now = Instant::now();
            if now >= self.next_tick {
                for each in &mut self.boxes {
                    each.tick();
                }
                // However long that took: answers are to be read, too.
                self.next_tick = Instant::now() + TICK;
                if now >= end || done(self) {
                    return Ok(());
                }
            }
            let wait = self.next_tick.saturating_duration_since(Instant::now());
            let timeout = EpollTimeout::try_from(wait + Duration::from_millis(1))?;
            let count = match self.epoll.wait(&mut events, timeout) {
                Ok(count) => count,
                Err(nix::errno::Errno::EINTR) => 0,
                Err(errno) => return Err(errno.into()),
            };
            for event in events.iter().take(count) {
                if let Some(each) = self.boxes.get_mut(event.data() as usize) {
                    each.receive();
                }
            }
        }
    }

    /// From now on only later handshakes count.
    pub(super) fn forget(&mut self) {
        let now = Instant::now();
        for each in &mut self.boxes {
            each.since = now;
        }
    }

    pub(super) fn all_stand(&self) -> bool {
        self.boxes.iter().all(Box::stands)
    }

    /// How many have made a handshake since they were told to forget, and how many of those have a way that works.
    pub(super) fn count(&self) -> (usize, usize) {
        let connected =
            self.boxes.iter().filter(|each| each.handshake.is_some_and(|at| at >= each.since)).count();
        (connected, self.boxes.iter().filter(|each| each.stands()).count())
    }

    /// The seconds from `start` to each box's handshake.
    pub(super) fn since(&self, start: Instant) -> Vec<f64> {
        let standing = self.boxes.iter().filter(|each| each.stands());
        standing
            .filter_map(|each| Some(each.handshake?.saturating_duration_since(start).as_secs_f64()))
            .collect()
    }
}

impl Box {
    fn stands(&self) -> bool {
        self.route.stands() && self.handshake.is_some_and(|at| at >= self.since)
    }

    fn receive(&mut self) {
        let mut buffer = [0; 2048];
        while let Ok((length, from)) = self.socket.recv_from(&mut buffer) {
            let bytes = buffer.get(..length).unwrap_or_default();
            self.peers.datagram(Remote::Udp(from), bytes, &mut Out(&self.socket), Instant::now());
        }
        self.look();
    }

    fn tick(&mut self) {
        self.peers.tick(&mut Out(&self.socket), Instant::now());
        self.look();
    }

    /// What the box's client does (`tunnel::client`), without its tasks.
    fn look(&mut self) {
        let now = Instant::now();
        if let Some(peer) = self.peers.peer(&self.hub, now) {
            let at = |ago: Option<Duration>| ago.and_then(|ago| now.checked_sub(ago));
            let handshake = at(peer.last_handshake);
            if let (Some(at), Some(over)) = (handshake, peer.handshake_over)
                && self.handshake.is_none_or(|known| at > known)
            {
                self.handshake = Some(at);
                self.route.answered(0, over, at);
            }
            if let Some(at) = at(peer.last_empty) {
                self.route.proven(0, at);
            }
        }
        self.route.tick(now);
        let mut out = Out(&self.socket);
        while let Some(action) = self.route.poll() {
            match action {
                Action::Resolve { hub } => self.route.resolved(hub, vec![self.at], now),
                Action::Handshake { via, .. } => drop(self.peers.renew(&self.hub, &mut out, Some(via), now)),
                Action::Use { via, .. } => {
                    self.peers.set_remote(&self.hub, via);
                    self.peers.ping(&self.hub, &mut out, now);
                }
                Action::Ping { .. } => drop(self.peers.ping(&self.hub, &mut out, now)),
                Action::OpenCarrier { .. } | Action::CloseCarrier { .. } => {}
            }
        }
    }
}
