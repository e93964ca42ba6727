//! What passes by on the box's network cards: ARP of anybody, and answers of cameras in other subnets, which the kernel keeps from
//! ordinary sockets where it checks senders (RFC 3704). Needs CAP_NET_RAW; without it, said once, cameras of other subnets are
//! heard only where the kernel lets them through.

use std::{
    io,
    net::{IpAddr, Ipv4Addr},
    os::fd::AsRawFd,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use discovery::{
    Protocol, dhip,
    ether::{self, Arp, MAX_FRAME, Station},
    mac::Mac,
    read, sadp,
};
use nix::{
    libc,
    sys::socket::{LinkAddr, MsgFlags, recvfrom, sendto},
};
use socket2::{Domain, SockFilter, Socket, Type};
use tokio::{io::Interest, net::UdpSocket, sync::broadcast, time::sleep};

use super::{found::Found, interfaces::Card, neighbours};

/// ARP messages that wait for whoever is slow to look at them.
const BACKLOG: usize = 256;
/// Pause after an error.
const PAUSE: Duration = Duration::from_secs(2);

/// The box's network cards as they were last listed.
#[derive(Debug, Clone, Default)]
pub(super) struct Cards(Arc<Mutex<Vec<Card>>>);

impl Cards {
    pub(super) fn set(&self, cards: Vec<Card>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = cards;
    }

    /// The card of an interface's index.
    pub(super) fn named(&self, index: u32) -> Option<String> {
        self.find(|card| card.index() == index).map(|card| card.name)
    }

    /// The first card of which this holds.
    pub(super) fn find(&self, wanted: impl Fn(&Card) -> bool) -> Option<Card> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().find(|card| wanted(card)).cloned()
    }
}

/// One ARP message and the index of the interface that heard it.
pub(super) type Heard = (u32, Arp);

/// A packet socket. tokio's datagram socket only waits for it; frames are read by recvfrom(2), whose addresses are cards.
type Packets = UdpSocket;

/// Packet sockets over all cards.
#[derive(Debug)]
pub(super) struct Wire {
    arp: Packets,
    datagrams: Packets,
    heard: broadcast::Sender<Heard>,
}

impl Wire {
    /// Opens the sockets.
    ///
    /// # Errors
    /// Without CAP_NET_RAW.
    pub(super) fn open() -> io::Result<Self> {
        Ok(Self {
            arp: packet_socket(libc::ETH_P_ARP, &[])?,
            datagrams: packet_socket(libc::ETH_P_IP, &answers_to_everybody())?,
            heard: broadcast::Sender::new(BACKLOG),
        })
    }

    /// Every ARP message from now on.
    pub(super) fn listen(&self) -> broadcast::Receiver<Heard> {
        self.heard.subscribe()
    }

    /// Asks on a card whether anybody uses an address.
    ///
    /// # Errors
    /// When the card is gone.
    pub(super) fn probe(&self, card: &Card, target: Ipv4Addr) -> io::Result<()> {
        let frame = ether::probe(card.mac, target);
        sendto(self.arp.as_raw_fd(), &frame, &card.link, MsgFlags::empty())?;
        Ok(())
    }

    /// Hears what passes by until dropped.
    pub(super) async fn run(&self, cards: &Cards, found: &Found) {
        tokio::join!(self.hear_arp(cards, found), self.hear_datagrams(cards, found));
    }

    async fn hear_arp(&self, cards: &Cards, found: &Found) {
        let mut frame = vec![0; MAX_FRAME];
        loop {
            let (length, index) = receive(&self.arp, &mut frame).await;
            let Ok(arp) = ether::read_arp(frame.get(..length).unwrap_or_default()) else { continue };
            let Some(card) = cards.find(|card| card.index() == index) else { continue };
            if arp.mac == card.mac {
                continue;
            }
            let _nobody_waits = self.heard.send((index, arp));
            if let Arp { mac, address: Some(address), .. } = arp {
                neighbours::tell(Station { address, mac }, &card.name, found);
            }
        }
    }

