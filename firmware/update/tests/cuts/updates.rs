//! Updates under power cuts: the real parts keep every promise, and each part is shown to be needed by taking it away.

use std::time::Instant;

use board::boot::{Count, Table, Turn};
use board::slot::SlotName;
use board::slots::Step;

use super::explore::{Search, Searched};
use super::life::{Make, Nature};
use super::rig::{Weak, map};

/// Cuts in a row: 3, or what `CUTS` says, for a longer search.
fn cuts() -> usize {
    std::env::var("CUTS").ok().and_then(|cuts| cuts.parse().ok()).unwrap_or(3)
}

fn search(what: &str, search: &Search) -> Searched {
    let began = Instant::now();
    let searched = search.run();
    println!(
        "{what}: {} cuts, {} media left by them, {} lived from, {:.1} s{}",
        searched.cuts,
        searched.left,
        searched.media,
        began.elapsed().as_secs_f64(),
        searched.violation.as_deref().map(|words| format!(": {words}")).unwrap_or_default(),
    );
    searched
}

fn sound(what: &str, searched: &Search) {
    assert_eq!(search(what, searched).violation, None, "{what}");
}

/// What a variant is caught by. The real parts stand the same cuts in the first two tests.
fn caught(what: &str, mut weak: Search, weaken: impl FnOnce(&mut Make), by: &str) {
    weaken(&mut weak.make);
    let violation = search(what, &weak).violation.unwrap_or_else(|| panic!("not caught: {what}"));
    assert!(violation.contains(by), "{what} was caught by something else: {violation}");
}

/// The environment alone keeps a half-written slot from being started; that the slot says so itself is for when the environment is
/// lost.
fn harmless_while_the_environment_is_there(what: &str, real: &Search, weaken: impl FnOnce(&mut Make)) {
    let mut weak = Search { erase: false, cuts: 2, ..real.clone() };
    weaken(&mut weak.make);
    sound(&format!("{what}, the environment is never lost"), &weak);
}

#[test]
fn no_cut_loses_a_box_whatever_the_new_version_does() {
    for nature in Nature::ALL {
        // Three rounds of two tries are six starts; a version that needs its second round has four left.
        let most = if nature == Nature::Late { 3 } else { 5 };
        sound(&format!("{nature:?}"), &Search::of(Make::real(nature), cuts().min(most)));
    }
}

#[test]
fn a_system_that_is_withdrawn_is_never_started_wherever_power_fails() {
    for nature in Nature::ALL {
        let make = Make { withdrawn: true, ..Make::real(nature) };
        sound(&format!("withdrawn, {nature:?}"), &Search::of(make.clone(), cuts().min(3)));
        let search = Search { tears: true, crashes: 1, ..Search::of(make, 2) };
        sound(&format!("withdrawn, {nature:?}, torn sectors, crashes"), &search);
    }
}

#[test]
fn six_cuts_in_a_row_each_in_a_trial_give_a_good_version_up() {
    caught("six cuts", Search::of(Make::real(Nature::Well), 6), |_| {}, "not kept");
}

#[test]
fn nor_does_one_with_torn_sectors_crashes_and_a_lost_environment() {
    for nature in Nature::ALL {
        let make = Make { running: SlotName::A, ..Make::real(nature) };
        let tears = matches!(nature, Nature::Well | Nature::Unwell);
        let search = Search { tears, crashes: 1, ..Search::of(make, 2) };
        sound(&format!("{nature:?}, slot a runs, torn sectors: {tears}, crashes"), &search);
        let search = Search { erase: true, crashes: 1, ..Search::of(Make::real(nature), 2) };
        sound(&format!("{nature:?}, crashes, environment lost"), &search);
    }
}

/// The environment is lost while a version that crashes is on trial in slot a, and power fails again in the moment in which slot b
/// was counted. Then nothing says that b is better, and a is started first, but not for ever.
#[test]
fn a_last_resort_that_is_always_the_same_slot_is_caught() {
    let lost = Search { erase: true, ..Search::of(Make::real(Nature::Crashes), cuts()) };
    sound("environment lost, the new version crashes", &lost);
    let weaken = |make: &mut Make| make.table.last_resort.after_a_crash = Turn::Same;
    caught(
        "the same last resort",
        Search { erase: true, ..Search::of(Make::real(Nature::Crashes), 2) },
        weaken,
        "Restless",
    );
}

#[test]
fn counting_starts_of_a_good_slot_is_caught() {
    let real = Search::of(Make::real(Nature::Well), 3);
    let weaken = |make: &mut Make| make.table.count.good = Count::Always;
    caught("counting good slots", real.clone(), weaken, "writes");
    // And not for the medium's sake only: three cuts in a row start the older slot.
    caught("counting good slots, three cuts", Search { wears: true, ..real }, weaken, "older");
}

#[test]
fn one_round_of_trials_is_caught() {
    let real = Search::of(Make::real(Nature::Well), 3);
    caught("one round", real, |make| make.table = Table { rounds: 1, ..make.table }, "not kept");
}

#[test]
fn no_invalidating_before_writing_is_caught() {
    let real = Search { erase: true, ..Search::of(Make::real(Nature::Well), 1) };
    let weaken = |make: &mut Make| {
        make.sequence = &[Step::Data, Step::Flush, Step::ReadBack, Step::Header, Step::Flush, Step::Activate];
    };
    harmless_while_the_environment_is_there("no invalidating", &real, weaken);
    caught("no invalidating", real, weaken, "not whole");
}

#[test]
fn the_header_first_is_caught() {
    let real = Search { erase: true, ..Search::of(Make::real(Nature::Well), 1) };
    let weaken = |make: &mut Make| {
        make.sequence = &[
            Step::Begin,
            Step::ZeroHeader,
            Step::Flush,
            Step::Header,
            Step::Flush,
            Step::Data,
            Step::Flush,
            Step::ReadBack,
            Step::Activate,
        ];
    };
    harmless_while_the_environment_is_there("header first", &real, weaken);
    caught("header first", real, weaken, "not whole");
}

#[test]
fn no_flush_is_caught() {
    let real = Search::of(Make::real(Nature::Well), 1);
    caught("no flush", real, |make| make.weak = Weak { no_flush: true, ..Weak::default() }, "older");
}

#[test]
fn a_single_environment_is_caught() {
    let real = Search { tears: true, ..Search::of(Make::real(Nature::Well), 1) };
    caught("single environment", real, |make| make.map = map(true), "older");
}

#[test]
fn committing_before_health_is_caught() {
    let real = Search::of(Make::real(Nature::Crashes), 0);
    caught("commit before health", real, |make| make.commits_first = true, "tried");
}

#[test]
fn an_environment_without_a_crc_is_caught() {
    let real = Search { tears: true, ..Search::of(Make::real(Nature::Unwell), 1) };
    let weaken = |make: &mut Make| make.weak = Weak { no_crc: true, ..Weak::default() };
    // All variables lie in one sector: what tears at sectors' edges only cannot mix them, so there the CRC is not needed.
    let mut whole_sectors = Search { tears: false, ..real.clone() };
    weaken(&mut whole_sectors.make);
    sound("no CRC, whole sectors", &whole_sectors);
    caught("no CRC, torn sectors", real, weaken, "older");
}
