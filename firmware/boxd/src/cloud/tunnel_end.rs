//! The box's end of the tunnel: brought up, kept, told of; and all that goes through it.
//!
//! Without the rights that a tunnel needs the box says so and goes on for its own network.

use std::collections::VecDeque;
use std::future::pending;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::tunnel::client::{self, ClientStatus};
use ::tunnel::io::{Handle, Namespace, Options, Tunnel};
use ::tunnel::net::Cidr;
use hyper::Method;
use model::enrol::{Hub, Joined};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::client::{Client, Obstacle};
use super::identity::Keys;
use super::join::{self, REVOKED};
use super::meter::Meter;
use super::pause::{Pause, jittered};
use super::time::Time;
use super::view::TunnelStatus;
use super::{Files, hubs, membership, report, uplink};
use crate::door;
use crate::state::Shared;

/// The device's name, in a network namespace of its own.
const INTERFACE: &str = "streambox";
/// Largest packet inside, bytes, until probing finds more: every IPv6 path carries it (RFC 8200, 5).
const MTU: u16 = 1280;
/// The only peer is the hub: more than a handshake a second is an attack.
const HANDSHAKES: u64 = 10;
/// Where the gateway fetches media.
const PORT: u16 = 80;
/// Between two looks at the tunnel; the bit rate counts on it.
const LOOK: Duration = Duration::from_secs(1);
/// A tunnel that has been down for this long is worth a sentence.
const PATIENCE: Duration = Duration::from_secs(10);
/// After so long without a tunnel the cloud is asked over HTTPS whether it still knows the box; then ever more rarely.
const DOUBT: Duration = Duration::from_secs(30);
const DOUBTS: (Duration, Duration) = (Duration::from_secs(120), Duration::from_secs(1800));
/// Before a tunnel that could not be made is tried again.
const AGAIN: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(600));
/// The cloud is asked for the time for this long, then the box assumes one; each question takes at most the latter.
const CLOCK_PATIENCE: Duration = Duration::from_secs(60);
const CLOCK_ASKED: Duration = Duration::from_secs(5);
/// Looks over which the sent bit rate is averaged: 30 s.
const RATE: usize = 31;

/// What none of its parts ever does.
const ENDED: &str = "A part of the tunnel has ended; the tunnel is made anew.";

/// Why the box has no cloud any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// The cloud wants nothing to do with it.
    Revoked,
    /// Its owner has given it away, or the cloud knows nothing of it: whoever has it may claim it.
    Released,
}

/// Everything that the tunnel serves or needs.
pub(super) struct End<'a> {
    pub(super) shared: &'a Shared,
    pub(super) client: &'a Client,
    pub(super) keys: &'a Keys,
    pub(super) time: &'a Arc<Time>,
    pub(super) joined: &'a Joined,
    pub(super) files: &'a Files,
}

/// Why a tunnel was given up.
enum Left {
    Over(Over),
    /// The hub in use is silent, and the cloud has told of others since: their list, best first.
    OtherHubs(Vec<Hub>),
}

