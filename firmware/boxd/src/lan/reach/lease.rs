//! Borrowed addresses: got, prolonged, given back.

use std::{
    hash::{BuildHasher, RandomState},
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use discovery::{mac::Mac, rtsp, sweep::Network};
use model::Device;
use serde::{Deserialize, Serialize};
use tokio::{
    net::TcpSocket,
    sync::broadcast::{Receiver, error::RecvError},
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};

use super::{Inbox, Means, Refused, plan};
use crate::lan::{
    interfaces::{Card, Link},
    netlink::{Netlink, PREFIX},
    sweep,
    wire::{Heard, Wire, answers_for, is_spoken_for},
};

/// How long a borrowed address stays for a device that nobody streams.
const IDLE: Duration = Duration::from_secs(15 * 60);
/// Seconds that the kernel leaves us a borrowed address, unless it is prolonged.
const LIFETIME_S: u32 = 120;
/// How often leases are looked at and prolonged.
const TEND_EVERY: Duration = Duration::from_secs(30);
/// ARP probes for one address (RFC 5227 has three, over seconds; a page waits here).
const PROBES: u32 = 3;
/// Time after each, in which answers come.
const PROBE_WAIT: Duration = Duration::from_millis(250);
/// Addresses that are asked for at once.
const AT_ONCE: usize = 6;
/// Rounds of asking for free addresses.
const ROUNDS: usize = 3;
/// Most ARP messages that one round of probing takes in: of a flood, the rest is left.
const MAX_HEARD: usize = 1024;
/// How long the device may take to answer over IP.
const DEADLINE: Duration = Duration::from_secs(2);
/// TCP ports of cameras: whether they are open or not, an answer shows that the device is there.
const PORTS: [u16; 4] = [554, 80, 8000, 8554];
/// Most devices that are remembered.
const MAX_DEVICES: usize = 64;
/// Where they are remembered in the state directory.
pub(crate) const FILE: &str = "reach.json";

/// A device that the owner asked to reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Wanted {
    interface: String,
    device: Ipv4Addr,
    mac: Option<String>,
}

/// An address that the box has for a while.
#[derive(Debug)]
struct Lease {
    card: Card,
    own: Ipv4Addr,
}

/// Serves the handle; gives back what was borrowed when dropped.
pub(in crate::lan) struct Leases {
    means: Means,
    netlink: io::Result<Netlink>,
    held: Vec<Lease>,
    /// What was asked for, and when it was last needed.
    wanted: Vec<(Wanted, Instant)>,
}

impl Leases {
    /// Takes away what an earlier run left, and remembers what it was asked for.
    pub(in crate::lan) fn open(means: Means) -> Self {
        let netlink = Netlink::open();
        let wanted = file(&means).map(|file| remembered(&file)).unwrap_or_default();
        let leases = Self {
            means,
            netlink,
            held: Vec::new(),
            wanted: wanted.into_iter().map(|it| (it, Instant::now())).collect(),
        };
        leases.take_away_the_old();
        leases
    }

    fn take_away_the_old(&self) {
        let Ok(netlink) = &self.netlink else { return };
        for own in netlink.addresses().unwrap_or_default().iter().filter(|own| own.borrowed) {
            match netlink.give_back(own.index, own.address) {
                Ok(()) => {
                    tracing::info!(address = %own.address, "gave back an address that was left over from an earlier run");
                }
                Err(error) => {
                    tracing::warn!(address = %own.address, %error, "cannot give back an address that was left over");
                }
            }
        }
    }

    /// Does what is asked for until dropped.
    pub(in crate::lan) async fn serve(mut self, mut inbox: Inbox) {
        let mut tend = interval(TEND_EVERY);
        tend.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut arp = self.means.wire.as_ref().map(|wire| wire.listen());
        loop {
            tokio::select! {
                ask = inbox.asks.recv() => {
                    let Some(ask) = ask else { return std::future::pending().await };
                    let outcome = self.reach(&ask.key).await;
                    match &outcome {
                        Ok(device) => tracing::info!(%device, "a device of another network is within reach"),
                        Err(refused) => tracing::info!(code = refused.code(), %refused, "a device is not reached"),
                    }
                    let _left = ask.answer.send(outcome);
                }
                changed = inbox.streamed.changed() => {
                    if changed.is_err() {
                        return std::future::pending().await;
                    }
                    self.tend(&inbox).await;
                }
                _ = tend.tick() => self.tend(&inbox).await,
                heard = next(&mut arp) => self.give_way(heard),
            }
        }
    }

