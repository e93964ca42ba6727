//! What the image's scripts do, run by a shell with other places and other programs than a box has. What they do on a real image the
//! tests of the image say; here is what no image shows at will: a medium that fails, and time that passes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A box's places below a folder that goes with the test.
struct Home(PathBuf);

impl Home {
    /// Everything that a script calls and that is not of the shell or of coreutils writes down how it was called.
    fn new(name: &str) -> Self {
        let home =
            Self(Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id())));
        let _ = fs::remove_dir_all(&home.0);
        for folder in ["bin", "sbin", "run"] {
            fs::create_dir_all(home.0.join(folder)).unwrap();
        }
        for program in ["sbin/mke2fs", "sbin/e2fsck", "sbin/debugfs", "bin/mount", "bin/reboot", "bin/boxd"] {
            home.program(program, "exit 0");
        }
        home.program("bin/partition", &format!("echo {}", home.0.join("partition").display()));
        home
    }

    fn program(&self, name: &str, body: &str) {
        let (file, calls) = (self.0.join(name), self.0.join("calls"));
        let short = name.rsplit('/').next().unwrap();
        fs::write(&file, format!("#!/bin/sh\necho {short} \"$@\" >>{}\n{body}\n", calls.display())).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Runs a script of the overlay here.
    fn run(&self, script: &str) {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../buildroot/overlay").join(script);
        let mut text = fs::read_to_string(source).unwrap();
        for (place, here) in [
            ("/usr/lib/streambox/partition", "bin/partition"),
            ("/sbin/", "sbin/"),
            ("/bin/boxd", "bin/boxd"),
            ("/run/", "run/"),
            ("/dev/watchdog", "watchdog"),
        ] {
            text = text.replace(place, &self.0.join(here).display().to_string());
        }
        let file = self.0.join("script");
        fs::write(&file, text).unwrap();
        let path = format!("{}:{}", self.0.join("bin").display(), std::env::var("PATH").unwrap());
        let output = Command::new("sh").arg(&file).env("PATH", path).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// What was called, in order, but for what is always.
    fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.0.join("calls")).unwrap_or_default();
        let device = self.0.join("partition").display().to_string();
        let calls = calls.lines().filter(|call| *call != "partition data" && !call.starts_with("mount"));
        calls.map(|call| call.replace(&device, "DEVICE")).collect()
    }

    /// A data partition of zeros.
    fn partition(&self, bytes: u64) -> File {
        let file = File::create(self.0.join("partition")).unwrap();
        file.set_len(bytes).unwrap();
        file
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const DATA: &str = "usr/lib/streambox/data";
const MAKE: &str = "mke2fs -q -F -t ext4 -L data -m 1 -E lazy_itable_init=1 DEVICE";
const MIB: u64 = 1 << 20;

#[test]
fn data_are_made_where_nothing_ever_was_and_nowhere_else() {
    let home = Home::new("blank");
    home.partition(20 * MIB);
    home.run(DATA);
    assert_eq!(home.calls(), [MAKE]);
    for at in [0, 1024, 16 * MIB - 1] {
        let home = Home::new(&format!("used-{at}"));
        home.partition(20 * MIB).write_all_at(b"x", at).unwrap();
        home.run(DATA);
        assert_eq!(home.calls(), ["e2fsck -p DEVICE"], "{at}");
    }
}

#[test]
fn data_whose_first_page_cannot_be_read_are_repaired_by_another_superblock_and_not_made_anew() {
    let home = Home::new("unreadable");
    home.partition(20 * MIB);
    // As from a medium that says EIO.
    home.program("bin/head", "exit 1");
    home.program("sbin/e2fsck", "case \"$*\" in *'-b 8193 '*) exit 1 ;; *) exit 8 ;; esac");
    home.run(DATA);
    let calls = home.calls();
    let calls: Vec<&str> =
        calls.iter().map(String::as_str).filter(|call| !call.starts_with("head")).collect();
    assert_eq!(
        calls,
        [
            "e2fsck -p DEVICE",
            "e2fsck -f -y DEVICE",
            "e2fsck -f -y -b 32768 -B 4096 DEVICE",
            "e2fsck -f -y -b 98304 -B 4096 DEVICE",
            "e2fsck -f -y -b 8193 -B 1024 DEVICE",
        ]
    );
}

#[test]
fn the_watchdog_is_fed_while_data_are_repaired_five_minutes_at_most_and_is_free_for_the_guard_then() {
    for (name, most, fed) in [("short", 3, 3..60), ("long", 60, 60..61)] {
        let home = Home::new(&format!("repair-{name}"));
        home.partition(20 * MIB).write_all_at(b"x", 0).unwrap();
        let dog = home.0.join("watchdog");
        fs::write(&dog, "").unwrap();
        // A hundred times as fast as on a box.
        home.program("bin/sleep", "exec /bin/sleep 0.05");
        let fed_often = format!("until [ $(wc -l <{}) -ge {most} ]; do /bin/sleep 0.01; done", dog.display());
        home.program("sbin/e2fsck", &format!("{fed_often}\n/bin/sleep 0.3"));
        home.run(DATA);
        let lines = fs::read_to_string(&dog).unwrap();
        assert!(lines.bytes().all(|byte| byte == b'\n'), "no other word, which could stop it: {lines:?}");
        assert!(fed.contains(&lines.len()), "{name}: {}", lines.len());
        let users = Command::new("sh").arg("-c").arg("ls -l /proc/[0-9]*/fd 2>/dev/null").output().unwrap();
        let users = String::from_utf8_lossy(&users.stdout).into_owned();
        assert!(!users.contains(&*dog.to_string_lossy()), "{name}: somebody has it open");
        assert!(home.calls().iter().filter(|call| call.starts_with("sleep")).all(|call| call == "sleep 5"));
    }
}

#[test]
fn a_start_without_a_repair_leaves_the_watchdog_alone() {
    let home = Home::new("clean");
    home.partition(20 * MIB).write_all_at(b"x", 0).unwrap();
    home.run(DATA);
    assert!(!home.0.join("watchdog").exists());
}

#[test]
fn a_box_that_ends_again_and_again_is_a_crash_after_twenty_starts() {
    let home = Home::new("ends");
    let guard = "boxd guard --config /etc/streambox/box.toml";
    for starts in 1..=20 {
        home.run("usr/lib/streambox/run");
        assert_eq!(home.calls(), vec![guard; starts]);
    }
    home.run("usr/lib/streambox/run");
    // Not in order: that would clear the word by which the boot script knows a crash.
    assert_eq!(home.calls()[20], "reboot -f");
}
