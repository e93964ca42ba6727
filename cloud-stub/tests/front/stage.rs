//! A front on a free port, and a client that speaks to it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use cloud_stub::config::{self, Config};
use cloud_stub::enrol::Enrolment;
use cloud_stub::find::Finder;
use cloud_stub::fleet::Fleet;
use cloud_stub::http::{Front, Metrics, Proxies, Source, not_found};
use cloud_stub::store::{Options, Store, System};
use cloud_stub::updates::Updates;
use door::{Counters, Hosts, Limits};
use enrol::{Identity, Unsigned, sign_hello};
use http_body_util::{BodyExt as _, Full};
use hyper::header::HeaderMap;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use model::enrol::Hello;
use prometheus_client::registry::Registry;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

pub(crate) use crate::folder::Folder;
pub(crate) use crate::log::{LOG, Log};

/// The front and its store.
pub(crate) struct Stage {
    pub(crate) store: Store,
    pub(crate) address: SocketAddr,
    _stop: watch::Sender<bool>,
    _folder: Folder,
}

/// An answer, whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }

    /// The body, if it was there.
    pub(crate) fn found(&self) -> Option<Vec<u8>> {
        (self.status == StatusCode::OK).then(|| self.body.to_vec())
    }

    /// Everything that a stranger sees but the time.
    pub(crate) fn looks(&self) -> String {
        let mut headers: Vec<_> = self.headers.iter().filter(|(name, _)| *name != "date").collect();
        headers.sort_by_key(|(name, _)| name.as_str());
        format!("{} {headers:?} {:?}", self.status, self.body)
    }
}

impl Stage {
    pub(crate) async fn new() -> Self {
        Self::with(Limits::default(), None).await
    }

    pub(crate) async fn with(limits: Limits, tls: Option<TlsAcceptor>) -> Self {
        Self::open(limits, tls, None).await
    }

    /// A front with releases.
    pub(crate) async fn with_updates(updates: config::Updates) -> Self {
        Self::open(Limits::default(), None, Some(updates)).await
    }

    async fn open(limits: Limits, tls: Option<TlsAcceptor>, updates: Option<config::Updates>) -> Self {
        Log::start();
        let folder = Folder::new();
        let text = "[http]\nurl = \"https://video.example.org\"\nhosts = [\"video.example.com\"]\n";
        let config = Config::parse("cloud.toml", text).unwrap();
        let options = Options { network: config.hub.network, url: config.http.base() };
        let url = format!("sqlite:{}", folder.0.join("cloud.db").display());
        let store = Store::open(&url, options, System).await.unwrap();
        tokio::spawn(store.clone().follow());
        let counters = Arc::new(Counters::default());
        let routes: Router = Enrolment::new(store.clone(), &config, "hubkey")
            .routes()
            .merge(Finder::new(store.clone()).routes())
            .merge(updates.map_or_else(Router::new, |updates| {
                let fleet = Fleet::new(store.clone(), Some(&updates));
                Updates::open(&updates, fleet).unwrap().routes()
            }))
            .fallback(async || not_found());
        let source = Source { store: store.clone(), door: counters.clone() };
        let metrics = Arc::new(Metrics::new(Registry::with_prefix("cloud"), source));
        let hosts = Hosts::new(["video.example.org", "video.example.com"], "Not my name.\n");
        let front = Front::new(routes, metrics, hosts, Proxies::new(&[]));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(door::serve(listener, tls, limits, counters, Arc::new(front), stopped));
        Self { store, address, _stop: stop, _folder: folder }
    }

    pub(crate) async fn ask(&self, request: Request<Full<Bytes>>) -> Answer {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let response = sender.send_request(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        let request = Request::get(path).header("host", "video.example.org");
        self.ask(request.body(Full::default()).unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &impl serde::Serialize) -> Answer {
        let body = serde_json::to_vec(body).unwrap();
        let request = Request::post(path).header("host", "video.example.org");
        let request = request.header("content-type", "application/json");
        self.ask(request.body(Full::from(body)).unwrap()).await
    }

    /// Sends bytes and reads until the other side closes or `limit` is over.
    pub(crate) async fn raw(&self, bytes: &[u8], limit: Duration) -> Option<String> {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // The other side may close before everything is written.
        let _ = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        let read = tokio::time::timeout(limit, stream.read_to_end(&mut answer)).await;
        read.ok().map(|_| String::from_utf8_lossy(&answer).into_owned())
    }
}

/// A box.
pub(crate) fn member(number: u8) -> Identity {
    Identity::from_seed(&[number; 32]).unwrap()
}

pub(crate) fn hello(identity: &Identity, nonce: u8, cloud: &str) -> Hello {
    let words = Unsigned {
        tunnel_key: [nonce; 32],
        version: "1.0".to_owned(),
        cloud: cloud.to_owned(),
        nonce: [nonce; 16],
        findable: None,
    };
    sign_hello(identity, words)
}
