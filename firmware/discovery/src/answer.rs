//! What one message said of one device, whatever the protocol: the common tongue of the parsers and the registry.
//! Every address in it already names the host that answered.

use std::net::{IpAddr, Ipv4Addr};

use model::Source;

use crate::{MAX_DATAGRAM, Registry, dhip, ether, mac::Mac, mdns, rtsp, sadp, ssdp, wsd};

/// Whether a device came or went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// It is there.
    #[default]
    Alive,
    /// It says goodbye.
    Gone,
}

/// What one message said of one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The protocol that carried it.
    pub source: Source,
    /// Whether the device came or went.
    pub kind: Kind,
    /// ONVIF endpoint reference, normalised as [`model::DeviceKey::Endpoint`] wants it.
    pub endpoint: Option<String>,
    /// Its name.
    pub name: Option<String>,
    /// Its maker.
    pub maker: Option<String>,
    /// Its model.
    pub model: Option<String>,
    /// Its network card: told by itself, or, for [`Source::Neighbour`], seen on the wire.
    pub mac: Option<Mac>,
    /// As [`model::Device::activated`].
    pub activated: Option<bool>,
    /// TCP port of its web page.
    pub http_port: Option<u16>,
    /// Its firmware's version.
    pub firmware: Option<String>,
    /// Addresses that it claims and that did not send this, at most [`Answer::MAX_ADDRESSES`].
    pub claims: Vec<IpAddr>,
    /// ONVIF device service addresses on the host that answered, best first, at most [`Answer::MAX_ADDRESSES`].
    pub onvif: Vec<String>,
    /// RTSP addresses on the host that answered, at most [`Answer::MAX_ADDRESSES`].
    pub rtsp: Vec<String>,
}

impl Answer {
    /// Most addresses of a kind in one answer.
    pub const MAX_ADDRESSES: usize = 4;

    /// An answer that says only that something is there.
    pub const fn new(source: Source) -> Self {
        Self {
            source,
            kind: Kind::Alive,
            endpoint: None,
            name: None,
            maker: None,
            model: None,
            mac: None,
            activated: None,
            http_port: None,
            firmware: None,
            claims: Vec::new(),
            onvif: Vec::new(),
            rtsp: Vec::new(),
        }
    }
}

/// Why a message was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Past [`MAX_DATAGRAM`], or past the protocol's own limit.
    #[error("the message is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// XML deeper than [`crate::soap::MAX_DEPTH`].
    #[error("the XML is nested too deeply")]
    TooDeep,
    /// A DTD or an entity that XML itself does not define; neither has a place in SOAP (SOAP 1.2 section 5).
    #[error("the XML has a DTD or an entity of its own")]
    Entity,
    /// Not the protocol at all.
    #[error("the message is not {0}")]
    Not(&'static str),
}

/// The protocols whose messages come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// WS-Discovery, UDP 3702.
    Wsd,
    /// Multicast DNS, UDP 5353.
    Mdns,
    /// SSDP, UDP 1900.
    Ssdp,
    /// The answer to RTSP OPTIONS, TCP.
    Rtsp,
    /// Hikvision's SADP, UDP 37020.
    Sadp,
    /// Dahua's DHIP, UDP 37810.
    Dhip,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Wsd, Self::Mdns, Self::Ssdp, Self::Rtsp, Self::Sadp, Self::Dhip];
}

/// Reads one message that came from `from`. A message that is well formed but not a camera's gives an empty list.
///
/// # Errors
/// [`Error`] when the message is too large, hostile, or not the protocol.
pub fn read(protocol: Protocol, bytes: &[u8], from: IpAddr) -> Result<Vec<Answer>, Error> {
    if bytes.len() > MAX_DATAGRAM {
        return Err(Error::TooLarge { limit: MAX_DATAGRAM });
    }
    match protocol {
        Protocol::Wsd => wsd::read(bytes, from),
        Protocol::Mdns => mdns::read(bytes, from).map(|heard| heard.answers),
        Protocol::Ssdp => ssdp::read(bytes, from).map(|heard| heard.answer.into_iter().collect()),
        Protocol::Rtsp => rtsp::read(bytes, from, rtsp::PORTS[0]).map(|answer| vec![answer]),
        Protocol::Sadp => sadp::read(bytes, from).map(|answer| answer.into_iter().collect()),
        Protocol::Dhip => dhip::read(bytes, from).map(|answer| answer.into_iter().collect()),
    }
}

/// Every parser reads the same bytes and a fresh registry merges what they found; gives the number of devices.
/// The one entry point of the fuzz target `discovery_answer`.
pub fn read_as_all(bytes: &[u8]) -> usize {
    let from = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
    let mut registry = Registry::new();
    for protocol in Protocol::ALL {
        for answer in read(protocol, bytes, from).unwrap_or_default() {
            registry.heard(answer, from, "lan0", 0);
        }
    }
    if let Some(answer) = ssdp::read_description(bytes) {
        registry.heard(answer, from, "lan0", 0);
    }
    if let Ok(ether::Arp { mac, address: Some(address), .. }) = ether::read_arp(bytes)
        && let Some(answer) = (ether::Station { address, mac }).answer()
    {
        registry.heard(answer, IpAddr::V4(address), "lan0", 0);
    }
    if let Some(datagram) = ether::read_datagram(bytes) {
        for protocol in [Protocol::Sadp, Protocol::Dhip] {
            for answer in read(protocol, datagram.payload, datagram.from).unwrap_or_default() {
                registry.heard(answer, datagram.from, "lan0", 0);
            }
        }
    }
    registry.devices().len()
}
