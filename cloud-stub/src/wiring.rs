//! Puts the cloud together and takes it down again.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context as _;
use axum::{Extension, Router};
use door::{Counters, Hosts, Limits, Service};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::access::{self, Access};
use crate::config::{Config, Http, Tls};
use crate::enrol::Enrolment;
use crate::find::Finder;
use crate::fleet::{self, Fleet};
use crate::gateway::{self, Gateway};
use crate::http::acme::Renewal;
use crate::http::certificate::{Files, Shown};
use crate::http::{Challenges, Front, Metrics, Proxies, Redirect, Source};
use crate::hub::{self, Hub};
use crate::ingest::{self, Claims, Here, Ingest, SourceDesk, Wiring};
use crate::nodes::{self, Hubs, InnerDoor, Seal, Telling};
use crate::people::{Gate, People};
use crate::portal;
use crate::push;
use crate::status::alert::hook::Hooks;
use crate::status::alert::mail::Mailer;
use crate::status::alert::{self, Courier};
use crate::status::{self, Status};
use crate::store::{BoxRow, Node, Options, Store, System, World};
use crate::things::Things;
use crate::updates::Updates;

/// Most connections in all. Each waiting box, carrier and viewer is one.
const SEATS: usize = 20_000;
/// Most connections of one address: an office or a mobile network behind one.
const SEATS_PER_PEER: usize = 2048;
/// What a wrong name is answered with.
const REFUSAL: &str =
    "This cloud does not go by that name. Call it by its url, or add the name to http.hosts.\n";
/// The end may last this long before the process leaves anyway.
const END: Duration = Duration::from_millis(1800);

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// When it cannot start.
pub fn run(config: Config, world: impl World) -> anyhow::Result<()> {
    more_descriptors();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the cloud")?;
    let outcome = runtime.block_on(serve(config, world));
    // Whatever still runs has had its time.
    runtime.shutdown_timeout(Duration::from_millis(100));
    outcome
}

