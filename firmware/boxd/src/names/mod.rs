//! Finding the box by name: `streambox.local` and a unique name by multicast DNS ([`responder`]), and a UPnP device that Windows
//! lists ([`ssdp`]). Both follow the box's network interfaces and take their leave when it stops.
//!
//! One socket per protocol and interface, bound to the group's own address: it hears the group only, so another responder on this
//! machine keeps its unicast, and it sends from the protocol's own port, as answers must (RFC 6762 section 6).

mod claim;
pub(crate) mod interfaces;
mod record;
mod responder;
pub(crate) mod ssdp;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ring::digest::{SHA256, digest};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::task::JoinSet;

use self::interfaces::Interface;
use self::responder::{Responder, Wanted};
use crate::state::{lock, stopping};
use crate::whereabouts::Whereabouts;

/// The group of multicast DNS (RFC 6762 section 3), and its port.
const MDNS: (Ipv4Addr, u16) = (Ipv4Addr::new(224, 0, 0, 251), 5353);
/// How often interfaces are listed. A listing costs three system calls.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Largest datagram that is read, bytes.
const MAX_DATAGRAM: usize = 9001;
/// Pause after a socket error, before it is used or opened again.
const PAUSE: Duration = Duration::from_secs(2);
/// Goodbyes take at most this long.
const LEAVE: Duration = Duration::from_millis(300);
/// How many letters of the box's id make a unique name, and a longer one should two boxes have the same.
const LETTERS: [usize; 3] = [4, 8, 16];

/// What the box is called, wherever it stands.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    /// The plain name, without `.local`.
    pub(crate) plain: String,
    /// The box's id; `None` while it has none.
    pub(crate) id: Option<String>,
    /// The page's port.
    pub(crate) port: u16,
}

/// Something to be sent: to the group, or to one asker.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Said {
    to: Option<SocketAddrV4>,
    bytes: Vec<u8>,
}

/// A protocol without sockets. Times count from one moment.
trait Speaker {
    /// A datagram came in.
    fn hear(&mut self, bytes: &[u8], from: SocketAddrV4, now: Duration) -> Vec<Said>;
    /// What is to be said by now.
    fn poll(&mut self, now: Duration) -> Vec<Said>;
    /// When to poll at the latest.
    fn wake(&self) -> Option<Duration>;
    /// The last words.
    fn goodbye(&mut self) -> Vec<Said>;
}

impl Names {
    /// The unique names, shortest first.
    fn unique(&self) -> Vec<String> {
        let names = LETTERS.iter().filter_map(|letters| self.id.as_ref()?.get(..*letters));
        names.map(|letters| format!("{}-{letters}", self.plain)).collect()
    }

    /// What people see in lists of devices.
    pub(crate) fn friendly(&self) -> String {
        match self.id.as_ref().and_then(|id| id.get(..4)) {
            Some(letters) => format!("Streambox {}", letters.to_uppercase()),
            None => "Streambox".to_owned(),
        }
    }

    /// The names by which the front door may be called.
    pub(crate) fn hosts(&self) -> Vec<String> {
        std::iter::once(self.plain.clone()).chain(self.unique()).collect()
    }

    /// A UUID of the box's identity, in the form of version 8 (RFC 9562); all boxes without one have the same.
    pub(crate) fn uuid(&self) -> String {
        let text = format!("streambox upnp 1\n{}", self.id.as_deref().unwrap_or_default());
        let hash = digest(&SHA256, text.as_bytes());
        let mut bits = [0; 16];
        bits.iter_mut().zip(hash.as_ref()).for_each(|(bit, byte)| *bit = *byte);
        let bits = u128::from_be_bytes(bits);
        let bits = bits & !(0xf << 76) & !(0x3 << 62) | (0x8 << 76) | (0x2 << 62);
        let hex = format!("{bits:032x}");
        let part = |from, to| hex.get(from..to).unwrap_or_default();
        [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
    }
}

/// Announces the box on all its interfaces until `stop` turns true; `random` may be anything.
pub(crate) async fn announce(
    names: Names,
    whereabouts: Whereabouts,
    random: u64,
    mut stop: watch::Receiver<bool>,
) {
    let start = Instant::now();
    let mut running: BTreeMap<Interface, Running> = BTreeMap::new();
    let mut complained = false;
    loop {
        match interfaces::list() {
            Ok(list) => {
                complained = false;
                let own: Vec<Ipv4Addr> = list.iter().map(|interface| interface.address).collect();
                let gone: Vec<Interface> =
                    running.keys().filter(|interface| !list.contains(interface)).cloned().collect();
                for interface in gone {
                    // Its address is gone, and with it the way for a goodbye.
                    running.remove(&interface);
                }
                for (index, interface) in list.into_iter().enumerate() {
                    let random = random.rotate_left(index as u32 + running.len() as u32);
                    let entry = running
                        .entry(interface.clone())
                        .or_insert_with(|| Running::begin(&names, &interface, &own, random, start));
                    lock(&entry.responder).set_own(own.clone());
                }
            }
            Err(error) if !complained => {
                complained = true;
                tracing::warn!(%error, "cannot list network interfaces: the box's names do not follow them");
            }
            Err(_) => {}
        }
        let held =
            running.iter().map(|(interface, running)| (interface.clone(), lock(&running.responder).names()));
        whereabouts.set_names(held.collect());
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = stopping(&mut stop) => break,
        }
    }
    let leaving = async {
        for running in running.into_values() {
            running.leave().await;
        }
    };
    // Whoever does not hear a goodbye forgets the box after two minutes.
    let _ = tokio::time::timeout(LEAVE, leaving).await;
}

