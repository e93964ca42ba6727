//! A box with one camera that nobody has claimed, a cloud, and people with browsers at the far end of the internet.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result, ensure};
use lab::{
    account::Account,
    boxd::{Boxd, CameraConfig},
    cloud::{Cloud, PASSWORD},
    factory::Factory,
    internet::{Internet, VIDEO},
    link::{MAIN, SUB},
    owner::{Owner, Screen},
    paths,
    simcam::Simcam,
    tls::Authority,
    world::SCRATCH,
};
use serde_json::{Value, json};

/// How long a browser may take to end.
const END: Duration = Duration::from_secs(30);
/// What people choose.
const THEIRS: &str = "tulip in a boat 7";

/// Everything there is.
#[derive(Debug)]
pub(crate) struct Stage {
    _factory: Factory,
    /// The way to the people.
    pub(crate) internet: Internet,
    /// Who signed the cloud's certificate.
    pub(crate) authority: Authority,
    cloud: Cloud,
    boxd: Boxd,
    _simcam: Simcam,
}

/// How somebody looks at the portal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Walk {
    /// Their language.
    pub(crate) language: &'static str,
    /// What they hold in hand.
    pub(crate) screen: Screen,
}

impl Walk {
    /// For folders and logs.
    pub(crate) fn name(self) -> String {
        format!("{}-{}", self.language, self.screen.name())
    }
}

/// Somebody at a browser.
#[derive(Debug)]
pub(crate) struct Person {
    hand: Owner,
    name: String,
}

impl Stage {
    /// Builds it; the box streams and shows a code.
    pub(crate) fn new(test: &str) -> Result<Self> {
        let factory = Factory::new(test, &["box", "gate"])?;
        let internet = Internet::new(test, &[factory.host("box")?])?;
        let authority = Authority::new(&PathBuf::from(SCRATCH).join("tls"), &[VIDEO])?;
        let sub = SUB.file()?.display().to_string();
        let words = ["--sub", &sub, "--sub-fps", "25", "--name", "Gate"];
        let simcam = Simcam::playing(factory.host("gate")?, &MAIN.file()?, &words)?;
        let cloud = Cloud::start(internet.cloud(), &authority, None)?;
        let cameras = [CameraConfig::open("gate", simcam.onvif(0))];
        let configuration = format!("[discovery]\nenabled = false\n\n{}", Cloud::box_config(&authority));
        let mut boxd = Boxd::start(factory.host("box")?, &configuration, &cameras)?;
        boxd.wait_streaming(&["gate".to_owned()], Duration::from_secs(30))?;
        Ok(Self { _factory: factory, internet, authority, cloud, boxd, _simcam: simcam })
    }

    /// A browser before the portal.
    pub(crate) fn person(&self, name: &str, walk: Walk) -> Result<Person> {
        let plan = json!({
            "url": format!("https://{VIDEO}/"),
            "words": paths::workspace().join("cloud-stub/web/words"),
            "assets": "/portal/assets/",
            "schemes": ["light", "dark"],
            "more": [format!("--ignore-certificate-errors-spki-list={}", self.authority.fingerprint())],
        });
        let folder = format!("portal/{name}");
        let hand = Owner::start(
            self.internet.viewer(),
            "players/hand.mjs",
            &folder,
            walk.language,
            walk.screen,
            plan,
        )?;
        Ok(Person { hand, name: name.to_owned() })
    }

    /// Invites an operator at the cloud's command line; gives the link.
    pub(crate) fn invite_operator(&self, email: &str) -> Result<String> {
        let printed = self.cloud.owner(&["person", "add", email, "--operator"])?;
        let link = printed.split_whitespace().find(|word| word.starts_with("https://"));
        Ok(link.with_context(|| format!("no link in {printed:?}"))?.to_owned())
    }

    /// The code that the box's page shows.
    pub(crate) fn code(&mut self) -> Result<String> {
        let account = Account::open(self.boxd.site(), PASSWORD)?;
        let join = || account.json("/api/v1/join");
        self.boxd.wait_for(Duration::from_secs(40), "a code", |_| Ok(join()?["state"] == "code"))?;
        Ok(join()?["code"].as_str().unwrap_or_default().to_owned())
    }

    /// Says yes on the box's page, where the same words must stand.
    pub(crate) fn say_yes(&mut self, tenant: &str, words: &str) -> Result<()> {
        let account = Account::open(self.boxd.site(), PASSWORD)?;
        let join = || account.json("/api/v1/join");
        self.boxd.wait_for(Duration::from_secs(20), "the claim", |_| Ok(join()?["state"] == "claimed"))?;
        let asked: Value = join()?;
        ensure!(asked["owner"] == tenant, "the box asks about {}", asked["owner"]);
        ensure!(asked["check_words"] == words.trim(), "the portal shows {words:?}, the box {asked}");
        let answer = account.post("/api/v1/join", &json!({ "accept": true, "session": asked["session"] }))?;
        ensure!((200..300).contains(&answer.status), "yes: {} {}", answer.status, answer.text());
        Ok(())
    }

