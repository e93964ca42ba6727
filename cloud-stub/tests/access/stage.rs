//! A cloud on a free port: the gateway before a box, the portal's API, a clock that tests move, and browsers.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use cloud_stub::access::Access;
use cloud_stub::config::Config;
use cloud_stub::fleet::Fleet;
use cloud_stub::gateway::{self, Connector, Gateway, Stream};
use cloud_stub::http::{Front, Metrics, Proxies, Source};
use cloud_stub::status::Status;
use cloud_stub::store::{self, By, CameraWords, Options, Role, Store};
use cloud_stub::wiring;
use door::{Counters, Hosts, Limits};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::CACHE_CONTROL;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use model::CameraId;
use prometheus_client::registry::Registry;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::browser::send;
pub(crate) use crate::browser::{Answer, Browser, URL};
use crate::cameras;
use crate::clock::Clock;
pub(crate) use crate::folder::Folder;
pub(crate) use crate::log::{LOG, Log};

/// The front and its store.
pub(crate) struct Stage {
    pub(crate) store: Store,
    address: SocketAddr,
    clock: Clock,
    /// What the box was asked, in order.
    pub(crate) fetches: Arc<Mutex<Vec<String>>>,
    /// Lets the box answer those who wait for the part to come.
    pub(crate) goes_on: Arc<watch::Sender<bool>>,
    _stop: watch::Sender<bool>,
    folder: Folder,
}

impl Answer {
    /// The bytes of a good answer.
    pub(crate) fn ok_body(&self) -> &Bytes {
        assert_eq!(self.status, StatusCode::OK, "{self:?}");
        &self.body
    }
}

impl Stage {
    pub(crate) async fn new() -> Self {
        Self::with("").await
    }

    /// The same with these lines in the section `[access]`.
    pub(crate) async fn with(access: &str) -> Self {
        Log::start();
        let folder = Folder::new();
        let text = format!("[http]\nurl = \"{URL}\"\nhosts = [\"video.example.com\"]\n[access]\n{access}\n");
        let config = Config::parse("cloud.toml", &text).unwrap();
        let options = Options { network: config.hub.network, url: config.http.base() };
        let clock = Clock::default();
        let store = Store::open(&database(&folder), options, clock.clone()).await.unwrap();
        tokio::spawn(store.clone().follow());
        let counters = Arc::new(Counters::default());
        let (fetches, goes_on) = (Arc::default(), Arc::new(watch::Sender::new(false)));
        let box_at = start_box(Arc::clone(&fetches), Arc::clone(&goes_on)).await;
        let connector: Connector = Arc::new(move |_| {
            Box::pin(async move { Ok(Box::new(TcpStream::connect(box_at).await?) as Box<dyn Stream>) })
        });
        let options = gateway::Options {
            url: config.http.base(),
            cache: 128 << 20,
            limits: gateway::Limits::default(),
        };
        let mut registry = Registry::with_prefix("cloud");
        let access = Arc::new(Access::start(store.clone(), &config.access).unwrap());
        let gateway = Gateway::new(store.directory(), connector, options).with_admission(access);
        gateway.register(&mut registry);
        let routes = gateway::routes(Arc::new(gateway)).merge(wiring::portal(
            &store,
            &config,
            &Status::idle(store.clone()),
            &Fleet::new(store.clone(), None),
        ));
        let source = Source { store: store.clone(), door: counters.clone() };
        let metrics = Arc::new(Metrics::new(registry, source));
        let hosts = Hosts::new(["video.example.org", "video.example.com"], "Not my name.\n");
        let front = Front::new(routes, metrics, hosts, Proxies::new(&[]));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let limits = Limits::default();
        tokio::spawn(door::serve(listener, None, limits, counters, Arc::new(front), stopped));
        Self { store, address, clock, fetches, goes_on, _stop: stop, folder }
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

    pub(crate) async fn delete(&self, browser: &Browser, path: &str) -> Answer {
        self.ask(browser, "DELETE", path, None).await
    }

    /// Somebody new, signed in: in a tenant, or an operator.
    pub(crate) async fn person(&self, email: &str, what: Option<(&str, Role)>) -> Browser {
        Browser::invited(self.address, &self.store, email, what).await
    }

    /// The id of the tenant of this name.
    pub(crate) fn tenant(&self, name: &str) -> String {
        self.store.directory().borrow().portal().tenant_named(name).unwrap().to_owned()
    }

    /// A box of this owner with one camera: their ids.
    pub(crate) async fn box_of(&self, number: u8, owner: &str) -> (String, String) {
        cameras::with_camera(&self.store, number, owner, "Gate & Yard").await
    }
}

/// A camera of a tenant of its own that is not public, and its owner.
pub(crate) struct Gate {
    pub(crate) id: CameraId,
    pub(crate) tenant: String,
    pub(crate) owner: Browser,
}

impl Stage {
    pub(crate) async fn gate(&self, number: u8, owner: &str) -> Gate {
        let (_, camera) = self.box_of(number, owner).await;
        let id = CameraId::new(&camera).unwrap();
        let email = format!("owner@{}.example", owner.to_lowercase());
        let browser = self.person(&email, Some((owner, Role::Owner))).await;
        let gate = Gate { id, tenant: self.tenant(owner), owner: browser };
        self.set_access(&gate, store::Access::Private).await;
        gate
    }

