//! A release on its way through the fleet, as boxes, operators and owners meet it: signed questions and reports over HTTP,
//! the portal's API, and several clouds on one database.

use std::collections::{BTreeMap, BTreeSet};

use cloud_stub::config;
use cloud_stub::fleet::{self, Command, Draft, Fleet, Note, Run, Stage as Ring, Standing, Steer};
use cloud_stub::store::{By, Role};
use cloud_stub::updates::Assigner;
use enrol::{Asked, Identity, Told, sign_question, sign_report};
use hyper::StatusCode;
use model::update::{Phase, Question, Report};
use serde_json::{Value, json};
use sqlx::Connection as _;
use update::Floors;
use update::assignment::{AssignmentError, admit};

use crate::shop::Shop;
use crate::stage::{Answer, Browser, Stage};

const ASK: &str = "/api/v1/updates/assignment";
pub(crate) const REPORT: &str = "/api/v1/updates/report";
pub(crate) const CAMPAIGNS: &str = "/api/v1/fleet/campaigns";
const HOUR: u64 = 3_600_000;

pub(crate) fn identity(number: u8) -> Identity {
    Identity::from_seed(&[number; 32]).unwrap()
}

fn question(number: u8, version: &str, security: u32) -> Question {
    let asked = Asked { board: "b".to_owned(), version: version.to_owned(), security, nonce: [number; 32] };
    sign_question(&identity(number), asked)
}

fn report(number: u8, campaign: &str, phase: Phase) -> Report {
    let told = Told {
        campaign: campaign.to_owned(),
        version: "1.1".to_owned(),
        running: "1.0".to_owned(),
        phase,
        why: "no tunnel".to_owned(),
        journal: "its last line".to_owned(),
        at_ms: 1,
    };
    sign_report(&identity(number), told)
}

/// A shop with 1.0 and 1.1, a cloud where only campaigns decide, an operator.
pub(crate) async fn opened() -> (Shop, config::Updates, Stage, Browser) {
    let shop = Shop::new();
    shop.publish("1.0", 1);
    shop.publish("1.1", 1);
    let updates = config::Updates { everyone: false, ..shop.config() };
    let stage = Stage::with(Some(updates.clone())).await;
    let operator = stage.person("op@example.org", None).await;
    (shop, updates, stage, operator)
}

impl Stage {
    pub(crate) async fn box_asks(&self, number: u8, version: &str) -> Value {
        self.post_as_box(ASK, &question(number, version, 1)).await.ok()["signed"].take()
    }

    pub(crate) async fn box_says(&self, number: u8, campaign: &str, phase: Phase) -> StatusCode {
        self.post_as_box(REPORT, &report(number, campaign, phase)).await.status
    }

    pub(crate) async fn post_as_box(&self, path: &str, body: &impl serde::Serialize) -> Answer {
        self.post(&Browser::new(), path, &serde_json::to_value(body).unwrap()).await
    }

    /// A campaign for 1.1 that has begun; gives its id.
    pub(crate) async fn campaign(&self, operator: &Browser, canaries: &[&str], bake_s: u64) -> String {
        let words = json!({ "name": "Spring", "version": "1.1", "canaries": canaries, "bake_s": bake_s });
        let made = self.post(operator, CAMPAIGNS, &words).await.ok();
        assert_eq!((&made["state"], made["id"].as_str().unwrap().len()), (&json!("draft"), 26));
        let id = made["id"].as_str().unwrap().to_owned();
        assert_eq!(self.steer(operator, &id, "start", "").await.ok()["state"], "running");
        id
    }

    async fn steer(&self, operator: &Browser, campaign: &str, how: &str, reason: &str) -> Answer {
        self.post(operator, &format!("{CAMPAIGNS}/{campaign}/{how}"), &json!({ "reason": reason })).await
    }
}

