//! Addresses with a prefix, and which peer owns an address: the longest prefix wins (WireGuard paper section 2).

use core::fmt;
use core::net::IpAddr;
use core::str::FromStr;
use std::collections::HashMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// An address and how many leading bits name its network: `10.13.0.1/16`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cidr {
    /// The address as it was given; bits behind the prefix are kept.
    pub address: IpAddr,
    /// Leading bits, at most 32 or 128.
    pub prefix: u8,
}

/// A text that is no address with a prefix.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
#[error("{0:?} is no address like 10.13.0.1 or network like 10.13.0.0/16")]
pub struct InvalidCidr(String);

impl Cidr {
    /// One address alone.
    pub const fn host(address: IpAddr) -> Self {
        Self { address, prefix: bits(address) }
    }

    /// Whether `address` lies in the network. A prefix that is too long counts as the longest.
    pub fn contains(&self, address: IpAddr) -> bool {
        same_family(self.address, address)
            && masked(self.address, self.prefix) == masked(address, self.prefix)
    }

    /// The network itself: the bits behind the prefix cleared.
    #[must_use]
    pub fn network(self) -> Self {
        let prefix = self.prefix.min(bits(self.address));
        let number = masked(self.address, prefix);
        let address = match self.address {
            IpAddr::V4(_) => IpAddr::V4(((number >> 96) as u32).into()),
            IpAddr::V6(_) => IpAddr::V6(number.into()),
        };
        Self { address, prefix }
    }
}

const fn bits(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

const fn same_family(a: IpAddr, b: IpAddr) -> bool {
    a.is_ipv4() == b.is_ipv4()
}

/// The leading `prefix` bits, at the top of the number.
fn masked(address: IpAddr, prefix: u8) -> u128 {
    let number = match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()) << 96,
        IpAddr::V6(v6) => v6.to_bits(),
    };
    let prefix = prefix.min(bits(address));
    number & u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0)
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl FromStr for Cidr {
    type Err = InvalidCidr;

    fn from_str(text: &str) -> Result<Self, InvalidCidr> {
        let invalid = || InvalidCidr(text.to_owned());
        let (address, prefix) = match text.split_once('/') {
            None => (text, None),
            // `parse` would take "+8".
            Some((address, prefix)) if prefix.bytes().all(|byte| byte.is_ascii_digit()) => {
                (address, Some(prefix.parse::<u8>().map_err(|_| invalid())?))
            }
            Some(_) => return Err(invalid()),
        };
        let address: IpAddr = address.parse().map_err(|_| invalid())?;
        let prefix = prefix.unwrap_or(bits(address));
        if prefix > bits(address) { Err(invalid()) } else { Ok(Self { address, prefix }) }
    }
}

impl Serialize for Cidr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cidr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// Networks and their owners. One hash map per family and prefix length, longest first: a hub whose boxes all hold a /32
/// asks one map.
#[derive(Debug, Default)]
pub(crate) struct Owners {
    lengths: Vec<Length>,
}

#[derive(Debug)]
struct Length {
    v4: bool,
    prefix: u8,
    networks: HashMap<u128, u32>,
}

impl Owners {
    /// Gives a network to an owner, taking it from another that had exactly this one.
    pub(crate) fn give(&mut self, network: Cidr, owner: u32) {
        let (v4, prefix) = (network.address.is_ipv4(), network.prefix.min(bits(network.address)));
        let found = self.lengths.iter().position(|length| length.v4 == v4 && length.prefix == prefix);
        let at = found.unwrap_or_else(|| {
            let at = self.lengths.partition_point(|length| length.prefix >= prefix);
            self.lengths.insert(at, Length { v4, prefix, networks: HashMap::new() });
            at
        });
        if let Some(length) = self.lengths.get_mut(at) {
            length.networks.insert(masked(network.address, prefix), owner);
        }
    }

