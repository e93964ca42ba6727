//! Row 7 of the threats: another site's page makes a browser send what its owner never meant (CSRF) — by form, by fetch,
//! by WebSocket. 403, and nothing has changed.

use bytes::Bytes;
use cloud_stub::store::Role;
use http_body_util::Full;
use hyper::{Request, StatusCode};
use serde_json::json;

use crate::stage::{Stage, URL};

const EVIL: &str = "https://evil.example";

/// A name for it, method, path, body, headers.
type Case<'a> = (&'a str, &'a str, &'a str, String, &'a [(&'a str, &'a str)]);

#[tokio::test]
async fn another_sites_page_changes_nothing() {
    let stage = Stage::new().await;
    let aida = stage.person("a@example.org", Some(("ACME", Role::Owner))).await;
    let (tenant, version) = (stage.tenant("ACME"), || stage.store.directory().borrow().version());
    let before = version();
    let invite = json!({ "email": "evil@example.org", "role": "owner" }).to_string();
    let invite_path = format!("/api/v1/tenants/{tenant}/people");
    let cases: Vec<Case<'_>> = vec![
        // A form: it cannot send JSON, and cannot set headers.
        (
            "form",
            "POST",
            &invite_path,
            "email=evil".into(),
            &[("content-type", "application/x-www-form-urlencoded")],
        ),
        ("form as text", "POST", &invite_path, invite.clone(), &[("content-type", "text/plain")]),
        ("fetch", "POST", &invite_path, invite.clone(), &[("content-type", "application/json")]),
        (
            "fetch that guesses",
            "POST",
            &invite_path,
            invite.clone(),
            &[("content-type", "application/json"), ("x-csrf", "aaaaaaaaaaaaaaaaaaaaaaaaaa")],
        ),
        ("fetch to sign out", "DELETE", "/api/v1/session", String::new(), &[]),
        (
            "WebSocket",
            "GET",
            "/api/v1/me",
            String::new(),
            &[
                ("connection", "upgrade"),
                ("upgrade", "websocket"),
                ("sec-websocket-version", "13"),
                ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ],
        ),
        ("fetch to read", "GET", "/api/v1/me", String::new(), &[("sec-fetch-mode", "cors")]),
    ];
    // Even with what only our own page knows, a request that says that it comes from elsewhere is refused.
    for (what, method, path, body, headers) in cases {
        for with_csrf in [false, true] {
            let guesses = headers.iter().any(|(name, _)| *name == "x-csrf");
            for marks in [
                &[("origin", EVIL)] as &[(&str, &str)],
                &[("origin", "null")],
                &[("origin", EVIL), ("sec-fetch-site", "cross-site")],
                &[("sec-fetch-site", "cross-site")],
                &[],
            ] {
                let reads = method == "GET" && !headers.iter().any(|(name, _)| *name == "upgrade");
                let marked = marks.iter().any(|(name, _)| *name == "origin");
                if (marks.is_empty() && (with_csrf || method == "GET")) || (reads && !marked) {
                    // That is what our own page, or a link to what is only read, looks like.
                    continue;
                }
                let mut request = Request::builder().method(method).uri(path);
                request = request.header("host", "video.example.org").header("cookie", &aida.cookie);
                for (name, value) in headers.iter().chain(marks) {
                    request = request.header(*name, *value);
                }
                if with_csrf && !guesses {
                    request = request.header("x-csrf", &aida.csrf);
                }
                let request = request.body(Full::from(Bytes::from(body.clone()))).unwrap();
                let answer = stage.send(request).await;
                assert_eq!(answer.status, StatusCode::FORBIDDEN, "{what} {marks:?} {with_csrf}");
                assert!(!String::from_utf8_lossy(&answer.body).contains("csrf"), "{what}");
            }
        }
    }
    assert_eq!(version(), before, "nothing was written");
    stage.get(&aida, "/api/v1/me").await.ok();
    assert_eq!(stage.store.invitations(&tenant).await.unwrap(), []);
}

#[tokio::test]
async fn another_sites_page_signs_nobody_in() {
    let stage = Stage::new().await;
    stage.person("a@example.org", Some(("ACME", Role::Owner))).await;
    let words = json!({ "email": "a@example.org", "password": crate::stage::PASSWORD }).to_string();
    for (origin, expected) in [
        (EVIL, StatusCode::FORBIDDEN),
        ("https://video.example.org.evil.example", StatusCode::FORBIDDEN),
        ("http://video.example.org", StatusCode::FORBIDDEN),
        ("https://video.example.com", StatusCode::OK),
        (URL, StatusCode::OK),
    ] {
        let request = Request::post("/api/v1/session").header("host", "video.example.org");
        let request = request.header("content-type", "application/json").header("origin", origin);
        let answer = stage.send(request.body(Full::from(Bytes::from(words.clone()))).unwrap()).await;
        assert_eq!(answer.status, expected, "{origin}");
        assert_eq!(answer.cookie().is_some(), expected == StatusCode::OK, "{origin}");
    }
}
