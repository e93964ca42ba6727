//! The thread that lives in the tunnel's network namespace: it makes the TUN device there and opens sockets in there for
//! others. The namespace ends with the thread and the last descriptor.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::sync::mpsc;
use std::thread::JoinHandle;

use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use super::kernel;
use super::netlink::Netlink;
use super::policy::Policy;
use super::{Error, Namespace};
use crate::net::Cidr;

/// Connections that may wait to be accepted; the kernel has a limit of its own. nix would refuse more than the C library's
/// `SOMAXCONN`, which is 128 in musl's.
const BACKLOG: i32 = 1024;

/// What can be asked of the thread.
enum Job {
    Addresses(Vec<Cidr>),
    Mtu(u16),
    Route(Cidr),
    Around(Cidr),
    Listen(SocketAddr),
    Socket,
}

enum Done {
    Nothing,
    Descriptor(OwnedFd),
}

type Asked = (Job, mpsc::SyncSender<io::Result<Done>>);

/// Where the tunnel's device is. Dropping it ends the thread.
pub(super) struct Room {
    jobs: Option<mpsc::Sender<Asked>>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread owns.
struct Inside {
    netlink: Netlink,
    index: u32,
    addresses: Vec<Cidr>,
    policy: Policy,
}

impl Room {
    /// Starts the thread; gives the room and the TUN device in it.
    pub(super) fn open(
        namespace: Namespace,
        interface: &str,
        mtu: u16,
        addresses: &[Cidr],
    ) -> Result<(Self, OwnedFd), Error> {
        let (jobs, asked) = mpsc::channel::<Asked>();
        let (ready, opened) = mpsc::sync_channel(1);
        let (name, addresses) = (interface.to_owned(), addresses.to_vec());
        let thread = std::thread::Builder::new()
            .name("tunnel-room".into())
            .spawn(move || match Inside::enter(namespace, &name, mtu, &addresses) {
                Err(error) => drop(ready.send(Err(error))),
                Ok((mut inside, tun)) => {
                    let _ = ready.send(Ok(tun));
                    for (job, answer) in asked {
                        let _ = answer.send(inside.work(job));
                    }
                }
            })
            .map_err(|source| Error::Interface { what: "start a thread", source })?;
        let tun = opened.recv().map_err(|_| Error::Ended)??;
        Ok((Self { jobs: Some(jobs), thread: Some(thread) }, tun))
    }

    fn ask(&self, job: Job) -> io::Result<Done> {
        let gone = || io::Error::from(io::ErrorKind::NotConnected);
        let (answer, answered) = mpsc::sync_channel(1);
        self.jobs.as_ref().ok_or_else(gone)?.send((job, answer)).map_err(|_| gone())?;
        answered.recv().map_err(|_| gone())?
    }

