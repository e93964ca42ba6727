//! A day of faults in virtual time: a small internet in which each way can be cut in each direction, a hub that forgets
//! its sessions, a DNS, and the state machine between them. What is measured is what a viewer waits.

#![allow(clippy::disallowed_methods, reason = "virtual time has to begin somewhere")]

use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::{Action, Route};
use crate::peers::{CarrierId, Remote};

const TICK: Duration = Duration::from_millis(250);
const ROUND_TRIP: Duration = Duration::from_millis(60);

fn at(last: u8) -> SocketAddr {
    SocketAddr::from(([198, 51, 100, last], 51820))
}

/// What reaches a hub. Everything works in the beginning.
struct Hub {
    /// Where it listens.
    address: SocketAddr,
    /// What the DNS says; none: no answer at all.
    dns: Option<Vec<SocketAddr>>,
    udp_up: bool,
    udp_down: bool,
    /// A WebSocket can be opened, and open ones carry.
    tls: bool,
    running: bool,
    /// It knows the box's session, and by which way the box was last heard.
    session: Option<Remote>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Resolved(usize, Vec<SocketAddr>),
    Answered(usize, Remote),
    Pong(usize),
    Opened(usize, CarrierId),
    Refused(usize),
}

struct World {
    now: Instant,
    start: Instant,
    route: Route,
    hubs: Vec<Hub>,
    /// The earliest first.
    events: BinaryHeap<std::cmp::Reverse<(Instant, Event)>>,
    carriers: u64,
    /// WebSockets by the hub that they lead to.
    open: Vec<Option<CarrierId>>,
    log: Vec<(Duration, Action)>,
    /// The hub has traffic of its own to send (somebody asks for a stream).
    traffic: bool,
    bytes: u64,
    round_trip: Duration,
    /// Each n-th datagram over UDP is lost.
    lose: Option<u64>,
    sent: u64,
}

impl World {
    fn new(hubs: u8) -> Self {
        Self::seeded(hubs, 7)
    }

