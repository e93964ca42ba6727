//! Which addresses boxes get: the boxes' network without its first 257 addresses, so that 10.13.0.0/16 gives 10.13.1.1
//! first and keeps 10.13.0.x for hubs; a network smaller than that keeps its first two.

use std::fmt;
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// An IPv4 network: `10.13.0.0/16`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    first: u32,
    prefix: u8,
}

/// Why a text is no [`Network`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a network is written like 10.13.0.0/16, from /8 to /29, its own address first")]
pub struct InvalidNetwork;

impl Network {
    /// The hub's own address: the first one that is a host's.
    pub fn hub(&self) -> Ipv4Addr {
        Ipv4Addr::from(self.first + 1)
    }

    /// The network's prefix length, bits.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// The addresses for boxes, lowest first.
    pub fn boxes(&self) -> RangeInclusive<u32> {
        let size = 1u32 << (32 - u32::from(self.prefix));
        let kept = if size > 512 { 257 } else { 2 };
        self.first + kept..=self.first + size - 2
    }

    /// How many boxes find an address.
    pub fn size(&self) -> u64 {
        let boxes = self.boxes();
        u64::from(boxes.end() - boxes.start()) + 1
    }
}

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let (address, prefix) = text.split_once('/').ok_or(InvalidNetwork)?;
        let address: Ipv4Addr = address.parse().map_err(|_| InvalidNetwork)?;
        let prefix: u8 = prefix.parse().map_err(|_| InvalidNetwork)?;
        if !(8..=29).contains(&prefix) || address.to_bits() << prefix != 0 {
            return Err(InvalidNetwork);
        }
        Ok(Self { first: address.to_bits(), prefix })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from(self.first), self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_begin_where_hubs_end() {
        let network: Network = "10.13.0.0/16".parse().unwrap();
        assert_eq!(network.hub(), Ipv4Addr::new(10, 13, 0, 1));
        assert_eq!(Ipv4Addr::from(*network.boxes().start()), Ipv4Addr::new(10, 13, 1, 1));
        assert_eq!(Ipv4Addr::from(*network.boxes().end()), Ipv4Addr::new(10, 13, 255, 254));
        assert_eq!(network.size(), 65_278);
        let small: Network = "192.0.2.8/29".parse().unwrap();
        assert_eq!((small.hub().to_string(), small.size()), ("192.0.2.9".to_owned(), 5));
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in ["", "10.13.0.0", "10.13.0.0/7", "10.13.0.0/30", "10.13.0.1/16", "10.13.0.0/16/1", "::/16"]
        {
            assert_eq!(bad.parse::<Network>(), Err(InvalidNetwork), "{bad}");
        }
    }
}
