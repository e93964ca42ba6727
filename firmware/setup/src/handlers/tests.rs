//! The page against connections in memory and a box of this test's.

mod stage;

use serde_json::{Value, json};

use super::*;
use crate::desk::Refusal;
use stage::*;

#[test]
fn the_first_who_sets_a_password_is_the_owner() {
    let test = Test::new();
    let near = Browser::near();
    let before = test.state(&near);
    assert_eq!(
        before,
        json!({"claimed": false, "signed_in": false, "can_claim": true, "claim_ends_in_s": 1800,
               "language": null, "name": null})
    );
    let short = test.post(&near, "claim", &json!({"password": "1234567", "language": "kk"}));
    assert_eq!((short.status, &short.json()["code"]), (400, &json!("password_too_short")));
    let far = test.post(
        &Browser { near: "no", ..near.clone() },
        "claim",
        &json!({"password": PASSWORD, "language": "kk"}),
    );
    assert_eq!((far.status, &far.json()["code"]), (403, &json!("not_near")));
    assert_eq!(test.asked(), Vec::<String>::new(), "nothing was kept");
    assert_eq!(test.post(&near, "login", &json!({"password": PASSWORD})).json()["code"], "unclaimed");

    // When the box cannot keep it, nobody is the owner.
    let refusal = Refusal { code: "disk_full".into(), sentence: "The disk is full.".into() };
    *lock(&test.desk.refuses) = Some(refusal);
    let got = test.post(&near, "claim", &json!({"password": PASSWORD, "language": "kk"}));
    assert_eq!((got.status, &got.json()["error"]), (409, &json!("The disk is full.")));
    *lock(&test.desk.refuses) = None;
    assert_eq!(test.state(&near), before);

    let got = test.post(&near, "claim", &json!({"password": PASSWORD, "language": "kk"}));
    assert_eq!(got.status, 200, "{got:?}");
    let cookie = got.header("set-cookie").unwrap();
    assert!(cookie.starts_with("box=") && cookie.len() > 64, "{cookie}");
    for word in ["; HttpOnly", "; SameSite=Strict", "; Path=/", "; Max-Age=43200"] {
        assert!(cookie.contains(word), "{cookie}");
    }
    let owner = Browser { cookies: got.cookies(), ..near.clone() };
    assert_eq!(
        test.state(&owner),
        json!({"claimed": true, "signed_in": true, "can_claim": false, "claim_ends_in_s": null,
               "language": "kk", "name": null})
    );
    assert!(lock(&test.desk.password).as_deref().unwrap().starts_with("$argon2id$"));
    let late = test.post(&near, "claim", &json!({"password": "another one", "language": "ru"}));
    assert_eq!((late.status, &late.json()["code"]), (409, &json!("claimed")));
    assert_eq!(test.state(&near)["language"], "kk");
}

#[test]
fn everything_of_the_owners_needs_the_owner() {
    let (test, owner) = Test::claimed();
    let body = |path: &str| match path.rsplit('/').next().unwrap() {
        "claim" | "login" | "reset" => json!({"password": "wrong wrong"}),
        "password" => json!({"old": PASSWORD, "new": "another one"}),
        "cameras" => json!({"picks": [{"device": "x"}], "login": null}),
        "order" => json!({"ids": []}),
        "reach" => json!({"key": "x"}),
        "join" => json!({"session": "x", "accept": true}),
        "uplink" => json!({"kbps": 100}),
        "time" => json!({"unix_ms": 1}),
        "update" => json!({"in_s": 60}),
        _ => json!({}),
    };
    let send = |browser: &Browser, route: &crate::routes::Route| {
        let uri = route.path.replace("{id}", "gate").replace("{name}", "none");
        let mut headers = browser.headers();
        headers.extend([("origin", "http://box.local"), ("content-type", "application/json")]);
        let body = if route.method == Method::Post { body(&uri).to_string() } else { String::new() };
        test.send(route.method, &uri, &headers, body.as_bytes()).status
    };
    let thief = Browser { cookies: format!("box={}", "0".repeat(64)), ..Browser::near() };
    for route in crate::routes::ROUTES.iter().filter(|route| route.who == Who::Owner) {
        assert_eq!(send(&Browser::near(), route), 401, "{}", route.path);
        assert_eq!(send(&thief, route), 401, "{}", route.path);
    }
    assert_eq!(test.asked(), Vec::<String>::new(), "the box was asked nothing");
    for route in crate::routes::ROUTES.iter().filter(|route| route.who == Who::Owner) {
        // These two end the test's session, or need a camera.
        if !matches!(route.what, What::Logout | What::Encoder | What::Improve | What::Snapshot | What::Reset)
        {
            assert!(matches!(send(&owner, route), 200 | 202), "{}", route.path);
        }
    }
    let asked = test.asked();
    for word in [
        "set_password",
        "set_site",
        "overview",
        "add",
        "change",
        "remove",
        "order",
        "reach",
        "join",
        "set_uplink",
        "set_time",
        "update",
        "events",
        "diagnostics",
        "restart",
    ] {
        assert!(asked.contains(&word.to_owned()), "{word}: {asked:?}");
    }
}

