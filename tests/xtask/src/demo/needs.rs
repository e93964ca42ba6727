//! What the demo needs of the machine, installed where that is possible, else named.

use std::{fs::File, path::Path, process::Command};

use anyhow::{Result, bail};
use nix::unistd::geteuid;

use crate::step;

/// A program and its Debian package.
const PROGRAMS: [(&str, &str, &str); 7] = [
    ("ip", "-V", "iproute2"),
    ("nft", "--version", "nftables"),
    ("sysctl", "--version", "procps"),
    ("unshare", "--version", "util-linux"),
    ("nsenter", "--version", "util-linux"),
    ("setpriv", "--version", "util-linux"),
    ("mount", "--version", "mount"),
];

/// Installs what is missing as root; otherwise names it.
///
/// # Errors
/// One line that says what to install.
pub(super) fn check() -> Result<()> {
    if !Path::new("/dev/net/tun").exists() {
        bail!("the demo needs /dev/net/tun for its tunnel: sudo modprobe tun");
    }
    if let Err(error) = File::options().read(true).write(true).open("/dev/net/tun") {
        bail!(
            "the demo needs /dev/net/tun for its tunnel ({error}): run as root, or sudo chmod 0666 /dev/net/tun"
        );
    }
    let mut packages = missing();
    packages.dedup();
    if !packages.is_empty() {
        let list = packages.join(" ");
        if !geteuid().is_root() || !step::there("apt-get", "--version") {
            bail!("the demo needs {list}: sudo apt install {list}");
        }
        step::run("package lists", Command::new("apt-get").args(["update", "-qq"]))?;
        let mut install = Command::new("apt-get");
        install.args(["install", "-y", "-qq", "--no-install-recommends"]).args(&packages);
        step::run(&format!("installing {list}"), install.env("DEBIAN_FRONTEND", "noninteractive"))?;
        if !missing().is_empty() {
            bail!("{list} did not bring what the demo needs");
        }
    }
    if !step::there("npm", "--version") {
        eprintln!("xtask: npm is missing, so the player may be built without hls.js: apt install npm");
    }
    Ok(())
}

fn missing() -> Vec<&'static str> {
    let gone = |(program, argument, _): &&(&str, &str, &str)| !step::there(program, argument);
    PROGRAMS.iter().filter(gone).map(|(_, _, package)| *package).collect()
}
