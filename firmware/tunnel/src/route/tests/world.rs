//! A day of faults in virtual time: a small internet in which each way can be cut in each direction, a hub that forgets
//! its sessions, a DNS, and the state machine between them. What is measured is what a viewer waits.

#![allow(clippy::disallowed_methods, reason = "virtual time has to begin somewhere")]

use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::super::{Action, Route};
use crate::peers::{CarrierId, Remote};

pub(super) const TICK: Duration = Duration::from_millis(250);
pub(super) const ROUND_TRIP: Duration = Duration::from_millis(60);

pub(super) fn at(last: u8) -> SocketAddr {
    SocketAddr::from(([198, 51, 100, last], 51820))
}

/// What reaches a hub. Everything works in the beginning.
pub(super) struct Hub {
    /// Where it listens.
    pub(super) address: SocketAddr,
    /// What the DNS says; none: no answer at all.
    pub(super) dns: Option<Vec<SocketAddr>>,
    pub(super) udp_up: bool,
    pub(super) udp_down: bool,
    /// A WebSocket can be opened, and open ones carry.
    pub(super) tls: bool,
    pub(super) running: bool,
    /// It knows the box's session, and by which way the box was last heard.
    pub(super) session: Option<Remote>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    Resolved(usize, Vec<SocketAddr>),
    Answered(usize, Remote),
    Pong(usize),
    Opened(usize, CarrierId),
    Refused(usize),
}

pub(super) struct World {
    pub(super) now: Instant,
    pub(super) start: Instant,
    pub(super) route: Route,
    pub(super) hubs: Vec<Hub>,
    /// The earliest first.
    pub(super) events: BinaryHeap<std::cmp::Reverse<(Instant, Event)>>,
    pub(super) carriers: u64,
    /// WebSockets by the hub that they lead to.
    pub(super) open: Vec<Option<CarrierId>>,
    pub(super) log: Vec<(Duration, Action)>,
    /// The hub has traffic of its own to send (somebody asks for a stream).
    pub(super) traffic: bool,
    pub(super) bytes: u64,
    pub(super) round_trip: Duration,
    /// Each n-th datagram over UDP is lost.
    pub(super) lose: Option<u64>,
    pub(super) sent: u64,
}

impl World {
    pub(super) fn new(hubs: u8) -> Self {
        Self::seeded(hubs, 7)
    }

    pub(super) fn seeded(hubs: u8, seed: u64) -> Self {
        let now = Instant::now();
        let hubs: Vec<Hub> = (1..=hubs)
            .map(|n| Hub {
                address: at(n),
                dns: Some(vec![at(n)]),
                udp_up: true,
                udp_down: true,
                tls: true,
                running: true,
                session: None,
            })
            .collect();
        Self {
            now,
            start: now,
            route: Route::new(hubs.iter().map(|_| true), now, seed),
            open: vec![None; hubs.len()],
            hubs,
            events: BinaryHeap::new(),
            carriers: 0,
            log: Vec::new(),
            traffic: false,
            bytes: 0,
            round_trip: ROUND_TRIP,
            lose: None,
            sent: 0,
        }
    }

    pub(super) fn later(&mut self, after: Duration, event: Event) {
        self.events.push(std::cmp::Reverse((self.now + after, event)));
    }

    pub(super) fn lost(&mut self) -> bool {
        self.sent += 1;
        self.lose.is_some_and(|each| self.sent.is_multiple_of(each))
    }

    /// Whether a packet from the box gets there.
    pub(super) fn up(&self, hub: usize, via: Remote) -> bool {
        let hub_of = &self.hubs[hub];
        hub_of.running
            && match via {
                Remote::Udp(address) => hub_of.udp_up && address == hub_of.address,
                Remote::Carrier(id) => hub_of.tls && self.open[hub] == Some(id),
            }
    }

    pub(super) fn down(&self, hub: usize, via: Remote) -> bool {
        self.up(hub, via) && (self.hubs[hub].udp_down || matches!(via, Remote::Carrier(_)))
            || matches!(via, Remote::Udp(_)) && self.hubs[hub].running && self.hubs[hub].udp_down
    }

