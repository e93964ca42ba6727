//! The hub: the cloud's end of every box's tunnel, in one process with gateway and store.
//!
//! * Its peers are the directory's active boxes and its peers with a camera, at every moment ([`peers`]); it forwards nothing
//!   between them, and lets nothing in but HTTP, and the cameras' answers ([`filter`]).
//! * It answers every ping, for by that a box knows that its way works; it never speaks first to a box that it has not
//!   heard, for it has no other way to know where the box is.
//! * Boxes report to it from inside the tunnel ([`status`]), and come by UDP or in a WebSocket ([`carriers`]).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::routing::get;
use axum::{Extension, Router};
use door::{Counters, Limits, Visit};
use hyper::{Request, Response};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tunnel::io::{Handle, Namespace, Tunnel};
use tunnel::keys::PrivateKey;
use tunnel::net::Cidr;

use crate::http::not_found;
use crate::store::{Directory, Network};

mod bucket;
mod carriers;
mod filter;
mod peers;
mod status;

use carriers::Carriers;
pub(crate) use filter::RTSP;
pub use status::Reports;

/// Inside the tunnel, as on an Ethernet with WireGuard's overhead over IPv6; boxes begin with less and find out.
const MTU: u16 = 1420;
/// Handshakes per second beyond which a cookie is asked for. One takes some 0.2 ms of one core, so that this leaves room
/// for the streams that run.
const HANDSHAKES_PER_SECOND: u64 = 2000;
/// Connections to the web server inside: each box has one at a time, and a second while the first is closing.
const SEATS: usize = 4096;
const SEATS_PER_BOX: usize = 4;

/// What a hub is made from.
#[derive(Debug, Clone)]
pub struct Options {
    /// Its key; all hubs of one store have the same.
    pub key: [u8; 32],
    /// Where it listens for UDP.
    pub listen: SocketAddr,
    /// The boxes' network, of which the hub has the first address.
    pub network: Network,
}

impl Options {
    /// Its name among WireGuard's peers.
    pub fn public_key(&self) -> tunnel::keys::PublicKey {
        PrivateKey::from_bytes(self.key).public()
    }
}

/// Why there is no hub.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The tunnel.
    #[error(transparent)]
    Tunnel(#[from] tunnel::io::Error),
    /// The web server inside.
    #[error("cannot listen on {address} inside the tunnel: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the kernel said.
        source: std::io::Error,
    },
}

/// A hub that runs. Dropping it ends it.
pub struct Hub {
    handle: Handle,
    address: Ipv4Addr,
    public: tunnel::keys::PublicKey,
    carriers: Arc<Carriers>,
    /// Dropped before the tunnel.
    _tasks: JoinSet<()>,
    _stop: watch::Sender<bool>,
    _tunnel: Tunnel,
}

impl Hub {
    /// Starts a hub whose peers follow `directory` and whose boxes report to `reports`. Call it within a tokio runtime.
    ///
    /// # Errors
    /// Without the rights to make a tunnel, or when the port is taken.
    pub fn start(
        options: &Options,
        directory: watch::Receiver<Arc<Directory>>,
        reports: impl Reports,
    ) -> Result<Self, Error> {
        let private = PrivateKey::from_bytes(options.key);
        let public = private.public();
        let address = options.network.hub();
        let tunnel = Tunnel::start(tunnel::io::Options {
            private,
            addresses: vec![Cidr { address: IpAddr::V4(address), prefix: options.network.prefix() }],
            mtu: MTU,
            listen: Some(options.listen),
            handshakes_per_second: HANDSHAKES_PER_SECOND,
            interface: "hub0".to_owned(),
            namespace: Namespace::Own,
        })?;
        let handle = tunnel.handle();
        let cameras = filter::Cameras::default();
        let passes = cameras.clone();
        handle.set_filter(move |ip| passes.passes(ip));
        handle.answer_pings(true);

        let inside = SocketAddr::from((address, filter::HTTP));
        let listener = handle
            .listen_tcp(inside)
            .and_then(tokio::net::TcpListener::from_std)
            .map_err(|source| Error::Listen { address: inside, source })?;
        let limits = Limits { seats: SEATS, seats_per_peer: SEATS_PER_BOX, ..Limits::default() };
        let (stop, stopped) = watch::channel(false);
        let carriers = Carriers::new(handle.clone());
        let mut tasks = JoinSet::new();
        let counters = Arc::new(Counters::default());
        let service = Arc::new(status::Status::new(reports));
        tasks.spawn(door::serve(listener, None, limits, counters, service, stopped));
        tasks.spawn(peers::follow(handle.clone(), cameras, directory));
        tasks.spawn(Arc::clone(&carriers).tidy());
        Ok(Self { handle, address, public, carriers, _tasks: tasks, _stop: stop, _tunnel: tunnel })
    }

    /// The tunnel: sockets to the boxes, and what is known of them.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// The hub's address inside the tunnel.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Its name among WireGuard's peers.
    pub fn public_key(&self) -> tunnel::keys::PublicKey {
        self.public
    }

    /// Where boxes come in by WebSocket.
    pub fn carrier_door(&self) -> CarrierDoor {
        CarrierDoor(Arc::clone(&self.carriers))
    }
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Where boxes come in by WebSocket.
#[derive(Clone)]
pub struct CarrierDoor(Arc<Carriers>);

impl CarrierDoor {
    /// `GET /tunnel/v1`, for a front that gives each request the [`Visit`] it belongs to.
    pub fn routes(self) -> Router {
        Router::new().route("/tunnel/v1", get(tunnel)).with_state(self)
    }

    /// WebSockets open now.
    pub fn open(&self) -> usize {
        self.0.len()
    }
}

/// A WebSocket with the subprotocol `wireguard` is answered by 101, and the visit, with its seat at the door, is kept for
/// as long as it lasts; any other request finds nothing here.
async fn tunnel(
    State(door): State<CarrierDoor>,
    Extension(visit): Extension<Visit>,
    mut request: Request<Body>,
) -> Response<Body> {
    door.0.upgrade(&mut request, visit).unwrap_or_else(not_found)
}

impl std::fmt::Debug for CarrierDoor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CarrierDoor").field("open", &self.open()).finish()
    }
}
