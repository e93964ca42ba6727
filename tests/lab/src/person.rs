//! Somebody at the portal: a real browser that a scenario leads by the hand ([`crate::owner`]), with what people do there.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::{
    factory::Host,
    internet::VIDEO,
    owner::{Owner, Screen},
    paths,
    tls::Authority,
};

/// How long a browser may take to end.
const END: Duration = Duration::from_secs(30);
/// What people choose.
const THEIRS: &str = "tulip in a boat 7";

/// How somebody looks at the portal.
#[derive(Debug, Clone, Copy)]
pub struct Walk {
    /// Their language.
    pub language: &'static str,
    /// What they hold in hand.
    pub screen: Screen,
}

impl Walk {
    /// For folders and logs.
    pub fn name(self) -> String {
        format!("{}-{}", self.language, self.screen.name())
    }
}

/// Somebody at a browser.
#[derive(Debug)]
pub struct Person {
    hand: Owner,
    name: String,
}

impl Person {
    /// A browser on this host before the portal; pictures go to `target/lab/screens/NAME`.
    ///
    /// # Errors
    /// When it does not start.
    pub fn open(from: &Host, authority: &Authority, name: &str, walk: Walk) -> Result<Self> {
        let plan = json!({
            "url": format!("https://{VIDEO}/"),
            "words": paths::workspace().join("cloud-stub/web/words"),
            "assets": "/portal/assets/",
            "schemes": ["light", "dark"],
            "more": [format!("--ignore-certificate-errors-spki-list={}", authority.fingerprint())],
        });
        let hand = Owner::start(from, "players/hand.mjs", name, walk.language, walk.screen, plan)?;
        Ok(Self { hand, name: name.to_owned() })
    }

    /// Takes an invitation: it names the role, a password is chosen, the portal opens.
    ///
    /// # Errors
    /// When it cannot be done, with what the page shows instead.
    pub fn accept(&mut self, link: &str, name: &str, role: &str) -> Result<()> {
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
    ///
    /// # Errors
    /// When it cannot be done, with what the page shows instead.
    pub fn go(&mut self, path: &str) -> Result<()> {
        self.deed("goto", "", &json!({ "path": path })).map(drop)
    }

    /// Opens a page by the navigation.
    ///
    /// # Errors
    /// When it cannot be done, with what the page shows instead.
    pub fn page(&mut self, page: &str) -> Result<()> {
        self.press(&format!("nav-{page}"))?;
        self.shows(page)
    }

    /// Waits until a page is shown.
    ///
    /// # Errors
    /// When it cannot be done, with what the page shows instead.
    pub fn shows(&mut self, page: &str) -> Result<()> {
        self.there(&format!("css:[data-view={page}]"))
    }

    /// Waits until a part is there.
    ///
    /// # Errors
    /// When it cannot be done, with what the page shows instead.
    pub fn there(&mut self, part: &str) -> Result<()> {
        self.deed("there", part, &json!({})).map(drop)
    }

    /// A part is not on the page.
    ///
    /// # Errors
    /// When it cannot be done, with what the page shows instead.
    pub fn none(&mut self, part: &str) -> Result<()> {
        self.deed("none", part, &json!({})).map(drop)
    }

    /// Chooses from a list, by the value or by what is read there.
    ///
    /// # Errors
    /// When it cannot be done, with what the page shows instead.
    pub fn select(&mut self, part: &str, what: &str) -> Result<()> {
        self.deed("select", part, &json!({ "value": what })).map(drop)
    }

    /// Presses something.
    ///
    /// # Errors
    /// When it cannot be done, with what the page shows instead.
    pub fn press(&mut self, part: &str) -> Result<()> {
        self.deed("press", part, &json!({})).map(drop)
    }

    /// Types something.
    ///
    /// # Errors
    /// When it cannot be done, with what the page shows instead.
    pub fn type_into(&mut self, part: &str, text: &str) -> Result<()> {
        self.deed("type", part, &json!({ "text": text })).map(drop)
    }

    /// What is shown, once it is there.
    ///
    /// # Errors
    /// When it cannot be done, with what the page shows instead.
    pub fn words(&mut self, part: &str) -> Result<String> {
        self.deed("words", part, &json!({}))
    }

    /// What stands in a field.
    ///
    /// # Errors
    /// When it cannot be done, with what the page shows instead.
    pub fn value(&mut self, part: &str) -> Result<String> {
        self.deed("value", part, &json!({}))
    }

    /// An attribute of a part.
    ///
    /// # Errors
    /// When it cannot be done, with what the page shows instead.
    pub fn attribute(&mut self, part: &str, name: &str) -> Result<String> {
        self.deed("attribute", part, &json!({ "name": name }))
    }

    /// The first live picture in a part moves.
    ///
    /// # Errors
    /// When it cannot be done, with what the page shows instead.
    pub fn moves(&mut self, part: &str) -> Result<()> {
        self.deed("moves", part, &json!({})).map(drop)
    }

    /// Has the page judged, and keeps a picture of it.
    ///
    /// # Errors
    /// When it cannot be done, with what the page shows instead.
    pub fn step(&mut self, name: &str) -> Result<()> {
        self.deed("step", name, &json!({})).map(drop)
    }

    fn deed(&mut self, deed: &str, part: &str, more: &Value) -> Result<String> {
        self.hand.hand(deed, part, more).with_context(|| self.name.clone())
    }

    /// Closes the browser; what it held against the portal goes to the complaints, also when it weighs more than `weight` bytes.
    ///
    /// # Errors
    /// When the browser is gone.
    pub fn end(mut self, complaints: &mut Vec<String>, weight: u64) -> Result<()> {
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