    /// The owner asks.
    async fn reach(&mut self, key: &str) -> Result<Ipv4Addr, Refused> {
        let devices = self.means.found.devices();
        let device = Device::find(&devices, key).ok_or(Refused::Gone)?;
        let wanted = self.place(device)?;
        self.borrow_for(&wanted, device.http_port).await?;
        let reached = wanted.device;
        self.wanted.retain(|(known, _)| known.device != reached);
        if self.wanted.len() < MAX_DEVICES {
            self.wanted.push((wanted, Instant::now()));
        }
        self.remember();
        Ok(reached)
    }

    /// Where the device is: an address from which it spoke, else one that it claims.
    fn place(&self, device: &Device) -> Result<Wanted, Refused> {
        let all = device.addresses.iter().chain(&device.claims);
        let four = all.filter_map(|address| match address {
            IpAddr::V4(address) => Some(*address),
            IpAddr::V6(_) => None,
        });
        let outcome = four.map(|address| plan::check_target(address).map(|()| address));
        // The first that is one of a LAN, else what is wrong with the first.
        let target = outcome.reduce(|best, other| if best.is_ok() { best } else { other.or(best) });
        let target = target.ok_or(Refused::NoAddress)??;
        let card =
            self.means.cards.find(|card| device.interfaces.contains(&card.name)).ok_or(Refused::Gone)?;
        let mac = device.mac.as_ref().map(|mac| mac.value.clone());
        Ok(Wanted { interface: card.name, device: target, mac })
    }

    /// Gets an address beside a device, unless there is one already, and sees that the device answers.
    async fn borrow_for(&mut self, wanted: &Wanted, http_port: Option<u16>) -> Result<(), Refused> {
        let device = wanted.device;
        let netlink = self.netlink.as_ref().map_err(|error| kernel(device, error))?;
        let Some(wire) = self.means.wire.clone() else { return Err(Refused::NotAllowed) };
        let card = self.means.cards.find(|card| card.name == wanted.interface).ok_or(Refused::Gone)?;
        let own = netlink.addresses().map_err(|error| kernel(device, &error))?;
        let near = |address: Ipv4Addr, prefix: u8| link(&card, address, prefix).holds(IpAddr::V4(device));
        if own.iter().any(|own| !own.borrowed && own.index == card.index() && near(own.address, own.prefix)) {
            return Ok(());
        }
        let routes = netlink.routes().map_err(|error| kernel(device, &error))?;
        plan::check_room(device, &own, &routes)?;
        recognise(&wire, &card, wanted).await?;
        let there = self.held.iter().position(|lease| plan::subnet(lease.own) == plan::subnet(device));
        if let Some(lease) = there.and_then(|at| self.held.get(at)) {
            if lease.card.name != card.name {
                return Err(Refused::Overlap { device, network: plan::subnet(device), prefix: PREFIX });
            }
            let local = lease.own;
            return self.knock(&card, local, device, http_port).await;
        }
        let own = free_address(&wire, &card, device, &self.seen()).await?;
        match netlink.lend(card.index(), &card.name, own, LIFETIME_S, true) {
            Ok(true) => {}
            Ok(false) => {
                return Err(kernel(device, &io::Error::other("the kernel keeps no tag at addresses")));
            }
            Err(error) => return Err(kernel(device, &error)),
        }
        tracing::info!(interface = %card.name, address = %own, %device, "borrowed an address beside a device");
        self.held.push(Lease { card: card.clone(), own });
        let answered = self.knock(&card, own, device, http_port).await;
        if answered.is_err() {
            self.release(|lease| lease.own == own);
        }
        answered
    }

    /// Addresses that are in use, as far as anybody heard.
    fn seen(&self) -> Vec<IpAddr> {
        self.means
            .found
            .devices()
            .into_iter()
            .flat_map(|device| [device.addresses, device.claims].concat())
            .collect()
    }

