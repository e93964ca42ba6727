//! Whether somebody is in one of the box's own networks. Only there the box can be claimed.

use std::net::{IpAddr, Ipv6Addr};

use nix::sys::socket::SockaddrStorage;

/// Whether this peer is this machine, or in the subnet of one of its interfaces.
pub(super) fn near(peer: IpAddr) -> bool {
    let peer = peer.to_canonical();
    if peer.is_loopback() {
        return true;
    }
    let Ok(interfaces) = nix::ifaddrs::getifaddrs() else { return false };
    interfaces.into_iter().any(|interface| {
        let address = interface.address.as_ref().and_then(ip);
        let mask = interface.netmask.as_ref().and_then(ip);
        address.zip(mask).is_some_and(|(address, mask)| same_network(peer, address, mask))
    })
}

fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    let four = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
    four.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
}

/// Whether two addresses differ in nothing that the mask holds. A mask of nothing is no network.
fn same_network(one: IpAddr, other: IpAddr, mask: IpAddr) -> bool {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => Ipv6Addr::to_bits(address),
    };
    let same_family = one.is_ipv4() == other.is_ipv4() && one.is_ipv4() == mask.is_ipv4();
    same_family && bits(mask) != 0 && (bits(one) ^ bits(other)) & bits(mask) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_same_subnet_are_near() {
        let same = |one: &str, other: &str, mask: &str| {
            same_network(one.parse().unwrap(), other.parse().unwrap(), mask.parse().unwrap())
        };
        assert!(same("192.168.1.7", "192.168.1.200", "255.255.255.0"));
        assert!(!same("192.168.2.7", "192.168.1.200", "255.255.255.0"));
        assert!(same("192.168.2.7", "192.168.1.200", "255.255.252.0"));
        assert!(!same("8.8.8.8", "192.168.1.200", "0.0.0.0"));
        assert!(same("fe80::1", "fe80::2", "ffff:ffff:ffff:ffff::"));
        assert!(!same("2001:db8:1::1", "2001:db8::2", "ffff:ffff:ffff:ffff::"));
        assert!(!same("::c0a8:107", "192.168.1.200", "255.255.255.0"));
        assert!(near("127.0.0.9".parse().unwrap()) && near("::ffff:127.0.0.1".parse().unwrap()));
        assert!(!near("203.0.113.77".parse().unwrap()), "a network for documentation");
    }
}
