//! A cloud without sockets: store, status and the portal's API, one box with two cameras, and a clock that the test moves.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use cloud_stub::config::Config;
use cloud_stub::fleet::Fleet;
use cloud_stub::http::{Client, not_found};
use cloud_stub::hub::Reports as _;
use cloud_stub::ingest::Rule;
use cloud_stub::status::alert::Courier;
use cloud_stub::status::alert::hook::Hooks;
use cloud_stub::status::alert::mail::{Mailer, Options as Mail};
use cloud_stub::status::{self, Status};
use cloud_stub::store::{Options, Role, Store, System, World};
use cloud_stub::wiring;
use http_body_util::BodyExt as _;
use hyper::{Request, StatusCode};
use model::status::{Report, Uplink};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::boxes;

pub(crate) const URL: &str = "https://video.example.org";
/// 2026-11-10 00:00 UTC: the hours and days of the test lie within one month.
pub(crate) const ZERO: u64 = 1_794_268_800_000;

/// A clock that only moves when it is told to.
#[derive(Clone)]
struct Clock(Arc<AtomicU64>);

impl World for Clock {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn random(&self) -> Option<[u8; 16]> {
        System.random()
    }
}

pub(crate) struct Stage {
    pub(crate) store: Store,
    pub(crate) status: Status,
    routes: Router,
    clock: Clock,
    mail_port: u16,
    from: Ipv4Addr,
    /// By their names in the box.
    pub(crate) cameras: Vec<(String, String)>,
    folder: PathBuf,
}

/// Somebody who is signed in.
pub(crate) struct Browser {
    cookie: String,
    csrf: String,
}

impl Stage {
    /// A box of ACME with these cameras; mail goes to this port.
    pub(crate) async fn new(mail_port: u16, cameras: &[&str]) -> Self {
        static TURN: AtomicU32 = AtomicU32::new(0);
        let turn = TURN.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("cloud-status-{}-{turn}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let clock = Clock(Arc::new(AtomicU64::new(ZERO)));
        let (store, status, routes) = open(&folder, &clock, mail_port).await;
        let from = join(&store).await;
        let mut stage = Self { store, status, routes, clock, mail_port, from, cameras: Vec::new(), folder };
        for name in cameras {
            stage.cameras.push(((*name).to_owned(), String::new()));
        }
        let playing = cameras.iter().map(|name| playing(name)).collect();
        let answer = stage.report(playing).await;
        for ((_, public), link) in stage.cameras.iter_mut().zip(answer.cameras) {
            *public = link.public_id.to_string();
        }
        stage.store.refresh().await.unwrap();
        stage
    }

    /// The cloud is stopped, and another process starts with its database.
    pub(crate) async fn restart(&mut self) {
        self.status.flush(true).await.unwrap();
        self.store.close().await.unwrap();
        (self.store, self.status, self.routes) = open(&self.folder, &self.clock, self.mail_port).await;
    }

    /// The store as another process opens it.
    pub(crate) async fn another(&self) -> Store {
        store(&self.folder, &self.clock).await
    }

    /// The clock moves, and nobody looks.
    pub(crate) fn forward(&self, ms: u64) {
        self.clock.0.fetch_add(ms, Ordering::Relaxed);
    }

    /// The address of the database.
    pub(crate) fn database(&self) -> String {
        database(&self.folder)
    }

    pub(crate) fn now(&self) -> u64 {
        self.clock.now_ms()
    }

    /// The public id of a camera.
    pub(crate) fn public(&self, name: &str) -> &str {
        &self.cameras.iter().find(|(camera, _)| camera == name).unwrap().1
    }

    pub(crate) async fn report(&self, cameras: Vec<Value>) -> model::status::Answer {
        let cameras = cameras.into_iter().map(|camera| serde_json::from_value(camera).unwrap()).collect();
        let report = Report {
            version: "1.0".to_owned(),
            uptime_s: 1,
            time_ms: 5,
            cameras,
            uplink: Uplink::default(),
            findable: None,
        };
        self.status.report(self.from, &report).await.unwrap()
    }

    /// The clock moves, a second at a time, and the cloud with it; milliseconds left over come first.
    pub(crate) async fn wait(&self, ms: u64) {
        let left = ms % 1000;
        self.clock.0.fetch_add(left, Ordering::Relaxed);
        for _ in 0..ms / 1000 {
            self.clock.0.fetch_add(1000, Ordering::Relaxed);
            self.status.tick().await;
            self.status.flush(false).await.unwrap();
            self.status.deliver().await.unwrap();
        }
    }

    /// Somebody new, signed in.
    pub(crate) async fn person(&self, email: &str, tenant: &str, role: Role, language: &str) -> Browser {
        let secret = self.store.invite_as(email, Some((tenant, role))).await.unwrap();
        let path = format!("/api/v1/invitations/{}", secret.expose());
        let words = json!({ "name": email, "password": "correct horse battery", "language": language });
        let (status, cookie, body) = self.send("POST", &path, None, Some(&words)).await;
        assert_eq!(status, StatusCode::OK, "{body:?}");
        let me: Value = serde_json::from_slice(&body).unwrap();
        self.store.refresh().await.unwrap();
        Browser { cookie: cookie.unwrap(), csrf: me["csrf"].as_str().unwrap().to_owned() }
    }

    pub(crate) async fn get(&self, browser: &Browser, path: &str) -> Value {
        let (status, _, body) = self.send("GET", path, Some(browser), None).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body:?}");
        serde_json::from_slice(&body).unwrap()
    }

