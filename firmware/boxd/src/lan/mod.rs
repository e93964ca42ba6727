//! The LAN: sockets, timers and interfaces around the pure crate [`discovery`].
//!
//! One set of tasks per network interface and address of the box, so that a camera on the interface without the
//! default route is found too: three conversations ([`wsd`], [`mdns`], [`ssdp`]) over a multicast group, and one
//! RTSP [`sweep`]. [`start`] begins them, dropping the [`Lan`] ends them all. Nothing here holds or sends a
//! credential, and nothing is sent to an address that did not answer, but for the sweep of the box's own subnets.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "this is discovery's IO shell")]

mod found;
mod group;
mod interfaces;
mod mdns;
#[cfg(test)]
mod scenario;
mod ssdp;
mod sweep;
mod wsd;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use model::Device;
use tokio::{
    sync::{Semaphore, watch},
    task::{AbortHandle, JoinSet},
    time::sleep,
};

use self::{found::Found, interfaces::Link};

/// How often interfaces are listed and old facts forgotten. A listing costs three system calls.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How the LAN is looked at.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    /// Only these interfaces; empty: all.
    pub(crate) interfaces: Vec<String>,
    /// Whether RTSP ports on the box's own subnets are tried.
    pub(crate) sweep: bool,
}

/// A running discovery. Dropping it ends all its tasks and closes all its sockets.
#[derive(Debug)]
pub(crate) struct Lan {
    found: Arc<Found>,
    watcher: AbortHandle,
}

/// Starts to look for cameras. Called within a tokio runtime that has IO and time.
pub(crate) fn start(options: Options) -> Lan {
    let found = Arc::new(Found::new());
    let watcher = tokio::spawn(watch_interfaces(options, Arc::clone(&found))).abort_handle();
    Lan { found, watcher }
}

impl Lan {
    /// The devices known now. `last_heard_ms` is milliseconds since the Unix epoch by the clock as it was when
    /// discovery started; it never goes back.
    pub(crate) fn devices(&self) -> Vec<Device> {
        self.found.devices()
    }

    /// A number that grows whenever [`Self::devices`] says something new. `changed()` on it ends with an error when
    /// the `Lan` was dropped.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.found.changes()
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        self.watcher.abort();
    }
}

/// Keeps one set of tasks per link. The sets are dropped with this future, and a dropped set ends its tasks.
async fn watch_interfaces(options: Options, found: Arc<Found>) {
    let seats = Arc::new(Semaphore::new(sweep::AT_ONCE));
    let mut running: BTreeMap<Link, JoinSet<()>> = BTreeMap::new();
    let mut complained = false;
    loop {
        match interfaces::list(&options.interfaces) {
            Ok(links) => {
                running.retain(|link, _| links.contains(link));
                for link in links {
                    running.entry(link.clone()).or_insert_with(|| begin(&link, &options, &found, &seats));
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
    if options.sweep && link.network.is_swept() {
        tasks.spawn(sweep::run(link.clone(), Arc::clone(found), Arc::clone(seats)));
    }
    tasks
}
