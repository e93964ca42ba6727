//! A stick's file system, mounted read-only as long as the value lives: no set-uid, no devices, no programs, and no symbolic link
//! is followed, so that nothing on it leads out of it.

use std::fs::{self, File, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use nix::libc;
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::kind::{HEAD, Kind};

/// No symbolic link is followed (mount(2), since Linux 5.10); nix has no name for it.
const NOSYMFOLLOW: MsFlags = MsFlags::from_bits_retain(256);

/// A mounted stick.
#[derive(Debug)]
pub(super) struct Mounted {
    device: String,
    point: PathBuf,
}

impl Mounted {
    /// Mounts the device of this name below `nodes`.
    ///
    /// # Errors
    /// When it holds no file system that sticks have, or the kernel does not mount it.
    pub(super) fn new(nodes: &Path, device: &str, point: &Path) -> anyhow::Result<Self> {
        let node = nodes.join(device);
        let kind = Kind::of(&head(&node)?).context("it has no file system of FAT, exFAT or ext4")?;
        fs::create_dir_all(point).with_context(|| format!("cannot make {}", point.display()))?;
        let flags =
            MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC | NOSYMFOLLOW;
        mount(Some(&node), point, Some(kind.name()), flags, kind.options())
            .with_context(|| format!("the kernel does not mount it as {}", kind.name()))?;
        Ok(Self { device: device.to_owned(), point: point.to_owned() })
    }

    /// The device's name.
    pub(super) fn device(&self) -> &str {
        &self.device
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let_go(&self.point);
    }
}

/// Lets go of what is mounted there, even while somebody reads it. Nothing is lost: nothing was written.
pub(super) fn let_go(point: &Path) {
    let _ = umount2(point, MntFlags::MNT_DETACH);
}

fn head(node: &Path) -> anyhow::Result<Vec<u8>> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC).open(node)?;
    let kind = file.metadata()?.file_type();
    ensure!(kind.is_block_device(), "{} is no block device", node.display());
    first(file)
}

fn first(file: File) -> anyhow::Result<Vec<u8>> {
    let mut head = Vec::new();
    file.take(HEAD as u64).read_to_end(&mut head)?;
    Ok(head)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::super::{Port, releases};
    use super::*;
    use crate::cloud::files_tests::Scratch;

    /// A loop device over a file that `mkfs` made a file system of; `None` where this user, or this machine, cannot.
    struct Loop(String);

    impl Loop {
        fn new(image: &Path) -> Option<Self> {
            let output = Command::new("losetup").args(["--find", "--show"]).arg(image).output().ok()?;
            let node = String::from_utf8(output.stdout).ok()?;
            output.status.success().then(|| Self(node.trim().to_owned()))
        }
    }

    impl Drop for Loop {
        fn drop(&mut self) {
            let _ = Command::new("losetup").args(["--detach", &self.0]).status();
        }
    }

    fn run(program: &str, arguments: &[&str]) -> bool {
        Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
    }

    #[test]
    fn a_stick_is_mounted_so_that_nothing_on_it_is_changed_run_or_followed() {
        let scratch = Scratch::new("mounted");
        let content = scratch.0.join("content");
        fs::create_dir_all(content.join("streambox/metadata")).unwrap();
        fs::write(content.join("program"), "#!/bin/sh\n").unwrap();
        std::os::unix::fs::symlink("/etc/hostname", content.join("link")).unwrap();
        let (image, point) = (scratch.0.join("image"), scratch.0.join("point"));
        File::create(&image).unwrap().set_len(8 << 20).unwrap();
        let made = run("mkfs.ext4", &["-q", "-d", content.to_str().unwrap(), image.to_str().unwrap()]);
        let device = made.then(|| Loop::new(&image)).flatten();
        let Some(device) = device else {
            return println!("not tried: no mkfs.ext4, or no right to a loop device");
        };
        let before = fs::read(&image).unwrap();
        let name = device.0.trim_start_matches("/dev/").to_owned();
        let mounted = match Mounted::new(Path::new("/dev"), &name, &point) {
            Ok(mounted) => mounted,
            Err(error) => return println!("not tried: {error:#}"),
        };
        assert_eq!(releases(&point), Some(point.join("streambox")));
        assert!(fs::write(point.join("new"), "x").is_err(), "it can be written");
        assert!(Command::new(point.join("program")).status().is_err(), "a program on it runs");
        assert!(fs::read(point.join("link")).is_err(), "a link on it leads to the box's own files");
        let table = fs::read_to_string("/proc/self/mounts").unwrap();
        let line = table.lines().find(|line| line.contains(point.to_str().unwrap())).unwrap();
        for word in ["ro,", "nosuid", "nodev", "noexec"] {
            assert!(line.contains(word), "{line}");
        }
        drop(mounted);
        assert_eq!(releases(&point), None);
        assert!(fs::read(&image).unwrap() == before, "the stick was changed");

        // The same through sysfs: it is found, and gone when it is pulled out.
        let (blocks, place) = (scratch.0.join("block"), scratch.0.join("usb1").join(&name));
        fs::create_dir_all(&place).unwrap();
        fs::create_dir_all(&blocks).unwrap();
        std::os::unix::fs::symlink(&place, blocks.join(&name)).unwrap();
        let mut port = Port::new(&blocks, Path::new("/dev"), &point);
        assert_eq!(port.look(), Some(point.join("streambox")));
        fs::remove_file(blocks.join(&name)).unwrap();
        assert_eq!(port.look(), None);
        assert!(!point.join("streambox").exists());
    }

    #[test]
    fn what_is_no_stick_is_not_mounted() {
        let scratch = Scratch::new("no-stick");
        scratch.files().write("file", &[0; 4096]).unwrap();
        let point = scratch.0.join("point");
        for (name, why) in [("file", "no block device"), ("absent", "No such file")] {
            let error = Mounted::new(&scratch.0, name, &point).unwrap_err();
            assert!(format!("{error:#}").contains(why), "{error:#}");
            assert!(!point.exists());
        }
    }
}