    fn descriptor(&self, job: Job) -> io::Result<OwnedFd> {
        match self.ask(job)? {
            Done::Descriptor(descriptor) => Ok(descriptor),
            Done::Nothing => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    pub(super) fn set_addresses(&self, addresses: Vec<Cidr>) -> io::Result<()> {
        self.ask(Job::Addresses(addresses)).map(drop)
    }

    pub(super) fn set_mtu(&self, mtu: u16) -> io::Result<()> {
        self.ask(Job::Mtu(mtu)).map(drop)
    }

    pub(super) fn add_route(&self, network: Cidr) -> io::Result<()> {
        self.ask(Job::Route(network)).map(drop)
    }

    pub(super) fn route_around(&self, network: Cidr) -> io::Result<()> {
        self.ask(Job::Around(network)).map(drop)
    }

    pub(super) fn listen(&self, address: SocketAddr) -> io::Result<TcpListener> {
        self.descriptor(Job::Listen(address)).map(TcpListener::from)
    }

    pub(super) fn socket(&self) -> io::Result<OwnedFd> {
        self.descriptor(Job::Socket)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Inside {
    fn enter(
        namespace: Namespace,
        interface: &str,
        mtu: u16,
        addresses: &[Cidr],
    ) -> Result<(Self, OwnedFd), Error> {
        let failed = |what| move |source: io::Error| Error::Interface { what, source };
        if namespace == Namespace::Own {
            unshare(CloneFlags::CLONE_NEWNET)
                .map_err(|errno| failed("make a network namespace")(errno.into()))?;
            // A new namespace may inherit forwarding from the host; in here nothing goes from peer to peer.
            for (key, value) in SYSCTL {
                std::fs::write(key, value).map_err(failed("set the namespace's rules"))?;
            }
        }
        let netlink = Netlink::open().map_err(failed("open netlink"))?;
        let tun = kernel::open_tun(interface).map_err(failed("make the TUN device"))?;
        let index = nix::net::if_::if_nametoindex(interface)
            .map_err(|errno| failed("find the TUN device")(errno.into()))?;
        netlink.set_mtu(index, mtu).map_err(failed("set the MTU"))?;
        netlink.up(index).map_err(failed("bring the TUN device up"))?;
        let mut inside = Self { netlink, index, addresses: Vec::new(), policy: Policy::default() };
        inside.set_addresses(addresses.to_vec()).map_err(failed("set the addresses"))?;
        if namespace == Namespace::Own {
            // Loopback has index 1 in every namespace. All there is in here is the tunnel.
            inside.netlink.up(1).map_err(failed("bring loopback up"))?;
            inside.netlink.add_route(index, EVERYWHERE, MAIN).map_err(failed("set the route"))?;
        }
        Ok((inside, tun))
    }

    fn set_addresses(&mut self, wanted: Vec<Cidr>) -> io::Result<()> {
        for address in self.addresses.iter().filter(|address| !wanted.contains(address)) {
            self.netlink.remove_address(self.index, *address)?;
        }
        for address in wanted.iter().filter(|address| !self.addresses.contains(address)) {
            self.netlink.add_address(self.index, *address)?;
        }
        self.addresses = wanted;
        Ok(())
    }

    fn work(&mut self, job: Job) -> io::Result<Done> {
        match job {
            Job::Addresses(addresses) => self.set_addresses(addresses)?,
            Job::Mtu(mtu) => self.netlink.set_mtu(self.index, mtu)?,
            // The kernel made the routes to the networks of our addresses.
            Job::Route(network) if self.addresses.iter().any(|own| own.network() == network.network()) => {}
            Job::Route(network) => self.netlink.add_route(self.index, network, MAIN)?,
            Job::Around(network) => self.policy.add(&self.netlink, self.index, network)?,
            Job::Listen(address) => {
                let socket = socket2::Socket::from(tcp(address)?);
                socket.set_reuse_address(true)?;
                socket.bind(&address.into())?;
                socket.listen(BACKLOG)?;
                return Ok(Done::Descriptor(socket.into()));
            }
            Job::Socket => return tcp(SocketAddr::from(([0, 0, 0, 0], 0))).map(Done::Descriptor),
        }
        Ok(Done::Nothing)
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.policy.undo(&self.netlink);
    }
}

/// The table of routes that everybody uses.
const MAIN: u32 = nix::libc::RT_TABLE_MAIN as u32;

/// Rules of our own namespace: nothing is forwarded; TCP finds out by itself when large packets vanish (RFC 4821), and does
/// not forget between two segments of a stream how wide the way is (RFC 2861 would have it begin anew after each).
const SYSCTL: [(&str, &str); 3] = [
    ("/proc/sys/net/ipv4/ip_forward", "0"),
    ("/proc/sys/net/ipv4/tcp_mtu_probing", "1"),
    ("/proc/sys/net/ipv4/tcp_slow_start_after_idle", "0"),
];

/// The network of all IPv4 addresses.
const EVERYWHERE: Cidr = Cidr { address: std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), prefix: 0 };

fn tcp(like: SocketAddr) -> io::Result<OwnedFd> {
    let family = if like.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    Ok(socket(family, SockType::Stream, flags, None)?)
}