/// THREATS.md, row 7: what pages of strangers can make a browser send, with the owner's cookies even.
#[test]
fn other_peoples_pages_change_nothing() {
    let (test, owner) = Test::claimed();
    let json = ("content-type", "application/json");
    let own = ("origin", "http://box.local");
    let body = br#"{"name":"x"}"#;
    let tricks: &[&[(&str, &str)]] = &[
        &[("content-type", "application/x-www-form-urlencoded"), own],
        &[("content-type", "text/plain"), own],
        &[("content-type", "text/plain;application/json"), own],
        &[("content-type", "multipart/form-data; boundary=application/json"), own],
        &[own],
        &[json],
        &[json, ("origin", "http://evil.example")],
        &[json, ("origin", "http://box.local.evil.example")],
        &[json, ("origin", "http://box.local:8081")],
        &[json, ("origin", "null")],
        &[json, ("origin", "")],
        &[json, own, ("sec-fetch-site", "cross-site")],
        &[json, own, ("sec-fetch-site", "same-site")],
    ];
    for trick in tricks {
        for path in ["site", "claim", "login", "cameras", "restart", "reset", "cameras/gate"] {
            let mut headers = owner.headers();
            headers.extend(*trick);
            let got = test.send(Method::Post, &format!("/api/v1/setup/{path}"), &headers, body);
            assert_eq!((got.status, &got.json()["code"]), (403, &json!("not_the_page")), "{path} {trick:?}");
        }
    }
    for trick in [&[][..], &[("origin", "http://evil.example")]] {
        let mut headers = owner.headers();
        headers.extend(trick);
        let got = test.send(Method::Delete, "/api/v1/setup/cameras/gate", &headers, b"");
        assert_eq!(got.status, 403);
    }
    // A WebSocket's handshake is a GET that says where it comes from.
    let mut headers = owner.headers();
    headers.extend([("origin", "http://evil.example"), ("upgrade", "websocket")]);
    assert_eq!(test.send(Method::Get, "/api/v1/setup/overview", &headers, b"").status, 403);
    assert_eq!(test.asked(), Vec::<String>::new());
    assert_eq!(test.state(&owner)["name"], Value::Null);
    let got = test.post(&owner, "site", &json!({"name": "x"}));
    assert_eq!((got.status, test.state(&owner)["name"].as_str()), (200, Some("x")), "the page itself can");
}

#[test]
fn a_session_ends_when_its_owner_says_so_and_the_password_ends_others() {
    let (test, owner) = Test::claimed();
    let wrong = test.post(&Browser::near(), "login", &json!({"password": "another one"}));
    assert_eq!((wrong.status, wrong.header("set-cookie")), (401, None));
    let got = test.post(&Browser::near(), "login", &json!({"password": PASSWORD}));
    assert_eq!(got.status, 200);
    let phone = Browser { cookies: got.cookies(), ..Browser::near() };
    assert_eq!(test.asked(), ["signed_in"]);
    assert_eq!(test.get(&phone, "/api/v1/setup/overview").status, 200);

    let change = |old: &str, new: &str| test.post(&phone, "password", &json!({"old": old, "new": new}));
    assert_eq!(change("wrong wrong", "another one").status, 401);
    assert_eq!(change(PASSWORD, "short").json()["code"], "password_too_short");
    assert_eq!(test.state(&owner)["signed_in"], true, "nothing changed so far");
    assert_eq!(change(PASSWORD, "another one").status, 200);
    assert_eq!(test.state(&owner)["signed_in"], false);
    assert_eq!(test.state(&phone)["signed_in"], true);
    assert_eq!(test.post(&Browser::near(), "login", &json!({"password": PASSWORD})).status, 401);
    assert_eq!(test.post(&Browser::near(), "login", &json!({"password": "another one"})).status, 200);

    let got = test.post(&phone, "logout", &json!({}));
    assert_eq!((got.status, got.cookies().as_str()), (200, "box="));
    assert_eq!(test.get(&phone, "/api/v1/setup/overview").status, 401);
}

#[test]
fn over_tls_cookies_have_names_that_no_plain_page_can_set() {
    let (test, _) = Test::claimed();
    let login = json!({"password": PASSWORD}).to_string();
    let headers = [
        ("host", "box.local"),
        ("x-box-peer", "192.168.1.7"),
        ("x-box-near", "yes"),
        ("x-box-secure", "yes"),
        ("origin", "https://box.local"),
        ("content-type", "application/json"),
    ];
    let got = test.send(Method::Post, "/api/v1/setup/login", &headers, login.as_bytes());
    let cookie = got.header("set-cookie").unwrap();
    assert!(cookie.starts_with("__Host-box=") && cookie.ends_with("; Secure"), "{cookie}");
    let plain = got.cookies().replace("__Host-", "");
    let mut headers = headers.to_vec();
    headers.push(("cookie", &plain));
    assert_eq!(test.send(Method::Get, "/api/v1/setup/overview", &headers, b"").status, 401);
}

