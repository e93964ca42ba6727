//! Row 22 of the threats: passwords, cookies, CSRF tokens and invitations never appear in the log, in errors, in the audit
//! log or in the database.

use cloud_stub::store::Role;
use hyper::StatusCode;
use serde_json::json;

use crate::stage::{Browser, LOG, Stage};

#[tokio::test]
async fn no_secret_is_ever_told() {
    let stage = Stage::new().await;
    let (old, new, wrong) = ("canary-old-word", "canary-new-word", "canary-wrong-word");
    let first = stage.store.invite_as("canary@example.org", Some(("ACME", Role::Owner))).await.unwrap();
    let path = format!("/api/v1/invitations/{}", first.expose());
    let answer = stage.post(&Browser::new(), &path, &json!({ "name": "C", "password": old })).await;
    answer.ok();
    let mut browser = stage.sign_in("canary@example.org", old).await;
    let tenant = stage.tenant("ACME");
    let people = format!("/api/v1/tenants/{tenant}/people");
    let invited = stage.post(&browser, &people, &json!({ "email": "x@example.org", "role": "viewer" })).await;
    let second = invited.ok()["invitation"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();

    // Whatever goes wrong, too.
    let mut errors = String::new();
    let mut keep = |answer: crate::stage::Answer, status: StatusCode| {
        assert_eq!(answer.status, status, "{answer:?}");
        errors.push_str(&answer.looks());
    };
    let nobody = Browser::new();
    let words = json!({ "email": "canary@example.org", "password": wrong });
    keep(stage.post(&nobody, "/api/v1/session", &words).await, StatusCode::UNAUTHORIZED);
    let words = json!({ "email": "canary@example.org", "password": [old] });
    keep(stage.post(&nobody, "/api/v1/session", &words).await, StatusCode::BAD_REQUEST);
    let change = |old: &str, new: &str| json!({ "password": { "old": old, "new": new } });
    keep(stage.patch(&browser, "/api/v1/me", &change(wrong, new)).await, StatusCode::FORBIDDEN);
    keep(stage.patch(&browser, "/api/v1/me", &change(old, &new[..9])).await, StatusCode::BAD_REQUEST);
    keep(stage.post(&nobody, &path, &json!({ "password": new })).await, StatusCode::NOT_FOUND);
    let accept = format!("/api/v1/invitations/{second}");
    keep(stage.post(&nobody, &accept, &json!({ "password": 1 })).await, StatusCode::BAD_REQUEST);
    let csrf = std::mem::take(&mut browser.csrf);
    keep(stage.patch(&browser, "/api/v1/me", &change(old, new)).await, StatusCode::FORBIDDEN);
    browser.csrf = csrf;
    stage.patch(&browser, "/api/v1/me", &change(old, new)).await.ok();

    let audit = stage.get(&browser, &format!("/api/v1/tenants/{tenant}/audit")).await;
    audit.ok();
    let audit = String::from_utf8_lossy(&audit.body).into_owned();
    let listed = String::from_utf8_lossy(&stage.get(&browser, &people).await.body).into_owned();
    let log = LOG.text();
    assert!(log.contains("somebody could not sign in"), "the log is not empty");
    let dump = stage.dump();
    let in_dump = |secret: &str| dump.windows(secret.len()).any(|bytes| bytes == secret.as_bytes());
    assert!(in_dump("canary@example.org"), "the database is read");
    let cookie = browser.cookie.split_once('=').unwrap().1;
    for secret in [old, new, wrong, cookie, first.expose(), second.as_str()] {
        assert!(!in_dump(secret), "{secret} is in the database");
    }
    for secret in [old, new, wrong, cookie, &browser.csrf, first.expose(), second.as_str()] {
        for (place, text) in [("log", &log), ("errors", &errors), ("audit", &audit), ("people", &listed)] {
            assert!(!text.contains(secret), "{secret} is in the {place}");
        }
    }
}
