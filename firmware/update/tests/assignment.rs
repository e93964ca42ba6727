//! Which assignments a box takes, and what it lets itself be assigned.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod publisher;

use proptest::prelude::*;
use publisher::{BOX, DAY, NOW, Publisher, hash, nonce, run};
use serde_json::{Value, json};
use update::Floors;
use update::assignment::{Expected, admit};
use update::restart::Window;
use update::tuf::{Freshness, Role, State};

fn expected() -> Expected {
    Expected { box_id: BOX.to_owned(), nonce: nonce() }
}

fn fresh(bytes: Vec<u8>) -> Freshness {
    Freshness::Assignment { bytes, expected: expected() }
}

/// What an operator reads when a box is given an assignment that was changed, and signed by some keys. What is kept of the
/// run is what was known before.
fn refused(publisher: &Publisher, keys: &[u8], change: impl FnOnce(&mut Value)) -> String {
    let mut assignment = Publisher::assign(Some("qemu-aarch64/1.0.0.json"));
    change(&mut assignment);
    let (state, trusted) =
        run(&publisher.new_box(), &publisher.files, fresh(Publisher::seal(&assignment, keys)));
    assert_eq!((state.timestamp, state.targets, state.floors.time), (None, None, 0));
    trusted.unwrap_err().to_string()
}

#[test]
fn an_assignment_chooses_a_release_and_its_time_becomes_the_floor() {
    let mut publisher = Publisher::new();
    let name = publisher.release("1.0.0", 3);
    publisher.release("1.1.0", 3);
    let bytes = Publisher::seal(&Publisher::assign(Some(&name)), &[9]);
    let (state, trusted) = run(&publisher.new_box(), &publisher.files, fresh(bytes));
    let trusted = trusted.unwrap();
    let assignment = trusted.assignment.clone().unwrap();
    assert_eq!((assignment.issued, assignment.deadline), (NOW, NOW + DAY));
    assert_eq!(assignment.campaign, "spring");
    assert_eq!(state.floors.time, NOW);
    let (chosen, file) = assignment.choose(&trusted.targets).unwrap().unwrap();
    assert_eq!(chosen, name);
    let release =
        admit(&name, file, &publisher.files[&name], &Floors { security: 3, ..state.floors }).unwrap();
    assert_eq!((release.version.as_str(), release.security), ("1.0.0", 3));
}

#[test]
fn an_assignment_may_say_stay() {
    let publisher = Publisher::new();
    let bytes = Publisher::seal(&Publisher::assign(None), &[9]);
    let (_, trusted) = run(&publisher.new_box(), &publisher.files, fresh(bytes));
    let trusted = trusted.unwrap();
    assert_eq!(trusted.assignment.unwrap().choose(&trusted.targets).unwrap(), None);
}

#[test]
fn an_assignment_may_say_when_to_restart_and_an_older_cloud_says_nothing() {
    let publisher = Publisher::new();
    let taken = |change: fn(&mut Value)| {
        let mut assignment = Publisher::assign(None);
        change(&mut assignment);
        let bytes = Publisher::seal(&assignment, &[9]);
        run(&publisher.new_box(), &publisher.files, fresh(bytes)).1.unwrap().assignment.unwrap()
    };
    let older = taken(|_| {});
    assert_eq!((older.windows, older.may_restart), (Vec::new(), true));
    let told = taken(|it| {
        it["windows"] = json!([["2026-06-01T21:00:00Z", "2026-06-02T00:00:00Z"]]);
        it["may_restart"] = json!(false);
    });
    assert_eq!(told.windows, [Window { from: NOW + 9 * 3600, to: NOW + 12 * 3600 }]);
    assert!(!told.may_restart);
}

#[test]
fn nobody_else_s_assignment_is_taken() {
    type Change = fn(&mut Value);
    let mut publisher = Publisher::new();
    publisher.release("1.0.0", 1);
    let cases: [(&str, Change); 13] = [
        ("the assignment is unreadable: it has more than 16 windows", |it| {
            it["windows"] = json!(vec![["2026-06-01T21:00:00Z", "2026-06-02T00:00:00Z"]; 17]);
        }),
        ("the assignment is unreadable: \"tonight\" is no date", |it| {
            it["windows"] = json!([["tonight", "2026-06-02T00:00:00Z"]]);
        }),
        ("the assignment is unreadable: a window ends before it begins", |it| {
            it["windows"] = json!([["2026-06-02T00:00:00Z", "2026-06-02T00:00:00Z"]]);
        }),
        ("the assignment is unreadable: invalid type: string \"no\", expected a boolean", |it| {
            it["may_restart"] = json!("no");
        }),
        ("the assignment is for another box, \"other\"", |it| it["box"] = json!("other")),
        ("the assignment is stale: it does not answer this box's question", |it| {
            it["nonce"] = json!("a5".repeat(32));
        }),
        ("the assignment is stale: it does not answer this box's question", |it| it["nonce"] = json!("")),
        ("the assignment's deadline has passed", |it| it["deadline"] = json!("2026-06-01T11:59:59Z")),
        ("the assignment is unreadable: it is something else", |it| it["_type"] = json!("timestamp")),
        ("the assignment is unreadable: it is something else", |it| it["spec_version"] = json!("2.0")),
        ("the assignment is unreadable: \"soon\" is no date", |it| it["deadline"] = json!("soon")),
        ("the assignment is unreadable: missing field `issued`", |it| {
            it.as_object_mut().unwrap().remove("issued");
        }),
        ("the assignment is unreadable: its campaign has a name of more than 64 bytes", |it| {
            it["campaign"] = json!("c".repeat(65));
        }),
    ];
    for (error, change) in cases {
        assert_eq!(refused(&publisher, &[9], change), error);
    }
}

