//! By which way the box reaches its cloud: which hub, which of its addresses, over UDP or inside a WebSocket.
//!
//! Only an answered handshake proves a way. Until the way in use has been silent for long enough to be doubted, nothing
//! is tried; while it is doubted, everything is tried and the first answer wins, with a head start for UDP and for the
//! hub in use; traffic never moves to a way that has not answered. Sans-IO: the driver brings time, DNS answers and what
//! the peer set has seen, calls [`Route::tick`] a few times a second and carries out what [`Route::poll`] gives until it
//! gives nothing.
//!
//! ```text
//!             answer over a way                2 pings and nothing heard, or the carrier closed
//!  searching ───────────────────▶ standing ──────────────────────────────────────────▶ searching
//!                                 │      ▲                                              │   ▲
//!                                 └──────┘ on TLS, or on a second-best hub:             └───┘ handshakes over every
//!                                          probe UDP; two answers running move it             address of every hub in
//!                                                                                             turn, then TLS beside it
//! ```
//!
//! A ping is an empty WireGuard packet, and the hub answers each with another: that proves both directions, which
//! WireGuard's own persistent keepalive does not, and it tells within seconds that a hub has lost its sessions by a
//! restart. What it costs over IPv4 (20 IP, 8 UDP, 32 WireGuard): 60 bytes each way every [`PING_IDLE`] seconds, 13 MB up
//! and 13 MB down in 30 days on a line that nobody watches.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::peers::{CarrierId, Remote};

mod candidate;
#[cfg(test)]
mod tests;

use candidate::{Candidate, Carrier};

/// From an answer to the next ping while nobody watches. Below the 30 s after which the hastiest NATs forget a UDP
/// mapping (RFC 4787 section 4.3 asks for 120 s; many give 30), with one ping to lose.
pub const PING_IDLE: Duration = Duration::from_secs(12);
/// The same while somebody watches: with [`PING_WAIT`] twice, a restarted hub is noticed after 6 s.
pub const PING_WATCHED: Duration = Duration::from_secs(3);
/// How long an answer to a ping may take before the next is sent.
pub const PING_WAIT: Duration = Duration::from_millis(1500);
/// Pings without an answer that put a silent way in doubt.
const PINGS: u32 = 2;
/// The same while other packets arrive: a full uplink delays pings, and moving would not empty it.
const PINGS_BUSY: u32 = 6;
/// More than this in [`WATCH_WINDOW`], both directions together, is somebody watching; reports and their answers stay
/// well below.
const WATCHED_BYTES: u64 = 96 * 1024;
/// The window in which [`WATCHED_BYTES`] are counted.
const WATCH_WINDOW: Duration = Duration::from_secs(30);
/// Head start of UDP before a WebSocket is opened beside it, and of the hub in use before the others are asked.
const HEAD_START: Duration = Duration::from_secs(4);
/// How long a doubted WebSocket is kept before another is opened in its stead.
const CARRIER_DOUBT: Duration = Duration::from_secs(3);
/// First probe of UDP after the switch to TLS.
const FIRST_PROBE: Duration = Duration::from_secs(20);
/// Between probes of UDP; doubled each time that UDP was returned to and failed within [`HELD`].
const PROBE: Duration = Duration::from_secs(60);
/// The most that doubling leads to.
const PROBE_MOST: Duration = Duration::from_secs(32 * 60);
/// Between a probe's first answer and the second try that confirms it.
const CONFIRM: Duration = Duration::from_secs(1);
/// A way that held for so long is trusted again.
const HELD: Duration = Duration::from_secs(600);

/// What is to be done. Hubs are named by their place in the list that [`Route::new`] was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Ask the DNS for the hub's endpoints; answer with [`Route::resolved`].
    Resolve {
        /// Which hub.
        hub: usize,
    },
    /// Begin a handshake over this way; traffic stays where it is. An answer comes back by [`Route::answered`].
    Handshake {
        /// Which hub.
        hub: usize,
        /// Over what.
        via: Remote,
    },
    /// From now on all traffic goes to this hub by this way. Send something at once: only a data packet tells the hub.
    Use {
        /// Which hub.
        hub: usize,
        /// Over what.
        via: Remote,
    },
    /// Send the hub in use an empty packet.
    Ping {
        /// Which hub.
        hub: usize,
    },
    /// Open a WebSocket; answer with [`Route::carrier_opened`] or [`Route::carrier_closed`].
    OpenCarrier {
        /// To which hub.
        hub: usize,
    },
    /// Close the hub's WebSocket, or stop opening it; needs no answer.
    CloseCarrier {
        /// Of which hub.
        hub: usize,
    },
}

