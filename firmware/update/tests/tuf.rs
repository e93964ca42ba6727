//! The verifier against a publisher that does everything right but one thing.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod publisher;

use proptest::prelude::*;
use publisher::{NOW, Publisher, entry, key, refusal, run, run_now};
use serde_json::json;
use update::tuf::{Answer, Freshness, Role, State, TufError, Verifier, sign};

/// Everything but the root, in the order of publishing.
const BELOW: [Role; 3] = [Role::Targets, Role::Snapshot, Role::Timestamp];

#[test]
fn a_new_box_asks_for_four_files_and_then_trusts_the_targets() {
    let mut publisher = Publisher::new();
    let name = publisher.release("1.0.0", 1);
    let mut verifier = Verifier::new(publisher.new_box(), Freshness::Clock(NOW)).unwrap();
    let mut asked = Vec::new();
    while let Some(want) = verifier.wants() {
        assert!(verifier.trusted().is_none());
        let file = publisher.files.get(&want.path).cloned();
        verifier.give(file.map_or(Answer::Missing, Answer::Bytes)).unwrap();
        asked.push(want.path);
    }
    assert_eq!(asked, ["2.root.json", "timestamp.json", "2.snapshot.json", "2.targets.json"]);
    let trusted = verifier.trusted().unwrap();
    let file = trusted.target(&name).unwrap();
    file.check(&name, &publisher.files[&name]).unwrap();
    let hash = file.hashes.sha256().unwrap();
    assert_eq!(trusted.path(&name, file).unwrap(), format!("qemu-aarch64/{hash}.1.0.0.json"));
    assert_eq!(verifier.give(Answer::Missing), Err(TufError::NotAsked));
    let floors = verifier.state().floors;
    assert_eq!((floors.root, floors.timestamp, floors.snapshot, floors.targets), (1, 2, 2, 2));
    assert_eq!(
        (floors.time, floors.security),
        (0, 0),
        "a clock's time is not kept, nor what is not committed"
    );
}

#[test]
fn a_second_run_fetches_only_what_has_changed() {
    let mut publisher = Publisher::new();
    let (state, _) = run_now(&publisher.new_box(), &publisher.files);
    publisher.next(&[Role::Timestamp]);
    publisher.files.retain(|path, _| path.ends_with("timestamp.json"));
    let (after, trusted) = run_now(&state, &publisher.files);
    trusted.unwrap();
    assert_eq!((after.floors.timestamp, after.floors.snapshot), (2, 1));
    assert_eq!((after.snapshot, after.targets), (state.snapshot, state.targets));
}

#[test]
fn each_role_needs_its_own_keys() {
    for role in BELOW {
        let mut publisher = Publisher::new();
        publisher.signers.insert(role, vec![7]);
        publisher.next_all();
        let error = refusal(&publisher.new_box(), &publisher.files);
        assert!(error.contains(&format!("the {role} metadata carries 0 of the")), "{error}");
    }
    // The online key does not sign targets, nor the offline keys a timestamp.
    for (role, keys) in [(Role::Targets, vec![9, 9]), (Role::Timestamp, vec![1, 2, 3])] {
        let mut publisher = Publisher::new();
        publisher.signers.insert(role, keys[..1].to_vec());
        publisher.next_all();
        let error = refusal(&publisher.new_box(), &publisher.files);
        assert!(error.contains("carries 0 of"), "{error}");
    }
}

#[test]
fn a_key_counts_once_under_however_many_ids() {
    let mut publisher = Publisher::new();
    let (id, entry) = entry(1);
    let root = publisher.document(Role::Root);
    root["keys"]["another id"] = entry;
    root["roles"]["targets"] = json!({"keyids": [id, "another id"], "threshold": 2});
    publisher.next(&[Role::Root]);
    publisher.signers.insert(Role::Targets, vec![1]);
    let mut signed = publisher.signed(Role::Targets);
    let mut again = signed["signatures"][0].clone();
    again["keyid"] = json!("another id");
    signed["signatures"].as_array_mut().unwrap().push(again);
    publisher.put(Role::Targets, signed.to_string().into_bytes());
    publisher.next(&[Role::Snapshot, Role::Timestamp]);
    let error = refusal(&publisher.new_box(), &publisher.files);
    assert_eq!(error, "the targets metadata carries 1 of the 2 signatures that root 2 asks for");
}

