//! Our cloud on its host: the release binary, with what an owner does at its command line.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;
use serde_json::json;

use crate::{
    account::Account,
    boxd::Boxd,
    factory::Host,
    http::Site,
    internet::{HUB, VIDEO, WEB_ADDRESS},
    paths,
    process::{self, Process, tail},
    tls::{Authority, SecureSite},
    world::SCRATCH,
};

/// The password of the owners of boxes.
pub const PASSWORD: &str = "owner of the lab";
/// A short command of the owner's.
const SHORT: Duration = Duration::from_secs(10);
/// A cloud starts at once; the limit is for busy machines.
const START: Duration = Duration::from_secs(20);

/// A running cloud.
#[derive(Debug)]
pub struct Cloud {
    name: String,
    host: Host,
    config: PathBuf,
    process: Process,
    site: SecureSite,
}

/// A camera as the owner's list has it.
#[derive(Debug, Clone)]
pub struct Link {
    /// Its public id.
    pub id: String,
    /// The whole line.
    pub line: String,
    /// The address of its page.
    pub url: String,
}

impl Cloud {
    /// Starts it with a store at `store` (`sqlite:...` or `postgres://...`; none: a SQLite file of its own).
    ///
    /// # Errors
    /// When it is not built or does not come up.
    pub fn start(host: &Host, authority: &Authority, store: Option<&str>) -> Result<Self> {
        let folder = PathBuf::from(SCRATCH).join("cloud");
        fs::create_dir_all(&folder)?;
        let own = format!("sqlite:{}", folder.join("cloud.db").display());
        let text = format!(
            "[http]\nlisten = \"0.0.0.0:443\"\nurl = \"https://{VIDEO}\"\ntls = \"files\"\ncert = \"{}\"\nkey = \"{}\"\n\n\
             [hub]\nlisten = \"0.0.0.0:51820\"\nendpoint = \"{HUB}:51820\"\n\n[store]\nurl = {:?}\n",
            authority.certificate_file().display(),
            authority.key_file().display(),
            store.unwrap_or(&own),
        );
        let config = folder.join("cloud.toml");
        fs::write(&config, text)?;
        let process = spawn("cloud", host, &config)?;
        let site = authority.site(VIDEO, WEB_ADDRESS, 443)?;
        let mut cloud = Self { name: "cloud".to_owned(), host: host.clone(), config, process, site };
        cloud.wait_up()?;
        Ok(cloud)
    }

    /// Starts one of several, by its name and its whole configuration; `site` is that of the proxy before them.
    ///
    /// # Errors
    /// As [`Cloud::start`].
    pub fn behind(name: &str, host: &Host, site: SecureSite, configuration: &str) -> Result<Self> {
        let config = PathBuf::from(SCRATCH).join(format!("{name}.toml"));
        fs::write(&config, configuration)?;
        let mut process = spawn(name, host, &config)?;
        process.wait_for("started", START)?;
        Ok(Self { name: name.to_owned(), host: host.clone(), config, process, site })
    }

