//! The gateway alone, before one camera of a web server on this machine: what `cargo xtask bench gateway` measures.
//!
//!     cargo run --release -p cloud-stub --example gateway -- LISTEN UPSTREAM CAMERA MIB
//!
//! The link is `/bench/`. Runs until it is killed.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::body::Body;
use cloud_stub::gateway::{
    At, Camera, Connector, Directory, Gateway, Limits, Options, Place, Stream, routes,
};
use door::{Counters, Service, Trouble, Visit};
use hyper::body::Incoming;
use hyper::{Request, Response};
use model::CameraId;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tower::ServiceExt as _;

/// The one link.
struct One(CameraId);

impl Directory for One {
    fn place(&self, public_id: &CameraId) -> Option<Place> {
        (public_id.as_str() == "bench")
            .then(|| Place { at: At::Box(Ipv4Addr::LOCALHOST), camera: self.0.clone() })
    }

    fn public(&self, _: &CameraId) -> bool {
        true
    }

    fn camera(&self, public_id: &CameraId) -> Option<Camera> {
        let name = public_id.to_string();
        self.place(public_id).map(|_| Camera { name, state: None, since_ms: None, heard_ms: None })
    }
}

/// Axum behind the door, as the cloud has it.
struct Front(Router);

impl Service for Front {
    type Body = Body;

    async fn answer(&self, request: Request<Incoming>, _: Visit) -> Response<Body> {
        match self.0.clone().oneshot(request.map(Body::new)).await {
            Ok(response) => response,
            Err(impossible) => match impossible {},
        }
    }

    fn trouble(&self, trouble: Trouble<'_>) {
        eprintln!("{trouble}");
    }
}

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [listen, upstream, camera, mib] = words.as_slice() else {
        anyhow::bail!("LISTEN UPSTREAM CAMERA MIB")
    };
    let (listen, upstream): (SocketAddr, SocketAddr) = (listen.parse()?, upstream.parse()?);
    let mib: u64 = mib.parse()?;
    let camera = CameraId::new(camera).ok().context("no camera id")?;
    let connector: Connector = Arc::new(move |_| {
        Box::pin(async move {
            let stream = TcpStream::connect(upstream).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    });
    let options = Options { url: format!("http://{listen}"), cache: mib << 20, limits: Limits::default() };
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let (_links, directory) = watch::channel(Arc::new(One(camera)));
        let gateway = Arc::new(Gateway::new(directory, connector, options));
        let limits = door::Limits { seats: 20_000, seats_per_peer: 20_000, proxies: Vec::new() };
        let (_stop, stopped) = watch::channel(false);
        let listener = TcpListener::bind(listen).await?;
        let front = Arc::new(Front(routes(gateway)));
        door::serve(listener, None, limits, Arc::new(Counters::default()), front, stopped).await;
        anyhow::Ok(())
    })
}
