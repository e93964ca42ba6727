//! One hub as the search sees it: its addresses in turn, its WebSocket, and when each may be tried again. Gaps between
//! tries grow and are jittered, so that ten thousand boxes do not come back as one; they never grow past what a viewer
//! would notice, until the hub has been gone for long.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::Jitter;
use crate::peers::{CarrierId, Remote};

/// From the first try to the second.
const FIRST_GAP: Duration = Duration::from_secs(1);
/// The most between tries of UDP, and the same once the hub has been gone for ten minutes.
const UDP_GAP: Duration = Duration::from_secs(3);
const UDP_GAP_LONG: Duration = Duration::from_secs(10);
/// The most between tries of TLS, and the same once the hub has been gone for ten minutes: a try costs 5 kB.
const TLS_GAP: Duration = Duration::from_secs(5);
const TLS_GAP_LONG: Duration = Duration::from_secs(60);
/// Between two questions to the DNS during a search.
const RESOLVE_GAP: Duration = Duration::from_secs(4);
/// The DNS may name so many addresses; more are left out.
const MOST_ADDRESSES: usize = 16;

/// A hub's WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Carrier {
    /// There is none; not to be opened before this.
    Closed(Instant),
    /// Asked for.
    Opening,
    /// It is there.
    Open(CarrierId),
}

impl Carrier {
    pub(super) fn closed(now: Instant) -> Self {
        Self::Closed(now)
    }

    pub(super) fn is_there(self) -> bool {
        !matches!(self, Self::Closed(_))
    }
}

/// One hub.
#[derive(Debug)]
pub(super) struct Candidate {
    addresses: Vec<SocketAddr>,
    /// Counts tries; the address is the one at this modulo their number.
    turn: usize,
    next_try: Instant,
    gap: Duration,
    next_resolve: Instant,
    takes_carrier: bool,
    pub(super) carrier: Carrier,
    carrier_gap: Duration,
}

impl Candidate {
    pub(super) fn new(takes_carrier: bool, now: Instant) -> Self {
        Self {
            addresses: Vec::new(),
            turn: 0,
            next_try: now,
            gap: FIRST_GAP,
            next_resolve: now,
            takes_carrier,
            carrier: Carrier::closed(now),
            carrier_gap: FIRST_GAP,
        }
    }

    /// A search begins: everything may be tried at once.
    pub(super) fn start(&mut self, now: Instant) {
        self.turn = 0;
        self.next_try = now;
        self.gap = FIRST_GAP;
        self.next_resolve = now;
        self.carrier_gap = FIRST_GAP;
        if let Carrier::Closed(not_before) = &mut self.carrier {
            *not_before = now;
        }
    }

    /// The way that was in use is the first to be tried, even where the DNS has forgotten it.
    pub(super) fn prefer(&mut self, via: Remote) {
        if let Remote::Udp(used) = via {
            self.addresses.retain(|address| *address != used);
            self.addresses.insert(0, used);
        }
    }

    /// The DNS answered. An address that is new is the next to be tried, and at once.
    pub(super) fn resolved(&mut self, mut addresses: Vec<SocketAddr>, now: Instant) {
        addresses.truncate(MOST_ADDRESSES);
        if addresses.is_empty() || addresses == self.addresses {
            return;
        }
        if let Some(new) = addresses.iter().position(|address| !self.addresses.contains(address)) {
            self.turn = new;
            self.next_try = now;
            self.gap = FIRST_GAP;
        }
        self.addresses = addresses;
    }

    pub(super) fn should_resolve(&mut self, jitter: &mut Jitter, now: Instant) -> bool {
        let due = now >= self.next_resolve;
        if due {
            self.next_resolve = now + jitter.around(RESOLVE_GAP);
        }
        due
    }

    /// The next of its addresses.
    pub(super) fn next_address(&mut self) -> Option<SocketAddr> {
        let address = self.addresses.get(self.turn.checked_rem(self.addresses.len())?).copied();
        self.turn = self.turn.wrapping_add(1);
        address
    }

    /// The ways over which to try a handshake now; none when it is not time yet.
    pub(super) fn tries(
        &mut self,
        jitter: &mut Jitter,
        long: bool,
        now: Instant,
    ) -> impl Iterator<Item = Remote> + use<> {
        let due = now >= self.next_try;
        let carrier = match self.carrier {
            Carrier::Open(id) if due => Some(Remote::Carrier(id)),
            _ => None,
        };
        let udp = if due { self.next_address().map(Remote::Udp) } else { None };
        if udp.is_some() || carrier.is_some() {
            self.next_try = now + jitter.around(self.gap);
            self.gap = (self.gap * 3 / 2).min(if long { UDP_GAP_LONG } else { UDP_GAP });
        }
        udp.into_iter().chain(carrier)
    }

    /// Whether to open a WebSocket now; it is then taken to be on its way.
    pub(super) fn should_open(&mut self, now: Instant) -> bool {
        let due = matches!(self.carrier, Carrier::Closed(not_before) if now >= not_before);
        if self.takes_carrier && due {
            self.carrier = Carrier::Opening;
            return true;
        }
        false
    }

    /// The WebSocket is gone, or could not be opened.
    pub(super) fn carrier_failed(&mut self, jitter: &mut Jitter, long: bool, now: Instant) {
        self.carrier = Carrier::Closed(now + jitter.around(self.carrier_gap));
        self.carrier_gap = (self.carrier_gap * 3 / 2).min(if long { TLS_GAP_LONG } else { TLS_GAP });
    }
}
