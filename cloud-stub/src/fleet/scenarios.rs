//! One box or a few, and what each of them is told in turn.

use model::update::{Phase, Report};

use super::sample::box_id;
use super::world::{HOUR, MINUTE, World, world};
use super::{Command, Draft, Event, Happening, PIN, Run, Stage, Standing, Steer, Timing, Unwilling};

#[test]
fn a_box_of_the_ring_is_told_and_lets_its_restart_be_allowed() {
    let mut world = world();
    world.campaign("a", "1.1", &[1]);
    assert_eq!(world.target(2, "1.0"), None, "it is no canary");
    let answer = world.ask(1, "1.0");
    assert_eq!((answer.target.as_deref(), answer.campaign.as_str()), (Some("b/1.1.json"), "a"));
    assert!(!answer.may_restart && answer.deadline_ms == world.now + Timing::DEADLINE);
    world.tell("a", 1, Phase::Fetching);
    assert!(!world.ask(1, "1.0").may_restart, "it has not everything yet");
    world.tell("a", 1, Phase::Ready);
    world.open = false;
    assert!(!world.ask(1, "1.0").may_restart, "outside the window");
    world.open = true;
    assert!(world.ask(1, "1.0").may_restart);
    world.tell("a", 1, Phase::Restarting);
    world.now += 2 * MINUTE;
    assert_eq!(world.target(1, "1.1"), None, "it stays with what it tries");
    world.tell("a", 1, Phase::Committed);
    assert_eq!(world.standing("a", 1), Some(Standing::Committed));
    assert_eq!(world.state.campaigns()["a"].tally.committed, 1);
    assert_eq!(world.target(1, "1.1"), None);
    assert!(world.state.moving().is_empty());
}

#[test]
fn what_stands_in_a_boxs_way_is_written_down_once_and_not_for_ever() {
    let mut world = world();
    let why = |world: &World| world.state.place("a", &box_id(1)).unwrap().why.clone();
    world.campaign_for_all("a", "1.1");
    assert!(world.ask(1, "1.0").target.is_some());
    assert_eq!(world.stick("a", 1, "no mirror answers").len(), 2, "that it fetches, and why it does not");
    assert_eq!(
        (world.standing("a", 1), why(&world).as_str()),
        (Some(Standing::Fetching), "no mirror answers")
    );
    for same in ["no mirror answers", ""] {
        assert!(world.stick("a", 1, same).is_empty(), "{same:?} is no news");
    }
    let other = world.stick("a", 1, "the disk is full");
    assert!(
        matches!(&other[..], [Happening { event: Event::Stuck { why }, .. }] if why == "the disk is full")
    );
    assert_eq!(why(&world), "the disk is full");
    let written: usize = (0..100).map(|number| world.stick("a", 1, &format!("reason {number}")).len()).sum();
    assert!(written < 20, "{written} lines of one box");
    world.tell("a", 1, Phase::Ready);
    assert_eq!(why(&world), "", "it stands in its way no more");
    assert!(world.stick("a", 1, "late").is_empty());
}

#[test]
fn what_a_box_runs_is_known_at_once_however_often_that_changes() {
    let mut world = world();
    let runs = |world: &World| world.state.known(&box_id(1)).unwrap().version.clone();
    world.campaign_for_all("a", "1.1");
    world.restart("a", 1);
    assert_eq!(runs(&world), "1.0");
    world.now += MINUTE;
    world.ask(1, "1.1");
    assert_eq!(runs(&world), "1.1", "on trial");
    world.now += MINUTE;
    world.tell("a", 1, Phase::Failed);
    assert_eq!(runs(&world), "1.0", "not what it gave up");
    world.campaign_for_all("b", "1.2");
    world.restart("b", 1);
    world.now += MINUTE;
    world.tell("b", 1, Phase::Committed);
    assert_eq!(runs(&world), "1.2");
}