#[test]
fn a_key_of_another_kind_never_counts_and_spoils_nothing() {
    for (keytype, scheme) in [("ecdsa", "ecdsa-sha2-nistp256"), ("ed25519", "ed448"), ("rsa", "ed25519")] {
        let mut publisher = Publisher::new();
        let (id, mut other) = entry(9);
        other["keytype"] = json!(keytype);
        other["scheme"] = json!(scheme);
        publisher.document(Role::Root)["keys"][&id] = other;
        publisher.next(&[Role::Root]);
        let error = refusal(&publisher.new_box(), &publisher.files);
        assert!(error.contains("the timestamp metadata carries 0 of the 1"), "{keytype} {scheme}: {error}");
    }
}

#[test]
fn older_metadata_is_refused_with_and_without_the_files_of_the_last_run() {
    let mut publisher = Publisher::new();
    publisher.next_all();
    let old = publisher.files.clone();
    publisher.next_all();
    let (state, _) = run_now(&publisher.new_box(), &publisher.files);
    let wiped = State { floors: state.floors, ..publisher.new_box() };
    for state in [&state, &wiped] {
        let (after, trusted) = run_now(state, &old);
        assert_eq!(
            trusted.unwrap_err().to_string(),
            "the timestamp metadata of version 2 is older than version 3, which this box has seen"
        );
        assert_eq!(after.floors, state.floors);
    }
    // The online key is stolen: a new timestamp over old files.
    for (role, path) in [(Role::Snapshot, "2.snapshot.json"), (Role::Targets, "2.targets.json")] {
        let mut thief = Publisher::new();
        thief.document(Role::Targets)["version"] = json!(3);
        thief.document(Role::Snapshot)["version"] = json!(4);
        thief.document(Role::Timestamp)["version"] = json!(4);
        for below in BELOW {
            thief.publish(below);
        }
        thief.document(role)["version"] = json!(2);
        thief.put(role, old[path].clone());
        thief.publish(Role::Snapshot);
        thief.publish(Role::Timestamp);
        for state in [&state, &wiped] {
            let error = refusal(state, &thief.files);
            assert_eq!(
                error,
                format!("the {role} metadata of version 2 is older than version 3, which this box has seen")
            );
        }
    }
}

#[test]
fn each_role_expires() {
    for role in [Role::Root, Role::Targets, Role::Snapshot, Role::Timestamp] {
        let mut publisher = Publisher::new();
        let (before, _) = run_now(&publisher.new_box(), &publisher.files);
        publisher.document(role)["expires"] = json!("2026-06-01T12:00:00Z");
        publisher.next(&[Role::Root, Role::Targets, Role::Snapshot, Role::Timestamp]);
        let (after, trusted) = run_now(&before, &publisher.files);
        let error = trusted.unwrap_err().to_string();
        assert_eq!(error, format!("the {role} metadata expired on 2026-06-01T12:00:00Z"));
        assert_eq!(after.root, publisher.files["2.root.json"], "a new root is kept, expired or not (5.3.10)");
        assert_eq!(after.targets, before.targets);
        let (_, trusted) = run(&before, &publisher.files, Freshness::Clock(NOW - 1));
        trusted.unwrap();
    }
}

#[test]
fn a_file_is_the_one_that_was_listed_or_none() {
    for (role, path) in [(Role::Snapshot, "1.snapshot.json"), (Role::Targets, "1.targets.json")] {
        let mut publisher = Publisher::new();
        // Valid signatures, another length.
        let longer = [publisher.files[path].clone(), b" ".to_vec()].concat();
        publisher.files.insert(path.into(), longer);
        let error = refusal(&publisher.new_box(), &publisher.files);
        assert_eq!(error, format!("{role}.json is not the file that was signed: its length differs"));
        // The same length, another text.
        let mut publisher = Publisher::new();
        let text = String::from_utf8(publisher.files[path].clone()).unwrap().replace("1.0.34", "1.0.33");
        publisher.files.insert(path.into(), text.into_bytes());
        let error = refusal(&publisher.new_box(), &publisher.files);
        assert_eq!(error, format!("{role}.json is not the file that was signed: its hash differs"));
    }
}

