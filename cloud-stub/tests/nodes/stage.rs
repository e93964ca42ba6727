//! Two clouds on one SQLite file, with a clock that is set by hand, and a box behind the second one's hub.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use cloud_stub::gateway::{At, Connector, Gateway, Limits, Options, Stream};
use cloud_stub::nodes::{self, InnerDoor, Seal};
use cloud_stub::store::{self, Directory, HelloWords, Node, Store, System, World};
use door::Body;
use enrol::{Identity, Unsigned, sign_hello, sign_join, verify_hello};
use http_body_util::{BodyExt as _, Empty};
use hyper::header::CACHE_CONTROL;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use model::status::{Report, Uplink};
use model::{CameraId, CameraState};
use ring::digest;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub(crate) const KEY: [u8; 32] = [9; 32];

/// A clock that is set by hand from now on, and random bytes that never repeat.
#[derive(Clone)]
pub(crate) struct Clock(Arc<AtomicU64>);

impl Clock {
    pub(crate) fn forward_ms(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::Relaxed);
    }
}

impl World for Clock {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn random(&self) -> Option<[u8; 16]> {
        static TURN: AtomicU64 = AtomicU64::new(0);
        let turn = TURN.fetch_add(1, Ordering::Relaxed);
        digest::digest(&digest::SHA256, &turn.to_be_bytes()).as_ref()[..16].try_into().ok()
    }
}

/// One cloud.
pub(crate) struct Cloud {
    pub(crate) store: Store,
    pub(crate) gateway: Arc<Gateway<Directory>>,
    pub(crate) id: String,
    pub(crate) node: Node,
    /// Where its inner door is.
    pub(crate) inner: SocketAddr,
    /// Whether its hub reaches the box.
    pub(crate) reaches: Arc<AtomicBool>,
    /// Connections that its gateway made to other clouds.
    pub(crate) asked_others: Arc<AtomicUsize>,
    _stop: watch::Sender<bool>,
}

/// An answer, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) cache: String,
    pub(crate) body: Bytes,
}

impl Got {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// Two clouds, and a box with two cameras.
pub(crate) struct Stage {
    pub(crate) clock: Clock,
    pub(crate) a: Cloud,
    pub(crate) b: Cloud,
    pub(crate) address: Ipv4Addr,
    /// Public ids of the cameras `gate` and `yard`.
    pub(crate) links: [CameraId; 2],
    /// What the box was asked.
    pub(crate) fetches: Arc<Mutex<Vec<String>>>,
    _folder: Folder,
}

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Stage {
    /// The box has reported to `b`, both clouds live, and both know all of it.
    pub(crate) async fn new() -> Self {
        static TURN: AtomicU32 = AtomicU32::new(0);
        let turn = TURN.fetch_add(1, Ordering::Relaxed);
        let folder = Folder(std::env::temp_dir().join(format!("cloud-nodes-{}-{turn}", std::process::id())));
        std::fs::create_dir_all(&folder.0).unwrap();
        let url = format!("sqlite:{}", folder.0.join("cloud.db").display());
        let clock = Clock(Arc::new(System.now_ms().into()));
        let (port, fetches) = start_box().await;
        let a = Cloud::start(&url, &clock, port, "a.example.org:51820").await;
        let b = Cloud::start(&url, &clock, port, "b.example.org:51820").await;
        a.reaches.store(false, Ordering::Relaxed);
        for cloud in [&a, &b, &a] {
            cloud.store.beat(&cloud.id, &cloud.node).await.unwrap();
        }
        let address = enrol(&b.store).await;
        b.store.refresh().await.unwrap();
        let answer = b.store.report(address, &report()).await.unwrap();
        let links: Vec<CameraId> = answer.cameras.into_iter().map(|link| link.public_id).collect();
        let stage = Self { clock, a, b, address, links: links.try_into().unwrap(), fetches, _folder: folder };
        stage.refresh().await;
        stage
    }

    pub(crate) async fn refresh(&self) {
        self.a.store.refresh().await.unwrap();
        self.b.store.refresh().await.unwrap();
    }

    pub(crate) fn fetched(&self, path: &str) -> usize {
        self.fetches.lock().unwrap().iter().filter(|fetched| *fetched == path).count()
    }
}

impl Cloud {
    async fn start(url: &str, clock: &Clock, port: u16, endpoint: &str) -> Self {
        let options = store::Options {
            network: "10.13.0.0/16".parse().unwrap(),
            url: "https://video.example.org".to_owned(),
        };
        let store = Store::open(url, options, clock.clone()).await.unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let inner = listener.local_addr().unwrap();
        let node = Node { url: format!("http://{inner}"), endpoint: endpoint.to_owned() };
        let id = nodes::id_of(&node.url);
        store.come_in(&id, &node).await.unwrap();

        let reaches = Arc::new(AtomicBool::new(true));
        let asked_others = Arc::new(AtomicUsize::default());
        let connector: Connector = {
            let (reaches, asked_others) = (reaches.clone(), asked_others.clone());
            Arc::new(move |at| {
                let to = match at {
                    At::Node(address) => {
                        asked_others.fetch_add(1, Ordering::Relaxed);
                        Some(address)
                    }
                    _ => Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
                        .filter(|_| reaches.load(Ordering::Relaxed)),
                };
                Box::pin(async move {
                    let to = to.ok_or_else(|| std::io::Error::other("no such box here"))?;
                    Ok(Box::new(TcpStream::connect(to).await?) as Box<dyn Stream>)
                })
            })
        };
        let options =
            Options { url: "https://video.example.org".into(), cache: 8 << 20, limits: Limits::default() };
        let gateway = Arc::new(Gateway::new(store.directory(), connector, options));
        gateway.seal(Seal::new(&KEY));
        let service = Arc::new(InnerDoor::new(gateway.clone(), Seal::new(&KEY)));
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(door::serve(listener, None, nodes::LIMITS, Arc::default(), service, stopped));
        Self { store, gateway, id, node, inner, reaches, asked_others, _stop: stop }
    }