    pub(super) fn act(&mut self, action: Action) {
        self.log.push((self.now - self.start, action));
        match action {
            Action::Resolve { hub } => {
                if let Some(addresses) = self.hubs[hub].dns.clone() {
                    self.later(self.round_trip, Event::Resolved(hub, addresses));
                }
            }
            Action::Handshake { hub, via } => {
                let lost = matches!(via, Remote::Udp(_)) && self.lost();
                if self.up(hub, via) && self.down(hub, via) && !lost {
                    self.later(self.round_trip, Event::Answered(hub, via));
                }
            }
            Action::Use { hub, via } => {
                if self.up(hub, via) {
                    self.hubs[hub].session = Some(via);
                }
            }
            Action::Ping { hub } => {
                let via = self.route.active().unwrap().via;
                let lost = matches!(via, Remote::Udp(_)) && self.lost();
                if self.up(hub, via) && self.hubs[hub].session.is_some() && !lost {
                    self.hubs[hub].session = Some(via);
                    if self.down(hub, via) {
                        self.later(self.round_trip, Event::Pong(hub));
                    }
                }
            }
            Action::OpenCarrier { hub } => {
                if self.hubs[hub].tls && self.hubs[hub].running {
                    self.carriers += 1;
                    self.later(self.round_trip * 3, Event::Opened(hub, CarrierId(self.carriers)));
                } else {
                    self.later(Duration::from_secs(3), Event::Refused(hub));
                }
            }
            Action::CloseCarrier { hub } => {
                self.open[hub] = None;
                self.events.retain(|event| !matches!(event.0.1, Event::Opened(of, _) if of == hub));
            }
        }
    }

    pub(super) fn happen(&mut self, event: Event) {
        match event {
            Event::Resolved(hub, addresses) => self.route.resolved(hub, addresses, self.now),
            Event::Answered(hub, via) => self.route.answered(hub, via, self.now),
            Event::Pong(hub) => {
                self.route.heard(hub, self.now);
                self.route.proven(hub, self.now);
            }
            Event::Opened(hub, id) => {
                self.open[hub] = Some(id);
                self.route.carrier_opened(hub, id);
            }
            Event::Refused(hub) => self.route.carrier_closed(hub, self.now),
        }
    }

    pub(super) fn drain(&mut self) {
        self.route.tick(self.now);
        let mut count = 0;
        while let Some(action) = self.route.poll() {
            self.act(action);
            count += 1;
            assert!(count < 100, "the route never comes to rest");
        }
    }

    pub(super) fn step(&mut self) {
        let until = self.now + TICK;
        while self.events.peek().is_some_and(|event| event.0.0 <= until) {
            let Some(std::cmp::Reverse((when, event))) = self.events.pop() else { break };
            self.now = when;
            self.happen(event);
            self.drain();
        }
        self.now = until;
        if self.traffic
            && let Some(active) = self.route.active()
        {
            if self.plays() {
                self.bytes += 60_000;
            }
            if let Some(to_box) = self.hubs[active.hub].session
                && self.down(active.hub, to_box)
            {
                self.route.heard(active.hub, self.now);
            }
            self.route.carried(self.bytes, self.now);
        }
        self.drain();
    }

    pub(super) fn run(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        while self.now < end {
            self.step();
        }
    }

    /// Packets get from box to hub and back.
    pub(super) fn plays(&self) -> bool {
        self.route.active().is_some_and(|active| {
            self.hubs[active.hub].session.is_some()
                && self.up(active.hub, active.via)
                && self.down(active.hub, active.via)
        })
    }

    /// Seconds until it plays.
    pub(super) fn recovery(&mut self) -> f64 {
        let from = self.now;
        while !self.plays() {
            assert!(self.now - from < Duration::from_secs(900), "it never plays again: {:?}", self.route);
            self.step();
        }
        (self.now - from).as_secs_f64()
    }

    pub(super) fn over_tls(&self) -> bool {
        matches!(self.route.active().unwrap().via, Remote::Carrier(_))
    }

    pub(super) fn watched(hubs: u8) -> Self {
        let mut world = Self::new(hubs);
        world.traffic = true;
        world.recovery();
        world.run(60);
        world
    }

    /// How often traffic was moved since.
    pub(super) fn moves(&self, since: Duration) -> usize {
        self.log.iter().filter(|(when, what)| *when > since && matches!(what, Action::Use { .. })).count()
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.now - self.start
    }
}