    async fn hear_datagrams(&self, cards: &Cards, found: &Found) {
        let mut frame = vec![0; MAX_FRAME];
        loop {
            let (length, index) = receive(&self.datagrams, &mut frame).await;
            let Some(datagram) = ether::read_datagram(frame.get(..length).unwrap_or_default()) else {
                continue;
            };
            let Some(card) = cards.named(index) else { continue };
            let protocol = match datagram.port {
                sadp::PORT => Protocol::Sadp,
                dhip::PORT => Protocol::Dhip,
                _ => continue,
            };
            for answer in read(protocol, datagram.payload, datagram.from).unwrap_or_default() {
                found.hear(answer, datagram.from, &card);
            }
        }
    }
}

/// The next frame, and the index of the interface that it came in by.
async fn receive(socket: &Packets, frame: &mut [u8]) -> (usize, u32) {
    loop {
        let received =
            socket.async_io(Interest::READABLE, || Ok(recvfrom::<LinkAddr>(socket.as_raw_fd(), frame)?));
        match received.await {
            Ok((length, Some(from))) => return (length, u32::try_from(from.ifindex()).unwrap_or_default()),
            Ok((_, None)) => {}
            // An interface that went down; its socket goes on.
            Err(_) => sleep(PAUSE).await,
        }
    }
}

fn packet_socket(protocol: i32, filter: &[SockFilter]) -> io::Result<Packets> {
    let kind = u16::try_from(protocol).unwrap_or_default().to_be();
    let socket = Socket::new(Domain::PACKET, Type::RAW, Some(i32::from(kind).into()))?;
    if !filter.is_empty() {
        // What came in before it is read as anything else is: by its port.
        socket.attach_filter(filter)?;
    }
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket.into())
}

/// A filter for the kernel (bpf(4) of BSD, Linux' `networking/filter.rst`): whole UDP datagrams to everybody or to a group, for the
/// ports of SADP and DHIP. Video, which comes to the box alone, is let go by the second instruction.
fn answers_to_everybody() -> Vec<SockFilter> {
    // Instructions: load byte, half-word, header length; jump if equal, if any bit is set; and; return.
    const LOAD_BYTE: u16 = 0x30;
    const LOAD_HALF: u16 = 0x28;
    const LOAD_HALF_AT_X: u16 = 0x48;
    const X_IS_HEADER: u16 = 0xb1;
    const IF_EQUAL: u16 = 0x15;
    const IF_ANY_BIT: u16 = 0x45;
    const RETURN: u16 = 0x06;
    // Where Linux puts the packet's type (SKF_AD_OFF + SKF_AD_PKTTYPE), and what it says there.
    const PACKET_TYPE: u32 = 0xffff_f004;
    const BROADCAST: u32 = 1;
    const MULTICAST: u32 = 2;
    let step = SockFilter::new;
    vec![
        step(LOAD_BYTE, 0, 0, PACKET_TYPE),
        step(IF_EQUAL, 1, 0, BROADCAST),
        step(IF_EQUAL, 0, 8, MULTICAST),
        step(LOAD_BYTE, 0, 0, 23), // protocol
        step(IF_EQUAL, 0, 6, 17),  // UDP
        step(LOAD_HALF, 0, 0, 20), // fragment
        step(IF_ANY_BIT, 4, 0, 0x3fff),
        step(X_IS_HEADER, 0, 0, 14),
        step(LOAD_HALF_AT_X, 0, 0, 16), // destination port
        step(IF_EQUAL, 2, 0, u32::from(sadp::PORT)),
        step(IF_EQUAL, 1, 0, u32::from(dhip::PORT)),
        step(RETURN, 0, 0, 0),
        step(RETURN, 0, 0, u32::MAX),
    ]
}

/// Who answers for an address, from the messages of one interface.
pub(super) fn answers_for(heard: &[Heard], index: u32, address: Ipv4Addr) -> Vec<Mac> {
    let mut macs: Vec<Mac> = Vec::new();
    for (_, arp) in heard.iter().filter(|(on, arp)| *on == index && arp.address == Some(address)) {
        if !macs.contains(&arp.mac) {
            macs.push(arp.mac);
        }
    }
    macs
}

/// Whether an address was heard of on an interface: somebody uses it, or wants to (RFC 5227 section 2.1.1).
pub(super) fn is_spoken_for(heard: &[Heard], index: u32, address: IpAddr) -> bool {
    let IpAddr::V4(address) = address else { return false };
    let wants = |arp: &Arp| arp.address.is_none() && arp.target == address;
    heard.iter().any(|(on, arp)| *on == index && (arp.address == Some(address) || wants(arp)))
}
