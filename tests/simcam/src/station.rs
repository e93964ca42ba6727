//! The camera on one interface, as makers' own discovery protocols see it: its address, its network card, and a group that it hears
//! and speaks to.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4},
    time::Duration,
};

use nix::{ifaddrs::getifaddrs, net::if_::InterfaceFlags};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use tokio::net::UdpSocket;

/// Where a protocol is spoken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Group {
    /// IPv4 group.
    pub(crate) address: [u8; 4],
    /// UDP port, of questions and of answers.
    pub(crate) port: u16,
    /// Broadcasts are heard and sent as well.
    pub(crate) broadcast: bool,
}

/// The camera on one interface.
#[derive(Debug)]
pub(crate) struct Station {
    socket: UdpSocket,
    group: Group,
    /// Its address.
    pub(crate) address: Ipv4Addr,
    mask: Ipv4Addr,
    mac: [u8; 6],
}

/// A station on each interface that is up and is no loopback.
pub(crate) fn all(group: Group) -> io::Result<Vec<Station>> {
    let interfaces: Vec<_> = getifaddrs()?.collect();
    let mut stations = Vec::new();
    for interface in &interfaces {
        let Some(address) = interface.address.and_then(|address| Some(address.as_sockaddr_in()?.ip())) else {
            continue;
        };
        let flags = interface.flags;
        if !flags.contains(InterfaceFlags::IFF_UP) || flags.contains(InterfaceFlags::IFF_LOOPBACK) {
            continue;
        }
        let name = &interface.interface_name;
        let mut card = interfaces.iter().filter(|other| other.interface_name == *name);
        let mac = card.find_map(|card| card.address?.as_link_addr()?.addr()).unwrap_or_default();
        let mask = interface.netmask.and_then(|mask| Some(mask.as_sockaddr_in()?.ip()));
        let socket = open(group, name, address)?;
        stations.push(Station { socket, group, address, mask: mask.unwrap_or(Ipv4Addr::BROADCAST), mac });
    }
    Ok(stations)
}

fn open(group: Group, interface: &str, address: Ipv4Addr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.set_multicast_all_v4(false)?;
    socket.set_broadcast(group.broadcast)?;
    socket.bind_device(Some(interface.as_bytes()))?;
    socket.bind(&SocketAddr::from(([0, 0, 0, 0], group.port)).into())?;
    let index = nix::net::if_::if_nametoindex(interface)?;
    socket.join_multicast_v4_n(&group.address.into(), &InterfaceIndexOrAddress::Index(index))?;
    socket.set_multicast_if_v4(&address)?;
    UdpSocket::from_std(socket.into())
}

impl Station {
    /// The next message and who sent it.
    pub(crate) async fn hear(&self) -> (Vec<u8>, SocketAddr) {
        let mut buffer = vec![0; 65_536];
        loop {
            if let Ok((count, from)) = self.socket.recv_from(&mut buffer).await {
                buffer.truncate(count);
                return (buffer, from);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Answers one.
    pub(crate) async fn tell(&self, message: &[u8], to: SocketAddr) {
        let _ = self.socket.send_to(message, to).await; // UDP promises nothing
    }

    /// Tells the group, and everybody where the protocol does.
    pub(crate) async fn tell_all(&self, message: &[u8]) {
        let to = |address: Ipv4Addr| SocketAddr::V4(SocketAddrV4::new(address, self.group.port));
        self.tell(message, to(self.group.address.into())).await;
        if self.group.broadcast {
            self.tell(message, to(Ipv4Addr::BROADCAST)).await;
        }
    }

    /// Whether somebody is in the camera's own subnet.
    pub(crate) fn is_near(&self, who: SocketAddr) -> bool {
        let IpAddr::V4(who) = who.ip() else { return false };
        (who.to_bits() ^ self.address.to_bits()) & self.mask.to_bits() == 0
    }

    /// The network card; each camera of several has one of its own.
    pub(crate) fn mac(&self, index: usize) -> [u8; 6] {
        let mut mac = self.mac;
        mac[5] = mac[5].wrapping_add(index as u8);
        mac
    }
}
