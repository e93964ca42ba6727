//! The kernel's addresses, routes and neighbours over rtnetlink (RFC 3549). Requests are answered within the call.
//!
//! Addresses that the box borrows carry a tag, a label and a protocol number, and a lifetime: the kernel takes them away by itself
//! when nobody prolongs them. An address without our tag is never touched.

use std::{
    io,
    net::{IpAddr, Ipv4Addr},
};

use discovery::{ether::Station, mac::Mac};
use rtnetlink::{
    packet_core::{
        NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkMessage,
        NetlinkPayload,
    },
    packet_route::{
        AddressFamily, RouteNetlinkMessage,
        address::{AddressAttribute, AddressMessage, AddressProtocol, CacheInfo},
        neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState},
        route::{RouteAddress, RouteAttribute, RouteMessage},
    },
    sys::{AsyncSocket, AsyncSocketExt, Socket, SocketAddr, TokioSocket, protocols::NETLINK_ROUTE},
};

/// What follows the interface's name in the label of a borrowed address. Labels have at most 15 bytes.
pub(super) const LABEL: &str = "reach";
/// The protocol number of a borrowed address (`IFA_PROTO`, Linux 5.18; the kernel's own end at 3).
const PROTOCOL: u8 = 0x53;
/// Longest label, in bytes (IFNAMSIZ without its zero).
const MAX_LABEL: usize = 15;
/// Prefix length of a borrowed address: cameras leave the factory with one of 24.
pub(super) const PREFIX: u8 = 24;
/// Multicast group of neighbours (`RTNLGRP_NEIGH`), as a bit.
const NEIGHBOUR_GROUP: u32 = 1 << 2;
/// Most age in hundredths of a second at which a neighbour counts as there: twice the time between two looks.
const FRESH: u32 = 6_000;

/// An IPv4 address of the box.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Own {
    pub(super) index: u32,
    pub(super) address: Ipv4Addr,
    pub(super) prefix: u8,
    /// Whether it carries our tag.
    pub(super) borrowed: bool,
}

/// A socket that speaks rtnetlink.
pub(super) struct Netlink {
    socket: Socket,
}

impl Netlink {
    /// Opens one.
    pub(super) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self { socket })
    }

    /// The box's own addresses.
    pub(super) fn addresses(&self) -> io::Result<Vec<Own>> {
        let mut message = AddressMessage::default();
        message.header.family = AddressFamily::Inet;
        let answers = self.ask(RouteNetlinkMessage::GetAddress(message), NLM_F_DUMP)?;
        Ok(answers.iter().filter_map(own).collect())
    }

    /// Where the box's routes lead, but for the default ones: network and prefix length, of every table.
    pub(super) fn routes(&self) -> io::Result<Vec<(Ipv4Addr, u8)>> {
        let mut message = RouteMessage::default();
        message.header.address_family = AddressFamily::Inet;
        let answers = self.ask(RouteNetlinkMessage::GetRoute(message), NLM_F_DUMP)?;
        let route = |answer: &RouteNetlinkMessage| {
            let RouteNetlinkMessage::NewRoute(route) = answer else { return None };
            route.attributes.iter().find_map(|attribute| match attribute {
                RouteAttribute::Destination(RouteAddress::Inet(to)) => {
                    Some((*to, route.header.destination_prefix_length))
                }
                _ => None,
            })
        };
        Ok(answers.iter().filter_map(route).filter(|(_, prefix)| *prefix > 0).collect())
    }

    /// The neighbours that the kernel knows and has heard of lately, by interface.
    pub(super) fn neighbours(&self) -> io::Result<Vec<(u32, Station)>> {
        let mut message = NeighbourMessage::default();
        message.header.family = AddressFamily::Inet;
        let answers = self.ask(RouteNetlinkMessage::GetNeighbour(message), NLM_F_DUMP)?;
        Ok(answers.iter().filter_map(neighbour).collect())
    }

    /// Borrows an address on an interface, or prolongs it; it lasts so many seconds. Gives false where the kernel keeps no tag,
    /// and the address is not there then.
    pub(super) fn lend(
        &self,
        index: u32,
        name: &str,
        address: Ipv4Addr,
        seconds: u32,
        anew: bool,
    ) -> io::Result<bool> {
        let mut message = borrowed(index, address);
        let label = format!("{name}:{LABEL}");
        if label.len() <= MAX_LABEL {
            message.attributes.push(AddressAttribute::Label(label));
        }
        let mut lifetime = CacheInfo::default();
        (lifetime.ifa_valid, lifetime.ifa_preferred) = (seconds, seconds);
        message.attributes.push(AddressAttribute::CacheInfo(lifetime));
        let how = if anew { NLM_F_EXCL } else { NLM_F_REPLACE };
        self.ask(RouteNetlinkMessage::NewAddress(message), NLM_F_ACK | NLM_F_CREATE | how)?;
        let tagged =
            self.addresses()?.iter().any(|own| own.address == address && own.index == index && own.borrowed);
        if !tagged {
            self.give_back(index, address)?;
        }
        Ok(tagged)
    }

    /// Gives a borrowed address back.
    pub(super) fn give_back(&self, index: u32, address: Ipv4Addr) -> io::Result<()> {
        let message = RouteNetlinkMessage::DelAddress(borrowed(index, address));
        self.ask(message, NLM_F_ACK).map(drop)
    }

    fn ask(&self, message: RouteNetlinkMessage, flags: u16) -> io::Result<Vec<RouteNetlinkMessage>> {
        let mut question = NetlinkMessage::from(message);
        question.header.flags = NLM_F_REQUEST | flags;
        question.finalize();
        let mut bytes = vec![0; question.buffer_len()];
        question.serialize(&mut bytes);
        self.socket.send(&bytes, 0)?;
        let mut answers = Vec::new();
        loop {
            let (bytes, _) = self.socket.recv_from_full()?;
            for message in messages(&bytes) {
                match message {
                    NetlinkPayload::InnerMessage(answer) => answers.push(answer),
                    NetlinkPayload::Error(error) if error.code.is_some() => return Err(error.to_io()),
                    NetlinkPayload::Error(_) | NetlinkPayload::Done(_) => return Ok(answers),
                    _ => {}
                }
            }
        }
    }
}

