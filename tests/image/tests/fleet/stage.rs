//! A cloud with releases, two boxes in QEMU that it knows, and an operator.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use image::{
    build::{self, Options},
    lan::{self, Lan},
    publish::{Draft, Expiry, Key, Publisher, keys},
    qemu::Machine,
};
use lab::{
    cloud::Cloud,
    factory::Factory,
    http::Site,
    member::Member,
    tls::{Authority, SecureSite},
    world::{self, SCRATCH},
};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::OLD;

/// The cloud's host and port.
const CLOUD: &str = "cloud";
const PORT: u16 = 443;
/// What an emulated box may take for anything, on a machine that does other things, too.
const PATIENCE: Duration = Duration::from_secs(180);
/// A campaign's way from its start to its end: a poll of each box a minute, two restarts and a verdict.
const CAMPAIGN: Duration = Duration::from_secs(900);

/// What is wrong with a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bad {
    /// Its tunnel leads nowhere.
    NoTunnel,
    /// It panics as early as the root's own scripts run.
    Panics,
    /// Its userspace hangs.
    Hangs,
    /// It trusts other keys, so it could never be updated.
    CannotUpdate,
}

impl Bad {
    pub(crate) const ALL: [Self; 4] = [Self::NoTunnel, Self::Panics, Self::Hangs, Self::CannotUpdate];

    fn put(self, options: Options, stage: &Stage) -> Result<Options> {
        Ok(match self {
            Self::NoTunnel => options.configured(&config("https://10.77.0.99"))?,
            Self::Panics => options.script(
                "etc/init.d/rcS",
                "#!/bin/sh\necho the new system panics\necho c > /proc/sysrq-trigger\n",
            ),
            Self::Hangs => options.script(
                "etc/init.d/rcS",
                "#!/bin/sh\n/bin/busybox watchdog -T 10 -t 1000 /dev/watchdog\necho the new system hangs\nexec sleep 100000\n",
            ),
            Self::CannotUpdate => {
                let other = stage.folder.join("other-keys");
                keys::make(&other, OffsetDateTime::now_utc(), Expiry::default())?;
                options.text("etc/streambox/root.json", &fs::read_to_string(other.join(keys::FIRST_ROOT))?)
            }
        })
    }
}

/// A box that asks each minute and is sure of itself after some seconds.
fn config(cloud: &str) -> String {
    format!(
        "[tunnel]\ncloud = \"{cloud}\"\nca = \"/etc/streambox/ca.pem\"\n\n\
         [update]\ninterval_minutes = 1\nhealthy_s = 10\ndeadline_s = 60\nretry_s = 30\n"
    )
}

struct Box {
    id: String,
    site: Site,
    machine: Machine,
}

/// All of it.
pub(crate) struct Stage {
    /// Keys, releases and disks of this run.
    folder: PathBuf,
    program: PathBuf,
    authority: Authority,
    site: SecureSite,
    factory: Factory,
    cloud: Cloud,
    operator: Option<Member>,
    boxes: Vec<Box>,
    began: Instant,
    lan: Lan,
}

