//! Steps of a long run: each is said before it starts and timed when it ends.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
pub(crate) use lab::cargo::command as cargo;

/// Builds the programs that the lab and the demo run: optimised, but each crate by itself, which takes much
/// less time than what is measured and shipped.
pub(crate) fn release_build() -> Command {
    let programs = ["--package", "boxd", "--package", "cloud-stub", "--package", "simcam"];
    let mut command = cargo(&["build", "--release"]);
    command.args(programs);
    command.env("CARGO_PROFILE_RELEASE_LTO", "off").env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
    command
}

/// Runs one command with its output shown.
///
/// # Errors
/// When it cannot start or fails.
pub(crate) fn run(what: &str, command: &mut Command) -> Result<Duration> {
    eprintln!("xtask: {what}");
    let start = Instant::now();
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| format!("starting {program}"))?;
    if !status.success() {
        bail!("{what}: {status}");
    }
    Ok(start.elapsed())
}

/// Runs one command and gives what it printed.
///
/// # Errors
/// When it cannot start, fails, or prints no text; the message is its own.
pub(crate) fn text(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("starting {program}"))?;
    if !output.status.success() {
        bail!("{program} ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("{program} printed no text"))
}

/// Whether a program is there and answers `argument` with success.
pub(crate) fn there(program: &str, argument: &str) -> bool {
    Command::new(program).arg(argument).output().is_ok_and(|output| output.status.success())
}

/// The number after a word; `default` without the word.
///
/// # Errors
/// When what follows is no number above 0.
pub(crate) fn number(words: &[&str], name: &str, default: u64) -> Result<u64> {
    let Some(at) = words.iter().position(|word| *word == name) else { return Ok(default) };
    let value = words.get(at + 1).and_then(|word| word.parse().ok()).filter(|&number| number > 0);
    value.with_context(|| format!("{name} needs a number above 0"))
}

/// Refuses words that a command does not know. `valued` take a number, `plain` take nothing.
///
/// # Errors
/// Naming the first such word.
pub(crate) fn only(words: &[&str], valued: &[&str], plain: &[&str]) -> Result<()> {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if valued.contains(word) {
            words.next();
        } else if !plain.contains(word) {
            bail!("{word}: unknown; see cargo xtask --help");
        }
    }
    Ok(())
}
