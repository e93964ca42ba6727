//! The cross compiler: Rust's own target for static programs, with Debian's gcc for C sources and as the linker.
//!
//! musl and not glibc, because a static glibc looks names up by loading shared libraries that the box does not have. The same
//! sources give the same program.

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result, ensure};
use lab::{cargo, paths, world::run};

use crate::build;

/// What the box's programs are compiled for.
pub const TARGET: &str = "aarch64-unknown-linux-musl";
/// The profile in the workspace's Cargo.toml.
const PROFILE: &str = "firmware";
/// Debian's cross compiler.
const GCC: &str = "aarch64-linux-gnu-gcc";
/// The least processor of any board.
const FLAGS: [&str; 2] = ["-C", "target-cpu=cortex-a53"];
/// Debian's headers would turn calls into checked ones that only glibc has.
const C_FLAGS: &str = "-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=0 -fno-stack-protector";

/// Debian 12 packages that compile, beyond Rust and a C compiler for this machine.
pub const PACKAGES: &[&str] = &["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"];

/// Brings Rust's standard library for the target, if it is missing.
///
/// # Errors
/// When it is missing and rustup is, too.
pub fn ensure() -> Result<()> {
    lab::setup::packages(PACKAGES)?;
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let libraries = Command::new(rustc)
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()
        .context("rustc")?;
    let folder = PathBuf::from(String::from_utf8_lossy(&libraries.stdout).trim());
    if libraries.status.success() && folder.is_dir() {
        return Ok(());
    }
    eprintln!("image: adding Rust's standard library for {TARGET}");
    run("rustup", &["target", "add", TARGET])
        .with_context(|| format!("this Rust has no standard library for {TARGET}, and rustup brings none"))
}

/// Compiles `boxd` for the box and gives the stripped program. `STREAMBOX_FIRMWARE` names one that is there already.
///
/// # Errors
/// When it does not compile.
pub fn firmware() -> Result<PathBuf> {
    if let Some(given) = std::env::var_os("STREAMBOX_FIRMWARE") {
        return Ok(given.into());
    }
    ensure()?;
    eprintln!("image: compiling boxd for {TARGET} (some minutes the first time)");
    let target_dir = build::home().join("cargo");
    let name = TARGET.replace('-', "_");
    let mut command =
        cargo::command(&["build", "--quiet", "--locked", "--package", "boxd", "--profile", PROFILE]);
    command.args(["--target", TARGET, "--target-dir"]).arg(&target_dir);
    command.env(format!("CC_{name}"), GCC).env(format!("CFLAGS_{name}"), C_FLAGS);
    command.env(format!("AR_{name}"), "aarch64-linux-gnu-ar");
    command.env(format!("CARGO_TARGET_{}_LINKER", name.to_uppercase()), GCC);
    command.env("CARGO_ENCODED_RUSTFLAGS", flags()?.join("\u{1f}"));
    if let Some(seconds) = sources_changed() {
        command.env("SOURCE_DATE_EPOCH", seconds);
    }
    let status = command.status().context("starting cargo")?;
    ensure!(status.success(), "boxd does not compile for {TARGET}: cargo ended with {status}");
    Ok(target_dir.join(TARGET).join(PROFILE).join("boxd"))
}

/// What the compiler is told. A panic's message names a file: those of crates are below cargo's home, which is another on each
/// machine, and the program would be another, too.
fn flags() -> Result<Vec<String>> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let home = home.context("neither CARGO_HOME nor HOME is set")?;
    let mut flags: Vec<String> = FLAGS.map(str::to_owned).into();
    flags.push(format!("--remap-path-prefix={}=/cargo", home.display()));
    if let Some(folder) = linker()? {
        // Functions that are the same bytes are kept once (Rust promises no two of them different addresses), and the segments
        // lie as close as pages of 4 KiB let them, which is what every board's kernel has.
        let words = ["-fuse-ld=lld", "-Wl,--icf=all", "-Wl,-z,max-page-size=4096"].map(str::to_owned);
        for word in words.into_iter().chain([format!("-B{}", folder.display())]) {
            flags.extend(["-C".to_owned(), format!("link-arg={word}")]);
        }
    }
    Ok(flags)
}

/// The folder of the linker that rustup brings, where gcc finds it; without it the program is larger by some 100 KiB.
fn linker() -> Result<Option<PathBuf>> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let libraries = Command::new(rustc).args(["--print", "target-libdir"]).output().context("rustc")?;
    let libraries = PathBuf::from(String::from_utf8_lossy(&libraries.stdout).trim());
    let folder = libraries.parent().map(|host| host.join("bin/gcc-ld"));
    Ok(folder.filter(|folder| folder.join("ld.lld").exists()))
}

/// When the firmware's sources last changed, seconds of Unix time; without git nobody knows.
fn sources_changed() -> Option<String> {
    let output = Command::new("git")
        .current_dir(paths::workspace())
        .args(["log", "-1", "--format=%ct", "--", "firmware", "board", "Cargo.lock", "Cargo.toml"])
        .output()
        .ok()?;
    let seconds = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !seconds.is_empty()).then_some(seconds)
}
