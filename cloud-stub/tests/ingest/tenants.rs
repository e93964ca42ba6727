//! Cameras that a tenant adds in the portal.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::stage::{Answer, Cloud, Folder, Simcam, until};

/// Somebody who is signed in.
struct Person<'c> {
    cloud: &'c Cloud,
    keys: Keys,
}

/// What a browser keeps of that.
#[derive(Clone)]
struct Keys {
    cookie: String,
    csrf: String,
    tenant: String,
}

impl<'c> Person<'c> {
    /// Invited by the operator at the command line, as this in that tenant.
    fn new(cloud: &'c Cloud, email: &str, tenant: &str, role: &str) -> Self {
        let output = Command::new(env!("CARGO_BIN_EXE_cloud"))
            .arg("--config")
            .arg(&cloud.config)
            .args(["person", "add", email, "--tenant", tenant, "--role", role])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        let link = said.split_whitespace().find(|word| word.starts_with("http")).expect("a link");
        let secret = link.trim_end_matches('/').rsplit(['/', '=', '#']).next().unwrap();
        let words = json!({ "name": "Somebody", "password": "correct horse battery", "language": "en" });
        let path = format!("/api/v1/invitations/{secret}");
        let answer = cloud.ask("POST", &path, &[], Some(&words));
        assert_eq!(answer.status, 200, "{answer:?}");
        let cookie = answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        let me = answer.json();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let keys = Keys { cookie, csrf: text(&me["csrf"]), tenant: text(&me["tenants"][0]["id"]) };
        Self { cloud, keys }
    }

    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let headers = [("cookie", self.keys.cookie.as_str()), ("x-csrf", self.keys.csrf.as_str())];
        self.cloud.ask(method, path, &headers, body)
    }

    fn add(&self, source: &Value) -> Answer {
        let words = json!({ "title": "Gate", "source": source });
        self.ask("POST", &format!("/api/v1/tenants/{}/cameras", self.keys.tenant), Some(&words))
    }

    fn camera(&self, id: &str) -> Value {
        self.ask("GET", &format!("/api/v1/cameras/{id}"), None).json()
    }
}

#[test]
fn a_tenants_camera_plays_within_moments_and_is_gone_at_once() {
    let folder = Folder::new();
    let simcam = Simcam::start(&["--user", "viewer", "--password", "canary-right"]);
    let cloud = Cloud::start(&folder, "[pull]\nallow_private = true\n");
    let owner = Person::new(&cloud, "owner@example.org", "ACME", "owner");
    let source = json!({ "kind": "pull", "url": simcam.url(), "user": "viewer", "password": "canary-right" });
    let made = owner.add(&source);
    assert_eq!(made.status, 200, "{made:?}");
    let id = made.json()["id"].as_str().unwrap().to_owned();
    assert_eq!((&made.json()["kind"], &made.json()["access"]), (&json!("pull"), &json!("private")));
    until("the report", Duration::from_secs(30), || {
        (owner.camera(&id)["state"] == "streaming").then_some(())
    });
    until("its figures", Duration::from_secs(60), || {
        (owner.camera(&id)["fps"].as_f64()? > 1.0).then_some(())
    });
    // Its port is asked each half minute, and the next report says how it answers.
    until("its ping", Duration::from_secs(70), || {
        let status = owner.ask("GET", &format!("/api/v1/cameras/{id}/status"), None).json();
        assert_eq!(status["pinged"], true);
        status["ping_ms"].as_u64()
    });
    assert_eq!(simcam.fact("sessions"), 1, "a ping is no session");
    // Nobody but its tenant sees it, until it is public.
    let nothing = cloud.get("/nobody/live.m3u8").looks();
    assert_eq!(cloud.get(&format!("/{id}/live.m3u8")).looks(), nothing);
    assert_eq!(owner.ask("GET", &format!("/{id}/live.m3u8"), None).status, 200);
    let public = owner.ask("PATCH", &format!("/api/v1/cameras/{id}"), Some(&json!({ "access": "public" })));
    assert_eq!(public.status, 200, "{public:?}");
    cloud.plays(&id);
    assert_eq!(simcam.fact("sessions"), 1, "its title, access and site begin nothing anew");

    // Off and on, within a second each.
    let switch = |on: bool| {
        let answer = owner.ask("PATCH", &format!("/api/v1/cameras/{id}"), Some(&json!({ "on": on })));
        assert_eq!(answer.status, 200, "{answer:?}");
    };
    switch(false);
    until("off", Duration::from_secs(1), || {
        (cloud.get(&format!("/{id}/live.m3u8")).looks() == nothing).then_some(())
    });
    switch(true);
    cloud.plays(&id);

    // A restart finds the camera and its password again, and nobody else finds that anywhere.
    let keys = owner.keys.clone();
    let cloud = cloud.again();
    cloud.plays(&id);
    for file in ["cloud.db", "cloud.db-wal", "cloud.log"] {
        let bytes = std::fs::read(folder.0.join(file)).unwrap_or_default();
        assert!(!bytes.windows(6).any(|six| six == b"canary"), "{file}");
    }
    let owner = Person { cloud: &cloud, keys };
    let shown = owner.ask("GET", &format!("/api/v1/tenants/{}/cameras", owner.keys.tenant), None).text();
    assert!(shown.contains(&id) && !shown.contains("canary"), "{shown}");
    assert_eq!(simcam.fact("wrong"), 0);

    assert_eq!(owner.ask("DELETE", &format!("/api/v1/cameras/{id}"), None).status, 200);
    until("gone", Duration::from_secs(1), || {
        (cloud.get(&format!("/{id}/live.m3u8")).looks() == nothing).then_some(())
    });
    assert_eq!(owner.ask("GET", &format!("/api/v1/cameras/{id}"), None).status, 404);
    assert_eq!(owner.ask("DELETE", &format!("/api/v1/cameras/{id}"), None).status, 404);
}

