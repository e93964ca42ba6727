//! Puts the box together and takes it down again.
//!
//! Four threads: this one runs the supervisor and the links from the workers, another one the front door, so that a
//! crowd of viewers does not hold back a camera, the third one deals with the cloud, if one is wanted, and the fourth
//! one tells the LAN where the box is and shows it by its lights.

use std::future::pending;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener as StdTcpListener};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use camera::Source;
use nix::net::if_::InterfaceFlags;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::adopt::Adoption;
use crate::beside;
use crate::certificate::Certificate;
use crate::cloud::{self, Cloud, Files, Keys, RealTime, Time};
use crate::config::{Config, Discovery, Http, TlsListen, Usb};
use crate::data;
use crate::door::{self, Hosts, Way};
use crate::facts;
use crate::floor::Floor;
use crate::label;
use crate::lan;
use crate::log::Lines;
use crate::logins::Logins;
use crate::moved;
use crate::names::Names;
use crate::owner::{self, Owner};
use crate::ping;
use crate::setup_process;
use crate::state::Shared;
use crate::stick;
use crate::supervisor::{Supervisor, now};
use crate::updater;

/// Heaps of the C library: one per thread that moves media.
const HEAPS: i32 = 2;
/// How long the supervisor's thread rests before it looks again for what workers sent. Frames of several cameras then
/// arrive in one wake-up: 32 cameras of 25 frames/s wake it 200 times a second instead of 800. Adds half of it to the
/// latency, on average.
const REST: Duration = Duration::from_millis(5);
/// How often the search for cameras hears at the latest which ones the owner has, and the owner's part when each device was
/// last heard: that alone is no change, but tells a camera from the one that took its place.
const TELL_EVERY: Duration = Duration::from_secs(5);
/// The whole end may last this long before the process leaves anyway.
const END: Duration = Duration::from_millis(1800);

/// The running front door.
type Door = std::thread::JoinHandle<io::Result<()>>;

/// What the owner's part of the box is made of, before the supervisor runs.
struct Kept {
    lines: Lines,
    time: Arc<Time>,
    files: Files,
    page: Option<UnixListener>,
    updater: Option<updater::Keep>,
}

/// The threads beside the supervisor's.
struct Threads {
    door: Door,
    beside: std::thread::JoinHandle<()>,
    cloud: Option<std::thread::JoinHandle<()>>,
}

/// Why the box ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It was told to.
    Stopped,
    /// The owner wants it to start anew.
    Again,
}