#[test]
fn a_ring_that_holds_is_followed_by_the_next_until_all_are_through() {
    let mut world = world();
    world.campaign("a", "1.1", &[1]);
    world.later(25 * HOUR);
    assert_eq!(world.state.campaigns()["a"].stage, Stage::Canary, "the canary has not decided");
    world.restart("a", 1);
    world.tell("a", 1, Phase::Committed);
    let mut stages = Vec::new();
    for _ in 0..8 {
        world.later(12 * HOUR);
        stages.push(world.state.campaigns()["a"].stage.name());
    }
    assert_eq!(stages, ["1", "1", "5", "5", "25", "25", "100", "100"]);
    world.later(24 * HOUR);
    assert_eq!(world.state.campaigns()["a"].run, Run::Done);
    assert!(world.ask(5, "1.0").target.is_some(), "whoever comes later gets it too");
}

#[test]
fn a_ring_waits_for_boxes_that_ask_and_not_for_those_that_are_gone() {
    let mut world = world();
    world.campaign("a", "1.1", &[1, 2]);
    world.restart("a", 1);
    world.tell("a", 1, Phase::Committed);
    assert!(world.ask(2, "1.0").target.is_some());
    for _ in 0..30 {
        world.later(HOUR);
        world.ask(2, "1.0");
    }
    assert_eq!(world.state.campaigns()["a"].stage, Stage::Canary, "one of two has decided");
    world.later(31 * HOUR);
    assert_eq!(world.state.campaigns()["a"].stage, Stage::One, "the other is not there any more");
}

#[test]
fn one_failure_among_few_lets_no_further_ring_open_and_two_stop_at_once() {
    let mut world = world();
    world.campaign("a", "1.1", &[1, 2, 3]);
    for number in 1..=3 {
        world.restart("a", number);
        world.tell("a", number, if number == 1 { Phase::Failed } else { Phase::Committed });
    }
    assert_eq!(world.state.campaigns()["a"].run, Run::Running);
    world.later(24 * HOUR);
    let campaign = &world.state.campaigns()["a"];
    assert_eq!(campaign.run, Run::Halted);
    assert!(campaign.reason.contains("too many failures to go on: 1 of 3"), "{}", campaign.reason);

    world.campaign("c", "1.2", &[4, 5, 6]);
    for number in [4, 5] {
        world.restart("c", number);
    }
    assert!(world.ask(6, "1.0").target.is_some());
    world.tell("c", 4, Phase::Failed);
    world.tell("c", 5, Phase::Failed);
    assert_eq!(world.state.campaigns()["c"].run, Run::Halted, "at once");
    world.tell("c", 6, Phase::Ready);
    assert_eq!(world.target(6, "1.0"), None, "and who has it already does not start it");
}

#[test]
fn a_person_with_a_reason_lets_it_go_on_and_the_count_begins_anew() {
    let mut world = world();
    world.campaign("a", "1.1", &[1, 2, 3]);
    for number in [1, 2] {
        world.restart("a", number);
        world.tell("a", number, Phase::Failed);
    }
    assert_eq!(world.state.campaigns()["a"].run, Run::Halted);
    assert!(matches!(world.steer("a", Steer::Resume, " "), Err(Unwilling::Unfit(_))));
    assert!(matches!(world.steer("a", Steer::Advance, "x"), Err(Unwilling::NotNow(_))));
    world.steer("a", Steer::Resume, "both were without power").unwrap();
    let campaign = &world.state.campaigns()["a"];
    assert_eq!((campaign.run, campaign.tally.decided()), (Run::Running, 0));
    assert_eq!(campaign.reason, "both were without power");
    world.restart("a", 3);
    world.tell("a", 3, Phase::Committed);
    assert_eq!(world.target(1, "1.0"), None, "who has failed is not tried again");
    world.later(24 * HOUR);
    assert_eq!(world.state.campaigns()["a"].stage, Stage::One);
}

