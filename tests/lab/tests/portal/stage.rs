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
    person::{Person, Walk},
    simcam::Simcam,
    tls::Authority,
    world::SCRATCH,
};
use serde_json::{Value, json};

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
        Person::open(self.internet.viewer(), &self.authority, &format!("portal/{name}"), walk)
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
        self.boxd.wait_for(Duration::from_secs(75), "a code", |_| Ok(join()?["state"] == "code"))?;
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
