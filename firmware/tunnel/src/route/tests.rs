//! A day of faults in virtual time: what is measured is what a viewer waits.

#![allow(clippy::disallowed_methods, reason = "virtual time has to begin somewhere")]

mod world;

use std::time::{Duration, Instant};

use super::{Action, Route};
use crate::peers::{CarrierId, Remote};
use world::{TICK, World, at};

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