#[test]
fn a_hash_of_an_unknown_kind_is_no_hash() {
    let mut publisher = Publisher::new();
    publisher.document(Role::Timestamp)["meta"]["snapshot.json"]["hashes"] = json!({"sha7": "00"});
    publisher.next(&[Role::Timestamp]);
    let error = refusal(&publisher.new_box(), &publisher.files);
    assert!(error.ends_with("its hash is of an unknown kind"), "{error}");
}

#[test]
fn too_much_is_refused_before_it_is_read() {
    for (path, role) in [("2.root.json", Role::Root), ("timestamp.json", Role::Timestamp)] {
        let mut publisher = Publisher::new();
        let endless = vec![b'['; usize::try_from(role.most_bytes()).unwrap() + 1];
        publisher.files.insert(path.into(), endless);
        let error = refusal(&publisher.new_box(), &publisher.files);
        assert_eq!(error, format!("the {role} metadata has more than {} bytes", role.most_bytes()));
    }
    // Where a length is listed, no more than that is asked for.
    let publisher = Publisher::new();
    let mut verifier = Verifier::new(publisher.new_box(), Freshness::Clock(NOW)).unwrap();
    verifier.give(Answer::Missing).unwrap();
    verifier.give(Answer::Bytes(publisher.files["timestamp.json"].clone())).unwrap();
    assert_eq!(verifier.wants().unwrap().most_bytes, publisher.files["1.snapshot.json"].len() as u64);
}

#[test]
fn another_role_s_file_is_refused_whoever_signed_it() {
    // One key signs both online roles, so only the type tells them apart.
    let mut publisher = Publisher::new();
    publisher.document(Role::Snapshot)["meta"]["snapshot.json"] = json!({"version": 1});
    publisher.publish(Role::Snapshot);
    let snapshot = publisher.files["1.snapshot.json"].clone();
    publisher.files.insert("timestamp.json".into(), snapshot);
    let error = refusal(&publisher.new_box(), &publisher.files);
    assert_eq!(error, "the timestamp metadata says that it is \"snapshot\"");
}

#[test]
fn malformed_documents_are_refused_although_they_are_signed() {
    type Change = fn(&mut Publisher);
    let changes: [(&str, Change); 15] = [
        ("invalid type: null", |it| it.document(Role::Root)["consistent_snapshot"] = json!(null)),
        ("invalid type: null", |it| {
            it.document(Role::Timestamp)["meta"]["snapshot.json"]["length"] = json!(null);
        }),
        ("lists more.json", |it| it.document(Role::Timestamp)["meta"]["more.json"] = json!({"version": 1})),
        ("specification", |it| it.document(Role::Timestamp)["spec_version"] = json!("2.0.0")),
        ("specification", |it| it.document(Role::Timestamp)["spec_version"] = json!("1")),
        ("version is 0", |it| it.document(Role::Timestamp)["version"] = json!(0)),
        ("is no date", |it| it.document(Role::Timestamp)["expires"] = json!("2030-02-30T00:00:00Z")),
        ("is no date", |it| it.document(Role::Timestamp)["expires"] = json!("2030-01-01T00:00:00+00:00")),
        ("no snapshot.json", |it| it.document(Role::Timestamp)["meta"] = json!({})),
        ("with no hash", |it| it.document(Role::Timestamp)["meta"]["snapshot.json"]["hashes"] = json!({})),
        ("without a version", |it| {
            it.document(Role::Timestamp)["meta"]["snapshot.json"]["version"] = json!(0);
        }),
        ("invalid type", |it| it.document(Role::Timestamp)["version"] = json!("1")),
        ("no threshold", |it| it.document(Role::Root)["roles"]["targets"]["threshold"] = json!(0)),
        ("a role \"mirrors\"", |it| {
            let role = it.document(Role::Root)["roles"]["targets"].clone();
            it.document(Role::Root)["roles"]["mirrors"] = role;
        }),
        ("a key id twice", |it| {
            let id = entry(9).0;
            it.document(Role::Root)["roles"]["timestamp"]["keyids"] = json!([id, id]);
        }),
    ];
    for (why, change) in changes {
        let mut publisher = Publisher::new();
        change(&mut publisher);
        publisher.publish(Role::Timestamp);
        publisher.document(Role::Root)["version"] = json!(2);
        publisher.publish(Role::Root);
        let error = refusal(&publisher.new_box(), &publisher.files);
        assert!(error.contains(why), "{why}: {error}");
    }
}

