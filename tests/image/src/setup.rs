//! Puts on the machine what images and their tests need. The second time it only looks.

use anyhow::Result;

/// Debian 12 packages, beyond the lab's.
pub const PACKAGES: &[&str] = &[
    "cryptsetup-bin",
    "device-tree-compiler",
    "dnsmasq-base",
    "fdisk",
    "kmod",
    "libubootenv-tool",
    "openssl",
    "qemu-system-arm",
    "squashfs-tools",
    "u-boot-qemu",
    "u-boot-tools",
];

/// Installs whatever is missing, saying each step.
///
/// # Errors
/// When a step fails; the message names what the owner of the machine must install.
pub fn ensure() -> Result<()> {
    lab::setup::packages(PACKAGES)
}
