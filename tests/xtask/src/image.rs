//! The box as a disk: built from these sources on any Debian machine with Rust, and how to boot it.

use std::time::Instant;

use ::image::{
    build::{self, Options},
    qemu,
};
use anyhow::Result;

use crate::step;

/// Builds it, saying each step.
///
/// # Errors
/// Naming the step that failed.
pub(crate) fn run(words: &[&str]) -> Result<()> {
    step::only(words, &["--version", "--board"], &[])?;
    let after = |name: &str| words.iter().position(|word| *word == name).and_then(|at| words.get(at + 1));
    let usual = Options::default();
    let options = Options {
        version: after("--version").map_or_else(|| usual.version.clone(), |word| (*word).to_owned()),
        board: after("--board").map_or_else(|| usual.board.clone(), |word| (*word).to_owned()),
        ..usual
    };
    let start = Instant::now();
    let built = build::ensure(&options)?;
    let size =
        |file: &std::path::Path| file.metadata().map_or(0, |meta| meta.len()) as f64 / f64::from(1 << 20);
    println!(
        "xtask: image of version {} for {} in {} s",
        options.version,
        options.board,
        start.elapsed().as_secs()
    );
    println!("  {:5.1} MiB  {}", size(&built.program), built.program.display());
    println!("  {:5.1} MiB  {}  signed kernel and initramfs", size(&built.fit), built.fit.display());
    println!("  {:5.1} MiB  {}  read-only root with its hash tree", size(&built.root), built.root.display());
    println!("  {:5.1} MiB  {}  most of it empty", size(&built.disk), built.disk.display());
    println!("\nTo boot it, with its page at http://127.0.0.1:8080/ (Ctrl-A X ends it):\n");
    println!("  cp --sparse=always {} /tmp/box.img", built.disk.display());
    println!("  {}", qemu::command_line("/tmp/box.img".as_ref(), &built.tree, &[(8080, 80)]));
    Ok(())
}