    pub(crate) async fn text(&self, browser: &Browser, path: &str) -> String {
        let (status, _, body) = self.send("GET", path, Some(browser), None).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body:?}");
        String::from_utf8(body.to_vec()).unwrap()
    }

    pub(crate) async fn put(&self, browser: &Browser, path: &str, words: &Value) -> (StatusCode, Value) {
        let (status, _, body) = self.send("PUT", path, Some(browser), Some(words)).await;
        self.store.refresh().await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    /// What somebody, or nobody, gets.
    pub(crate) async fn answered(&self, browser: Option<&Browser>, path: &str) -> StatusCode {
        self.send("GET", path, browser, None).await.0
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        browser: Option<&Browser>,
        words: Option<&Value>,
    ) -> (StatusCode, Option<String>, Bytes) {
        let mut request = Request::builder().method(method).uri(path).header("host", "video.example.org");
        if let Some(browser) = browser {
            request = request.header("cookie", &browser.cookie).header("x-csrf", &browser.csrf);
        }
        if words.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = words.map(Value::to_string).unwrap_or_default();
        let mut request = request.body(Body::from(body)).unwrap();
        request.extensions_mut().insert(Client(Ipv4Addr::new(192, 0, 2, 1).into()));
        let response = self.routes.clone().oneshot(request).await.unwrap();
        let cookie = response.headers().get("set-cookie").map(|cookie| cookie.to_str().unwrap());
        let cookie = cookie.map(|cookie| cookie.split(';').next().unwrap().to_owned());
        (response.status(), cookie, response.into_body().collect().await.unwrap().to_bytes())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn configuration() -> Config {
    Config::parse("cloud.toml", &format!("[http]\nurl = \"{URL}\"\n")).unwrap()
}

async fn store(folder: &std::path::Path, clock: &Clock) -> Store {
    let config = configuration();
    let options = Options { network: config.hub.network, url: config.http.base() };
    Store::open(&database(folder), options, clock.clone()).await.unwrap()
}

/// Sends to this port, plainly.
pub(crate) fn mailer(port: u16) -> Mailer {
    let mail = Mail {
        smtp: Mail::server(&format!("smtp://127.0.0.1:{port}")).unwrap(),
        from: "Cameras <cameras@example.org>".parse().unwrap(),
        user: None,
        password: None,
        ca: None,
    };
    Mailer::new(&mail).unwrap()
}

async fn open(folder: &std::path::Path, clock: &Clock, mail_port: u16) -> (Store, Status, Router) {
    let (config, store) = (configuration(), store(folder, clock).await);
    let hooks = Hooks::new(Rule { private: true, own: Vec::new() }, None).unwrap();
    let tries = [5, 30, 120].map(Duration::from_secs).to_vec();
    let courier = Courier::new(URL.to_owned(), Some(mailer(mail_port)), hooks, tries);
    let status = status::Options { sign: Box::new(|_| None), node: None, courier };
    let status = Status::new(store.clone(), status);
    let routes = wiring::portal(&store, &config, &status, &Fleet::new(store.clone(), None))
        .fallback(async || not_found());
    (store, status, routes)
}

fn database(folder: &std::path::Path) -> String {
    format!("sqlite:{}", folder.join("cloud.db").display())
}

/// A box of ACME joins; gives its address.
async fn join(store: &Store) -> Ipv4Addr {
    let session = boxes::code(store, 7, 7).await;
    store.claim(&session.code.parse().unwrap(), "ACME").await.unwrap();
    let id = boxes::join(store, 7, &session.session, "ACME").await;
    store.directory().borrow().by_id(&id.parse().unwrap()).unwrap().address
}

/// A camera with pictures.
pub(crate) fn playing(name: &str) -> Value {
    json!({
        "id": name, "name": name, "stream": "main", "fps": 25.0, "bit_rate": 4_000_000,
        "state": {
            "state": "streaming", "url": "rtsp://10.0.0.7/", "video": "h264", "size": [16, 16], "audio": null,
            "notes": []
        },
        "last_frame_age_ms": 20, "keyframe_age_ms": 700, "latency_ms": 95, "ping_ms": 3
    })
}

/// A camera without one, for so long.
pub(crate) fn dead(name: &str, since_ms: u64, ping: bool) -> Value {
    let mut camera = playing(name);
    camera["state"] = json!({
        "state": "waiting", "trouble": { "trouble": "unreachable", "address": "10.0.0.7:554" }, "retry_in_ms": 900
    });
    camera["last_frame_age_ms"] = since_ms.into();
    camera["ping_ms"] = if ping { 3.into() } else { Value::Null };
    camera["outages"] = json!([{ "from_age_ms": since_ms, "reason": "unreachable" }]);
    camera
}

/// A camera that came back.
pub(crate) fn back(name: &str, from_age_ms: u64, to_age_ms: u64) -> Value {
    let mut camera = playing(name);
    camera["outages"] =
        json!([{ "from_age_ms": from_age_ms, "to_age_ms": to_age_ms, "reason": "unreachable" }]);
    camera
}