#[test]
fn a_key_that_comes_twice_in_an_object_is_refused() {
    let mut publisher = Publisher::new();
    let text = String::from_utf8(publisher.files["timestamp.json"].clone()).unwrap();
    let doubled = text.replacen("\"signed\":{", "\"signed\":{\"version\":7,", 1);
    publisher.files.insert("timestamp.json".into(), doubled.into_bytes());
    let error = refusal(&publisher.new_box(), &publisher.files);
    assert!(error.contains("the key \"version\" comes twice"), "{error}");
}

#[test]
fn fields_that_nobody_knows_are_under_the_signature() {
    let mut publisher = Publisher::new();
    publisher.document(Role::Timestamp)["x-note"] = json!({"b": [1, true, null], "a": "тест"});
    publisher.next(&[Role::Timestamp]);
    run_now(&publisher.new_box(), &publisher.files).1.unwrap();
    let text = String::from_utf8(publisher.files["timestamp.json"].clone()).unwrap();
    publisher.files.insert("timestamp.json".into(), text.replace("тест", "текст").into_bytes());
    assert!(refusal(&publisher.new_box(), &publisher.files).contains("carries 0 of the 1"));
}

#[test]
fn a_snapshot_forgets_no_file() {
    let mut publisher = Publisher::new();
    publisher.document(Role::Snapshot)["meta"]["extra.json"] = json!({"version": 4});
    publisher.next_all();
    let (state, _) = run_now(&publisher.new_box(), &publisher.files);
    publisher.document(Role::Snapshot)["meta"].as_object_mut().unwrap().remove("extra.json");
    publisher.next_all();
    assert_eq!(refusal(&state, &publisher.files), "the snapshot metadata no longer lists extra.json");
}

#[test]
fn a_timestamp_of_the_same_version_changes_nothing() {
    let mut publisher = Publisher::new();
    let (state, _) = run_now(&publisher.new_box(), &publisher.files);
    publisher.document(Role::Timestamp)["meta"]["snapshot.json"]["version"] = json!(100);
    publisher.publish(Role::Timestamp);
    let (after, trusted) = run_now(&state, &publisher.files);
    trusted.unwrap();
    assert_eq!(after, state);
}

#[test]
fn the_disk_is_believed_no_more_than_a_server() {
    let mut publisher = Publisher::new();
    publisher.release("1.0.0", 1);
    let (state, _) = run_now(&publisher.new_box(), &publisher.files);
    let forged = |role: Role| {
        let mut forger = Publisher::new();
        forger.release("6.6.6", 1);
        forger.signers.insert(role, vec![7]);
        forger.signed(role).to_string().into_bytes()
    };
    let tampered = State {
        timestamp: Some(forged(Role::Timestamp)),
        snapshot: Some(forged(Role::Snapshot)),
        targets: Some(forged(Role::Targets)),
        ..state.clone()
    };
    let (after, trusted) = run_now(&tampered, &publisher.files);
    assert_eq!(trusted.unwrap().targets.names().collect::<Vec<_>>(), ["qemu-aarch64/1.0.0.json"]);
    assert_eq!(after, state, "what was forged is gone");
}

