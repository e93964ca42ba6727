//! Our box on a host of the factory: the release binary with a configuration of the test's.

use std::{
    fs,
    net::Ipv4Addr,
    path::PathBuf,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::{
    factory::Host,
    http::Site,
    paths,
    process::{Process, tail},
    world::SCRATCH,
};

/// Where the box serves in the lab.
const PORT: u16 = 8080;

/// A camera of the box's configuration.
#[derive(Debug, Clone, Default)]
pub struct CameraConfig {
    /// Its id.
    pub id: String,
    /// Its address.
    pub url: String,
    /// Its user, if it asks.
    pub user: Option<String>,
    /// Its password, if it asks.
    pub password: Option<String>,
    /// Whether RTP is asked for over UDP.
    pub udp: bool,
}

impl CameraConfig {
    /// A camera that asks for no password, over TCP.
    pub fn open(id: impl Into<String>, url: impl Into<String>) -> Self {
        Self { id: id.into(), url: url.into(), ..Self::default() }
    }

    /// The same under an id and at an address.
    #[must_use]
    pub fn at(self, id: impl Into<String>, url: impl Into<String>) -> Self {
        Self { id: id.into(), url: url.into(), ..self }
    }

    /// The same with the lab's user and password.
    #[must_use]
    pub fn with_password(self) -> Self {
        let (user, password) = (Some(crate::cameras::USER.into()), Some(crate::cameras::PASSWORD.into()));
        Self { user, password, ..self }
    }

    /// The same over UDP.
    #[must_use]
    pub fn over_udp(self) -> Self {
        Self { udp: true, ..self }
    }

    fn toml(&self) -> String {
        let transport = if self.udp { "udp" } else { "tcp" };
        let secrets = [("user", &self.user), ("password", &self.password)];
        [("id", &self.id), ("url", &self.url), ("transport", &transport.to_owned())]
            .into_iter()
            .chain(secrets.into_iter().filter_map(|(key, value)| Some((key, value.as_ref()?))))
            .fold("[[camera]]\n".to_owned(), |text, (key, value)| text + &format!("{key} = {value:?}\n"))
    }
}

/// A running box.
#[derive(Debug)]
pub struct Boxd {
    process: Process,
    site: Site,
}

impl Boxd {
    /// Starts boxd with these cameras; `extra` is more configuration, put first. Returns when its page answers.
    ///
    /// # Errors
    /// When it is not built or does not come up.
    pub fn start(host: &Host, extra: &str, cameras: &[CameraConfig]) -> Result<Self> {
        Self::start_with(host, extra, cameras, |_| {})
    }

    /// The same with a change to the command, an environment for example. What an earlier run on this host has kept in
    /// its state directory is still there.
    ///
    /// # Errors
    /// As [`Boxd::start`].
    pub fn start_with(
        host: &Host,
        extra: &str,
        cameras: &[CameraConfig],
        change: impl FnOnce(&mut Command),
    ) -> Result<Self> {
        let state = Self::state_dir(host);
        fs::create_dir_all(&state)?;
        let http = format!("[http]\nlisten = \"0.0.0.0:{PORT}\"\n");
        // A scenario with wishes for the pages has that section already.
        let extra = if extra.contains("[http]\n") {
            extra.replacen("[http]\n", &http, 1)
        } else {
            format!("{extra}\n{http}")
        };
        let mut text = format!("{extra}\n[state]\ndir = \"{}\"\n\n", state.display());
        for camera in cameras {
            text += &camera.toml();
            text += "\n";
        }
        let config = PathBuf::from(SCRATCH).join(format!("{}.toml", host.name()));
        fs::write(&config, text)?;
        let mut command = host.command(paths::binary("boxd")?);
        command.arg("--config").arg(config);
        change(&mut command);
        let log = if host.name() == "box" { "boxd".to_owned() } else { format!("boxd-{}", host.name()) };
        let process = host.spawn(&log, command)?;
        let site = Site::new(host.address(), PORT);
        let mut boxd = Self { process, site };
        boxd.wait_for(Duration::from_secs(10), "its page", |boxd| Ok(boxd.site.get("/healthz").is_ok()))?;
        Ok(boxd)
    }

    /// Where it keeps its state.
    pub fn state_dir(host: &Host) -> PathBuf {
        PathBuf::from(SCRATCH).join(format!("{}-state", host.name()))
    }

    /// Its host has another address now.
    pub const fn moved(&mut self, address: Ipv4Addr) {
        self.site = Site::new(address, PORT);
    }

    /// Where it serves.
    pub const fn site(&self) -> Site {
        self.site
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// What it says of its cameras, by id.
    ///
    /// # Errors
    /// When the answer is none.
    pub fn cameras(&self) -> Result<Vec<(String, Value)>> {
        let list = self.site.json("/api/v1/cameras")?;
        let list = list.as_array().context("/api/v1/cameras is not a list")?;
        list.iter()
            .map(|camera| {
                let id = camera["id"].as_str().context("a camera without an id")?;
                Ok((id.to_owned(), camera.clone()))
            })
            .collect()
    }

    /// What it says of one camera.
    ///
    /// # Errors
    /// When it does not know the camera.
    pub fn camera(&self, id: &str) -> Result<Value> {
        self.site.json(&format!("/api/v1/cameras/{id}"))
    }

    /// Waits for a condition on the running box.
    ///
    /// # Errors
    /// When it stops running, or the condition does not come in time; names `what` was waited for.
    pub fn wait_for(
        &mut self,
        limit: Duration,
        what: &str,
        mut condition: impl FnMut(&Self) -> Result<bool>,
    ) -> Result<Duration> {
        let start = Instant::now();
        loop {
            if condition(self).with_context(|| format!("waiting for {what}"))? {
                return Ok(start.elapsed());
            }
            if !self.process.runs() {
                bail!("boxd ended while waiting for {what}:\n{}", tail(&self.process.said()));
            }
            if start.elapsed() > limit {
                let states: Vec<String> = self
                    .cameras()
                    .unwrap_or_default()
                    .into_iter()
                    .filter(|(_, camera)| camera["state"]["state"] != "streaming")
                    .map(|(id, camera)| format!("{id}: {}", camera["state"]))
                    .collect();
                bail!(
                    "no {what} within {limit:?}; not streaming: {states:?}\n{}",
                    tail(&self.process.said())
                );
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until these cameras stream and list a playlist.
    ///
    /// # Errors
    /// As [`Boxd::wait_for`].
    pub fn wait_streaming(&mut self, ids: &[String], limit: Duration) -> Result<Duration> {
        self.wait_for(limit, "every camera streaming", |boxd| {
            let cameras = boxd.cameras()?;
            Ok(ids.iter().all(|id| {
                let camera = cameras.iter().find(|(known, _)| known == id);
                camera.is_some_and(|(_, camera)| camera["state"]["state"] == "streaming")
                    && boxd.site.get(&format!("/{id}/index.m3u8")).is_ok()
            }))
        })
    }

    /// Waits for these cameras as [`Boxd::wait_streaming`] does, then goes on with those that stream; gives them and
    /// what stands in the way of the others.
    ///
    /// # Errors
    /// When boxd itself does not answer.
    pub fn streaming(&mut self, ids: &[String], limit: Duration) -> Result<(Vec<String>, Vec<String>)> {
        let waited = self.wait_streaming(ids, limit);
        if let Ok(took) = &waited {
            println!("{} cameras stream {:.1} s after the box started", ids.len(), took.as_secs_f64());
        }
        let cameras = self.cameras()?;
        let state =
            |id: &String| cameras.iter().find(|(known, _)| known == id).map(|(_, camera)| &camera["state"]);
        let (ready, missing): (Vec<_>, Vec<_>) = ids.iter().cloned().partition(|id| {
            state(id).is_some_and(|state| state["state"] == "streaming")
                && self.site.get(&format!("/{id}/index.m3u8")).is_ok()
        });
        let complaints = missing
            .iter()
            .map(|id| format!("{id} does not stream within {limit:?}: {:?}", state(id)))
            .collect();
        Ok((ready, complaints))
    }

    /// The process ids of its camera workers, by camera id.
    ///
    /// # Errors
    /// When /proc cannot be read.
    pub fn workers(&self) -> Result<Vec<(String, u32)>> {
        let mut workers = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let entry = entry?;
            let Ok(pid) = entry.file_name().to_string_lossy().parse() else { continue };
            let Ok(line) = fs::read(entry.path().join("cmdline")) else { continue };
            let words: Vec<String> = line
                .split(|byte| *byte == 0)
                .map(|word| String::from_utf8_lossy(word).into_owned())
                .collect();
            if let [program, verb, id, ..] = words.as_slice()
                && program.contains("boxd")
                && verb == "camera"
            {
                workers.push((id.clone(), pid));
            }
        }
        Ok(workers)
    }

    /// Stops it as systemd would, and checks what it leaves: success, no worker, no error in its log.
    ///
    /// # Errors
    /// When one of these does not hold.
    pub fn finish(mut self) -> Result<()> {
        let status = self.process.stop(Duration::from_secs(5)).context("a clean stop on SIGTERM")?;
        ensure!(status.success(), "boxd ended with {status} on SIGTERM");
        let left = self.workers()?;
        ensure!(left.is_empty(), "workers outlived boxd: {left:?}");
        self.check_log()
    }

    /// Checks that it logged no error.
    ///
    /// # Errors
    /// With the lines.
    pub fn check_log(&self) -> Result<()> {
        let said = self.process.said();
        let errors: Vec<&str> = said.lines().filter(|line| is_error(line)).collect();
        ensure!(errors.is_empty(), "boxd logged errors:\n{}", errors.join("\n"));
        Ok(())
    }
}

fn is_error(line: &str) -> bool {
    line.contains("ERROR") || line.contains("panicked at")
}

/// The address of a host without a server, for cameras that do not answer.
pub const NOBODY: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 253);
