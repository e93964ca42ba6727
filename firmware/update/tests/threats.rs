//! Rows 10, 11, 12, 14 and 15 of what attackers try (see the threat table), as a box meets them: what it keeps, what it takes, and
//! the sentence that its operator reads.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod publisher;

use publisher::{BOX, DAY, NOW, Publisher, nonce, run, run_now};
use serde_json::json;
use update::Floors;
use update::assignment::{Expected, admit};
use update::tuf::{Freshness, Role, State};

fn fresh(bytes: Vec<u8>) -> Freshness {
    Freshness::Assignment { bytes, expected: Expected { box_id: BOX.to_owned(), nonce: nonce() } }
}

/// Row 10: a peer on the LAN answers NTP with 1970, or 2038. No floor moves, and updates recover.
#[test]
fn row_10_a_lying_clock_moves_no_floor() {
    let mut publisher = Publisher::new();
    publisher.release("1.0.0", 1);
    let (state, _) = run_now(&publisher.new_box(), &publisher.files);
    let name = publisher.release("1.1.0", 1);
    // 2038: everything has expired. The operator reads so; the box has learned nothing from it.
    let (after, trusted) = run(&state, &publisher.files, Freshness::Clock(2_147_483_647));
    assert_eq!(trusted.unwrap_err().to_string(), "the root metadata expired on 2027-06-01T12:00:00Z");
    assert_eq!(after, state);
    // With an assignment no clock is asked at all, so the same box updates at once.
    let bytes = Publisher::seal(&Publisher::assign(Some(&name)), &[9]);
    let (with_cloud, trusted) = run(&after, &publisher.files, fresh(bytes));
    assert!(trusted.unwrap().target(&name).is_some());
    assert_eq!(with_cloud.floors.time, NOW, "what the cloud signed, not what NTP said");
    // Without a cloud it updates as soon as the clock is right again.
    let (without, trusted) = run_now(&after, &publisher.files);
    assert!(trusted.unwrap().target(&name).is_some());
    assert_eq!(without.floors.time, 0);
    // 1970: what expired before the last signed time is refused all the same.
    publisher.document(Role::Timestamp)["expires"] = json!("2026-05-31T12:00:00Z");
    publisher.next(&[Role::Timestamp]);
    let (after, trusted) = run(&with_cloud, &publisher.files, Freshness::Clock(0));
    assert_eq!(trusted.unwrap_err().to_string(), "the timestamp metadata expired on 2026-05-31T12:00:00Z");
    assert_eq!(after, with_cloud);
    // 1970 on a box that never met a cloud: it verifies, and nothing of 1970 is kept.
    let (after, trusted) = run(&without, &publisher.files, Freshness::Clock(0));
    trusted.unwrap();
    assert_eq!(after.floors.time, 0);
}

/// Row 11: for 30 days somebody serves what was true on the first of them, signatures and all.
#[test]
fn row_11_the_past_is_refused_as_stale() {
    let mut publisher = Publisher::new();
    let name = publisher.release("1.0.0", 1);
    let old = publisher.files.clone();
    let old_assignment = Publisher::seal(&Publisher::assign(Some(&name)), &[9]);
    let (state, trusted) = run(&publisher.new_box(), &old, fresh(old_assignment.clone()));
    trusted.unwrap();
    for day in 1..=30_u8 {
        // A new question every day; the answer is the old one.
        let question = Expected { box_id: BOX.to_owned(), nonce: format!("{day:02x}").repeat(32) };
        let freshness = Freshness::Assignment { bytes: old_assignment.clone(), expected: question };
        let (after, trusted) = run(&state, &old, freshness);
        assert_eq!(
            trusted.unwrap_err().to_string(),
            "the assignment is stale: it does not answer this box's question"
        );
        assert_eq!(after, state);
    }
    // The cloud answers, and only the mirror serves the past: the assignment's own time tells.
    let mut assignment = Publisher::assign(Some(&name));
    assignment["issued"] = json!("2026-07-01T12:00:00Z");
    assignment["deadline"] = json!("2026-07-02T12:00:00Z");
    let (after, trusted) = run(&state, &old, fresh(Publisher::seal(&assignment, &[9])));
    assert_eq!(trusted.unwrap_err().to_string(), "the timestamp metadata expired on 2026-06-08T12:00:00Z");
    assert_eq!((after.targets, after.floors.time), (state.targets.clone(), NOW + 30 * DAY));
    // Without a cloud the clock tells.
    let (after, trusted) = run(&state, &old, Freshness::Clock(NOW + 30 * DAY));
    assert_eq!(trusted.unwrap_err().to_string(), "the timestamp metadata expired on 2026-06-08T12:00:00Z");
    assert_eq!(after, state);
}