    pub(crate) async fn set_access(&self, gate: &Gate, access: store::Access) {
        let words = CameraWords { access: Some(access), ..CameraWords::default() };
        self.store.change_camera(&gate.id, &gate.tenant, &words, By::COMMAND_LINE).await.unwrap();
    }

    /// A new share: its id, and where it leads, without the slash at the end.
    pub(crate) async fn share(&self, gate: &Gate, words: &Value) -> (String, String) {
        let path = format!("/api/v1/cameras/{}/shares", gate.id);
        let made = self.post(&gate.owner, &path, words).await.ok();
        let url = made["url"].as_str().unwrap();
        let path = url.strip_prefix(URL).unwrap().strip_suffix('/').unwrap();
        (made["id"].as_str().unwrap().to_owned(), path.to_owned())
    }

    pub(crate) async fn take_back(&self, gate: &Gate, share: &str) {
        let path = format!("/api/v1/cameras/{}/shares/{share}", gate.id);
        self.delete(&gate.owner, &path).await.ok();
    }

    /// What a stranger with this path gets.
    pub(crate) async fn stranger(&self, path: &str) -> Answer {
        self.get(&Browser::new(), path).await
    }

    /// What a stranger with these headers gets.
    pub(crate) async fn with_headers(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::get(path).header("host", "video.example.org");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Full::default()).unwrap()).await
    }

    /// A viewer who waits for the part to come; gives the answer and when it came.
    pub(crate) fn waits(self: &Arc<Self>, viewer: &Browser, link: &str) -> JoinHandle<(Answer, Instant)> {
        let (stage, viewer, path) = (self.clone(), viewer.clone(), format!("{link}/live.m3u8?_HLS_msn=9"));
        tokio::spawn(async move { (stage.get(&viewer, &path).await, Instant::now()) })
    }

    /// Waits until the box has been asked for something.
    pub(crate) async fn asked(&self, path: &str) {
        let asked = || self.fetches.lock().unwrap().iter().any(|fetch| fetch.ends_with(path));
        for _ in 0..400 {
            if asked() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{path}: nobody asked for it within 2 s");
    }

    /// Bytes of a large segment that come to a viewer who reads them slowly.
    pub(crate) async fn slowly(&self, link: &str, pause: impl Future<Output = ()>) -> usize {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(64 << 10).unwrap();
        let mut stream = socket.connect(self.address).await.unwrap();
        let request =
            format!("GET {link}/8.m4s HTTP/1.1\r\nhost: video.example.org\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut got = vec![0; 256 << 10];
        let mut sum = stream.read_exact(&mut got).await.unwrap();
        pause.await;
        while let Ok(some @ 1..) = stream.read(&mut got).await {
            sum += some;
        }
        sum
    }
}

/// Bytes of the large segment.
pub(crate) const LARGE: usize = 24 << 20;

/// A box: segments last, playlists do not, and a reload for segment 9 waits until the stream goes on.
async fn start_box(fetches: Arc<Mutex<Vec<String>>>, goes_on: Arc<watch::Sender<bool>>) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (fetches, goes_on) = (fetches.clone(), goes_on.clone());
            let service = service_fn(move |request: Request<Incoming>| {
                let path = request.uri().path_and_query().unwrap().to_string();
                fetches.lock().unwrap().push(path.clone());
                let mut goes_on = goes_on.subscribe();
                async move {
                    let (_, name) = path[1..].split_once('/').unwrap();
                    let (keep, body) = match name {
                        "index.m3u8" | "live.m3u8" | "live.m3u8?_HLS_skip=YES" | "ts/index.m3u8" => {
                            ("no-store", "#EXTM3U".into())
                        }
                        "7.m4s" | "ts/7.ts" | "7.1.m4s" | "init-1.mp4" => {
                            ("public, max-age=31536000, immutable", "0123456789".into())
                        }
                        "8.m4s" => ("public, max-age=31536000, immutable", Bytes::from(vec![8; LARGE])),
                        _ if name.starts_with("live.m3u8?_HLS_msn=9") => {
                            goes_on.wait_for(|goes_on| *goes_on).await.unwrap();
                            ("public, max-age=4", "#EXTM3U 9".into())
                        }
                        _ => return Ok::<_, Infallible>(door::not_found().map(|_| Full::<Bytes>::default())),
                    };
                    let mut response = Response::new(Full::<Bytes>::from(body));
                    response.headers_mut().insert(CACHE_CONTROL, keep.parse().unwrap());
                    Ok(response)
                }
            });
            let server = hyper::server::conn::http1::Builder::new();
            tokio::spawn(async move { server.serve_connection(TokioIo::new(stream), service).await });
        }
    });
    address
}

fn database(folder: &Folder) -> String {
    format!("sqlite:{}", folder.0.join("cloud.db").display())
}
