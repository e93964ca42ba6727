//! Rows 14, 15 and 19 of the threat table, end to end: the online key, one release key, or a whole box is in the wrong hands.
//! What a thief says in the cloud's or the publisher's name, the real box refuses in words, and what those sign who may, it takes.

use std::fs;
use std::path::Path;
use std::process::Command;

use board::slot::SlotName;
use model::update::Question;
use ring::signature::Ed25519KeyPair;
use serde_json::{Value, json};
use update::tuf::sign;

use crate::cloud::{Answers, Cloud};
use crate::departs::stop;
use crate::front::{Asked, Does};
use crate::guarded::guard;
use crate::siege::{PATIENCE, Siege, Updater};
use crate::sticks::page;
use crate::world::{Machine, Publisher, next, until, write};

/// Where boxes ask what they are to have.
const ASK: &str = "api/v1/updates/assignment";

/// An assignment of this release by whoever has the online key, as fresh as it can be.
fn assigned(online_seed: &[u8; 32], asked: &Asked, target: &str, issued: &str) -> Does {
    let question: Question = serde_json::from_slice(&asked.body).unwrap();
    let signed = json!({
        "_type": "assignment", "spec_version": "1.0", "box": question.box_id, "nonce": question.nonce,
        "target": target, "deadline": "9999-12-31T00:00:00Z", "campaign": "stolen", "issued": issued,
    });
    let online = Ed25519KeyPair::from_seed_unchecked(online_seed).unwrap();
    Does::Says(serde_json::to_vec(&sign(&signed, [&online]).unwrap()).unwrap())
}

#[test]
fn row_14_who_has_the_online_key_chooses_among_what_was_signed_offline_and_a_new_root_ends_it() {
    let mut siege = Siege::new("row-14");
    let releases = siege.machine.releases();
    // 0.9 has a hole, which the box is rid of.
    let holey = next(&siege.old, "0.9", 2);
    siege.publisher.publish(&releases, &holey);
    siege.old.security = 2;
    siege.new.security = 2;
    siege.machine.raise_floor(2);
    siege.publish();
    siege.offer();
    let before = siege.before();
    let stolen = siege.publisher.online_seed;
    let says = |siege: &Siege, target: &'static str, issued: &'static str| {
        siege.front.lies(move |asked| match asked.path.as_str() {
            ASK => assigned(&stolen, asked, target, issued),
            _ => Does::Passes,
        });
    };
    let now = "2026-11-21T13:00:00Z";

    // The release with the hole, which was signed.
    says(&siege, "test/0.9.json", now);
    let running = guard(&siege.machine);
    siege.page_says("\"test/0.9.json\" has security version 1, and this box takes none below 2");
    stop(running);
    siege.is_untouched(&before);

    // One of his own, which he only names.
    let mut updater = siege.updater();
    says(&siege, "test/6.6.6.json", now);
    updater.finds(false, "\"test/6.6.6.json\" is not among the releases that the offline keys have signed");
    // And one of his own that is listed, as far as the online key can.
    let loot = siege.machine.home.join("loot");
    let mut thief = Publisher::with_online_key_of(&siege.publisher);
    thief.publish(&loot, &next(&siege.old, "6.6.6", 2));
    siege.front.lies(move |asked| match asked.path.strip_prefix("updates/") {
        None if asked.path == ASK => assigned(&stolen, asked, "test/6.6.6.json", now),
        Some(file) if !file.ends_with("root.json") => {
            fs::read(loot.join(file)).map_or(Does::Passes, Does::Says)
        }
        _ => Does::Passes,
    });
    updater.finds(false, "the targets metadata carries 0 of the 2 signatures that root 1 asks for");
    siege.is_untouched(&before);

    // He drives the time to the sky: that delays, even when he is gone.
    says(&siege, "test/1.1.json", "9999-01-01T00:00:00Z");
    updater.finds(false, "expired");
    siege.front.is_honest();
    updater.finds(false, "expired");
    siege.is_untouched(&before);

    // A root with another online key, signed offline, ends it: what he has signed is void.
    siege.publisher.renew_online_key(&releases);
    siege.cloud = Cloud::new(&siege.publisher, Answers::target("test/1.1.json"));
    siege.front.leads_to(&siege.cloud.url);
    says(&siege, "test/0.9.json", now);
    updater.finds(false, "the assignment carries 0 of the 1 signatures that root 2 asks for");
    siege.is_untouched(&before);
    siege.front.is_honest();
    updater.finds(true, "version 1.1 is installed");
    siege.took_it();
    assert_eq!(siege.floors().security, 2, "that floor is nobody's but the releases'");
}

