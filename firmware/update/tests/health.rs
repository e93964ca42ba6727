//! The verdict over a new system: each situation of the fault table, all of them held constant, and any sequence at all.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use proptest::prelude::*;
use update::health::{Aftermath, Before, Facts, Health, Limits, Second, Verdict, Why};

const MINUTE: u64 = 60_000;

fn well() -> Facts {
    Facts {
        tunnel_up: true,
        cloud_answers: true,
        cameras: 4,
        delivering: 4,
        page_answers: true,
        data_writable: true,
        source: true,
        can_update: true,
        watched: false,
    }
}

fn alone() -> Facts {
    Facts { tunnel_up: false, cloud_answers: false, can_update: false, ..well() }
}

/// Tells the same every 5 s, and gives the verdict and when it fell.
fn held(health: &mut Health, facts: Facts) -> (u64, Verdict) {
    for now in (0..).step_by(5_000) {
        health.tell(now, facts);
        match health.verdict(now) {
            Verdict::Wait { until_ms } => assert!(until_ms > now, "it would be asked for ever"),
            verdict => return (now, verdict),
        }
    }
    unreachable!("no verdict")
}

fn judged(before: Option<Before>, retried: bool, facts: Facts) -> (u64, Verdict) {
    held(&mut Health::new(Limits::default(), before, retried, 0), facts)
}

#[test]
fn a_system_that_is_as_well_as_the_old_one_stays_after_five_minutes() {
    assert_eq!(judged(Some(well().into()), false, well()), (5 * MINUTE, Verdict::Commit { blind: false }));
    // Half of the cameras are enough, and none that was not there before is asked for.
    let half = Facts { delivering: 2, ..well() };
    assert_eq!(judged(Some(well().into()), false, half), (5 * MINUTE, Verdict::Commit { blind: false }));
    let few = Before { tunnel_up: false, cloud_answers: false, ..Before::from(well()) };
    let no_tunnel = Facts { tunnel_up: false, cloud_answers: false, ..well() };
    assert_eq!(judged(Some(few), false, no_tunnel), (5 * MINUTE, Verdict::Commit { blind: false }));
    assert_eq!(judged(None, false, well()), (5 * MINUTE, Verdict::Commit { blind: false }));
}

#[test]
fn whatever_is_missing_is_named_after_twenty_minutes() {
    let cases = [
        (Facts { page_answers: false, ..well() }, Why::Page),
        (Facts { data_writable: false, ..well() }, Why::Data),
        (Facts { delivering: 1, ..well() }, Why::Cameras),
        (Facts { tunnel_up: false, ..well() }, Why::Tunnel),
        (Facts { cloud_answers: false, ..well() }, Why::Cloud),
        (Facts { can_update: false, ..well() }, Why::Update),
        (Facts { can_update: false, source: false, ..well() }, Why::Update),
        (alone(), Why::Tunnel),
    ];
    for (facts, why) in cases {
        let told = judged(Some(well().into()), false, facts);
        assert_eq!(told, (20 * MINUTE, Verdict::RollBack { why }), "{facts:?}");
    }
}

#[test]
fn without_a_network_before_and_after_it_stays_and_that_is_said() {
    let before = Some(Before::from(alone()));
    assert_eq!(judged(before, false, alone()), (20 * MINUTE, Verdict::Commit { blind: true }));
    // Its page must answer all the same.
    let dead = Facts { page_answers: false, ..alone() };
    assert_eq!(judged(before, false, dead), (20 * MINUTE, Verdict::RollBack { why: Why::Page }));
    // The network is there now: then it must be able to update itself.
    let now = Facts { tunnel_up: true, cloud_answers: true, ..alone() };
    assert_eq!(judged(before, false, now), (20 * MINUTE, Verdict::RollBack { why: Why::Update }));
    // Nobody to ask, before and after: it has a network, but nothing could be proved by it.
    let usb = Facts { source: false, can_update: false, ..well() };
    assert_eq!(judged(Some(usb.into()), false, usb), (20 * MINUTE, Verdict::Commit { blind: true }));
}

#[test]
fn without_a_word_about_before_nothing_is_kept_blindly() {
    assert_eq!(judged(None, false, alone()), (20 * MINUTE, Verdict::Inconclusive { why: Why::Unproven }));
    let online = Facts { can_update: false, ..well() };
    assert_eq!(judged(None, false, online), (20 * MINUTE, Verdict::RollBack { why: Why::Update }));
}

