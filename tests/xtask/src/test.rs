//! Everything that a change must pass, cheap things first.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::step::{self, cargo};

/// Runs all steps; stops at the first that fails.
///
/// # Errors
/// Naming the step.
pub(crate) fn run(words: &[&str]) -> Result<()> {
    step::only(words, &[], &["--quick"])?;
    let quick = words.contains(&"--quick");
    let start = Instant::now();
    let mut took: Vec<(&str, Duration)> = Vec::new();
    let mut step = |name: &'static str, what: &str, command: &mut std::process::Command| -> Result<()> {
        took.push((name, step::run(what, command).with_context(|| failed(name, start))?));
        Ok(())
    };

    step("format", "format", &mut cargo(&["fmt", "--all", "--check"]))?;
    step(
        "lints",
        "lints: clippy on every target of every crate",
        &mut cargo(&["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"]),
    )?;
    if step::there("cargo-deny", "--version") {
        let deny = [
            "deny",
            "--log-level",
            "error",
            "check",
            "--config",
            ".cargo/deny.toml",
            "licenses",
            "bans",
            "sources",
        ];
        step("licences", "licences, duplicates and sources of dependencies", &mut cargo(&deny))?;
    } else {
        eprintln!("xtask: licences: skipped, cargo-deny is not installed (cargo install cargo-deny)");
    }
    // The lab is serial and needs release binaries; everything else comes first.
    let nextest = step::there("cargo-nextest", "--version");
    let rest = ["--workspace", "--exclude", "lab", "--exclude", "xtask"];
    if nextest {
        step("tests", "tests", cargo(&["nextest", "run", "--no-fail-fast"]).args(rest))?;
        step("doc tests", "doc tests", cargo(&["test", "--quiet", "--doc"]).args(rest))?;
    } else {
        step("tests", "tests", cargo(&["test", "--quiet", "--no-fail-fast"]).args(rest))?;
    }
    step(
        "house",
        "the house stands as drawn",
        &mut cargo(&["test", "--quiet", "--package", "xtask", "--test", "house"]),
    )?;
    if !quick {
        lab::setup::ensure().with_context(|| failed("setup of the lab", start))?;
        step(
            "release build",
            "release build for the lab",
            &mut cargo(&["build", "--release", "--package", "boxd", "--package", "simcam"]),
        )?;
        step(
            "lab",
            "the lab: real cameras, players and judges",
            &mut cargo(&["test", "--package", "lab", "--", "--test-threads=1"]),
        )?;
        step(
            "demo",
            "the demo, as root and as an ordinary user",
            &mut cargo(&["test", "--package", "xtask", "--test", "demo"]),
        )?;
    }
    let steps: Vec<String> = took.iter().map(|(name, time)| format!("{name} {} s", time.as_secs())).collect();
    println!("xtask: test: all green in {} s ({})", start.elapsed().as_secs(), steps.join(", "));
    Ok(())
}

fn failed(step: &str, start: Instant) -> String {
    format!("test: {step} failed after {} s", start.elapsed().as_secs())
}
