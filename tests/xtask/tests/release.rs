//! `cargo xtask release` from the outside: keys, releases, what it says and what it refuses.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

struct Desk(PathBuf);

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const NOW: &str = "2026-11-21T12:00:00Z";

impl Desk {
    fn new(name: &str) -> Self {
        let desk = Self(std::env::temp_dir().join(format!("xtask-release-{name}-{}", std::process::id())));
        let _ = fs::remove_dir_all(&desk.0);
        fs::create_dir_all(&desk.0).unwrap();
        fs::write(desk.0.join("fit"), "kernel ".repeat(2000)).unwrap();
        fs::write(desk.0.join("root"), "root ".repeat(30_000)).unwrap();
        desk
    }

    /// Runs it in the desk's folder; gives what it prints, or what it complains of.
    fn release(&self, words: &str) -> Result<String, String> {
        let out = Command::new(env!("CARGO_BIN_EXE_xtask"))
            .arg("release")
            .args(words.split_whitespace())
            .current_dir(&self.0)
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if out.status.success() { Ok(text(&out.stdout)) } else { Err(text(&out.stderr)) }
    }

    fn build(&self, out: &str, version: &str, more: &str) -> Result<String, String> {
        self.release(&format!(
            "build --fit fit --root root --board qemu-aarch64 --version {version} --security 1 --schema 1 --keys keys \
             --now {NOW} --out {out} {more}"
        ))
    }

    fn files(&self, out: &str) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut open = vec![self.0.join(out)];
        while let Some(folder) = open.pop() {
            for path in fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()) {
                if path.is_dir() {
                    open.push(path);
                } else {
                    let name = path.strip_prefix(self.0.join(out)).unwrap().to_path_buf();
                    files.insert(name, fs::read(&path).unwrap());
                }
            }
        }
        files
    }
}

const TWO: &str = "--key offline-1 --key offline-2";

#[test]
fn a_release_is_made_added_to_renewed_and_given_other_keys() {
    let desk = Desk::new("whole");
    let said = desk.release(&format!("keys keys --now {NOW}")).unwrap();
    assert!(said.contains("drawers") && said.contains("1.root.json"), "{said}");
    let mode =
        |name: &str| fs::metadata(desk.0.join("keys").join(name)).unwrap().permissions().mode() & 0o777;
    for name in ["offline-1.pem", "offline-2.pem", "offline-3.pem", "online.pem"] {
        assert_eq!(mode(name), 0o600, "{name}");
        let mut shown = Command::new("openssl");
        let shown = shown
            .args(["pkey", "-noout", "-text", "-in"])
            .arg(desk.0.join("keys").join(name))
            .output()
            .unwrap();
        assert!(
            String::from_utf8_lossy(&shown.stdout).contains("ED25519"),
            "OpenSSL reads it, too: {shown:?}"
        );
    }

    let said = desk.build("out", "1.0.0", TWO).unwrap();
    assert!(said.contains("published qemu-aarch64/1.0.0.json") && said.contains("MiB"), "{said}");
    let first = desk.files("out");
    fs::write(desk.0.join("root"), "other ".repeat(30_000)).unwrap();
    desk.build("out", "1.1.0", "--key offline-3 --key keys/offline-1.pem").unwrap();
    let second = desk.files("out");
    for (name, bytes) in &first {
        assert_eq!(
            name != Path::new("metadata/timestamp.json"),
            &second[name] == bytes,
            "{}",
            name.display()
        );
    }
    assert!(desk.build("out", "1.1.0", "--key offline-1").unwrap_err().contains("2 different keys"));

    // Where only the online key is.
    fs::create_dir(desk.0.join("server")).unwrap();
    for name in ["online.pem", "1.root.json"] {
        fs::copy(desk.0.join("keys").join(name), desk.0.join("server").join(name)).unwrap();
    }
    let said =
        desk.release(&format!("refresh --keys server --out out --now {NOW} --timestamp-days 3")).unwrap();
    assert!(said.contains("3 days"), "{said}");
    let timestamp =
        String::from_utf8(desk.files("out")[Path::new("metadata/timestamp.json")].clone()).unwrap();
    assert!(
        timestamp.contains("\"version\": 3") && timestamp.contains("2026-11-24T12:00:00Z"),
        "{timestamp}"
    );

    desk.release("keys next").unwrap();
    let said = desk.release(&format!("rotate --keys keys {TWO} --to next --out out --now {NOW}")).unwrap();
    assert!(said.contains("2.root.json"), "{said}");
    assert!(desk.build("out", "1.2.0", TWO).unwrap_err().contains("root 2"));
    let new = "--key next/offline-1.pem --key next/offline-2.pem --online next/online.pem --chunk 131072";
    desk.build("out", "1.2.0", new).unwrap();
}

#[test]
fn the_same_words_make_the_same_bytes() {
    let desk = Desk::new("same");
    desk.release(&format!("keys keys --now {NOW}")).unwrap();
    for out in ["one", "two"] {
        desk.build(out, "1.0.0", TWO).unwrap();
    }
    let (one, two) = (desk.files("one"), desk.files("two"));
    assert!(one.len() > 5);
    assert_eq!(one, two);
}

#[test]
fn mistakes_are_named_and_nothing_is_published() {
    let desk = Desk::new("mistakes");
    desk.release(&format!("keys keys --now {NOW}")).unwrap();
    assert!(desk.release("keys keys").unwrap_err().contains("there already"));
    for (words, wanted) in [
        ("build --fit fit".to_owned(), "--root is missing"),
        (format!("build --keys keys {TWO} --fit fit --root root --board b --version v --security x --schema 1 --out out"), "--security x"),
        (format!("build --keys keys {TWO} --fit fit --root root --board b --version v --security 1 --schema 1 --out out --colour red"), "--colour"),
        (format!("build --keys keys {TWO} --fit none --root root --board b --version v --security 1 --schema 1 --out out"), "none"),
        (format!("build --keys keys {TWO} --fit fit --root root --board b --version v --security 1 --schema 1 --out out --chunk 1000"), "power of two"),
        (format!("build --keys keys {TWO} --fit fit --root root --board b --version v --security 1 --schema 1 --out out --now noon"), "--now noon"),
        ("build --keys keys --key offline-9 --fit fit --root root --board b --version v --security 1 --schema 1 --out out".to_owned(), "offline-9.pem"),
        ("refresh --keys keys --out out".to_owned(), "no release yet"),
        ("publish".to_owned(), "no such command"),
    ] {
        let refused = desk.release(&words).unwrap_err();
        assert!(refused.contains(wanted), "{words}: {refused}");
        assert!(!desk.0.join("out/metadata/timestamp.json").exists(), "{words}");
    }
    let help = desk.release("build --help").unwrap();
    assert!(help.contains("Examples:") && help.contains("--timestamp-days"), "{help}");
}
