use super::*;

const A: SlotName = SlotName::A;
const B: SlotName = SlotName::B;

fn table() -> Table {
    Table::ours().unwrap()
}

fn record(text: &str) -> Record {
    let digit = |range| text.get(range).and_then(|digit| u8::from_str_radix(digit, 16).ok()).unwrap();
    Record { state: State::of(text.get(..1).unwrap()), tries: digit(1..2), rounds: digit(2..3) }
}

/// `"ab g30 t20"`.
fn vars(text: &str) -> Vars {
    let [order, a, b] = text.split(' ').collect::<Vec<_>>().try_into().unwrap();
    Vars { first: SlotName::of(order.get(..1).unwrap()).unwrap(), a: record(a), b: record(b) }
}

/// Starts once; gives the decision, what the environment says then, and how often it was written.
fn start(before: Vars, reset: Reset, signed: &[SlotName]) -> (Start, Vars, usize) {
    let (mut after, mut writes) = (before, 0);
    let start = boot(
        &table(),
        before,
        reset,
        |slot| signed.contains(&slot),
        |vars| {
            assert_ne!(*vars, after, "written without a change");
            (after, writes) = (*vars, writes + 1);
        },
    );
    (start, after, writes)
}

fn every(mut check: impl FnMut(Vars, Reset, &[SlotName])) {
    let mut records = Vec::new();
    for state in State::ALL {
        for tries in 0..=3 {
            records.extend((0..=3).map(|rounds| Record { state, tries, rounds }));
        }
    }
    for first in SlotName::BOTH {
        for a in &records {
            for b in &records {
                for reset in [Reset::Normal, Reset::Crash(A), Reset::Crash(B)] {
                    for signed in [&[][..], &[A], &[B], &[A, B]] {
                        check(Vars { first, a: *a, b: *b }, reset, signed);
                    }
                }
            }
        }
    }
}

#[test]
fn whatever_the_environment_says_a_signed_slot_is_started_if_there_is_one_and_no_other_ever() {
    let mut cases = 0;
    every(|before, reset, signed| {
        cases += 1;
        match start(before, reset, signed).0 {
            Start::Slot(slot) | Start::LastResort(slot) => assert!(signed.contains(&slot)),
            Start::Recovery => assert_eq!(signed, [], "{before:?}"),
        }
    });
    assert_eq!(cases, 2 * 80 * 80 * 3 * 4);
}

#[test]
fn the_boot_script_only_ever_takes_tries_and_at_most_two_writes_for_each_slot() {
    every(|before, reset, signed| {
        let (started, after, writes) = start(before, reset, signed);
        for slot in SlotName::BOTH {
            let (old, new) = (before.of(slot), after.of(slot));
            assert!(new.tries <= old.tries && (new.state, new.rounds) == (old.state, old.rounds));
        }
        assert_eq!(after.first, before.first);
        assert!(writes <= 4);
        if let Start::Slot(slot) = started {
            assert!(before.of(slot).tries > 0, "{before:?}");
            let free = before.of(slot).state == State::Good && reset == Reset::Normal;
            assert_eq!(before.of(slot).tries - after.of(slot).tries, u8::from(!free), "{before:?} {reset:?}");
        }
        if let Start::LastResort(slot) = started {
            let (state, other) = (before.of(slot).state, before.of(slot.other()).state);
            if signed.contains(&slot.other()) {
                let failed = (state == State::Failed, other == State::Failed);
                assert_ne!(failed, (true, false), "{before:?}: one that has failed comes last");
                let crashed = reset == Reset::Crash(slot);
                assert!(!crashed || failed == (false, true), "{before:?}: the other one has its turn");
                let better = other == State::Good && state != State::Good;
                let other_crashed = reset == Reset::Crash(slot.other());
                assert!(!better || other_crashed, "{before:?}: a good slot comes first");
            }
            assert_eq!(after.of(slot).tries, 0);
        }
    });
}

