//! An owner at the set-up page: a real browser that a script walks through it, and the talk between the script and its
//! scenario, one line of JSON each way.
//!
//! The script says `{"event": …}`, each event at most once, and `done` at its end; the scenario answers when it is asked to.

use std::{
    fs,
    io::Write,
    path::PathBuf,
    process::ChildStdin,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    cameras,
    factory::Host,
    paths,
    process::{Process, tail},
};

/// Chromium starts within a second on a quiet machine.
const START: Duration = Duration::from_secs(30);

/// The languages of the page.
pub const LANGUAGES: [&str; 3] = ["kk", "ru", "en"];

/// What the owner holds in hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Screen {
    /// 360x740 pixels, fingers.
    Phone,
    /// 1280x800 pixels, a mouse.
    Desktop,
}

impl Screen {
    /// As the scripts call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Phone => "phone",
            Self::Desktop => "desktop",
        }
    }
}

/// A browser with an owner before it.
#[derive(Debug)]
pub struct Owner {
    process: Process,
    input: ChildStdin,
    deeds: u32,
}

/// What the owner says at the end.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Report {
    /// Clicks and taps.
    pub clicks: u32,
    /// The steps that were taken.
    pub steps: Vec<String>,
    /// What was wrong, each in a sentence.
    pub complaints: Vec<String>,
    /// From the start of the first navigation to the first words on the screen, milliseconds.
    pub first_paint_ms: Option<f64>,
    /// Bytes over the wire of the page and its parts, the player's apart.
    pub weight: u64,
    /// Time that went into judging and pictures, milliseconds.
    pub judging_ms: f64,
}

impl Owner {
    /// Starts a script of `players/` on a host; the box need not be there yet. Pictures of its steps go to
    /// `target/lab/screens/NAME`, its log to `NAME.log`. `plan` is what the script wants besides.
    ///
    /// # Errors
    /// When the browser does not start.
    pub fn start(
        host: &Host,
        script: &str,
        name: &str,
        language: &str,
        screen: Screen,
        plan: Value,
    ) -> Result<Self> {
        let folder = screens(name);
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        let mut whole = json!({
            "language": language,
            "size": screen.name(),
            "folder": folder,
            "words": paths::workspace().join("firmware/setup/web/words"),
        });
        if let (Some(whole), Value::Object(more)) = (whole.as_object_mut(), plan) {
            whole.extend(more);
        }
        let mut command = cameras::node(host, script)?;
        command.arg(whole.to_string());
        let (process, input) = Process::spawn_with_input(command, &host.log(&name.replace('/', "-")))?;
        let mut owner = Self { process, input, deeds: 0 };
        owner.hear("ready", START)?;
        Ok(owner)
    }

    /// Tells the script something.
    ///
    /// # Errors
    /// When it is gone.
    pub fn tell(&mut self, what: &Value) -> Result<()> {
        self.input.write_all(format!("{what}\n").as_bytes()).context("the owner's browser is gone")
    }

    /// Waits until the script says this.
    ///
    /// # Errors
    /// When it ends first or the time is over, with what it said last.
    pub fn hear(&mut self, event: &str, limit: Duration) -> Result<Value> {
        let end = Instant::now() + limit;
        loop {
            let runs = self.process.runs();
            let said = self.process.said();
            if let Some(told) = heard(&said, event) {
                return Ok(told);
            }
            if !runs || Instant::now() > end {
                let log = self.process.log().display();
                bail!("the owner never said {event:?}; {log} ends with\n{}", tail(&said));
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Leads the hand of `players/hand.mjs`: has one thing done to a part of the page and gives what came of it.
    ///
    /// # Errors
    /// When it cannot be done, with what the page shows instead.
    pub fn hand(&mut self, deed: &str, part: &str, more: &Value) -> Result<String> {
        self.deeds += 1;
        let mut what = json!({ "number": self.deeds, "do": deed, "part": part });
        if let (Some(what), Value::Object(more)) = (what.as_object_mut(), more) {
            what.extend(more.clone());
        }
        self.tell(&what)?;
        let answer = self.hear(&format!("answer-{}", self.deeds), Duration::from_secs(90))?;
        if let Some(error) = answer["error"].as_str() {
            bail!("{deed} {part}: {error}");
        }
        Ok(answer["value"].as_str().unwrap_or_default().to_owned())
    }

    /// Waits for its report.
    ///
    /// # Errors
    /// When none comes in time.
    pub fn finish(mut self, limit: Duration) -> Result<Report> {
        let report = self.hear("done", limit)?;
        serde_json::from_value(report).context("the owner's report")
    }
}

/// Where the pictures of a walk are kept.
pub fn screens(name: &str) -> PathBuf {
    paths::lab().join("screens").join(name)
}

/// The first line of this event.
fn heard(said: &str, event: &str) -> Option<Value> {
    let mut lines = said.lines().filter(|line| line.starts_with("{\"event\":"));
    lines.find_map(|line| {
        let value: Value = serde_json::from_str(line).ok()?;
        (value["event"] == event).then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_owner_says_is_told_from_the_browsers_noise() {
        let said = "error: {\"event\":\"code\"}\n{\"event\":\"co\n{\"event\":\"code\",\"code\":\"AB\"}\n{\"event\":\"done\"}\n";
        assert_eq!(heard(said, "code").unwrap_or_default()["code"], "AB");
        assert!(heard(said, "link").is_none());
    }
}
