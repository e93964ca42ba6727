use cloud_stub::status::alert::hook::signature;
use cloud_stub::store::{By, NewSource, Role};
use hyper::StatusCode;
use model::Private;
use serde_json::{Value, json};

use crate::post;
use crate::stage::{Stage, ZERO, back, dead, playing};

/// Seconds from the start.
fn seconds(ms: &Value) -> f64 {
    (ms.as_u64().unwrap() - ZERO) as f64 / 1000.0
}

async fn live(stage: &Stage, rounds: u64) {
    for _ in 0..rounds {
        stage.wait(30_000).await;
        stage.report(vec![playing("gate"), playing("yard")]).await;
    }
}

#[tokio::test]
async fn a_scripted_outage_is_told_right_to_a_second() {
    let (mails, hooks) = (post::mail().await, post::hook().await);
    let stage = Stage::new(mails.port, &["gate", "yard"]).await;
    let owner = stage.person("owner@example.org", "ACME", Role::Owner, "ru").await;
    let viewer = stage.person("viewer@example.org", "ACME", Role::Viewer, "kk").await;
    let tenant = stage.get(&owner, "/api/v1/me").await["tenants"][0]["id"].as_str().unwrap().to_owned();
    let alerts = format!("/api/v1/tenants/{tenant}/alerts");
    let words = json!({
        "emails": ["owner@example.org"],
        "webhooks": [{ "url": format!("http://127.0.0.1:{}/cameras?key=1", hooks.port) }],
        "after_s": 60
    });
    assert_eq!(stage.put(&viewer, &alerts, &words).await.0, StatusCode::FORBIDDEN);
    let (status, answer) = stage.put(&owner, &alerts, &words).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let secret = answer["webhooks"][0]["secret"].as_str().unwrap().to_owned();
    let again = stage.get(&owner, &alerts).await;
    assert_eq!(again["webhooks"][0]["secret"], Value::Null, "a secret is shown once");

    // Ten minutes of pictures; the gate's last one comes at 610 s, its port is dead from then on.
    live(&stage, 20).await;
    stage.wait(13_400).await;
    stage.report(vec![dead("gate", 3_400, true), playing("yard")]).await;
    stage.wait(16_600).await;
    stage.report(vec![dead("gate", 20_000, false), playing("yard")]).await;
    let gate = format!("/api/v1/cameras/{}", stage.public("gate"));
    for _ in 0..18 {
        stage.wait(30_000).await;
        let since = stage.now() - ZERO - 610_000;
        stage.report(vec![dead("gate", since, false), playing("yard")]).await;
    }
    let now = stage.get(&viewer, &format!("{gate}/status")).await;
    assert_eq!((&now["state"], &now["outage"]["reason"]), (&json!("out"), &json!("camera")), "{now}");
    assert!((seconds(&now["since_ms"]) - 610.0).abs() < 1.0, "{now}");
    assert_eq!((&now["ping_ms"], &now["fps"], &now["tunnel"]), (&Value::Null, &Value::Null, &json!(true)));

    assert_eq!(hooks.wait(1).await.len(), 1);

    // Its first picture comes at 1,200 s; the report of it 30 s later, for the way was busy.
    stage.wait(30_000).await;
    stage.report(vec![back("gate", 590_000, 0), playing("yard")]).await;
    live(&stage, 20).await;

    let events = stage.get(&viewer, &format!("{gate}/events")).await;
    assert_eq!(events.as_array().unwrap().len(), 1, "{events}");
    assert!((seconds(&events[0]["from_ms"]) - 610.0).abs() < 1.0, "{events}");
    assert!((seconds(&events[0]["to_ms"]) - 1200.0).abs() < 1.0, "{events}");
    let yard = stage.get(&viewer, &format!("/api/v1/cameras/{}/events", stage.public("yard"))).await;
    assert_eq!(yard, json!([]));

    let graph = stage.get(&viewer, &format!("{gate}/latency")).await;
    assert_eq!((&graph["step_ms"], &graph["columns"][1]), (&json!(30_000), &json!("ping_ms")));
    let points = graph["points"].as_array().unwrap();
    assert!((59..=61).contains(&points.len()), "a point each half minute of 1,800 s: {}", points.len());
    for point in points {
        let (at, dead) = (seconds(&point[0]), point[1].is_null());
        let edge = [610.0, 1200.0].iter().any(|edge: &f64| (at - edge).abs() <= 30.0);
        assert!(edge || dead == (610.0..1200.0).contains(&at), "{point}");
        assert!(edge || (point[3] == json!(0.0)) == dead, "no pictures a second: {point}");
    }

    let uptime = stage.get(&viewer, &format!("/api/v1/tenants/{tenant}/uptime?month=2026-11")).await;
    let (first, second) = (&uptime["cameras"][0], &uptime["cameras"][1]);
    assert_eq!(
        (&first["title"], &first["down_s"], &first["outages"]),
        (&json!("gate"), &json!(590), &json!(1))
    );
    assert_eq!((&second["title"], &second["percent"]), (&json!("yard"), &json!(100.0)));
    let counted = first["counted_s"].as_u64().unwrap();
    assert!((1_798..=1_801).contains(&counted), "known since it was first heard: {counted}");
    assert_eq!(first["up_s"].as_u64().unwrap() + 590, counted);
    let csv = stage.text(&viewer, &format!("/api/v1/tenants/{tenant}/uptime.csv?month=2026-11")).await;
    let row = format!("2026-11,,gate,{},{counted},{},590,", stage.public("gate"), counted - 590);
    assert!(csv.starts_with('\u{feff}') && csv.contains(&row), "{csv}");

    let mails = mails.wait(2).await;
    assert_eq!(mails.len(), 2, "one for the outage, one for its end: {mails:?}");
    assert!(mails.iter().all(|(to, text)| to == "owner@example.org" && text.contains("From: ")));
    assert!(mails[0].1.to_lowercase().contains("content-type: text/plain; charset=utf-8"), "{}", mails[0].1);
    let hooks = hooks.wait(2).await;
    assert_eq!(hooks.len(), 2, "refused once, then taken: {hooks:?}");
    for (posted, event) in hooks.iter().zip(["camera_out", "camera_back"]) {
        let body: Value = serde_json::from_str(&posted.body).unwrap();
        assert_eq!((&posted.path, &body["event"]), (&"/cameras?key=1".to_owned(), &json!(event)));
        assert_eq!(body["cameras"][0]["id"], stage.public("gate"));
        assert!((seconds(&body["since_ms"]) - 610.0).abs() < 1.0, "{body}");
        let at = posted.headers["x-streambox-time"].parse().unwrap();
        assert_eq!(posted.headers["x-streambox-signature"], signature(&secret, at, &posted.body));
    }
    let out: Value = serde_json::from_str(&hooks[0].body).unwrap();
    assert_eq!(out["sentence"], "No picture from camera «gate»");
}

