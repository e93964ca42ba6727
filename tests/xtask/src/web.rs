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
    for (what, web) in
        [("hls.js", "firmware/player/web"), ("what the set-up page needs", "firmware/setup/web")]
    {
        let mut command = Command::new("npm");
        command
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
            .current_dir(paths::workspace().join(web));
        step::run(&format!("fetching {what}"), &mut command)?;
    }
    Ok(())
}
