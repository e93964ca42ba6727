//! Boxes that may restart and do not, answers that never arrive, and people who stop everything meanwhile.

use model::update::{Phase, Report};

use super::sample::box_id;
use super::world::{HOUR, MINUTE, World, world};
use super::{Command, PIN, Run, Stage, Standing, Steer};

/// Some boxes that may restart, and do not: somebody watches.
fn watched(world: &mut World, numbers: &[u32]) {
    for number in numbers {
        assert!(world.ask(*number, "1.0").target.is_some());
        world.tell("a", *number, Phase::Ready);
        assert!(world.ask(*number, "1.0").may_restart);
    }
}

#[test]
fn who_may_restart_and_does_not_while_a_person_stops_all_is_neither_silent_nor_failed() {
    for how in [Steer::Pause, Steer::Withdraw] {
        let mut world = world();
        world.campaign("a", "1.1", &[1, 2, 3]);
        watched(&mut world, &[1, 2, 3]);
        world.steer("a", how, "a holiday").unwrap();
        for _ in 0..5 {
            world.later(HOUR);
            for number in 1..=3 {
                assert_eq!(world.target(number, "1.0"), None);
                assert_eq!(world.standing("a", number), Some(Standing::Ready), "{how:?}");
            }
        }
        assert_ne!(world.state.campaigns()["a"].run, Run::Halted, "{how:?}");
        assert!(world.state.moving().is_empty(), "their turn is over");
        if how == Steer::Pause {
            world.steer("a", Steer::Resume, "it is over").unwrap();
            assert!(world.ask(1, "1.0").may_restart, "and they get it after all");
        }
    }
}

#[test]
fn who_is_held_or_without_power_after_its_turn_gets_the_release_later() {
    let mut world = world();
    world.campaign("a", "1.1", &[1, 2]);
    watched(&mut world, &[1, 2]);
    world.command(Command::Hold { box_id: box_id(1), reason: Some("measuring".to_owned()) }).unwrap();
    world.later(2 * HOUR);
    assert_eq!(world.state.campaigns()["a"].run, Run::Running);
    assert!(world.ask(2, "1.0").may_restart, "it had no power");
    assert_eq!(world.target(1, "1.0"), None);
    world.command(Command::Hold { box_id: box_id(1), reason: None }).unwrap();
    assert!(world.ask(1, "1.0").may_restart);
}

/// A box whose word that it restarts was written down, and that never heard so: it stays, asks again and says that it is ready.
fn stays(world: &mut World, campaign: &str, number: u32) {
    world.tell(campaign, number, Phase::Restarting);
    world.later(MINUTE);
    let answer = world.ask(number, "1.0");
    assert_eq!((answer.campaign.as_str(), answer.may_restart), (campaign, false));
    assert!(answer.target.is_some(), "it has still to have it");
    world.tell(campaign, number, Phase::Ready);
}

#[test]
fn a_box_that_never_heard_that_it_may_go_goes_later() {
    let mut world = world();
    world.campaign("a", "1.1", &[1]);
    watched(&mut world, &[1]);
    stays(&mut world, "a", 1);
    assert_eq!(world.standing("a", 1), Some(Standing::Ready));
    assert!(world.state.moving().is_empty(), "the next one of its site may go");
    world.later(3 * HOUR);
    assert_eq!(world.standing("a", 1), Some(Standing::Ready), "nothing is held against it");
    assert!(world.ask(1, "1.0").may_restart);
    world.tell("a", 1, Phase::Restarting);
    world.later(2 * MINUTE);
    assert_eq!(world.target(1, "1.1"), None);
    world.tell("a", 1, Phase::Committed);
    assert_eq!(world.state.campaigns()["a"].tally.committed, 1);
}

#[test]
fn a_box_that_stays_may_say_so_before_it_could_ask() {
    let mut world = world();
    world.campaign_for_all("a", "1.1");
    world.restart("a", 1);
    world.later(MINUTE);
    world.tell("a", 1, Phase::Ready);
    assert_eq!(world.standing("a", 1), Some(Standing::Ready));
    assert!(world.ask(1, "1.0").may_restart);
}

#[test]
fn a_word_from_before_its_restart_takes_no_box_back() {
    let mut world = world();
    world.campaign_for_all("a", "1.1");
    world.restart("a", 1);
    world.tell("a", 1, Phase::Ready);
    assert_eq!(world.standing("a", 1), Some(Standing::Restarting), "it may be late");
    world.later(2 * MINUTE);
    assert_eq!(world.target(1, "1.1"), None);
    world.tell("a", 1, Phase::Ready);
    assert_eq!(world.standing("a", 1), Some(Standing::Restarting), "it is on trial");
}

#[test]
fn a_box_that_never_goes_has_failed_at_some_time() {
    let mut world = world();
    world.campaign_for_all("a", "1.1");
    watched(&mut world, &[1]);
    for _ in 0..10 {
        stays(&mut world, "a", 1);
    }
    assert_eq!(world.standing("a", 1), Some(Standing::Restarting), "it is not believed for ever");
    world.later(2 * HOUR);
    assert_eq!(world.standing("a", 1), Some(Standing::Failed));
}

/// A box says something of its pin, 1.1.
fn of_its_pin(world: &mut World, number: u32, phase: Phase) {
    let report = Report { version: "1.1".to_owned(), ..world.report(PIN, number, phase) };
    let events = world.state.told(&report, world.now);
    world.happen(events);
}

/// A box that was pinned to 1.1, and restarts.
fn pinned(world: &mut World, number: u32) {
    world.command(Command::Pin { box_id: box_id(number), version: Some("1.1".to_owned()) }).unwrap();
    assert!(world.target(number, "1.0").is_some());
    of_its_pin(world, number, Phase::Ready);
    assert!(world.ask(number, "1.0").may_restart);
    of_its_pin(world, number, Phase::Restarting);
}