#[test]
fn a_short_nonce_is_no_question() {
    // A box that forgot to make one up must not take an assignment that has none either.
    let publisher = Publisher::new();
    let mut assignment = Publisher::assign(None);
    assignment["nonce"] = json!("");
    let expected = Expected { nonce: String::new(), ..expected() };
    let freshness = Freshness::Assignment { bytes: Publisher::seal(&assignment, &[9]), expected };
    let error = run(&publisher.new_box(), &publisher.files, freshness).1.unwrap_err();
    assert_eq!(error.to_string(), "the assignment is stale: it does not answer this box's question");
}

#[test]
fn only_the_timestamp_role_assigns() {
    let mut publisher = Publisher::new();
    publisher.release("1.0.0", 1);
    for keys in [&[][..], &[7], &[1, 2, 3]] {
        let error = refused(&publisher, keys, |_| {});
        assert_eq!(error, "the assignment carries 0 of the 1 signatures that root 1 asks for");
    }
    // Of a threshold of two, one key is not enough, however often.
    publisher.appoint(Role::Timestamp, &[8, 9], 2);
    publisher.next(&[Role::Root, Role::Timestamp]);
    let error = refused(&publisher, &[9], |_| {});
    assert_eq!(error, "the assignment carries 1 of the 2 signatures that root 2 asks for");
    let error = refused(&publisher, &[9, 9], |_| {});
    assert!(error.contains("two signatures of the key"), "{error}");
}

#[test]
fn the_keys_are_those_of_the_newest_root() {
    let mut publisher = Publisher::new();
    publisher.appoint(Role::Timestamp, &[8], 1);
    publisher.next(&[Role::Root, Role::Timestamp]);
    let error = refused(&publisher, &[9], |_| {});
    assert_eq!(error, "the assignment carries 0 of the 1 signatures that root 2 asks for");
    let bytes = Publisher::seal(&Publisher::assign(None), &[8]);
    run(&publisher.new_box(), &publisher.files, fresh(bytes)).1.unwrap();
}

#[test]
fn a_description_is_the_signed_one_of_the_named_release() {
    let mut publisher = Publisher::new();
    let name = publisher.release("1.0.0", 3);
    let other = publisher.release("1.1.0", 3);
    // A publisher's slip: one release's description under another's name.
    let text = publisher.files[&name].clone();
    publisher.document(Role::Targets)["targets"]["qemu-aarch64/9.9.9.json"] =
        json!({"length": text.len(), "hashes": {"sha256": hash(&text)}});
    publisher.next_all();
    let trusted = publisher::run_now(&publisher.new_box(), &publisher.files).1.unwrap();
    let floors = Floors::default();
    let take = |name: &str, bytes: &[u8]| admit(name, trusted.target(name).unwrap(), bytes, &floors);
    take(&name, &text).unwrap();
    assert_eq!(
        take(&other, &text).unwrap_err().to_string(),
        "qemu-aarch64/1.1.0.json is not the file that was signed: its hash differs"
    );
    assert_eq!(
        take(&name, &text[1..]).unwrap_err().to_string(),
        "qemu-aarch64/1.0.0.json is not the file that was signed: its length differs"
    );
    assert_eq!(
        take("qemu-aarch64/9.9.9.json", &text).unwrap_err().to_string(),
        "\"qemu-aarch64/9.9.9.json\" describes qemu-aarch64/1.0.0.json"
    );
}

#[test]
fn an_assignment_s_time_judges_expiry_and_no_clock_is_asked() {
    let mut publisher = Publisher::new();
    let mut late = Publisher::assign(None);
    late["issued"] = json!("2026-06-08T12:00:00Z");
    late["deadline"] = json!("2026-06-09T12:00:00Z");
    let bytes = Publisher::seal(&late, &[9]);
    let (state, trusted) = run(&publisher.new_box(), &publisher.files, fresh(bytes.clone()));
    assert_eq!(trusted.unwrap_err().to_string(), "the timestamp metadata expired on 2026-06-08T12:00:00Z");
    assert_eq!(state.floors.time, NOW + 7 * DAY, "the time was signed over this box's nonce, so it counts");
    publisher.document(Role::Timestamp)["expires"] = json!("2026-06-09T12:00:00Z");
    publisher.next(&[Role::Timestamp]);
    run(&publisher.new_box(), &publisher.files, fresh(bytes)).1.unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// One flipped bit: refused, or nothing that it says has changed.
    #[test]
    fn a_flipped_bit_assigns_nothing_else(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let publisher = Publisher::new();
        let mut bytes = Publisher::seal(&Publisher::assign(Some("qemu-aarch64/1.0.0.json")), &[9]);
        let honest = run(&publisher.new_box(), &publisher.files, fresh(bytes.clone())).1.unwrap().assignment;
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let (_, Ok(trusted)) = run(&publisher.new_box(), &publisher.files, fresh(bytes)) {
            prop_assert_eq!(trusted.assignment, honest);
        }
    }

    #[test]
    fn any_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let publisher = Publisher::new();
        let (state, trusted) = run(&publisher.new_box(), &publisher.files, fresh(bytes));
        prop_assert!(trusted.is_err());
        prop_assert_eq!(state.floors.time, 0);
        prop_assert_eq!(state.timestamp, None);
    }
}

#[test]
fn an_endless_assignment_is_refused() {
    let publisher = Publisher::new();
    let state: State = publisher.new_box();
    let error = run(&state, &publisher.files, fresh(vec![b'['; 16 * 1024 + 1])).1.unwrap_err();
    assert_eq!(error.to_string(), "the assignment metadata has more than 16384 bytes");
}