    /// Sees that the device answers over IP, and what it speaks.
    async fn knock(
        &self,
        card: &Card,
        own: Ipv4Addr,
        device: Ipv4Addr,
        http_port: Option<u16>,
    ) -> Result<(), Refused> {
        let here = link(card, own, PREFIX);
        for port in rtsp::PORTS {
            let (here, found) = (here.clone(), self.means.found.clone());
            let target = SocketAddr::from((device, port));
            tokio::spawn(async move {
                if let Some(answer) = sweep::knock(target, &here).await {
                    found.hear(answer, target.ip(), &here.name);
                }
            });
        }
        let mut tries: JoinSet<bool> = JoinSet::new();
        for port in PORTS.into_iter().chain(http_port) {
            tries.spawn(answers(own, SocketAddr::from((device, port))));
        }
        let any = async {
            while let Some(answer) = tries.join_next().await {
                if answer.unwrap_or_default() {
                    return true;
                }
            }
            false
        };
        let answered = timeout(DEADLINE, any).await.unwrap_or_default();
        if answered { Ok(()) } else { Err(Refused::Silent { device }) }
    }

    /// Prolongs what is needed, gives back what is not, and borrows again for cameras that are streamed.
    async fn tend(&mut self, inbox: &Inbox) {
        let streamed = inbox.streamed.borrow().clone();
        let before = self.wanted.len();
        for (wanted, needed) in &mut self.wanted {
            if streamed.contains(&IpAddr::V4(wanted.device)) {
                *needed = Instant::now();
            }
        }
        self.wanted.retain(|(_, needed)| needed.elapsed() < IDLE);
        if before != self.wanted.len() {
            self.remember();
        }
        let wanted: Vec<Wanted> = self.wanted.iter().map(|(wanted, _)| wanted.clone()).collect();
        self.release(|lease| {
            !wanted.iter().any(|wanted| plan::subnet(wanted.device) == plan::subnet(lease.own))
        });
        self.prolong();
        for wanted in wanted {
            let there = self.held.iter().any(|lease| plan::subnet(lease.own) == plan::subnet(wanted.device));
            if !there
                && streamed.contains(&IpAddr::V4(wanted.device))
                && let Err(refused) = self.borrow_for(&wanted, None).await
            {
                tracing::debug!(device = %wanted.device, %refused, "a camera of another network is not reached again yet");
            }
        }
    }

    /// Prolongs every lease; one that cannot be prolonged is lost, with its interface most likely.
    fn prolong(&mut self) {
        let Ok(netlink) = &self.netlink else { return };
        self.held.retain(|lease| {
            let outcome = netlink.lend(lease.card.index(), &lease.card.name, lease.own, LIFETIME_S, false);
            if let Err(error) = &outcome {
                tracing::warn!(address = %lease.own, %error, "lost a borrowed address");
            }
            outcome.is_ok()
        });
    }

    /// Somebody else uses what we borrowed: it is theirs (RFC 5227 section 2.4).
    fn give_way(&mut self, (index, arp): Heard) {
        let lost = |lease: &Lease| {
            lease.card.index() == index && arp.address == Some(lease.own) && arp.mac != lease.card.mac
        };
        if self.held.iter().any(lost) {
            tracing::warn!(address = ?arp.address, mac = %arp.mac, "another device uses an address that the box had borrowed: giving way");
            self.release(lost);
        }
    }

    /// Gives back the leases of which this holds.
    fn release(&mut self, over: impl Fn(&Lease) -> bool) {
        let Ok(netlink) = &self.netlink else { return };
        self.held.retain(|lease| {
            let over = over(lease);
            if over {
                match netlink.give_back(lease.card.index(), lease.own) {
                    Ok(()) => tracing::info!(address = %lease.own, "gave back a borrowed address"),
                    // Gone with its interface, most likely.
                    Err(error) => {
                        tracing::info!(address = %lease.own, %error, "a borrowed address was gone already");
                    }
                }
            }
            !over
        });
    }

    fn remember(&self) {
        let Some(file) = file(&self.means) else { return };
        let wanted: Vec<&Wanted> = self.wanted.iter().map(|(wanted, _)| wanted).collect();
        let written = serde_json::to_vec(&wanted).map_err(io::Error::from).and_then(|text| {
            let new = file.with_extension("new");
            std::fs::write(&new, text)?;
            std::fs::rename(&new, &file)
        });
        if let Err(error) = written {
            tracing::warn!(file = %file.display(), %error, "cannot remember which devices are to be reached");
        }
    }
}