/// Runs the box until SIGTERM or SIGINT, or until the owner wants it to start anew. `lines` are what it logs.
///
/// # Errors
/// When it cannot start.
pub(crate) fn run(config: Config, lines: Lines) -> anyhow::Result<End> {
    sandbox::limit_heaps(HEAPS);
    more_descriptors();
    let (listener, inherited) = listener(config.http.listen)?;
    let address = listener.local_addr().context("cannot ask for the pages' address")?;
    let tunnel = config.tunnel.clone();
    let cloud = Cloud::new(
        tunnel.as_ref().map(|tunnel| tunnel.cloud.clone()),
        tunnel.as_ref().and_then(|tunnel| tunnel.uplink),
    );
    let shared = Shared::new(cloud);
    let (stop, stopped) = watch::channel(false);
    let (way, page) = set_up_page(&config).unzip();
    let guard = facts::inherited().context("cannot use the guard's socket")?;
    let facts = facts::Sources {
        shared: shared.clone(),
        way: way.clone(),
        state_dir: config.state_dir.clone(),
        source: config.board.map.is_some()
            && config.update.enabled
            && (!config.update.mirrors.is_empty() || config.update.cloud.unwrap_or(tunnel.is_some())),
        silent: config.guard.silent,
    };
    let updater = updater::Keep::new(&config, guard.is_some());
    let files = Files::new(&config.state_dir);
    // Before anything counts from the clock. Whoever wants no cloud keeps the clock as it is.
    let open = if tunnel.is_some() { Time::open } else { Time::look };
    let time = Arc::new(open(files.clone(), Box::new(RealTime)));

    let own_name =
        nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let names = find_me(&config, address, &files, &shared);
    let mut host_names = config.http.hosts.clone();
    host_names.extend(names.iter().flat_map(Names::hosts));
    let hosts = door::hosts(&own_name, &host_names);
    let mut listeners = vec![(listener, None)];
    let mut certificate = None;
    if let Some(listener) = secure_listener(&config.http, address, inherited)? {
        shared.whereabouts().set_secure_door(listener.local_addr().context("cannot ask for the TLS port")?);
        let kept = Certificate::open(files.clone(), shared.whereabouts().clone(), &own_name)?;
        listeners.push((listener, Some(TlsAcceptor::from(kept.tls()?))));
        certificate = Some(kept);
    }
    let (board, state_dir) = (config.board.clone(), config.state_dir.clone());
    let kept = Kept { lines, time: time.clone(), files: files.clone(), page, updater };
    let pages = pages(address);
    let open_doors = {
        let (shared, stopped) = (shared.clone(), stopped.clone());
        move |owner: Owner| {
            for page in &pages {
                println!("page: {page}");
            }
            if let Some(secure) = shared.whereabouts().secure() {
                println!("over TLS: {} (SHA-256 fingerprint {})", secure.pages.join(" "), secure.fingerprint);
            }
            if let Some(label) = shared.whereabouts().label() {
                println!("label: {label}");
            }
            let held = move || {
                if let Err(error) = owner.forget_all() {
                    tracing::warn!(%error, "the box cannot forget what it knows ([state] dir)");
                }
            };
            let beside = beside::Options { names, certificate, board, state_dir, held: Box::new(held) };
            let beside = beside::start(beside, shared.clone(), stopped.clone())?;
            if let Some(tunnel) = tunnel {
                let page = pages.first().cloned().unwrap_or_default();
                let options = cloud::Options { ca: tunnel.ca, consent: tunnel.join, page };
                let cloud = cloud::start(options, files, shared.clone(), time, stopped.clone())?;
                return Ok(Threads {
                    door: door(listeners, shared, hosts, way, stopped)?,
                    beside,
                    cloud: Some(cloud),
                });
            }
            Ok(Threads { door: door(listeners, shared, hosts, way, stopped)?, beside, cloud: None })
        }
    };
    let runtime = Builder::new_current_thread()
        .enable_all()
        .on_thread_park(|| std::thread::sleep(REST))
        .build()
        .context("cannot start the supervisor")?;
    let (threads, end) = runtime.block_on(supervise(
        config,
        shared,
        kept,
        facts::tell(guard, facts),
        &stop,
        stopped,
        open_doors,
    ))?;
    if threads.cloud.is_some_and(|cloud| cloud.join().is_err()) {
        tracing::error!("the part that talks to the cloud stopped unexpectedly");
    }
    if threads.beside.join().is_err() {
        tracing::error!("the part that announces the box stopped unexpectedly");
    }
    match threads.door.join() {
        Ok(outcome) => outcome.context("the front door failed").map(|()| end),
        Err(_) => bail!("the front door stopped unexpectedly"),
    }
}

/// The front door in a thread of its own: each listening socket, plain or with TLS.
fn door(
    listeners: Vec<(StdTcpListener, Option<TlsAcceptor>)>,
    shared: Shared,
    hosts: Hosts,
    way: Option<Way>,
    stopped: watch::Receiver<bool>,
) -> anyhow::Result<Door> {
    let runtime =
        Builder::new_current_thread().enable_all().build().context("cannot start the front door")?;
    let serve = move || {
        runtime.block_on(async {
            let mut doors = JoinSet::new();
            // This thread rests from nothing, so that what is measured is the way and not the thread.
            let pings = tokio::spawn(ping::keep(shared.clone()));
            for (listener, tls) in listeners {
                let listener = TcpListener::from_std(listener)?;
                let (shared, hosts, stopped) = (shared.clone(), hosts.clone(), stopped.clone());
                doors.spawn(door::serve(listener, tls, shared, hosts, way.clone(), stopped));
            }
            doors.join_all().await;
            pings.abort();
            Ok(())
        })
    };
    std::thread::Builder::new().name("door".to_owned()).spawn(serve).context("cannot start the front door")
}

