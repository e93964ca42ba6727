//! A gateway, its links, and the box behind it.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use cloud_stub::gateway::{At, Camera, Connector, Directory, Gateway, Limits, Options, Place, Stream};
use door::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, HeaderMap};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use model::CameraId;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub(crate) const GATE: &str = "gateaaaaaaaaaaaaaaaaaaaaaa";
pub(crate) const YARD: &str = "yardaaaaaaaaaaaaaaaaaaaaaa";
pub(crate) const IMMUTABLE: &str = "public, max-age=31536000, immutable";
pub(crate) const BOX: Ipv4Addr = Ipv4Addr::new(10, 13, 1, 1);
const KEPT: u64 = 8 << 20;

pub(crate) fn id(text: &str) -> CameraId {
    CameraId::new(text).unwrap()
}

/// Links by public id.
#[derive(Clone, Default)]
pub(crate) struct Links(pub(crate) HashMap<CameraId, (Place, Camera)>);

impl Links {
    pub(crate) fn with(mut self, public: &str, address: Ipv4Addr, camera: &str) -> Self {
        let camera_of = Camera { name: camera.into(), state: None, since_ms: None, heard_ms: None };
        self.0.insert(id(public), (Place { at: At::Box(address), camera: id(camera) }, camera_of));
        self
    }
}

impl Directory for Links {
    fn place(&self, public_id: &CameraId) -> Option<Place> {
        self.0.get(public_id).map(|(place, _)| place.clone())
    }

    fn public(&self, _: &CameraId) -> bool {
        true
    }

    fn camera(&self, public_id: &CameraId) -> Option<Camera> {
        self.0.get(public_id).map(|(_, camera)| camera.clone())
    }
}

/// A gateway and the means to change its world.
pub(crate) struct Stage {
    pub(crate) gateway: Arc<Gateway<Links>>,
    pub(crate) links: watch::Sender<Arc<Links>>,
}

/// An answer, read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Got {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

impl Stage {
    /// GATE is `gate` and YARD is `yard` of the box at this port.
    pub(crate) fn before(port: u16) -> Self {
        Self::with(port, KEPT, Limits::default())
    }

    pub(crate) fn with(port: u16, cache: u64, limits: Limits) -> Self {
        Self::of(&[(BOX, port)], cache, limits)
    }

    /// The same with several boxes.
    pub(crate) fn of(boxes: &[(Ipv4Addr, u16)], cache: u64, limits: Limits) -> Self {
        let links = Links::default().with(GATE, BOX, "gate").with(YARD, BOX, "yard");
        let (links, directory) = watch::channel(Arc::new(links));
        let boxes: HashMap<Ipv4Addr, u16> = boxes.iter().copied().collect();
        let connector: Connector = Arc::new(move |at| {
            let At::Box(address) = at else { panic!("there are only boxes") };
            let port = *boxes.get(&address).expect("only addresses of boxes are ever contacted");
            Box::pin(async move {
                let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
                stream.set_nodelay(true)?;
                Ok(Box::new(stream) as Box<dyn Stream>)
            })
        });
        let options = Options { url: "https://video.example.org".into(), cache, limits };
        Self { gateway: Arc::new(Gateway::new(directory, connector, options)), links }
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Links)) {
        let mut links = Links::clone(&self.links.borrow());
        change(&mut links);
        self.links.send_replace(Arc::new(links));
    }

    pub(crate) async fn get(&self, path: &str) -> Got {
        self.ask(Method::GET, path, &[]).await
    }

    pub(crate) async fn ask(&self, method: Method, path: &str, headers: &[(&'static str, &str)]) -> Got {
        ask(self.gateway.clone(), method, path, headers).await
    }

    /// The same as a task of its own.
    pub(crate) fn later(&self, path: &str) -> tokio::task::JoinHandle<Got> {
        let (gateway, path) = (self.gateway.clone(), path.to_owned());
        tokio::spawn(async move { ask(gateway, Method::GET, &path, &[]).await })
    }
}

async fn ask(
    gateway: Arc<Gateway<Links>>,
    method: Method,
    path: &str,
    headers: &[(&'static str, &str)],
) -> Got {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (parts, ()) = request.body(()).unwrap().into_parts();
    let response = gateway.answer(&parts).await;
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Got { status: parts.status.as_u16(), headers: parts.headers, body }
}

/// Which requests a box got, in order.
#[derive(Clone, Default)]
pub(crate) struct Fetches(Arc<Mutex<Vec<String>>>);

impl Fetches {
    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn of(&self, path: &str) -> usize {
        self.all().iter().filter(|fetched| *fetched == path).count()
    }
}

/// Starts a box that answers like this; gives its port and what it was asked.
pub(crate) async fn start_box<A, F>(answer: A) -> (u16, Fetches)
where
    A: Fn(String) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send,
{
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let fetches = Fetches::default();
    let seen = fetches.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (answer, seen) = (answer.clone(), seen.clone());
            let service = service_fn(move |request: Request<Incoming>| {
                let path = request.uri().path_and_query().unwrap().to_string();
                assert!(request.headers()["host"].to_str().unwrap().starts_with("10.13.1."));
                seen.0.lock().unwrap().push(path.clone());
                let answer = answer.clone();
                async move { Ok::<_, Infallible>(answer(path).await) }
            });
            tokio::spawn(
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    (port, fetches)
}

/// 200 with this body.
pub(crate) fn found(cache_control: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::from(body.into()));
    response.headers_mut().insert(CACHE_CONTROL, cache_control.parse().unwrap());
    response
}

/// Anything but 200.
pub(crate) fn refused(status: u16) -> Response<Body> {
    door::text(StatusCode::from_u16(status).unwrap(), "what a box says")
}

/// A box like ours: segments last, playlists do not, a reload for segment 9 blocks for 100 ms, one for later for ever.
pub(crate) async fn ordinary(path: String) -> Response<Body> {
    let (_, name) = path[1..].split_once('/').unwrap();
    match name {
        "index.m3u8" | "live.m3u8" => found("no-store", "#EXTM3U"),
        _ if name.starts_with("live.m3u8?_HLS_msn=9") => {
            tokio::time::sleep(Duration::from_millis(100)).await;
            found("public, max-age=4", "#EXTM3U 9")
        }
        _ if name.starts_with("live.m3u8?_HLS_msn") => std::future::pending().await,
        "7.m4s" => found(IMMUTABLE, "0123456789"),
        "8.m4s" => {
            tokio::time::sleep(Duration::from_millis(100)).await;
            found(IMMUTABLE, vec![8; 100_000])
        }
        "503.m4s" => refused(503),
        _ => refused(404),
    }
}

/// Waits until something is true.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..400 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{what}: not within 2 s");
}
