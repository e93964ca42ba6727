//! A stick with releases: a folder that something else mounts, taken by the whole box without a network.

use std::fs;
use std::path::Path;
use std::process::Command;

use board::slot::{SlotName, State};
use serde_json::Value;

use crate::guarded::{boots, guard, log, restarts};
use crate::updater::updater;
use crate::world::{Machine, Publisher, System, first, hash, next, until};

/// A box without a cloud or a mirror, and a publisher.
fn lonely(name: &str, restart: &str) -> (Machine, Publisher, System) {
    let old = first();
    let mut publisher = Publisher::new();
    let mut machine = Machine::new(name, &old, &publisher);
    publisher.publish(&machine.releases(), &old);
    machine.config.push_str("[guard]\nsilent_s = 6\n");
    machine.configure(&format!("healthy_s = 4\nrestart = \"{restart}\"\n"));
    (machine, publisher, old)
}

/// Puts what is published onto the stick, and plugs it in.
fn plug(machine: &Machine) {
    let stick = machine.home.join("usb/streambox");
    fs::create_dir_all(&stick).unwrap();
    let copied = Command::new("cp").arg("-r").arg(machine.releases().join(".")).arg(&stick).status();
    assert!(copied.unwrap().success());
}

/// Where the box's page is, without a slash at its end.
pub(crate) fn page(machine: &Machine) -> Option<String> {
    let said = fs::read_to_string(machine.home.join("pages")).ok()?;
    Some(said.lines().find_map(|line| line.strip_prefix("page: "))?.trim_end_matches('/').to_owned())
}

/// What the page sends, with the cookies of this browser; gives the status and the body.
pub(crate) fn post(machine: &Machine, path: &str, body: &str) -> (u16, String) {
    let (page, jar) = (page(machine).unwrap(), machine.home.join("cookies"));
    let output = Command::new("curl")
        .args(["-s", "--max-time", "10", "-w", "\n%{http_code}", "-H", "content-type: application/json"])
        .args(["-H", &format!("origin: {page}"), "-d", body, &format!("{page}/api/v1/setup/{path}")])
        .arg("-b")
        .arg(&jar)
        .arg("-c")
        .arg(&jar)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let (body, status) = said.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), body.to_owned())
}

/// What anybody on the LAN reads of the box's updates.
pub(crate) fn shown(machine: &Machine) -> Option<Value> {
    let page = page(machine)?;
    let output =
        Command::new("curl").args(["-sf", "--max-time", "5"]).arg(format!("{page}/api/v1/update")).output();
    serde_json::from_slice(&output.ok()?.stdout).ok()
}

fn stick(machine: &Machine) -> Option<(bool, String)> {
    let stick = shown(machine)?["stick"].clone();
    Some((stick["good"].as_bool()?, stick["sentence"].as_str()?.to_owned()))
}

fn pull_out(machine: &Machine) {
    fs::remove_dir_all(machine.home.join("usb")).unwrap();
    until("the page forgets it", 20, || shown(machine).is_some_and(|shown| shown["stick"].is_null()));
}

fn bytes(folder: &Path) -> Vec<u8> {
    let packed =
        Command::new("tar").args(["-cf", "-", "--sort=name", "."]).current_dir(folder).output().unwrap();
    assert!(packed.status.success());
    packed.stdout
}

#[test]
fn a_stick_updates_a_box_that_has_no_network_and_stays_as_it_was() {
    let (machine, mut publisher, old) = lonely("stick", "now");
    let new = next(&old, "1.1", 2);
    publisher.publish(&machine.releases(), &new);
    let mut running = guard(&machine);
    plug(&machine);
    let before = bytes(&machine.home.join("usb"));
    restarts(&machine, &mut running);
    assert!(machine.holds(SlotName::B, &new));
    assert!(bytes(&machine.home.join("usb")) == before, "the stick was changed");
    assert_eq!(boots(&machine), SlotName::B);
}

#[test]
fn only_what_is_newer_is_taken_from_a_stick_and_the_page_says_why() {
    let (machine, mut publisher, old) = lonely("old-stick", "ask");
    // What the box runs was published last: the older one that is still listed is no update.
    let (older, other) = (next(&old, "0.9", 2), next(&old, "1.1", 3));
    publisher.forget("1.0");
    publisher.publish(&machine.releases(), &older);
    let before = machine.other_slot();
    let mut running = guard(&machine);
    plug(&machine);
    until("the old stick is refused", 40, || {
        stick(&machine).is_some_and(|(good, why)| !good && why.contains("0.9, which is not newer than 1.0"))
    });
    assert!(machine.other_slot() == before, "{}", log(&machine));
    pull_out(&machine);
    // Nor is what nobody has signed.
    publisher.signers = &[0];
    publisher.publish(&machine.releases(), &other);
    plug(&machine);
    until("it is refused", 40, || {
        stick(&machine).is_some_and(|(good, why)| !good && why.contains("signature"))
    });
    assert!(machine.other_slot() == before, "{}", log(&machine));
    pull_out(&machine);
    publisher.signers = &[0, 1];
    publisher.announce(&machine.releases());
    plug(&machine);
    until("the new one is in place", 40, || stick(&machine).is_some_and(|(good, _)| good));
    assert!(machine.holds(SlotName::B, &other));
    let update = shown(&machine).unwrap();
    assert_eq!(
        (&update["state"], &update["wait"]),
        (&"complete".into(), &Value::Null),
        "it waits for somebody"
    );

    // The owner decides: nobody else can.
    assert_eq!(post(&machine, "update", r#"{"in_s":0}"#).0, 401);
    assert_eq!(post(&machine, "claim", r#"{"password":"long enough","language":"kk"}"#).0, 200);
    assert_eq!(post(&machine, "update", r#"{"in_s":3600}"#).0, 200);
    until("it is put off", 10, || shown(&machine).is_some_and(|shown| shown["wait"]["reason"] == "owner"));
    let in_s = shown(&machine).unwrap()["wait"]["in_s"].as_u64().unwrap();
    assert!((3500..=3600).contains(&in_s), "{in_s}");
    assert_eq!(post(&machine, "update", r#"{"in_s":0}"#).0, 200);
    restarts(&machine, &mut running);
    assert_eq!(boots(&machine), SlotName::B);
}

#[test]
fn a_box_that_only_sticks_bring_releases_to_gets_its_second_copy_too() {
    let (machine, _, old) = lonely("lonely-copy", "ask");
    machine.configure("interval_minutes = 1\n");
    // It has run well for seven days.
    machine.store().set("good-time", &[&hash(&old.root)[..8], &[28]].concat()).unwrap();
    let _child = updater(&machine);
    until("the other slot holds the same system", 40, || {
        machine.slots().vars().unwrap().vars.b.state == State::Good
    });
    assert!(machine.holds(SlotName::B, &old));
}
