//! `boxd updater`: the process that looks for updates and installs them into the slot that does not run.

use crate::config::Config;

/// Looks for updates for ever.
///
/// # Errors
/// When the board has no two slots.
pub(crate) fn run(config: &Config) -> anyhow::Result<()> {
    anyhow::ensure!(config.board.map.is_some(), "this board has no partition map ([board] map)");
    Ok(())
}
