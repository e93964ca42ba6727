//! A tunnel on this machine: a TUN device, a UDP socket, one thread that moves packets between them.
//!
//! The UDP socket is made in the caller's network namespace. The TUN device lives in one of its own
//! ([`Namespace::Own`]): no route leads from the tunnel to the caller's networks or back, and the addresses inside cannot
//! collide with those outside. TCP sockets inside are opened through the [`Handle`].
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the kernel's side of the tunnel: sockets, threads and the clock are its work"
)]

mod carriers;
mod engine;
mod kernel;
mod namespace;
mod netlink;
mod outbox;
mod policy;
mod probing;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, bind, setsockopt, socket, sockopt,
};

pub use self::carriers::Carrier;
use self::engine::{Engine, Later};
use self::namespace::Room;
use self::probing::Probing;
use crate::keys::{PrivateKey, PublicKey};
use crate::net::Cidr;
use crate::peers::{CarrierId, Peer, PeerSet, PeerStatus, Remote};

/// Bytes that the kernel may keep for us in each direction of the UDP socket.
const SOCKET_BUFFER: usize = 4 << 20;

/// What a tunnel is made from.
#[derive(Debug, Clone)]
pub struct Options {
    /// Our key.
    pub private: PrivateKey,
    /// Our addresses inside, each with the prefix of the network that is on the link.
    pub addresses: Vec<Cidr>,
    /// Bytes of the largest packet inside; 1280 fits every path.
    pub mtu: u16,
    /// Where to listen for UDP; `None` for any free port.
    pub listen: Option<SocketAddr>,
    /// Handshakes per second beyond which cookies are asked for.
    pub handshakes_per_second: u64,
    /// The interface's name, 1 to 15 characters.
    pub interface: String,
    /// Where the interface lives.
    pub namespace: Namespace,
}

/// Where the interface lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Namespace {
    /// In a network namespace made for it.
    Own,
    /// In the caller's.
    Current,
}

/// Why there is no tunnel.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The device or its namespace cannot be made.
    #[error(
        "cannot {what} for the tunnel (this needs root, or CAP_NET_ADMIN and CAP_SYS_ADMIN, and /dev/net/tun): {source}"
    )]
    Interface {
        /// What was being done.
        what: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// The UDP socket cannot be made.
    #[error("cannot listen on UDP {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// The thread that makes the interface is gone.
    #[error("the thread of the tunnel's interface ended")]
    Ended,
}

/// A tunnel that runs. Dropping it ends its threads, its interface and its namespace.
#[derive(Debug)]
pub struct Tunnel {
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

/// Changes a running tunnel and opens sockets inside; works from any thread.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

impl core::fmt::Debug for Handle {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Handle").field("port", &self.shared.port).finish_non_exhaustive()
    }
}

/// What the thread and its handles share.
struct Shared {
    core: Mutex<Core>,
    room: Mutex<Option<Room>>,
    /// Wakes the thread for what a handle left in `core`, or to stop.
    wake: EventFd,
    stop: AtomicBool,
    port: u16,
    /// The thread's socket, for its options; none when the tunnel has ended, so that no handle keeps the port.
    udp: Mutex<Option<UdpSocket>>,
}

/// Says of an IP packet whether it may come out of the tunnel.
type Filter = Arc<dyn Fn(&[u8]) -> bool + Send + Sync>;

/// What a datagram or packet needs, under one lock that the thread takes once per batch.
struct Core {
    peers: PeerSet,
    carriers: carriers::Carriers,
    /// What a handle wants sent.
    later: Later,
    /// The addresses inside that are ours, when packets for others are to be dropped.
    own: Option<Vec<Cidr>>,
    /// What else a packet that came out of the tunnel must fulfil.
    filter: Option<Filter>,
    /// Finds the MTU, when asked to.
    probing: Option<Probing>,
}

impl Shared {
    fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn room<T>(&self, work: impl FnOnce(&Room) -> io::Result<T>) -> io::Result<T> {
        let room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        room.as_ref().map_or_else(|| Err(io::ErrorKind::NotConnected.into()), work)
    }

    fn wake(&self) {
        // Fails only when it is already due more often than 64 bits can count.
        let _ = self.wake.write(1);
    }
}

