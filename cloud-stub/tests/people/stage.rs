//! A front with the portal's API on a free port, a clock that tests move, and browsers that keep a cookie.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use cloud_stub::config::{self, Config};
use cloud_stub::fleet::Fleet;
use cloud_stub::http::{Front, Metrics, Proxies, Source, not_found};
use cloud_stub::status::Status;
use cloud_stub::store::{Options, Role, Store};
use cloud_stub::updates::Updates;
use cloud_stub::wiring;
use door::{Counters, Hosts, Limits};
use http_body_util::Full;
use hyper::Request;
use model::enrol::Session;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::browser::send;
pub(crate) use crate::browser::{Answer, Browser, PASSWORD, URL};
use crate::clock::Clock;
pub(crate) use crate::folder::Folder;
pub(crate) use crate::log::{LOG, Log};
use crate::{boxes, cameras};

/// The front and its store.
pub(crate) struct Stage {
    pub(crate) store: Store,
    pub(crate) fleet: Fleet,
    address: SocketAddr,
    clock: Clock,
    _stop: watch::Sender<bool>,
    folder: Folder,
    updates: Option<config::Updates>,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        Self::with(None).await
    }

    /// A front with releases.
    pub(crate) async fn with(updates: Option<config::Updates>) -> Self {
        Log::start();
        let folder = Folder::new();
        let text = format!("[http]\nurl = \"{URL}\"\nhosts = [\"video.example.com\"]\n");
        let config = Config::parse("cloud.toml", &text).unwrap();
        let options = Options { network: config.hub.network, url: config.http.base() };
        let clock = Clock::default();
        let store = Store::open(&database(&folder), options, clock.clone()).await.unwrap();
        tokio::spawn(store.clone().follow());
        let counters = Arc::new(Counters::default());
        let fleet = Fleet::new(store.clone(), updates.as_ref());
        let routes = wiring::portal(&store, &config, &Status::idle(store.clone()), &fleet);
        let routes = match &updates {
            Some(updates) => routes.merge(Updates::open(updates, fleet.clone()).unwrap().routes()),
            None => routes,
        };
        let routes = routes.fallback(async || not_found());
        let source = Source { store: store.clone(), door: counters.clone() };
        let metrics = Arc::new(Metrics::new(Registry::with_prefix("cloud"), source));
        let hosts = Hosts::new(["video.example.org", "video.example.com"], "Not my name.\n");
        let front = Front::new(routes, metrics, hosts, Proxies::new(&[]));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let limits = Limits::default();
        tokio::spawn(door::serve(listener, None, limits, counters, Arc::new(front), stopped));
        Self { store, fleet, address, clock, _stop: stop, folder, updates }
    }

    /// Another cloud on the same database.
    pub(crate) async fn another(&self, updates: &config::Updates) -> Fleet {
        let options = Options { network: "10.13.0.0/16".parse().unwrap(), url: URL.to_owned() };
        let store = Store::open(&database(&self.folder), options, self.clock.clone()).await.unwrap();
        Fleet::new(store, Some(updates))
    }

    /// A configuration for the program that names this database.
    pub(crate) fn config_file(&self) -> PathBuf {
        let file = self.folder.0.join("cloud.toml");
        let mut text =
            format!("[http]\nurl = \"{URL}\"\ntls = \"off\"\n[store]\nurl = {:?}\n", database(&self.folder));
        if let Some(config::Updates { dir, key, everyone }) = &self.updates {
            let (dir, key) = (dir.display(), key.display());
            let _ = writeln!(text, "[updates]\ndir = \"{dir}\"\nkey = \"{key}\"\neveryone = {everyone}");
        }
        std::fs::write(&file, text).unwrap();
        file
    }

    /// The database, for what only a thief of it would see.
    pub(crate) fn dump(&self) -> Vec<u8> {
        let read = |name: &str| std::fs::read(self.folder.0.join(name)).unwrap_or_default();
        [read("cloud.db"), read("cloud.db-wal")].concat()
    }

    /// The database's address.
    pub(crate) fn database(&self) -> String {
        database(&self.folder)
    }

    pub(crate) fn forward_ms(&self, by: u64) {
        self.clock.0.fetch_add(by, Ordering::Relaxed);
    }

    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        send(self.address, request).await
    }

    /// Asks as the portal's page in this browser does.
    pub(crate) async fn ask(
        &self,
        browser: &Browser,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Answer {
        browser.ask(self.address, method, path, body).await
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
        Browser::invited(self.address, &self.store, email, what).await
    }

    /// The id of the tenant of this name.
    pub(crate) fn tenant(&self, name: &str) -> String {
        self.store.directory().borrow().portal().tenant_named(name).unwrap().to_owned()
    }

    /// A box's code.
    pub(crate) async fn code(&self, number: u8, nonce: u8) -> Session {
        boxes::code(&self.store, number, nonce).await
    }

    /// A box says yes to its claim; gives its id.
    pub(crate) async fn join(&self, number: u8, session: &str, owner: &str) -> String {
        boxes::join(&self.store, number, session, owner).await
    }

    /// A box of this owner with one camera: their ids.
    pub(crate) async fn box_of(&self, number: u8, owner: &str) -> (String, String) {
        cameras::with_camera(&self.store, number, owner, "Gate").await
    }
}

fn database(folder: &Folder) -> String {
    format!("sqlite:{}", folder.0.join("cloud.db").display())
}
