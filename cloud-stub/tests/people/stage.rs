//! A front with the portal's API on a free port, a clock that tests move, and browsers that keep a cookie.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use cloud_stub::config::Config;
use cloud_stub::http::{Front, Metrics, Proxies, Source, not_found};
use cloud_stub::status::Status;
use cloud_stub::store::{Options, Role, Store};
use cloud_stub::wiring;
use door::{Counters, Hosts, Limits};
use enrol::{Identity, Unsigned, sign_hello, sign_join};
use http_body_util::{BodyExt as _, Full};
use hyper::header::HeaderMap;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use model::status::{Report, Uplink};
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::clock::Clock;
pub(crate) use crate::folder::Folder;
pub(crate) use crate::log::{LOG, Log};

pub(crate) const URL: &str = "https://video.example.org";
pub(crate) const PASSWORD: &str = "correct horse battery";

/// The front and its store.
pub(crate) struct Stage {
    pub(crate) store: Store,
    address: SocketAddr,
    clock: Clock,
    _stop: watch::Sender<bool>,
    folder: Folder,
}

/// An answer, whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }

    /// The JSON of a good answer.
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{self:?}");
        self.json()
    }

    /// Everything that a stranger sees but the time.
    pub(crate) fn looks(&self) -> String {
        let mut headers: Vec<_> = self.headers.iter().filter(|(name, _)| *name != "date").collect();
        headers.sort_by_key(|(name, _)| name.as_str());
        format!("{} {headers:?} {:?}", self.status, self.body)
    }

    /// The cookie that it sets.
    pub(crate) fn cookie(&self) -> Option<String> {
        let cookie = self.headers.get("set-cookie")?.to_str().unwrap();
        Some(cookie.split(';').next().unwrap().to_owned())
    }
}

/// A browser; it comes from an address of its own.
#[derive(Clone, Debug)]
pub(crate) struct Browser {
    pub(crate) cookie: String,
    pub(crate) csrf: String,
    pub(crate) from: String,
}

impl Browser {
    /// Nobody is signed in.
    pub(crate) fn new() -> Self {
        static TURN: AtomicU32 = AtomicU32::new(0x0a14_0000);
        let from = std::net::Ipv4Addr::from(TURN.fetch_add(1, Ordering::Relaxed)).to_string();
        Self { cookie: String::new(), csrf: String::new(), from }
    }

    /// Keeps what it is given.
    fn has_signed_in(&mut self, answer: &Answer) {
        self.csrf = answer.ok()["csrf"].as_str().unwrap().into();
        self.cookie = answer.cookie().unwrap();
    }
}

impl Stage {
    pub(crate) async fn new() -> Self {
        Log::start();
        let folder = Folder::new();
        let text = format!("[http]\nurl = \"{URL}\"\nhosts = [\"video.example.com\"]\n");
        let config = Config::parse("cloud.toml", &text).unwrap();
        let options = Options { network: config.hub.network, url: config.http.base() };
        let clock = Clock::default();
        let store = Store::open(&database(&folder), options, clock.clone()).await.unwrap();
        tokio::spawn(store.clone().follow());
        let counters = Arc::new(Counters::default());
        let routes =
            wiring::portal(&store, &config, &Status::idle(store.clone())).fallback(async || not_found());
        let source = Source { store: store.clone(), door: counters.clone() };
        let metrics = Arc::new(Metrics::new(Registry::with_prefix("cloud"), source));
        let hosts = Hosts::new(["video.example.org", "video.example.com"], "Not my name.\n");
        let front = Front::new(routes, metrics, hosts, Proxies::new(&[]));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let limits = Limits::default();
        tokio::spawn(door::serve(listener, None, limits, counters, Arc::new(front), stopped));
        Self { store, address, clock, _stop: stop, folder }
    }

    /// A configuration for the program that names this database.
    pub(crate) fn config_file(&self) -> PathBuf {
        let file = self.folder.0.join("cloud.toml");
        let text =
            format!("[http]\nurl = \"{URL}\"\ntls = \"off\"\n[store]\nurl = {:?}\n", database(&self.folder));
        std::fs::write(&file, text).unwrap();
        file
    }

    /// The database, for what only a thief of it would see.
    pub(crate) fn dump(&self) -> Vec<u8> {
        let read = |name: &str| std::fs::read(self.folder.0.join(name)).unwrap_or_default();
        [read("cloud.db"), read("cloud.db-wal")].concat()
    }

