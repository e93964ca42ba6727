//! The chain of roots: how keys are handed on, and what ends with them.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod publisher;

use publisher::{Publisher, refusal, run_now};
use serde_json::json;
use update::tuf::{MOST_ROOTS, Role, State, TufError};

/// Everything but the root, in the order of publishing.
const BELOW: [Role; 3] = [Role::Targets, Role::Snapshot, Role::Timestamp];

#[test]
fn a_root_is_signed_by_those_before_it_and_by_its_own() {
    // Signed by (old, new) keys; whether it is taken.
    for (signers, taken) in [
        (vec![1, 2, 4, 5], true),
        (vec![4, 5], false),
        (vec![1, 2], false),
        (vec![1, 4, 5], false),
        (vec![1, 2, 4], false),
    ] {
        let mut publisher = Publisher::new();
        publisher.appoint(Role::Root, &[4, 5, 6], 2);
        publisher.signers.insert(Role::Root, signers.clone());
        publisher.next(&[Role::Root]);
        let (state, trusted) = run_now(&publisher.new_box(), &publisher.files);
        assert_eq!(trusted.is_ok(), taken, "{signers:?}");
        assert_eq!(state.root == publisher.files["2.root.json"], taken, "{signers:?}");
    }
}

#[test]
fn a_chain_of_roots_is_followed_version_by_version() {
    let mut publisher = Publisher::new();
    let start = publisher.new_box();
    for number in 10..20 {
        let before = publisher.signers[&Role::Root].clone();
        publisher.appoint(Role::Root, &[3 * number, 3 * number + 1, 3 * number + 2], 2);
        let signers = [before, vec![3 * number, 3 * number + 1]].concat();
        publisher.signers.insert(Role::Root, signers);
        publisher.next(&[Role::Root]);
        publisher.signers.insert(Role::Root, vec![3 * number, 3 * number + 1]);
    }
    let (state, trusted) = run_now(&start, &publisher.files);
    trusted.unwrap();
    assert_eq!(state.floors.root, 11);
    // One is left out, another comes twice: no way around it.
    let kept = publisher.files.remove("5.root.json").unwrap();
    let (short, _) = run_now(&start, &publisher.files);
    assert_eq!(short.root, publisher.files["4.root.json"]);
    publisher.files.insert("5.root.json".into(), publisher.files["4.root.json"].clone());
    let error = refusal(&start, &publisher.files);
    assert!(
        error.contains("signatures that root 4 asks for") || error.contains("version 4 where 5"),
        "{error}"
    );
    // A box that has been at 11 does not let itself be kept at 4, even if its disk was wiped meanwhile.
    publisher.files.insert("5.root.json".into(), kept);
    publisher.files.remove("6.root.json");
    let wiped = State { floors: state.floors, ..start };
    let error = refusal(&wiped, &publisher.files);
    assert_eq!(error, "the root metadata of version 5 is older than version 11, which this box has seen");
}

#[test]
fn a_root_of_the_wrong_version_is_refused() {
    let mut publisher = Publisher::new();
    publisher.document(Role::Root)["version"] = json!(3);
    let bytes = publisher.signed(Role::Root).to_string().into_bytes();
    publisher.files.insert("2.root.json".into(), bytes);
    let error = refusal(&publisher.new_box(), &publisher.files);
    assert_eq!(error, "the root metadata has version 3 where 2 was asked for");
}

#[test]
fn an_endless_chain_of_roots_ends_and_goes_on_in_the_next_run() {
    let mut publisher = Publisher::new();
    let roots = vec![Role::Root; MOST_ROOTS as usize + 4];
    publisher.next(&roots);
    let (state, trusted) = run_now(&publisher.new_box(), &publisher.files);
    assert_eq!(trusted.unwrap_err(), TufError::TooManyRoots(MOST_ROOTS));
    let (state, trusted) = run_now(&state, &publisher.files);
    trusted.unwrap();
    assert_eq!(state.floors.root, u64::from(MOST_ROOTS) + 5);
}

#[test]
fn what_came_with_the_box_must_sign_itself() {
    let mut publisher = Publisher::new();
    publisher.signers.insert(Role::Root, vec![1]);
    publisher.publish(Role::Root);
    let error = refusal(&publisher.new_box(), &publisher.files);
    assert_eq!(error, "the root metadata carries 1 of the 2 signatures that root 1 asks for");
}

#[test]
fn only_the_last_root_must_not_have_expired() {
    let mut publisher = Publisher::new();
    publisher.document(Role::Root)["expires"] = json!("2020-01-01T00:00:00Z");
    publisher.next(&[Role::Root]);
    publisher.document(Role::Root)["expires"] = json!("2030-01-01T00:00:00Z");
    publisher.next(&[Role::Root]);
    run_now(&publisher.new_box(), &publisher.files).1.unwrap();
}

#[test]
fn rotated_online_keys_end_what_was_driven_up_to_the_sky() {
    let mut publisher = Publisher::new();
    for role in BELOW {
        publisher.document(role)["version"] = json!(u64::MAX - 1);
        publisher.publish(role);
    }
    let (state, trusted) = run_now(&publisher.new_box(), &publisher.files);
    trusted.unwrap();
    assert_eq!(state.floors.targets, u64::MAX - 1);
    // New keys, old numbers.
    publisher.appoint(Role::Timestamp, &[8], 1);
    publisher.appoint(Role::Snapshot, &[8], 1);
    publisher.next(&[Role::Root]);
    for role in BELOW {
        publisher.document(role)["version"] = json!(2);
        publisher.publish(role);
    }
    for state in [state.clone(), State { floors: state.floors, ..publisher.new_box() }] {
        let (after, trusted) = run_now(&state, &publisher.files);
        trusted.unwrap();
        assert_eq!((after.floors.root, after.floors.timestamp, after.floors.targets), (2, 2, 2));
    }
    // Without the rotation there is no way back.
    publisher.files.remove("2.root.json");
    publisher.signers.insert(Role::Timestamp, vec![9]);
    publisher.publish(Role::Timestamp);
    assert!(refusal(&state, &publisher.files).contains("is older than version"));
}
