//! What was heard of a device on the LAN, and from where each fact came.

use std::{fmt, net::IpAddr};

use serde::{Deserialize, Serialize};

/// Where a fact came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// ONVIF WS-Discovery (UDP 3702).
    WsDiscovery,
    /// Multicast DNS service discovery (UDP 5353).
    Mdns,
    /// UPnP SSDP (UDP 1900).
    Ssdp,
    /// A TCP connection and an RTSP OPTIONS request.
    RtspSweep,
    /// Hikvision's SADP (UDP 37020).
    Sadp,
    /// Dahua's DHIP (UDP 37810).
    Dhip,
    /// The kernel's neighbour table, or an ARP packet that passed by: somebody with a camera maker's network card.
    Neighbour,
}

/// A value and where it came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact<T> {
    /// The value.
    pub value: T,
    /// Who said so.
    pub source: Source,
}

/// What tells one device from another, best first: the ONVIF endpoint reference (a UUID), else the hardware address that it
/// told, else the address that answered. New cameras of one maker all have the same address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceKey {
    /// ONVIF endpoint reference, lower case, without `urn:uuid:`.
    Endpoint(String),
    /// MAC address as in [`Device::mac`].
    Mac(String),
    /// The address that answered.
    Address(IpAddr),
}

impl fmt::Display for DeviceKey {
    /// The endpoint, the MAC address or the address: no two kinds look alike.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Endpoint(text) | Self::Mac(text) => f.write_str(text),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// One device on the LAN, merged from everything that was heard of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// What tells it from others.
    pub key: DeviceKey,
    /// The addresses that answered, best first: the sender's own address of a datagram, or the other end of a connection. An
    /// address that a message merely claims is never here. Some answers are multicast, so an address here may lie in another
    /// subnet than the box and be out of its reach.
    pub addresses: Vec<IpAddr>,
    /// Addresses that messages of it claim and that never answered. Nobody contacts them, and no credential goes there: they
    /// are shown, and tried only when the owner asks the box to reach this very device.
    pub claims: Vec<IpAddr>,
    /// Network interfaces of the box on which it was heard.
    pub interfaces: Vec<String>,
    /// Its name (ONVIF scope, mDNS instance, SSDP server).
    pub name: Option<Fact<String>>,
    /// Its maker.
    pub maker: Option<Fact<String>>,
    /// Its model.
    pub model: Option<Fact<String>>,
    /// Its hardware address, lower case, with colons: told by itself, else seen on the wire.
    pub mac: Option<Fact<String>>,
    /// Whether somebody has set its first password. `Some(false)`: no login can work before that, so none is tried. `None`:
    /// it did not say.
    pub activated: Option<bool>,
    /// TCP port of its own web page, as it says.
    pub http_port: Option<u16>,
    /// Its firmware's version.
    pub firmware: Option<Fact<String>>,
    /// ONVIF device service addresses, with the host replaced by the address that answered.
    pub onvif: Vec<Fact<String>>,
    /// RTSP addresses `rtsp://host:port/...`, with the host that answered.
    pub rtsp: Vec<Fact<String>>,
    /// Every source that spoke of it.
    pub sources: Vec<Source>,
    /// When it was last heard, in milliseconds of the caller's clock.
    pub last_heard_ms: u64,
}

impl Device {
    /// A device of which nothing is known but what tells it from others.
    pub const fn new(key: DeviceKey) -> Self {
        Self {
            key,
            addresses: Vec::new(),
            claims: Vec::new(),
            interfaces: Vec::new(),
            name: None,
            maker: None,
            model: None,
            mac: None,
            activated: None,
            http_port: None,
            firmware: None,
            onvif: Vec::new(),
            rtsp: Vec::new(),
            sources: Vec::new(),
            last_heard_ms: 0,
        }
    }

    /// Whether this is the device that a key, as text, was once the key of: keys become better while a device tells more of
    /// itself, its MAC address and its first address stay.
    pub fn was(&self, key: &str) -> bool {
        self.key.to_string() == key
            || self.mac.as_ref().is_some_and(|mac| mac.value == key)
            || self.addresses.first().is_some_and(|address| address.to_string() == key)
    }

    /// The device of a key, as text: the one that has it, else the only one that may have had it.
    pub fn find<'a>(devices: &'a [Self], key: &str) -> Option<&'a Self> {
        let mut once = devices.iter().filter(|device| device.was(key));
        let exact = devices.iter().find(|device| device.key.to_string() == key);
        exact.or_else(|| once.next().filter(|_| once.next().is_none()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_found_by_the_key_that_it_had() {
        let address = IpAddr::from([192, 168, 1, 64]);
        let mac = |text: &str| Some(Fact { value: text.to_owned(), source: Source::Sadp });
        let mut one = Device::new(DeviceKey::Endpoint("e".into()));
        (one.addresses, one.mac) = (vec![address], mac("44:19:b6:00:00:01"));
        let alone = [one.clone()];
        for key in ["e", "44:19:b6:00:00:01", "192.168.1.64"] {
            assert_eq!(Device::find(&alone, key), Some(&one), "{key}");
        }
        assert_eq!(Device::find(&alone, "192.168.1.65"), None);
        // Two at one address: nobody knows which was meant.
        let mut other = Device::new(DeviceKey::Mac("44:19:b6:00:00:02".into()));
        (other.addresses, other.mac) = (vec![address], mac("44:19:b6:00:00:02"));
        let both = [one, other.clone()];
        assert_eq!(Device::find(&both, "192.168.1.64"), None);
        assert_eq!(Device::find(&both, "44:19:b6:00:00:02"), Some(&other));
    }
}