    fn seeded(hubs: u8, seed: u64) -> Self {
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

    fn later(&mut self, after: Duration, event: Event) {
        self.events.push(std::cmp::Reverse((self.now + after, event)));
    }

    fn lost(&mut self) -> bool {
        self.sent += 1;
        self.lose.is_some_and(|each| self.sent.is_multiple_of(each))
    }

    /// Whether a packet from the box gets there.
    fn up(&self, hub: usize, via: Remote) -> bool {
        let hub_of = &self.hubs[hub];
        hub_of.running
            && match via {
                Remote::Udp(address) => hub_of.udp_up && address == hub_of.address,
                Remote::Carrier(id) => hub_of.tls && self.open[hub] == Some(id),
            }
    }

    fn down(&self, hub: usize, via: Remote) -> bool {
        self.up(hub, via) && (self.hubs[hub].udp_down || matches!(via, Remote::Carrier(_)))
            || matches!(via, Remote::Udp(_)) && self.hubs[hub].running && self.hubs[hub].udp_down
    }

    fn act(&mut self, action: Action) {
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

    fn happen(&mut self, event: Event) {
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

    fn drain(&mut self) {
        self.route.tick(self.now);
        let mut count = 0;
        while let Some(action) = self.route.poll() {
            self.act(action);
            count += 1;
            assert!(count < 100, "the route never comes to rest");
        }
    }

    fn step(&mut self) {
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

    fn run(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        while self.now < end {
            self.step();
        }
    }

    /// Packets get from box to hub and back.
    fn plays(&self) -> bool {
        self.route.active().is_some_and(|active| {
            self.hubs[active.hub].session.is_some()
                && self.up(active.hub, active.via)
                && self.down(active.hub, active.via)
        })
    }

    /// Seconds until it plays.
    fn recovery(&mut self) -> f64 {
        let from = self.now;
        while !self.plays() {
            assert!(self.now - from < Duration::from_secs(900), "it never plays again: {:?}", self.route);
            self.step();
        }
        (self.now - from).as_secs_f64()
    }

    fn over_tls(&self) -> bool {
        matches!(self.route.active().unwrap().via, Remote::Carrier(_))
    }

    fn watched(hubs: u8) -> Self {
        let mut world = Self::new(hubs);
        world.traffic = true;
        world.recovery();
        world.run(60);
        world
    }

    /// How often traffic was moved since.
    fn moves(&self, since: Duration) -> usize {
        self.log.iter().filter(|(when, what)| *when > since && matches!(what, Action::Use { .. })).count()
    }

    fn elapsed(&self) -> Duration {
        self.now - self.start
    }
}

#[test]
fn a_healthy_start_takes_udp_at_once_and_opens_no_websocket() {
    let mut world = World::new(1);
    assert!(world.recovery() < 1.0);
    world.run(3600);
    assert!(!world.over_tls());
    assert!(!world.log.iter().any(|(_, what)| matches!(what, Action::OpenCarrier { .. })));
    assert_eq!(world.moves(Duration::ZERO), 1);
    let pings = world.log.iter().filter(|(_, what)| matches!(what, Action::Ping { .. })).count();
    assert!((285..=315).contains(&pings), "{pings} pings an hour: the README's traffic figure is of 12 s");
}

#[test]
fn udp_dead_at_the_start_is_tls_within_6_s_and_udp_is_found_when_it_comes() {
    let mut world = World::new(1);
    world.hubs[0].udp_up = false;
    let waited = world.recovery();
    assert!(waited < 6.0 && world.over_tls(), "{waited} s");
    world.run(300);
    assert!(world.over_tls());
    world.hubs[0].udp_up = true;
    let from = world.now;
    while world.over_tls() {
        world.step();
        assert!(world.plays(), "the way back to UDP costs nothing");
    }
    assert!((world.now - from).as_secs() <= 75);
    world.run(60);
    assert!(world.open[0].is_none(), "the WebSocket is closed when UDP stands");
}

#[test]
fn udp_that_dies_later_is_tls_within_13_s() {
    for seed in 0..50 {
        let mut world = World::seeded(1, seed);
        world.traffic = true;
        world.recovery();
        world.run(60 + seed);
        (world.hubs[0].udp_up, world.hubs[0].udp_down) = (false, false);
        let waited = world.recovery();
        assert!(waited < 13.0 && world.over_tls(), "{waited} s with seed {seed}");
    }
}

#[test]
fn udp_that_dies_in_one_direction_is_tls_within_20_s() {
    let mut world = World::watched(1);
    world.hubs[0].udp_up = false; // the hub goes on sending what the viewers ask for
    let waited = world.recovery();
    assert!(waited < 20.0 && world.over_tls(), "up: {waited} s");
    let mut world = World::watched(1);
    world.hubs[0].udp_down = false;
    let waited = world.recovery();
    assert!(waited < 13.0 && world.over_tls(), "down: {waited} s");
}

#[test]
fn a_restarted_hub_is_back_within_8_s_when_somebody_watches_and_18_s_when_nobody_does() {
    for seed in 0..50 {
        for (traffic, most) in [(true, 8.0), (false, 18.5)] {
            let mut world = World::seeded(1, seed);
            world.traffic = traffic;
            world.recovery();
            world.run(90 + seed);
            world.hubs[0].session = None;
            let waited = world.recovery();
            assert!(waited < most, "{waited} s with seed {seed}, watched: {traffic}");
            assert!(!world.over_tls());
        }
    }
}

#[test]
fn a_hub_that_takes_3_s_to_restart_is_back_within_8_s_by_either_way() {
    for udp in [true, false] {
        let mut world = World::new(1);
        (world.traffic, world.hubs[0].udp_up) = (true, udp);
        world.recovery();
        world.run(60);
        (world.hubs[0].running, world.hubs[0].session) = (false, None);
        if !udp {
            world.open[0] = None;
            world.route.carrier_closed(0, world.now);
        }
        world.run(3);
        world.hubs[0].running = true;
        let waited = world.recovery();
        assert!(waited < 8.0, "{waited} s, UDP {udp}");
    }
}

#[test]
fn a_minute_without_network_is_over_within_4_s_of_its_end() {
    for seed in 0..50 {
        let mut world = World::seeded(1, seed);
        world.traffic = true;
        world.recovery();
        world.run(30);
        let hub = &mut world.hubs[0];
        (hub.udp_up, hub.udp_down, hub.tls, hub.dns) = (false, false, false, None);
        world.run(60);
        let hub = &mut world.hubs[0];
        (hub.udp_up, hub.udp_down, hub.tls, hub.dns) = (true, true, true, Some(vec![at(1)]));
        let waited = world.recovery();
        assert!(waited < 4.0 && !world.over_tls(), "{waited} s with seed {seed}");
    }
}

#[test]
fn a_new_address_in_the_dns_is_found_within_8_s() {
    let mut world = World::watched(1);
    (world.hubs[0].address, world.hubs[0].session) = (at(9), None);
    world.hubs[0].dns = Some(vec![at(9)]);
    let waited = world.recovery();
    assert!(waited < 8.0 && !world.over_tls(), "{waited} s");
}

#[test]
fn of_many_addresses_a_dead_one_is_skipped() {
    let mut world = World::new(1);
    world.hubs[0].dns = Some(vec![at(7), at(8), at(1)]);
    let waited = world.recovery();
    assert!(waited < 4.0 && !world.over_tls(), "{waited} s");
}

#[test]
fn a_hub_that_is_gone_is_left_for_the_next_and_returned_to() {
    let mut world = World::watched(2);
    world.hubs[0].running = false;
    let waited = world.recovery();
    assert_eq!(world.route.active().unwrap().hub, 1);
    assert!(waited < 12.0, "{waited} s");
    world.run(100);
    world.hubs[0].running = true;
    world.run(90);
    assert_eq!(world.route.active().unwrap().hub, 0);
    assert!(world.plays());
}

#[test]
fn with_all_hubs_gone_the_gaps_stay_bounded_and_the_first_to_return_is_taken() {
    let mut world = World::watched(2);
    (world.hubs[0].running, world.hubs[1].running) = (false, false);
    world.run(3600);
    let last: Vec<_> = world.log.iter().filter(|(when, _)| *when > Duration::from_secs(3000)).collect();
    let handshakes = last.iter().filter(|(_, what)| matches!(what, Action::Handshake { .. })).count();
    let opened = last.iter().filter(|(_, what)| matches!(what, Action::OpenCarrier { .. })).count();
    assert!((100..=200).contains(&handshakes), "{handshakes} handshakes in the last 11 minutes");
    assert!((12..=32).contains(&opened), "{opened} WebSockets in the last 11 minutes");
    world.hubs[1].running = true;
    assert!(world.recovery() < 13.0);
    assert_eq!(world.route.active().unwrap().hub, 1);
}

#[test]
fn tls_that_fails_too_gives_way_to_udp_that_came_back() {
    let mut world = World::new(1);
    (world.traffic, world.hubs[0].udp_up) = (true, false);
    world.recovery();
    world.run(30);
    (world.hubs[0].tls, world.hubs[0].udp_up) = (false, true);
    let waited = world.recovery();
    assert!(waited < 8.0 && !world.over_tls(), "{waited} s");
}

#[test]
fn a_websocket_that_hangs_is_replaced() {
    let mut world = World::new(1);
    (world.traffic, world.hubs[0].udp_up) = (true, false);
    world.recovery();
    world.run(30);
    world.open[0] = Some(CarrierId(u64::MAX)); // the network changed: the old connection leads nowhere, and nobody says so
    let waited = world.recovery();
    assert!(waited < 12.0 && world.over_tls(), "{waited} s");
}

#[test]
fn udp_that_comes_and_goes_moves_traffic_ever_more_rarely() {
    let mut world = World::new(1);
    world.traffic = true;
    world.recovery();
    let before = world.elapsed();
    for _ in 0..4 * 60 {
        (world.hubs[0].udp_up, world.hubs[0].udp_down) = (true, true);
        world.run(30);
        (world.hubs[0].udp_up, world.hubs[0].udp_down) = (false, false);
        world.run(30);
    }
    let moves = world.moves(before);
    assert!(moves <= 24, "{moves} moves in 4 hours of UDP that works every other half minute");
    (world.hubs[0].udp_up, world.hubs[0].udp_down) = (true, true);
    world.run(40 * 60);
    assert!(!world.over_tls(), "and still it ends on UDP");
}

#[test]
fn loss_moves_nothing() {
    for each in [100, 20, 7] {
        let mut world = World::watched(1);
        world.lose = Some(each);
        let before = world.elapsed();
        let mut over_tls = 0;
        for _ in 0..3600 {
            world.run(1);
            over_tls += u32::from(world.over_tls());
        }
        assert_eq!(over_tls, 0, "one of {each} lost");
        assert!(world.moves(before) < 100);
    }
}

#[test]
fn a_full_uplink_that_delays_pings_moves_nothing() {
    let mut world = World::watched(1);
    world.round_trip = Duration::from_secs(9);
    world.run(600);
    assert!(!world.over_tls());
    assert!(!world.log.iter().any(|(_, what)| matches!(what, Action::OpenCarrier { .. })));
}

#[test]
fn a_stray_packet_of_another_way_moves_nothing() {
    let mut world = World::new(1);
    world.hubs[0].udp_up = false;
    world.recovery();
    world.run(5);
    let before = world.route.active().unwrap();
    world.route.moved(0, Remote::Udp(at(1)));
    world.drain();
    assert_eq!(world.route.active().unwrap(), before);
    assert_eq!(world.log.last().unwrap().1, Action::Use { hub: 0, via: before.via });
}

#[test]
fn a_hub_that_roams_is_followed() {
    let mut world = World::watched(1);
    world.route.moved(0, Remote::Udp(at(77)));
    assert_eq!(world.route.active().unwrap().via, Remote::Udp(at(77)));
}

#[test]
fn boxes_do_not_come_back_as_one() {
    let mut first = Vec::new();
    for seed in 0..200 {
        let mut world = World::seeded(1, seed);
        world.recovery();
        world.run(30);
        world.hubs[0].running = false;
        world.run(120);
        let from = world.elapsed();
        world.run(5);
        let next =
            world.log.iter().find(|(when, what)| *when > from && matches!(what, Action::Handshake { .. }));
        first.push(next.unwrap().0.saturating_sub(from).as_millis() / 250);
    }
    for slot in 0..12 {
        let share = first.iter().filter(|at| **at == slot).count();
        assert!(share < 40, "{share} of 200 in the same quarter second");
    }
}

#[test]
fn nothing_that_comes_at_the_wrong_time_breaks_it() {
    use proptest::prelude::*;
    let input = (0_u8..9, 0_usize..4, 0_u8..4, 0_u64..20_000);
    proptest!(ProptestConfig::with_cases(300), |(inputs in prop::collection::vec(input, 0..200), seed: u64)| {
        let mut now = Instant::now();
        let mut route = Route::new([true, false, true], now, seed);
        for (what, hub, n, ms) in inputs {
            now += Duration::from_millis(ms);
            let via = if n % 2 == 0 { Remote::Udp(at(n)) } else { Remote::Carrier(CarrierId(n.into())) };
            match what {
                0 => route.resolved(hub, (0..n).map(at).collect(), now),
                1 => route.answered(hub, via, now),
                2 => route.proven(hub, now),
                3 => route.heard(hub, now),
                4 => route.carrier_opened(hub, CarrierId(n.into())),
                5 => route.carrier_closed(hub, now),
                6 => route.moved(hub, via),
                7 => route.carried(ms * u64::from(n), now),
                _ => {}
            }
            route.tick(now);
            let mut actions = 0;
            while route.poll().is_some() {
                actions += 1;
                prop_assert!(actions < 64);
            }
        }
        // Whatever was, a hub that answers is taken within the longest gap.
        for _ in 0..200 {
            now += TICK;
            route.tick(now);
            while let Some(action) = route.poll() {
                match action {
                    Action::Resolve { hub } => route.resolved(hub, vec![at(1)], now),
                    Action::Handshake { hub, via: via @ Remote::Udp(_) } => route.answered(hub, via, now),
                    Action::Ping { hub } => route.proven(hub, now),
                    _ => {}
                }
            }
        }
        prop_assert!(route.stands());
    });
}
