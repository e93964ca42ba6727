//! The thread: waits for the TUN device, the UDP socket, a handle or the clock, and moves packets. One lock per round;
//! nothing is allocated per packet.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::UdpSocket;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use boringtun::noise::Tunn;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{setsockopt, sockopt};

use super::kernel::{self, BATCH, NOTHING, ROOM};
use super::outbox::{Outbox, inward};
use super::probing::Probing;
use super::{Core, Filter, Shared, carriers::Carriers};
use crate::net::Cidr;
use crate::peers::{Remote, Sink};
use crate::segments::{VIRTIO, Virtio, cut, join::Joined};

/// How often timers move: fine enough for WireGuard's seconds.
const TICK: Duration = Duration::from_millis(250);
/// Reads from the TUN device, of up to 64 KiB, before the socket gets its turn.
const READS: usize = 16;

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

/// The thread's own things.
pub(super) struct Engine {
    shared: Arc<Shared>,
    epoll: Epoll,
    tun: File,
    outbox: Outbox,
    joined: Joined,
    /// Where datagrams are received.
    datagrams: Box<[u8]>,
    /// Where one packet is read from the TUN device.
    packet: Box<[u8]>,
}

/// Takes what peers give.
struct Output<'a> {
    outbox: &'a mut Outbox,
    tun: &'a File,
    joined: &'a mut Joined,
    carriers: &'a Carriers,
    own: Option<&'a [Cidr]>,
    filter: Option<&'a Filter>,
    probing: Option<&'a mut Probing>,
    /// The MTU to set.
    mtu: Option<u16>,
    now: Instant,
}

impl Sink for Output<'_> {
    fn datagram(&mut self, to: Remote, bytes: &[u8]) {
        match to {
            Remote::Udp(address) => self.outbox.push(address, bytes),
            Remote::Carrier(id) => self.carriers.send(id, bytes),
        }
    }

    fn packet(&mut self, ip: &[u8]) {
        if let Some(mtu) = self.probing.as_deref_mut().and_then(|probing| probing.answer(ip, self.now)) {
            self.mtu = mtu.or(self.mtu);
            return;
        }
        let to = Tunn::dst_address(ip);
        let ours = self.own.is_none_or(|own| own.iter().any(|address| Some(address.address) == to));
        if !ours || self.filter.is_some_and(|passes| !passes(ip)) {
            return;
        }
        self.joined.push(ip, &mut write_to(self.tun));
    }
}

/// Packets that the kernel does not take are dropped: its queue is full, or they are no IP.
fn write_to(mut tun: &File) -> impl FnMut(&[u8]) {
    move |bytes| drop(tun.write(bytes))
}

impl Output<'_> {
    fn flush(&mut self) {
        self.joined.flush(&mut write_to(self.tun));
        self.outbox.flush();
    }
}

impl Engine {
    pub(super) fn new(shared: Arc<Shared>, tun: OwnedFd, udp: UdpSocket) -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        for watched in [&tun as &dyn std::os::fd::AsFd, &udp, &shared.wake] {
            epoll.add(watched.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
        }
        if let Err(error) = kernel::offload_tcp(&tun) {
            tracing::debug!("the TUN device takes no packets larger than its MTU: {error}");
        }
        if let Err(errno) = setsockopt(&udp, sockopt::UdpGroSegment, &true) {
            tracing::debug!("the kernel does not join UDP: {errno}");
        }
        Ok(Self {
            shared,
            epoll,
            tun: tun.into(),
            outbox: Outbox::new(udp)?,
            joined: Joined::default(),
            datagrams: vec![0; BATCH * ROOM].into(),
            packet: vec![0; VIRTIO + ROOM].into(),
        })
    }

    /// Runs until the tunnel is dropped.
    pub(super) fn run(mut self) {
        let mut events = [EpollEvent::empty(); 4];
        let mut next = Instant::now();
        while !self.shared.stop.load(Ordering::Acquire) {
            let wait = next.saturating_duration_since(Instant::now());
            // A millisecond more, because a timeout is cut to whole ones.
            let timeout = EpollTimeout::try_from(wait + Duration::from_millis(1));
            match self.epoll.wait(&mut events, timeout.unwrap_or(EpollTimeout::ZERO)) {
                Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                Err(errno) => {
                    tracing::error!("the tunnel stops: waiting for its sockets: {errno}");
                    return;
                }
            }
            let now = Instant::now();
            let tick = now >= next;
            if tick {
                next = now + TICK;
            }
            self.round(now, tick);
        }
    }

    /// Moves what there is, up to a bound, so that a handle waits for the lock no longer than some milliseconds.
    fn round(&mut self, now: Instant, tick: bool) {
        let shared = Arc::clone(&self.shared);
        let _ = shared.wake.read();
        let mut core = shared.core();
        let Core { peers, carriers, later, own, filter, probing } = &mut *core;
        let delivered = carriers.delivered();
        let mut out = Output {
            outbox: &mut self.outbox,
            tun: &self.tun,
            joined: &mut self.joined,
            carriers,
            own: own.as_deref(),
            filter: filter.as_ref(),
            probing: probing.as_mut(),
            mtu: None,
            now,
        };
        for (to, bytes) in later.0.drain(..) {
            out.datagram(to, &bytes);
        }
        for (id, bytes) in delivered {
            peers.datagram(Remote::Carrier(id), &bytes, &mut out, now);
        }
        let mut received = [NOTHING; BATCH];
        let count = kernel::receive(out.outbox.socket(), &mut self.datagrams, &mut received).unwrap_or(0);
        for (room, message) in self.datagrams.chunks_exact(ROOM).zip(&received).take(count) {
            let from = Remote::Udp(inward(message.from));
            let bytes = room.get(..message.length).unwrap_or_default();
            for datagram in bytes.chunks(message.segment.max(1)) {
                peers.datagram(from, datagram, &mut out, now);
            }
        }
        for _ in 0..READS {
            let Ok(length) = (&self.tun).read(&mut self.packet) else { break };
            let Some((virtio, packet)) =
                self.packet.get_mut(..length).and_then(|read| read.split_first_chunk_mut::<VIRTIO>())
            else {
                continue;
            };
            let cut = cut::cut(Virtio::read(*virtio), packet, |packet| peers.packet(packet, &mut out, now));
            if let Err(error) = cut {
                tracing::debug!("dropped a packet of {length} bytes: {error}");
            }
        }
        if tick {
            peers.tick(&mut out, now);
            if let Some((mtu, echoes)) = out.probing.as_deref_mut().map(|probing| probing.tick(peers, now)) {
                out.mtu = mtu.or(out.mtu);
                for echo in echoes {
                    peers.packet(&echo, &mut out, now);
                }
            }
        }
        out.flush();
        let mtu = out.mtu;
        drop(core);
        if let Some(mtu) = mtu {
            match shared.room(|room| room.set_mtu(mtu)) {
                Ok(()) => tracing::debug!("packets inside the tunnel have up to {mtu} bytes now"),
                Err(error) => tracing::warn!("cannot set the tunnel's MTU to {mtu}: {error}"),
            }
        }
    }
}