async fn supervise(
    config: Config,
    shared: Shared,
    kept: Kept,
    facts: impl Future<Output = ()>,
    stop: &watch::Sender<bool>,
    stopped: watch::Receiver<bool>,
    open_doors: impl FnOnce(Owner) -> anyhow::Result<Threads>,
) -> anyhow::Result<(Threads, End)> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot watch for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot watch for SIGINT")?;
    let floor = Arc::new(Floor::open(&config.state_dir, now()));
    let (move_told, moves) = watch::channel(());
    let Kept { lines, time, files, page, updater } = kept;
    let tree = data::open(&config.state_dir);
    let logins = Logins::open(Files::new(&tree));
    let supervisor =
        Supervisor::new(shared.clone(), config.hls, floor.clone(), logins.clone(), moves, stopped.clone());
    let owner = Owner::open(owner::Parts {
        shared: shared.clone(),
        supervisor: supervisor.clone(),
        logins,
        lines,
        time: time.clone(),
        files: files.clone(),
        tree: Files::new(&tree),
        secrets: config.discovery.password.iter().cloned().collect(),
    });
    for source in &config.cameras {
        if let Some(camera) = supervisor.add(source, None)? {
            owner.streams(source, &camera);
        }
    }
    owner.start();
    let lines = {
        let owner = owner.clone();
        Box::new(move || owner.journal())
    };
    // Only a box that takes updates touches what is plugged in.
    let usb = if updater.is_some() { &config.update.usb } else { &Usb::Off };
    let stick = stick::watch(usb).context("cannot watch for USB sticks")?;
    let around = updater::Around { shared: shared.clone(), time, files, lines, stick };
    let updates = async {
        match updater {
            Some(keep) => keep.alive(&around, stopped.clone()).await,
            None => pending().await,
        }
    };
    let page = keep_page(page, config.setup.claim, &owner, stopped.clone());
    // Whoever comes in finds all cameras listed.
    let threads = open_doors(owner.clone())?;
    tracing::info!(cameras = shared.cameras().len(), "started");
    let end = tokio::select! {
        _ = terminate.recv() => End::Stopped,
        _ = interrupt.recv() => End::Stopped,
        () = owner.ended() => End::Again,
        () = owner.watch() => End::Stopped,
        () = keep_time(&floor, &config.state_dir) => End::Stopped,
        never = moved::watch(&move_told) => match never {},
        () = page => End::Stopped,
        () = facts => End::Stopped,
        () = updates => End::Again,
        outcome = discover(config.discovery, &tree, &config.cameras, &shared, &supervisor, &owner) => {
            outcome.map(|()| End::Stopped)?
        }
    };
    tracing::info!(?end, "stopping");
    around.keep_journal();
    stop.send_replace(true);
    owner.finish();
    if tokio::time::timeout(END, supervisor.finish()).await.is_err() {
        tracing::warn!("not every worker ended in time");
    }
    Ok((threads, end))
}

/// The set-up page's socket, and the front door's way there; `None` when there is no page.
fn set_up_page(config: &Config) -> Option<(Way, UnixListener)> {
    if !config.setup.enabled {
        return None;
    }
    // Whoever has written cameras into a file has set the box up already.
    let inviting = config.cameras.is_empty() && !config.discovery.adopt;
    match setup_process::listen(&config.state_dir) {
        Ok((listener, address)) => Some((Way::new(address, inviting), listener)),
        Err(error) => {
            tracing::warn!(%error, "there is no set-up page: its socket cannot be made in any directory");
            None
        }
    }
}

/// Keeps the set-up page's process, for ever.
async fn keep_page(
    listener: Option<UnixListener>,
    claim: Duration,
    owner: &Owner,
    stopped: watch::Receiver<bool>,
) {
    let Some(listener) = listener else { return pending().await };
    setup_process::keep(listener, claim, stopped, async |socket| {
        owner::desk::serve(socket, owner.clone()).await;
    })
    .await;
}

/// Keeps the time for the next start, for ever.
async fn keep_time(floor: &Floor, directory: &Path) {
    let mut complained = false;
    loop {
        if let Err(error) = floor.keep(now()) {
            if !complained {
                tracing::warn!(directory = %directory.display(), %error, "cannot keep the time for the next start ([state] dir)");
            }
            complained = true;
        }
        tokio::time::sleep(feed::KEEP_EVERY).await;
    }
}

/// Keeps the list of devices, and adopts them when the owner wants that. Never returns but with an error.
async fn discover(
    options: Discovery,
    tree: &Path,
    configured: &[Source],
    shared: &Shared,
    supervisor: &Supervisor,
    owner: &Owner,
) -> anyhow::Result<()> {
    if !options.enabled {
        return pending().await;
    }
    let lan = lan::start(lan::Options {
        interfaces: options.interfaces,
        sweep: options.sweep,
        state_dir: Some(tree.to_owned()),
    });
    let mut changes = lan.changes();
    owner.set_reach(lan.reach());
    let mut adoption = options.adopt.then(|| Adoption::new(options.user, options.password, configured));
    loop {
        changes.mark_unchanged();
        let devices = lan.devices();
        let mut next_look = None;
        if let Some(adoption) = &mut adoption {
            adoption.taken(owner.addresses());
            let (adopted, next) = adoption.look(&devices, Instant::now());
            for (source, key) in adopted {
                tracing::info!(camera = %source.id, address = %source.address, "adopted a camera that was found");
                if let Some(camera) = supervisor.add(&source, Some(key))? {
                    owner.streams(&source, &camera);
                }
            }
            next_look = next;
        }
        shared.set_devices(devices);
        owner.keep_reached();
        let look = async {
            match next_look {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => pending().await,
            }
        };
        tokio::select! {
            changed = changes.changed() => changed.context("the search for cameras stopped")?,
            () = look => {}
            () = tokio::time::sleep(TELL_EVERY) => {}
        }
    }
}

