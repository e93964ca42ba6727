//! Where the lab keeps what it installs, makes and logs: everything is under `target/lab`, so `cargo clean`
//! takes it away.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Result, bail};

/// The root of the repository.
pub fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}

/// Cargo's target directory: `CARGO_TARGET_DIR` if set, else `target` in the workspace.
pub fn target() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => workspace().join(dir),
        None => workspace().join("target"),
    }
}

/// The lab's own directory under [`target`].
pub fn lab() -> PathBuf {
    target().join("lab")
}

/// The lab's sources: camera and player scripts, package lists.
pub fn sources() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The Python that has the lab's packages.
pub fn python() -> PathBuf {
    lab().join("venv/bin/python")
}

/// A binary of this workspace: the path in the variable `STREAMBOX_<NAME>`, else the release build.
///
/// # Errors
/// When it is not there; the message says how to build it.
pub fn binary(name: &str) -> Result<PathBuf> {
    let variable = format!("STREAMBOX_{}", name.to_uppercase());
    let path = env::var_os(&variable).map_or_else(|| target().join("release").join(name), PathBuf::from);
    if !path.is_file() {
        let package = if name == "cloud" { "cloud-stub" } else { name };
        bail!(
            "{} is missing: run `cargo build --release -p {package}`, or name the binary in {variable}",
            path.display()
        );
    }
    Ok(path)
}