/// The way in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Active {
    /// Which hub.
    pub hub: usize,
    /// Over what.
    pub via: Remote,
    /// Since when.
    pub since: Instant,
    /// A probe led here.
    probed: bool,
}

/// Looks for better ways than the one that stands.
#[derive(Debug)]
struct Probe {
    next: Instant,
    gap: Duration,
    /// A way that answered once, and when to ask it again (none: asked).
    confirming: Option<(usize, Remote, Option<Instant>)>,
}

/// The state machine. Its rules stand at the top of this file.
#[derive(Debug)]
pub struct Route {
    hubs: Vec<Candidate>,
    active: Option<Active>,
    /// Since when the way is in doubt, if it is.
    searching: Option<Instant>,
    /// When a ping or a handshake was last answered.
    proven: Instant,
    /// When anything authentic last arrived.
    heard: Instant,
    /// Pings since `proven`.
    unanswered: u32,
    /// From an answer to the next ping while nobody watches, jittered: boxes that came back together drift apart.
    idle: Duration,
    window: (Instant, u64),
    watched: bool,
    probe: Probe,
    jitter: Jitter,
    out: VecDeque<Action>,
}

impl Route {
    /// A route to `hubs` of which each says whether it takes WebSockets; the best is the first. `seed` makes the jitter.
    pub fn new(hubs: impl IntoIterator<Item = bool>, now: Instant, seed: u64) -> Self {
        Self {
            hubs: hubs.into_iter().map(|carrier| Candidate::new(carrier, now)).collect(),
            active: None,
            searching: Some(now),
            proven: now,
            heard: now,
            unanswered: 0,
            idle: PING_IDLE,
            window: (now, 0),
            watched: false,
            probe: Probe { next: now, gap: PROBE, confirming: None },
            jitter: Jitter(seed),
            out: VecDeque::new(),
        }
    }

    /// The way in use, doubted or not; none before the first answer.
    pub fn active(&self) -> Option<Active> {
        self.active
    }

    /// Whether the way in use is proven as far as one can know.
    pub fn stands(&self) -> bool {
        self.active.is_some() && self.searching.is_none()
    }

    /// The next thing to do; none when all is done until the next input or tick.
    pub fn poll(&mut self) -> Option<Action> {
        self.out.pop_front()
    }

    /// Time passes: call this every 250 ms or so, and after every input.
    pub fn tick(&mut self, now: Instant) {
        if self.searching.is_none() {
            self.listen(now);
        }
        if let Some(since) = self.searching {
            self.search(since, now);
        } else {
            self.look_for_better(now);
        }
    }

    /// The addresses of a hub, best first. An answer without any keeps those known before.
    pub fn resolved(&mut self, hub: usize, addresses: Vec<SocketAddr>, now: Instant) {
        if let Some(candidate) = self.hubs.get_mut(hub) {
            candidate.resolved(addresses, now);
        }
    }

    /// A handshake with this hub was completed over this way.
    pub fn answered(&mut self, hub: usize, via: Remote, now: Instant) {
        if self.searching.is_some() {
            self.take(hub, via, false, now);
            return;
        }
        let Some(active) = self.active else { return };
        if active.hub == hub && active.via == via {
            self.proven(hub, now);
            return;
        }
        if !better(hub, via, &active) {
            return;
        }
        match self.probe.confirming {
            Some((known, way, None)) if known == hub && way == via => self.take(hub, via, true, now),
            Some(_) => {}
            None => self.probe.confirming = Some((hub, via, Some(now + CONFIRM))),
        }
    }

    /// The hub answered a ping at this time. Tell of an answered handshake first, if both came.
    pub fn proven(&mut self, hub: usize, at: Instant) {
        if self.active.is_some_and(|active| active.hub == hub) && at > self.proven {
            self.proven = at;
            self.unanswered = 0;
            if self.searching.take().is_some() {
                self.settle(at);
            }
        }
    }