#[test]
fn a_box_that_is_silent_for_two_hours_has_failed_and_may_come_back() {
    let mut world = world();
    world.campaign("a", "1.1", &[1, 2, 3, 4, 5, 6]);
    for number in 1..=6 {
        world.restart("a", number);
    }
    world.now += 5 * MINUTE;
    for number in [2, 4] {
        assert_eq!(world.target(number, "1.1"), None);
    }
    world.ask(3, "1.0");
    world.now += 2 * HOUR - 6 * MINUTE;
    world.later(0);
    assert_eq!(world.standing("a", 1), Some(Standing::Restarting));
    world.later(MINUTE);
    assert_eq!(world.standing("a", 1), Some(Standing::Silent));
    assert_eq!(world.standing("a", 2), Some(Standing::Committed), "it runs it and has not said so");
    assert_eq!(world.standing("a", 3), Some(Standing::Failed), "it fell back and has not said so");
    assert_eq!(world.state.campaigns()["a"].run, Run::Halted, "silent boxes count");
    world.ask(1, "1.1");
    assert_eq!(world.standing("a", 1), Some(Standing::Committed), "it was heard of late");
    world.ask(5, "1.0");
    assert_eq!(world.standing("a", 5), Some(Standing::Failed));
    let tally = world.state.campaigns()["a"].tally;
    assert_eq!((tally.committed, tally.failed, tally.silent), (3, 2, 1));
}

#[test]
fn a_site_loses_one_box_at_a_time_or_a_tenth() {
    for (size, away) in [(4, 1), (19, 1), (20, 2), (50, 5)] {
        let mut world = world();
        world.site_size = size;
        world.campaign_for_all("a", "1.1");
        let numbers = 0..size as u32;
        for number in numbers.clone() {
            world.ask(number, "1.0");
            world.tell("a", number, Phase::Ready);
        }
        let may: Vec<u32> = numbers.clone().filter(|number| world.ask(*number, "1.0").may_restart).collect();
        assert_eq!(may.len(), away, "{size}");
        assert!(world.ask(may[0], "1.0").may_restart, "it keeps its turn");
        world.tell("a", may[0], Phase::Restarting);
        world.tell("a", may[0], Phase::Committed);
        let next = numbers.clone().filter(|number| world.ask(*number, "1.0").may_restart).count();
        assert_eq!(next, away, "{size}: the next one has its turn");
        world.now += Timing::CLEARED;
        let others: Vec<u32> = numbers.rev().filter(|number| world.ask(*number, "1.0").may_restart).collect();
        assert_eq!(others.len(), away, "{size}: who does not use its turn loses it");
        assert!(others.iter().all(|number| *number as usize >= size - away), "{size}: {others:?}");
    }
}

#[test]
fn a_campaign_hurries_only_as_fast_as_it_learns() {
    let mut world = world();
    world.campaign_for_all("a", "1.1");
    let ready = |world: &mut World, numbers: std::ops::Range<u32>| {
        for number in numbers {
            world.ask(number, "1.0");
            world.tell("a", number, Phase::Ready);
        }
    };
    ready(&mut world, 0..200);
    let restart = |world: &mut World| {
        let may: Vec<u32> = (0..200).filter(|number| world.ask(*number, "1.0").may_restart).collect();
        for number in &may {
            world.tell("a", *number, Phase::Restarting);
        }
        may
    };
    let first = restart(&mut world);
    assert_eq!(first.len(), 10);
    world.now += 5 * MINUTE;
    assert_eq!(restart(&mut world), [0_u32; 0], "nobody has decided yet");
    for number in &first[..8] {
        world.tell("a", *number, Phase::Committed);
    }
    assert_eq!(restart(&mut world).len(), 8);
    world.now += 6 * MINUTE;
    assert_eq!(restart(&mut world), [0_u32; 0], "two are overdue: it is waited for what became of them");
    assert_eq!(world.state.campaigns()["a"].run, Run::Running, "but nothing is stopped yet");
}

