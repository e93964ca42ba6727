//! From a root file system and a kernel to what a box boots from.
//!
//! Buildroot's post-image.sh runs it as `box-image`; the image of the tests, made of Debian's packages, uses it as a library. So both
//! have one hash tree, one initramfs, one signed FIT and one disk. The same inputs give the same bytes.

pub mod device_tree;
pub mod disk;
pub mod elf;
pub mod fit;
pub mod genimage;
pub mod initramfs;
pub mod qemu;
pub mod system;
pub mod target;
pub mod tool;
pub mod tree;
pub mod verity;
