//! The fleet from a terminal: the program itself, run on the database of a cloud that serves.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use hyper::StatusCode;
use model::update::{Phase, Report};
use serde_json::{Value, json};

use crate::fleet::{CAMPAIGNS, REPORT, identity, opened};
use crate::stage::Stage;

/// From the end of a command to its effect in a cloud that runs: half a second, and more on a busy machine.
const EFFECT: Duration = Duration::from_secs(5);

/// A terminal with a configuration.
#[derive(Clone)]
struct Terminal(PathBuf);

impl Terminal {
    /// Beside a cloud that serves as the program does.
    fn beside(stage: &Stage) -> Self {
        tokio::spawn(stage.fleet.clone().keep());
        Self(stage.config_file())
    }

    /// `cloud … fleet WORDS`: the exit code, and what is said on standard output or, after a failure, on standard error.
    fn says(&self, words: &[&str]) -> (Option<i32>, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cloud"));
        let output = command.arg("--config").arg(&self.0).arg("fleet").args(words).output().unwrap();
        let said = if output.status.success() { output.stdout } else { output.stderr };
        (output.status.code(), String::from_utf8(said).unwrap())
    }

    fn ok(&self, words: &[&str]) -> String {
        let (code, said) = self.says(words);
        assert_eq!(code, Some(0), "{words:?}: {said}");
        said
    }

    fn json(&self, words: &[&str]) -> Value {
        let said = self.ok(&[words, &["--json"]].concat());
        serde_json::from_str(&said).unwrap()
    }

    fn refused(&self, words: &[&str]) -> String {
        let (code, said) = self.says(words);
        assert_eq!(code, Some(1), "{words:?}: {said}");
        said
    }
}

