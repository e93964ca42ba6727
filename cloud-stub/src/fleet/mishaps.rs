//! Boxes that may restart and do not, answers that never arrive, and people who stop everything meanwhile.

use model::update::Phase;

use super::sample::box_id;
use super::world::{HOUR, World, world};
use super::{Command, Run, Standing, Steer};

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
