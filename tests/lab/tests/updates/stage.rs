//! A cloud with releases of two versions, and boxes that are nothing but an identity: they join, ask and tell as boxes do, and
//! install nothing.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, ensure};
use enrol::{Asked, Identity, Told, Unsigned, sign_hello, sign_join, sign_question, sign_report};
use image::publish::{Draft, Expiry, Key, Publisher, keys};
use lab::{
    cloud::Cloud,
    factory::Factory,
    http::Response,
    internet::{HUB, Internet, VIDEO, WEB_ADDRESS},
    person::{Person, Walk},
    tls::Authority,
    world::SCRATCH,
};
use model::{enrol::Session, update::Phase};
use serde_json::Value;
use time::OffsetDateTime;

/// What boxes are made of.
const BOARD: &str = "qemu-aarch64";
/// What they run.
const BEFORE: &str = "1.0";
/// What they are to run.
pub(crate) const VERSION: &str = "2.0";
/// Whose they are.
const OWNER: &str = "ACME";

/// Everything there is.
pub(crate) struct Stage {
    _factory: Factory,
    internet: Internet,
    authority: Authority,
    cloud: Cloud,
    boxes: Vec<Pretended>,
}

/// A box.
struct Pretended {
    identity: Identity,
    /// What it was last told to follow.
    campaign: String,
}

impl Stage {
    /// Builds it; the boxes have joined and asked once.
    pub(crate) fn new(test: &str, boxes: u8) -> Result<Self> {
        let factory = Factory::new(test, &[])?;
        let internet = Internet::new(test, &[])?;
        let scratch = PathBuf::from(SCRATCH);
        let authority = Authority::new(&scratch.join("tls"), &[VIDEO])?;
        let key = publish(&scratch)?;
        let configuration = format!(
            "[http]\nlisten = \"0.0.0.0:443\"\nurl = \"https://{VIDEO}\"\ntls = \"files\"\ncert = \"{}\"\nkey = \"{}\"\n\n\
             [hub]\nlisten = \"0.0.0.0:51820\"\nendpoint = \"{HUB}:51820\"\n\n\
             [store]\nurl = \"sqlite:{}\"\n\n[updates]\ndir = \"{}\"\nkey = \"{}\"\n",
            authority.certificate_file().display(),
            authority.key_file().display(),
            scratch.join("cloud.db").display(),
            scratch.join("out").display(),
            key.display(),
        );
        let site = authority.site(VIDEO, WEB_ADDRESS, 443)?;
        let cloud = Cloud::behind("cloud", internet.cloud(), site, &configuration)?;
        let identity = |number| Identity::from_seed(&[number; 32]).context("an identity");
        let boxes = (1..=boxes)
            .map(|number| Ok(Pretended { identity: identity(number)?, campaign: String::new() }))
            .collect::<Result<_>>()?;
        let stage = Self { _factory: factory, internet, authority, cloud, boxes };
        for number in 0..stage.boxes.len() {
            stage.join(number)?;
            ensure!(stage.ask(number)?.is_none(), "a box is offered something before there is a campaign");
        }
        Ok(stage)
    }

    /// A box's id.
    pub(crate) fn id(&self, number: usize) -> &str {
        self.boxes.get(number).map_or("", |pretended| pretended.identity.box_id().as_str())
    }

    /// A browser before the portal.
    pub(crate) fn person(&self, name: &str, walk: Walk) -> Result<Person> {
        Person::open(self.internet.viewer(), &self.authority, &format!("updates/{name}"), walk)
    }

    /// Invites somebody at the cloud's command line; gives the link.
    pub(crate) fn invite(&self, words: &[&str]) -> Result<String> {
        let printed = self.cloud.owner(words)?;
        let link = printed.split_whitespace().find(|word| word.starts_with("https://"));
        Ok(link.with_context(|| format!("no link in {printed:?}"))?.to_owned())
    }

    /// A box says hello, is claimed and says yes.
    fn join(&self, number: usize) -> Result<()> {
        let Pretended { identity, .. } = self.pretended(number)?;
        let byte = u8::try_from(number)?;
        let hello = sign_hello(
            identity,
            Unsigned {
                tunnel_key: [byte + 1; 32],
                version: BEFORE.to_owned(),
                cloud: format!("https://{VIDEO}"),
                nonce: [byte; 16],
                findable: None,
            },
        );
        let answer = self.post("/api/v1/enrol", &serde_json::to_value(hello)?)?;
        let session: Session = serde_json::from_slice(&answer.body)?;
        self.cloud.claim(&session.code, OWNER)?;
        let yes = sign_join(identity, &session.session, OWNER, [byte + 1; 32]);
        self.post(&format!("/api/v1/enrol/{}/join", session.session), &serde_json::to_value(yes)?).map(drop)
    }

