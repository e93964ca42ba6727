//! Two sample cameras, a box that finds them through WS-Discovery, and the page where both play.
//!
//! Everything runs in namespaces of its own and dies with this process, whatever ends it. Only the page's listening
//! socket is in the host's network: it is opened here and handed down.
//!
//! ```text
//! host   page's socket, this process, your browser
//! world  box 10.77.0.1 ──┬── cam1 10.77.0.2   (own mount, process and network namespaces)
//!                        └── cam2 10.77.0.3
//! ```

mod factory;
mod needs;
mod stop;

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    os::{fd::OwnedFd, unix::process::CommandExt},
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use lab::{http::Site, world};
use serde_json::Value;

use self::stop::Stop;
use crate::step::{self, cargo};

/// Set for the process inside the namespaces.
const INSIDE: &str = "STREAMBOX_DEMO_INSIDE";
/// Cameras of the demo.
const CAMERAS: usize = 2;
/// How often the state is looked at.
const LOOK: Duration = Duration::from_millis(250);
/// Discovery, login and the first GOP take about 5 s.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs until Ctrl-C, or for the time given.
///
/// # Errors
/// When the machine has not what it takes, or the cameras do not play.
pub(crate) fn run(words: &[&str]) -> Result<()> {
    if std::env::var_os(INSIDE).is_some() {
        return factory::run();
    }
    step::only(words, &["--for", "--port"], &[])?;
    let seconds = step::number(words, "--for", 0)?;
    let port = u16::try_from(step::number(words, "--port", 8080)?).context("--port needs a port")?;

    needs::check()?;
    // asks the kernel, so before the long build
    let mut world = world::unshared(&std::env::current_exe()?)?;
    step::run(
        "building boxd and simcam (a few minutes the first time)",
        &mut cargo(&["build", "--release", "--package", "boxd", "--package", "simcam"]),
    )?;
    let listener = listen(port)?;
    let site = Site::new(Ipv4Addr::LOCALHOST, listener.local_addr()?.port());

    let stop = Stop::new()?;
    let logs = world::logs("demo");
    if logs.exists() {
        fs::remove_dir_all(&logs)?;
    }
    let child = world
        .arg("demo")
        .env(INSIDE, "1")
        .stdin(Stdio::from(OwnedFd::from(listener)))
        .process_group(0) // Ctrl-C is for us alone, we end the rest
        .spawn()
        .context("starting unshare")?;
    let mut factory = Factory(child);
    if !cameras_play(site, &mut factory, &stop)? {
        return Ok(());
    }
    println!("\nStop with Ctrl-C; nothing is left behind. Logs: {}", logs.display());
    let end = (seconds > 0).then(|| Instant::now() + Duration::from_secs(seconds));
    while end.is_none_or(|end| Instant::now() < end) && !stop.came_within(LOOK)? {
        factory.check()?;
    }
    Ok(())
}

/// Waits until all cameras were heard by WS-Discovery and play, and prints where; false: asked to stop before.
fn cameras_play(site: Site, factory: &mut Factory, stop: &Stop) -> Result<bool> {
    let start = Instant::now();
    let mut said = (usize::MAX, usize::MAX);
    while start.elapsed() < PATIENCE {
        let (found, playing) = (found(site), playing(site));
        if (found, playing.len()) != said {
            said = (found, playing.len());
            let seconds = start.elapsed().as_secs_f32();
            eprintln!(
                "xtask: {seconds:4.1} s: {found} of {CAMERAS} cameras found, {} playing",
                playing.len()
            );
        }
        if found >= CAMERAS && playing.len() >= CAMERAS {
            println!("\nAll cameras: {}\n", site.url("/"));
            for camera in playing {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let links = &camera["links"];
                println!("{}", text(&camera["name"]));
                println!("  page  {}", site.url(&text(&links["page"])));
                println!("  link  {}", site.url(&text(&links["hls"])));
            }
            return Ok(true);
        }
        if stop.came_within(LOOK)? {
            return Ok(false);
        }
        factory.check()?;
    }
    bail!(
        "the cameras do not play after {} s; the logs are in {}",
        PATIENCE.as_secs(),
        world::logs("demo").display()
    )
}

/// How many devices answered WS-Discovery.
fn found(site: Site) -> usize {
    let devices = site.json("/api/v1/devices").unwrap_or_default();
    let heard = |device: &&Value| device.to_string().contains("\"ws_discovery\"");
    devices.as_array().map_or(0, |devices| devices.iter().filter(heard).count())
}

/// The cameras that stream and have a playlist.
fn playing(site: Site) -> Vec<Value> {
    let cameras = site.json("/api/v1/cameras").unwrap_or_default();
    let plays = |camera: &&Value| {
        camera["state"]["state"] == "streaming"
            && camera["links"]["hls"].as_str().is_some_and(|link| site.get(link).is_ok())
    };
    cameras.as_array().map_or(Vec::new(), |cameras| cameras.iter().filter(plays).cloned().collect())
}

/// The wanted port of this machine, else the next free one.
fn listen(wanted: u16) -> Result<TcpListener> {
    for port in wanted..=wanted.saturating_add(100) {
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            if port != wanted {
                eprintln!("xtask: port {wanted} is taken, using {port}");
            }
            return Ok(listener);
        }
    }
    bail!("no free port from {wanted} on: name another with --port")
}

/// The first process of the world; the kernel kills the others with it.
struct Factory(Child);

impl Factory {
    fn check(&mut self) -> Result<()> {
        if let Some(status) = self.0.try_wait()? {
            bail!("the demo's factory ended ({status}); its logs are in {}", world::logs("demo").display());
        }
        Ok(())
    }
}

impl Drop for Factory {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
