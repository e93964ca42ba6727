//! The box's own links: each IPv4 address on an interface that is up, running and can multicast. Loopback and
//! point-to-point interfaces (tunnels) have no LAN behind them.

use std::{collections::BTreeSet, io, net::Ipv4Addr};

use discovery::sweep::Network;
use nix::{
    ifaddrs::{InterfaceAddress, getifaddrs},
    net::if_::{InterfaceFlags, if_nametoindex},
};

/// One address of the box on one interface.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Link {
    pub(super) name: String,
    pub(super) index: u32,
    pub(super) network: Network,
}

/// The links there are now; only those of the named interfaces, if any is named.
pub(super) fn list(only: &[String]) -> io::Result<BTreeSet<Link>> {
    let wanted = |name: &String| only.is_empty() || only.contains(name);
    Ok(getifaddrs()?.filter_map(|entry| link(&entry)).filter(|link| wanted(&link.name)).collect())
}

fn link(entry: &InterfaceAddress) -> Option<Link> {
    let needed = InterfaceFlags::IFF_UP | InterfaceFlags::IFF_RUNNING | InterfaceFlags::IFF_MULTICAST;
    let refused = InterfaceFlags::IFF_LOOPBACK | InterfaceFlags::IFF_POINTOPOINT;
    if !entry.flags.contains(needed) || entry.flags.intersects(refused) {
        return None;
    }
    let own: Ipv4Addr = entry.address.as_ref()?.as_sockaddr_in()?.ip();
    let mask = entry
        .netmask
        .as_ref()
        .and_then(|mask| mask.as_sockaddr_in())
        .map_or(Ipv4Addr::BROADCAST, nix::sys::socket::SockaddrIn::ip);
    // An alias is listed as `eth0:1`; sockets know the device's own name.
    let name = entry.interface_name.split(':').next()?.to_owned();
    let index = if_nametoindex(name.as_str()).ok()?;
    let prefix = u8::try_from(mask.to_bits().leading_ones()).ok()?;
    Some(Link { name, index, network: Network { own, prefix } })
}