    /// A box asks what it is to have: a campaign and its release, or nothing.
    pub(crate) fn ask(&self, number: usize) -> Result<Option<String>> {
        let Pretended { identity, .. } = self.pretended(number)?;
        let asked =
            Asked { board: BOARD.to_owned(), version: BEFORE.to_owned(), security: 1, nonce: [7; 32] };
        let question = serde_json::to_value(sign_question(identity, asked))?;
        let answer: Value =
            serde_json::from_slice(&self.post("/api/v1/updates/assignment", &question)?.body)?;
        let signed = &answer["signed"];
        let Some(target) = signed["target"].as_str() else { return Ok(None) };
        ensure!(target == format!("{BOARD}/{VERSION}.json"), "the box is to have {target}");
        Ok(Some(signed["campaign"].as_str().context("no campaign")?.to_owned()))
    }

    /// A box asks, is offered the release, and comes to this.
    pub(crate) fn update(&mut self, number: usize, end: Phase, why: &str) -> Result<()> {
        let campaign = self.ask(number)?.with_context(|| format!("box {number} is offered nothing"))?;
        self.boxes.get_mut(number).context("no such box")?.campaign = campaign;
        let whole = [Phase::Fetching, Phase::Ready, Phase::Restarting];
        for phase in whole.into_iter().take_while(|phase| *phase != end).chain([end]) {
            self.tell(number, phase, if phase == end { why } else { "" })?;
        }
        Ok(())
    }

    fn tell(&self, number: usize, phase: Phase, why: &str) -> Result<()> {
        let Pretended { identity, campaign } = self.pretended(number)?;
        let now = OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000;
        let told = Told {
            campaign: campaign.clone(),
            version: VERSION.to_owned(),
            running: if phase == Phase::Committed { VERSION } else { BEFORE }.to_owned(),
            phase,
            why: why.to_owned(),
            journal: if phase == Phase::Failed {
                "boxd: tunnel: no answer for 300 s\n".repeat(40)
            } else {
                String::new()
            },
            at_ms: u64::try_from(now)?,
        };
        let report = sign_report(identity, told);
        self.post("/api/v1/updates/report", &serde_json::to_value(report)?).map(drop)
    }

    /// The campaign that the first box follows.
    pub(crate) fn campaign(&self) -> Result<String> {
        self.ask(0)?.context("the first box is offered nothing")
    }

    fn pretended(&self, number: usize) -> Result<&Pretended> {
        self.boxes.get(number).context("no such box")
    }

    fn post(&self, path: &str, body: &Value) -> Result<Response> {
        let answer = self.cloud.site().open(self.internet.viewer())?.post(path, body)?;
        ensure!((200..300).contains(&answer.status), "POST {path}: {} {}", answer.status, answer.text());
        Ok(answer)
    }

    /// Ends it; an error in the cloud's log fails the scenario.
    pub(crate) fn finish(self) -> Result<()> {
        self.cloud.check_log()
    }
}

/// Publishes both versions under `out`; gives where the online key is.
fn publish(folder: &std::path::Path) -> Result<PathBuf> {
    let at = |name: &str| folder.join(name);
    let now = OffsetDateTime::now_utc();
    keys::make(&at("keys"), now, Expiry::default())?;
    fs::create_dir_all(at("out"))?;
    let key = |name: &str| Key::open(&at("keys").join(format!("{name}.pem")));
    let offline = keys::OFFLINE.iter().take(2).map(|name| key(name)).collect::<Result<Vec<_>, _>>()?;
    let publisher = Publisher {
        folder: &at("out"),
        first_root: &fs::read(at("keys").join(keys::FIRST_ROOT))?,
        online: &key(keys::ONLINE)?,
        now,
        expiry: Expiry::default(),
        progress: &|_, _| {},
    };
    for version in [BEFORE, VERSION] {
        fs::write(at("image"), version.repeat(10_000))?;
        let draft = Draft::first(at("image"), at("image"), BOARD, version);
        publisher.publish(&draft, &offline)?;
    }
    Ok(at("keys").join(format!("{}.pem", keys::ONLINE)))
}