async fn serve(config: Config, world: impl World) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot watch for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot watch for SIGINT")?;
    let front = door::listen(config.http.listen, "[http] listen")?;
    let plain = match config.http.redirect_listen {
        Some(address) => Some(door::listen(address, "[http] redirect_listen")?),
        None => None,
    };
    let encoders = match &config.rtmp {
        Some(rtmp) => Some((door::listen(rtmp.listen, "[rtmp] listen")?, rtmp.url.clone())),
        None => None,
    };
    let handed_down = door::inherited()?;
    let options = Options { network: config.hub.network, url: config.http.base() };
    let store = Store::open(config.store.expose(), options, world).await?;
    let cluster = Cluster::come_in(&config, &store).await?;
    let hub =
        hub::Options { key: store.hub_key().await?, listen: config.hub.listen, network: config.hub.network };
    let hubs = Hubs::new(&config, &hub.public_key().to_string(), store.directory());
    let tunnel: Arc<OnceLock<tunnel::io::Handle>> = Arc::default();
    let node = cluster.as_ref().map(|cluster| cluster.id.clone());
    let status = Status::new(store.clone(), watch_over(&config, tunnel.clone(), node)?);
    let hub = Hub::start(&hub, store.directory(), Telling::new(status.clone(), hubs))
        .with_context(|| format!("cannot start the hub at UDP {} ([hub] listen)", config.hub.listen))?;
    // Set once: nothing asks before the hub hears somebody.
    let _ = tunnel.set(hub.handle());
    let (stop, stopped) = watch::channel(false);
    let mut tasks = vec![tokio::spawn(store.clone().follow()), tokio::spawn(status.clone().keep())];
    let floor = ingest::floor(&store).await?;
    tasks.push(tokio::spawn(ingest::keep_floor(store.clone(), floor)));

    let challenges = Challenges::default();
    let acceptor = certificates(&config.http, &store, &challenges, &mut tasks).await?;
    let counters = Arc::new(Counters::default());
    let proxies = Proxies::new(&config.http.proxies);
    let mut registry = Registry::with_prefix("cloud");
    let options = gateway::Options {
        url: config.http.base(),
        cache: config.cache_bytes,
        limits: gateway::Limits::default(),
    };
    let access = Arc::new(Access::start(store.clone(), &config.access)?);
    let here = Here::new(floor);
    let claims = Claims::default();
    let ingest = Ingest::start(&config, &status, here.clone(), claims.clone(), hub.handle()).await?;
    let gateway = Gateway::new(store.directory(), gateway::inside(hub.handle()), options);
    let gateway = Arc::new(gateway.with_admission(access).with_here(here.clone()));
    gateway.register(&mut registry);
    let mut doors = Vec::new();
    if let Some((listener, url)) = encoders {
        let listener = TcpListener::from_std(listener).context("cannot use [rtmp] listen")?;
        let door = push::Door::new(&config.cameras, store.directory(), here.clone(), claims, url);
        let door = Arc::new(door);
        door.register(&mut registry);
        doors.push(tokio::spawn(door.serve(listener, stopped.clone())));
    }
    if let Some(cluster) = &cluster {
        gateway.seal(cluster.seal.clone());
        tasks.push(tokio::spawn(nodes::beat(store.clone(), cluster.id.clone(), cluster.node.clone())));
        let service = InnerDoor::new(gateway.clone(), cluster.seal.clone());
        let listener = cluster.listener.try_clone().context("cannot use [cluster] listen")?;
        doors.push(open(listener, None, nodes::LIMITS, Arc::default(), service, &stopped)?);
    }
    let routes = gateway::routes(gateway)
        .merge(portal::routes())
        .merge(hub.carrier_door().routes())
        .merge(Finder::new(store.clone()).routes())
        .merge(Enrolment::new(store.clone(), &config, &hub.public_key().to_string()).routes());
    let fleet = Fleet::new(store.clone(), config.updates.as_ref());
    tasks.push(tokio::spawn(fleet.clone().keep()));
    let routes = match &config.updates {
        Some(updates) => routes.merge(Updates::open(updates, fleet.clone())?.routes()),
        None => routes,
    };
    let source = Source { store: store.clone(), door: counters.clone() };
    let routes = routes.merge(portal(&store, &config, &status, &fleet));
    let metrics = Arc::new(Metrics::new(registry, source));
    let names = config.http.hosts.iter().map(String::as_str).chain(config.http.url.host_str());
    let service = Front::new(routes, metrics, Hosts::new(names, REFUSAL), proxies.clone());

    let limits = Limits { seats: SEATS, seats_per_peer: SEATS_PER_PEER, proxies: proxies.addresses() };
    let address = front.local_addr().context("cannot ask for the pages' address")?;
    // Whoever opened it for us stands before it, as a proxy would.
    if let Some(plain) = handed_down {
        doors.push(open(plain, None, limits.clone(), counters.clone(), service.clone(), &stopped)?);
    }
    doors.push(open(front, acceptor, limits.clone(), counters.clone(), service, &stopped)?);
    if let Some(plain) = plain {
        let service = Redirect { challenges, base: config.http.base() };
        doors.push(open(plain, None, limits, counters, service, &stopped)?);
    }
    for line in greeting(&config, address) {
        println!("{line}");
    }
    tracing::info!("started");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    stop.send_replace(true);
    let end = async {
        for door in doors {
            let _ = door.await;
        }
        ingest.end().await;
        for task in &tasks {
            task.abort();
        }
        if let Err(error) = status.flush(true).await {
            tracing::warn!("{error}");
        }
        if let Err(error) = fleet.keep_fold(fleet::WORTH_KEEPING).await {
            tracing::warn!("{error}; the next start reads more");
        }
        if let Some(cluster) = &cluster {
            store.leave(&cluster.id).await?;
        }
        store.close().await
    };
    match tokio::time::timeout(END, end).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!("{error}"),
        Err(_) => tracing::warn!("not everything ended in time"),
    }
    Ok(())
}

/// What the portal's pages ask for: everything under `/api/v1` that is for people.
pub fn portal(store: &Store, config: &Config, status: &Status, fleet: &Fleet) -> Router {
    let push_url = config.rtmp.as_ref().map(|rtmp| rtmp.url.clone());
    People::new(store.clone())
        .routes()
        .merge(access::routes(store.clone()))
        .merge(Things::new(store.clone()).routes())
        .merge(SourceDesk::new(store.clone(), ingest::rule(config), push_url, Wiring::new(config)).routes())
        .merge(status::routes(status.clone()))
        .merge(fleet::routes(fleet.clone()))
        .layer(Extension(Gate::new(store.clone(), config)))
}