#[tokio::test]
async fn a_site_that_falls_silent_is_one_message_and_outlives_a_restart() {
    let mails = post::mail().await;
    let mut stage = Stage::new(mails.port, &["gate", "yard"]).await;
    let owner = stage.person("owner@example.org", "ACME", Role::Owner, "en").await;
    let tenant = stage.get(&owner, "/api/v1/me").await["tenants"][0]["id"].as_str().unwrap().to_owned();
    let words = json!({ "emails": ["owner@example.org"], "webhooks": [], "after_s": 120 });
    let (status, answer) = stage.put(&owner, &format!("/api/v1/tenants/{tenant}/alerts"), &words).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    live(&stage, 10).await;
    stage.wait(200_000).await;
    assert_eq!(mails.wait(1).await.len(), 1);
    stage.restart().await;
    stage.wait(300_000).await;
    let events = stage.get(&owner, &format!("/api/v1/cameras/{}/events", stage.public("yard"))).await;
    assert_eq!(
        (&events[0]["from_ms"], &events[0]["reason"]),
        (&json!(ZERO + 300_000), &json!("site")),
        "{events}"
    );
    assert_eq!(events[0]["to_ms"], Value::Null);
    live(&stage, 5).await;
    let mails = mails.wait(2).await;
    let subjects: Vec<&str> = mails
        .iter()
        .filter_map(|(_, text)| text.lines().find_map(|line| line.strip_prefix("Subject: ")))
        .collect();
    assert_eq!(subjects.len(), 2, "out and back, each once: {mails:?}");
    let events = stage.get(&owner, &format!("/api/v1/cameras/{}/events", stage.public("yard"))).await;
    assert_eq!(events[0]["to_ms"], json!(ZERO + 830_000), "{events}");
}