impl Drop for Leases {
    fn drop(&mut self) {
        self.release(|_| true);
    }
}

fn file(means: &Means) -> Option<PathBuf> {
    means.state_dir.as_ref().map(|dir| dir.join(FILE))
}

/// What an earlier run was asked for; nothing when the file is not there, or damaged.
fn remembered(file: &std::path::Path) -> Vec<Wanted> {
    let text = std::fs::read(file).unwrap_or_default();
    let mut wanted: Vec<Wanted> = serde_json::from_slice(&text).unwrap_or_default();
    wanted.retain(|wanted| plan::check_target(wanted.device).is_ok());
    wanted.truncate(MAX_DEVICES);
    wanted
}

fn link(card: &Card, own: Ipv4Addr, prefix: u8) -> Link {
    Link { name: card.name.clone(), index: card.index(), network: Network { own, prefix }, borrowed: true }
}

fn kernel(device: Ipv4Addr, error: &io::Error) -> Refused {
    if error.kind() == io::ErrorKind::PermissionDenied {
        return Refused::NotAllowed;
    }
    Refused::Kernel { device, reason: error.to_string() }
}

/// Sees by ARP that the device that was heard, and no other, has the address.
async fn recognise(wire: &Wire, card: &Card, wanted: &Wanted) -> Result<(), Refused> {
    let device = wanted.device;
    let heard = probe(wire, card, &[device]).await?;
    let macs = answers_for(&heard, card.index(), device);
    let known = wanted.mac.as_deref().and_then(Mac::parse);
    match (macs.as_slice(), known) {
        ([], _) => Err(Refused::Silent { device }),
        ([_, _, ..], _) => Err(Refused::Shared { device }),
        ([only], Some(known)) if *only != known => Err(Refused::Another { device }),
        _ => Ok(()),
    }
}

/// An address beside the device that nobody uses.
async fn free_address(
    wire: &Wire,
    card: &Card,
    device: Ipv4Addr,
    seen: &[IpAddr],
) -> Result<Ipv4Addr, Refused> {
    let random = RandomState::new().hash_one(device);
    let mut candidates =
        plan::candidates(device, random).filter(|address| !seen.contains(&IpAddr::V4(*address)));
    for _ in 0..ROUNDS {
        let some: Vec<Ipv4Addr> = candidates.by_ref().take(AT_ONCE).collect();
        let heard = probe(wire, card, &some).await?;
        if let Some(free) =
            some.iter().find(|address| !is_spoken_for(&heard, card.index(), IpAddr::V4(**address)))
        {
            return Ok(*free);
        }
    }
    Err(Refused::Full { device })
}

/// Asks for addresses and gives all ARP that was heard meanwhile.
async fn probe(wire: &Wire, card: &Card, targets: &[Ipv4Addr]) -> Result<Vec<Heard>, Refused> {
    let mut arp = wire.listen();
    let mut heard = Vec::new();
    for _ in 0..PROBES {
        for target in targets {
            wire.probe(card, *target).map_err(|error| kernel(*target, &error))?;
        }
        let until = sleep(PROBE_WAIT);
        tokio::pin!(until);
        loop {
            tokio::select! {
                () = &mut until => break,
                message = arp.recv() => match message {
                    Ok(message) if heard.len() < MAX_HEARD => heard.push(message),
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return Ok(heard),
                },
            }
        }
    }
    Ok(heard)
}

/// Whether a TCP port answers, be it by refusing.
async fn answers(own: Ipv4Addr, target: SocketAddr) -> bool {
    let Ok(socket) = TcpSocket::new_v4() else { return false };
    if socket.bind(SocketAddr::from((own, 0))).is_err() {
        return false;
    }
    match socket.connect(target).await {
        Ok(_) => true,
        Err(error) => error.kind() == io::ErrorKind::ConnectionRefused,
    }
}

/// The next ARP message; never, where nobody hears ARP.
async fn next(arp: &mut Option<Receiver<Heard>>) -> Heard {
    loop {
        match arp {
            Some(receiver) => match receiver.recv().await {
                Ok(heard) => return heard,
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => *arp = None,
            },
            None => std::future::pending().await,
        }
    }
}
