//! The LAN: sockets, timers and interfaces around the pure crate [`discovery`].
//!
//! One set of tasks per network interface and address of the box, so that a camera on the interface without the
//! default route is found too: five conversations ([`wsd`], [`mdns`], [`ssdp`], [`sadp`], [`dhip`]) over a multicast group, and one
//! RTSP [`sweep`]. Over all interfaces together, [`neighbours`] reads the kernel's table and [`wire`] hears what passes by; [`reach`]
//! borrows addresses to reach what is in another subnet. [`start`] begins them, dropping the [`Lan`] ends them all. Nothing
//! here holds or sends a credential, and nothing is sent to an address that did not answer, but for the sweep of the box's own
//! subnets and the device that its owner asks to reach.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "this is discovery's IO shell")]

mod dhip;
mod found;
mod group;
mod interfaces;
mod mdns;
mod neighbours;
mod netlink;
mod reach;
mod sadp;
#[cfg(test)]
mod scenario;
mod ssdp;
mod sweep;
mod wire;
mod wsd;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use model::Device;
use tokio::{
    sync::{Semaphore, watch},
    task::{AbortHandle, JoinSet},
    time::sleep,
};

use self::{
    found::Found,
    interfaces::Link,
    reach::{Inbox, Leases, Means},
    wire::{Cards, Wire},
};

pub(crate) use self::reach::{FILE as REACH, Reach};

/// How often interfaces are listed and old facts forgotten. A listing costs three system calls.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Whether an address is one that the box has for a while only, to reach a camera of another subnet: by the name under which
/// getifaddrs(3) lists it. Nobody else should be told of such an address.
pub(crate) fn is_borrowed(label: &str) -> bool {
    label.split_once(':').is_some_and(|(_, label)| label == netlink::LABEL)
}

/// How the LAN is looked at.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    /// Only these interfaces; empty: all.
    pub(crate) interfaces: Vec<String>,
    /// Whether RTSP ports on the box's own subnets are tried.
    pub(crate) sweep: bool,
    /// Where it is remembered which devices of other subnets the owner asked to reach.
    pub(crate) state_dir: Option<PathBuf>,
}

/// A running discovery. Dropping it ends all its tasks and closes all its sockets.
#[derive(Debug)]
pub(crate) struct Lan {
    found: Arc<Found>,
    reach: Reach,
    tasks: AbortHandle,
}

/// Starts to look for cameras. Called within a tokio runtime that has IO and time.
pub(crate) fn start(options: Options) -> Lan {
    let found = Arc::new(Found::new());
    let (reach, inbox) = Reach::new();
    let tasks = tokio::spawn(run(options, Arc::clone(&found), inbox)).abort_handle();
    Lan { found, reach, tasks }
}

impl Lan {
    /// The devices known now. `last_heard_ms` is milliseconds since the Unix epoch by the clock as it was when
    /// discovery started; it never goes back.
    pub(crate) fn devices(&self) -> Vec<Device> {
        self.found.devices()
    }

    /// By which devices of other subnets are reached.
    pub(crate) fn reach(&self) -> Reach {
        self.reach.clone()
    }

    /// A number that grows whenever [`Self::devices`] says something new. `changed()` on it ends with an error when
    /// the `Lan` was dropped.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.found.changes()
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        self.tasks.abort();
    }
}

/// Everything, until dropped.
async fn run(options: Options, found: Arc<Found>, inbox: Inbox) {
    let cards = Cards::default();
    let wire = match Wire::open() {
        Ok(wire) => Some(Arc::new(wire)),
        Err(error) => {
            tracing::info!(%error, "cannot hear what passes by (CAP_NET_RAW): cameras of other networks may stay unseen, and cannot be reached");
            None
        }
    };
    let state_dir = options.state_dir.clone();
    let means = Means { cards: cards.clone(), found: Arc::clone(&found), wire: wire.clone(), state_dir };
    // First of all: an address that an earlier run has left is none to look for cameras from.
    let leases = Leases::open(means);
    let pass_by = async {
        if let Some(wire) = &wire {
            wire.run(&cards, &found).await;
        }
    };
    tokio::join!(
        watch_interfaces(options, &found, &cards),
        neighbours::run(cards.clone(), Arc::clone(&found)),
        pass_by,
        leases.serve(inbox),
    );
}

/// Keeps one set of tasks per link. The sets are dropped with this future, and a dropped set ends its tasks.
async fn watch_interfaces(options: Options, found: &Arc<Found>, cards: &Cards) {
    let seats = Arc::new(Semaphore::new(sweep::AT_ONCE));
    let mut running: BTreeMap<Link, JoinSet<()>> = BTreeMap::new();
    let mut complained = false;
    loop {
        match interfaces::list(&options.interfaces) {
            Ok(links) => {
                cards.set(interfaces::cards(&options.interfaces).unwrap_or_default());
                running.retain(|link, _| links.contains(link));
                for link in links {
                    running.entry(link.clone()).or_insert_with(|| begin(&link, &options, found, &seats));
                }
            }
            Err(error) if !complained => {
                complained = true;
                tracing::warn!(%error, "cannot list network interfaces: cameras are found only where they were looked for so far");
            }
            Err(_) => {}
        }
        found.expire();
        sleep(LOOK_EVERY).await;
    }
}

fn begin(link: &Link, options: &Options, found: &Arc<Found>, seats: &Arc<Semaphore>) -> JoinSet<()> {
    tracing::info!(interface = %link.name, address = %link.network.own, "looking for cameras");
    let mut tasks = JoinSet::new();
    tasks.spawn(wsd::run(link.clone(), Arc::clone(found)));
    tasks.spawn(mdns::run(link.clone(), Arc::clone(found)));
    tasks.spawn(ssdp::run(link.clone(), Arc::clone(found)));
    tasks.spawn(sadp::run(link.clone(), Arc::clone(found)));
    tasks.spawn(dhip::run(link.clone(), Arc::clone(found)));
    // Of a borrowed subnet only the device is known to be anybody's business.
    if options.sweep && !link.borrowed && link.network.is_swept() {
        tasks.spawn(sweep::run(link.clone(), Arc::clone(found), Arc::clone(seats)));
    }
    tasks
}
