//! The box's places in networks: each interface that is up, running and can multicast, with the first IPv4 address that it has.
//! Further addresses are for reaching cameras of other subnets and say nothing to people.

use std::collections::BTreeSet;
use std::io;
use std::net::Ipv4Addr;

use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::{InterfaceFlags, if_nametoindex};

/// One interface.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Interface {
    /// Its name.
    pub(crate) name: String,
    /// Its number.
    pub(crate) index: u32,
    /// The box's address there.
    pub(crate) address: Ipv4Addr,
    /// The subnet's mask.
    pub(crate) mask: Ipv4Addr,
}

/// The interfaces there are now. Loopback and point-to-point interfaces (tunnels) have no LAN behind them.
///
/// # Errors
/// When the kernel does not list them.
pub(crate) fn list() -> io::Result<BTreeSet<Interface>> {
    let mut found: BTreeSet<Interface> = BTreeSet::new();
    for interface in getifaddrs()?.filter_map(|entry| interface(&entry)) {
        if !found.iter().any(|other| other.index == interface.index) {
            found.insert(interface);
        }
    }
    Ok(found)
}

fn interface(entry: &InterfaceAddress) -> Option<Interface> {
    let needed = InterfaceFlags::IFF_UP | InterfaceFlags::IFF_RUNNING | InterfaceFlags::IFF_MULTICAST;
    let refused = InterfaceFlags::IFF_LOOPBACK | InterfaceFlags::IFF_POINTOPOINT;
    if !entry.flags.contains(needed) || entry.flags.intersects(refused) {
        return None;
    }
    let address = entry.address.as_ref()?.as_sockaddr_in()?.ip();
    let mask = entry.netmask.as_ref().and_then(|mask| mask.as_sockaddr_in());
    let mask = mask.map_or(Ipv4Addr::BROADCAST, nix::sys::socket::SockaddrIn::ip);
    // An alias is listed as `eth0:1`; sockets know the device's own name.
    let name = entry.interface_name.split(':').next()?.to_owned();
    let index = if_nametoindex(name.as_str()).ok()?;
    Some(Interface { name, index, address, mask })
}

impl Interface {
    /// Whether an address is in its subnet.
    pub(crate) fn holds(&self, other: Ipv4Addr) -> bool {
        let mask = self.mask.to_bits();
        other.to_bits() & mask == self.address.to_bits() & mask
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_those_of_the_subnet() {
        let interface = |mask: [u8; 4]| Interface {
            name: "eth0".to_owned(),
            index: 2,
            address: Ipv4Addr::new(10, 1, 2, 3),
            mask: mask.into(),
        };
        let narrow = interface([255, 255, 255, 192]);
        assert!(narrow.holds(Ipv4Addr::new(10, 1, 2, 63)) && !narrow.holds(Ipv4Addr::new(10, 1, 2, 64)));
        assert!(interface([255, 0, 0, 0]).holds(Ipv4Addr::new(10, 200, 0, 1)));
        assert!(!interface([255; 4]).holds(Ipv4Addr::new(10, 1, 2, 4)));
    }
}
