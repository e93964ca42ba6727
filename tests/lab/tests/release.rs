//! Our releases in a client that others wrote: python-tuf takes what was published, and refuses what was changed behind the
//! publisher's back.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use image::publish::{Draft, Expiry, Key, Publisher, keys};
use lab::{paths, setup};
use serde_json::Value;
use time::{Duration, OffsetDateTime};

const BOARD: &str = "qemu-aarch64";

struct Desk(PathBuf);

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Desk {
    fn new(name: &str) -> Self {
        setup::check().unwrap();
        let desk = Self(std::env::temp_dir().join(format!("release-{name}-{}", std::process::id())));
        let _ = fs::remove_dir_all(&desk.0);
        keys::make(&desk.0.join("keys"), OffsetDateTime::now_utc(), Expiry::default()).unwrap();
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn keys(&self, folder: &str) -> (Vec<Key>, Key) {
        let key = |name: &str| Key::open(&self.path(folder).join(format!("{name}.pem"))).unwrap();
        (keys::OFFLINE.iter().take(2).map(|name| key(name)).collect(), key(keys::ONLINE))
    }

    /// Does something as the publisher that has the keys of this folder, when it is `now`.
    fn at<T>(&self, now: OffsetDateTime, folder: &str, act: impl FnOnce(&Publisher<'_>, &[Key]) -> T) -> T {
        let (offline, online) = self.keys(folder);
        let first_root = fs::read(self.path("keys").join(keys::FIRST_ROOT)).unwrap();
        let publisher = Publisher {
            folder: &self.path("out"),
            first_root: &first_root,
            online: &online,
            now,
            expiry: Expiry::default(),
            progress: &|_, _| {},
        };
        act(&publisher, &offline)
    }

    fn publish(&self, folder: &str, version: &str) {
        for (name, length) in [("fit", 20_000), ("root", 200_000)] {
            let text = format!("{name} of {version} ").repeat(length / 10);
            fs::write(self.path(name), text).unwrap();
        }
        let draft = Draft::first(self.path("fit"), self.path("root"), BOARD, version);
        self.at(OffsetDateTime::now_utc(), folder, |publisher, offline| publisher.publish(&draft, offline))
            .unwrap();
    }

    /// What python-tuf makes of it, with what it kept under `state`.
    fn client(&self, state: &str, targets: &[&str]) -> Value {
        let out = Command::new(paths::python())
            .arg(paths::sources().join("judges/tuf_client.py"))
            .args([self.path("keys/1.root.json"), self.path("out"), self.path(state)])
            .args(targets)
            .output()
            .unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        serde_json::from_slice(&out.stdout).unwrap()
    }

    fn refusal(&self, state: &str, targets: &[&str]) -> String {
        let answer = self.client(state, targets);
        answer["refused"].as_str().unwrap_or_else(|| panic!("it took {answer}")).to_owned()
    }
}

/// The one file below `folder` whose name ends so.
fn file(folder: &Path, end: &str) -> PathBuf {
    let mut found = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    found.find(|path| path.to_string_lossy().ends_with(end)).unwrap()
}

#[test]
fn python_tuf_takes_each_release_and_follows_to_other_keys() {
    let desk = Desk::new("takes");
    desk.publish("keys", "1.0.0");
    let first = desk.client("old", &["qemu-aarch64/1.0.0.json"]);
    let described = file(&desk.path("out/targets/qemu-aarch64"), ".1.0.0.json");
    assert_eq!(first["root"], 1);
    assert_eq!(first["targets"]["qemu-aarch64/1.0.0.json"], fs::metadata(described).unwrap().len());
    assert!(desk.refusal("old", &["qemu-aarch64/9.json"]).contains("not listed"));

    desk.publish("keys", "1.1.0");
    desk.at(OffsetDateTime::now_utc(), "keys", |publisher, _| publisher.refresh()).unwrap();
    let both = ["qemu-aarch64/1.0.0.json", "qemu-aarch64/1.1.0.json"];
    assert_eq!(desk.client("old", &both)["targets"].as_object().unwrap().len(), 2);

    keys::make(&desk.path("next"), OffsetDateTime::now_utc(), Expiry::default()).unwrap();
    let (new, new_online) = desk.keys("next");
    desk.at(OffsetDateTime::now_utc(), "keys", |publisher, old| publisher.rotate(old, &new, &new_online))
        .unwrap();
    // Who has not seen the new root yet finds everything signed for the one that it knows.
    fs::rename(desk.path("out/metadata/2.root.json"), desk.path("2.root.json")).unwrap();
    assert_eq!(desk.client("waiting", &both)["root"], 1);
    fs::rename(desk.path("2.root.json"), desk.path("out/metadata/2.root.json")).unwrap();
    desk.publish("next", "1.2.0");
    for state in ["old", "waiting", "new"] {
        let answer = desk.client(state, &["qemu-aarch64/1.0.0.json", "qemu-aarch64/1.2.0.json"]);
        assert_eq!(answer["root"], 2, "{state}: {answer}");
    }
}

#[test]
fn python_tuf_refuses_what_was_changed_mixed_or_is_old() {
    let desk = Desk::new("refuses");
    desk.publish("keys", "1.0.0");
    let target = "qemu-aarch64/1.0.0.json";
    let early = fs::read(desk.path("out/metadata/timestamp.json")).unwrap();
    desk.publish("keys", "1.1.0");

    // The description.
    let described = file(&desk.path("out/targets/qemu-aarch64"), ".1.0.0.json");
    let good = fs::read_to_string(&described).unwrap();
    fs::write(&described, good.replace("\"security\":1", "\"security\":0")).unwrap();
    let refused = desk.refusal("a", &[target]);
    assert!(refused.contains("LengthOrHashMismatch"), "{refused}");
    fs::write(&described, good).unwrap();
    desk.client("a", &[target]).get("targets").expect("as published it is taken");

    // Each piece of metadata, one digit changed.
    for name in ["timestamp.json", "2.snapshot.json", "2.targets.json"] {
        let path = desk.path("out/metadata").join(name);
        let good = fs::read_to_string(&path).unwrap();
        fs::write(&path, good.replacen("\"version\": 2", "\"version\": 3", 1)).unwrap();
        desk.refusal(&format!("changed-{name}"), &[target]);
        fs::write(&path, good).unwrap();
    }

    // The timestamp of before.
    let timestamp = desk.path("out/metadata/timestamp.json");
    let newest = fs::read(&timestamp).unwrap();
    fs::write(&timestamp, early).unwrap();
    let refused = desk.refusal("a", &[target]);
    assert!(refused.contains("BadVersionNumber"), "{refused}");
    fs::write(&timestamp, newest).unwrap();

    // A timestamp that nobody has renewed.
    let past = OffsetDateTime::now_utc() - Duration::days(8);
    desk.at(past, "keys", |publisher, _| publisher.refresh()).unwrap();
    let refused = desk.refusal("late", &[target]);
    assert!(refused.contains("ExpiredMetadata"), "{refused}");
    desk.at(OffsetDateTime::now_utc(), "keys", |publisher, _| publisher.refresh()).unwrap();
    desk.client("late", &[target]).get("targets").expect("renewed it is taken");
}
