//! The player's one dependency, fetched into `firmware/player/web/node_modules` at exactly the version of the lock file.

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
    let mut command = Command::new("npm");
    command
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(paths::workspace().join("firmware/player/web"));
    step::run("fetching hls.js", &mut command)?;
    Ok(())
}
