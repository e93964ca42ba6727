//! Brings the box into the cloud as people would: the box's page shows a code, the owner claims it at the cloud's command
//! line, both show the same check words, and the page is told yes.

use std::{fs, process::Command};

use anyhow::{Context, Result, ensure};
use lab::{
    account::Account,
    cloud::Link,
    http::Site,
    internet::{HUB, VIDEO},
    paths,
};
use serde_json::{Value, json};

use super::home;

/// Who claims the box.
const OWNER: &str = "ACME";

/// How far joining has come.
#[derive(Default)]
pub(super) enum Joining {
    /// The page shows no code yet.
    #[default]
    Waiting,
    /// The code was claimed; what the cloud printed.
    Claimed(String),
    /// The page was told yes.
    Agreed,
}

/// Writes the cloud's configuration into an empty folder. `public` is how viewers call it.
///
/// # Errors
/// When that cannot be written.
pub(super) fn furnish(public: Site) -> Result<()> {
    let home = home();
    if home.exists() {
        fs::remove_dir_all(&home)?;
    }
    fs::create_dir_all(&home)?;
    let file = |name: &str| home.join(name).display().to_string();
    let text = format!(
        "[http]\nlisten = \"0.0.0.0:443\"\nurl = \"{}\"\nhosts = [\"{VIDEO}\"]\ntls = \"files\"\ncert = {:?}\nkey = {:?}\n\n\
         [hub]\nendpoint = \"{HUB}:51820\"\n\n[store]\nurl = \"sqlite:{}\"\n",
        public.url(""),
        file("tls/certificate.pem"),
        file("tls/key.pem"),
        file("cloud.db"),
    );
    fs::write(home.join("cloud.toml"), text).context("writing the cloud's configuration")
}

impl Joining {
    /// Does the next step if it is due. True: the box has joined.
    ///
    /// # Errors
    /// When the cloud refuses, or the check words differ.
    pub(super) fn look(&mut self, page: &Account) -> Result<bool> {
        // the page may be busy for a moment
        let Ok(view) = page.json("/api/v1/join") else { return Ok(false) };
        let text = |name: &str| view[name].as_str().unwrap_or_default();
        match (&*self, text("state")) {
            (_, "joined") => return Ok(true),
            (Self::Waiting, "code") => {
                println!(
                    "  code         {}  (the page shows it; it is claimed at the cloud for {OWNER})",
                    text("code")
                );
                *self = Self::Claimed(owner(&["claim", text("code"), "--owner", OWNER])?);
            }
            (Self::Claimed(printed), "claimed") => {
                let words = text("check_words");
                ensure!(
                    !words.is_empty() && printed.contains(words),
                    "the box shows {words:?}, the cloud {printed:?}: this is not the same box"
                );
                println!("  check words  {words}  (the same on both sides)");
                let yes: Value = json!({ "accept": true, "session": view["session"] });
                let answer = page.post("/api/v1/join", &yes)?;
                ensure!((200..300).contains(&answer.status), "the box: {} {}", answer.status, answer.text());
                println!("  Join {OWNER}?   yes");
                *self = Self::Agreed;
            }
            _ => {}
        }
        Ok(false)
    }
}

/// The public links of all cameras.
///
/// # Errors
/// When the cloud's command line refuses.
pub(super) fn links() -> Result<Vec<Link>> {
    Ok(Link::list(&owner(&["cameras"])?))
}

/// A command of the owner's.
fn owner(words: &[&str]) -> Result<String> {
    let mut command = Command::new(paths::binary("cloud")?);
    let output = command.arg("--config").arg(home().join("cloud.toml")).args(words).output()?;
    ensure!(
        output.status.success(),
        "cloud {}: {}",
        words.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
