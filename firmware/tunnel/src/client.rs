//! The box's way to its cloud, kept open by itself: drives [`Route`] with the clock, the DNS, the tunnel's peers and
//! WebSockets. One task; dropping the [`Client`] ends it and closes what it opened, the tunnel itself stays.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the driver of the route is the shell that owns its clock and tasks"
)]

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::carrier;
use crate::io::Handle;
use crate::keys::PublicKey;
use crate::net::Cidr;
use crate::peers::{CarrierId, Peer, Remote};
use crate::route::{Action, Route};

mod moment;

use moment::Moment;

/// How often peers are looked at.
const TICK: Duration = Duration::from_millis(250);
/// The DNS may take so long; an answer that comes later is asked for again.
const DNS_PATIENCE: Duration = Duration::from_secs(8);
/// Ways that are remembered per hub, enough for all that can still be answered.
const TRIED: usize = 32;
/// Questions to the DNS under way for one hub: a resolver that hangs must not stop a better one from being asked.
const DNS_QUESTIONS: u8 = 3;

/// What a client needs beside the tunnel and the hubs.
#[derive(Clone)]
pub struct Options {
    /// Whom to trust with the WebSocket's TLS.
    pub tls: Arc<rustls::ClientConfig>,
    /// Spreads many boxes over time: different on each, of no secrecy.
    pub seed: u64,
}

/// Over what the tunnel goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// UDP.
    Udp,
    /// A WebSocket, as a rule over TLS.
    Tls,
}

impl Via {
    /// Its word in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tls => "tls",
        }
    }
}

/// What is known of the way.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClientStatus {
    /// The endpoint of the hub in use, as the cloud named it.
    pub hub: Option<String>,
    /// Over what.
    pub via: Option<Via>,
    /// The hub has answered lately; false while every way is being tried.
    pub stands: bool,
    /// Since when it has stood, or not stood.
    pub since: Option<Instant>,
    /// Seconds since the last handshake.
    pub last_handshake_s: Option<u64>,
    /// Why TLS does not work, when it was needed.
    pub trouble: Option<String>,
}

/// A hub whose key cannot be read, or no hub at all.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// A key.
    #[error("the cloud named a hub with an unreadable key")]
    Key,
    /// An empty list.
    #[error("the cloud named no hub")]
    NoHub,
}

/// A client that runs.
#[derive(Debug)]
pub struct Client {
    status: watch::Receiver<ClientStatus>,
    task: AbortHandle,
}

impl Client {
    /// Begins to look for a way to `hubs`, best first, and keeps it. Call it within a tokio runtime. The hubs become peers
    /// of the tunnel; only the one in use may send from its address inside.
    ///
    /// # Errors
    /// When `hubs` cannot be used.
    pub fn start(handle: Handle, hubs: &[model::enrol::Hub], options: Options) -> Result<Self, Error> {
        let ends: Vec<End> = hubs.iter().map(End::new).collect::<Result<_, _>>()?;
        if ends.is_empty() {
            return Err(Error::NoHub);
        }
        for end in &ends {
            handle.put(end.peer(false, None));
        }
        let (status, receiver) = watch::channel(ClientStatus::default());
        let (events, inbox) = mpsc::channel(64);
        let takes_carrier: Vec<bool> = ends.iter().map(|end| end.carrier.is_some()).collect();
        let route = Route::new(takes_carrier, Instant::now(), options.seed);
        let driver =
            Driver { handle, ends, options, route, events, tasks: JoinSet::new(), status, opened: 0 };
        let task = tokio::spawn(driver.run(inbox)).abort_handle();
        Ok(Self { status: receiver, task })
    }

