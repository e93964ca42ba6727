//! Fuzzing proper: with a nightly toolchain if there is one, else with this one told to take nightly's flags. `cargo xtask test`
//! replays the corpora.

use std::{fs, process::Command};

use anyhow::{Context, Result, bail};
use lab::paths;

use crate::step::{self, cargo};

/// Fuzzes one target, or each in turn.
///
/// # Errors
/// When the tools are missing, or something was found.
pub(crate) fn run(words: &[&str]) -> Result<()> {
    let (wanted, options) = match words.split_first() {
        Some((first, rest)) if !first.starts_with("--") => (Some(*first), rest),
        _ => (None, words),
    };
    step::only(options, &["--seconds"], &[])?;
    let seconds = step::number(options, "--seconds", 60)?;
    let nightly = nightly();
    if !step::there("cargo-fuzz", "--version") {
        bail!("cargo-fuzz is missing: cargo install cargo-fuzz");
    }
    let home = paths::workspace().join("firmware/fuzz");
    let mut targets = Vec::new();
    for entry in fs::read_dir(home.join("fuzz_targets")).context("reading the fuzz targets")? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            targets.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
        }
    }
    targets.sort();
    if let Some(wanted) = wanted {
        targets.retain(|target| target == wanted);
        if targets.is_empty() {
            bail!("{wanted}: no such fuzz target in {}", home.display());
        }
    }
    for target in &targets {
        let found = paths::lab().join("fuzz").join(target);
        fs::create_dir_all(&found).with_context(|| format!("making {}", found.display()))?;
        let mut command = if nightly {
            let mut command = Command::new("cargo");
            command.arg("+nightly");
            command
        } else {
            let mut command = cargo(&[]);
            // The sanitizer's flags are the compiler's own in every channel; only the leave to use them is not.
            command.env("RUSTC_BOOTSTRAP", "1");
            command
        };
        command
            .args(["fuzz", "run", "--features", "libfuzzer", "--fuzz-dir"])
            .arg(&home)
            .arg(target)
            // What libFuzzer collects goes into the first folder; the committed corpus is only read.
            .args([&found, &home.join("corpus").join(target)])
            .args(["--", &format!("-max_total_time={seconds}")])
            // Linking the instrumented crates as one takes longer than the fuzzing.
            .env("CARGO_PROFILE_RELEASE_LTO", "off")
            .current_dir(&home);
        step::run(&format!("fuzzing {target} for {seconds} s"), &mut command)?;
    }
    eprintln!("xtask: fuzz: {} targets, {seconds} s each, nothing found", targets.len());
    Ok(())
}

fn nightly() -> bool {
    Command::new("cargo").args(["+nightly", "--version"]).output().is_ok_and(|output| output.status.success())
}