    /// Its public face.
    pub const fn site(&self) -> &SecureSite {
        &self.site
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Ends it, by SIGTERM as systemd would or as a crash does, and starts it again.
    ///
    /// # Errors
    /// When it does not end cleanly on SIGTERM, or does not come up again.
    pub fn restart(&mut self, signal: Signal) -> Result<()> {
        if signal == Signal::SIGTERM {
            let status = self.process.stop(Duration::from_secs(10))?;
            ensure!(status.success(), "the cloud ended with {status} on SIGTERM");
        } else {
            self.process.signal(signal)?;
            self.process.wait(Duration::from_secs(5))?;
        }
        self.process = spawn(&self.name, &self.host, &self.config)?;
        self.wait_up()
    }

    /// Starts it again after its end.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start_again(&mut self) -> Result<()> {
        let before = self.process.said().matches("started").count();
        self.process = spawn(&self.name, &self.host, &self.config)?;
        let start = Instant::now();
        while self.process.said().matches("started").count() == before {
            ensure!(
                self.process.runs() && start.elapsed() < START,
                "the cloud does not come up:\n{}",
                tail(&self.process.said())
            );
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// The part of a box's configuration that leads it here.
    pub fn box_config(authority: &Authority) -> String {
        format!("[tunnel]\ncloud = \"https://{VIDEO}\"\nca = \"{}\"\n", authority.root_file().display())
    }

    /// Claims a box by its code, as the owner does; gives what is printed.
    ///
    /// # Errors
    /// When the cloud refuses.
    pub fn claim(&self, code: &str, owner: &str) -> Result<String> {
        self.owner(&["claim", code, "--owner", owner])
    }

    /// Does what an owner does to bring in a box: signs in at its page, reads the code from the box's page, claims it here, compares the check
    /// words and says yes on the box's page. Gives the time from the claim to the box's word that it has joined.
    ///
    /// # Errors
    /// When a step does not come about, or the check words differ.
    pub fn enrol(&self, boxd: &mut Boxd, owner: &str) -> Result<Duration> {
        let site = boxd.site();
        self.enrol_at(site, owner, |what, limit, condition| {
            boxd.wait_for(limit, what, |_| condition()).map(drop)
        })
    }

    /// The same for a box that is known by its page only; `wait` waits for what is named, so long at most.
    ///
    /// # Errors
    /// As [`Cloud::enrol`].
    pub fn enrol_at(
        &self,
        site: Site,
        owner: &str,
        mut wait: impl FnMut(&str, Duration, &mut dyn FnMut() -> Result<bool>) -> Result<()>,
    ) -> Result<Duration> {
        let account = Account::open(site, PASSWORD)?;
        let join = || account.json("/api/v1/join");
        wait("a code", Duration::from_secs(20), &mut || Ok(join()?["code"].is_string()))?;
        let code = join()?["code"].as_str().unwrap_or_default().to_owned();
        let start = Instant::now();
        let printed = self.claim(&code, owner)?;
        wait("the claim on the box's page", Duration::from_secs(10), &mut || {
            Ok(join()?["state"] == "claimed")
        })?;
        let asked = join()?;
        ensure!(asked["owner"] == owner, "the box asks about {}, not {owner}", asked["owner"]);
        let words = asked["check_words"].as_str().context("no check words")?;
        ensure!(
            !words.is_empty() && printed.contains(words),
            "the box shows {words:?}, the cloud {printed:?}"
        );
        let answer = account.post("/api/v1/join", &json!({ "accept": true, "session": asked["session"] }))?;
        ensure!((200..300).contains(&answer.status), "yes: {} {}", answer.status, answer.text());
        wait("joining", Duration::from_secs(10), &mut || Ok(join()?["state"] == "joined"))?;
        Ok(start.elapsed())
    }

    /// The link of one camera, once the box has reported it.
    ///
    /// # Errors
    /// When it does not come within 10 s.
    pub fn link(&self, name: &str) -> Result<Link> {
        let end = Instant::now() + Duration::from_secs(10);
        loop {
            let links = self.links()?;
            if let Some(link) = links.iter().find(|link| link.line.contains(name)) {
                return Ok(link.clone());
            }
            ensure!(Instant::now() < end, "{name} has no link: {links:?}");
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// The links of all cameras.
    ///
    /// # Errors
    /// When the command fails.
    pub fn links(&self) -> Result<Vec<Link>> {
        Ok(Link::list(&self.owner(&["cameras"])?))
    }

    /// Runs a command of the owner's and gives what it printed.
    ///
    /// # Errors
    /// When it fails, with what it said.
    pub fn owner(&self, words: &[&str]) -> Result<String> {
        let mut command = self.host.command(paths::binary("cloud")?);
        command.arg("--config").arg(&self.config).args(words);
        process::output(command, &self.host.log("cloud-owner"), SHORT)
    }

    /// Checks that it logged no error.
    ///
    /// # Errors
    /// With the lines.
    pub fn check_log(&self) -> Result<()> {
        let said = self.process.said();
        let errors: Vec<&str> =
            said.lines().filter(|line| line.contains("ERROR") || line.contains("panicked at")).collect();
        ensure!(errors.is_empty(), "the cloud logged errors:\n{}", errors.join("\n"));
        Ok(())
    }

    fn wait_up(&mut self) -> Result<()> {
        let start = Instant::now();
        while self.site.get(&self.host, "/healthz").is_err() {
            if !self.process.runs() || start.elapsed() > START {
                bail!("the cloud does not come up:\n{}", tail(&self.process.said()));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Link {
    /// The links in what `cloud cameras` prints.
    pub fn list(printed: &str) -> Vec<Self> {
        printed.lines().filter_map(Self::read).collect()
    }

    /// A line of the list with an address in it.
    fn read(line: &str) -> Option<Self> {
        let url = line.split_whitespace().find(|word| word.starts_with("http"))?.to_owned();
        let id = url.trim_end_matches('/').rsplit('/').next()?.to_owned();
        Some(Self { id, line: line.to_owned(), url })
    }
}

fn spawn(name: &str, host: &Host, config: &Path) -> Result<Process> {
    let mut command = host.command(paths::binary("cloud")?);
    command.arg("--config").arg(config);
    host.spawn(name, command).context("the cloud")
}