#[tokio::test]
async fn others_learn_nothing() {
    let stage = Stage::new(1, &["gate"]).await;
    let rival = stage.person("rival@example.org", "Rival", Role::Owner, "en").await;
    let viewer = stage.person("viewer@example.org", "ACME", Role::Viewer, "en").await;
    let tenant = stage.get(&viewer, "/api/v1/me").await["tenants"][0]["id"].as_str().unwrap().to_owned();
    let gate = stage.public("gate");
    for path in [
        format!("/api/v1/cameras/{gate}/status"),
        format!("/api/v1/cameras/{gate}/latency"),
        format!("/api/v1/cameras/{gate}/events"),
        format!("/api/v1/tenants/{tenant}/uptime"),
        format!("/api/v1/tenants/{tenant}/uptime.csv"),
        format!("/api/v1/tenants/{tenant}/alerts"),
    ] {
        assert_eq!(stage.answered(Some(&rival), &path).await, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(stage.answered(None, &path).await, StatusCode::UNAUTHORIZED, "{path}");
        let own = if path.ends_with("alerts") { StatusCode::FORBIDDEN } else { StatusCode::OK };
        assert_eq!(stage.answered(Some(&viewer), &path).await, own, "{path}");
    }
    for wrong in ["?month=2026-13", "?month=x"] {
        let path = format!("/api/v1/tenants/{tenant}/uptime{wrong}");
        assert_eq!(stage.answered(Some(&viewer), &path).await, StatusCode::BAD_REQUEST, "{path}");
    }
    let far = format!("/api/v1/cameras/{gate}/latency?from_ms=0");
    assert_eq!(stage.answered(Some(&viewer), &far).await, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_camera_that_sends_by_itself_has_no_ping_and_has_lost_none() {
    let stage = Stage::new(1, &["gate"]).await;
    let viewer = stage.person("viewer@example.org", "ACME", Role::Viewer, "en").await;
    let tenant = stage.get(&viewer, "/api/v1/me").await["tenants"][0]["id"].as_str().unwrap().to_owned();
    let mut ids = Vec::new();
    for kind in ["push", "pull", "peer"] {
        let settings = Private::new("{}".to_owned());
        let tunnel_key = (kind == "peer").then_some([9; 32]);
        let new = NewSource { title: kind, site: "", kind, settings, tunnel_key };
        ids.push(stage.store.add_source(&tenant, &new, By::COMMAND_LINE).await.unwrap().0);
    }
    stage.store.refresh().await.unwrap();
    // Past the first hour, so that its sum is written.
    for _ in 0..130 {
        for (id, ping) in ids.iter().zip([Value::Null, json!(7), Value::Null]) {
            let mut camera = playing(id.as_str());
            camera["ping_ms"] = ping;
            stage.status.heard_source(id, serde_json::from_value(camera).unwrap());
        }
        stage.wait(30_000).await;
    }
    let days = format!("latency?from_ms={}&to_ms={}", ZERO - 3 * 86_400_000, stage.now());
    for (id, pinged, ping, answered) in [
        (&ids[0], false, Value::Null, Value::Null),
        (&ids[1], true, json!(7), json!(120)),
        (&ids[2], true, Value::Null, json!(0)),
    ] {
        let camera = format!("/api/v1/cameras/{id}");
        let now = stage.get(&viewer, &format!("{camera}/status")).await;
        assert_eq!((&now["pinged"], &now["ping_ms"]), (&json!(pinged), &ping), "{now}");
        let raw = stage.get(&viewer, &format!("{camera}/latency")).await;
        assert_eq!((&raw["pinged"], &raw["points"][50][1]), (&json!(pinged), &ping), "{id}");
        let hours = stage.get(&viewer, &format!("{camera}/{days}")).await;
        let hour = &hours["points"][0];
        assert_eq!((&hour[1], &hour[8]), (&ping, &answered), "{hours}");
    }
    let csv = stage.text(&viewer, &format!("/api/v1/tenants/{tenant}/uptime.csv?month=2026-11")).await;
    assert!(csv.lines().any(|line| line.contains(",push,") && line.contains(",100.000,0,")), "{csv}");
}