#[test]
fn no_release_is_rolled_back_twice_for_what_may_lie_outside() {
    let before = Some(Before::from(well()));
    assert_eq!(judged(before, true, alone()).1, Verdict::Inconclusive { why: Why::Tunnel });
    let dead = Facts { page_answers: false, ..well() };
    assert_eq!(judged(before, true, dead).1, Verdict::RollBack { why: Why::Page });
}

#[test]
fn flapping_health_starts_the_good_stretch_anew() {
    let mut health = Health::new(Limits::default(), Some(well().into()), false, 0);
    for now in (0..=20 * MINUTE).step_by(5_000) {
        // Once in four minutes a camera too many is gone for a moment.
        let delivering = if now % (4 * MINUTE) == 0 { 1 } else { 4 };
        health.tell(now, Facts { delivering, ..well() });
        let verdict = health.verdict(now);
        assert_eq!(matches!(verdict, Verdict::Wait { .. }), now < 20 * MINUTE, "{now}: {verdict:?}");
    }
    let why = Why::Cameras;
    assert_eq!(health.verdict(30 * MINUTE), Verdict::RollBack { why }, "the verdict stays what it was");

    let mut health = Health::new(Limits::default(), Some(well().into()), false, 0);
    for now in (0..=20 * MINUTE).step_by(5_000) {
        let page_answers = now % (4 * MINUTE) != 5_000;
        health.tell(now, Facts { page_answers, ..well() });
        health.verdict(now);
    }
    assert_eq!(health.verdict(20 * MINUTE), Verdict::RollBack { why: Why::Flapping });
}

#[test]
fn a_death_starts_the_good_stretch_anew_and_too_many_end_it() {
    let mut health = Health::new(Limits::default(), Some(well().into()), false, 0);
    for now in (0..4 * MINUTE).step_by(5_000) {
        health.tell(now, well());
    }
    health.died();
    for now in (4 * MINUTE..9 * MINUTE).step_by(5_000) {
        health.tell(now, well());
        assert_eq!(health.verdict(now), Verdict::Wait { until_ms: 9 * MINUTE });
    }
    health.tell(9 * MINUTE, well());
    assert_eq!(health.verdict(9 * MINUTE), Verdict::Commit { blind: false });

    let mut health = Health::new(Limits::default(), Some(well().into()), false, 0);
    for death in 1..=6 {
        assert!(matches!(health.verdict(death), Verdict::Wait { .. }), "{death}");
        health.died();
    }
    assert_eq!(health.verdict(10), Verdict::RollBack { why: Why::Dies });

    // A start that somebody wanted is no death, but begins the stretch anew.
    let mut health = Health::new(Limits::default(), Some(well().into()), false, 0);
    for start in 0..10 {
        health.tell(start, well());
        health.restarted();
    }
    assert!(matches!(health.verdict(10), Verdict::Wait { .. }));
    for at in (10..5 * MINUTE + 10).step_by(5_000) {
        health.tell(at, well());
        assert!(matches!(health.verdict(at), Verdict::Wait { .. }), "{at}");
    }
    assert_eq!(health.verdict(5 * MINUTE + 10), Verdict::Commit { blind: false });
}

#[test]
fn a_blind_commit_needs_its_five_minutes_without_a_death_too() {
    let mut health = Health::new(Limits::default(), Some(alone().into()), false, 0);
    for now in (0..=20 * MINUTE).step_by(5_000) {
        if now == 16 * MINUTE {
            health.died();
        }
        health.tell(now, alone());
        assert_eq!(matches!(health.verdict(now), Verdict::Wait { .. }), now < 20 * MINUTE, "{now}");
    }
    assert_eq!(health.verdict(20 * MINUTE), Verdict::RollBack { why: Why::Flapping });
}

#[test]
fn silence_is_not_health() {
    let mut health = Health::new(Limits::default(), Some(well().into()), false, 0);
    assert_eq!(health.verdict(20 * MINUTE), Verdict::RollBack { why: Why::Silent }, "it never said a word");
    let mut health = Health::new(Limits::default(), Some(well().into()), false, 0);
    health.tell(0, well());
    assert!(matches!(health.verdict(5 * MINUTE), Verdict::Wait { .. }), "one word is not five minutes");
    // A gap in the middle, although nobody asked for a verdict in it.
    let mut health = Health::new(Limits::default(), Some(well().into()), false, 0);
    for at in [0, MINUTE, 2 * MINUTE, 3 * MINUTE + 1, 4 * MINUTE, 5 * MINUTE] {
        health.tell(at, well());
    }
    assert!(matches!(health.verdict(5 * MINUTE), Verdict::Wait { .. }));
}