impl End<'_> {
    /// Keeps the tunnel up until the cloud says that it is over.
    pub(super) async fn keep(&self) -> Over {
        let mut pause = Pause::new(AGAIN);
        let mut hubs = self.joined.hubs.clone();
        loop {
            let address = self.joined.address.to_string();
            let fresh = TunnelStatus { address, mtu: MTU, ..TunnelStatus::default() };
            self.shared.cloud().update(|status| status.tunnel = Some(fresh));
            let served = match self.open() {
                Ok((tunnel, listener)) => Box::pin(self.serve(&tunnel.handle(), listener, &hubs)).await,
                Err(sentence) => Err(sentence),
            };
            let sentence = match served {
                Ok(Left::Over(over)) => return over,
                Ok(Left::OtherHubs(others)) => {
                    tracing::info!("the hub is silent; trying those that the cloud has told of since");
                    hubs = others;
                    continue;
                }
                Err(sentence) => sentence,
            };
            tracing::warn!("{sentence}");
            self.obstacle(Some(sentence));
            tokio::time::sleep(pause.next()).await;
        }
    }

    /// Makes the device and the listening socket inside.
    fn open(&self) -> Result<(Tunnel, TcpListener), String> {
        let options = Options {
            private: self.keys.tunnel.clone(),
            addresses: vec![Cidr::host(IpAddr::V4(self.joined.address))],
            mtu: MTU,
            listen: None,
            handshakes_per_second: HANDSHAKES,
            interface: INTERFACE.to_owned(),
            namespace: Namespace::Own,
        };
        let sentence = |error: &dyn std::fmt::Display| {
            format!(
                "The tunnel to the cloud cannot be made, so the public links do not work; the pages on this network \
                 do. Start boxd as root, or with CAP_NET_ADMIN, CAP_SYS_ADMIN and /dev/net/tun: {error}."
            )
        };
        let tunnel = Tunnel::start(options).map_err(|error| sentence(&error))?;
        let listener = tunnel.handle().listen_tcp((self.joined.address, PORT).into());
        let listener = listener.and_then(TcpListener::from_std).map_err(|error| sentence(&error))?;
        Ok((tunnel, listener))
    }

    async fn serve(&self, handle: &Handle, listener: TcpListener, hubs: &[Hub]) -> Result<Left, String> {
        let (told, news) = watch::channel(Vec::new());
        let options = client::Options { tls: self.client.tls(), seed: RandomState::new().hash_one(0) };
        let way = client::Client::start(handle.clone(), hubs, options)
            .map_err(|error| format!("The cloud's answer cannot be used: {error}. Ask its operator."))?;
        let status = way.status();
        let inner = || {
            let used = status.borrow().hub.clone();
            let hub = hubs.iter().find(|hub| hub.endpoints.first() == used.as_ref()).or(hubs.first());
            hub.map_or(self.joined.address, |hub| hub.inner)
        };
        let meter = Arc::new(Meter::default());
        // Only the last two of them ever end.
        tokio::select! {
            () = door::inner::serve(listener, self.shared.clone(), meter.clone()) => Err(ENDED.to_owned()),
            () = uplink::keep(self.shared, &meter) => Err(ENDED.to_owned()),
            () = report::keep(self.shared, self.time, handle, status.clone(), inner, &told) => Err(ENDED.to_owned()),
            () = self.follow_clock(handle) => Err(ENDED.to_owned()),
            () = self.settle_clock() => Err(ENDED.to_owned()),
            others = self.keep_hubs(hubs, news, status.clone()) => Ok(Left::OtherHubs(others)),
            over = self.watch(handle, &status, hubs) => Ok(Left::Over(over)),
        }
    }

    /// Keeps what the cloud tells of its hubs, and ends when the one in use is silent and there are others than those that
    /// are being tried.
    async fn keep_hubs(
        &self,
        hubs: &[Hub],
        mut news: watch::Receiver<Vec<Hub>>,
        mut way: watch::Receiver<ClientStatus>,
    ) -> Vec<Hub> {
        let mut kept = hubs.to_vec();
        loop {
            let used = way.borrow().hub.clone();
            let told = hubs::usable(&news.borrow_and_update(), hubs, used.as_ref());
            if let Some(told) = told.filter(|told| !hubs::same(told, &kept)) {
                match membership::keep(self.files, self.client.address(), &hubs::with(self.joined, &told)) {
                    Ok(()) => tracing::info!(hubs = told.len(), "the cloud has told of other hubs"),
                    // They are good until the next start all the same.
                    Err(error) => tracing::warn!(%error, "cannot keep the cloud's hubs ([state] dir)"),
                }
                kept = told;
            }
            let silent = {
                let way = way.borrow_and_update();
                way.hub.clone().filter(|_| !way.stands)
            };
            if silent.is_some() && !hubs::same(&kept, hubs) {
                return hubs::after(&kept, silent.as_ref());
            }
            tokio::select! {
                Ok(()) = news.changed() => {}
                Ok(()) = way.changed() => {}
                else => pending().await,
            }
        }
    }

    /// Whenever the clock jumps, the tunnel takes it anew: the hub refuses stamps that are not later than the last.
    async fn follow_clock(&self, handle: &Handle) {
        let mut jumps = self.time.jumps();
        while jumps.changed().await.is_ok() {
            handle.rebuild_clock();
        }
    }

    /// A clock that was behind at the start may be minutes behind the last handshake of an earlier run, and the hub then
    /// refuses the tunnel: the cloud is asked for the time beside it.
    async fn settle_clock(&self) {
        let began = Instant::now();
        while self.time.is_unsure() {
            // Any answer tells the time; a failure is somebody else's to show.
            let _ = tokio::time::timeout(CLOCK_ASKED, self.client.ask(Method::GET, "/healthz", None)).await;
            if self.time.is_unsure() && began.elapsed() >= CLOCK_PATIENCE {
                self.time.assume();
            }
            tokio::time::sleep(LOOK).await;
        }
        pending::<()>().await;
    }

    /// Shows how the tunnel is. When it stays down, asks the cloud over HTTPS whether it still knows the box.
    async fn watch(&self, handle: &Handle, way: &watch::Receiver<ClientStatus>, hubs: &[Hub]) -> Over {
        let mut sent = VecDeque::new();
        let mut doubts = Pause::new(DOUBTS);
        let mut down_since = Instant::now();
        let mut doubt_at = down_since + jittered(DOUBT);
        let mut probed = None;
        loop {
            tokio::time::sleep(LOOK).await;
            let seen = way.borrow().clone();
            let now = Instant::now();
            if seen.stands {
                (down_since, doubt_at) = (now, now + jittered(DOUBT));
                doubts.reset();
                if seen.hub != probed {
                    self.probe(handle, seen.hub.as_ref(), hubs);
                    probed.clone_from(&seen.hub);
                }
            }
            self.show(handle, &seen, now.duration_since(down_since), &mut sent);
            if now >= doubt_at {
                match join::standing(self.client, self.keys, self.shared.whereabouts()).await {
                    Err(join::Failed { obstacle: Obstacle::Refused { status: REVOKED, .. }, .. }) => {
                        return Over::Revoked;
                    }
                    Ok(standing) if !standing.member => return Over::Released,
                    // Without HTTPS either, the network is what is wrong.
                    Err(failed) => self.obstacle(Some(failed.obstacle.to_string())),
                    Ok(_) => {}
                }
                doubt_at = Instant::now() + doubts.next();
            }
        }
    }

    /// Finds how large packets to this hub may be.
    fn probe(&self, handle: &Handle, endpoint: Option<&String>, hubs: &[Hub]) {
        let used = hubs.iter().find(|hub| hub.endpoints.first() == endpoint);
        let Some(hub) = used else { return };
        if let Ok(key) = hub.public_key.parse() {
            handle.probe_mtu(key, self.joined.address, hub.inner);
        }
    }

    fn show(&self, handle: &Handle, way: &ClientStatus, down: Duration, sent: &mut VecDeque<u64>) {
        let peers = handle.status();
        let sent_bytes: u64 = peers.iter().map(|peer| peer.tx_bytes).sum();
        let received_bytes = peers.iter().map(|peer| peer.rx_bytes).sum();
        sent.push_back(sent_bytes);
        if sent.len() > RATE {
            sent.pop_front();
        }
        let bytes = sent_bytes.saturating_sub(sent.front().copied().unwrap_or(0));
        let seconds = (sent.len() as u64).saturating_sub(1).max(1);
        let clock = self.time.sentence();
        let mtu = handle.probed_mtu().unwrap_or(MTU);
        self.shared.cloud().update(|status| {
            status.clock = clock;
            status.uplink.sent_bit_rate = bytes * 8 / seconds;
            let Some(tunnel) = &mut status.tunnel else { return };
            tunnel.up = way.stands;
            tunnel.mtu = mtu;
            tunnel.via = way.via.map(|via| via.name().to_owned()).unwrap_or_default();
            tunnel.hub = way.hub.clone().unwrap_or_default();
            tunnel.last_handshake = peers.iter().filter_map(|peer| peer.last_handshake).min();
            (tunnel.sent_bytes, tunnel.received_bytes) = (sent_bytes, received_bytes);
            if way.stands {
                tunnel.obstacle = None;
            } else if down >= PATIENCE && tunnel.obstacle.is_none() {
                tunnel.obstacle = Some(down_sentence(way));
            }
        });
    }

    fn obstacle(&self, sentence: Option<String>) {
        self.shared.cloud().update(|status| {
            if let Some(tunnel) = &mut status.tunnel {
                tunnel.obstacle = sentence;
            }
        });
    }
}

/// What the owner reads while no way leads to the cloud.
fn down_sentence(way: &ClientStatus) -> String {
    let tls = way.trouble.as_ref().map(|trouble| format!(" ({trouble})")).unwrap_or_default();
    format!(
        "The cloud answers neither over UDP nor through TLS{tls}: check that this network has Internet access. The box \
         keeps trying, and the pages on this network go on."
    )
}
