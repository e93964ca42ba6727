//! A hub with its directory and front, and boxes with a small web server each; all in this process.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use cloud_stub::hub::{Hub, Options, Reports};
use cloud_stub::store::{BoxRow, BoxState, Directory, Error, Seen};
use model::BoxId;
use model::status::{Answer, Report, Uplink};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tunnel::client::{self, Client};
use tunnel::io::{Handle, Namespace, Tunnel};
use tunnel::keys::PrivateKey;
use tunnel::net::Cidr;

use super::wire::Wire;

/// What a box's web server gives: enough to count as a stream that is watched.
const OBJECT: usize = 40_000;

/// The address of a box inside.
pub(crate) fn address(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 13, 1, number)
}

/// The key of a box.
pub(crate) fn key(number: u8) -> PrivateKey {
    PrivateKey::from_bytes([number; 32])
}

/// A report as a box writes it.
pub(crate) fn report() -> String {
    let report = Report {
        version: "1".into(),
        uptime_s: 1,
        time_ms: 1,
        cameras: Vec::new(),
        uplink: Uplink::default(),
        findable: None,
    };
    serde_json::to_string(&report).unwrap()
}

/// The hub and all around it.
pub(crate) struct Stage {
    hub: Option<Hub>,
    options: Options,
    directory: watch::Sender<Arc<Directory>>,
    reports: Taken,
    pub(crate) wire: Wire,
    front: SocketAddr,
    front_task: Option<(watch::Sender<bool>, JoinHandle<()>)>,
}

#[derive(Clone, Default)]
struct Taken(Arc<Mutex<Vec<Ipv4Addr>>>);

impl Reports for Taken {
    async fn report(&self, from: Ipv4Addr, _: &Report) -> Result<Answer, Error> {
        self.0.lock().unwrap().push(from);
        Ok(Answer { time_ms: 4711, cameras: Vec::new(), hubs: Vec::new() })
    }
}

impl Stage {
    /// A hub that knows so many boxes.
    pub(crate) fn new(boxes: u8) -> Result<Self> {
        // In a network of the scenario's own, and below the ports that the kernel gives away while the hub is down.
        let listen = (Ipv4Addr::LOCALHOST, 5182).into();
        let options = Options { key: [200; 32], listen, network: "10.13.0.0/16".parse()? };
        let front = (Ipv4Addr::LOCALHOST, 4430).into();
        let mut stage = Self {
            hub: None,
            options,
            directory: watch::Sender::new(Arc::default()),
            reports: Taken::default(),
            wire: Wire::new(listen)?,
            front,
            front_task: None,
        };
        stage.enrol(&(1..=boxes).collect::<Vec<_>>());
        stage.open()?;
        Ok(stage)
    }

    fn open(&mut self) -> Result<()> {
        let hub = Hub::start(&self.options, self.directory.subscribe(), self.reports.clone())?;
        let listener = std::net::TcpListener::bind(self.front)?;
        listener.set_nonblocking(true)?;
        let (stop, stopped) = watch::channel(false);
        let served = door::serve(
            TcpListener::from_std(listener)?,
            None,
            door::Limits::default(),
            Arc::default(),
            Arc::new(Front(hub.carrier_door().routes())),
            stopped,
        );
        self.front_task = Some((stop, tokio::spawn(served)));
        self.hub = Some(hub);
        Ok(())
    }

    /// Ends the hub and its front, as a process that ends, and starts them anew, which takes a second.
    pub(crate) async fn restart(&mut self) -> Result<()> {
        if let Some((_, task)) = self.front_task.take() {
            task.abort();
            let _ = task.await;
        }
        drop(self.hub.take());
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.open()
    }

    /// These boxes, and no others, are active from now on.
    pub(crate) fn enrol(&self, boxes: &[u8]) {
        let mut directory = Directory::default();
        for &number in boxes {
            let letter = char::from(b'a' + number).to_string();
            directory.put_box(BoxRow {
                id: BoxId::new(&letter.repeat(BoxId::LENGTH)).unwrap(),
                identity: [number; 32],
                tunnel_key: *key(number).public().as_bytes(),
                address: address(number),
                owner: "ACME".into(),
                state: BoxState::Active,
                enrolled_ms: 0,
                version: String::new(),
                name: String::new(),
                site: String::new(),
                node: String::new(),
                seen: Seen::default(),
            });
        }
        self.directory.send_replace(Arc::new(directory));
    }

    fn hub(&self) -> &Hub {
        self.hub.as_ref().unwrap()
    }

    pub(crate) fn hub_address(&self) -> Ipv4Addr {
        self.hub().address()
    }

    pub(crate) fn listen(&self) -> SocketAddr {
        self.options.listen
    }

    pub(crate) fn public(&self) -> tunnel::keys::PublicKey {
        self.hub().public_key()
    }

    /// WebSockets that are open at the hub.
    pub(crate) fn carriers(&self) -> usize {
        self.hub().carrier_door().open()
    }