/// This cloud among those that share its database.
struct Cluster {
    id: String,
    node: Node,
    seal: Seal,
    listener: std::net::TcpListener,
}

impl Cluster {
    /// Opens its door and writes it down, where the configuration wants that.
    async fn come_in(config: &Config, store: &Store) -> anyhow::Result<Option<Self>> {
        let Some(cluster) = &config.cluster else { return Ok(None) };
        let listener = door::listen(cluster.listen, "[cluster] listen")?;
        let node = Node { url: cluster.url.clone(), endpoint: config.hub.endpoint.clone() };
        let id = nodes::id_of(&node.url);
        store.come_in(&id, &node).await?;
        Ok(Some(Self { id, node, seal: Seal::new(&store.cluster_key().await?), listener }))
    }
}

/// How cameras are watched over: what the tunnel knows of a box, and who is told.
fn watch_over(
    config: &Config,
    tunnel: Arc<OnceLock<tunnel::io::Handle>>,
    node: Option<String>,
) -> anyhow::Result<status::Options> {
    let mailer = config.mail.as_ref().map(Mailer::new).transpose().context("[mail]")?;
    let own = match config.http.url.host() {
        Some(url::Host::Ipv4(address)) => vec![address.into()],
        Some(url::Host::Ipv6(address)) => vec![address.into()],
        _ => Vec::new(),
    };
    let rule = ingest::Rule { private: config.alerts.private, own };
    let hooks = Hooks::new(rule, config.alerts.ca.as_deref()).context("[alerts] ca")?;
    let courier = Courier::new(config.http.base(), mailer, hooks, alert::TRIES.to_vec());
    let sign = move |row: &BoxRow| {
        let peer = tunnel.get()?.peer(&tunnel::keys::PublicKey::from_bytes(row.tunnel_key))?;
        let ago = u64::try_from(peer.last_received?.as_millis()).ok()?;
        System.now_ms().checked_sub(ago)
    };
    Ok(status::Options { sign: Box::new(sign), node, courier })
}

/// Begins to take connections.
fn open<S: Service>(
    listener: std::net::TcpListener,
    tls: Option<TlsAcceptor>,
    limits: Limits,
    counters: Arc<Counters>,
    service: S,
    stopped: &watch::Receiver<bool>,
) -> anyhow::Result<JoinHandle<()>> {
    let listener = TcpListener::from_std(listener).context("cannot use a listening socket")?;
    Ok(tokio::spawn(door::serve(listener, tls, limits, counters, Arc::new(service), stopped.clone())))
}

/// TLS as the operator chose it, and the tasks that keep its certificate fresh.
async fn certificates(
    http: &Http,
    store: &Store,
    challenges: &Challenges,
    tasks: &mut Vec<JoinHandle<()>>,
) -> anyhow::Result<Option<TlsAcceptor>> {
    let shown = Shown::default();
    match &http.tls {
        Tls::Off => return Ok(None),
        Tls::Files { cert, key } => {
            let files = Files::open(cert, key, shown.clone()).context("[http] cert and key")?;
            tasks.push(tokio::spawn(files.watch()));
        }
        Tls::Acme(acme) => {
            let names = http.url.domain().into_iter().map(str::to_owned).chain(http.hosts.iter().cloned());
            let renewal = Renewal::new(store.clone(), acme.clone(), names, challenges.clone(), shown.clone());
            renewal.show_kept().await?;
            tasks.push(tokio::spawn(renewal.keep()));
        }
    }
    Ok(Some(TlsAcceptor::from(shown.server_config()?)))
}

/// The lines that tell where the cloud is and what to do next.
fn greeting(config: &Config, listening: SocketAddr) -> Vec<String> {
    let base = config.http.base();
    let mut lines = vec![
        format!("listening: {listening} ({})", if config.http.tls == Tls::Off { "plain" } else { "TLS" }),
        format!("links begin with: {base}/"),
        format!("boxes enrol at: {base} and find the hub at {}", config.hub.endpoint),
        "claim a box: cloud --config FILE claim CODE --owner NAME, with the code that the box's page shows"
            .to_owned(),
    ];
    if let Some(rtmp) = &config.rtmp {
        lines.push(format!("encoders send to: {}/KEY", rtmp.url));
    }
    lines
}

/// Takes as many descriptors as the administrator allows: one per connection.
fn more_descriptors() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // Without it, fewer find room; nothing else changes.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}