impl Stage {
    /// Two boxes that run the old release and have joined.
    pub(crate) fn open(test: &str, program: &Path) -> Result<Self> {
        let logs = world::logs(test);
        let folder = logs.join("stage");
        fs::create_dir_all(&folder)?;
        keys::make(&folder.join("keys"), OffsetDateTime::now_utc(), Expiry::default())?;
        let factory = Factory::new(test, &[CLOUD])?;
        let lan = Lan::of(2, &factory, &logs)?;
        let host = factory.host(CLOUD)?;
        let address = host.address();
        let authority = Authority::new(&PathBuf::from(SCRATCH).join("tls"), &[&address.to_string()])?;
        let site = authority.site(&address.to_string(), address, PORT)?;
        let updates = folder.join("releases");
        fs::create_dir_all(&updates)?;
        let text = format!(
            "[http]\nlisten = \"0.0.0.0:{PORT}\"\nurl = \"https://{address}\"\ntls = \"files\"\ncert = \"{}\"\nkey = \"{}\"\n\n\
             [hub]\nlisten = \"0.0.0.0:51820\"\nendpoint = \"{address}:51820\"\n\n[store]\nurl = \"sqlite:{SCRATCH}/cloud.db\"\n\n\
             [updates]\ndir = \"{}\"\nkey = \"{}\"\n",
            authority.certificate_file().display(),
            authority.key_file().display(),
            updates.display(),
            folder.join("keys").join(format!("{}.pem", keys::ONLINE)).display(),
        );
        let cloud = Cloud::behind(CLOUD, host, site.clone(), &text)?;
        let mut stage = Self {
            folder,
            program: program.to_path_buf(),
            authority,
            site,
            factory,
            cloud,
            operator: None,
            boxes: Vec::new(),
            began: Instant::now(),
            lan,
        };
        stage.publish(OLD, None)?;
        let old = build::ensure(&stage.options(OLD)?)?;
        for number in 0..2 {
            let parts = old.machine(&logs.join(format!("box-{number}")), stage.lan.net_of(number))?;
            let site = lan::site(number);
            let machine = Machine::start(&parts)?;
            stage.boxes.push(Box { id: String::new(), site, machine });
        }
        stage.join()?;
        let printed = stage.cloud.owner(&["person", "add", "operator@example.org", "--operator"])?;
        let mut door = stage.site.open(stage.factory.host(CLOUD)?)?;
        stage.operator = Some(Member::invited(&printed, |path, body| door.post(path, body))?);
        stage.know()?;
        Ok(stage)
    }

    /// The boxes join, one after the other.
    fn join(&mut self) -> Result<()> {
        for each in &self.boxes {
            let took = lan::serving_at(&each.machine, each.site, PATIENCE)?;
            println!("{}: power to /healthz {:.1} s", each.site.url("/"), took.as_secs_f64());
            self.cloud.enrol_at(each.site, "ACME", |what, _, condition| {
                lan::until(&each.machine, PATIENCE, what, || condition().unwrap_or(false)).map(drop)
            })?;
        }
        Ok(())
    }

    /// Which box is which: the first one that joined is the first machine. Their tunnels must stand.
    fn know(&mut self) -> Result<()> {
        let path = format!("/api/v1/tenants/{}/boxes", self.member()?.tenant);
        let end = Instant::now() + PATIENCE;
        let known = loop {
            let known = self.ask(&path)?;
            let rows = known.as_array().context("no boxes")?;
            if rows.len() == self.boxes.len() && rows.iter().all(|row| row["online"] == true) {
                break rows.clone();
            }
            ensure!(Instant::now() < end, "not every box's tunnel stands: {known}");
            thread::sleep(Duration::from_millis(500));
        };
        let when = |row: &Value| row["enrolled_ms"].as_u64().unwrap_or(0);
        let mut rows: Vec<&Value> = known.iter().collect();
        rows.sort_by_key(|row| when(row));
        for (each, row) in self.boxes.iter_mut().zip(rows) {
            row["id"].as_str().context("a box without an id")?.clone_into(&mut each.id);
        }
        Ok(())
    }

    /// Their ids.
    pub(crate) fn boxes(&self) -> [String; 2] {
        [0, 1].map(|number| self.boxes.get(number).map(|each| each.id.clone()).unwrap_or_default())
    }

    fn options(&self, version: &str) -> Result<Options> {
        let root = fs::read_to_string(self.folder.join("keys").join(keys::FIRST_ROOT))?;
        let ca = fs::read_to_string(self.authority.root_file())?;
        let options = Options { program: Some(self.program.clone()), ..Options::default() };
        Ok(options
            .version(version)
            .configured(&config(self.site.url("").trim_end_matches('/')))?
            .text("etc/streambox/ca.pem", &ca)
            .text("etc/streambox/root.json", &root))
    }

    /// Publishes a release, as `cargo xtask release publish` does.
    pub(crate) fn publish(&self, version: &str, bad: Option<Bad>) -> Result<()> {
        let mut options = self.options(version)?;
        if let Some(bad) = bad {
            options = bad.put(options, self)?;
        }
        let built = build::ensure(&options)?;
        let keys_at = self.folder.join("keys");
        let key = |name: &str| Key::open(&keys_at.join(format!("{name}.pem")));
        let publisher = Publisher {
            folder: &self.folder.join("releases"),
            first_root: &fs::read(keys_at.join(keys::FIRST_ROOT))?,
            online: &key(keys::ONLINE)?,
            now: OffsetDateTime::now_utc(),
            expiry: Expiry::default(),
            progress: &|_, _| {},
        };
        let draft = Draft::first(&built.fit, &built.root, &built.board.name, version);
        publisher.publish(&draft, &[key(keys::OFFLINE[0])?, key(keys::OFFLINE[1])?]).map(drop)
    }

