//! The cloud's store on both of its databases: what enrolment promises, what is kept of cameras and updates, and what is left
//! of it when the database is gone, locked or full.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod commands;
mod faults;
mod figures;
mod people;
mod promises;
mod stage;

use lab::{test_name, world};
use stage::Stage;

#[test]
fn enrolment_keeps_its_word_on_both_databases() {
    let test = test_name!();
    world::beside(test, || {
        let stage = Stage::new(test)?;
        stage.each("joining", promises::joining)?;
        stage.each("guessing", promises::guessing)?;
        stage.each("owners", promises::owners)?;
        stage.each("keys", promises::keys)?;
        stage.each("time", promises::time)?;
        stage.each("pool", promises::pool)?;
        stage.each("links", promises::links)?;
        stage.each("finding", promises::finding)?;
        stage.each("people", people::people)?;
        stage.each("things", people::things)?;
        stage.each("sources", people::sources)
    });
}

#[test]
fn what_is_known_of_cameras_and_updates_is_kept_on_both_databases() {
    let test = test_name!();
    world::beside(test, || {
        let stage = Stage::new(test)?;
        stage.each("figures", figures::figures)?;
        stage.each("outages", figures::outages)?;
        stage.each("messages", figures::messages)?;
        stage.each("fold", figures::fold)
    });
}

#[test]
fn two_hundred_boxes_that_join_at_once_share_no_address() {
    let test = test_name!();
    world::beside(test, || {
        let stage = Stage::new(test)?;
        stage.each("crowd", promises::crowd)
    });
}

#[test]
fn a_database_in_trouble_says_so_and_loses_nothing() {
    let test = test_name!();
    world::beside(test, || {
        let mut stage = Stage::new(test)?;
        faults::postgres_stopped(&mut stage)?;
        faults::postgres_frozen(&stage)?;
        faults::postgres_locked(&stage)?;
        faults::postgres_full(&stage)?;
        faults::sqlite_locked(&stage)?;
        faults::sqlite_full(&stage)?;
        faults::sqlite_not_writable(&stage)
    });
}

#[test]
fn the_owners_commands_take_effect_within_a_second() {
    let test = test_name!();
    world::beside(test, || {
        let stage = Stage::new(test)?;
        stage.each("commands", async |place| commands::take_effect(place, test).await)
    });
}