#[test]
fn a_good_slot_is_started_without_a_write_however_often_power_fails() {
    every(|before, _, signed| {
        let first = before.of(before.first);
        if first.state == State::Good && first.tries > 0 && signed.contains(&before.first) {
            assert_eq!(start(before, Reset::Normal, signed), (Start::Slot(before.first), before, 0));
        }
    });
}

/// Starts again and again, nothing being written by what runs, and gives the slots that were started.
fn starts(vars: Vars, times: usize) -> Vec<Start> {
    ended(vars, times, |_| Reset::Normal)
}

/// The same, and each time what was started crashes.
fn crashes(vars: Vars, times: usize) -> Vec<Start> {
    ended(vars, times, Reset::Crash)
}

fn ended(mut vars: Vars, times: usize, how: impl Fn(SlotName) -> Reset) -> Vec<Start> {
    let mut reset = how(vars.first);
    (0..times)
        .map(|_| {
            let (started, after, _) = start(vars, reset, &[A, B]);
            vars = after;
            if let Start::Slot(slot) | Start::LastResort(slot) = started {
                reset = how(slot);
            }
            started
        })
        .collect()
}

#[test]
fn a_trial_without_a_verdict_is_started_twice_then_the_good_one() {
    let trial = table().activate(&vars("ab g30 e00"), B).unwrap();
    let expected = [Start::Slot(B), Start::Slot(B), Start::Slot(A), Start::Slot(A)];
    assert_eq!(starts(trial, 4), expected);
}

#[test]
fn a_good_slot_that_crashes_three_times_makes_room_for_the_other_and_is_the_last_resort() {
    let expected = [Start::Slot(A), Start::Slot(A), Start::Slot(A), Start::Slot(B)];
    assert_eq!(crashes(vars("ab g30 g30"), 4), expected);
    assert_eq!(crashes(vars("ab g30 x00"), 9)[3..], [Start::LastResort(A); 6]);
}

#[test]
fn a_lost_environment_tries_each_slot_once_and_then_any_that_is_signed() {
    let expected = [Start::Slot(A), Start::Slot(B), Start::LastResort(A), Start::LastResort(A)];
    assert_eq!(starts(Vars::LOST, 4), expected);
}

#[test]
fn what_crashes_as_the_last_resort_makes_room_for_the_other_each_time_without_a_write() {
    let [a, b] = SlotName::BOTH.map(Start::LastResort);
    // Both were counted and neither has run: from power-on.
    for spent in ["ab u01 u01", "ab t00 u01", "ab g00 u01", "ab g00 t02", "ab e00 t00"] {
        let (first, after, writes) = start(vars(spent), Reset::Normal, &[A, B]);
        assert_eq!((first, after, writes), (a, vars(spent), 0), "{spent}");
        let expected = [b, a, b, a];
        assert_eq!(crashes(vars(spent), 4), expected, "{spent}");
        // One alone is started however often it crashes.
        assert_eq!(start(vars(spent), Reset::Crash(A), &[A]).0, a);
    }
    let same = Table { last_resort: LastResort { after_a_crash: Turn::Same }, ..table() };
    for slot in SlotName::BOTH {
        let started = boot(&same, vars("ab u01 u01"), Reset::Crash(slot), |_| true, |_| panic!("a write"));
        assert_eq!(started, a);
    }
}

#[test]
fn a_slot_with_a_bad_signature_is_given_up_with_one_look() {
    let (started, after, writes) = start(vars("ba g30 t20"), Reset::Normal, &[A]);
    assert_eq!((started, after, writes), (Start::Slot(A), vars("ba g30 t00"), 2));
}

