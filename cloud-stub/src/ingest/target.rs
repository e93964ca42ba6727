//! Which addresses this cloud contacts for a camera. A source names any host that its owner likes, so without rules it
//! would be a way into the operator's own network: a name is resolved, each address is judged, and the one that was
//! judged is the one that is contacted, whatever the name means a moment later.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Ports below 1024 where cameras are: HTTP's and RTSP's, plain and over TLS.
const LOW: [u16; 4] = [80, 322, 443, 554];
/// Ports above where databases and the like are, which answer to lines of text: SQL Server, Oracle, NFS, Docker, etcd,
/// MySQL, RDP, PostgreSQL, AMQP, VNC, CouchDB, Redis, Kubernetes, Elasticsearch, memcached, MongoDB.
const SERVICES: [u16; 19] = [
    1433, 1521, 2049, 2375, 2376, 2379, 2380, 3306, 3389, 5432, 5672, 5900, 5984, 6379, 6443, 9200, 9300,
    11211, 27017,
];

/// What may be contacted.
#[derive(Debug, Clone, Default)]
pub struct Rule {
    /// Every address, the operator's own too.
    pub private: bool,
    /// Addresses that are this cloud's, whatever network they are from.
    pub own: Vec<IpAddr>,
}

/// Why something is not contacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    /// Nobody's public address.
    #[error("{0} is not a public address; the operator of this cloud can allow it ([pull] allow_private)")]
    Address(IpAddr),
    /// An address of this cloud.
    #[error("{0} is this cloud itself; its operator can allow it ([pull] allow_private)")]
    Own(IpAddr),
    /// No camera's port.
    #[error("port {0} is not one where cameras are")]
    Port(u16),
}

impl Rule {
    /// Judges an address that is about to be contacted.
    ///
    /// # Errors
    /// Why it is not.
    pub fn check(&self, target: SocketAddr) -> Result<(), Forbidden> {
        let (address, port) = (target.ip(), target.port());
        if self.private {
            return if port == 0 { Err(Forbidden::Port(port)) } else { Ok(()) };
        }
        if (port < 1024 && !LOW.contains(&port)) || SERVICES.contains(&port) {
            return Err(Forbidden::Port(port));
        }
        if !is_public(address) {
            return Err(Forbidden::Address(address));
        }
        if self.own.contains(&address) {
            return Err(Forbidden::Own(address));
        }
        Ok(())
    }
}