    /// Takes a network from an owner, if it is still the owner.
    pub(crate) fn take(&mut self, network: Cidr, owner: u32) {
        let (v4, prefix) = (network.address.is_ipv4(), network.prefix.min(bits(network.address)));
        let key = masked(network.address, prefix);
        for length in &mut self.lengths {
            if length.v4 == v4 && length.prefix == prefix && length.networks.get(&key) == Some(&owner) {
                length.networks.remove(&key);
            }
        }
        self.lengths.retain(|length| !length.networks.is_empty());
    }

    /// Who owns the address.
    pub(crate) fn owner(&self, address: IpAddr) -> Option<u32> {
        self.lengths
            .iter()
            .filter(|length| length.v4 == address.is_ipv4())
            .find_map(|length| length.networks.get(&masked(address, length.prefix)).copied())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    #[test]
    fn networks_are_read_and_contain() {
        assert_eq!(cidr("10.13.0.1").to_string(), "10.13.0.1/32");
        assert_eq!(cidr("10.13.7.1/16").network(), cidr("10.13.0.0/16"));
        assert!(cidr("10.13.0.1/16").contains("10.13.255.1".parse().unwrap()));
        assert!(!cidr("10.13.0.1/16").contains("10.14.0.1".parse().unwrap()));
        assert!(cidr("0.0.0.0/0").contains("1.2.3.4".parse().unwrap()));
        assert!(!cidr("0.0.0.0/0").contains("::1".parse().unwrap()));
        assert!(cidr("fd00::/8").contains("fd12::1".parse().unwrap()));
        for wrong in
            ["", "10.13.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/+8", "10.0/8", "a/8", "1.2.3.4/256"]
        {
            assert!(wrong.parse::<Cidr>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_longest_prefix_owns() {
        let mut owners = Owners::default();
        owners.give(cidr("0.0.0.0/0"), 1);
        owners.give(cidr("10.13.0.0/16"), 2);
        owners.give(cidr("10.13.1.1/32"), 3);
        let owner = |owners: &Owners, text: &str| owners.owner(text.parse().unwrap());
        assert_eq!(owner(&owners, "10.13.1.1"), Some(3));
        assert_eq!(owner(&owners, "10.13.1.2"), Some(2));
        assert_eq!(owner(&owners, "8.8.8.8"), Some(1));
        assert_eq!(owner(&owners, "fd00::1"), None);
        owners.give(cidr("10.13.1.1/32"), 4);
        owners.take(cidr("10.13.1.1/32"), 3);
        assert_eq!(owner(&owners, "10.13.1.1"), Some(4), "taken by its former owner");
        owners.take(cidr("10.13.1.1/32"), 4);
        assert_eq!(owner(&owners, "10.13.1.1"), Some(2));
    }

    proptest! {
        #[test]
        fn owners_agree_with_a_search_of_all(
            networks in prop::collection::vec((any::<u32>(), 0_u8..=32), 0..20),
            address in any::<u32>(),
            pick in any::<prop::sample::Index>(),
        ) {
            let mut owners = Owners::default();
            let networks: Vec<Cidr> =
                networks.into_iter().map(|(bits, prefix)| Cidr { address: IpAddr::V4(bits.into()), prefix }).collect();
            for (owner, network) in networks.iter().enumerate() {
                owners.give(*network, owner as u32);
            }
            let near = if networks.is_empty() { IpAddr::V4(address.into()) } else { pick.get(&networks).address };
            for address in [near, IpAddr::V4(address.into())] {
                let longest = networks.iter().enumerate().filter(|(_, network)| network.contains(address));
                let wanted = longest.max_by_key(|(at, network)| (network.prefix, *at)).map(|(at, _)| at as u32);
                prop_assert_eq!(owners.owner(address), wanted);
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[0-9a-f.:/+]{0,24}") {
            if let Ok(network) = text.parse::<Cidr>() {
                prop_assert_eq!(network.to_string().parse(), Ok(network));
                prop_assert!(network.contains(network.address));
            }
        }
    }
}