#[test]
fn an_update_costs_four_writes_from_the_first_to_the_commit_and_a_clean_start_none() {
    let table = table();
    let mut now = vars("ab g30 g30");
    let mut writes = 0;
    let mut apply = |then: Option<Vars>, now: &mut Vars| {
        writes += usize::from(then.is_some());
        *now = then.unwrap_or(*now);
    };
    apply(table.begin(&now, B), &mut now);
    apply(table.activate(&now, B), &mut now);
    let (started, after, counted) = start(now, Reset::Normal, &[A, B]);
    assert_eq!((started, counted), (Start::Slot(B), 1));
    apply(Some(after), &mut now);
    apply(table.commit(&now, B), &mut now);
    assert_eq!(now, vars("ba g30 g30"));
    // From then on nothing changes any more, whoever asks.
    for _ in 0..3 {
        let (started, after, counted) = start(now, Reset::Normal, &[A, B]);
        assert_eq!((started, counted), (Start::Slot(B), 0));
        apply(table.commit(&after, B), &mut now);
        apply(table.out_of_tries(&now, B), &mut now);
    }
    assert_eq!(writes, 4);
}

#[test]
fn an_update_gets_three_rounds_of_two_starts_and_has_failed_then() {
    let table = table();
    let mut now = table.activate(&vars("ab g30 e00"), B).unwrap();
    let mut trials = 0;
    for _ in 0..20 {
        let (started, after, _) = start(now, Reset::Normal, &[A, B]);
        now = after;
        if started == Start::Slot(B) {
            trials += 1;
        } else {
            now = table.out_of_tries(&now, A).unwrap_or(now);
        }
    }
    assert_eq!((trials, now.b), (6, record("x00")));
}

#[test]
fn only_a_good_slot_gives_the_other_another_round_and_only_to_a_trial_that_is_spent() {
    let table = table();
    for kept in ["ab g30 t10", "ab t00 t00", "ab u01 t00", "ab g30 u01", "ab g30 g00", "ab g30 e00"] {
        assert_eq!(table.out_of_tries(&vars(kept), A), None, "{kept}");
    }
    assert_eq!(table.out_of_tries(&vars("ab g30 t01"), A), Some(vars("ba g30 t22")));
    assert_eq!(table.out_of_tries(&vars("ba g30 t02"), A), Some(vars("ba g30 x00")));
}

#[test]
fn a_failed_system_is_not_started_again_and_the_other_one_is() {
    let now = table().fail(&vars("ba g30 t10"), B).unwrap();
    assert_eq!(starts(now, 1), [Start::Slot(A)]);
    assert_eq!(table().fail(&now, B), None);
}

#[test]
fn a_commit_gives_back_what_crashes_took() {
    assert_eq!(table().commit(&vars("ab g10 x00"), A), Some(vars("ab g30 x00")));
    assert_eq!(table().commit(&vars("ab g30 x00"), A), None);
}

#[test]
fn a_good_system_that_is_well_again_leaves_the_turn_to_the_one_that_waits() {
    for (before, after) in [
        ("ba g20 t20", Some("ba g30 t20")),
        ("ba g30 t20", None),
        // Nothing waits there, or nobody knows yet whether what runs is the better one.
        ("ba g20 t00", Some("ab g30 t00")),
        ("ba g20 g30", Some("ab g30 g30")),
        ("ba t10 t20", Some("ab g30 t20")),
        ("ba u00 t20", Some("ab g30 t20")),
    ] {
        assert_eq!(table().commit(&vars(before), A), after.map(vars), "{before}");
    }
}

#[test]
fn a_mirrored_slot_is_good_and_second() {
    assert_eq!(table().mirrored(&vars("ba e00 g30"), A), Some(vars("ba g30 g30")));
}

#[test]
fn a_table_with_a_number_that_means_nothing_is_refused_and_names_it() {
    let ours = include_str!("../../boot-table.toml");
    for (from, to, name) in [
        ("rounds = 3", "rounds = 0", "rounds"),
        ("trial = 2", "trial = 16", "tries.trial"),
        ("good = 3", "god = 3", "god"),
        ("\"after a crash\"", "\"never\"", "never"),
        ("\"the other one\"\n", "\"nobody\"\n", "nobody"),
        ("[last_resort]", "[last_resorts]", "last_resorts"),
    ] {
        assert!(ours.contains(from));
        let error = Table::parse(&ours.replace(from, to)).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
    }
}