#[test]
fn floods_get_a_time_to_wait_and_the_owner_gets_in() {
    let (test, owner) = Test::claimed();
    let stranger = Browser { peer: "192.168.1.66", ..Browser::near() };
    let tries: Vec<u16> =
        (0..15).map(|_| test.post(&stranger, "login", &json!({"password": "guess guess"})).status).collect();
    assert_eq!(tries, [[401; 10].as_slice(), &[429; 5]].concat());
    let got = test.post(&stranger, "login", &json!({"password": PASSWORD}));
    assert_eq!((got.status, got.header("retry-after")), (429, Some("60")));
    assert_eq!(test.post(&Browser::near(), "login", &json!({"password": PASSWORD})).status, 200);
    assert_eq!(test.state(&owner)["signed_in"], true);
    test.world.millis.store(61_000, Ordering::Relaxed);
    assert_eq!(test.post(&stranger, "login", &json!({"password": PASSWORD})).status, 200);
}

#[test]
fn what_is_malformed_is_refused_without_repeating_it() {
    let (test, owner) = Test::claimed();
    for (path, body) in [
        ("login", r#"{"password":5,"canary":1}"#),
        ("login", r#"{"password":"canary-password","more":1}"#),
        ("login", "canary"),
        ("login", "\u{0}"),
        ("cameras", r#"{"picks":["canary"],"login":null}"#),
        ("cameras/gate", r#"{"login":{"user":"a","password":["canary"]}}"#),
        ("uplink", "{}"),
        ("update", r#"{"in_s": 86401}"#),
        ("update", r#"{"in_s": -1}"#),
        ("restart", r#"{"now":true}"#),
        ("order", r#"{"ids":["../x"]}"#),
        ("time", r#"{"unix_ms":-1}"#),
    ] {
        let mut headers = owner.headers();
        headers.extend([("origin", "http://box.local"), ("content-type", "application/json")]);
        let got = test.send(Method::Post, &format!("/api/v1/setup/{path}"), &headers, body.as_bytes());
        assert_eq!((got.status, &got.json()["code"]), (400, &json!("malformed")), "{path} {body}");
        let long = vec![b' '; BODY_BYTES + 1];
        assert_eq!(test.send(Method::Post, &format!("/api/v1/setup/{path}"), &headers, &long).status, 413);
    }
    assert_eq!(test.asked(), Vec::<String>::new());
    for (name, status) in
        [("x".repeat(64), 200), ("x".repeat(65), 400), ("a\nb".to_owned(), 400), ("Ә".repeat(64), 200)]
    {
        assert_eq!(test.post(&owner, "site", &json!({"name": name})).status, status, "{name}");
        assert_eq!(test.post(&owner, "cameras/gate", &json!({"name": name})).status, status, "{name}");
    }
}

#[test]
fn every_answer_is_fresh_and_of_its_own_type() {
    let (test, owner) = Test::claimed();
    let got = test.get(&owner, "/api/v1/setup/diagnostics?x");
    assert_eq!(got.header("content-type"), Some("text/plain; charset=utf-8"));
    assert!(got.header("content-disposition").unwrap().starts_with("attachment"));
    let picture = test.get(&owner, "/api/v1/setup/cameras/gate/snapshot.jpg");
    assert_eq!((picture.status, &picture.json()["code"]), (502, &json!("no_picture")), "no HTML as picture");
    for uri in ["/api/v1/setup/state", "/api/v1/setup/events", "/api/v1/setup/none", "/api/v1/setup/login"] {
        let got = test.get(&owner, uri);
        assert_eq!(got.header("cache-control"), Some("no-store"), "{uri}");
        assert_eq!(got.header("x-content-type-options"), Some("nosniff"), "{uri}");
        assert_eq!(got.header("content-type"), Some("application/json"), "{uri}");
    }
    assert_eq!(test.get(&owner, "/api/v1/setup/login").header("allow"), Some("POST"));
    let page = test.get(&owner, "/setup/");
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
}

#[test]
fn refusals_of_the_box_keep_their_words() {
    let (test, owner) = Test::claimed();
    for (code, status) in [("no_such_camera", 404), ("late", 504), ("gone", 503), ("locked", 409)] {
        let refusal = Refusal { code: code.to_owned(), sentence: "Because.".to_owned() };
        *lock(&test.desk.refuses) = Some(refusal);
        let got = test.post(&owner, "cameras/gate/improve", &json!({}));
        assert_eq!((got.status, got.json()), (status, json!({"code": code, "error": "Because."})));
    }
}
