//! What was heard of a device on the LAN, and from where each fact came.

use std::net::IpAddr;

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
}

/// A value and where it came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact<T> {
    /// The value.
    pub value: T,
    /// Who said so.
    pub source: Source,
}

/// What tells one device from another, best first: the ONVIF endpoint reference (a UUID), else the address
/// that answered.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceKey {
    /// ONVIF endpoint reference, lower case, without `urn:uuid:`.
    Endpoint(String),
    /// The address that answered.
    Address(IpAddr),
}

/// One device on the LAN, merged from everything that was heard of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// What tells it from others.
    pub key: DeviceKey,
    /// The addresses that answered, best first. An address that a message merely claims is never here.
    pub addresses: Vec<IpAddr>,
    /// Network interfaces of the box on which it was heard.
    pub interfaces: Vec<String>,
    /// Its name (ONVIF scope, mDNS instance, SSDP server).
    pub name: Option<Fact<String>>,
    /// Its maker.
    pub maker: Option<Fact<String>>,
    /// Its model.
    pub model: Option<Fact<String>>,
    /// ONVIF device service addresses, with the host replaced by the address that answered.
    pub onvif: Vec<Fact<String>>,
    /// RTSP addresses `rtsp://host:port/...`, with the host that answered.
    pub rtsp: Vec<Fact<String>>,
    /// Every source that spoke of it.
    pub sources: Vec<Source>,
    /// When it was last heard, in milliseconds of the caller's clock.
    pub last_heard_ms: u64,
}