impl Tunnel {
    /// Starts a tunnel without peers.
    ///
    /// # Errors
    /// Without the rights, or when the interface's name or the port is taken.
    pub fn start(options: Options) -> Result<Self, Error> {
        let udp = udp(options.listen)?;
        let interface = |what| move |source| Error::Interface { what, source };
        let port = udp.local_addr().map_err(interface("read the UDP port"))?.port();
        let (room, tun) = Room::open(options.namespace, &options.interface, options.mtu, &options.addresses)?;
        let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
        let wake = EventFd::from_value_and_flags(0, flags)
            .map_err(|errno| interface("make an eventfd")(errno.into()))?;
        let core = Core {
            peers: PeerSet::new(&options.private, options.handshakes_per_second),
            carriers: carriers::Carriers::default(),
            later: Later::default(),
            own: (options.namespace == Namespace::Own).then_some(options.addresses),
            filter: None,
            probing: None,
        };
        let shared = Arc::new(Shared {
            core: Mutex::new(core),
            room: Mutex::new(Some(room)),
            wake,
            stop: AtomicBool::new(false),
            port,
            udp: Mutex::new(Some(udp.try_clone().map_err(interface("copy the UDP socket"))?)),
        });
        let engine = Engine::new(Arc::clone(&shared), tun, udp).map_err(interface("watch the sockets"))?;
        let thread = std::thread::Builder::new()
            .name("tunnel".into())
            .spawn(move || engine.run())
            .map_err(interface("start a thread"))?;
        Ok(Self { handle: Handle { shared }, thread: Some(thread) })
    }

