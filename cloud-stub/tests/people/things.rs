//! Sites, boxes, cameras and claims.

use cloud_stub::store::Role;
use hyper::StatusCode;
use serde_json::{Value, json};

use crate::stage::{Browser, Stage};

const SITE: &str = r#"{ "name": "Mill", "address": "Abai 1", "time_zone": "Asia/Almaty" }"#;

async fn site(stage: &Stage, by: &Browser, tenant: &str) -> String {
    let words = serde_json::from_str(SITE).unwrap();
    let made = stage.post(by, &format!("/api/v1/tenants/{tenant}/sites"), &words).await.ok();
    made["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_box_is_claimed_named_placed_and_joins() {
    let stage = Stage::new().await;
    let installer = stage.person("i@example.org", Some(("ACME", Role::Installer))).await;
    let tenant = stage.tenant("ACME");
    let site = site(&stage, &installer, &tenant).await;
    let session = stage.code(1, 1).await;
    let path = format!("/api/v1/tenants/{tenant}/claims");
    let words = json!({ "code": session.code.to_lowercase(), "name": "Hall 3", "site": site });
    let claimed = stage.post(&installer, &path, &words).await.ok();
    let box_id = claimed["box"].as_str().unwrap().to_owned();
    let expected = enrol::check_words(&box_id.parse().unwrap(), &session.session, "ACME");
    assert_eq!(claimed["check_words"], json!(expected));
    assert_eq!(stage.post(&installer, &path, &words).await.ok(), claimed, "the answer was lost on its way");
    let state = format!("{path}/{}", claimed["session"].as_str().unwrap());
    assert_eq!(stage.get(&installer, &state).await.ok()["state"], "claimed");
    stage.join(1, &session.session, "ACME").await;
    assert_eq!(stage.get(&installer, &state).await.ok()["state"], "joined");
    let boxes = stage.get(&installer, &format!("/api/v1/tenants/{tenant}/boxes")).await.ok();
    assert_eq!(
        (&boxes[0]["id"], &boxes[0]["name"], &boxes[0]["site"]),
        (&json!(box_id), &json!("Hall 3"), &json!(site))
    );
    // Another tenant's person learns nothing of the claim, and another tenant's site is none.
    let other = stage.person("o@example.org", Some(("Other", Role::Owner))).await;
    let their = format!("/api/v1/tenants/{}/claims", stage.tenant("Other"));
    assert_eq!(
        stage.get(&other, &format!("{their}/{}", session.session)).await.status,
        StatusCode::NOT_FOUND
    );
    let second = stage.code(2, 2).await;
    let foreign = json!({ "code": second.code, "site": site });
    assert_eq!(stage.post(&other, &their, &foreign).await.status, StatusCode::NOT_FOUND);
    assert_eq!(stage.post(&other, &their, &json!({ "code": second.code })).await.status, StatusCode::OK);
}

/// Row 17 of the threats: guessing claim codes.
#[tokio::test]
async fn codes_cannot_be_guessed() {
    let stage = Stage::new().await;
    let guesser = stage.person("g@example.org", Some(("Guess", Role::Owner))).await;
    let owner = stage.person("o@example.org", Some(("ACME", Role::Owner))).await;
    let (their, ours) = (stage.tenant("Guess"), stage.tenant("ACME"));
    let session = stage.code(1, 1).await;
    let letters = session.code.replace('-', "");
    let mut answers = Vec::new();
    for last in ["AAAA", "BBBB", "CCCC", "DDDD", "EEEE", "FFFF"] {
        let wrong = json!({ "code": format!("{}{last}", &letters[..4]) });
        let answer = stage.post(&guesser, &format!("/api/v1/tenants/{their}/claims"), &wrong).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        assert!(!answer.looks().contains(&letters[..4]));
        answers.push(answer.looks());
    }
    answers.dedup();
    assert_eq!(answers.len(), 1);
    let right = json!({ "code": session.code });
    let late = stage.post(&owner, &format!("/api/v1/tenants/{ours}/claims"), &right).await;
    assert_eq!(late.status, StatusCode::NOT_FOUND, "the code is dead after five wrong claims");
    // A person has ten tries, then waits; others are heard.
    let mut last = StatusCode::OK;
    for _ in 0..6 {
        let wrong = json!({ "code": "ZZZZZZZZ" });
        last = stage.post(&guesser, &format!("/api/v1/tenants/{their}/claims"), &wrong).await.status;
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
    let mut elsewhere = guesser.clone();
    elsewhere.from = "198.51.100.77".to_owned();
    let again = stage.post(&elsewhere, &format!("/api/v1/tenants/{their}/claims"), &right).await;
    assert_eq!(again.status, StatusCode::TOO_MANY_REQUESTS, "from another address, too");
    let fresh = json!({ "code": stage.code(1, 2).await.code });
    stage.post(&owner, &format!("/api/v1/tenants/{ours}/claims"), &fresh).await.ok();
}

#[tokio::test]
async fn a_camera_is_named_switched_and_made_private() {
    let stage = Stage::new().await;
    let (box_id, camera) = stage.box_of(1, "ACME").await;
    let owner = stage.person("o@example.org", Some(("ACME", Role::Owner))).await;
    let installer = stage.person("i@example.org", Some(("ACME", Role::Installer))).await;
    let viewer = stage.person("v@example.org", Some(("ACME", Role::Viewer))).await;
    let tenant = stage.tenant("ACME");
    let path = format!("/api/v1/cameras/{camera}");
    let first = stage.get(&viewer, &path).await.ok();
    let told = |name: &str| first[name].clone();
    assert_eq!((told("title"), told("on"), told("access")), (json!("Gate"), json!(true), json!("public")));
    assert_eq!(
        (told("kind"), told("box"), told("state")),
        (json!("box"), json!(box_id), json!("connecting"))
    );
    assert_eq!(told("url"), format!("https://video.example.org/{camera}/"));
    assert_eq!(
        stage.get(&viewer, &format!("/api/v1/tenants/{tenant}/cameras")).await.ok(),
        json!([first.clone()])
    );
    let change = async |by: &Browser, words: Value| stage.patch(by, &path, &words).await;
    assert_eq!(change(&viewer, json!({ "title": "x" })).await.status, StatusCode::FORBIDDEN);
    assert_eq!(change(&installer, json!({ "access": "private" })).await.status, StatusCode::FORBIDDEN);
    let changed = change(&installer, json!({ "title": " North gate ", "on": false, "site": "" })).await.ok();
    assert_eq!((&changed["title"], &changed["on"]), (&json!("North gate"), &json!(false)));
    let directory = stage.store.directory().borrow().clone();
    assert!(directory.watched(&camera).is_none(), "a link that is off is off");
    let changed = change(&owner, json!({ "title": "", "access": "private" })).await.ok();
    assert_eq!((&changed["title"], &changed["access"]), (&json!("Gate"), &json!("private")));
    for wrong in
        [json!({ "title": "x".repeat(101) }), json!({ "acess": "public" }), json!({ "title": "a\nb" })]
    {
        assert_eq!(change(&owner, wrong.clone()).await.status, StatusCode::BAD_REQUEST, "{wrong}");
    }

    // It stands where its box stands.
    let site = site(&stage, &installer, &tenant).await;
    assert_eq!(change(&owner, json!({ "site": site })).await.status, StatusCode::BAD_REQUEST);
    let moved = stage.patch(&installer, &format!("/api/v1/boxes/{box_id}"), &json!({ "site": site })).await;
    assert_eq!(moved.ok()["site"], json!(site));
    assert_eq!(stage.get(&viewer, &path).await.ok()["site"], json!(site));
    stage.delete(&installer, &format!("/api/v1/sites/{site}")).await.ok();
    assert_eq!(stage.get(&viewer, &path).await.ok()["site"], "");

    let log = stage.get(&owner, &format!("/api/v1/tenants/{tenant}/audit")).await.ok();
    let done: Vec<&str> =
        log.as_array().unwrap().iter().map(|entry| entry["what"].as_str().unwrap()).collect();
    let expected = ["site.remove", "box.change", "site.add", "camera.change", "camera.change"];
    assert_eq!(done[..5], expected, "{log}");
    assert_eq!(done.last(), Some(&"box.claim"));
}

#[tokio::test]
async fn a_box_that_is_given_away_is_not_there_any_more() {
    let stage = Stage::new().await;
    let (box_id, camera) = stage.box_of(1, "ACME").await;
    let (second, _) = stage.box_of(2, "ACME").await;
    let owner = stage.person("o@example.org", Some(("ACME", Role::Owner))).await;
    let operator = stage.person("op@example.org", None).await;
    let name = json!({ "name": "Hall 3" });
    stage.patch(&owner, &format!("/api/v1/boxes/{box_id}"), &name).await.ok();
    stage.post(&owner, &format!("/api/v1/boxes/{box_id}/release"), &json!({})).await.ok();
    stage.post(&owner, &format!("/api/v1/boxes/{second}/revoke"), &json!({})).await.ok();
    let tenant = stage.tenant("ACME");
    for list in ["boxes", "cameras"] {
        let path = format!("/api/v1/tenants/{tenant}/{list}");
        assert_eq!(stage.get(&owner, &path).await.ok(), json!([]), "{list}");
    }
    for path in [format!("/api/v1/boxes/{box_id}"), format!("/api/v1/cameras/{camera}")] {
        assert_eq!(stage.get(&owner, &path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    let all = stage.get(&operator, "/api/v1/operator/boxes").await.ok();
    let states = [&all["boxes"][0]["state"], &all["boxes"][1]["state"]];
    assert_eq!((all["total"].clone(), states), (json!(2), [&json!("released"), &json!("revoked")]));

    // The next owner does not find the last one's words on it.
    let session = stage.code(1, 9).await;
    stage.store.claim(&session.code.parse().unwrap(), "Next").await.unwrap();
    stage.join(1, &session.session, "Next").await;
    let next = stage.person("n@example.org", Some(("Next", Role::Viewer))).await;
    assert_eq!(stage.get(&next, &format!("/api/v1/boxes/{box_id}")).await.ok()["name"], "");
}

#[tokio::test]
async fn what_is_not_there_looks_like_what_is_somebody_elses() {
    let stage = Stage::new().await;
    let (box_id, camera) = stage.box_of(1, "ACME").await;
    let owner = stage.person("o@example.org", Some(("ACME", Role::Owner))).await;
    let site = site(&stage, &owner, &stage.tenant("ACME")).await;
    let stranger = stage.person("s@example.org", Some(("Other", Role::Owner))).await;
    let missing = stage.get(&stranger, &format!("/api/v1/cameras/{}", "a".repeat(26))).await.looks();
    let foreign = [
        stage.get(&stranger, &format!("/api/v1/cameras/{camera}")).await,
        stage.get(&stranger, &format!("/api/v1/boxes/{box_id}")).await,
        stage.get(&stranger, &format!("/api/v1/tenants/{}/boxes", stage.tenant("ACME"))).await,
        stage.delete(&stranger, &format!("/api/v1/sites/{site}")).await,
        stage.get(&stranger, "/api/v1/operator/summary").await,
        stage.get(&stranger, "/api/v1/there/is/no/such/thing").await,
    ];
    for answer in foreign {
        assert_eq!(answer.looks(), missing);
    }
}

#[tokio::test]
async fn an_operator_pages_through_many_boxes() {
    let stage = Stage::new().await;
    let operator = stage.person("op@example.org", None).await;
    for number in 1..=5 {
        stage.box_of(number, if number == 5 { "Dala" } else { "ACME" }).await;
    }
    let summary = stage.get(&operator, "/api/v1/operator/summary").await.ok();
    let counted = ["boxes", "online", "cameras", "tenants"].map(|name| summary[name].clone());
    assert_eq!(counted, [json!(5), json!(5), json!(5), json!(2)]);
    let page = stage.get(&operator, "/api/v1/operator/boxes?offset=2&limit=2").await.ok();
    assert_eq!((page["total"].clone(), page["boxes"].as_array().unwrap().len()), (json!(5), 2));
    let found = stage.get(&operator, "/api/v1/operator/boxes?query=dala").await.ok();
    assert_eq!((&found["total"], &found["boxes"][0]["tenant"]), (&json!(1), &json!("Dala")));
}

#[tokio::test]
async fn an_owner_spares_a_box_updates_for_a_while() {
    const HOUR_MS: u64 = 3_600_000;
    let stage = Stage::new().await;
    let (box_id, _) = stage.box_of(1, "ACME").await;
    let owner = stage.person("o@example.org", Some(("ACME", Role::Owner))).await;
    let path = format!("/api/v1/boxes/{box_id}/postpone");
    let until = async || stage.get(&owner, &path).await.ok()["until_ms"].clone();
    let put = async |hours: u64| stage.post(&owner, &path, &json!({ "hours": hours })).await;
    assert_eq!(until().await, Value::Null);
    let told = put(72).await.ok()["until_ms"].clone();
    let now = stage.store.now_ms();
    assert!((now + 71 * HOUR_MS..=now + 72 * HOUR_MS).contains(&told.as_u64().unwrap()), "{told}");
    assert_eq!(until().await, told);
    assert_eq!(put(169).await.status, StatusCode::BAD_REQUEST, "a week is the most");
    assert_eq!(until().await, told);
    stage.forward_ms(72 * HOUR_MS);
    assert_eq!(until().await, Value::Null, "its time is over");
    put(1).await.ok();
    put(0).await.ok();
    assert_eq!(until().await, Value::Null, "the owner has ended it");
}
