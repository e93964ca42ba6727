//! `cargo xtask sbom`: what runs on a box, as CycloneDX 1.6: the crates and pages that are in its program, and what Buildroot put beside
//! it. The same sources give the same bytes: no time, no random number, everything in order.

mod crates;
mod merge;

use std::{fs, path::Path};

use anyhow::{Context, Result};
use lab::paths;
use serde_json::Value;

use crate::step;

const HELP: &str = "\
cargo xtask sbom    what runs on a box, as CycloneDX 1.6 (JSON): crates linked into boxd for ARM, what its pages bring from npm,
                    with versions, licences, hashes and package URLs

  [--buildroot FILE]   what Buildroot's utils/generate-cyclonedx made of `make show-info`: kernel, libraries and programs beside boxd
  [--out FILE]         instead of standard output

Examples:
  cargo xtask sbom --out box.cdx.json
  make -C ~/output show-info | ~/buildroot/utils/generate-cyclonedx > rest.json && cargo xtask sbom --buildroot rest.json
";

/// Writes the list.
///
/// # Errors
/// When cargo does not tell what is linked, or a file cannot be read or written.
pub(crate) fn run(words: &[&str]) -> Result<()> {
    if words.iter().any(|word| matches!(*word, "--help" | "-h" | "help")) {
        print!("{HELP}");
        return Ok(());
    }
    step::only(words, &["--buildroot", "--out"], &[])?;
    let after = |name: &str| -> Result<Option<&Path>> {
        let Some(at) = words.iter().position(|word| *word == name) else { return Ok(None) };
        let file = words.get(at + 1).with_context(|| format!("{name} needs a file"))?;
        Ok(Some(Path::new(*file)))
    };
    let mut list = crates::list(&paths::workspace())?;
    if let Some(file) = after("--buildroot")? {
        let doing = || format!("{} ([--buildroot FILE])", file.display());
        let theirs: Value =
            serde_json::from_slice(&fs::read(file).with_context(doing)?).with_context(doing)?;
        list = merge::merge(list, theirs).with_context(doing)?;
    }
    let text = serde_json::to_string_pretty(&list)? + "\n";
    if let Some(file) = after("--out")? {
        return fs::write(file, text).with_context(|| format!("writing {}", file.display()));
    }
    print!("{text}");
    Ok(())
}