    /// Something authentic arrived from this hub at this time.
    pub fn heard(&mut self, hub: usize, at: Instant) {
        if self.active.is_some_and(|active| active.hub == hub) {
            self.heard = self.heard.max(at);
        }
    }

    /// All bytes that went through the hub in use so far, both directions together.
    pub fn carried(&mut self, bytes: u64, now: Instant) {
        let (since, before) = self.window;
        if bytes < before {
            self.window = (now, bytes); // another peer's counter
        } else if bytes - before > WATCHED_BYTES {
            self.watched = true;
            self.window = (now, bytes);
        } else if now.duration_since(since) >= WATCH_WINDOW {
            // A picture that froze because the way died is still being watched.
            self.watched &= self.searching.is_some() || self.unanswered > 0;
            self.window = (now, bytes);
        }
    }

    /// The peer set sends the hub's traffic over this way, by a data packet that came from there.
    pub fn moved(&mut self, hub: usize, via: Remote) {
        match &mut self.active {
            Some(active) if active.hub == hub && active.via != via => match (active.via, via) {
                (Remote::Udp(_), Remote::Udp(_)) => active.via = via,
                // A stray packet of the way that was left, or of a probe: no proof that packets get there, too.
                _ => self.out.push_back(Action::Use { hub, via: active.via }),
            },
            _ => {}
        }
    }

    /// The WebSocket that was asked for is open.
    pub fn carrier_opened(&mut self, hub: usize, id: CarrierId) {
        match self.hubs.get_mut(hub) {
            Some(candidate) if candidate.carrier == Carrier::Opening => {
                candidate.carrier = Carrier::Open(id);
                self.out.push_back(Action::Handshake { hub, via: Remote::Carrier(id) });
            }
            _ => self.out.push_back(Action::CloseCarrier { hub }),
        }
    }

    /// The hub's WebSocket was closed by itself, or could not be opened.
    pub fn carrier_closed(&mut self, hub: usize, now: Instant) {
        let Some(Carrier::Open(_) | Carrier::Opening) = self.hubs.get(hub).map(|known| known.carrier) else {
            return;
        };
        let in_use = self.on_carrier().is_some_and(|(used, _)| used == hub);
        if in_use && self.searching.is_none() {
            self.doubt(now);
        }
        let long = self.long_gone(now);
        if let Some(candidate) = self.hubs.get_mut(hub) {
            candidate.carrier_failed(&mut self.jitter, long, now);
        }
    }

    /// The hub and the WebSocket in use, if one is.
    fn on_carrier(&self) -> Option<(usize, CarrierId)> {
        self.active.and_then(|active| match active.via {
            Remote::Carrier(id) => Some((active.hub, id)),
            Remote::Udp(_) => None,
        })
    }

    /// No answer: ping, then doubt.
    fn listen(&mut self, now: Instant) {
        let Some(active) = self.active else { return };
        let quiet = if self.watched { PING_WATCHED } else { self.idle };
        if now.saturating_duration_since(self.proven) < quiet + PING_WAIT * self.unanswered {
            return;
        }
        let busy = now.saturating_duration_since(self.heard) < PING_WAIT;
        if self.unanswered >= if busy { PINGS_BUSY } else { PINGS } {
            self.doubt(now);
        } else {
            self.unanswered += 1;
            self.idle = self.jitter.around(PING_IDLE);
            self.out.push_back(Action::Ping { hub: active.hub });
        }
    }

    /// The way in use proves nothing any more: the search begins.
    fn doubt(&mut self, now: Instant) {
        self.searching = Some(now);
        self.probe.confirming = None;
        for candidate in &mut self.hubs {
            candidate.start(now);
        }
        let Some(active) = self.active else { return };
        if active.probed && now.saturating_duration_since(active.since) < HELD {
            self.probe.gap = (self.probe.gap * 2).min(PROBE_MOST);
        } else if matches!(active.via, Remote::Udp(_)) {
            self.probe.gap = PROBE;
        }
        if let Some(candidate) = self.hubs.get_mut(active.hub) {
            candidate.prefer(active.via);
        }
    }

