//! The box as a disk image: built for ARM, put together with a Debian kernel, booted through U-Boot in QEMU.

pub mod console;
pub mod fit;
pub mod publish;
pub mod qemu;
pub mod setup;
pub mod uboot;