/// Each combination of facts, held for ever, against each combination of before.
#[test]
fn all_situations_that_stay_as_they_are() {
    let bit = |number: u32, place: u32| number >> place & 1 == 1;
    let mut ends = std::collections::BTreeMap::new();
    for number in 0..1 << 14_u32 {
        let facts = Facts {
            tunnel_up: bit(number, 0),
            cloud_answers: bit(number, 1),
            cameras: 4,
            delivering: if bit(number, 2) { 2 } else { 1 },
            page_answers: bit(number, 3),
            data_writable: bit(number, 4),
            source: bit(number, 5),
            can_update: bit(number, 6),
            watched: false,
        };
        let before = bit(number, 7).then_some(Before {
            tunnel_up: bit(number, 8),
            cloud_answers: bit(number, 9),
            delivering: if bit(number, 10) { 4 } else { 0 },
            source: bit(number, 11),
            can_update: bit(number, 12),
        });
        let retried = bit(number, 13);
        let mut health = Health::new(Limits::default(), before, retried, 0);
        let (at, verdict) = held(&mut health, facts);
        assert!(at == 5 * MINUTE || at == 20 * MINUTE);
        *ends.entry(format!("{verdict:?}")).or_insert(0) += 1;
        allowed(before, retried, &facts, verdict);
    }
    // Each end is some situation's, and a proven one the only way to stay early.
    for end in ["Commit { blind: false }", "Commit { blind: true }", "Inconclusive { why: Unproven }"] {
        assert!(ends.contains_key(end), "{ends:?}");
    }
}

