//! The whole loop: two boxes in QEMU that a cloud knows, releases published to them by campaigns, and what becomes of a release
//! that a box cannot live with.
//!
//! `STREAMBOX_FLEET=all` (the soak) publishes every kind of bad release; else one of them comes before the good one.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod stage;

use anyhow::ensure;
use lab::{test_name, world};
use serde_json::Value;

use stage::{Bad, Stage};

/// What the boxes run at first.
const OLD: &str = "1.0.0";

#[test]
fn a_bad_release_ends_at_the_first_box_and_a_good_one_reaches_all() {
    let test = test_name!();
    let all = std::env::var_os("STREAMBOX_FLEET").is_some_and(|which| which == "all");
    let bad = if all { &Bad::ALL[..] } else { &[Bad::NoTunnel] };
    let program = image::toolchain::firmware().unwrap();
    world::beside(test, || {
        let mut stage = Stage::open(test, &program)?;
        let [first, second] = stage.boxes();
        for (number, kind) in bad.iter().enumerate() {
            let version = format!("1.1.{number}");
            stage.publish(&version, Some(*kind))?;
            let campaign = stage.campaign(&version, &first)?;
            let halted = stage.until(&campaign, "halted")?;
            let why = halted["reason"].as_str().unwrap_or_default();
            println!("{kind:?}: halted after {:.0} s: {why}", stage.took());
            ensure!(!why.is_empty(), "it does not say why: {halted}");
            let box_ = stage.standing(&campaign, &first)?;
            println!("  {}", box_["why"]);
            ensure!(box_["standing"] == "failed" || box_["standing"] == "silent", "{box_}");
            ensure!(stage.standing(&campaign, &second)? == Value::Null, "the second box was offered it, too");
            stage.runs(&first, OLD)?;
            stage.runs(&second, OLD)?;
            stage.withdraw(&campaign)?;
        }
        stage.publish("1.2.0", None)?;
        let campaign = stage.campaign("1.2.0", &first)?;
        stage.until(&campaign, "done")?;
        // The rings are through as soon as all that were told have decided, and whoever asks later gets it, too.
        for id in [&first, &second] {
            stage.keeps(&campaign, id)?;
            stage.runs(id, "1.2.0")?;
        }
        println!("a good release was with both after {:.0} s", stage.took());
        stage.end()
    });
}