/// Waits until a box is told this target.
async fn until_told(stage: &Stage, number: u8, target: &Value) {
    let begun = Instant::now();
    while stage.box_asks(number, "1.0").await["target"] != *target {
        assert!(begun.elapsed() < EFFECT, "box {number} is not told {target}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_campaign_is_led_from_a_terminal_and_the_cloud_that_runs_follows() {
    let (_shop, _, stage, operator) = opened().await;
    let (first, _) = stage.box_of(1, "ACME").await;
    let terminal = Terminal::beside(&stage);
    assert_eq!(
        terminal.ok(&["releases"]),
        "VERSION  BOARD  SECURITY\n1.1      b      1\n1.0      b      1\n"
    );
    assert!(terminal.ok(&["list"]).contains("cloud fleet draft"), "the next step is said");
    // It knows of the box, and of no campaign.
    until_told(&stage, 1, &Value::Null).await;

    let drafted = terminal.ok(&["draft", "--name", "Spring", "--version", "1.1", "--canary", &first]);
    let id = drafted.lines().next().unwrap().strip_prefix("campaign: ").unwrap().to_owned();
    assert!(drafted.contains(&format!("cloud fleet start {id}")), "{drafted}");
    assert_eq!(stage.box_asks(1, "1.0").await["target"], Value::Null);
    let said = terminal.ok(&["start", &id, "--reason", "it is spring"]);
    assert_eq!(said, format!("campaign {id} is running; its ring: the boxes that go first\n"));
    let target = json!("b/1.1.json");
    until_told(&stage, 1, &target).await;
    assert!(terminal.ok(&["pause", &id, "--reason", "lunch"]).contains("is paused"));
    until_told(&stage, 1, &Value::Null).await;
    assert_eq!(terminal.json(&["resume", &id, "--reason", "after lunch"])["state"], "running");
    until_told(&stage, 1, &target).await;
    assert!(terminal.ok(&["advance", &id, "--reason", "hurry"]).contains("1 % of the boxes"));

    let path = format!("{CAMPAIGNS}/{id}");
    assert_eq!(terminal.json(&["list"]), stage.get(&operator, CAMPAIGNS).await.ok());
    assert_eq!(terminal.json(&["show", &id]), stage.get(&operator, &path).await.ok());
    let boxes = stage.get(&operator, &format!("{path}/boxes?standing=offered")).await.ok();
    assert_eq!(boxes["total"], 1);
    assert_eq!(terminal.json(&["boxes", &id, "--standing", "offered"]), boxes);
    let listed = terminal.ok(&["list"]);
    let line = format!("{id}  running  1 %   1.1      1      0          0       0       ");
    assert!(listed.lines().nth(1).unwrap().starts_with(&line), "{listed}");
    let shown = terminal.ok(&["show", &id]);
    for line in ["name                   \"Spring\"", "version                1.1 for all boards"] {
        assert!(shown.contains(line), "{shown}");
    }
    assert!(shown.contains("command line  resumed"), "{shown}");

    assert!(terminal.ok(&["withdraw", &id, "--reason", "a better one comes"]).contains("is withdrawn"));
    until_told(&stage, 1, &Value::Null).await;
    let audit = stage.store.audited("", None, 20).await.unwrap();
    let done: Vec<_> = audit.iter().rev().filter(|row| row.what.starts_with("fleet.")).collect();
    let what: Vec<_> = done.iter().map(|row| (row.what.as_str(), row.detail.as_str())).collect();
    let expected = [
        ("fleet.draft", "Spring: 1.1"),
        ("fleet.start", "it is spring"),
        ("fleet.pause", "lunch"),
        ("fleet.resume", "after lunch"),
        ("fleet.advance", "hurry"),
        ("fleet.withdraw", "a better one comes"),
    ];
    assert_eq!(what, expected);
    let nobody = |row: &&cloud_stub::store::Audited| row.person.is_empty() && row.address.is_empty();
    assert!(done.iter().all(nobody), "as other commands are written down");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_box_is_pinned_held_and_spared_from_a_terminal() {
    let (_shop, _, stage, operator) = opened().await;
    let (first, _) = stage.box_of(1, "ACME").await;
    let terminal = Terminal::beside(&stage);
    terminal.ok(&["postpone", &first, "24"]);
    let id = stage.campaign(&operator, &[&first], 3600).await;
    until_told(&stage, 1, &Value::Null).await;
    assert!(terminal.ok(&["box", &first]).contains("postponed for  23 h\n"));
    terminal.ok(&["postpone", &first, "0"]);
    let target = json!("b/1.1.json");
    until_told(&stage, 1, &target).await;

    assert_eq!(
        terminal.ok(&["hold", &first, "--reason", "measuring"]),
        format!("box {first} is held as it is\n")
    );
    until_told(&stage, 1, &Value::Null).await;
    assert!(terminal.ok(&["box", &first]).contains("held       \"measuring\"\n"));
    assert_eq!(terminal.json(&["unhold", &first])["hold"], Value::Null);
    until_told(&stage, 1, &target).await;
    assert!(terminal.ok(&["pin", &first, "1.0"]).contains("pinned to 1.0"));
    until_told(&stage, 1, &Value::Null).await;
    let unit = stage.get(&operator, &format!("/api/v1/fleet/boxes/{first}")).await.ok();
    assert_eq!((&unit["pin"], &terminal.json(&["box", &first])), (&json!("1.0"), &unit));
    terminal.ok(&["unpin", &first]);
    until_told(&stage, 1, &target).await;

    // What a box says cannot write on the operator's terminal.
    let told = enrol::Told {
        campaign: id.clone(),
        version: "1.1".to_owned(),
        running: "1.0".to_owned(),
        phase: Phase::Failed,
        why: "\x1b[2Jall is well".to_owned(),
        journal: "its last\nline\x07".to_owned(),
        at_ms: 1,
    };
    let report: Report = enrol::sign_report(&identity(1), told);
    assert_eq!(stage.post_as_box(REPORT, &report).await.status, StatusCode::NO_CONTENT);
    let shown = terminal.ok(&["box", &first]) + &terminal.ok(&["boxes", &id]);
    assert!(!shown.contains(['\x1b', '\x07']), "{shown:?}");
    assert!(shown.contains("\"\\u{1b}[2Jall is well\"") && shown.contains("\n  \"line\\u{7}\"\n"), "{shown}");

    let audit = stage.store.audited(&stage.tenant("ACME"), None, 20).await.unwrap();
    let done: Vec<_> = audit.iter().rev().map(|row| (row.what.as_str(), row.detail.as_str())).collect();
    let expected = [
        ("box.postpone", "24 h"),
        ("box.postpone", "0 h"),
        ("fleet.hold", "measuring"),
        ("fleet.hold", ""),
        ("fleet.pin", "1.0"),
        ("fleet.pin", ""),
    ];
    assert!(done.ends_with(&expected), "{done:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_done_is_refused_as_the_pages_are_and_says_what_to_do() {
    let (_shop, _, stage, operator) = opened().await;
    let (first, _) = stage.box_of(1, "ACME").await;
    let (lost, _) = stage.box_of(2, "ACME").await;
    stage.store.revoke_box(&lost.parse().unwrap()).await.unwrap();
    let terminal = Terminal::beside(&stage);
    let id = terminal.json(&["draft", "--name", "x", "--version", "1.1"])["id"].as_str().unwrap().to_owned();
    let newest = stage.fleet.fresh().await.unwrap().newest();
    let nobody = "c".repeat(26);
    let long = "r".repeat(1001);
    let draft = |more: Value| (CAMPAIGNS.to_owned(), more);
    let steer =
        |id: &str, how: &str, why: &str| (format!("{CAMPAIGNS}/{id}/{how}"), json!({ "reason": why }));
    for (words, (path, body), said) in [
        (
            vec!["draft", "--name", "x", "--version", "9.9"],
            draft(json!({ "name": "x", "version": "9.9" })),
            "cloud fleet releases",
        ),
        (
            vec!["draft", "--name", "x", "--version", "1.1", "--board", "other"],
            draft(json!({ "name": "x", "version": "1.1", "boards": ["other"] })),
            "cloud fleet releases",
        ),
        (
            vec!["draft", "--name", "x", "--version", "1.1", "--canary", &lost],
            draft(json!({ "name": "x", "version": "1.1", "canaries": [&lost] })),
            "cloud boxes",
        ),
        (
            vec!["draft", "--name", "", "--version", "1.1"],
            draft(json!({ "name": "", "version": "1.1" })),
            "1 to 100 letters",
        ),
        (
            vec!["draft", "--name", "x", "--version", "1.1", "--bake", "31d"],
            draft(json!({ "name": "x", "version": "1.1", "bake_s": 31 * 86_400 })),
            "30 days",
        ),
        (vec!["pause", &id, "--reason", "x"], steer(&id, "pause", "x"), "cloud fleet show"),
        (vec!["resume", &id, "--reason", "x"], steer(&id, "resume", "x"), "It is not stopped."),
        (vec!["advance", &id, "--reason", "x"], steer(&id, "advance", "x"), "It does not run."),
        (vec!["withdraw", &id, "--reason", " "], steer(&id, "withdraw", " "), "Say why"),
        (vec!["start", &id, "--reason", &long], steer(&id, "start", &long), "1000 letters"),
        (vec!["start", &nobody], steer(&nobody, "start", ""), "cloud fleet list"),
    ] {
        let answer = stage.post(&operator, &path, &body).await;
        assert!(answer.status.is_client_error(), "{words:?}: {answer:?}");
        let error = terminal.refused(&words);
        assert!(error.contains(said), "{words:?}: {error}");
    }
    let unit = |id: &str| format!("/api/v1/fleet/boxes/{id}");
    for (words, id, body, said) in [
        (vec!["pin", &lost, "1.0"], &lost, json!({ "pin": "1.0" }), "cloud boxes"),
        (vec!["pin", &nobody, "1.0"], &nobody, json!({ "pin": "1.0" }), "cloud boxes"),
        (vec!["pin", &first, "1 0"], &first, json!({ "pin": "1 0" }), "64 signs"),
        (vec!["hold", &first, "--reason", ""], &first, json!({ "hold": { "reason": "" } }), "Say why"),
    ] {
        let answer = stage.patch(&operator, &unit(id), &body).await;
        assert!(answer.status.is_client_error(), "{words:?}: {answer:?}");
        let error = terminal.refused(&words);
        assert!(error.contains(said), "{words:?}: {error}");
    }
    assert!(terminal.refused(&["postpone", &first, "169"]).contains("168 hours"));
    assert!(terminal.refused(&["show", "\x1b[2J"]).contains("\"\\u{1b}[2J\""));
    assert!(terminal.refused(&["box", &nobody]).contains("cloud boxes"));
    assert!(
        terminal.ok(&["box", &lost]).contains("released or revoked"),
        "it is shown, as the page shows it"
    );
    assert_eq!(terminal.says(&["pause", &id]).0, Some(2), "no reason, no command");
    assert_eq!(stage.fleet.fresh().await.unwrap().newest(), newest, "nothing has happened");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminal_and_clouds_that_are_busy_lose_nothing_of_each_other() {
    let (_shop, updates, stage, operator) = opened().await;
    let mut boxes = Vec::new();
    for number in 1..=6 {
        boxes.push(stage.box_of(number, "ACME").await.0);
    }
    let terminal = Terminal::beside(&stage);
    let canaries: Vec<&str> = boxes.iter().map(String::as_str).collect();
    let id = stage.campaign(&operator, &canaries, 3600).await;
    let mut terminals = tokio::task::JoinSet::new();
    for id in boxes.clone() {
        let terminal = terminal.clone();
        terminals.spawn_blocking(move || terminal.ok(&["hold", &id, "--reason", "a busy night"]));
    }
    // Meanwhile all boxes ask and tell.
    let mut told = Vec::new();
    for number in 1..=6 {
        if stage.box_asks(number, "1.0").await["target"] != Value::Null {
            told.push(number);
        }
        let status = stage.box_says(number, &id, Phase::Fetching).await;
        assert_eq!(status, StatusCode::NO_CONTENT);
    }
    terminals.join_all().await;
    for number in 1..=6 {
        until_told(&stage, number, &Value::Null).await;
    }
    let another = stage.another(&updates).await;
    let state = another.known().await.unwrap().clone();
    assert_eq!(*stage.fleet.fresh().await.unwrap(), state);
    for (number, box_id) in (1..).zip(&boxes) {
        let box_id = box_id.parse().unwrap();
        assert_eq!(state.known(&box_id).unwrap().hold.as_deref(), Some("a busy night"));
        assert_eq!(state.place(&id, &box_id).is_some(), told.contains(&number), "box {number}");
    }
}
