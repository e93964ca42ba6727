//! The kernel's neighbour table: whoever spoke ARP with the box, though it answers no other question. Needs no rights.

use std::{io, net::IpAddr, sync::Arc, time::Duration};

use discovery::ether::Station;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::{
    found::Found,
    netlink::{Neighbours, Netlink},
    wire::Cards,
};

/// How often the whole table is read, beside what the kernel tells by itself.
const EVERY: Duration = Duration::from_secs(30);
/// Pause after an error.
const PAUSE: Duration = Duration::from_secs(30);

pub(super) async fn run(cards: Cards, found: Arc<Found>) {
    let mut complained = false;
    loop {
        if let Err(error) = watch(&cards, &found).await
            && !complained
        {
            complained = true;
            tracing::warn!(%error, "cannot read the kernel's neighbours: cameras that answer no search stay unseen");
        }
        sleep(PAUSE).await;
    }
}

async fn watch(cards: &Cards, found: &Found) -> io::Result<()> {
    let netlink = Netlink::open()?;
    let mut news = Neighbours::open()?;
    let mut look = interval(EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let stations = tokio::select! {
            _ = look.tick() => netlink.neighbours()?,
            heard = news.read() => match heard {
                // Too much at once; the next look sees what was missed.
                Err(error) if error.raw_os_error() == Some(nix::libc::ENOBUFS) => Vec::new(),
                heard => heard?,
            },
        };
        for (index, station) in stations {
            if let Some(card) = cards.named(index) {
                tell(station, &card, found);
            }
        }
    }
}

/// Takes a station in, if its network card is one of a camera.
pub(super) fn tell(station: Station, interface: &str, found: &Found) {
    if let Some(answer) = station.answer() {
        found.hear(answer, IpAddr::V4(station.address), interface);
    }
}
