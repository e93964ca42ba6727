//! Everything that a change must pass, cheap things first.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use lab::paths;

use crate::step::{self, cargo};
use crate::web;

/// The cargo-deny that the rules in `.cargo/deny.toml` are written for.
const DENY_VERSION: &str = "0.20.2";

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
    match licences(quick)? {
        Some(mut deny) => step("licences", "licences, duplicates and sources of dependencies", &mut deny)?,
        None => eprintln!("xtask: licences: skipped in a quick run without cargo-deny"),
    }
    // Some tests of the cloud take what ffmpeg and GStreamer send.
    if quick {
        for program in ["ffmpeg", "gst-launch-1.0"] {
            ensure!(
                step::there(program, if program == "ffmpeg" { "-version" } else { "--version" }),
                "{program} is missing: cargo xtask test installs it, or apt install ffmpeg gstreamer1.0-tools gstreamer1.0-plugins-bad"
            );
        }
    } else {
        lab::setup::ensure().with_context(|| failed("setup of the lab", start))?;
    }
    // The lab is serial and needs release binaries; everything else comes first.
    let nextest = step::there("cargo-nextest", "--version");
    let rest = ["--workspace", "--exclude", "lab", "--exclude", "image", "--exclude", "xtask"];
    // The same cases each time, so that a change is judged by what it changed; PROPTEST_RNG_SEED= explores others.
    let seed = ("PROPTEST_RNG_SEED", std::env::var("PROPTEST_RNG_SEED").unwrap_or_else(|_| "1".to_owned()));
    if nextest {
        // Many of them wait for a clock, so more run side by side than there are cores.
        let mut tests = cargo(&["nextest", "run", "--no-fail-fast", "--test-threads=4"]);
        step("tests", "tests", tests.args(rest).env(seed.0, &seed.1))?;
        step("doc tests", "doc tests", cargo(&["test", "--quiet", "--doc"]).args(rest))?;
    } else {
        let mut tests = cargo(&["test", "--quiet", "--no-fail-fast"]);
        step("tests", "tests", tests.args(rest).env(seed.0, &seed.1))?;
    }
    step(
        "house",
        "the house stands as drawn",
        &mut cargo(&[
            "test",
            "--quiet",
            "--package",
            "xtask",
            "--test",
            "house",
            "--test",
            "release",
            "--test",
            "sbom",
            "--test",
            "scripts",
        ]),
    )?;
    if step::there("node", "--version") {
        for web in ["firmware/assets/web", "firmware/player/web", "firmware/setup/web", "cloud-stub/web"] {
            let mut pages = std::process::Command::new("node");
            pages.arg("--test").current_dir(paths::workspace().join(web));
            step("pages", "the pages' own logic, in Node.js", &mut pages)?;
        }
        if let Some(mut check) = web::types().with_context(|| failed("types", start))? {
            step("types", "the types of the pages' modules", &mut check)?;
        }
    }
    if !quick {
        step("release build", "release build for the lab", &mut step::release_build())?;
        // Once and first: it installs packages and compiles, which two tests at a time must not.
        image::build::ensure(&image::build::Options::default())
            .with_context(|| failed("making the image", start))?;
        step(
            "image",
            "the box as a disk: built for ARM, booted through U-Boot, updated and broken",
            // Mostly waiting for clocks: two machines at a time.
            &mut slow("image", nextest),
        )?;
        step(
            "lab",
            "the lab: real cameras, players and judges",
            // What measures takes its turn alone (lab::world).
            &mut slow("lab", nextest),
        )?;
        step(
            "demo",
            "the demo, as root and as an ordinary user; the image, twice the same",
            &mut cargo(&["test", "--package", "xtask", "--test", "demo", "--test", "reproducible"]),
        )?;
    }
    let steps: Vec<String> = took.iter().map(|(name, time)| format!("{name} {} s", time.as_secs())).collect();
    println!("xtask: test: all green in {} s ({})", start.elapsed().as_secs(), steps.join(", "));
    Ok(())
}

/// The tests of a package whose programs take minutes each: two at a time, whichever program they are in, where that can be had.
fn slow(package: &str, nextest: bool) -> std::process::Command {
    let two = "--test-threads=2";
    if nextest {
        let how = ["--no-fail-fast", "--success-output=final", "--package", package, two];
        cargo(&[&["nextest", "run"][..], &how].concat())
    } else {
        cargo(&["test", "--no-fail-fast", "--package", package, "--", two])
    }
}

/// cargo-deny with this house's rules. A full run installs it, under the target directory, if it is missing.
fn licences(quick: bool) -> Result<Option<std::process::Command>> {
    let tools = paths::lab().join("tools");
    let own = tools.join("bin/cargo-deny");
    if !own.exists() && !step::there("cargo-deny", "--version") {
        if quick {
            return Ok(None);
        }
        // Unoptimised: it builds in a third of the time and needs a second longer for its one look.
        let install =
            ["install", "--quiet", "--locked", "--debug", "--version", DENY_VERSION, "cargo-deny", "--root"];
        step::run("installing cargo-deny (a minute or two, once)", cargo(&install).arg(&tools))?;
    }
    let program = if own.exists() { own } else { "cargo-deny".into() };
    let mut deny = std::process::Command::new(program);
    deny.current_dir(paths::workspace());
    deny.args(["--log-level", "error", "--all-features", "--config", ".cargo/deny.toml"]);
    deny.args(["check", "licenses", "bans", "sources"]);
    Ok(Some(deny))
}

fn failed(step: &str, start: Instant) -> String {
    format!("test: {step} failed after {} s", start.elapsed().as_secs())
}