    /// What is known of the way; hears of changes, except of the seconds since the last handshake.
    pub fn status(&self) -> watch::Receiver<ClientStatus> {
        self.status.clone()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A hub as the driver knows it.
struct End {
    public: PublicKey,
    endpoints: Vec<String>,
    carrier: Option<String>,
    inner: Ipv4Addr,
    handshake: Moment,
    empty: Moment,
    received: Moment,
    questions: u8,
    /// The ways over which handshakes were begun, the latest last.
    tried: VecDeque<Remote>,
    /// The WebSocket, or the attempt to open one, by number.
    connection: Option<(u64, AbortHandle)>,
}

impl End {
    fn new(hub: &model::enrol::Hub) -> Result<Self, Error> {
        Ok(Self {
            public: hub.public_key.parse().map_err(|_| Error::Key)?,
            endpoints: hub.endpoints.clone(),
            carrier: hub.carrier.clone(),
            inner: hub.inner,
            handshake: Moment::default(),
            empty: Moment::default(),
            received: Moment::default(),
            questions: 0,
            tried: VecDeque::new(),
            connection: None,
        })
    }

    fn peer(&self, in_use: bool, remote: Option<Remote>) -> Peer {
        let inner = Cidr { address: IpAddr::V4(self.inner), prefix: 32 };
        Peer {
            public: self.public,
            preshared: None,
            allowed: if in_use { vec![inner] } else { Vec::new() },
            remote,
            keepalive_s: None, // the route pings
        }
    }
}

/// What the driver's tasks say.
enum Event {
    Resolved(usize, Vec<SocketAddr>),
    Opened(usize, u64, CarrierId),
    Closed(usize, u64, carrier::Error),
}

struct Driver {
    handle: Handle,
    ends: Vec<End>,
    options: Options,
    route: Route,
    events: mpsc::Sender<Event>,
    tasks: JoinSet<()>,
    status: watch::Sender<ClientStatus>,
    opened: u64,
}

impl Driver {
    async fn run(mut self, mut inbox: mpsc::Receiver<Event>) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick() => self.look(),
                Some(event) = inbox.recv() => self.hear(event),
                Some(_) = self.tasks.join_next() => continue,
            }
            self.act();
            self.publish();
        }
    }

    /// Tells the route what the peers have seen.
    fn look(&mut self) {
        for hub in 0..self.ends.len() {
            let Some(end) = self.ends.get_mut(hub) else { continue };
            let public = end.public;
            let before = Instant::now();
            let Some(peer) = self.handle.peer(&public) else { continue };
            let between = (before, Instant::now());
            let news = end.handshake.moved(peer.last_handshake, between);
            if let (Some(at), Some(over)) = (news, peer.handshake_over)
                && self.whose(public, over) == hub
            {
                self.route.answered(hub, over, at);
            }
        }
        self.act();
        let now = Instant::now();
        let Some(active) = self.route.active() else { return };
        let Some(end) = self.ends.get_mut(active.hub) else { return };
        let Some(peer) = self.handle.peer(&end.public) else { return };
        let between = (now, Instant::now());
        if let Some(at) = end.received.moved(peer.last_received, between) {
            self.route.heard(active.hub, at);
        }
        if let Some(at) = end.empty.moved(peer.last_empty, between) {
            self.route.proven(active.hub, at);
        }
        self.route.carried(peer.rx_bytes + peer.tx_bytes, now);
        if let Some(remote) = peer.remote {
            self.route.moved(active.hub, remote);
        }
    }

    /// Which hub this way leads to: hubs may share a key, and are then one peer with several ways.
    fn whose(&self, public: PublicKey, over: Remote) -> usize {
        let mut same = self.ends.iter().enumerate().filter(|(_, end)| end.public == public);
        let tried = same.clone().find(|(_, end)| end.tried.contains(&over));
        tried.or_else(|| same.next()).map_or(0, |(hub, _)| hub)
    }

    fn hear(&mut self, event: Event) {
        let now = Instant::now();
        match event {
            Event::Resolved(hub, addresses) => {
                if let Some(end) = self.ends.get_mut(hub) {
                    end.questions = end.questions.saturating_sub(1);
                }
                self.route.resolved(hub, addresses, now);
            }
            Event::Opened(hub, number, id) => {
                if self.is_current(hub, number) {
                    self.route.carrier_opened(hub, id);
                }
            }
            Event::Closed(hub, number, error) => {
                if self.is_current(hub, number) {
                    tracing::debug!("the tunnel's WebSocket: {error}");
                    self.status.send_if_modified(|status| {
                        let trouble = Some(error.to_string());
                        core::mem::replace(&mut status.trouble, trouble.clone()) != trouble
                    });
                    self.route.carrier_closed(hub, now);
                }
            }
        }
    }

    fn is_current(&self, hub: usize, number: u64) -> bool {
        self.ends
            .get(hub)
            .and_then(|end| end.connection.as_ref())
            .is_some_and(|(current, _)| *current == number)
    }

    /// Does what the route wants, until it wants nothing.
    fn act(&mut self) {
        self.route.tick(Instant::now());
        while let Some(action) = self.route.poll() {
            match action {
                Action::Resolve { hub } => self.resolve(hub),
                Action::Handshake { hub, via } => {
                    if let Some(end) = self.ends.get_mut(hub) {
                        end.tried.retain(|known| *known != via);
                        end.tried.push_back(via);
                        if end.tried.len() > TRIED {
                            end.tried.pop_front();
                        }
                        self.handle.renew(&end.public, Some(via));
                    }
                }
                Action::Use { hub, via } => {
                    if let Some(end) = self.ends.get(hub) {
                        self.handle.put(end.peer(true, Some(via)));
                        // The hub moves only for a data packet.
                        self.handle.ping(&end.public);
                    }
                }
                Action::Ping { hub } => {
                    if let Some(end) = self.ends.get(hub) {
                        self.handle.ping(&end.public);
                    }
                }
                Action::OpenCarrier { hub } => self.open(hub),
                Action::CloseCarrier { hub } => self.close(hub),
            }
        }
    }

    fn resolve(&mut self, hub: usize) {
        let Some(end) = self.ends.get_mut(hub) else { return };
        if end.questions >= DNS_QUESTIONS {
            return;
        }
        end.questions += 1;
        let (endpoints, events) = (end.endpoints.clone(), self.events.clone());
        self.tasks.spawn(async move {
            let questions = endpoints
                .iter()
                .map(|endpoint| timeout(DNS_PATIENCE, tokio::net::lookup_host(endpoint.as_str())));
            let answers = join_all(questions).await;
            let addresses = answers.into_iter().flatten().flatten().flatten().collect();
            let _ = events.send(Event::Resolved(hub, addresses)).await;
        });
    }

    fn open(&mut self, hub: usize) {
        self.close(hub);
        let Some(end) = self.ends.get_mut(hub) else { return };
        let Some(url) = end.carrier.clone() else { return };
        self.opened += 1;
        let (number, events) = (self.opened, self.events.clone());
        let (handle, tls) = (self.handle.clone(), self.options.tls.clone());
        let task = self.tasks.spawn(async move {
            let error = match carrier::client::dial(&url, &tls).await {
                Ok(socket) => {
                    let mut carrier = handle.carrier();
                    let _ = events.send(Event::Opened(hub, number, carrier.id)).await;
                    let (deliver, outgoing) = carrier.ends();
                    carrier::pump(socket, deliver, outgoing).await
                }
                Err(error) => error,
            };
            let _ = events.send(Event::Closed(hub, number, error)).await;
        });
        end.connection = Some((number, task));
    }

    fn close(&mut self, hub: usize) {
        if let Some((_, task)) = self.ends.get_mut(hub).and_then(|end| end.connection.take()) {
            task.abort();
        }
    }

    fn publish(&mut self) {
        let active = self.route.active();
        let stands = self.route.stands();
        let end = active.and_then(|active| self.ends.get(active.hub));
        let via = active.map(|active| match active.via {
            Remote::Udp(_) => Via::Udp,
            Remote::Carrier(_) => Via::Tls,
        });
        let hub = end.and_then(|end| end.endpoints.first().cloned());
        let last_handshake_s = end.and_then(|end| end.handshake.elapsed()).map(|time| time.as_secs());
        self.status.send_if_modified(|status| {
            status.last_handshake_s = last_handshake_s;
            let changed =
                status.stands != stands || status.via != via || status.hub != hub || status.since.is_none();
            if changed {
                if status.stands != stands || status.since.is_none() {
                    status.since = Some(Instant::now());
                }
                if stands && via == Some(Via::Udp) {
                    status.trouble = None;
                }
                log(stands, via, active.map(|active| active.via));
                (status.stands, status.via, status.hub) = (stands, via, hub);
            }
            changed
        });
    }
}

fn log(stands: bool, via: Option<Via>, remote: Option<Remote>) {
    match (stands, via, remote) {
        (true, Some(Via::Udp), Some(Remote::Udp(address))) => {
            tracing::info!("the tunnel goes by UDP to {address}");
        }
        (true, ..) => tracing::info!("the tunnel goes by TLS: UDP gets no answer"),
        (false, Some(_), _) => tracing::warn!("the cloud does not answer; trying every way"),
        (false, None, _) => {}
    }
}
