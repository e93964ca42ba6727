//! `boxd guard`: owns the watchdog and the verdict over a new system.

use std::path::Path;

use crate::config::Config;

/// Starts the box and watches over it.
///
/// # Errors
/// When it cannot.
pub(crate) fn run(_config: &Config, _file: Option<&Path>) -> anyhow::Result<()> {
    anyhow::bail!("this board has no watchdog to guard")
}