/// Hears of neighbours as they come.
pub(super) struct Neighbours {
    socket: TokioSocket,
}

impl Neighbours {
    /// Starts to listen; needs no rights.
    pub(super) fn open() -> io::Result<Self> {
        let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
        socket.socket_mut().bind(&SocketAddr::new(0, NEIGHBOUR_GROUP))?;
        Ok(Self { socket })
    }

    /// Those of the kernel's next message.
    pub(super) async fn read(&mut self) -> io::Result<Vec<(u32, Station)>> {
        let (bytes, _) = self.socket.recv_from_full().await?;
        let station = |message| match message {
            NetlinkPayload::InnerMessage(answer) => neighbour(&answer),
            _ => None,
        };
        Ok(messages(&bytes).filter_map(station).collect())
    }
}

/// The messages in what one read gave. What the library cannot read is left out.
fn messages(bytes: &[u8]) -> impl Iterator<Item = NetlinkPayload<RouteNetlinkMessage>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let length: [u8; 4] = rest.get(..4)?.try_into().ok()?;
        let length = usize::try_from(u32::from_ne_bytes(length)).ok().filter(|length| *length >= 16)?;
        let message = rest.get(..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(NetlinkMessage::deserialize(message).ok().map(|message| message.payload))
    })
    .flatten()
}

fn borrowed(index: u32, address: Ipv4Addr) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.prefix_len = PREFIX;
    message.header.index = index;
    message.attributes = vec![
        AddressAttribute::Local(IpAddr::V4(address)),
        AddressAttribute::Address(IpAddr::V4(address)),
        AddressAttribute::Broadcast(address | Ipv4Addr::new(0, 0, 0, 255)),
        AddressAttribute::Protocol(AddressProtocol::Other(PROTOCOL)),
    ];
    message
}

fn own(answer: &RouteNetlinkMessage) -> Option<Own> {
    let RouteNetlinkMessage::NewAddress(message) = answer else { return None };
    let (mut address, mut tagged) = (None, false);
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(IpAddr::V4(own)) => address = Some(*own),
            AddressAttribute::Label(label) => {
                tagged |= label.split_once(':').is_some_and(|(_, label)| label == LABEL);
            }
            AddressAttribute::Protocol(AddressProtocol::Other(PROTOCOL)) => tagged = true,
            _ => {}
        }
    }
    let (index, prefix) = (message.header.index, message.header.prefix_len);
    Some(Own { index, address: address?, prefix, borrowed: tagged })
}

fn neighbour(answer: &RouteNetlinkMessage) -> Option<(u32, Station)> {
    let RouteNetlinkMessage::NewNeighbour(message) = answer else { return None };
    let (mut address, mut mac, mut fresh) = (None, None, true);
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(to)) => address = Some(*to),
            NeighbourAttribute::LinkLayerAddress(bytes) => {
                mac = <[u8; 6]>::try_from(bytes.as_slice()).ok().and_then(Mac::new);
            }
            NeighbourAttribute::CacheInfo(ages) => fresh = ages.confirmed.min(ages.updated) <= FRESH,
            _ => {}
        }
    }
    let heard = matches!(
        message.header.state,
        NeighbourState::Reachable | NeighbourState::Stale | NeighbourState::Delay | NeighbourState::Probe
    );
    let station = Station { address: address?, mac: mac? };
    (heard && fresh).then_some((message.header.ifindex, station))
}