    fn long_gone(&self, now: Instant) -> bool {
        self.searching.is_some_and(|since| now.saturating_duration_since(since) >= HELD)
    }

    fn search(&mut self, since: Instant, now: Instant) {
        let lasted = now.saturating_duration_since(since);
        let first = self.active.map_or(0, |active| active.hub);
        let on_carrier = self.on_carrier();
        let long = self.long_gone(now);
        for (hub, candidate) in self.hubs.iter_mut().enumerate() {
            if hub != first && lasted < HEAD_START {
                continue;
            }
            if candidate.should_resolve(&mut self.jitter, now) {
                self.out.push_back(Action::Resolve { hub });
            }
            for via in candidate.tries(&mut self.jitter, long, now) {
                self.out.push_back(Action::Handshake { hub, via });
            }
            let doubted = on_carrier.is_some_and(|(_, id)| candidate.carrier == Carrier::Open(id));
            if doubted && lasted >= CARRIER_DOUBT {
                candidate.carrier = Carrier::closed(now);
                self.out.push_back(Action::CloseCarrier { hub });
            }
            // Where TLS was the way, UDP has already had its chances.
            if (lasted >= HEAD_START || on_carrier.is_some()) && candidate.should_open(now) {
                self.out.push_back(Action::OpenCarrier { hub });
            }
        }
    }

    /// While the second best stands: does the better answer again?
    fn look_for_better(&mut self, now: Instant) {
        let Some(active) = self.active else { return };
        let on_carrier = self.on_carrier().is_some();
        if active.hub == 0 && !on_carrier {
            return;
        }
        if let Some((hub, via, at @ Some(_))) = &mut self.probe.confirming
            && at.is_some_and(|at| now >= at)
        {
            *at = None;
            self.out.push_back(Action::Handshake { hub: *hub, via: *via });
        }
        if now < self.probe.next {
            return;
        }
        self.probe.next = now + self.jitter.around(self.probe.gap);
        self.probe.confirming = None;
        let last = if on_carrier { active.hub } else { active.hub - 1 };
        for (hub, candidate) in self.hubs.iter_mut().enumerate().take(last + 1) {
            self.out.push_back(Action::Resolve { hub });
            if let Some(address) = candidate.next_address() {
                self.out.push_back(Action::Handshake { hub, via: Remote::Udp(address) });
            }
        }
    }

    /// This way answered and is taken.
    fn take(&mut self, hub: usize, via: Remote, probed: bool, now: Instant) {
        let same = self.active.is_some_and(|active| active.hub == hub && active.via == via);
        if !same {
            self.active = Some(Active { hub, via, since: now, probed });
        }
        self.searching = None;
        self.proven = now;
        self.heard = now;
        self.unanswered = 0;
        self.out.push_back(Action::Use { hub, via });
        self.settle(now);
    }

    /// The search is over: what else was opened is closed.
    fn settle(&mut self, now: Instant) {
        let Some(active) = self.active else { return };
        for (hub, candidate) in self.hubs.iter_mut().enumerate() {
            let kept = matches!(candidate.carrier, Carrier::Open(id) if active.via == Remote::Carrier(id));
            if !kept && candidate.carrier.is_there() {
                candidate.carrier = Carrier::closed(now);
                self.out.push_back(Action::CloseCarrier { hub });
            }
        }
        self.probe.confirming = None;
        let first = if self.probe.gap == PROBE { FIRST_PROBE } else { self.probe.gap };
        self.probe.next = now + self.jitter.around(first);
    }
}

/// Whether this way is to be preferred to the one in use: a better hub, or the same by UDP instead of TLS.
fn better(hub: usize, via: Remote, active: &Active) -> bool {
    let udp = matches!(via, Remote::Udp(_));
    udp && (hub < active.hub || hub == active.hub && matches!(active.via, Remote::Carrier(_)))
}

/// Randomness that spreads ten thousand boxes over time: SplitMix64, of which nothing secret depends.
#[derive(Debug)]
struct Jitter(u64);

impl Jitter {
    /// The duration, give or take a fifth.
    fn around(&mut self, duration: Duration) -> Duration {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let unit = ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64;
        duration.mul_f64(0.8 + 0.4 * unit)
    }
}