#[test]
fn people_hold_pin_and_postpone_a_box() {
    let mut world = world();
    world.campaign_for_all("a", "1.1");
    let (held, pinned, spared) = (box_id(1), box_id(2), box_id(3));
    world.command(Command::Hold { box_id: held.clone(), reason: Some("measuring".to_owned()) }).unwrap();
    assert_eq!(world.target(1, "1.0"), None);
    world.command(Command::Hold { box_id: held, reason: None }).unwrap();
    assert!(world.target(1, "1.0").is_some());

    world.command(Command::Pin { box_id: pinned.clone(), version: Some("1.2".to_owned()) }).unwrap();
    let answer = world.ask(2, "1.0");
    assert_eq!((answer.target.as_deref(), answer.campaign.as_str()), (Some("b/1.2.json"), PIN));
    world.command(Command::Pin { box_id: pinned.clone(), version: Some("1.0".to_owned()) }).unwrap();
    assert_eq!(world.target(2, "1.0"), None, "it stays at its version");
    assert_eq!(world.ask_with(2, "1.2", 2, false).target, None, "a pin below the floor is not obeyed");
    world.command(Command::Pin { box_id: pinned.clone(), version: Some("9.9".to_owned()) }).unwrap();
    assert_eq!(world.target(2, "1.0"), None, "a version that is not there is nowhere to go");
    world.command(Command::Pin { box_id: pinned, version: None }).unwrap();
    assert_eq!(world.ask(2, "1.0").campaign, "a");

    let until_ms = world.now + 48 * HOUR;
    world.command(Command::Postpone { box_id: spared.clone(), until_ms }).unwrap();
    assert_eq!(world.target(3, "1.0"), None);
    world.now = until_ms;
    assert!(world.target(3, "1.0").is_some());
    world.tell("a", 3, Phase::Ready);
    let until_ms = world.now + HOUR;
    world.command(Command::Postpone { box_id: spared.clone(), until_ms }).unwrap();
    let answer = world.ask(3, "1.0");
    assert!(answer.target.is_some() && !answer.may_restart, "what it has it keeps, and waits");
    let until_ms = world.now + 169 * HOUR;
    assert!(world.command(Command::Postpone { box_id: spared, until_ms }).is_err());
}

#[test]
fn nothing_below_the_floor_is_offered_by_anything() {
    let mut world = world();
    world.campaign_for_all("a", "1.1");
    assert_eq!(world.ask_with(1, "1.2", 2, false).target, None);
    assert_eq!(world.ask_with(1, "1.2", 2, true).target, None);
    world.command(Command::Pin { box_id: box_id(1), version: Some("1.1".to_owned()) }).unwrap();
    assert_eq!(world.ask_with(1, "1.2", 2, true).target, None);
}

#[test]
fn a_later_campaign_takes_over_and_an_earlier_one_never_takes_back() {
    let mut world = world();
    world.campaign_for_all("a", "1.1");
    assert_eq!(world.ask(1, "1.0").campaign, "a");
    world.restart("a", 2);
    world.campaign_for_all("c", "1.2");
    assert_eq!(world.target(2, "1.0"), None, "one that restarts is left alone");
    assert_eq!(world.ask(1, "1.0").campaign, "c");
    assert_eq!(world.standing("a", 1), Some(Standing::Superseded));
    world.restart("c", 3);
    world.tell("c", 3, Phase::Committed);
    world.steer("c", Steer::Withdraw, "it is slow").unwrap();
    assert_eq!(world.target(3, "1.2"), None, "1.1 would be a step back");
    assert_eq!(world.ask(1, "1.0").campaign, "a", "who has not had it goes on with the one before");
    assert_eq!(world.standing("a", 1), Some(Standing::Offered));
    assert!(matches!(world.steer("c", Steer::Resume, "x"), Err(Unwilling::NotNow(_))));
}

#[test]
fn while_a_campaign_is_stopped_its_boxes_get_nothing_else_either() {
    let mut world = world();
    world.campaign_for_all("a", "1.1");
    world.campaign_for_all("c", "1.2");
    world.steer("c", Steer::Pause, "a holiday").unwrap();
    assert_eq!(world.target(1, "1.0"), None);
    world.steer("c", Steer::Resume, "it is over").unwrap();
    assert_eq!(world.ask(1, "1.0").campaign, "c");
}