/// The listening socket: inherited (systemd's protocol), which is told, else a new one.
fn listener(address: SocketAddr) -> anyhow::Result<(StdTcpListener, bool)> {
    match ::door::inherited()? {
        Some(listener) => Ok((listener, true)),
        None => Ok((::door::listen(address, "[http] listen")?, false)),
    }
}

/// The listening socket for TLS, if there is to be one. Without a word of the owner's a port that is taken is no reason not to
/// start: the plain pages are there.
fn secure_listener(
    http: &Http,
    plain: SocketAddr,
    inherited: bool,
) -> anyhow::Result<Option<StdTcpListener>> {
    const KEY: &str = "[http] tls_listen";
    match http.tls {
        TlsListen::Off => Ok(None),
        TlsListen::At(address) => Ok(Some(::door::listen(address, KEY)?)),
        TlsListen::Beside if inherited || plain.ip().is_loopback() || http.listen.port() == 0 => Ok(None),
        TlsListen::Beside => {
            let port = if plain.port() == 80 { 443 } else { 8443 };
            match ::door::listen(SocketAddr::new(plain.ip(), port), KEY) {
                Ok(listener) => Ok(Some(listener)),
                Err(error) => {
                    tracing::warn!(%error, "the pages are not served over TLS");
                    Ok(None)
                }
            }
        }
    }
}

/// What makes the box findable: its names, which are given back, and its label's code. A box whose pages are for this machine
/// only has neither.
fn find_me(config: &Config, door: SocketAddr, files: &Files, shared: &Shared) -> Option<Names> {
    let whereabouts = shared.whereabouts();
    whereabouts.set_door(door);
    if door.ip().is_loopback() {
        return None;
    }
    match label::load(files) {
        Ok(label) => whereabouts.set_label(label),
        Err(error) => tracing::warn!(%error, "the box has no label"),
    }
    let id = match Keys::load(files) {
        Ok(keys) => Some(keys.identity.box_id().as_str().to_owned()),
        Err(error) => {
            tracing::warn!(%error, "the box has no unique name");
            None
        }
    };
    let names = Names { plain: config.http.name.clone(), id, port: door.port() };
    whereabouts.set_called(names.clone());
    config.http.announce.then_some(names)
}

/// Where the page is, as people type it.
fn pages(listening: SocketAddr) -> Vec<String> {
    let mut addresses = vec![listening.ip()];
    if listening.ip().is_unspecified() {
        addresses = lan_addresses(listening.is_ipv6());
        addresses.push(IpAddr::from([127, 0, 0, 1]));
    }
    let port = listening.port();
    addresses.into_iter().map(|address| format!("http://{}/", SocketAddr::new(address, port))).collect()
}

/// This machine's addresses on networks, IPv4 first. Link-local IPv6 addresses need an interface's name, which no
/// browser takes.
fn lan_addresses(v6: bool) -> Vec<IpAddr> {
    let Ok(interfaces) = nix::ifaddrs::getifaddrs() else { return Vec::new() };
    let up = interfaces.filter(|interface| {
        interface.flags.contains(InterfaceFlags::IFF_UP)
            && !interface.flags.contains(InterfaceFlags::IFF_LOOPBACK)
            && !lan::is_borrowed(&interface.interface_name)
    });
    let mut addresses: Vec<IpAddr> = up
        .filter_map(|interface| {
            let address = interface.address?;
            let four = address.as_sockaddr_in().map(|address| IpAddr::from(address.ip()));
            four.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::from(address.ip())))
        })
        .filter(|address| match address {
            IpAddr::V4(_) => true,
            IpAddr::V6(address) => v6 && !address.is_unicast_link_local(),
        })
        .collect();
    addresses.sort();
    addresses.dedup();
    addresses
}

/// Takes as many descriptors as the administrator allows: one per connection, one per worker.
fn more_descriptors() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // Without it, fewer viewers find room; nothing else changes.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}
