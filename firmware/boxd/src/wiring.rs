//! Puts the box together and takes it down again.
//!
//! Three threads: this one runs the supervisor and the links from the workers, another one the front door, so that a
//! crowd of viewers does not hold back a camera, and the third one deals with the cloud, if one is wanted.

use std::future::pending;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener as StdTcpListener};
use std::path::Path;
use std::rc::Rc;
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

use crate::adopt::Adoption;
use crate::cloud::{self, Cloud, Files, RealTime, Time};
use crate::config::{Config, Discovery};
use crate::door::{self, Hosts};
use crate::floor::{Floor, KEEP_EVERY};
use crate::kernel;
use crate::lan;
use crate::moved;
use crate::state::Shared;
use crate::supervisor::{Supervisor, now};

/// Heaps of the C library: one per thread that moves media.
const HEAPS: i32 = 2;
/// How long the supervisor's thread rests before it looks again for what workers sent. Frames of several cameras then
/// arrive in one wake-up: 32 cameras of 25 frames/s wake it 200 times a second instead of 800. Adds half of it to the
/// latency, on average.
const REST: Duration = Duration::from_millis(5);
/// The whole end may last this long before the process leaves anyway.
const END: Duration = Duration::from_millis(1800);

/// The running front door.
type Door = std::thread::JoinHandle<io::Result<()>>;

/// The threads beside the supervisor's.
struct Threads {
    door: Door,
    cloud: Option<std::thread::JoinHandle<()>>,
}

/// Runs the box until SIGTERM or SIGINT.
///
/// # Errors
/// When it cannot start.
pub(crate) fn run(config: Config) -> anyhow::Result<()> {
    kernel::limit_heaps(HEAPS);
    more_descriptors();
    let listener = listener(config.http.listen)?;
    let address = listener.local_addr().context("cannot ask for the pages' address")?;
    let tunnel = config.tunnel.clone();
    let cloud = Cloud::new(
        tunnel.as_ref().map(|tunnel| tunnel.cloud.clone()),
        tunnel.as_ref().and_then(|tunnel| tunnel.uplink),
    );
    let shared = Shared::new(cloud);
    let (stop, stopped) = watch::channel(false);
    let files = Files::new(&config.state_dir);
    // Before anything counts from the clock. Whoever wants no cloud keeps the clock as it is.
    let time = tunnel.is_some().then(|| Arc::new(Time::open(files.clone(), Box::new(RealTime))));

    let own_name =
        nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let hosts = door::hosts(&own_name, &config.http.hosts);
    let pages = pages(address);
    let open_doors = {
        let (shared, stopped) = (shared.clone(), stopped.clone());
        move || {
            for page in &pages {
                println!("page: {page}");
            }
            if let (Some(tunnel), Some(time)) = (tunnel, time) {
                let page = pages.first().cloned().unwrap_or_default();
                let (consent, cap_bit_rate) = (tunnel.join, tunnel.uplink);
                let options = cloud::Options { ca: tunnel.ca, consent, cap_bit_rate, page };
                let cloud = cloud::start(options, files, shared.clone(), time, stopped.clone())?;
                return Ok(Threads { door: door(listener, shared, hosts, stopped)?, cloud: Some(cloud) });
            }
            Ok(Threads { door: door(listener, shared, hosts, stopped)?, cloud: None })
        }
    };
    let runtime = Builder::new_current_thread()
        .enable_all()
        .on_thread_park(|| std::thread::sleep(REST))
        .build()
        .context("cannot start the supervisor")?;
    let threads = runtime.block_on(supervise(config, shared, &stop, stopped, open_doors))?;
    if threads.cloud.is_some_and(|cloud| cloud.join().is_err()) {
        tracing::error!("the part that talks to the cloud stopped unexpectedly");
    }
    match threads.door.join() {
        Ok(outcome) => outcome.context("the front door failed"),
        Err(_) => bail!("the front door stopped unexpectedly"),
    }
}

/// The front door in a thread of its own.
fn door(
    listener: StdTcpListener,
    shared: Shared,
    hosts: Hosts,
    stopped: watch::Receiver<bool>,
) -> anyhow::Result<Door> {
    let runtime =
        Builder::new_current_thread().enable_all().build().context("cannot start the front door")?;
    let serve = move || {
        runtime.block_on(async {
            let listener = TcpListener::from_std(listener)?;
            door::serve(listener, shared, hosts, stopped).await;
            Ok(())
        })
    };
    std::thread::Builder::new().name("door".to_owned()).spawn(serve).context("cannot start the front door")
}

async fn supervise(
    config: Config,
    shared: Shared,
    stop: &watch::Sender<bool>,
    stopped: watch::Receiver<bool>,
    open_doors: impl FnOnce() -> anyhow::Result<Threads>,
) -> anyhow::Result<Threads> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot watch for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot watch for SIGINT")?;
    let floor = Rc::new(Floor::open(&config.state_dir, now()));
    let (move_told, moves) = watch::channel(());
    let mut supervisor = Supervisor::new(shared.clone(), config.hls, floor.clone(), moves, stopped);
    for source in &config.cameras {
        supervisor.add(source, None)?;
    }
    // Whoever comes in finds all cameras listed.
    let threads = open_doors()?;
    tracing::info!(cameras = config.cameras.len(), "started");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = keep_time(&floor, &config.state_dir) => {}
        never = moved::watch(&move_told) => match never {},
        outcome = discover(config.discovery, &config.cameras, &shared, &mut supervisor) => outcome?,
    }
    tracing::info!("stopping");
    stop.send_replace(true);
    if tokio::time::timeout(END, supervisor.finish()).await.is_err() {
        tracing::warn!("not every worker ended in time");
    }
    Ok(threads)
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
        tokio::time::sleep(KEEP_EVERY).await;
    }
}

/// Keeps the list of devices, and adopts them when the owner wants that. Never returns but with an error.
async fn discover(
    options: Discovery,
    configured: &[Source],
    shared: &Shared,
    supervisor: &mut Supervisor,
) -> anyhow::Result<()> {
    if !options.enabled {
        return pending().await;
    }
    let lan = lan::start(lan::Options { interfaces: options.interfaces, sweep: options.sweep });
    let mut changes = lan.changes();
    let mut adoption = options.adopt.then(|| Adoption::new(options.user, options.password, configured));
    loop {
        changes.mark_unchanged();
        let devices = lan.devices();
        let mut next_look = None;
        if let Some(adoption) = &mut adoption {
            let (adopted, next) = adoption.look(&devices, Instant::now());
            for (source, key) in adopted {
                tracing::info!(camera = %source.id, address = %source.address, "adopted a camera that was found");
                supervisor.add(&source, Some(key))?;
            }
            next_look = next;
        }
        shared.set_devices(devices);
        let look = async {
            match next_look {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => pending().await,
            }
        };
        tokio::select! {
            changed = changes.changed() => changed.context("the search for cameras stopped")?,
            () = look => {}
        }
    }
}

/// The listening socket: inherited (systemd's protocol), else a new one.
fn listener(address: SocketAddr) -> anyhow::Result<StdTcpListener> {
    match ::door::inherited()? {
        Some(listener) => Ok(listener),
        None => Ok(::door::listen(address, "[http] listen")?),
    }
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