#[test]
fn the_newest_is_for_everyone_only_where_no_campaign_leads() {
    let mut world = world();
    assert_eq!(world.ask_with(1, "1.0", 1, false).target, None);
    let answer = world.ask_with(1, "1.0", 1, true);
    assert_eq!((answer.target.as_deref(), answer.may_restart), (Some("b/1.2.json"), true));
    world.campaign("a", "1.1", &[7]);
    assert_eq!(world.ask_with(1, "1.0", 1, true).target, None, "it is not its turn yet");
    world.steer("a", Steer::Withdraw, "x").unwrap();
    assert!(world.ask_with(1, "1.0", 1, true).target.is_some());
    let until_ms = world.now + 48 * HOUR;
    world.command(Command::Postpone { box_id: box_id(1), until_ms }).unwrap();
    let answer = world.ask_with(1, "1.0", 1, true);
    assert_eq!((answer.target, answer.may_restart), (None, false), "its owner has put it off");
    world.now = until_ms;
    assert!(world.ask_with(1, "1.0", 1, true).may_restart);
}

#[test]
fn a_box_that_reports_nothing_is_believed_by_what_it_runs() {
    let mut world = world();
    world.campaign_for_all("a", "1.1");
    world.ask(1, "1.0");
    world.now += HOUR;
    world.ask(1, "1.1");
    assert_eq!(world.standing("a", 1), Some(Standing::Restarting), "it may be on trial");
    world.now += HOUR;
    world.ask(1, "1.1");
    assert_eq!(world.standing("a", 1), Some(Standing::Committed));
}

#[test]
fn words_about_something_else_change_nothing() {
    let mut world = world();
    world.campaign_for_all("a", "1.1");
    world.ask(1, "1.0");
    let other = Report { version: "1.2".to_owned(), ..world.report("a", 1, Phase::Committed) };
    for report in [
        other,
        Report { campaign: "nothing".to_owned(), ..world.report("a", 1, Phase::Committed) },
        Report { campaign: String::new(), ..world.report("a", 1, Phase::Committed) },
        world.report("a", 2, Phase::Committed),
    ] {
        assert_eq!(world.state.told(&report, world.now), [], "{report:?}");
    }
    let failed = world.state.told(&world.report("a", 1, Phase::Failed), world.now);
    let Event::Failed { why, journal } = &failed[0].event else { panic!("{failed:?}") };
    assert_eq!((why.as_str(), journal.as_str()), ("the tunnel never came up", "last words"));
}

#[test]
fn what_people_write_is_bounded() {
    let mut world = world();
    let draft = Draft {
        name: "n".to_owned(),
        version: "1.1".to_owned(),
        boards: Vec::new(),
        canaries: Vec::new(),
        bake_s: 60,
        note: String::new(),
        who: String::new(),
    };
    for wrong in [
        Draft { name: " ".to_owned(), ..draft.clone() },
        Draft { name: "n".repeat(101), ..draft.clone() },
        Draft { version: String::new(), ..draft.clone() },
        Draft { version: "1 1".to_owned(), ..draft.clone() },
        Draft { boards: vec!["b".to_owned(); 51], ..draft.clone() },
        Draft { canaries: (0..1001).map(box_id).collect(), ..draft.clone() },
        Draft { bake_s: 31 * 24 * 3600, ..draft.clone() },
        Draft { note: "n".repeat(1001), ..draft.clone() },
    ] {
        let refused = world.command(Command::Draft { campaign: "x".to_owned(), draft: wrong.clone() });
        assert!(matches!(refused, Err(Unwilling::Unfit(_))), "{wrong:?}");
    }
    world.command(Command::Draft { campaign: "x".to_owned(), draft }).unwrap();
    assert_eq!(world.steer("y", Steer::Start, ""), Err(Unwilling::NotThere));
    assert!(matches!(world.steer("x", Steer::Pause, "x"), Err(Unwilling::NotNow(_))), "it has not begun");
    world.steer("x", Steer::Start, "").unwrap();
    assert!(matches!(world.steer("x", Steer::Start, ""), Err(Unwilling::NotNow(_))));
}

#[test]
fn what_a_later_program_has_written_is_passed_over() {
    let event: Event = serde_json::from_str(r#"{"what":"teleported","to":"mars"}"#).unwrap();
    assert_eq!(event, Event::Unknown);
    let kept = serde_json::to_value(Event::Opened { stage: Stage::Five }).unwrap();
    assert_eq!(kept, serde_json::json!({ "what": "opened", "stage": "5" }));
}
