//! The thread: waits for the TUN device, the UDP socket, a handle or the clock, and moves packets. One lock per batch.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::{Core, Shared};
use crate::net::Cidr;
use crate::peers::{Remote, Sink};

/// How often timers move: fine enough for WireGuard's seconds.
const TICK: Duration = Duration::from_millis(250);
/// Packets of one kind before the other gets its turn.
const BATCH: usize = 64;
/// Bytes of `struct virtio_net_hdr` before each packet.
const VIRTIO: usize = 10;

/// Datagrams that a handle wants sent.
#[derive(Default)]
pub(super) struct Later(Vec<(Remote, Vec<u8>)>);

impl Later {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Sink for Later {
    fn datagram(&mut self, to: Remote, bytes: &[u8]) {
        self.0.push((to, bytes.to_vec()));
    }

    fn packet(&mut self, _: &[u8]) {}
}

pub(super) struct Engine {
    shared: Arc<Shared>,
    epoll: Epoll,
    tun: std::fs::File,
    udp: UdpSocket,
    v6: bool,
    buffer: Box<[u8]>,
    plain: Vec<u8>,
}

struct Output<'a> {
    udp: &'a UdpSocket,
    v6: bool,
    tun: &'a mut std::fs::File,
    carriers: &'a super::carriers::Carriers,
    own: Option<&'a [Cidr]>,
    filter: Option<fn(&[u8]) -> bool>,
    plain: &'a mut Vec<u8>,
}

impl Sink for Output<'_> {
    fn datagram(&mut self, to: Remote, bytes: &[u8]) {
        match to {
            Remote::Udp(address) => drop(self.udp.send_to(bytes, outward(address, self.v6))),
            Remote::Carrier(id) => self.carriers.send(id, bytes),
        }
    }

    fn packet(&mut self, ip: &[u8]) {
        let to = boringtun::noise::Tunn::dst_address(ip);
        if self.own.is_some_and(|own| !own.iter().any(|address| Some(address.address) == to)) {
            return;
        }
        if self.filter.is_some_and(|passes| !passes(ip)) {
            return;
        }
        self.plain.clear();
        self.plain.resize(VIRTIO, 0);
        self.plain.extend_from_slice(ip);
        let _ = self.tun.write(self.plain);
    }
}

/// As the socket wants it: one for both versions takes IPv4 addresses mapped into IPv6 (RFC 4291 section 2.5.5.2).
fn outward(address: SocketAddr, v6: bool) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v6 => SocketAddrV6::new(v4.ip().to_ipv6_mapped(), v4.port(), 0, 0).into(),
        other => other,
    }
}

/// As everybody else knows it.
fn inward(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V6(v6) => match Ipv6Addr::to_ipv4_mapped(v6.ip()) {
            Some(v4) => SocketAddr::new(IpAddr::V4(v4), v6.port()),
            None => address,
        },
        SocketAddr::V4(_) => address,
    }
}

impl Engine {
    pub(super) fn new(shared: Arc<Shared>, tun: OwnedFd, udp: UdpSocket) -> std::io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(&tun, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
        epoll.add(&udp, EpollEvent::new(EpollFlags::EPOLLIN, 1))?;
        epoll.add(&shared.wake, EpollEvent::new(EpollFlags::EPOLLIN, 2))?;
        let v6 = udp.local_addr()?.is_ipv6();
        Ok(Self {
            shared,
            epoll,
            tun: tun.into(),
            udp,
            v6,
            buffer: vec![0; 1 << 16].into(),
            plain: Vec::new(),
        })
    }

    pub(super) fn run(mut self) {
        let mut events = [EpollEvent::empty(); 4];
        let mut next = Instant::now();
        while !self.shared.stop.load(Ordering::Acquire) {
            let wait = next.saturating_duration_since(Instant::now());
            let timeout =
                EpollTimeout::try_from(wait + Duration::from_millis(1)).unwrap_or(EpollTimeout::ZERO);
            match self.epoll.wait(&mut events, timeout) {
                Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                Err(errno) => {
                    tracing::error!("the tunnel stops: epoll_wait: {errno}");
                    return;
                }
            }
            let shared = Arc::clone(&self.shared);
            let _ = shared.wake.read();
            let mut core = shared.core();
            let Core { peers, carriers, later, own, filter } = &mut *core;
            let now = Instant::now();
            let delivered: Vec<_> = std::iter::from_fn(|| carriers.next()).collect();
            let mut out = Output {
                udp: &self.udp,
                v6: self.v6,
                tun: &mut self.tun,
                carriers,
                own: own.as_deref(),
                filter: *filter,
                plain: &mut self.plain,
            };
            for (to, bytes) in later.0.drain(..) {
                out.datagram(to, &bytes);
            }
            for (id, bytes) in delivered {
                peers.datagram(Remote::Carrier(id), &bytes, &mut out, now);
            }
            for _ in 0..BATCH {
                let Ok((length, from)) = self.udp.recv_from(&mut self.buffer) else { break };
                let bytes = self.buffer.get(..length).unwrap_or_default();
                peers.datagram(Remote::Udp(inward(from)), bytes, &mut out, now);
            }
            for _ in 0..BATCH {
                let Ok(length) = out.tun.read(&mut self.buffer) else { break };
                let packet = self.buffer.get(VIRTIO..length).unwrap_or_default();
                peers.packet(packet, &mut out, now);
            }
            if now >= next {
                next = now + TICK;
                peers.tick(&mut out, now);
            }
        }
    }
}