    pub(crate) async fn get(&self, path: &str) -> Got {
        get(self.gateway.clone(), path.to_owned()).await
    }

    /// The same as a task of its own.
    pub(crate) fn later(&self, path: &str) -> tokio::task::JoinHandle<Got> {
        tokio::spawn(get(self.gateway.clone(), path.to_owned()))
    }

    /// A request at the inner door.
    pub(crate) async fn knock(&self, method: &str, path: &str, seal: Option<String>) -> u16 {
        let stream = TcpStream::connect(self.inner).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(path).header("host", "b");
        if let Some(seal) = seal {
            request = request.header(nodes::HEADER, seal);
        }
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        sender.send_request(request).await.unwrap().status().as_u16()
    }
}

async fn get(gateway: Arc<Gateway<Directory>>, path: String) -> Got {
    let (parts, ()) = Request::get(path).body(()).unwrap().into_parts();
    let (parts, body) = gateway.answer(&parts).await.into_parts();
    let cache = parts.headers.get(CACHE_CONTROL).map_or("", |value| value.to_str().unwrap()).to_owned();
    Got { status: parts.status.as_u16(), cache, body: body.collect().await.unwrap().to_bytes() }
}

/// What the box reports.
pub(crate) fn report() -> Report {
    let camera = |id: &str| {
        serde_json::json!({
            "id": id, "name": format!("Camera {id}"), "state": CameraState::Connecting, "stream": "main", "fps": 25.0,
            "bit_rate": 4_000_000,
        })
    };
    let report = serde_json::json!({
        "version": "1.0", "uptime_s": 1, "time_ms": 1, "cameras": [camera("gate"), camera("yard")],
        "uplink": Uplink::default(),
    });
    serde_json::from_value(report).unwrap()
}

/// The whole way in; gives the box's address inside the tunnel.
async fn enrol(store: &Store) -> Ipv4Addr {
    let identity = Identity::from_seed(&[1; 32]).unwrap();
    let words = Unsigned {
        tunnel_key: [2; 32],
        version: "1.0".to_owned(),
        cloud: "https://video.example.org".to_owned(),
        nonce: [3; 16],
        findable: None,
    };
    let hello = sign_hello(&identity, words);
    let proven = verify_hello(&hello).unwrap();
    let words =
        HelloWords { box_id: &hello.box_id, identity: proven, version: &hello.version, nonce: &hello.nonce };
    let session = store.hello(words).await.unwrap();
    store.claim(&session.code.parse().unwrap(), "ACME").await.unwrap();
    store.join(&sign_join(&identity, &session.session, "ACME", [2; 32])).await.unwrap().address
}

/// A web server that answers as a box does.
async fn start_box() -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let fetches = Arc::new(Mutex::new(Vec::new()));
    let seen = fetches.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let seen = seen.clone();
            let service = service_fn(move |request: Request<hyper::body::Incoming>| {
                let path = request.uri().path_and_query().unwrap().to_string();
                assert!(!request.headers().contains_key(nodes::HEADER), "a seal is no box's affair");
                seen.lock().unwrap().push(path.clone());
                async move { Ok::<_, Infallible>(box_answer(&path).await) }
            });
            let serve = hyper::server::conn::http1::Builder::new();
            tokio::spawn(serve.serve_connection(TokioIo::new(stream), service));
        }
    });
    (port, fetches)
}

async fn box_answer(path: &str) -> Response<Body> {
    let (body, cache) = match path.rsplit('/').next().unwrap() {
        "7.m4s" => (vec![7; 100_000], "public, max-age=31536000, immutable"),
        "live.m3u8" => (b"#EXTM3U".to_vec(), "no-store"),
        name if name.starts_with("live.m3u8?_HLS_msn=9") => (b"#EXTM3U 9".to_vec(), "public, max-age=4"),
        _ => return door::not_found(),
    };
    // Long enough for all who ask at once to wait for one fetch.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut response = Response::new(Body::from(Bytes::from(body)));
    response.headers_mut().insert(CACHE_CONTROL, cache.parse().unwrap());
    response
}