    fn member(&self) -> Result<&Member> {
        self.operator.as_ref().context("nobody is signed in")
    }

    fn ask(&self, path: &str) -> Result<Value> {
        let mut door = self.site.open(self.factory.host(CLOUD)?)?;
        let answer = door.ask_with(path, &self.member()?.headers)?;
        ensure!(answer.status == 200, "GET {path}: {} {}", answer.status, answer.text());
        Ok(serde_json::from_slice(&answer.body)?)
    }

    fn tell(&self, path: &str, body: &Value) -> Result<Value> {
        let mut door = self.site.open(self.factory.host(CLOUD)?)?;
        let answer = door.post_with(path, &self.member()?.headers, body)?;
        ensure!(answer.status == 200, "POST {path}: {} {}", answer.status, answer.text());
        Ok(serde_json::from_slice(&answer.body)?)
    }

    /// Starts a campaign with one box before all others; gives its id.
    pub(crate) fn campaign(&mut self, version: &str, canary: &str) -> Result<String> {
        let words = json!({ "name": version, "version": version, "canaries": [canary], "bake_s": 5 });
        let made = self.tell("/api/v1/fleet/campaigns", &words)?;
        let id = made["id"].as_str().context("a campaign without an id")?.to_owned();
        self.tell(&format!("/api/v1/fleet/campaigns/{id}/start"), &json!({ "reason": "it is ready" }))?;
        self.began = Instant::now();
        Ok(id)
    }

    /// Since the last campaign was started, seconds.
    pub(crate) fn took(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// Waits until a campaign is in this state.
    pub(crate) fn until(&self, campaign: &str, state: &str) -> Result<Value> {
        loop {
            let told = self.ask(&format!("/api/v1/fleet/campaigns/{campaign}"))?;
            if told["state"] == state {
                return Ok(told);
            }
            ensure!(self.began.elapsed() < CAMPAIGN, "it is not {state}: {told:#}");
            thread::sleep(Duration::from_millis(500));
        }
    }

    /// What became of a box in a campaign; null: it was offered nothing.
    pub(crate) fn standing(&self, campaign: &str, id: &str) -> Result<Value> {
        let told = self.ask(&format!("/api/v1/fleet/campaigns/{campaign}/boxes?query={id}"))?;
        let row = told["rows"].as_array().and_then(|rows| rows.iter().find(|row| row["box"] == id));
        Ok(row.filter(|row| row["standing"].is_string()).cloned().unwrap_or_default())
    }

    /// Waits until a box keeps what a campaign brought it.
    pub(crate) fn keeps(&self, campaign: &str, id: &str) -> Result<()> {
        loop {
            let standing = self.standing(campaign, id)?;
            if standing["standing"] == "committed" {
                return Ok(());
            }
            ensure!(self.began.elapsed() < CAMPAIGN, "{id} does not keep it: {standing}");
            thread::sleep(Duration::from_millis(500));
        }
    }

    /// Ends a campaign for good.
    pub(crate) fn withdraw(&self, campaign: &str) -> Result<()> {
        let reason = json!({ "reason": "it is bad" });
        self.tell(&format!("/api/v1/fleet/campaigns/{campaign}/withdraw"), &reason).map(drop)
    }

    /// Waits until a box says that it runs this version.
    pub(crate) fn runs(&self, id: &str, version: &str) -> Result<()> {
        let each = self.boxes.iter().find(|each| each.id == id).context("no such box")?;
        lan::until(&each.machine, PATIENCE, version, || {
            self.ask(&format!("/api/v1/fleet/boxes/{id}")).is_ok_and(|told| told["version"] == version)
        })
        .map(drop)
    }

    /// Nothing has gone wrong on the way.
    pub(crate) fn end(self) -> Result<()> {
        self.cloud.check_log()
    }
}