/// Row 12: an older bundle, whole or in part, on a server or on a stick.
#[test]
fn row_12_an_older_bundle_and_any_mixture_of_two_is_refused() {
    let mut publisher = Publisher::new();
    let first = publisher.release("1.0.0", 1);
    let old = publisher.files.clone();
    let (at_old, _) = run_now(&publisher.new_box(), &old);
    publisher.document(Role::Targets)["targets"].as_object_mut().unwrap().remove(&first);
    let second = publisher.release("1.1.0", 1);
    let new = publisher.files.clone();
    let (at_new, _) = run_now(&at_old, &new);

    // The whole older bundle; on a box whose data was wiped, too.
    for state in [at_new.clone(), State { floors: at_new.floors, ..publisher.new_box() }] {
        let (after, trusted) = run_now(&state, &old);
        assert_eq!(
            trusted.unwrap_err().to_string(),
            "the timestamp metadata of version 2 is older than version 3, which this box has seen"
        );
        assert_eq!(after, state);
    }

    // Each file of either bundle under the names of either: 2^3 mixtures, tried on a box at the old one.
    let roles = [
        ("timestamp.json", "timestamp.json"),
        ("2.snapshot.json", "3.snapshot.json"),
        ("2.targets.json", "3.targets.json"),
    ];
    for mixture in 0..8_u8 {
        let mut files = publisher::Files::new();
        for (place, (older, newer)) in roles.iter().enumerate() {
            let from = if mixture >> place & 1 == 0 { &old[*older] } else { &new[*newer] };
            files.insert((*older).to_owned(), from.clone());
            files.insert((*newer).to_owned(), from.clone());
        }
        let (after, trusted) = run_now(&at_old, &files);
        match trusted {
            // What the timestamp names is all of one bundle: one of the two, whole.
            Ok(trusted) => {
                let names: Vec<_> = trusted.targets.names().collect();
                let whole = if mixture & 1 == 0 { &first } else { &second };
                assert_eq!(names, [whole.as_str()], "mixture {mixture:03b}");
            }
            Err(error) => {
                assert!(mixture & 1 == 1 && mixture != 0b111, "mixture {mixture:03b}: {error}");
                assert!(error.to_string().contains("is not the file that was signed"), "{error}");
                assert_eq!(after.targets, at_old.targets);
            }
        }
    }

    // The description of one release under the name of the other.
    let trusted = run_now(&at_old, &new).1.unwrap();
    let file = trusted.target(&second).unwrap();
    let error = admit(&second, file, &new[&first], &Floors::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "qemu-aarch64/1.1.0.json is not the file that was signed: its hash differs"
    );
    assert!(trusted.target(&first).is_none(), "what was withdrawn is not to be had");
}