    /// What a stranger gets at a camera's public link.
    pub(crate) fn public(&self, camera: &str, status: u16) -> Result<()> {
        let answer = self.cloud.site().ask(self.internet.viewer(), &format!("/{camera}/"))?;
        ensure!(answer.status == status, "a stranger gets {} at {camera}, not {status}", answer.status);
        Ok(())
    }

    /// An address that leads nowhere any more.
    pub(crate) fn gone(&self, url: &str) -> Result<()> {
        let path = self.cloud.site().path(url)?;
        let answer = self.cloud.site().ask(self.internet.viewer(), path)?;
        ensure!(answer.status == 404, "{} at a share that was taken back", answer.status);
        Ok(())
    }

    /// Ends it; an error in a log fails the scenario.
    pub(crate) fn finish(self) -> Result<()> {
        self.boxd.finish()?;
        self.cloud.check_log()
    }
}

impl Person {
    /// Takes an invitation: it names the role, a password is chosen, the portal opens.
    pub(crate) fn accept(&mut self, link: &str, name: &str, role: &str) -> Result<()> {
        self.go(link.trim())?;
        let told = self.attribute("invitation", "data-role")?;
        ensure!(told == role, "the invitation is for {told}, not {role}");
        self.step("invitation")?;
        self.type_into("new-name", name)?;
        self.type_into("new-password", THEIRS)?;
        self.press("invitation-go")?;
        self.words("nav-profile").map(drop)
    }

    /// Opens an address.
    pub(crate) fn go(&mut self, path: &str) -> Result<()> {
        self.deed("goto", "", &json!({ "path": path })).map(drop)
    }

    /// Opens a page by the navigation.
    pub(crate) fn page(&mut self, page: &str) -> Result<()> {
        self.press(&format!("nav-{page}"))?;
        self.shows(page)
    }

    /// Waits until a page is shown.
    pub(crate) fn shows(&mut self, page: &str) -> Result<()> {
        self.there(&format!("css:[data-view={page}]"))
    }

    /// Waits until a part is there.
    pub(crate) fn there(&mut self, part: &str) -> Result<()> {
        self.deed("there", part, &json!({})).map(drop)
    }

    /// A part is not on the page.
    pub(crate) fn none(&mut self, part: &str) -> Result<()> {
        self.deed("none", part, &json!({})).map(drop)
    }

    /// Chooses from a list, by the value or by what is read there.
    pub(crate) fn select(&mut self, part: &str, what: &str) -> Result<()> {
        self.deed("select", part, &json!({ "value": what })).map(drop)
    }

    /// Presses something.
    pub(crate) fn press(&mut self, part: &str) -> Result<()> {
        self.deed("press", part, &json!({})).map(drop)
    }

    /// Types something.
    pub(crate) fn type_into(&mut self, part: &str, text: &str) -> Result<()> {
        self.deed("type", part, &json!({ "text": text })).map(drop)
    }

    /// What is shown, once it is there.
    pub(crate) fn words(&mut self, part: &str) -> Result<String> {
        self.deed("words", part, &json!({}))
    }

    /// What stands in a field.
    pub(crate) fn value(&mut self, part: &str) -> Result<String> {
        self.deed("value", part, &json!({}))
    }

    /// An attribute of a part.
    pub(crate) fn attribute(&mut self, part: &str, name: &str) -> Result<String> {
        self.deed("attribute", part, &json!({ "name": name }))
    }

    /// The first live picture in a part moves.
    pub(crate) fn moves(&mut self, part: &str) -> Result<()> {
        self.deed("moves", part, &json!({})).map(drop)
    }

    /// Has the page judged, and keeps a picture of it.
    pub(crate) fn step(&mut self, name: &str) -> Result<()> {
        self.deed("step", name, &json!({})).map(drop)
    }

    fn deed(&mut self, deed: &str, part: &str, more: &Value) -> Result<String> {
        self.hand.hand(deed, part, more).with_context(|| self.name.clone())
    }

    /// Closes the browser; what it held against the portal goes to the complaints.
    pub(crate) fn end(mut self, complaints: &mut Vec<String>, weight: u64) -> Result<()> {
        self.hand.tell(&json!({ "do": "end" }))?;
        let report = self.hand.finish(END)?;
        println!(
            "{}: {} clicks, {} steps, {:.1} KiB, judged for {:.1} s",
            self.name,
            report.clicks,
            report.steps.len(),
            report.weight as f64 / 1024.0,
            report.judging_ms / 1000.0
        );
        complaints.extend(report.complaints.iter().map(|complaint| format!("{}: {complaint}", self.name)));
        if report.weight == 0 || report.weight > weight {
            complaints.push(format!("{}: the portal weighs {} bytes", self.name, report.weight));
        }
        Ok(())
    }
}