/// The two protocols on one interface.
struct Running {
    responder: Arc<Mutex<Responder>>,
    leave: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Running {
    fn begin(names: &Names, interface: &Interface, own: &[Ipv4Addr], random: u64, start: Instant) -> Self {
        let wanted = Wanted { plain: names.plain.clone(), unique: names.unique(), port: names.port };
        let responder = Responder::new(&wanted, interface.clone(), own.to_vec(), random, start.elapsed());
        let responder = Arc::new(Mutex::new(responder));
        let device = ssdp::Device { uuid: names.uuid(), port: names.port };
        let announcer = ssdp::Announcer::new(device, interface.clone(), random, start.elapsed());
        let (leave, left) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let clock = Clock(start);
        // TTLs: RFC 6762 section 11, and UPnP Device Architecture 1.1 section 1.1.2.
        tasks.spawn(speak(MDNS, 255, interface.clone(), responder.clone(), clock, left.clone()));
        let ssdp = (ssdp::GROUP, ssdp::PORT);
        tasks.spawn(speak(ssdp, 2, interface.clone(), Arc::new(Mutex::new(announcer)), clock, left));
        Self { responder, leave, tasks }
    }

    async fn leave(mut self) {
        self.leave.send_replace(true);
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Time since one moment.
#[derive(Clone, Copy)]
struct Clock(Instant);

/// Gives a protocol its socket, until `leave` turns true.
async fn speak<S: Speaker>(
    group: (Ipv4Addr, u16),
    ttl: u32,
    interface: Interface,
    speaker: Arc<Mutex<S>>,
    clock: Clock,
    mut leave: watch::Receiver<bool>,
) {
    let now = || clock.0.elapsed();
    let to = SocketAddrV4::new(group.0, group.1);
    let mut complained = false;
    let socket = loop {
        match open(to, ttl, &interface) {
            Ok(socket) => break socket,
            Err(error) => {
                if !complained {
                    complained = true;
                    tracing::warn!(%error, interface = %interface.name, group = %to, "cannot announce the box here; trying again");
                }
                tokio::select! {
                    () = tokio::time::sleep(PAUSE) => {}
                    () = stopping(&mut leave) => return,
                }
            }
        }
    };
    // A datagram that cannot be sent is as good as one that is lost: both protocols say everything more than once.
    let send = async |said: Vec<Said>| {
        for said in said {
            let _lost = socket.send_to(&said.bytes, said.to.unwrap_or(to)).await;
        }
    };
    let mut buffer = vec![0; MAX_DATAGRAM];
    loop {
        let (said, wake) = {
            let mut speaker = lock(&speaker);
            (speaker.poll(now()), speaker.wake())
        };
        send(said).await;
        let pause = wake.map_or(Duration::from_secs(60), |wake| wake.saturating_sub(now()));
        let received = tokio::select! {
            received = socket.recv_from(&mut buffer) => received,
            () = tokio::time::sleep(pause) => continue,
            () = stopping(&mut leave) => break,
        };
        match received {
            Ok((length, SocketAddr::V4(from))) => {
                let said = lock(&speaker).hear(buffer.get(..length).unwrap_or_default(), from, now());
                send(said).await;
            }
            Ok(_) => {}
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
    let last = lock(&speaker).goodbye();
    send(last).await;
}

fn open(group: SocketAddrV4, ttl: u32, interface: &Interface) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    // Others on this machine listen, too: the search for cameras, avahi.
    socket.set_reuse_address(true)?;
    // Without this, Linux also delivers what other sockets joined on other interfaces.
    socket.set_multicast_all_v4(false)?;
    socket.bind(&group.into())?;
    socket.join_multicast_v4_n(group.ip(), &InterfaceIndexOrAddress::Index(interface.index))?;
    socket.set_multicast_if_v4(&interface.address)?;
    socket.set_multicast_ttl_v4(ttl)?;
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(id: Option<&str>) -> Names {
        Names { plain: "streambox".to_owned(), id: id.map(str::to_owned), port: 8080 }
    }

    #[test]
    fn the_unique_name_is_short_and_there_are_longer_ones_to_try() {
        let names = names(Some("k3fzabcdefghijklmnopqrstuv"));
        assert_eq!(names.unique(), ["streambox-k3fz", "streambox-k3fzabcd", "streambox-k3fzabcdefghijkl"]);
        assert_eq!(names.friendly(), "Streambox K3FZ");
        assert_eq!(names.hosts()[0], "streambox");
    }

    #[test]
    fn a_box_has_the_same_uuid_ever_after_and_another_box_has_another() {
        let (one, other) = (names(Some("aaaa")).uuid(), names(Some("bbbb")).uuid());
        assert_eq!(one, names(Some("aaaa")).uuid());
        assert_ne!(one, other);
        assert_eq!(one.len(), 36);
        assert_eq!((one.as_bytes()[14], one.matches('-').count()), (b'8', 4));
        assert!(matches!(one.as_bytes()[19], b'8' | b'9' | b'a' | b'b'), "{one}");
        assert!(names(None).unique().is_empty());
    }
}