/// What may never be, whatever came before: written down once more, from the other side.
fn allowed(before: Option<Before>, retried: bool, facts: &Facts, verdict: Verdict) {
    let own = facts.page_answers && facts.data_writable;
    let old = before.unwrap_or_default();
    let again = (facts.tunnel_up || !old.tunnel_up)
        && (facts.cloud_answers || !old.cloud_answers)
        && facts.delivering >= old.delivering.div_ceil(2);
    match verdict {
        Verdict::Wait { .. } => {}
        Verdict::Commit { blind: false } => assert!(own && again && facts.can_update, "{facts:?}"),
        Verdict::Commit { blind: true } => {
            let offline = |tunnel: bool, cloud: bool, update: bool| !tunnel && !cloud && !update;
            let was = offline(old.tunnel_up, old.cloud_answers, old.can_update);
            let is = offline(facts.tunnel_up, facts.cloud_answers, facts.can_update);
            assert!(own && again && before.is_some(), "{facts:?}");
            assert!(was && is || !old.source && !facts.source, "{old:?} {facts:?}");
        }
        Verdict::RollBack { why } => {
            let whole = own && again && facts.can_update;
            assert!(!whole || matches!(why, Why::Flapping | Why::Dies | Why::Silent), "{why:?} {facts:?}");
            assert!(!(retried && why.outside()), "rolled back twice: {why:?}");
        }
        Verdict::Inconclusive { why } => {
            assert!(why.outside() && (retried || before.is_none()), "{why:?}");
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Tell(Facts),
    Die,
    Nothing,
}

prop_compose! {
    fn any_facts()(so in any::<[bool; 6]>(), delivering in 0..5_u32) -> Facts {
        Facts {
            tunnel_up: so[0],
            cloud_answers: so[1],
            cameras: 4,
            delivering,
            page_answers: so[2],
            data_writable: so[3],
            source: so[4],
            can_update: so[5],
            watched: false,
        }
    }
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        12 => Just(Event::Tell(well())),
        2 => Just(Event::Tell(alone())),
        2 => any_facts().prop_map(Event::Tell),
        1 => Just(Event::Die),
        1 => Just(Event::Nothing),
    ]
}

proptest! {
    #[test]
    fn any_sequence_has_one_verdict_and_never_a_wrong_one(
        before in proptest::option::of(any_facts().prop_map(Before::from)),
        retried in any::<bool>(),
        events in proptest::collection::vec((0..90_000_u64, any_event(), 1..20_usize), 1..60),
    ) {
        let limits = Limits::default();
        let mut health = Health::new(limits, before, retried, 0);
        let mut told: Vec<(u64, Facts)> = Vec::new();
        let (mut now, mut deaths, mut decided) = (0, 0, None);
        for (step, event, times) in events {
            for _ in 0..times {
                now += step;
                match event {
                    Event::Tell(facts) => {
                        health.tell(now, facts);
                        told.push((now, facts));
                    }
                    Event::Die => {
                        health.died();
                        deaths += 1;
                        told.clear();
                    }
                    Event::Nothing => {}
                }
                let verdict = health.verdict(now);
                if let Some(decided) = decided {
                    prop_assert_eq!(verdict, decided, "it changed its mind");
                    continue;
                }
                if let Verdict::Wait { until_ms } = verdict {
                    prop_assert!(now < limits.deadline_ms && until_ms > now && until_ms <= limits.deadline_ms);
                    continue;
                }
                decided = Some(verdict);
                let facts = told.last().map_or_else(Facts::default, |(_, facts)| *facts);
                allowed(before, retried, &facts, verdict);
                match verdict {
                    Verdict::Commit { blind } => {
                        // Every word of the last five minutes allowed it, without a death or a silence between.
                        let first = now - limits.healthy_ms;
                        let from = told.iter().rposition(|(at, _)| *at <= first);
                        prop_assert!(from.is_some(), "less than five minutes were heard");
                        let stretch = &told[from.unwrap()..];
                        for (_, facts) in stretch {
                            if blind {
                                prop_assert!(facts.page_answers && facts.data_writable);
                            } else {
                                allowed(before, retried, facts, verdict);
                            }
                        }
                        let ends = stretch.iter().skip(1).map(|(at, _)| *at).chain([now]);
                        for ((at, _), next) in stretch.iter().zip(ends) {
                            prop_assert!(next - at <= limits.silent_ms, "silent from {} to {}", at, next);
                        }
                    }
                    Verdict::RollBack { why: Why::Dies } => prop_assert!(deaths > limits.deaths),
                    _ => prop_assert!(now >= limits.deadline_ms, "too early"),
                }
            }
        }
    }
}

#[test]
fn the_old_system_stands_by_the_verdict_only_if_it_can_do_better() {
    let before = Before::from(well());
    let better = |why| match why {
        Why::Cameras => Facts { delivering: 2, ..Facts::default() },
        Why::Tunnel => Facts { tunnel_up: true, ..Facts::default() },
        Why::Cloud => Facts { cloud_answers: true, ..Facts::default() },
        _ => Facts { can_update: true, ..Facts::default() },
    };
    for why in [Why::Cameras, Why::Tunnel, Why::Cloud, Why::Update] {
        let mut aftermath = Aftermath::new(Limits::default(), why, before, 0);
        let others =
            [Why::Cameras, Why::Tunnel, Why::Cloud, Why::Update].into_iter().filter(|&other| other != why);
        for other in others {
            aftermath.tell(&better(other));
        }
        assert_eq!(aftermath.verdict(20 * MINUTE - 1), Second::Wait { until_ms: 20 * MINUTE }, "{why:?}");
        let mut as_bad = aftermath.clone();
        assert_eq!(as_bad.verdict(20 * MINUTE), Second::Inconclusive, "{why:?}");
        as_bad.tell(&better(why));
        assert_eq!(as_bad.verdict(21 * MINUTE), Second::Inconclusive, "it changed its mind");
        aftermath.tell(&better(why));
        assert_eq!(aftermath.verdict(20 * MINUTE), Second::Stands, "{why:?}");
    }
    for why in [Why::Page, Why::Data, Why::Dies, Why::Silent, Why::NoVerdict, Why::Flapping] {
        assert_eq!(Aftermath::new(Limits::default(), why, before, 0).verdict(0), Second::Stands, "{why:?}");
    }
}

#[test]
fn reasons_are_written_as_they_are_read() {
    for why in Why::ALL {
        assert_eq!(Why::of(why.code()), Some(why));
        assert_eq!(serde_json::to_value(why).unwrap(), why.code());
    }
    assert_eq!(Why::of("weather"), None);
}
