//! Cameras without a box: their pictures come to this cloud itself, and from here they go out by the same kind of link.
//!
//! ```text
//! camera ──RTSP──▶ cloud puller (sandboxed) ──socket pairs──┐
//! exec command ──MPEG-TS──▶ demux ──────────────────────────┼─▶ Here: a Feed each ──▶ gateway
//! encoder ──RTMP──▶ rtmp ───────────────────────────────────┘
//! ```
//!
//! A camera behind a WireGuard peer is pulled like any other, at the near end of a [`Pipe`](crate::peer::Pipe).
//!
//! * [`Here`] holds the feeds by the first segment of their links; whoever fills one asks it for the feed.
//! * [`Rule`] says which addresses are contacted for a camera. [`pull`] keeps one read, [`puller`] is the process that
//!   reads it, [`exec`] runs commands.
//! * [`Ingest`] starts and ends what the configuration names; [`sources`] follows what tenants have in the store, which they
//!   add at the [`SourceDesk`]; [`ping`] asks their ports, and [`report`] tells the store how they are.
//! * Where several clouds share the database, [`Claims`] and [`arrivals`] tell it which encoders and peers have come to this one.

mod api;
mod arrivals;
mod claims;
mod exec;
mod floor;
mod here;
mod logins;
mod ping;
mod pull;
mod puller;
mod report;
#[cfg(test)]
mod sample;
mod seal;
mod settings;
mod sources;
mod target;
mod wired;

use std::net::IpAddr;
use std::sync::Arc;

use anyhow::Context as _;
use camera::Source;
use nix::ifaddrs::getifaddrs;
use tokio::task::JoinSet;
use tunnel::io::Handle;

use crate::config::{Camera, Config, From};
use crate::status::Status;
use logins::Logins;
use ping::Pings;
use pull::Pulling;
use puller::Pool;
use seal::Safe;
use sources::Sources;

pub use api::SourceDesk;
pub use claims::{Claim, Claims};
pub use floor::{floor, keep_floor};
pub use here::Here;
pub use puller::run as run_puller;
pub use target::{Forbidden, Rule};
pub use wired::Wiring;

/// What takes cameras in.
pub struct Ingest {
    here: Here,
    pulling: Arc<Pulling>,
    tasks: JoinSet<()>,
}

impl Ingest {
    /// Takes in what the configuration names, and what tenants have, be it behind peers of this tunnel, and writes down what
    /// encoders claim. To be called within a runtime.
    ///
    /// # Errors
    /// When the database does not say by what key passwords are sealed.
    pub async fn start(
        config: &Config,
        status: &Status,
        here: Here,
        claims: Claims,
        tunnel: Handle,
    ) -> anyhow::Result<Self> {
        let store = status.store();
        let key = store.password_key().await?;
        let safe = Safe::new(&key).context("a key of another length")?;
        let pings = Pings::new();
        let pulling = Arc::new(Pulling {
            pool: Pool::default(),
            rule: rule(config),
            logins: Logins::default(),
            pings: pings.clone(),
        });
        let mut ingest = Self { here: here.clone(), pulling: pulling.clone(), tasks: JoinSet::new() };
        for camera in &config.cameras {
            ingest.take(camera);
        }
        ingest.tasks.spawn(arrivals::keep(store.clone(), tunnel.clone()));
        ingest.tasks.spawn(claims.clone().write(store.clone()));
        let sources = Sources::new(store.clone(), here.clone(), claims, pulling, safe, tunnel);
        ingest.tasks.spawn(sources.follow());
        ingest.tasks.spawn(report::keep(status.clone(), here));
        ingest.tasks.spawn(pings.keep());
        Ok(ingest)
    }

    fn take(&mut self, camera: &Camera) {
        let feed = self.here.put(&camera.id, true);
        match &camera.from {
            From::Pull(source) => {
                // Nobody is told how those of the configuration were.
                self.tasks.spawn(pull::keep(self.pulling.clone(), Source::clone(source), feed, None));
            }
            From::Exec(command) => {
                self.tasks.spawn(exec::keep(camera.id.clone(), command.clone(), feed));
            }
            // Whoever has the key fills it.
            From::Push(_) => {}
        }
    }

    /// Ends every process that was started.
    pub async fn end(mut self) {
        self.tasks.shutdown().await;
    }
}

/// What this cloud contacts.
pub fn rule(config: &Config) -> Rule {
    Rule { private: config.allow_private, own: own_addresses() }
}

/// The addresses of this machine.
fn own_addresses() -> Vec<IpAddr> {
    let Ok(interfaces) = getifaddrs() else { return Vec::new() };
    interfaces
        .filter_map(|interface| {
            let address = interface.address?;
            let four = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
            four.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
        })
        .collect()
}
