//! The benchmarks live in a crate of their own; this starts them in release.

use anyhow::Result;

use crate::step::{self, cargo};

/// Runs the benchmark program with the words after `bench`.
///
/// # Errors
/// When it does not build or fails.
pub(crate) fn run(words: &[&str]) -> Result<()> {
    if !words.contains(&"--help") {
        lab::setup::ensure()?;
    }
    step::run("benchmarks", cargo(&["run", "--quiet", "--release", "--package", "bench", "--"]).args(words))?;
    Ok(())
}
