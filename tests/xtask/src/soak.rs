//! The long tests, so that what happens once in a hundred times happens here: the public link under random faults, then
//! the lab's scenarios again and again, with every stream in every browser.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::step::{self, cargo};

/// How often an update's plug is pulled.
const KILLS: &str = "20";

/// Takes half of the time for the link and the rest for the lab, which always has at least one round; `--link`: all of it
/// for the link.
///
/// # Errors
/// At the first round that fails.
pub(crate) fn run(words: &[&str]) -> Result<()> {
    step::only(words, &["--minutes", "--seed"], &["--link"])?;
    let minutes = step::number(words, "--minutes", 30)?;
    let link_only = words.contains(&"--link");
    let (start, limit) = (Instant::now(), Duration::from_secs(minutes * 60));
    lab::setup::ensure()?;
    step::run("release build", &mut step::release_build())?;
    if !link_only {
        let mut cuts = cargo(&["test", "--package", "update", "--test", "cuts", "--", "--nocapture"]);
        step::run("updates with the power cut five times in a row", cuts.env("CUTS", "5"))?;
        let mut fleet = cargo(&[
            "test",
            "--release",
            "--package",
            "cloud-stub",
            "--lib",
            "fleet::simulation",
            "--",
            "--nocapture",
        ]);
        step::run("200 fleets of 10,000 boxes and each kind of release", fleet.env("FLEET_SEEDS", "200"))?;
        let mut image = cargo(&["test", "--package", "image", "--", "--test-threads=1", "--nocapture"]);
        image.env("STREAMBOX_SOAK", "1").env("STREAMBOX_KILLS", KILLS).env("STREAMBOX_FLEET", "all");
        step::run(
            "the box as a disk: every case of the boot table, twenty pulled plugs, every bad release",
            &mut image,
        )?;
    }

    let for_link = if link_only { minutes } else { minutes.div_ceil(2) };
    let mut link = cargo(&["test", "--package", "lab", "--test", "soak", "--", "--nocapture"]);
    link.env("STREAMBOX_SOAK_MINUTES", for_link.to_string());
    if words.contains(&"--seed") {
        link.env("STREAMBOX_SOAK_SEED", step::number(words, "--seed", 1)?.to_string());
    }
    step::run(&format!("the public link under random faults for {for_link} minutes"), &mut link)?;
    if link_only {
        return Ok(());
    }
    let mut rounds = 0;
    while rounds == 0 || start.elapsed() < limit {
        rounds += 1;
        let left = limit.saturating_sub(start.elapsed()).as_secs() / 60;
        let what = format!("round {rounds}, {left} minutes left");
        let mut lab = cargo(&["test", "--package", "lab", "--", "--test-threads=1"]);
        // The largest matrix: every stream in every browser engine.
        lab.env("STREAMBOX_BROWSERS", "all");
        // Each role of the portal in each language, on a phone and at a desk.
        lab.env("STREAMBOX_PORTAL", "all");
        // The set-up page in each language, on both.
        lab.env("STREAMBOX_WALK", "all");
        step::run(&what, &mut lab)
            .with_context(|| format!("soak: round {rounds} after {} s", start.elapsed().as_secs()))?;
    }
    println!("xtask: soak: {rounds} rounds in {} s, all green", start.elapsed().as_secs());
    Ok(())
}