#[test]
fn a_pinned_box_that_never_heard_that_it_may_go_goes_later() {
    let mut world = world();
    pinned(&mut world, 1);
    world.later(MINUTE);
    assert!(world.target(1, "1.0").is_some());
    of_its_pin(&mut world, 1, Phase::Ready);
    assert!(world.ask(1, "1.0").may_restart);
}

#[test]
fn who_is_held_to_restart_is_told_nothing_that_others_are_not_told() {
    let mut world = world();
    world.campaign_for_all("a", "1.1");
    for number in [1, 2] {
        world.restart("a", number);
    }
    world.later(MINUTE);
    world.command(Command::Hold { box_id: box_id(1), reason: Some("measuring".to_owned()) }).unwrap();
    assert_eq!(world.target(1, "1.0"), None);
    assert_eq!(world.ask_with(2, "1.0", 2, false).target, None, "it is below its floor");
    world.steer("a", Steer::Pause, "a holiday").unwrap();
    assert_eq!(world.target(2, "1.0"), None);
}

#[test]
fn a_campaign_that_a_person_lets_go_on_goes_on_even_if_all_its_boxes_have_decided() {
    let mut world = world();
    world.campaign("a", "1.1", &[1, 2, 3]);
    for (number, phase) in [(1, Phase::Committed), (2, Phase::Committed), (3, Phase::Failed)] {
        world.restart("a", number);
        world.tell("a", number, phase);
    }
    world.later(24 * HOUR);
    assert_eq!(world.state.campaigns()["a"].run, Run::Halted, "one of three");
    world.steer("a", Steer::Resume, "its disk was broken").unwrap();
    world.later(23 * HOUR);
    assert_eq!(world.state.campaigns()["a"].stage, Stage::Canary, "it is watched for a day again");
    for stage in [Stage::One, Stage::Five, Stage::Quarter, Stage::All] {
        world.later(if stage == Stage::One { HOUR } else { 24 * HOUR });
        assert_eq!(
            world.state.campaigns()["a"].stage,
            stage,
            "the fleet is small, its rings have nobody else"
        );
    }
}

#[test]
fn a_pause_makes_no_failure_forgotten() {
    let mut world = world();
    world.campaign("a", "1.1", &[1, 2, 3]);
    world.restart("a", 1);
    world.tell("a", 1, Phase::Failed);
    world.steer("a", Steer::Pause, "a holiday").unwrap();
    world.steer("a", Steer::Resume, "it is over").unwrap();
    assert_eq!(world.state.campaigns()["a"].run, Run::Running);
    world.restart("a", 2);
    world.tell("a", 2, Phase::Failed);
    assert_eq!(world.state.campaigns()["a"].run, Run::Halted, "both count");
}

#[test]
fn a_campaign_that_a_person_lets_go_on_still_waits_for_who_can_decide() {
    let mut world = world();
    world.campaign("a", "1.1", &[1, 2, 3]);
    world.ask(3, "1.0");
    for number in [1, 2] {
        world.restart("a", number);
        world.tell("a", number, Phase::Failed);
    }
    world.steer("a", Steer::Resume, "their disks were broken").unwrap();
    for _ in 0..30 {
        world.later(HOUR);
        world.ask(3, "1.0");
    }
    assert_eq!(world.state.campaigns()["a"].stage, Stage::Canary);
}

#[test]
fn a_box_that_is_new_is_not_taken_back_by_a_campaign_that_is_through() {
    let mut world = world();
    world.listed[2].security = 1;
    world.campaign_for_all("a", "1.1");
    world.restart("a", 1);
    assert!(world.target(4, "1.0").is_some());
    world.tell("a", 1, Phase::Committed);
    assert!(world.target(2, "1.2").is_some(), "while it runs it may be meant so");
    world.later(48 * HOUR);
    assert_eq!(world.state.campaigns()["a"].run, Run::Done);
    assert_eq!(world.ask_with(3, "1.2", 1, true).target, None, "made with 1.2");
    assert!(world.target(5, "1.0").is_some(), "whoever comes with an older one gets it");
    assert!(world.target(6, "0.9").is_some(), "or with one that is not published any more");
    assert!(world.target(4, "1.2").is_some(), "and whoever was told before");
}

#[test]
fn a_pinned_box_that_was_given_up_as_silent_may_come_back() {
    let mut world = world();
    for (number, runs, comes_to) in [(1, "1.1", Standing::Committed), (2, "1.0", Standing::Failed)] {
        pinned(&mut world, number);
        world.later(2 * HOUR);
        assert_eq!(world.standing(PIN, number), Some(Standing::Silent));
        world.ask(number, runs);
        assert_eq!(world.standing(PIN, number), Some(comes_to));
    }
}

#[test]
fn a_ring_whose_boxes_are_all_gone_is_followed_by_the_next_and_a_canary_is_waited_for() {
    let mut world = world();
    let rings = ["a", "c"];
    let first =
        (0..1_000_000).find(|number| rings.iter().all(|id| Stage::One.has(id, &box_id(*number)))).unwrap();
    world.ask(first, "1.0");
    world.gone.push(box_id(first));
    world.campaign("a", "1.1", &[]);
    world.campaign("c", "1.1", &[first]);
    world.later(24 * HOUR);
    assert_eq!(world.state.campaigns()["a"].stage, Stage::Five);
    assert_eq!(world.state.campaigns()["c"].stage, Stage::Canary);
    world.gone.clear();
    world.later(24 * HOUR);
    assert_eq!(world.state.campaigns()["a"].stage, Stage::Five, "it is there again");
}
