//! Programs of others that do the work, found on the path; what they say is shown only when they fail.

use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Runs a short command to its end and gives what it wrote.
///
/// # Errors
/// When it cannot start or fails, with what it said.
pub fn finish(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| {
        format!("starting {name}; `cargo xtask image` and Buildroot bring it, each for its own images")
    })?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        output.status.success(),
        "{name} ended with {}:\n{}{said}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(said)
}