#[tokio::test]
async fn a_release_goes_from_the_canary_to_everybody_and_each_step_is_written_down() {
    let (_shop, _, stage, operator) = opened().await;
    let (first, _) = stage.box_of(1, "ACME").await;
    let (second, _) = stage.box_of(2, "ACME").await;
    assert_eq!(stage.box_asks(1, "1.0").await["target"], Value::Null, "no campaign, no update");
    let releases = stage.get(&operator, "/api/v1/fleet/releases").await.ok();
    assert_eq!((&releases[0]["version"], &releases[1]["version"]), (&json!("1.1"), &json!("1.0")));
    let id = stage.campaign(&operator, &[&first], 3600).await;

    assert_eq!(stage.box_asks(2, "1.0").await["target"], Value::Null, "it is no canary");
    let told = stage.box_asks(1, "1.0").await;
    assert_eq!((&told["target"], &told["campaign"]), (&json!("b/1.1.json"), &json!(id)));
    assert_eq!((&told["may_restart"], &told["windows"]), (&json!(false), &json!([])));
    for phase in [Phase::Fetching, Phase::Ready] {
        assert_eq!(stage.box_says(1, &id, phase).await, StatusCode::NO_CONTENT);
    }
    assert_eq!(stage.box_asks(1, "1.0").await["may_restart"], true);
    stage.box_says(1, &id, Phase::Restarting).await;
    let path = format!("{CAMPAIGNS}/{id}");
    let shown = stage.get(&operator, &path).await.ok();
    assert_eq!((&shown["counts"]["ring"], &shown["counts"]["restarting"]), (&json!(1), &json!(1)));
    assert_eq!(stage.box_asks(1, "1.1").await["target"], Value::Null, "on trial it is told to stay");
    stage.box_says(1, &id, Phase::Committed).await;

    for ring in ["1", "5", "25", "100"] {
        stage.forward_ms(HOUR);
        stage.fleet.tick().await.unwrap();
        assert_eq!(stage.get(&operator, &path).await.ok()["stage"], ring);
    }
    assert_eq!(stage.box_asks(2, "1.0").await["target"], "b/1.1.json");
    stage.box_says(2, &id, Phase::Restarting).await;
    stage.box_says(2, &id, Phase::Committed).await;
    stage.forward_ms(HOUR);
    stage.fleet.tick().await.unwrap();
    let shown = stage.get(&operator, &path).await.ok();
    assert_eq!((&shown["state"], &shown["counts"]["committed"]), (&json!("done"), &json!(2)));
    let what: Vec<&str> =
        shown["events"].as_array().unwrap().iter().map(|line| line["what"].as_str().unwrap()).collect();
    assert_eq!(what, ["done", "opened", "opened", "opened", "opened", "started", "drafted"]);
    assert_eq!(shown["events"][6]["who"], "op@example.org");

    let rows = stage.get(&operator, &format!("{path}/boxes?standing=committed&limit=1")).await.ok();
    assert_eq!((&rows["total"], rows["rows"].as_array().unwrap().len()), (&json!(2), 1));
    let rows = stage.get(&operator, &format!("{path}/boxes?query={second}")).await.ok();
    assert_eq!((&rows["total"], &rows["rows"][0]["tenant"]), (&json!(1), &json!("ACME")));
    let unit = stage.get(&operator, &format!("/api/v1/fleet/boxes/{first}")).await.ok();
    assert_eq!((&unit["standing"], &unit["version"]), (&json!("committed"), &json!("1.1")));
    let past: Vec<&str> =
        unit["history"].as_array().unwrap().iter().map(|line| line["what"].as_str().unwrap()).collect();
    let expected =
        ["committed", "back", "restarting", "cleared", "ready", "stuck", "fetching", "offered", "met"];
    assert_eq!(past, expected);
    let audit = stage.store.audited("", None, 10).await.unwrap();
    let done: BTreeSet<&str> = audit.iter().map(|row| row.what.as_str()).collect();
    assert!(done.is_superset(&BTreeSet::from(["fleet.draft", "fleet.start"])), "{done:?}");
}