    /// A handle to it.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        let shared = &self.handle.shared;
        shared.stop.store(true, Ordering::Release);
        shared.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        drop(shared.udp.lock().unwrap_or_else(PoisonError::into_inner).take());
        drop(shared.room.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

impl Handle {
    /// Adds a peer, or changes it: see [`PeerSet::put`]. One with a remote and a keepalive is greeted at once.
    pub fn put(&self, peer: Peer) -> bool {
        let public = peer.public;
        let mut core = self.shared.core();
        let Core { peers, later, .. } = &mut *core;
        let put = peers.put(peer);
        peers.tick_one(&public, later, Instant::now());
        self.wake_for(core);
        put
    }

    /// Forgets a peer at once. False when it was not known.
    pub fn remove(&self, public: &PublicKey) -> bool {
        self.shared.core().peers.remove(public)
    }

    /// Sends a peer's datagrams elsewhere from now on. False when it is not known.
    pub fn set_remote(&self, public: &PublicKey, remote: Remote) -> bool {
        self.shared.core().peers.set_remote(public, remote)
    }

    /// Starts a new handshake: see [`PeerSet::renew`].
    pub fn renew(&self, public: &PublicKey, via: Option<Remote>) -> bool {
        let mut core = self.shared.core();
        let Core { peers, later, .. } = &mut *core;
        let renewed = peers.renew(public, later, via, Instant::now());
        self.wake_for(core);
        renewed
    }

    /// Sends an empty packet at once: see [`PeerSet::ping`].
    pub fn ping(&self, public: &PublicKey) -> bool {
        let mut core = self.shared.core();
        let Core { peers, later, .. } = &mut *core;
        let known = peers.ping(public, later, Instant::now());
        self.wake_for(core);
        known
    }

    /// Whether empty packets are answered: see [`PeerSet::answer_pings`].
    pub fn answer_pings(&self, answer: bool) {
        self.shared.core().peers.answer_pings(answer);
    }

    /// Lets only those IP packets out of the tunnel of which `passes` says yes; all others vanish.
    /// It is asked for each packet, under the tunnel's lock.
    pub fn set_filter(&self, passes: impl Fn(&[u8]) -> bool + Send + Sync + 'static) {
        self.shared.core().filter = Some(Arc::new(passes));
    }

    /// To be called after the wall clock was set: see [`PeerSet::rebuild_clock`].
    pub fn rebuild_clock(&self) {
        let mut core = self.shared.core();
        let Core { peers, later, .. } = &mut *core;
        let now = Instant::now();
        peers.rebuild_clock();
        // Whoever has a way is greeted at once: until then, what it sends cannot be read.
        for peer in peers.status(now) {
            peers.ping(&peer.public, later, now);
        }
        self.wake_for(core);
    }

    fn wake_for(&self, core: MutexGuard<'_, Core>) {
        let something = !core.later.is_empty();
        drop(core);
        if something {
            self.shared.wake();
        }
    }

    /// Changes our addresses inside.
    ///
    /// # Errors
    /// When the kernel refuses one, or the tunnel has ended.
    pub fn set_address(&self, addresses: Vec<Cidr>) -> io::Result<()> {
        self.shared.room(|room| room.set_addresses(addresses.clone()))?;
        let mut core = self.shared.core();
        if core.own.is_some() {
            core.own = Some(addresses);
        }
        Ok(())
    }

    /// Changes the bytes of the largest packet inside.
    ///
    /// # Errors
    /// When the kernel refuses it (below 68), or the tunnel has ended.
    pub fn set_mtu(&self, mtu: u16) -> io::Result<()> {
        self.shared.room(|room| room.set_mtu(mtu))
    }

    /// Keeps the MTU as large as the path to a peer carries, from 1280 bytes on: see [`Probe`](crate::mtu::Probe). `own` and
    /// `inner` are our address and the peer's inside. The peer must answer echo requests.
    pub fn probe_mtu(&self, peer: PublicKey, own: Ipv4Addr, inner: Ipv4Addr) {
        self.shared.core().probing = Some(Probing::new(peer, own, inner, Instant::now()));
    }

    /// The MTU that probing has found, bytes; `None` when nobody asked for it.
    pub fn probed_mtu(&self) -> Option<u16> {
        self.shared.core().probing.as_ref().map(Probing::mtu)
    }

    /// Sends a network into the interface: for an interface in the caller's namespace. In its own, everything goes there.
    ///
    /// # Errors
    /// When there is a route to it already, or the tunnel has ended.
    pub fn add_route(&self, network: Cidr) -> io::Result<()> {
        self.shared.room(|room| room.add_route(network))
    }

    /// The same for a network that may hold the other end, such as all addresses there are: the tunnel's own datagrams and what
    /// the machine has a route of its own for, default routes apart, do not go there. Undone when the tunnel ends.
    ///
    /// # Errors
    /// When another tunnel has it, the kernel has no routing rules, or the tunnel has ended.
    pub fn add_route_around(&self, network: Cidr) -> io::Result<()> {
        if let Some(udp) = &*self.shared.udp.lock().unwrap_or_else(PoisonError::into_inner) {
            setsockopt(udp, sockopt::Mark, &policy::MARK)?;
        }
        self.shared.room(|room| room.route_around(network))
    }

    /// Our UDP port outside.
    pub fn local_port(&self) -> u16 {
        self.shared.port
    }

    /// What is known of everybody.
    pub fn status(&self) -> Vec<PeerStatus> {
        self.shared.core().peers.status(Instant::now())
    }

    /// What is known of one peer.
    pub fn peer(&self, public: &PublicKey) -> Option<PeerStatus> {
        self.shared.core().peers.peer(public, Instant::now())
    }

    /// Listens for TCP inside the tunnel: non-blocking, with SO_REUSEADDR.
    ///
    /// # Errors
    /// When the address is not ours or taken, or the tunnel has ended.
    pub fn listen_tcp(&self, address: SocketAddr) -> io::Result<TcpListener> {
        self.shared.room(|room| room.listen(address))
    }

    /// An IPv4 TCP socket inside the tunnel, not yet connected, non-blocking; any thread may connect it.
    ///
    /// # Errors
    /// When there are no more descriptors, or the tunnel has ended.
    pub fn tcp_socket(&self) -> io::Result<OwnedFd> {
        self.shared.room(Room::socket)
    }

    /// Opens a carrier: datagrams that somebody else takes to the peer and back.
    pub fn carrier(&self) -> Carrier {
        let (id, outgoing) = self.shared.core().carriers.open();
        Carrier { id, outgoing, handle: self.clone() }
    }

    fn deliver(&self, id: CarrierId, bytes: &[u8]) {
        if self.shared.core().carriers.deliver(id, bytes) {
            self.shared.wake();
        }
    }

    fn close(&self, id: CarrierId) {
        self.shared.core().carriers.close(id);
    }
}

/// A socket for both IP versions when nothing says otherwise and the kernel has IPv6.
fn udp(listen: Option<SocketAddr>) -> Result<UdpSocket, Error> {
    let any = [SocketAddr::from(([0_u16; 8], 0)), SocketAddr::from(([0_u8; 4], 0))];
    let wanted = listen.as_ref().map_or(&any[..], std::slice::from_ref);
    let mut last = None;
    for &address in wanted {
        match bound(address) {
            Ok(socket) => return Ok(socket),
            Err(source) => last = Some(Error::Listen { address, source }),
        }
    }
    Err(last.unwrap_or(Error::Ended))
}

fn bound(address: SocketAddr) -> io::Result<UdpSocket> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket(family, SockType::Datagram, flags, None)?;
    if address.is_ipv6() {
        setsockopt(&socket, sockopt::Ipv6V6Only, &false)?;
    }
    // The larger buffers are a wish; the kernel caps them by its own limits.
    // Ten thousand boxes may knock within the same millisecond: with the right to do it, the cap is passed.
    if setsockopt(&socket, sockopt::RcvBufForce, &SOCKET_BUFFER).is_err() {
        let _ = setsockopt(&socket, sockopt::RcvBuf, &SOCKET_BUFFER);
    }
    let _ = setsockopt(&socket, sockopt::SndBuf, &SOCKET_BUFFER);
    bind(std::os::fd::AsRawFd::as_raw_fd(&socket), &SockaddrStorage::from(address))?;
    Ok(socket.into())
}
