//! What the pages need from npm, fetched into each `web/node_modules` at exactly the versions of the lock file.

use std::process::Command;

use anyhow::{Result, bail};
use lab::paths;

use crate::step;

/// Fetches it.
///
/// # Errors
/// When npm is missing or fails.
pub(crate) fn run() -> Result<()> {
    if !step::there("npm", "--version") {
        bail!("npm is missing: apt install npm");
    }
    for (what, web) in [
        ("hls.js", "firmware/player/web"),
        ("what the set-up page needs", "firmware/setup/web"),
        ("what the portal needs", PORTAL),
    ] {
        step::run(&format!("fetching {what}"), &mut fetch(web))?;
    }
    Ok(())
}

/// Where the typescript is that checks the types of portal and set-up page.
const PORTAL: &str = "cloud-stub/web";

/// The check of the types of portal, set-up page and what they share, after fetching what that needs. `None` without npm.
///
/// # Errors
/// When npm fails.
pub(crate) fn types() -> Result<Option<Command>> {
    if !step::there("npm", "--version") {
        return Ok(None);
    }
    let web = paths::workspace().join(PORTAL);
    if !web.join("node_modules/typescript/package.json").exists() {
        step::run("fetching what the portal needs", &mut fetch(PORTAL))?;
    }
    let mut check = Command::new("npm");
    check.args(["run", "--silent", "types"]).current_dir(web);
    Ok(Some(check))
}

fn fetch(web: &str) -> Command {
    let mut command = Command::new("npm");
    command
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(paths::workspace().join(web));
    command
}