/// Row 14: whoever stole the online key signs timestamps, snapshots and assignments as he likes.
#[test]
fn row_14_stolen_online_keys_choose_only_among_what_was_signed_offline() {
    let mut publisher = Publisher::new();
    let leaky = publisher.release("1.0.0", 1);
    let good = publisher.release("1.1.0", 2);
    let (mut state, _) = run_now(&publisher.new_box(), &publisher.files);
    state.floors.security = 2; // 1.1.0 was committed

    // A target of his own.
    let bytes = Publisher::seal(&Publisher::assign(Some("qemu-aarch64/6.6.6.json")), &[9]);
    let trusted = run(&state, &publisher.files, fresh(bytes)).1.unwrap();
    let error = trusted.assignment.clone().unwrap().choose(&trusted.targets).unwrap_err();
    assert_eq!(
        error.to_string(),
        "\"qemu-aarch64/6.6.6.json\" is not among the releases that the offline keys have signed"
    );

    // The release with the hole, which is signed.
    let bytes = Publisher::seal(&Publisher::assign(Some(&leaky)), &[9]);
    let trusted = run(&state, &publisher.files, fresh(bytes)).1.unwrap();
    let assignment = trusted.assignment.clone().unwrap();
    let (name, file) = assignment.choose(&trusted.targets).unwrap().unwrap();
    let error = admit(name, file, &publisher.files[name], &state.floors).unwrap_err();
    assert_eq!(
        error.to_string(),
        "\"qemu-aarch64/1.0.0.json\" has security version 1, and this box takes none below 2"
    );
    admit(&good, trusted.target(&good).unwrap(), &publisher.files[&good], &state.floors).unwrap();

    // Targets of his own, properly listed by snapshot and timestamp.
    let mut thief = Publisher::new();
    thief.document(Role::Targets)["version"] = json!(8);
    thief.signers.insert(Role::Targets, vec![9]);
    thief.release("6.6.6", 9);
    for role in [Role::Snapshot, Role::Timestamp] {
        thief.document(role)["version"] = json!(9);
        thief.publish(role);
    }
    let (after, trusted) = run_now(&state, &thief.files);
    assert_eq!(
        trusted.unwrap_err().to_string(),
        "the targets metadata carries 0 of the 2 signatures that root 1 asks for"
    );
    assert_eq!(after.targets, state.targets);

    // He drives versions and time up to the sky: that delays. New online keys, signed offline, undo it.
    let mut sky = Publisher::assign(None);
    sky["issued"] = json!("9999-01-01T00:00:00Z");
    sky["deadline"] = json!("9999-01-02T00:00:00Z");
    let (stuck, trusted) = run(&state, &publisher.files, fresh(Publisher::seal(&sky, &[9])));
    assert_eq!(trusted.unwrap_err().to_string(), "the root metadata expired on 2027-06-01T12:00:00Z");
    publisher.appoint(Role::Timestamp, &[8], 1);
    publisher.appoint(Role::Snapshot, &[8], 1);
    publisher.next(&[Role::Root, Role::Snapshot, Role::Timestamp]);
    let bytes = Publisher::seal(&Publisher::assign(Some(&good)), &[8]);
    let (free, trusted) = run(&stuck, &publisher.files, fresh(bytes));
    assert!(trusted.unwrap().target(&good).is_some());
    assert_eq!(
        (free.floors.time, free.floors.security),
        (NOW, 2),
        "the security floor is nobody's but the releases'"
    );
}

/// Row 15: one of the three release keys, used once or twice.
#[test]
fn row_15_one_release_key_is_not_enough_however_often_it_signs() {
    let mut publisher = Publisher::new();
    publisher.release("1.0.0", 1);
    let (state, _) = run_now(&publisher.new_box(), &publisher.files);

    // One key, once.
    let mut insider = Publisher::new();
    insider.release("1.0.0", 1);
    insider.signers.insert(Role::Targets, vec![2]);
    insider.release("6.6.6", 1);
    let (after, trusted) = run_now(&state, &insider.files);
    assert_eq!(
        trusted.unwrap_err().to_string(),
        "the targets metadata carries 1 of the 2 signatures that root 1 asks for"
    );
    assert_eq!(after.targets, state.targets);

    // The same signature twice.
    let mut signed = insider.signed(Role::Targets);
    let again = signed["signatures"][0].clone();
    signed["signatures"].as_array_mut().unwrap().push(again.clone());
    insider.put(Role::Targets, signed.to_string().into_bytes());
    insider.next(&[Role::Snapshot, Role::Timestamp]);
    let (after, trusted) = run_now(&state, &insider.files);
    let id = again["keyid"].as_str().unwrap();
    assert_eq!(
        trusted.unwrap_err().to_string(),
        format!("the targets metadata carries two signatures of the key {id}")
    );
    assert_eq!(after.targets, state.targets);

    // The same signature under another release key's id.
    let mut signed = insider.signed(Role::Targets);
    let mut disguised = again;
    disguised["keyid"] = json!(publisher::entry(3).0);
    signed["signatures"].as_array_mut().unwrap().push(disguised);
    insider.put(Role::Targets, signed.to_string().into_bytes());
    insider.next(&[Role::Snapshot, Role::Timestamp]);
    let error = run_now(&state, &insider.files).1.unwrap_err().to_string();
    assert_eq!(error, "the targets metadata carries 1 of the 2 signatures that root 1 asks for");

    // A root that makes him the only signer.
    let mut usurper = Publisher::new();
    usurper.appoint(Role::Root, &[2], 1);
    usurper.appoint(Role::Targets, &[2], 1);
    usurper.next(&[Role::Root]);
    usurper.release("6.6.6", 1);
    let (after, trusted) = run_now(&state, &usurper.files);
    assert_eq!(
        trusted.unwrap_err().to_string(),
        "the root metadata carries 1 of the 2 signatures that root 1 asks for"
    );
    assert_eq!(after, state);
}