#[test]
fn without_consistent_snapshots_names_are_plain() {
    let mut publisher = Publisher::new();
    publisher.document(Role::Root)["consistent_snapshot"] = json!(false);
    publisher.next(&[Role::Root]);
    let name = publisher.release("1.0.0", 1);
    for role in ["snapshot", "targets"] {
        let file = publisher.files.remove(&format!("2.{role}.json")).unwrap();
        publisher.files.insert(format!("{role}.json"), file);
    }
    let trusted = run_now(&publisher.new_box(), &publisher.files).1.unwrap();
    let file = trusted.target(&name).unwrap();
    assert_eq!(trusted.path(&name, file), Some(name.clone()));
}

#[test]
fn a_missing_file_is_named() {
    for path in ["timestamp.json", "1.snapshot.json", "1.targets.json"] {
        let mut publisher = Publisher::new();
        publisher.files.remove(path);
        assert_eq!(refusal(&publisher.new_box(), &publisher.files), format!("{path} is not on the server"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever one bit of whatever file becomes: either it is refused, or the very same is trusted.
    #[test]
    fn a_flipped_bit_changes_nothing_that_is_trusted(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let mut publisher = Publisher::new();
        let name = publisher.release("1.0.0", 1);
        publisher.next(&[Role::Root]);
        let start = publisher.new_box();
        let honest = run_now(&start, &publisher.files).1.unwrap();
        let metadata: Vec<_> = publisher.files.keys().filter(|path| **path != name).cloned().collect();
        let total: usize = metadata.iter().map(|path| publisher.files[path].len()).sum();
        let mut place = at.index(total);
        for path in metadata {
            let bytes = publisher.files.get_mut(&path).unwrap();
            if place < bytes.len() {
                bytes[place] ^= 1 << bit;
                break;
            }
            place -= bytes.len();
        }
        if let (_, Ok(trusted)) = run_now(&start, &publisher.files) {
            prop_assert_eq!(trusted.target(&name), honest.target(&name));
            prop_assert_eq!(trusted.targets.names().count(), honest.targets.names().count());
        }
    }

    /// Any bytes in the place of any file are refused without a panic, and nothing of them is kept.
    #[test]
    fn any_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..400), path in 0_usize..4) {
        let mut publisher = Publisher::new();
        let path = ["2.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json"][path];
        publisher.files.insert(path.into(), bytes.clone());
        let (state, trusted) = run_now(&publisher.new_box(), &publisher.files);
        prop_assert!(trusted.is_err());
        for kept in [Some(state.root), state.timestamp, state.snapshot, state.targets].into_iter().flatten() {
            prop_assert_ne!(&kept, &bytes);
        }
    }

    /// Text in another Unicode form has the same canonical form elsewhere, and must not be a second name for a target.
    #[test]
    fn a_text_in_another_form_does_not_share_a_signature(letter in prop::sample::select(vec!['é', 'й', 'ö', 'Å'])) {
        let mut publisher = Publisher::new();
        publisher.document(Role::Timestamp)["x-note"] = json!(letter.to_string());
        publisher.next(&[Role::Timestamp]);
        run_now(&publisher.new_box(), &publisher.files).1.unwrap();
        let apart = match letter { 'é' => "e\u{301}", 'й' => "и\u{306}", 'ö' => "o\u{308}", _ => "A\u{30a}" };
        let text = String::from_utf8(publisher.files["timestamp.json"].clone()).unwrap();
        publisher.files.insert("timestamp.json".into(), text.replace(letter, apart).into_bytes());
        prop_assert!(refusal(&publisher.new_box(), &publisher.files).contains("form C"));
    }
}

#[test]
fn a_signature_over_one_role_is_none_over_another() {
    let publisher = Publisher::new();
    let mut state = publisher.new_box();
    let envelope = sign(&publisher.documents[&Role::Targets], &[key(1), key(2)]).unwrap();
    state.root = envelope.to_string().into_bytes();
    let error = refusal(&state, &publisher.files);
    assert_eq!(error, "the root metadata says that it is \"targets\"");
}