/// Whether an address is one of the public Internet (IANA's registries of special-purpose addresses). Addresses that hold
/// another one (mapped, translated, 6to4, Teredo) are not: what is inside is reached by its own name.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(matches!(a, 0 | 10 | 127 | 224..=255)
        || (a == 100 && (64..128).contains(&b)) // carriers' own (RFC 6598)
        || (a == 169 && b == 254)
        || (a == 172 && (16..32).contains(&b))
        || (a == 192 && b == 0 && (c == 0 || c == 2))
        || (a == 192 && b == 88 && c == 99) // 6to4 relays
        || (a == 192 && b == 168)
        || (a == 198 && (b == 18 || b == 19)) // benchmarks (RFC 2544)
        || (a == 198 && b == 51 && c == 100)
        || (a == 203 && b == 0 && c == 113))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    // 2000::/3 is all that is given out; the rest holds loopback, mapped, translated, local, multicast.
    (0x2000..0x4000).contains(&a)
        && !(a == 0x2001 && b < 0x200) // protocols' own, Teredo among them (RFC 2928)
        && !(a == 0x2001 && b == 0xdb8)
        && a != 0x2002 // 6to4
        && !(a == 0x3fff && b < 0x1000) // documentation (RFC 9637)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn checked(text: &str) -> Result<(), Forbidden> {
        Rule { private: false, own: vec!["93.184.216.34".parse().unwrap()] }.check(text.parse().unwrap())
    }

    #[test]
    fn only_public_addresses_are_contacted() {
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.13.0.7",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.8.8.8",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.64",
            "198.18.0.1",
            "198.19.255.1",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.251",
            "239.255.255.250",
            "240.0.0.1",
            "255.255.255.255",
            "[::]",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:8.8.8.8]",
            "[::127.0.0.1]",
            "[64:ff9b::7f00:1]",
            "[64:ff9b:1::1]",
            "[100::1]",
            "[2001::1]",
            "[2001:db8::1]",
            "[2002:7f00:1::1]",
            "[3fff::1]",
            "[fc00::1]",
            "[fd00::1]",
            "[fe80::1]",
            "[fec0::1]",
            "[ff02::fb]",
            "[5f00::1]",
        ] {
            let refused = checked(&format!("{text}:554"));
            assert!(matches!(refused, Err(Forbidden::Address(_))), "{text}: {refused:?}");
            let allowed = Rule { private: true, own: Vec::new() };
            assert_eq!(allowed.check(format!("{text}:554").parse().unwrap()), Ok(()), "{text}");
        }
        for text in [
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.167.1.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.1",
            "[2a00:1450::1]",
            "[2606:4700::1111]",
            "[2001:200::1]",
        ] {
            assert_eq!(checked(&format!("{text}:554")), Ok(()), "{text}");
        }
        assert!(matches!(checked("93.184.216.34:554"), Err(Forbidden::Own(_))));
    }

    #[test]
    fn only_ports_where_cameras_are_are_contacted() {
        for port in [0, 22, 25, 53, 111, 445, 1023, 3306, 5432, 6379, 11211] {
            assert_eq!(checked(&format!("8.8.8.8:{port}")), Err(Forbidden::Port(port)));
        }
        for port in [80, 322, 443, 554, 1024, 8554, 10554, 65535] {
            assert_eq!(checked(&format!("8.8.8.8:{port}")), Ok(()), "{port}");
        }
    }

    proptest! {
        // std's own words for the same, as far as stable Rust has them.
        #[test]
        fn what_the_library_calls_special_is_never_public(octets in any::<[u8; 4]>(), wide in any::<u128>()) {
            let four = Ipv4Addr::from(octets);
            if four.is_private() || four.is_loopback() || four.is_link_local() || four.is_multicast()
                || four.is_broadcast() || four.is_documentation() || four.is_unspecified()
            {
                prop_assert!(!is_public(four.into()));
            }
            prop_assert!(!is_public(four.to_ipv6_mapped().into()));
            prop_assert!(!is_public(four.to_ipv6_compatible().into()));
            for six in [Ipv6Addr::from(wide), Ipv6Addr::from(wide >> 120 << 120 | wide & 0xffff)] {
                if six.is_loopback() || six.is_unspecified() || six.is_multicast() || six.is_unique_local()
                    || six.is_unicast_link_local() || six.to_ipv4_mapped().is_some()
                {
                    prop_assert!(!is_public(six.into()));
                }
            }
        }

        // Whole networks, not only their ends.
        #[test]
        fn every_address_of_a_special_network_is_refused(host in any::<u32>(), low in any::<u128>()) {
            for (network, bits) in [
                ("0.0.0.0", 8), ("10.0.0.0", 8), ("10.13.0.0", 16), ("100.64.0.0", 10), ("127.0.0.0", 8),
                ("169.254.0.0", 16), ("172.16.0.0", 12), ("192.168.0.0", 16), ("198.18.0.0", 15), ("224.0.0.0", 3),
            ] {
                let network: Ipv4Addr = network.parse().unwrap();
                let address = Ipv4Addr::from(u32::from(network) | host >> bits);
                prop_assert!(!is_public(address.into()), "{address}");
            }
            for (network, bits) in [("::", 8), ("fc00::", 7), ("fd00::", 8), ("fe80::", 10), ("ff00::", 8), ("64:ff9b::", 96)] {
                let network: Ipv6Addr = network.parse().unwrap();
                let address = Ipv6Addr::from(u128::from(network) | low >> bits);
                prop_assert!(!is_public(address.into()), "{address}");
            }
        }
    }
}