#[test]
fn row_15_one_release_key_is_not_enough_however_often_it_signs() {
    let mut siege = Siege::new("row-15");
    let releases = siege.machine.releases();
    let before = siege.before();
    // He publishes at the publisher's own desk; the cloud judges no signature, and its operator rolls it out.
    siege.publisher.signers = &[1];
    siege.publish();
    siege.offer();
    let running = guard(&siege.machine);
    siege.page_says("the targets metadata carries 1 of the 2 signatures that root 1 asks for");
    stop(running);
    siege.is_untouched(&before);

    let mut updater = siege.updater();
    siege.publisher.signers = &[1, 1];
    siege.announce();
    updater.finds(false, "the targets metadata carries two signatures of the key");
    // The same signature in another holder's name.
    siege.publisher.signers = &[1];
    siege.publisher.announce_with(&releases, |targets, keys| {
        let mut again = targets["signatures"][0].clone();
        again["keyid"] = keys[2].clone().into();
        targets["signatures"].as_array_mut().unwrap().push(again);
    });
    updater.finds(false, "the targets metadata carries 1 of the 2 signatures that root 1 asks for");
    // A root in which nobody else has a say.
    let usurped = releases.join("metadata/2.root.json");
    write(&usurped, &siege.publisher.root_of_one());
    updater.finds(false, "the root metadata carries 1 of the 2 signatures that root 1 asks for");
    siege.is_untouched(&before);

    fs::remove_file(usurped).unwrap();
    siege.publisher.signers = &[1, 2];
    siege.announce();
    updater.finds(true, "version 1.1 is installed");
    siege.took_it();
}

/// What anybody on the LAN reads of how the box stands with its cloud.
fn joining(machine: &Machine) -> Option<Value> {
    let page = page(machine)?;
    let output =
        Command::new("curl").args(["-sf", "--max-time", "5", &format!("{page}/api/v1/join")]).output();
    serde_json::from_slice(&output.ok()?.stdout).ok()
}

/// What a reset leaves of a box: its keys.
fn reset(state: &Path) {
    for entry in fs::read_dir(state).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            fs::remove_dir_all(path).unwrap();
        } else if path.extension().is_none_or(|end| end != "key") {
            fs::remove_file(path).unwrap();
        }
    }
}

#[test]
fn row_19_a_stolen_box_that_was_revoked_is_told_so_and_neither_a_reset_nor_its_keys_help() {
    let mut siege = Siege::new("row-19");
    siege.updater().finds(true, "there is no other version for this box than 1.0");
    let before = siege.before();
    let state = siege.machine.home.join("state");
    // What the thief reads from its flash.
    let keys = ["identity.key", "tunnel.key"].map(|name| (name, fs::read(state.join(name)).unwrap()));

    // Its owner has it revoked; the thief resets it.
    siege.publish();
    siege.offer();
    siege.cloud.answers().revoked = Some(siege.cloud.box_id());
    reset(&state);
    let running = guard(&siege.machine);
    until("the page says that it was revoked", PATIENCE, || {
        joining(&siege.machine).is_some_and(|joining| {
            let said = joining["sentence"].as_str().unwrap_or_default();
            joining["state"] == "stopped" && said.starts_with("The cloud has revoked this box")
        })
    });
    let pages = fs::read_to_string(siege.machine.home.join("pages")).unwrap();
    assert!(!pages.contains("with the code"), "there is nothing to claim: {pages}");
    siege.page_says("the cloud says no release to this box (status 410)");
    stop(running);
    siege.is_untouched(&before);

    // The keys are of no use on another board.
    let box_of = |name: &str| {
        let machine = Machine::new(name, &siege.old, &siege.publisher);
        siege.configure_like(&machine, "");
        machine
    };
    let copy = box_of("row-19-copy");
    for (name, bytes) in &keys {
        write(&copy.home.join("state").join(name), bytes);
    }
    let other_slot = copy.other_slot();
    Updater::new(copy.command(&["updater"])).finds(false, "status 410");
    assert!(copy.other_slot() == other_slot && siege.cloud.reports().is_empty());

    // The owner's next box gets what it is to have.
    let spare = box_of("row-19-spare");
    Updater::new(spare.command(&["updater"])).finds(true, "version 1.1 is installed");
    assert!(spare.holds(SlotName::B, &siege.new));
}