#[test]
fn only_who_may_adds_cameras_and_only_at_public_addresses() {
    let folder = Folder::new();
    let cloud = Cloud::start(&folder, "");
    let owner = Person::new(&cloud, "owner@example.org", "ACME", "owner");
    let viewer = Person::new(&cloud, "viewer@example.org", "ACME", "viewer");
    let stranger = Person::new(&cloud, "stranger@example.org", "Other", "owner");
    for url in [
        "rtsp://127.0.0.1/",
        "rtsp://localhost:8554/",
        "rtsp://[::ffff:10.0.0.1]/",
        "rtsp://10.13.0.2/",
        "rtsp://169.254.169.254/",
        "rtsp://8.8.8.8:22/",
        "rtsp://0/",
        "rtsp://2130706433/",
        "http://8.8.8.8/",
        "file:///etc/passwd",
    ] {
        let answer = owner.add(&json!({ "kind": "pull", "url": url, "password": "canary" }));
        assert_eq!(answer.status, 400, "{url}: {answer:?}");
        assert!(!answer.text().contains("canary"), "{answer:?}");
    }
    assert_eq!(owner.add(&json!({ "kind": "exec", "command": ["sh"] })).status, 400);
    assert_eq!(viewer.add(&json!({ "kind": "push" })).status, 403);
    let made = owner.add(&json!({ "kind": "push" }));
    assert_eq!(made.status, 200, "{made:?}");
    let (id, key) = (made.json()["id"].as_str().unwrap().to_owned(), made.json()["push"]["key"].clone());
    assert!(key.as_str().unwrap().len() >= 26);
    assert!(!owner.camera(&id).to_string().contains(key.as_str().unwrap()), "it is told once");
    assert_eq!(owner.camera(&id)["state"], "connecting");
    let path = format!("/api/v1/cameras/{id}");
    for (person, method, path, status) in [
        (&stranger, "DELETE", path.clone(), 404),
        (&stranger, "POST", format!("{path}/key"), 404),
        (&stranger, "POST", format!("/api/v1/tenants/{}/cameras", owner.keys.tenant), 404),
        (&viewer, "DELETE", path.clone(), 403),
        (&viewer, "POST", format!("{path}/key"), 403),
    ] {
        let words = json!({ "title": "x", "source": { "kind": "push" } });
        let body = path.ends_with("cameras").then_some(&words);
        assert_eq!(person.ask(method, &path, body).status, status, "{method} {path}");
    }
    let again = owner.ask("POST", &format!("{path}/key"), None);
    assert_eq!(again.status, 200, "{again:?}");
    assert_ne!(again.json()["push"]["key"], key);
    let anonymous = cloud.ask("POST", &format!("{path}/key"), &[], None);
    assert_eq!(anonymous.status, 401);
}
