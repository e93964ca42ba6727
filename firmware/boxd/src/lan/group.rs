//! A conversation with a multicast group on one link: ask quickly at the start and then now and then, hear the
//! answers on the asking socket, and hear what is announced unasked on another.

use std::{
    future::pending,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use discovery::Answer;
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use tokio::{net::UdpSocket, time::sleep};

use super::{found::Found, interfaces::Link};

/// Seconds between asking at the start: at once, after 1 s and after 3 s.
const QUICK: [u64; 3] = [0, 1, 2];
/// Seconds between asking later; a device is forgotten after three silences.
const EVERY: u64 = 30;
/// Most follow-up questions between two rounds of asking, so that a flood is not answered by a flood.
const MAX_FOLLOW_UPS: u32 = 32;
/// Pause after a socket error, before it is used or opened again.
const PAUSE: Duration = Duration::from_secs(2);

/// A multicast group and how it is spoken to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Group {
    /// For the log.
    pub(super) name: &'static str,
    pub(super) address: Ipv4Addr,
    pub(super) port: u16,
    /// IP time to live of questions.
    pub(super) ttl: u32,
    /// Largest message that is read, in bytes.
    pub(super) max_message: usize,
    /// Whether questions leave from the group's own port, because some devices answer to that, whoever asked.
    pub(super) own_port: bool,
    /// Whether questions are broadcast too, and answers to everybody are heard, because some devices do not join the group.
    pub(super) broadcast: bool,
}

/// What a message gave: answers, and questions to put to the group because of it.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub(super) answers: Vec<Answer>,
    pub(super) follow_ups: Vec<Vec<u8>>,
}

/// Speaks with a group until dropped.
pub(super) async fn converse(
    group: Group,
    link: &Link,
    found: &Found,
    ask: impl Fn() -> Vec<Vec<u8>>,
    mut hear: impl FnMut(&[u8], IpAddr) -> Heard,
) {
    let mut complained = false;
    let sockets = loop {
        match Sockets::open(group, link) {
            Ok(sockets) => break sockets,
            Err(error) => {
                if !complained {
                    complained = true;
                    tracing::warn!(
                        %error, protocol = group.name, interface = %link.name,
                        "cannot listen for cameras here; trying again"
                    );
                }
                sleep(PAUSE).await;
            }
        }
    };
    let mut buffer = vec![0; group.max_message + 1];
    let mut quick = QUICK.into_iter();
    loop {
        let mut round = Box::pin(sleep(Duration::from_secs(quick.next().unwrap_or(EVERY))));
        let mut follow_ups = MAX_FOLLOW_UPS;
        loop {
            let received = tokio::select! {
                () = &mut round => break,
                received = sockets.receive(&mut buffer) => received,
            };
            let Ok((length, from)) = received else {
                sleep(PAUSE).await;
                continue;
            };
            let heard = hear(buffer.get(..length).unwrap_or_default(), from.ip());
            for answer in heard.answers {
                found.hear(answer, from.ip(), &link.name);
            }
            for question in heard.follow_ups {
                if let Some(left) = follow_ups.checked_sub(1) {
                    follow_ups = left;
                    sockets.ask(&question).await;
                }
            }
        }
        for question in ask() {
            sockets.ask(&question).await;
        }
    }
}

#[derive(Debug)]
struct Sockets {
    group: SocketAddr,
    /// Questions leave by the link, and answers come to the link's address.
    asking: UdpSocket,
    /// Bound to the group and joined on the link only.
    listening: UdpSocket,
    /// Bound to the address of everybody, on the link only.
    everybody: Option<UdpSocket>,
}

impl Sockets {
    fn open(group: Group, link: &Link) -> io::Result<Self> {
        let to = SocketAddr::from((group.address, group.port));
        let own = link.network.own;
        let asking = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        // Two links of one address differ by nothing else; an answer to either is heard.
        asking.set_reuse_address(group.own_port)?;
        asking.set_broadcast(group.broadcast)?;
        asking.bind(&SocketAddr::from((own, if group.own_port { group.port } else { 0 })).into())?;
        asking.set_multicast_if_v4(&own)?;
        asking.set_multicast_ttl_v4(group.ttl)?;

        let listening = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        // Others on this machine may listen too (avahi, another ONVIF client).
        listening.set_reuse_address(true)?;
        // Without this, Linux also delivers what other sockets joined on other links.
        listening.set_multicast_all_v4(false)?;
        listening.bind(&to.into())?;
        listening.join_multicast_v4_n(&group.address, &InterfaceIndexOrAddress::Index(link.index))?;
        let everybody = if group.broadcast { everybody(group.port, link)? } else { None };
        Ok(Self { group: to, asking: adopt(asking)?, listening: adopt(listening)?, everybody })
    }

    /// Sends a question. A send that fails is as good as a lost datagram: the next round asks again.
    async fn ask(&self, question: &[u8]) {
        let _lost = self.asking.send_to(question, self.group).await;
        if self.everybody.is_some() {
            // A limited broadcast leaves by the link whose address the socket has (RFC 1122 section 3.3.6).
            let _lost = self.asking.send_to(question, (Ipv4Addr::BROADCAST, self.group.port())).await;
        }
    }

    async fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        loop {
            let everybody = async {
                match &self.everybody {
                    Some(socket) => socket.readable().await,
                    None => pending().await,
                }
            };
            tokio::select! {
                ready = self.asking.readable() => ready?,
                ready = self.listening.readable() => ready?,
                ready = everybody => ready?,
            }
            for socket in
                [Some(&self.asking), Some(&self.listening), self.everybody.as_ref()].into_iter().flatten()
            {
                match socket.try_recv_from(buffer) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    other => return other,
                }
            }
        }
    }
}

/// A socket that hears broadcasts of one link. None on kernels before Linux 5.7, where only root may name a link: it would hear
/// those of all links, and nobody could say on which.
fn everybody(port: u16, link: &Link) -> io::Result<Option<UdpSocket>> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    if socket.bind_device(Some(link.name.as_bytes())).is_err() {
        return Ok(None);
    }
    socket.bind(&SocketAddr::from((Ipv4Addr::BROADCAST, port)).into())?;
    adopt(socket).map(Some)
}

fn adopt(socket: Socket) -> io::Result<UdpSocket> {
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket.into())
}
