use super::*;

fn identity(seed: u8) -> Identity {
    Identity::from_seed(&[seed; 32]).unwrap()
}

fn hello(seed: u8) -> Hello {
    let words = Unsigned {
        tunnel_key: [9; 32],
        version: "1.2.3".to_owned(),
        cloud: "https://video.example.org".to_owned(),
        nonce: [7; 16],
        findable: None,
    };
    sign_hello(&identity(seed), words)
}

fn findable(pages: &[&str]) -> Findable {
    Findable { label: "bGFiZWw=".to_owned(), pages: pages.iter().map(|&page| page.to_owned()).collect() }
}

/// Every text field of a message with something else in it.
fn changed<T: serde::Serialize + serde::de::DeserializeOwned>(message: &T) -> Vec<T> {
    let serde_json::Value::Object(fields) = serde_json::to_value(message).unwrap() else {
        panic!("not an object")
    };
    let change = |name: &String| {
        let mut other = fields.clone();
        let text = fields[name].as_str().unwrap();
        let first = if text.starts_with('B') {
            "C"
        } else if text.starts_with('b') {
            "c"
        } else if text.starts_with(|c: char| c.is_ascii_lowercase()) {
            "b"
        } else {
            "B"
        };
        other.insert(name.clone(), format!("{first}{}", &text[1..]).into());
        serde_json::from_value(other.into()).unwrap()
    };
    fields.keys().map(change).collect()
}

#[test]
fn a_hello_is_believed_and_a_changed_one_is_not() {
    let hello = hello(1);
    assert_eq!(verify_hello(&hello), Ok(*identity(1).public()));
    let changed = changed(&hello);
    assert_eq!(changed.len(), 7);
    for other in changed {
        assert!(verify_hello(&other).is_err(), "{other:?}");
    }
}

#[test]
fn nobody_can_change_add_or_take_away_where_the_page_is() {
    let words = |findable| Unsigned {
        tunnel_key: [9; 32],
        version: "1.2.3".to_owned(),
        cloud: "https://video.example.org".to_owned(),
        nonce: [7; 16],
        findable,
    };
    let told = sign_hello(&identity(1), words(Some(findable(&["http://10.0.0.5/", "http://a.local/"]))));
    assert_eq!(verify_hello(&told), Ok(*identity(1).public()));
    for other in [
        None,
        Some(findable(&["http://10.0.0.6/", "http://a.local/"])),
        Some(findable(&["http://10.0.0.5/"])),
        Some(findable(&["http://10.0.0.5/http://a.local/"])),
        Some(Findable { label: "x".to_owned(), ..findable(&["http://10.0.0.5/", "http://a.local/"]) }),
    ] {
        assert_eq!(verify_hello(&Hello { findable: other, ..told.clone() }), Err(Refused::WrongSignature));
    }
    let added = Hello { findable: Some(findable(&[])), ..hello(1) };
    assert_eq!(verify_hello(&added), Err(Refused::WrongSignature));
    let many = sign_hello(&identity(1), words(Some(findable(&["http://10.0.0.5/"; PAGES + 1]))));
    assert_eq!(verify_hello(&many), Err(Refused::Malformed));
}

#[test]
fn a_hello_of_an_older_box_is_what_it_was() {
    let json = serde_json::to_value(hello(1)).unwrap();
    assert!(json.get("findable").is_none(), "{json}");
    let read: Hello = serde_json::from_value(json).unwrap();
    assert_eq!(read.findable, None);
    assert!(hello_bytes(&read).starts_with(b"streambox hello 1\n"));
}

#[test]
fn a_join_is_believed_from_the_box_of_the_session_only() {
    let join = sign_join(&identity(1), "session", "ACME", [9; 32]);
    assert_eq!(verify_join(&join, identity(1).public()), Ok(()));
    assert_eq!(verify_join(&join, identity(2).public()), Err(Refused::WrongName));
    let mut stolen = join.clone();
    stolen.box_id = identity(2).box_id().clone();
    assert_eq!(verify_join(&stolen, identity(2).public()), Err(Refused::WrongSignature));
    for other in changed(&join) {
        assert!(verify_join(&other, identity(1).public()).is_err(), "{other:?}");
    }
}

