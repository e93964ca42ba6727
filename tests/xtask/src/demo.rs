//! Two sample cameras, a box that finds them, and a cloud where anybody may watch: the box joins it through the same
//! calls that a user's browser and an owner's command line make.
//!
//! Everything runs in namespaces of its own and dies with this process, whatever ends it. Only two listening sockets are
//! in the host's network, the box's page and the public links: they are opened here and handed down.
//!
//! ```text
//! host   both sockets, this process, your browser
//! world  cam1 10.77.0.2 ──┬── box 10.77.0.1     (own mount, process and network namespaces)
//!        cam2 10.77.0.3 ──┤
//!                         └── NAT ── NAT ── internet ── cloud 203.0.113.10
//! ```

mod enrol;
mod factory;
mod needs;
mod stop;

use std::{
    fs,
    io::Read as _,
    net::{Ipv4Addr, TcpListener},
    os::{fd::OwnedFd, unix::process::CommandExt},
    path::PathBuf,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use lab::{account::Account, cloud::Link, http::Site, paths, world};
use serde_json::Value;

use self::stop::Stop;
use crate::step;

/// Set for the process inside the namespaces.
const INSIDE: &str = "STREAMBOX_DEMO_INSIDE";
/// Cameras of the demo.
const CAMERAS: usize = 2;
/// How often the state is looked at.
const LOOK: Duration = Duration::from_millis(250);
/// Discovery, login and the first GOP take about 5 s, joining the cloud 2 s more.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the cloud keeps, until the demo ends.
fn home() -> PathBuf {
    paths::lab().join("demo")
}

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
    step::run("building boxd, cloud and simcam (a few minutes the first time)", &mut step::release_build())?;
    let page = listen(port)?;
    let site = Site::new(Ipv4Addr::LOCALHOST, page.local_addr()?.port());
    let public = listen(page.local_addr()?.port().saturating_add(1))?;
    let public_site = Site::new(Ipv4Addr::LOCALHOST, public.local_addr()?.port());

    let stop = Stop::new()?;
    let logs = world::logs("demo");
    if logs.exists() {
        fs::remove_dir_all(&logs)?;
    }
    enrol::furnish(public_site)?;
    let child = world
        .arg("demo")
        .env(INSIDE, "1")
        .stdin(Stdio::from(OwnedFd::from(page)))
        .stdout(Stdio::from(OwnedFd::from(public)))
        .process_group(0) // Ctrl-C is for us alone, we end the rest
        .spawn()
        .context("starting unshare")?;
    let mut demo = Demo { world: child, page: site, public: public_site };
    if !demo.plays(&stop)? {
        return Ok(());
    }
    println!("\nStop with Ctrl-C; nothing is left behind. Logs: {}", logs.display());
    let end = (seconds > 0).then(|| Instant::now() + Duration::from_secs(seconds));
    while end.is_none_or(|end| Instant::now() < end) && !stop.came_within(LOOK)? {
        demo.check()?;
    }
    Ok(())
}

/// The running demo: the first process of the world, with which the kernel kills the others, and where it is seen.
struct Demo {
    world: Child,
    page: Site,
    public: Site,
}

impl Demo {
    /// Waits until all cameras were heard by WS-Discovery and play, brings the box into the cloud and waits until they
    /// play there, too; prints where. False: asked to stop before.
    fn plays(&mut self, stop: &Stop) -> Result<bool> {
        let start = Instant::now();
        let mut said = String::new();
        let mut tell = |news: String| {
            if news != said {
                eprintln!("xtask: {:4.1} s: {news}", start.elapsed().as_secs_f32());
                said = news;
            }
        };
        let password = random_password()?;
        let mut account = None;
        let mut joining = enrol::Joining::default();
        let mut shown = false;
        while start.elapsed() < PATIENCE {
            let (found, playing) = (found(self.page), playing(self.page));
            if found < CAMERAS || playing.len() < CAMERAS {
                tell(format!("{found} of {CAMERAS} cameras found, {} playing", playing.len()));
            } else {
                if !shown {
                    shown = true;
                    self.show_cameras(&playing, &password);
                }
                if account.is_none() {
                    account = Some(Account::open(self.page, &password)?);
                }
                let joined = match &account {
                    Some(account) => joining.look(account)?,
                    None => false,
                };
                if joined {
                    let links = self.public()?;
                    tell(format!(
                        "the box has joined its cloud, {} of {CAMERAS} public links playing",
                        links.len()
                    ));
                    if links.len() >= CAMERAS {
                        println!("\nPublic links, as viewers anywhere would have them");
                        for link in links {
                            println!("  public  {}", link.url);
                        }
                        return Ok(true);
                    }
                }
            }
            if stop.came_within(LOOK)? {
                return Ok(false);
            }
            self.check()?;
        }
        bail!(
            "the cameras do not play after {} s; the logs are in {}",
            PATIENCE.as_secs(),
            world::logs("demo").display()
        )
    }

    fn show_cameras(&self, playing: &[Value], password: &str) {
        println!("\nAll cameras: {}\n", self.page.url("/"));
        for camera in playing {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let links = &camera["links"];
            println!("{}", text(&camera["name"]));
            println!("  page  {}", self.page.url(&text(&links["page"])));
            println!("  link  {}", self.page.url(&text(&links["hls"])));
        }
        println!("\nSet-up page: {}", self.page.url("/setup/"));
        println!("  password     {password}  (made for this demo, which has claimed the box with it)");
    }

    /// The public links that play.
    fn public(&self) -> Result<Vec<Link>> {
        let links = enrol::links()?;
        let plays = |link: &Link| self.public.get(&format!("/{}/index.m3u8", link.id)).is_ok();
        Ok(links.into_iter().filter(plays).collect())
    }

    fn check(&mut self) -> Result<()> {
        if let Some(status) = self.world.try_wait()? {
            bail!("the demo's factory ended ({status}); its logs are in {}", world::logs("demo").display());
        }
        Ok(())
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.world.kill();
        let _ = self.world.wait();
        let _ = fs::remove_dir_all(home());
    }
}

/// A password of twelve letters that nobody knows beforehand.
fn random_password() -> Result<String> {
    let mut bytes = [0; 12];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes).context("random bytes")?;
    Ok(bytes.iter().map(|byte| char::from(b'a' + byte % 26)).collect())
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