    pub(crate) fn forward_ms(&self, by: u64) {
        self.clock.0.fetch_add(by, Ordering::Relaxed);
    }

    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let response = sender.send_request(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// Asks as the portal's page in this browser does.
    pub(crate) async fn ask(
        &self,
        browser: &Browser,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Answer {
        let mut request = Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap()).uri(path);
        request = request.header("host", "video.example.org").header("x-forwarded-for", &browser.from);
        request = request.header("user-agent", "Browser/1.0");
        if method != "GET" {
            request = request.header("origin", URL).header("sec-fetch-site", "same-origin");
        }
        for (name, value) in [("cookie", &browser.cookie), ("x-csrf", &browser.csrf)] {
            if !value.is_empty() {
                request = request.header(name, value);
            }
        }
        let body = body.map(|body| serde_json::to_vec(body).unwrap());
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        self.send(request.body(Full::from(body.unwrap_or_default())).unwrap()).await
    }

    pub(crate) async fn get(&self, browser: &Browser, path: &str) -> Answer {
        self.ask(browser, "GET", path, None).await
    }

    pub(crate) async fn post(&self, browser: &Browser, path: &str, body: &Value) -> Answer {
        self.ask(browser, "POST", path, Some(body)).await
    }

    pub(crate) async fn patch(&self, browser: &Browser, path: &str, body: &Value) -> Answer {
        self.ask(browser, "PATCH", path, Some(body)).await
    }

    pub(crate) async fn delete(&self, browser: &Browser, path: &str) -> Answer {
        self.ask(browser, "DELETE", path, None).await
    }

    pub(crate) async fn sign_in(&self, email: &str, password: &str) -> Browser {
        let mut browser = Browser::new();
        let answer =
            self.post(&browser, "/api/v1/session", &json!({ "email": email, "password": password })).await;
        browser.has_signed_in(&answer);
        browser
    }

    /// Somebody new, signed in: in a tenant, or an operator.
    pub(crate) async fn person(&self, email: &str, what: Option<(&str, Role)>) -> Browser {
        let secret = self.store.invite_as(email, what).await.unwrap();
        let mut browser = Browser::new();
        let path = format!("/api/v1/invitations/{}", secret.expose());
        let words = json!({ "name": email, "password": PASSWORD, "language": "kk" });
        let answer = self.post(&browser, &path, &words).await;
        browser.has_signed_in(&answer);
        browser
    }

    /// The id of the tenant of this name.
    pub(crate) fn tenant(&self, name: &str) -> String {
        self.store.directory().borrow().portal().tenant_named(name).unwrap().to_owned()
    }

    /// A box's code.
    pub(crate) async fn code(&self, number: u8, nonce: u8) -> model::enrol::Session {
        let identity = Identity::from_seed(&[number; 32]).unwrap();
        let words = Unsigned {
            tunnel_key: [nonce; 32],
            version: "1.0".to_owned(),
            cloud: URL.to_owned(),
            nonce: [nonce; 16],
            findable: None,
        };
        let hello = sign_hello(&identity, words);
        let words = cloud_stub::store::HelloWords {
            box_id: identity.box_id(),
            identity: enrol::verify_hello(&hello).unwrap(),
            version: "1.0",
            nonce: &hello.nonce,
        };
        self.store.hello(words).await.unwrap()
    }

    /// A box says yes to its claim; gives its id.
    pub(crate) async fn join(&self, number: u8, session: &str, owner: &str) -> String {
        let identity = Identity::from_seed(&[number; 32]).unwrap();
        self.store.join(&sign_join(&identity, session, owner, [number; 32])).await.unwrap();
        self.store.refresh().await.unwrap();
        identity.box_id().to_string()
    }

    /// A box of this owner with one camera: their ids.
    pub(crate) async fn box_of(&self, number: u8, owner: &str) -> (String, String) {
        let session = self.code(number, number).await;
        self.store.claim(&session.code.parse().unwrap(), owner).await.unwrap();
        let id = self.join(number, &session.session, owner).await;
        let from = self.store.directory().borrow().by_id(&id.parse().unwrap()).unwrap().address;
        let camera = json!({
            "id": "gate", "name": "Gate", "state": { "state": "connecting" }, "stream": "main",
            "fps": 0.0, "bit_rate": 0
        });
        let report = Report {
            version: "1.0".to_owned(),
            uptime_s: 1,
            time_ms: 1,
            cameras: vec![serde_json::from_value(camera).unwrap()],
            uplink: Uplink::default(),
            findable: None,
        };
        let answer = self.store.report(from, &report).await.unwrap();
        self.store.refresh().await.unwrap();
        (id, answer.cameras[0].public_id.to_string())
    }
}

fn database(folder: &Folder) -> String {
    format!("sqlite:{}", folder.0.join("cloud.db").display())
}