#[test]
fn fields_cannot_run_into_each_other() {
    let a = sign_join(&identity(1), "ab", "c", [9; 32]);
    let b = Join { session: "a".to_owned(), owner: "bc".to_owned(), ..a };
    assert_eq!(verify_join(&b, identity(1).public()), Err(Refused::WrongSignature));
}

#[test]
fn endless_fields_are_refused() {
    let mut hello = hello(1);
    hello.version = "v".repeat(LONGEST + 1);
    hello.signature = STANDARD.encode(identity(1).sign(&hello_bytes(&hello)));
    assert_eq!(verify_hello(&hello), Err(Refused::Malformed));
}

#[test]
fn a_question_is_believed_from_the_box_that_asks_and_only_word_for_word() {
    let asked = |nonce| Asked { board: "b".to_owned(), version: "1.2".to_owned(), security: 3, nonce };
    let question = sign_question(&identity(1), asked([0xab; 32]));
    assert_eq!(question.nonce, "ab".repeat(32));
    assert_eq!(verify_question(&question), Ok(()));
    let others = [
        Question { box_id: identity(2).box_id().clone(), ..question.clone() },
        Question { nonce: "ac".repeat(32), ..question.clone() },
        Question { board: "c".to_owned(), ..question.clone() },
        Question { version: "1.3".to_owned(), ..question.clone() },
        Question { security: 2, ..question.clone() },
        Question { board: "b1".to_owned(), version: ".2".to_owned(), ..question.clone() },
    ];
    for other in others {
        assert!(verify_question(&other).is_err(), "{other:?}");
    }
    for nonce in ["", "AB", &"AB".repeat(32), &"é".repeat(32)] {
        let mut other = Question { nonce: nonce.to_owned(), ..question.clone() };
        other.signature = STANDARD.encode(identity(1).sign(&question_bytes(&other)));
        assert_eq!(verify_question(&other), Err(Refused::Malformed), "{nonce:?}");
    }
}

fn told() -> Told {
    Told {
        campaign: "c".repeat(26),
        version: "1.2".to_owned(),
        running: "1.1".to_owned(),
        phase: Phase::Failed,
        why: "the tunnel did not come back".to_owned(),
        journal: "one line\nanother".to_owned(),
        at_ms: 5,
    }
}

#[test]
fn a_report_is_believed_from_the_box_that_tells_it_and_only_word_for_word() {
    let report = sign_report(&identity(1), told());
    assert_eq!(verify_report(&report), Ok(()));
    let text = |text: &str| text.to_owned();
    let others = [
        Report { box_id: identity(2).box_id().clone(), ..report.clone() },
        Report { campaign: "d".repeat(26), ..report.clone() },
        Report { version: text("1.3"), ..report.clone() },
        Report { running: text("1.2"), ..report.clone() },
        Report { phase: Phase::Committed, ..report.clone() },
        Report { why: text(""), ..report.clone() },
        Report { journal: text("one line"), ..report.clone() },
        Report { at_ms: 6, ..report.clone() },
        Report { version: text("1.21"), running: text(".1"), ..report.clone() },
        Report { identity: sign_report(&identity(2), told()).identity, ..report.clone() },
        Report { signature: sign_report(&identity(2), told()).signature, ..report },
    ];
    for other in others {
        assert!(verify_report(&other).is_err(), "{other:?}");
    }
}

#[test]
fn a_report_is_no_longer_than_a_cloud_takes() {
    let long = Told { why: "é".repeat(WHY), journal: format!("x{}end", "é".repeat(JOURNAL)), ..told() };
    let report = sign_report(&identity(1), long);
    assert_eq!(verify_report(&report), Ok(()));
    assert_eq!((report.why.len(), report.journal.ends_with("éend")), (WHY, true));
    assert!((JOURNAL - 3..=JOURNAL).contains(&report.journal.len()));
    for other in [
        Report { campaign: "c".repeat(CAMPAIGN + 1), ..report.clone() },
        Report { why: "w".repeat(WHY + 1), ..report.clone() },
        Report { journal: "j".repeat(JOURNAL + 1), ..report.clone() },
        Report { running: "r".repeat(LONGEST + 1), ..report.clone() },
    ] {
        let mut other = other;
        other.signature = STANDARD.encode(identity(1).sign(&report_bytes(&other)));
        assert_eq!(verify_report(&other), Err(Refused::Malformed));
    }
}
