#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use board::slot::{Record, State};
use update::health::{Before, Facts, Limits, Why};

use super::super::word::{Ending, Last};
use super::*;

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const TIMES: Times = Times {
    limits: Limits { healthy_ms: 5 * MINUTE, deadline_ms: 20 * MINUTE, silent_ms: MINUTE, deaths: 5 },
    retry_ms: 6 * HOUR,
};

fn record(state: State, tries: u8) -> Record {
    Record { state, tries, rounds: 0 }
}

fn well() -> Facts {
    Facts {
        tunnel_up: true,
        cloud_answers: true,
        cameras: 2,
        delivering: 2,
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

fn found(running: Record, other: Record) -> Found {
    Found {
        running,
        other,
        full: 3,
        running_system: Some("new".into()),
        other_system: Some("other".into()),
        last: None,
        before: Some(well().into()),
        floor_owed: false,
    }
}

fn last(end: Ending, why: Option<Why>, system: &str) -> Last {
    Last { end, why, version: "2".into(), system: system.into(), at_s: 0 }
}

/// Tells the same every 5 s and does what is wanted, for so long; gives the acts.
fn acts(found: &Found, facts: Facts, until_ms: u64) -> Vec<(u64, Act)> {
    let mut course = Course::new(TIMES, found, 0);
    let mut acts = Vec::new();
    for now in (0..=until_ms).step_by(5_000) {
        course.tell(now, facts);
        while let Some(act) = course.next(now) {
            assert_eq!(course.next(now), Some(act), "an act that is not done stays");
            acts.push((now, act));
            course.done();
        }
    }
    acts
}

#[test]
fn a_good_system_that_starts_and_is_well_writes_nothing() {
    for other in
        [record(State::Good, 3), record(State::Empty, 0), record(State::Trial, 2), record(State::Failed, 0)]
    {
        assert_eq!(acts(&found(record(State::Good, 3), other), well(), 48 * HOUR), [], "{other:?}");
    }
}

#[test]
fn a_system_on_trial_ends_in_one_way_and_then_nothing_more_is_done() {
    let trial = found(record(State::Trial, 1), record(State::Good, 3));
    let kept = Act::KeepBefore(well().into());
    let commit = Act::Commit { blind: false };
    assert_eq!(acts(&trial, well(), HOUR), [(5 * MINUTE, commit), (10 * MINUTE + 5_000, kept)]);
    let silent = Facts { page_answers: false, ..well() };
    assert_eq!(acts(&trial, silent, HOUR), [(20 * MINUTE, Act::Fail(Why::Page))]);
    assert_eq!(acts(&trial, alone(), HOUR), [(20 * MINUTE, Act::Fail(Why::Tunnel))]);
    let unknown = Found { before: None, ..trial };
    assert_eq!(acts(&unknown, alone(), HOUR), [(20 * MINUTE, Act::LetGo(Why::Unproven))]);
}

#[test]
fn a_system_that_was_given_up_for_what_lay_outside_is_not_given_up_for_that_again() {
    let trial = found(record(State::Trial, 1), record(State::Good, 3));
    for (end, why, expected) in [
        (Ending::Again, Why::Tunnel, Act::LetGo(Why::Tunnel)),
        (Ending::RolledBack, Why::Cloud, Act::LetGo(Why::Tunnel)),
        (Ending::NoVerdict, Why::Update, Act::LetGo(Why::Tunnel)),
        (Ending::NoVerdict, Why::NoVerdict, Act::Fail(Why::Tunnel)),
    ] {
        let trial = Found { last: Some(last(end, Some(why), "new")), ..trial.clone() };
        assert_eq!(acts(&trial, alone(), HOUR), [(20 * MINUTE, expected)], "{end:?} {why:?}");
        let another = Found { last: Some(last(end, Some(why), "older")), ..trial };
        assert_eq!(acts(&another, alone(), HOUR), [(20 * MINUTE, Act::Fail(Why::Tunnel))], "{end:?} {why:?}");
    }
}

#[test]
fn a_system_that_nobody_put_on_trial_is_committed_when_well_and_never_given_up() {
    let lost = found(record(State::Unknown, 0), record(State::Unknown, 1));
    assert_eq!(acts(&lost, well(), 6 * MINUTE), [(5 * MINUTE, Act::Commit { blind: false })]);
    assert_eq!(acts(&lost, alone(), 22 * MINUTE), [(20 * MINUTE, Act::Commit { blind: true })]);
    assert_eq!(acts(&lost, Facts::default(), HOUR), []);
}

#[test]
fn tries_that_crashes_took_come_back_once_the_good_system_is_well() {
    let crashed = found(record(State::Good, 1), record(State::Good, 3));
    assert_eq!(acts(&crashed, well(), HOUR), [(5 * MINUTE, Act::Refresh)]);
    let ill = Facts { page_answers: false, ..well() };
    assert_eq!(acts(&crashed, ill, HOUR), []);
}

#[test]
fn what_a_cut_left_of_a_commit_is_made_good_once_the_system_is_well() {
    let committed = found(record(State::Good, 3), record(State::Good, 3));
    let cut = Found { floor_owed: true, ..committed };
    assert_eq!(acts(&cut, well(), HOUR), [(5 * MINUTE, Act::Refresh)]);
    let trial = Found { running: record(State::Trial, 1), ..cut };
    assert_eq!(
        acts(&trial, alone(), HOUR),
        [(20 * MINUTE, Act::Fail(Why::Tunnel))],
        "a new system raises nothing"
    );
}

#[test]
fn what_is_kept_of_before_is_what_was_true_for_five_minutes() {
    let good = found(record(State::Good, 3), record(State::Empty, 0));
    let mut course = Course::new(TIMES, &good, 0);
    for now in (0..HOUR).step_by(5_000) {
        // The tunnel is gone for four minutes of every eight.
        let facts = if (now / (4 * MINUTE)).is_multiple_of(2) { well() } else { alone() };
        course.tell(now, facts);
        assert_eq!(course.next(now), None, "{now}");
    }
    assert_eq!(acts(&good, alone(), HOUR), [(5 * MINUTE, Act::KeepBefore(alone().into()))]);
    let blank = Found { before: None, ..good };
    assert_eq!(acts(&blank, well(), HOUR), [(5 * MINUTE, Act::KeepBefore(well().into()))]);
}

#[test]
fn the_old_system_looks_whether_the_new_one_was_to_blame() {
    let failed = found(record(State::Good, 3), record(State::Failed, 0));
    let failed = Found { last: Some(last(Ending::RolledBack, Some(Why::Tunnel), "other")), ..failed };
    let stands = [(0, Act::Note(Ending::GivenUp, Why::Tunnel))];
    assert_eq!(acts(&failed, well(), 48 * HOUR), stands, "the old one has its tunnel");

    let kept = (5 * MINUTE, Act::KeepBefore(alone().into()));
    let doubtful = (20 * MINUTE, Act::Note(Ending::Doubtful, Why::Tunnel));
    assert_eq!(acts(&failed, alone(), 48 * HOUR), [kept, doubtful], "no new trial while there is no network");

    let mut doubtful =
        Found { last: Some(last(Ending::Doubtful, Some(Why::Tunnel), "other")), ..failed.clone() };
    let again = Found { last: Some(last(Ending::Again, Some(Why::Tunnel), "other")), ..failed.clone() };
    for (found, case) in [(&doubtful, "noted"), (&again, "cut off before it was put on trial")] {
        assert_eq!(acts(found, well(), 48 * HOUR), [(6 * HOUR, Act::TryAgain(Why::Tunnel))], "{case}");
    }
    // The next system would be measured by a time without a network: first that is kept.
    doubtful.before = Some(alone().into());
    let kept = (5 * MINUTE, Act::KeepBefore(well().into()));
    assert_eq!(acts(&doubtful, well(), 48 * HOUR), [kept, (6 * HOUR, Act::TryAgain(Why::Tunnel))]);

    for (end, why, system) in [
        (Ending::GivenUp, Why::Tunnel, "other"),
        (Ending::RolledBack, Why::Page, "other"),
        (Ending::RolledBack, Why::Tunnel, "another"),
    ] {
        let settled = Found {
            last: Some(last(end, Some(why), system)),
            before: Some(alone().into()),
            ..failed.clone()
        };
        assert_eq!(acts(&settled, alone(), 48 * HOUR), [], "{end:?} {why:?} {system}");
    }
}

#[test]
fn a_trial_that_ended_without_a_verdict_is_noted_and_tried_again_later() {
    let spent = found(record(State::Good, 3), record(State::Trial, 0));
    let noted = (0, Act::Note(Ending::NoVerdict, Why::NoVerdict));
    assert_eq!(acts(&spent, well(), 48 * HOUR), [noted, (6 * HOUR, Act::Settle)]);
    assert_eq!(acts(&spent, well(), 5 * HOUR), [noted]);
    // It is noted once, however often the box is started.
    let again = Found { last: Some(last(Ending::NoVerdict, Some(Why::NoVerdict), "other")), ..spent.clone() };
    assert_eq!(acts(&again, well(), HOUR), []);
    // What had no network is tried again only when there is one, and was for long enough to be kept.
    let unproven = Found { last: Some(last(Ending::NoVerdict, Some(Why::Unproven), "other")), ..spent };
    let offline = Found { before: Some(Before::from(alone())), ..unproven.clone() };
    assert_eq!(acts(&offline, alone(), 48 * HOUR), []);
    assert_eq!(acts(&unproven, well(), 48 * HOUR), [(6 * HOUR, Act::Settle)]);
}

#[test]
fn no_old_system_restarts_into_another_trial_while_somebody_watches_but_it_does_within_a_day() {
    let spent = found(record(State::Good, 3), record(State::Trial, 0));
    let noted = Found { last: Some(last(Ending::NoVerdict, Some(Why::NoVerdict), "other")), ..spent };
    let failed = found(record(State::Good, 3), record(State::Failed, 0));
    let doubtful = Found { last: Some(last(Ending::Doubtful, Some(Why::Tunnel), "other")), ..failed };
    for (found, act) in [(&noted, Act::Settle), (&doubtful, Act::TryAgain(Why::Tunnel))] {
        let watched = Facts { watched: true, ..well() };
        assert_eq!(acts(found, watched, 48 * HOUR), [(24 * HOUR, act)]);
        let mut course = Course::new(TIMES, found, 0);
        course.tell(7 * HOUR, watched);
        assert_eq!(course.next(7 * HOUR), None);
        course.tell(7 * HOUR + MINUTE, well());
        assert_eq!(course.next(7 * HOUR + MINUTE), Some(act), "they have gone");
    }
}

#[test]
fn a_board_with_one_system_never_decides_anything() {
    let mut course = Course::alone(TIMES);
    for now in (0..HOUR).step_by(5_000) {
        course.tell(now, Facts::default());
        course.ended(false);
        assert_eq!(course.next(now), None);
    }
}

#[test]
fn a_last_resort_that_is_well_is_kept_as_only_a_good_system_installs_updates() {
    for state in [State::Failed, State::Empty] {
        let last_resort = found(record(state, 0), record(State::Failed, 0));
        assert_eq!(
            acts(&last_resort, well(), 6 * MINUTE),
            [(5 * MINUTE, Act::Commit { blind: false })],
            "{state:?}"
        );
        for unwell in [alone(), Facts { page_answers: false, ..well() }] {
            assert_eq!(acts(&last_resort, unwell, HOUR), [], "{state:?} {unwell:?}");
        }
    }
}

#[test]
fn a_last_resort_that_gets_well_late_is_kept_then() {
    for state in [State::Unknown, State::Failed, State::Empty] {
        let mut course = Course::new(TIMES, &found(record(state, 0), record(State::Failed, 0)), 0);
        let mut committed = None;
        for now in (0..3 * HOUR).step_by(5_000) {
            course.tell(now, if now < 2 * HOUR { Facts::default() } else { well() });
            while let Some(act) = course.next(now) {
                if act == (Act::Commit { blind: false }) {
                    committed = Some(now);
                }
                course.done();
            }
            assert_eq!(
                course.trial(),
                now < 20 * MINUTE,
                "{state:?} at {now}: its journal is not kept for ever"
            );
        }
        let at = committed.unwrap_or_else(|| panic!("{state:?} is never kept"));
        assert!((2 * HOUR + 5 * MINUTE..2 * HOUR + 11 * MINUTE).contains(&at), "{state:?} at {at}");
    }
}

#[test]
fn deaths_end_a_trial_but_a_start_that_the_owner_wanted_is_none() {
    let trial = found(record(State::Trial, 1), record(State::Good, 3));
    let mut course = Course::new(TIMES, &trial, 0);
    for now in 0..20 {
        course.ended(true);
        assert_eq!(course.next(now), None);
    }
    for _ in 0..6 {
        course.ended(false);
    }
    assert_eq!(course.next(30), Some(Act::Fail(Why::Dies)));
    course.done();
    assert_eq!(course.next(HOUR), None);
}

#[test]
fn what_is_true_at_the_restart_into_a_new_system_is_what_that_is_measured_by() {
    let good = found(record(State::Good, 3), record(State::Trial, 2));
    let mut course = Course::new(TIMES, &Found { before: None, ..good.clone() }, 0);
    assert_eq!(course.leaving(), None, "nothing is known yet");
    course.tell(1, well());
    assert_eq!(course.leaving(), Some(well().into()));
    let mut course = Course::new(TIMES, &good, 0);
    course.tell(1, well());
    assert_eq!(course.leaving(), None, "it is kept already");
    course.tell(2, alone());
    let could = Before { can_update: true, ..alone().into() };
    assert_eq!(course.leaving(), Some(could), "one look that failed does not make it a box that cannot");
    let mut trial = Course::new(TIMES, &found(record(State::Trial, 1), record(State::Good, 3)), 0);
    trial.tell(1, alone());
    assert_eq!(trial.leaving(), None, "a new system does not say what it is measured by");
}
