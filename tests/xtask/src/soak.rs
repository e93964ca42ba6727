//! The long tests: the lab's scenarios again and again, so that what happens once in a hundred times happens here.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::step::{self, cargo};

/// Repeats the lab until the time is over; always at least once.
///
/// # Errors
/// At the first round that fails.
pub(crate) fn run(words: &[&str]) -> Result<()> {
    step::only(words, &["--minutes"], &[])?;
    let minutes = step::number(words, "--minutes", 30)?;
    let (start, limit) = (Instant::now(), Duration::from_secs(minutes * 60));
    lab::setup::ensure()?;
    step::run(
        "release build",
        &mut cargo(&["build", "--release", "--package", "boxd", "--package", "simcam"]),
    )?;
    let mut rounds = 0;
    while rounds == 0 || start.elapsed() < limit {
        rounds += 1;
        let left = limit.saturating_sub(start.elapsed()).as_secs() / 60;
        let what = format!("round {rounds}, {left} minutes left");
        step::run(&what, &mut cargo(&["test", "--package", "lab", "--", "--test-threads=1"]))
            .with_context(|| format!("soak: round {rounds} after {} s", start.elapsed().as_secs()))?;
    }
    println!("xtask: soak: {rounds} rounds in {} s, all green", start.elapsed().as_secs());
    Ok(())
}
