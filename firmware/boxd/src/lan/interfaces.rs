//! The box's own links: each IPv4 address on an interface that is up, running and can multicast. Loopback and
//! point-to-point interfaces (tunnels) have no LAN behind them.

use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, Ipv4Addr},
};

use discovery::{mac::Mac, sweep::Network};
use nix::{
    ifaddrs::{InterfaceAddress, getifaddrs},
    net::if_::{InterfaceFlags, if_nametoindex},
    sys::socket::LinkAddr,
};

use super::netlink::LABEL;

/// One address of the box on one interface.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Link {
    pub(super) name: String,
    pub(super) index: u32,
    pub(super) network: Network,
    /// An address that the box has for a while only, to reach a camera of another subnet.
    pub(super) borrowed: bool,
}

impl Link {
    /// Whether an address is in this link's subnet.
    pub(super) fn holds(&self, address: IpAddr) -> bool {
        let IpAddr::V4(address) = address else { return false };
        let mask = u32::MAX.checked_shl(32 - u32::from(self.network.prefix.min(32))).unwrap_or(0);
        (address.to_bits() ^ self.network.own.to_bits()) & mask == 0
    }
}

/// A network card of the box, with an IPv4 address or without.
#[derive(Debug, Clone)]
pub(super) struct Card {
    pub(super) name: String,
    pub(super) mac: Mac,
    /// How packet sockets name it.
    pub(super) link: LinkAddr,
}

impl Card {
    pub(super) fn index(&self) -> u32 {
        u32::try_from(self.link.ifindex()).unwrap_or_default()
    }
}

/// The Ethernet cards there are now; only those of the named interfaces, if any is named.
pub(super) fn cards(only: &[String]) -> io::Result<Vec<Card>> {
    let card = |entry: InterfaceAddress| {
        let link = *entry.address.as_ref()?.as_link_addr()?;
        let mac = Mac::new(link.addr()?).filter(|_| usable(&entry) && link.halen() == 6)?;
        let wanted = only.is_empty() || only.contains(&entry.interface_name);
        wanted.then_some(Card { name: entry.interface_name, mac, link })
    };
    Ok(getifaddrs()?.filter_map(card).collect())
}

/// The links there are now; only those of the named interfaces, if any is named.
pub(super) fn list(only: &[String]) -> io::Result<BTreeSet<Link>> {
    let wanted = |name: &String| only.is_empty() || only.contains(name);
    Ok(getifaddrs()?.filter_map(|entry| link(&entry)).filter(|link| wanted(&link.name)).collect())
}

/// Whether it is up and has a LAN behind it.
fn usable(entry: &InterfaceAddress) -> bool {
    let needed = InterfaceFlags::IFF_UP | InterfaceFlags::IFF_RUNNING | InterfaceFlags::IFF_MULTICAST;
    let refused = InterfaceFlags::IFF_LOOPBACK | InterfaceFlags::IFF_POINTOPOINT;
    entry.flags.contains(needed) && !entry.flags.intersects(refused)
}

fn link(entry: &InterfaceAddress) -> Option<Link> {
    if !usable(entry) {
        return None;
    }
    let own: Ipv4Addr = entry.address.as_ref()?.as_sockaddr_in()?.ip();
    let mask = entry
        .netmask
        .as_ref()
        .and_then(|mask| mask.as_sockaddr_in())
        .map_or(Ipv4Addr::BROADCAST, nix::sys::socket::SockaddrIn::ip);
    // An alias is listed as `eth0:1`; sockets know the device's own name.
    let (name, label) = entry.interface_name.split_once(':').unwrap_or((&entry.interface_name, ""));
    let (name, borrowed) = (name.to_owned(), label == LABEL);
    let index = if_nametoindex(name.as_str()).ok()?;
    let prefix = u8::try_from(mask.to_bits().leading_ones()).ok()?;
    Some(Link { name, index, network: Network { own, prefix }, borrowed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_holds_its_own_subnet() {
        let link = |prefix| Link {
            name: "eth0".into(),
            index: 1,
            network: Network { own: Ipv4Addr::new(10, 0, 0, 5), prefix },
            borrowed: false,
        };
        assert!(
            link(24).holds(IpAddr::from([10, 0, 0, 64])) && !link(24).holds(IpAddr::from([10, 0, 1, 64]))
        );
        assert!(link(0).holds(IpAddr::from([192, 168, 1, 64])));
        assert!(link(32).holds(IpAddr::from([10, 0, 0, 5])) && !link(32).holds(IpAddr::from([10, 0, 0, 4])));
        assert!(!link(24).holds("::1".parse().unwrap()));
    }
}