#[tokio::test]
async fn two_failures_halt_it_and_the_journal_says_why() {
    let (_shop, _, stage, operator) = opened().await;
    let mut boxes = Vec::new();
    for number in 1..=3 {
        boxes.push(stage.box_of(number, &format!("Owner {number}")).await.0);
    }
    let canaries: Vec<&str> = boxes.iter().map(String::as_str).collect();
    let id = stage.campaign(&operator, &canaries, 3600).await;
    for number in 1..=3 {
        assert_eq!(stage.box_asks(number, "1.0").await["target"], "b/1.1.json");
    }
    for number in 1..=2 {
        stage.box_says(number, &id, Phase::Restarting).await;
        stage.box_says(number, &id, Phase::Failed).await;
    }
    let path = format!("{CAMPAIGNS}/{id}");
    let shown = stage.get(&operator, &path).await.ok();
    assert_eq!((&shown["state"], &shown["counts"]["failed"]), (&json!("halted"), &json!(2)));
    assert!(shown["reason"].as_str().unwrap().starts_with("2 of 2 boxes failed"), "{shown}");
    assert_eq!(shown["events"][0]["who"], "machine");
    assert_eq!(stage.box_asks(3, "1.0").await["target"], Value::Null, "nobody begins any more");
    let unit = stage.get(&operator, &format!("/api/v1/fleet/boxes/{}", boxes[0])).await.ok();
    let past = &unit["history"];
    assert_eq!((&past[0]["what"], &past[1]["what"]), (&json!("back"), &json!("failed")));
    assert_eq!((&past[1]["why"], &past[1]["journal"]), (&json!("no tunnel"), &json!("its last line")));
    assert_eq!(unit["version"], "1.0", "its report says what it runs again");
    assert_eq!(stage.steer(&operator, &id, "resume", "").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(stage.steer(&operator, &id, "pause", "x").await.status, StatusCode::CONFLICT);
    let resumed = stage.steer(&operator, &id, "resume", "two were without power").await.ok();
    assert_eq!((&resumed["state"], &resumed["rate"]), (&json!("running"), &json!(0.0)));
    assert_eq!(stage.box_asks(3, "1.0").await["target"], "b/1.1.json");
    assert_eq!(stage.steer(&operator, &id, "withdraw", "it is bad").await.ok()["state"], "withdrawn");
    assert_eq!(stage.box_asks(3, "1.0").await["target"], Value::Null);
}

/// Row 19 as well: a box that was stolen and revoked is refused, whatever it asks or says.
#[tokio::test]
async fn a_report_counts_once_and_only_from_a_box_of_this_cloud() {
    let (_shop, _, stage, operator) = opened().await;
    let (first, _) = stage.box_of(1, "ACME").await;
    let id = stage.campaign(&operator, &[&first], 3600).await;
    stage.box_asks(1, "1.0").await;
    let words = [Phase::Fetching, Phase::Ready, Phase::Restarting, Phase::Committed];
    for phase in words {
        stage.box_says(1, &id, phase).await;
    }
    let before = stage.fleet.known().await.unwrap().newest();
    // A thief of the line has all words of the box, and repeats them in every order.
    for phase in words.into_iter().rev().chain(words) {
        assert_eq!(stage.box_says(1, &id, phase).await, StatusCode::NO_CONTENT);
    }
    assert_eq!(stage.box_says(1, &"z".repeat(26), Phase::Failed).await, StatusCode::NO_CONTENT);
    {
        let state = stage.fleet.known().await.unwrap();
        assert_eq!(state.newest(), before, "nothing has happened");
        let place = state.place(&id, identity(1).box_id()).unwrap();
        assert_eq!(place.standing(), Standing::Committed);
    }

    let forged = Report { phase: Phase::Failed, ..report(1, &id, Phase::Committed) };
    assert_eq!(stage.post_as_box(REPORT, &forged).await.status, StatusCode::FORBIDDEN);
    let long = Report { journal: "j".repeat(8193), ..report(1, &id, Phase::Failed) };
    assert_eq!(stage.post_as_box(REPORT, &long).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(stage.box_says(9, &id, Phase::Failed).await, StatusCode::FORBIDDEN, "never enrolled");
    assert_eq!(stage.box_asks(9, "1.0").await["target"], Value::Null, "and no campaign is for it");
    assert!(stage.fleet.known().await.unwrap().known(identity(9).box_id()).is_none(), "it leaves no trace");
    stage.store.revoke_box(identity(1).box_id()).await.unwrap();
    assert_eq!(stage.box_says(1, &id, Phase::Failed).await, StatusCode::GONE);
    assert_eq!(stage.post_as_box(ASK, &question(1, "1.0", 1)).await.status, StatusCode::GONE);
}

#[tokio::test]
async fn clouds_on_one_database_decide_as_one_and_a_new_one_knows_what_they_knew() {
    let (_shop, updates, stage, operator) = opened().await;
    let boxes: Vec<u8> = (1..=20).collect();
    for number in &boxes {
        stage.box_of(*number, "ACME").await;
    }
    let id = stage.campaign(&operator, &[], 3600).await;
    for _ in 0..3 {
        stage.steer(&operator, &id, "advance", "a test").await.ok();
    }
    let clouds = [stage.fleet.clone(), stage.another(&updates).await, stage.another(&updates).await];
    let listed = cloud_stub::updates::Listed {
        name: "b/1.1.json".to_owned(),
        board: "b".to_owned(),
        version: "1.1".to_owned(),
        security: 1,
        since: 2,
    };
    let listed = [listed];
    let cloud = |turn: u8| &clouds[usize::from(turn) % clouds.len()];
    let all_ask = async |boxes: BTreeSet<u8>| {
        let mut asked = tokio::task::JoinSet::new();
        let boxes: Vec<u8> = boxes.into_iter().collect();
        for turn in 0..boxes.len() {
            for (index, cloud) in clouds.clone().into_iter().enumerate() {
                // Each cloud hears them in another order.
                let number = boxes[(turn + 7 * index) % boxes.len()];
                let listed = listed.clone();
                asked.spawn(async move {
                    let told = cloud.ask(&question(number, "1.0", 1), &listed).await.unwrap();
                    (number, told.answer)
                });
            }
        }
        asked.join_all().await
    };
    let told = all_ask(boxes.iter().copied().collect()).await;
    assert!(told.iter().all(|(_, answer)| answer.target.is_some()), "nobody is turned away: {told:?}");
    for number in &boxes {
        cloud(number + 1).told(&report(*number, &id, Phase::Ready)).await.unwrap();
    }
    // All twenty at all clouds at once, again and again: two of twenty may be away.
    let mut committed = BTreeSet::new();
    for round in 0..10 {
        let rest = boxes.iter().copied().filter(|number| !committed.contains(number)).collect();
        let told = all_ask(rest).await.into_iter();
        let may: BTreeSet<u8> =
            told.filter_map(|(number, answer)| answer.may_restart.then_some(number)).collect();
        assert_eq!(may.len(), 2, "round {round}: {may:?}");
        for number in may {
            cloud(number).told(&report(number, &id, Phase::Restarting)).await.unwrap();
            cloud(number + 1).told(&report(number, &id, Phase::Committed)).await.unwrap();
            committed.insert(number);
        }
    }
    assert_eq!(committed.len(), 20);
    let new = stage.another(&updates).await;
    let expected = new.known().await.unwrap().clone();
    assert_eq!(expected.campaigns()[&id].tally.committed, 20);
    for cloud in &clouds {
        cloud.catch_up().await.unwrap();
        assert_eq!(*cloud.known().await.unwrap(), expected);
    }
}

#[tokio::test]
async fn a_cloud_that_starts_anew_in_the_middle_goes_on() {
    let (_shop, updates, stage, operator) = opened().await;
    let (first, _) = stage.box_of(1, "ACME").await;
    let id = stage.campaign(&operator, &[&first], 3600).await;
    stage.box_asks(1, "1.0").await;
    stage.box_says(1, &id, Phase::Restarting).await;
    // The first cloud is gone; the box is never heard of again.
    let next: Fleet = stage.another(&updates).await;
    stage.forward_ms(2 * HOUR);
    next.tick().await.unwrap();
    {
        let state = next.known().await.unwrap();
        assert_eq!(state.place(&id, identity(1).box_id()).unwrap().standing(), Standing::Silent);
    }
    next.tick().await.unwrap();
    let state = next.known().await.unwrap();
    let campaign = &state.campaigns()[&id];
    assert_eq!((campaign.run, campaign.stage), (Run::Halted, Ring::Canary), "{}", campaign.reason);
}

#[tokio::test]
async fn what_was_written_down_is_taken_even_if_it_cannot_be_read_back_at_once() {
    let (_shop, _, stage, operator) = opened().await;
    let (first, _) = stage.box_of(1, "ACME").await;
    let id = stage.campaign(&operator, &[&first], 3600).await;
    stage.box_asks(1, "1.0").await;
    stage.box_says(1, &id, Phase::Ready).await;
    let mut database = sqlx::SqliteConnection::connect(&stage.database()).await.unwrap();
    let break_it = "CREATE TRIGGER broken AFTER INSERT ON fleet_event \
                    BEGIN UPDATE fleet_event SET event = '?' || event WHERE id = NEW.id; END";
    sqlx::query(break_it).execute(&mut database).await.unwrap();
    assert_eq!(stage.box_says(1, &id, Phase::Restarting).await, StatusCode::NO_CONTENT, "it may go");
    for repair in
        ["DROP TRIGGER broken", "UPDATE fleet_event SET event = substr(event, 2) WHERE event LIKE '?%'"]
    {
        sqlx::query(repair).execute(&mut database).await.unwrap();
    }
    let state = stage.fleet.fresh().await.unwrap();
    assert_eq!(state.place(&id, identity(1).box_id()).unwrap().standing(), Standing::Restarting);
}

#[tokio::test]
async fn a_sites_window_is_told_in_utc_and_nobody_restarts_outside_of_it() {
    let (_shop, _, stage, operator) = opened().await;
    let owner = stage.person("o@example.org", Some(("ACME", Role::Owner))).await;
    let stranger = stage.person("s@example.org", Some(("Other", Role::Owner))).await;
    let (first, _) = stage.box_of(1, "ACME").await;
    let sites = format!("/api/v1/tenants/{}/sites", stage.tenant("ACME"));
    let site = json!({ "name": "Mill", "time_zone": "Asia/Almaty" });
    let site = stage.post(&owner, &sites, &site).await.ok();
    assert_eq!(site["window"], Value::Null);
    let path = format!("/api/v1/sites/{}", site["id"].as_str().unwrap());
    stage.patch(&owner, &format!("/api/v1/boxes/{first}"), &json!({ "site": site["id"] })).await.ok();
    // Some hour that is not now.
    let hour = (stage.store.now_ms() / HOUR + 5 + 12) % 24;
    let window = json!({
        "days": [0, 1, 2, 3, 4, 5, 6], "from": format!("{hour:02}:00"), "to": format!("{:02}:00", (hour + 2) % 24)
    });
    let changed = stage.patch(&owner, &path, &json!({ "window": window })).await.ok();
    assert_eq!(changed["window"], window);
    assert_eq!(stage.patch(&owner, &path, &json!({ "name": "Old mill" })).await.ok()["window"], window);
    let misspelt = stage.patch(&owner, &path, &json!({ "time_zone": "Asia/Almati" })).await;
    assert_eq!(misspelt.status, StatusCode::BAD_REQUEST);
    assert!(misspelt.json()["error"].as_str().unwrap().contains("Asia/Almaty"), "{misspelt:?}");
    let wrong = json!({ "window": { "days": [9], "from": "02:00", "to": "05:00" } });
    assert_eq!(stage.patch(&owner, &path, &wrong).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(stage.patch(&stranger, &path, &json!({ "window": null })).await.status, StatusCode::NOT_FOUND);

    let id = stage.campaign(&operator, &[&first], 3600).await;
    let told = stage.box_asks(1, "1.0").await;
    let windows = told["windows"].as_array().unwrap();
    assert_eq!(windows.len(), 3);
    let utc = (hour + 24 - 5) % 24;
    assert!(windows[0][0].as_str().unwrap().ends_with(&format!("T{utc:02}:00:00Z")), "{windows:?}");
    stage.box_says(1, &id, Phase::Ready).await;
    assert_eq!(stage.box_asks(1, "1.0").await["may_restart"], false);
    stage.forward_ms(12 * HOUR);
    assert_eq!(stage.box_asks(1, "1.0").await["may_restart"], true);
    assert_eq!(stage.patch(&owner, &path, &json!({ "window": null })).await.ok()["window"], Value::Null);
    assert_eq!(stage.box_asks(1, "1.0").await["windows"], json!([]));
}

#[tokio::test]
async fn an_owner_spares_a_box_and_an_operator_holds_and_pins_it() {
    let (shop, _, stage, operator) = opened().await;
    let owner = stage.person("o@example.org", Some(("ACME", Role::Owner))).await;
    let installer = stage.person("i@example.org", Some(("ACME", Role::Installer))).await;
    let stranger = stage.person("s@example.org", Some(("Other", Role::Owner))).await;
    let (first, _) = stage.box_of(1, "ACME").await;
    stage.campaign(&operator, &[&first], 3600).await;
    let postpone = format!("/api/v1/boxes/{first}/postpone");
    let hours = |hours: u64| json!({ "hours": hours });
    let missing = stage.get(&stranger, "/api/v1/there/is/nothing").await.looks();
    assert_eq!(stage.post(&stranger, &postpone, &hours(2)).await.looks(), missing);
    assert_eq!(stage.post(&installer, &postpone, &hours(2)).await.status, StatusCode::FORBIDDEN);
    assert_eq!(stage.post(&owner, &postpone, &hours(169)).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(stage.post(&owner, &postpone, &hours(u64::MAX)).await.status, StatusCode::BAD_REQUEST);
    stage.post(&owner, &postpone, &hours(168)).await.ok();
    assert_eq!(stage.box_asks(1, "1.0").await["target"], Value::Null);
    stage.post(&owner, &postpone, &hours(0)).await.ok();
    assert_eq!(stage.box_asks(1, "1.0").await["target"], "b/1.1.json");

    let unit = format!("/api/v1/fleet/boxes/{first}");
    for browser in [&owner, &stranger] {
        assert_eq!(stage.get(browser, &unit).await.looks(), missing);
        assert_eq!(stage.patch(browser, &unit, &json!({ "pin": "1.0" })).await.looks(), missing);
    }
    let held = stage.patch(&operator, &unit, &json!({ "hold": { "reason": "measuring" } })).await.ok();
    assert_eq!(held["hold"], "measuring");
    assert_eq!(stage.box_asks(1, "1.0").await["target"], Value::Null);
    let neither = json!({ "pin": "1.0", "hold": { "reason": "" } });
    assert_eq!(stage.patch(&operator, &unit, &neither).await.status, StatusCode::BAD_REQUEST);
    let kept = stage.get(&operator, &unit).await.ok();
    assert_eq!((&kept["pin"], &kept["hold"]), (&Value::Null, &json!("measuring")));
    shop.publish("0.9", 1);
    let pinned = stage.patch(&operator, &unit, &json!({ "hold": null, "pin": "0.9" })).await.ok();
    assert_eq!((&pinned["hold"], &pinned["pin"]), (&Value::Null, &json!("0.9")));
    let told = stage.box_asks(1, "1.0").await;
    assert_eq!((&told["target"], &told["campaign"]), (&json!("b/0.9.json"), &json!("pin")));
    shop.publish("2.0", 2);
    let floor = stage.post_as_box(ASK, &question(1, "2.0", 2)).await.ok();
    assert_eq!(floor["signed"]["target"], Value::Null, "a pin is not obeyed below the floor");
    let audit = stage.store.audited(&stage.tenant("ACME"), None, 10).await.unwrap();
    let done: BTreeMap<&str, &str> =
        audit.iter().rev().map(|row| (row.what.as_str(), row.detail.as_str())).collect();
    assert_eq!((done["fleet.pin"], done["box.postpone"]), ("0.9", "0 h"));
    assert!(done.contains_key("fleet.hold"));
}

#[tokio::test]
async fn a_campaign_is_for_what_is_published_and_boxes_that_are_there() {
    let (_shop, _, stage, operator) = opened().await;
    for wrong in [
        json!({ "name": "x", "version": "9.9" }),
        json!({ "name": "x", "version": "1.1", "boards": ["other"] }),
        json!({ "name": "", "version": "1.1" }),
        json!({ "name": "x", "version": "1.1", "canaries": ["a".repeat(26)] }),
        json!({ "name": "x", "version": "1.1", "canaries": ["nobody"] }),
        json!({ "name": "x", "version": "1.1", "bake_s": 99_999_999 }),
        json!({ "name": "x", "version": "1.1", "more": 1 }),
    ] {
        let answer = stage.post(&operator, CAMPAIGNS, &wrong).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{wrong}: {answer:?}");
    }
    assert_eq!(stage.get(&operator, CAMPAIGNS).await.ok(), json!([]));
    let missing = stage.get(&operator, "/api/v1/there/is/nothing").await.looks();
    let nothing = format!("{CAMPAIGNS}/{}", "c".repeat(26));
    assert_eq!(stage.get(&operator, &nothing).await.looks(), missing);
    assert_eq!(stage.post(&operator, &format!("{nothing}/start"), &json!({})).await.looks(), missing);
}

/// Row 14 with campaigns: whoever is in the server has the online key and writes campaigns as he likes. He chooses among what
/// was signed offline, and nothing below a box's floor.
#[tokio::test]
async fn row_14_an_intruder_chooses_only_among_what_was_signed_offline() {
    let (shop, updates, stage, _operator) = opened().await;
    shop.publish("1.2", 2);
    let (first, _) = stage.box_of(1, "ACME").await;
    // Past all checks of the pages, into the table of events.
    let mut campaigns = 0;
    let mut order = async |version: &str| {
        campaigns += 1;
        let campaign = format!("{campaigns:a>26}");
        let draft = Draft {
            name: "x".to_owned(),
            version: version.to_owned(),
            boards: Vec::new(),
            canaries: vec![first.parse().unwrap()],
            bake_s: 0,
            note: String::new(),
            who: String::new(),
        };
        let steer = Command::Steer { campaign: campaign.clone(), how: Steer::Start, reason: String::new() };
        for command in [Command::Draft { campaign: campaign.clone(), draft }, steer] {
            let note = Note { by: By::COMMAND_LINE, tenant: "", what: "x", subject: "", detail: "" };
            stage.fleet.command(command, note).await.unwrap().unwrap();
        }
    };
    order("6.6.6").await;
    assert_eq!(stage.box_asks(1, "1.1").await["target"], Value::Null, "nobody has signed that");
    order("1.0").await;
    let asked = question(1, "1.2", 2);
    let told = stage.post_as_box(ASK, &asked).await.ok();
    assert_eq!(told["signed"]["target"], Value::Null, "it has a hole that this box is rid of");

    // And then with the stolen key itself.
    let stolen = Assigner::open(&updates.key).unwrap();
    let sign = |target: &str| {
        let answer = fleet::Answer {
            target: Some(target.to_owned()),
            campaign: "x".to_owned(),
            may_restart: true,
            deadline_ms: u64::MAX / 1_000_000,
        };
        let told = fleet::Told { answer, windows: Vec::new() };
        serde_json::to_vec(&stolen.sign(&asked, &told, stage.store.now_ms()).unwrap()).unwrap()
    };
    let fetch = async |path: String| {
        let answer = stage.get(&Browser::new(), &path).await;
        (answer.status == StatusCode::OK).then(|| answer.body.to_vec())
    };
    let trusted = shop.verified(&asked, &sign("b/6.6.6.json"), fetch).await;
    let refused = trusted.assignment.clone().unwrap().choose(&trusted.targets).unwrap_err();
    assert!(matches!(refused, AssignmentError::NotListed(_)), "{refused}");
    let trusted = shop.verified(&asked, &sign("b/1.1.json"), fetch).await;
    let assignment = trusted.assignment.clone().unwrap();
    let (name, file) = assignment.choose(&trusted.targets).unwrap().unwrap();
    let description = fetch(format!("/updates/targets/{}", trusted.path(name, file).unwrap())).await.unwrap();
    let floors = Floors { security: 2, ..Floors::default() };
    let refused = admit(name, file, &description, &floors).unwrap_err();
    assert!(matches!(refused, AssignmentError::Security { found: 1, floor: 2, .. }), "{refused}");
}
