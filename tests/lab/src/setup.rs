//! Puts on the machine what the lab needs. The second time it only looks.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};
use nix::unistd::geteuid;

use crate::{cargo, paths};

/// Debian 12 packages that the lab uses, beyond Rust and a C compiler.
pub const PACKAGES: &[&str] = &[
    "avahi-daemon",
    "avahi-utils",
    "ca-certificates",
    "chromium",
    "conntrack",
    "curl",
    "dbus-daemon",
    "ffmpeg",
    "firefox-esr",
    "fonts-dejavu-core",
    "gir1.2-gst-rtsp-server-1.0",
    "glib-networking",
    "gstreamer1.0-libav",
    "gstreamer1.0-plugins-bad",
    "gstreamer1.0-plugins-base",
    "gstreamer1.0-plugins-good",
    "gstreamer1.0-rtsp",
    "gstreamer1.0-tools",
    "gupnp-tools",
    "iperf3",
    "iproute2",
    "iputils-ping",
    "libgl1",
    "libglib2.0-0",
    "libnss-mdns",
    "mount",
    "nftables",
    "nginx-light",
    "openssl",
    "pebble",
    "postgresql-15",
    "procps",
    "python3",
    "python3-gi",
    "python3-venv",
    "shellcheck",
    "tshark",
    "util-linux",
    "vlc-bin",
    "vlc-plugin-base",
    "wireguard-go",
    "wireguard-tools",
];

/// What a complete installation was made from; it is redone when one of these changes.
const RECIPES: [(&str, &str); 3] =
    [("venv", "requirements.txt"), ("npm", "package-lock.json"), ("media", "cameras/make_media.py")];

/// ONVIF devices of other people's making, apart from the rest because few scenarios need them: a mock device from crates.io,
/// and a Python with ONVIF's own schemas.
const DEVICES: [(&str, &str); 2] = [("oxvif", "cameras/oxvif.txt"), ("strict", "cameras/onvif_strict.txt")];

/// Installs and makes whatever is missing, saying each step.
///
/// # Errors
/// When a step fails; the message names what the owner of the machine must install.
pub fn ensure() -> Result<()> {
    packages(PACKAGES)?;
    for (part, recipe) in RECIPES.into_iter().chain(DEVICES) {
        if !fresh(part, recipe) {
            let folder = paths::lab().join(part);
            eprintln!("lab: making {part} from {recipe}");
            if folder.exists() {
                fs::remove_dir_all(&folder)?;
            }
            fs::create_dir_all(&folder)?;
            match part {
                "venv" | "strict" => venv(&folder, recipe)?,
                "npm" => npm(&folder)?,
                "oxvif" => oxvif(&folder, recipe)?,
                _ => media(&folder)?,
            }
            fs::copy(paths::sources().join(recipe), stamp(part))?;
        }
    }
    Ok(())
}

/// Whether [`ensure`] has been here.
///
/// # Errors
/// When it has not; the message says how to run it.
pub fn check() -> Result<()> {
    made(&RECIPES)
}

/// Whether [`ensure`] has brought the ONVIF devices.
///
/// # Errors
/// As [`check`].
pub fn check_devices() -> Result<()> {
    made(&DEVICES)
}

fn made(parts: &[(&str, &str)]) -> Result<()> {
    for (part, recipe) in parts {
        if !fresh(part, recipe) {
            bail!("the lab is not set up ({part}): run `cargo xtask setup`");
        }
    }
    Ok(())
}

fn stamp(part: &str) -> PathBuf {
    paths::lab().join(format!("{part}.made-from"))
}

fn fresh(part: &str, recipe: &str) -> bool {
    matches!(
        (fs::read(stamp(part)), fs::read(paths::sources().join(recipe))),
        (Ok(made), Ok(wanted)) if made == wanted
    )
}

/// Installs Debian packages that are missing, and Node where there is none.
///
/// # Errors
/// When they cannot be installed; the message names them.
pub fn packages(wanted: &[&str]) -> Result<()> {
    let missing: Vec<&str> = wanted.iter().copied().filter(|package| !installed(package)).collect();
    let node = succeeds("node", &["--version"]) && succeeds("npm", &["--version"]);
    let wanted: Vec<&str> = missing
        .iter()
        .copied()
        .chain(if node { None } else { Some(["nodejs", "npm"]) }.into_iter().flatten())
        .collect();
    if wanted.is_empty() {
        return Ok(());
    }
    eprintln!("lab: installing {}", wanted.join(" "));
    let list = wanted.join(" ");
    let apt = |arguments: &[&str]| -> Result<()> {
        let mut command = if geteuid().is_root() {
            Command::new("apt-get")
        } else {
            let mut sudo = Command::new("sudo");
            sudo.args(["--non-interactive", "apt-get"]);
            sudo
        };
        command.env("DEBIAN_FRONTEND", "noninteractive").args(arguments);
        let status = command.status().with_context(|| format!("install these first: {list}"))?;
        ensure!(status.success(), "apt-get failed; install these first: {list}");
        Ok(())
    };
    apt(&["update", "-qq"])?;
    let mut install = vec!["install", "-y", "-qq", "--no-install-recommends"];
    install.extend(&wanted);
    apt(&install)
}

fn installed(package: &str) -> bool {
    Command::new("dpkg-query")
        .args(["--show", "--showformat", "${db:Status-Status}", package])
        .output()
        .is_ok_and(|output| output.stdout == b"installed")
}

fn succeeds(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
}

/// Debian's own Python, because its GStreamer bindings are Debian packages.
fn venv(folder: &Path, recipe: &str) -> Result<()> {
    finish(Command::new("/usr/bin/python3").args(["-m", "venv", "--system-site-packages"]).arg(folder))?;
    finish(
        Command::new(folder.join("bin/python"))
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"])
            .arg(paths::sources().join(recipe)),
    )
}

/// The mock device of a crate: an example, which cargo installs like any program.
fn oxvif(folder: &Path, recipe: &str) -> Result<()> {
    let version = fs::read_to_string(paths::sources().join(recipe))?;
    finish(
        cargo::command(&["install", "--quiet", "--locked", "--debug"])
            .args(["--features", "mock-server", "--example", "mock_server"])
            .args(["--version", version.trim(), "--root"])
            .arg(folder)
            .arg("oxvif")
            .env("CARGO_TARGET_DIR", folder.join("target")),
    )?;
    // What it was made in is ten times its size.
    fs::remove_dir_all(folder.join("target")).context("clearing up behind oxvif")
}

fn npm(folder: &Path) -> Result<()> {
    for list in ["package.json", "package-lock.json"] {
        fs::copy(paths::sources().join(list), folder.join(list))?;
    }
    finish(
        Command::new("npm").args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]).current_dir(folder),
    )
}

fn media(folder: &Path) -> Result<()> {
    finish(Command::new(paths::python()).arg(paths::sources().join("cameras/make_media.py")).arg(folder))
}

fn finish(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("starting {}", command.get_program().display()))?;
    ensure!(status.success(), "{} ended with {status}", command.get_program().display());
    Ok(())
}
