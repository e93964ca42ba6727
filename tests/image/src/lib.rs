//! The box as a disk image: built for ARM, put together with a Debian kernel, booted through U-Boot in QEMU.

pub mod build;
pub mod console;
pub mod debian;
pub mod fit;
pub mod kernel;
pub mod lan;
pub mod publish;
pub mod qemu;
pub mod rootfs;
pub mod setup;
pub mod toolchain;
pub mod uboot;

pub use imaging::disk;