    pub(crate) fn reported(&self) -> Vec<Ipv4Addr> {
        self.reports.0.lock().unwrap().clone()
    }

    /// Fetches a box's object through the tunnel, as the gateway does.
    pub(crate) async fn fetch(&self, from: Ipv4Addr, patience: Duration) -> Result<()> {
        let socket = self.hub().handle().tcp_socket()?;
        let fetched = async {
            let mut stream = connect(socket, from).await?;
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).await?;
            if bytes.len() != OBJECT {
                bail!("{} bytes of {OBJECT}", bytes.len());
            }
            Ok(())
        };
        timeout(patience, fetched).await.context("no answer")?
    }
}

async fn connect(socket: OwnedFd, to: Ipv4Addr) -> std::io::Result<TcpStream> {
    TcpSocket::from_std_stream(socket.into()).connect(SocketAddr::from((to, 80))).await
}

/// The cloud's front, as far as the tunnel goes.
struct Front(axum::Router);

impl door::Service for Front {
    type Body = axum::body::Body;

    async fn answer(
        &self,
        mut request: hyper::Request<hyper::body::Incoming>,
        visit: door::Visit,
    ) -> hyper::Response<axum::body::Body> {
        use tower::ServiceExt as _;
        request.extensions_mut().insert(visit);
        let Ok(response) = self.0.clone().oneshot(request.map(axum::body::Body::new)).await;
        response
    }

    fn trouble(&self, _: door::Trouble<'_>) {}
}

/// A box.
pub(crate) struct Box {
    number: u8,
    pub(crate) client: Client,
    handle: Handle,
    hub: Ipv4Addr,
    server: JoinHandle<()>,
    _tunnel: Tunnel,
}

impl Box {
    /// A box that knows UDP only.
    pub(crate) fn new(stage: &Stage, number: u8) -> Result<Self> {
        Self::reaching(stage, number, None)
    }

    /// A box that may open a WebSocket.
    pub(crate) fn with_carrier(stage: &Stage, number: u8) -> Result<Self> {
        Self::reaching(stage, number, Some(format!("ws://{}/tunnel/v1", stage.front)))
    }

    fn reaching(stage: &Stage, number: u8, carrier: Option<String>) -> Result<Self> {
        let tunnel = Tunnel::start(tunnel::io::Options {
            private: key(number),
            addresses: vec![Cidr::host(IpAddr::V4(address(number)))],
            mtu: 1280,
            listen: None,
            handshakes_per_second: 10,
            interface: "box".into(),
            namespace: Namespace::Own,
        })?;
        let handle = tunnel.handle();
        let listener = TcpListener::from_std(handle.listen_tcp((address(number), 80).into())?)?;
        let server = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move { stream.write_all(&vec![7; OBJECT]).await });
            }
        });
        let hub = model::enrol::Hub {
            public_key: stage.public().to_string(),
            endpoints: vec![stage.wire.near.to_string()],
            carrier,
            inner: stage.hub_address(),
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        let options = client::Options { tls: Arc::new(tls), seed: number.into() };
        let client = Client::start(handle.clone(), &[hub], options)?;
        Ok(Self { number, client, handle, hub: stage.hub_address(), server, _tunnel: tunnel })
    }

    pub(crate) fn via(&self) -> Option<&'static str> {
        self.client.status().borrow().via.map(client::Via::name)
    }

    /// Until the cloud gets this box's object.
    pub(crate) async fn fetched(&self, stage: &Stage, patience: Duration) -> Result<()> {
        let start = Instant::now();
        loop {
            let tried = stage.fetch(address(self.number), Duration::from_secs(1)).await;
            if let Err(error) = tried {
                if start.elapsed() > patience {
                    return Err(error.context(format!("not within {patience:?}")));
                }
            } else {
                return Ok(());
            }
        }
    }

    /// Somebody watches for so long, without a stall.
    pub(crate) async fn watch(&self, stage: &Stage, time: Duration) -> Result<()> {
        let start = Instant::now();
        while start.elapsed() < time {
            self.fetched(stage, Duration::from_secs(3)).await?;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    }

    /// Posts to the hub's web server from inside; the status and the body of the answer.
    pub(crate) async fn post(&self, path: &str, body: &str) -> Result<(u16, String)> {
        let posted = async {
            let mut stream = connect(self.handle.tcp_socket()?, self.hub).await?;
            let head = format!(
                "POST {path} HTTP/1.1\r\nHost: hub\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            stream.write_all(head.as_bytes()).await?;
            // A server that refuses may close before it has read everything.
            let _ = stream.write_all(body.as_bytes()).await;
            let mut answer = Vec::new();
            while let Ok(length) = stream.read_buf(&mut answer).await {
                if length == 0 {
                    break;
                }
            }
            let answer = String::from_utf8(answer)?;
            let status = answer.split(' ').nth(1).context("no answer")?.parse()?;
            Ok((status, answer))
        };
        timeout(Duration::from_secs(5), posted).await?
    }
}

impl Drop for Box {
    fn drop(&mut self) {
        self.server.abort();
    }
}
