//! Reaching devices of another subnet: the box borrows an address beside the device, for as long as a camera is streamed there or for
//! a quarter of an hour.
//!
//! * Nothing is borrowed unless the owner asked for that very device; what was asked for is remembered in the state directory, so
//!   that a camera that is streamed is reached again after a restart.
//! * Before, ARP must show that the device answers, that it is the one that was heard, and that the address is free.
//! * A borrowed address carries our tag and a lifetime ([`super::netlink`]). It goes when it is no longer needed, when somebody else
//!   claims it, when the box stops; after a crash the next start takes it away, or the kernel does.

mod lease;
mod plan;
mod refused;

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    sync::Arc,
};

use tokio::sync::{mpsc, oneshot, watch};

pub(crate) use self::lease::FILE;
pub(super) use self::lease::Leases;
pub(crate) use self::refused::Refused;
use super::{
    found::Found,
    wire::{Cards, Wire},
};

/// Requests that wait; each takes a second or two.
const QUEUE: usize = 16;

/// A handle by which devices of other subnets are reached. Cheap to clone; works from any thread and runtime.
#[derive(Debug, Clone)]
pub(crate) struct Reach {
    asks: mpsc::Sender<Ask>,
    streamed: watch::Sender<BTreeSet<IpAddr>>,
}

/// What the task is asked to do.
struct Ask {
    key: String,
    answer: oneshot::Sender<Result<Ipv4Addr, Refused>>,
}

/// What the task needs.
pub(super) struct Inbox {
    asks: mpsc::Receiver<Ask>,
    streamed: watch::Receiver<BTreeSet<IpAddr>>,
}

impl Reach {
    pub(super) fn new() -> (Self, Inbox) {
        let (asks, inbox) = mpsc::channel(QUEUE);
        let (streamed, addresses) = watch::channel(BTreeSet::new());
        (Self { asks, streamed }, Inbox { asks: inbox, streamed: addresses })
    }

    /// Makes a device reachable, because its owner asks for it, by its key as text. Gives the address where it answers; a camera that is made of
    /// it within a quarter of an hour, and named in [`Self::keep`], stays reachable. Takes up to 6 s.
    ///
    /// # Errors
    /// [`Refused`], whose sentence is for the owner.
    pub(crate) async fn reach(&self, key: &str) -> Result<Ipv4Addr, Refused> {
        let (answer, told) = oneshot::channel();
        self.asks.send(Ask { key: key.to_owned(), answer }).await.map_err(|_| Refused::Gone)?;
        told.await.unwrap_or(Err(Refused::Gone))
    }

    /// The addresses of all cameras that are to be streamed, wherever they are; told as often as one likes. What was borrowed for
    /// one of them stays, and is borrowed again after a restart.
    pub(crate) fn keep(&self, cameras: impl IntoIterator<Item = IpAddr>) {
        let now: BTreeSet<IpAddr> = cameras.into_iter().collect();
        self.streamed.send_if_modified(|known| {
            let changed = *known != now;
            *known = now;
            changed
        });
    }
}

/// What the task works with.
pub(super) struct Means {
    pub(super) cards: Cards,
    pub(super) found: Arc<Found>,
    pub(super) wire: Option<Arc<Wire>>,
    /// Where it remembers what was asked for; nowhere without.
    pub(super) state_dir: Option<PathBuf>,
}
