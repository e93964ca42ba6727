#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::redundant_closure_for_method_calls, reason = "the method's own type is too narrow")]

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use time::macros::datetime;

use super::*;

const NOW: OffsetDateTime = datetime!(2026-11-21 12:00 UTC);

/// A folder with keys, two images and a place for releases, which goes when the test does.
struct Desk(PathBuf);

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Desk {
    fn new() -> Self {
        static TURN: AtomicU32 = AtomicU32::new(0);
        let turn = TURN.fetch_add(1, Ordering::Relaxed);
        let desk = Self(std::env::temp_dir().join(format!("publish-{}-{turn}", std::process::id())));
        keys::make(&desk.0.join("keys"), NOW, Expiry::default()).unwrap();
        fs::write(desk.0.join("fit"), noise(1, 10_000)).unwrap();
        fs::write(desk.0.join("root"), noise(2, 150_000)).unwrap();
        desk
    }

    fn key(&self, name: &str) -> Key {
        Key::open(&self.0.join("keys").join(format!("{name}.pem"))).unwrap()
    }

    fn keys(&self, names: &[&str]) -> Vec<Key> {
        names.iter().map(|name| self.key(name)).collect()
    }

    fn draft(&self, version: &str) -> Draft {
        Draft {
            fit: self.0.join("fit"),
            root: self.0.join("root"),
            board: "qemu-aarch64".to_owned(),
            version: version.to_owned(),
            security: 1,
            schema: 1,
            chunk: CHUNK,
        }
    }

    /// Does something as a publisher into the folder of this name.
    fn with<T>(&self, out: &str, act: impl FnOnce(&Publisher<'_>) -> Result<T>) -> Result<T> {
        let first_root = fs::read(self.0.join("keys").join(keys::FIRST_ROOT)).unwrap();
        act(&Publisher {
            folder: &self.0.join(out),
            first_root: &first_root,
            online: &self.key(keys::ONLINE),
            now: NOW,
            expiry: Expiry::default(),
            progress: &|_, _| {},
        })
    }

    fn publish(&self, out: &str, version: &str) -> Result<Published> {
        let offline = self.keys(&["offline-1", "offline-3"]);
        self.with(out, |publisher| publisher.publish(&self.draft(version), &offline))
    }

    fn files(&self, out: &str) -> BTreeMap<String, (Vec<u8>, SystemTime)> {
        let mut files = BTreeMap::new();
        let mut open = vec![self.0.join(out)];
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(folder).unwrap().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    open.push(path);
                } else {
                    let name = path.strip_prefix(self.0.join(out)).unwrap().display().to_string();
                    files.insert(
                        name,
                        (fs::read(&path).unwrap(), entry.metadata().unwrap().modified().unwrap()),
                    );
                }
            }
        }
        files
    }

    fn bytes(&self, out: &str) -> BTreeMap<String, Vec<u8>> {
        self.files(out).into_iter().map(|(name, (bytes, _))| (name, bytes)).collect()
    }

    fn state(&self, out: &str) -> Result<State> {
        self.with(out, |publisher| State::read(&Folder::open(publisher.folder)?, publisher.first_root))
    }
}

/// Bytes that look like nothing, the same for the same seed.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

#[test]
fn the_chunks_are_the_images_and_the_description_is_the_target() {
    let desk = Desk::new();
    let published = desk.publish("out", "1.0.0").unwrap();
    let files = desk.bytes("out");
    for (kind, name, length) in [(ImageKind::Fit, "fit", 10_240), (ImageKind::Root, "root", 150_016)] {
        let image = published.release.image(kind);
        let mut plain = Vec::new();
        for chunk in &image.chunks {
            let packed = &files[&chunk.path()];
            assert_eq!(packed.len(), chunk.1 as usize);
            let part = zstd::bulk::decompress(packed, CHUNK as usize).unwrap();
            assert_eq!(document::sha256(&part), chunk.0);
            plain.extend(part);
        }
        assert_eq!((plain.len(), image.bytes), (length, length as u64));
        assert_eq!(document::sha256(&plain), image.sha256);
        let mut wanted = fs::read(desk.0.join(name)).unwrap();
        wanted.resize(length, 0);
        assert_eq!(plain, wanted, "zeros fill the last sector and nothing else");
    }
    let target = &desk.state("out").unwrap().targets["qemu-aarch64/1.0.0.json"];
    let sha256 = target["hashes"]["sha256"].as_str().unwrap();
    let description = &files[&format!("targets/qemu-aarch64/{sha256}.1.0.0.json")];
    assert_eq!(Release::parse(description).unwrap(), published.release);
    assert_eq!(target["custom"]["security"], 1);
}

#[test]
fn the_same_files_keys_and_time_give_the_same_bytes() {
    let desk = Desk::new();
    for out in ["one", "two"] {
        desk.publish(out, "1.0.0").unwrap();
        desk.publish(out, "1.1.0").unwrap();
        desk.with(out, |publisher| publisher.refresh()).unwrap();
    }
    assert_eq!(desk.bytes("one"), desk.bytes("two"));
    assert!(!desk.bytes("one").keys().any(|name| name.contains(".part")));
}

#[test]
fn a_second_release_keeps_the_first_and_the_timestamp_comes_last() {
    let desk = Desk::new();
    let first = desk.publish("out", "1.0.0").unwrap();
    assert_eq!(first.new, first.download);
    let before = desk.bytes("out");
    let mut root = fs::read(desk.0.join("root")).unwrap();
    root[70_000] ^= 1;
    fs::write(desk.0.join("root"), root).unwrap();
    let second = desk.publish("out", "1.1.0").unwrap();
    let changed =
        second.release.root.chunks.iter().zip(&first.release.root.chunks).filter(|(new, old)| new != old);
    assert_eq!(
        changed.map(|(new, _)| u64::from(new.1)).collect::<Vec<_>>(),
        [second.new],
        "one chunk is new"
    );
    let after = desk.files("out");
    for (name, bytes) in &before {
        assert_eq!(name != "metadata/timestamp.json", &after[name].0 == bytes, "{name}");
    }
    let last = after["metadata/timestamp.json"].1;
    assert!(after.values().all(|(_, at)| *at <= last));
    let state = desk.state("out").unwrap();
    assert_eq!(state.targets.len(), 2);
    let since = |name: &str| state.targets[name]["custom"]["since"].as_u64().unwrap();
    assert!(since("qemu-aarch64/1.0.0.json") < since("qemu-aarch64/1.1.0.json"));

    // As if the power had gone just before the timestamp: the folder is what it was, and the same can be done again.
    fs::write(desk.0.join("out/metadata/timestamp.json"), &before["metadata/timestamp.json"]).unwrap();
    assert_eq!(desk.state("out").unwrap().targets.len(), 1);
    desk.publish("out", "1.1.0").unwrap();
    assert_eq!(desk.bytes("out"), after.into_iter().map(|(name, (bytes, _))| (name, bytes)).collect());
}

#[test]
fn an_image_of_the_same_chunk_again_and_again_is_one_chunk() {
    let desk = Desk::new();
    fs::write(desk.0.join("root"), vec![7; 40 * CHUNK as usize]).unwrap();
    let published = desk.publish("out", "1.0.0").unwrap();
    let lengths = |kind| published.release.image(kind).chunks.iter().map(|chunk| u64::from(chunk.1));
    let one = lengths(ImageKind::Root).next().unwrap();
    assert_eq!(lengths(ImageKind::Root).count(), 40);
    assert_eq!(published.download, lengths(ImageKind::Fit).sum::<u64>() + one);
    assert_eq!(published.new, published.download);
}

#[test]
fn a_chunk_that_went_bad_in_the_folder_is_made_again() {
    let desk = Desk::new();
    let chunk = desk.publish("out", "1.0.0").unwrap().release.root.chunks[0].path();
    let good = fs::read(desk.0.join("out").join(&chunk)).unwrap();
    for bad in [&b"rubbish"[..], &good[..100], b""] {
        fs::write(desk.0.join("out").join(&chunk), bad).unwrap();
        desk.publish("out", "1.0.0").unwrap();
        assert_eq!(fs::read(desk.0.join("out").join(&chunk)).unwrap(), good);
    }
}

#[test]
fn two_different_offline_keys_must_sign() {
    let desk = Desk::new();
    for names in [&["offline-1"][..], &["offline-1", "offline-1"], &["offline-2", "online"], &[]] {
        let keys = desk.keys(names);
        let refused =
            desk.with("out", |publisher| publisher.publish(&desk.draft("1.0.0"), &keys)).unwrap_err();
        assert!(refused.to_string().contains("needs 2 different keys"), "{refused:#}");
    }
    assert!(desk.bytes("out").is_empty(), "nothing is written before the keys are right");
}

#[test]
fn what_was_signed_under_a_name_stays() {
    let desk = Desk::new();
    desk.publish("out", "1.0.0").unwrap();
    fs::write(desk.0.join("fit"), noise(3, 10_000)).unwrap();
    assert!(desk.publish("out", "1.0.0").unwrap_err().to_string().contains("published already"));
    assert!(desk.publish("out", "../1").unwrap_err().to_string().contains("letters"));
    assert_eq!(desk.state("out").unwrap().targets.len(), 1);
}

#[test]
fn nobody_who_can_write_to_the_folder_has_something_signed() {
    let desk = Desk::new();
    desk.publish("out", "1.0.0").unwrap();
    let good = desk.bytes("out");
    for name in ["metadata/1.targets.json", "metadata/1.snapshot.json", "metadata/timestamp.json"] {
        let text = String::from_utf8(good[name].clone()).unwrap();
        let path = desk.0.join("out").join(name);
        fs::write(&path, text.replace("2027", "2099").replace("2026", "2098")).unwrap();
        let refused = desk.publish("out", "1.1.0").unwrap_err();
        let words = format!("{refused:#}");
        assert!(words.contains("not ours") || words.contains("not what was signed"), "{name}: {words}");
        fs::write(&path, &good[name]).unwrap();
    }
    // A root that the pinned one did not sign.
    let stranger = Desk::new();
    let root = fs::read(stranger.0.join("keys/1.root.json")).unwrap();
    fs::write(desk.0.join("out/metadata/2.root.json"), &root).unwrap();
    assert!(desk.publish("out", "1.1.0").unwrap_err().to_string().contains("not ours"));
    fs::remove_file(desk.0.join("out/metadata/2.root.json")).unwrap();
    fs::write(desk.0.join("out/metadata/1.root.json"), &root).unwrap();
    assert!(desk.publish("out", "1.1.0").unwrap_err().to_string().contains("other keys"));
}

#[test]
fn other_keys_take_over_and_the_old_ones_are_out() {
    let (desk, next) = (Desk::new(), Desk::new());
    desk.publish("out", "1.0.0").unwrap();
    let (new, new_online) = (next.keys(&keys::OFFLINE), next.key(keys::ONLINE));
    let rotate =
        |old: &[&str]| desk.with("out", |publisher| publisher.rotate(&desk.keys(old), &new, &new_online));
    assert!(rotate(&["offline-2"]).is_err(), "one key of three cannot change the root");
    assert_eq!(rotate(&["offline-2", "offline-3"]).unwrap(), 2);
    let state = desk.state("out").unwrap();
    assert_eq!((state.versions.root, state.targets.len()), (2, 1));
    assert!(desk.publish("out", "1.1.0").unwrap_err().to_string().contains("root 2"));
    assert!(desk.with("out", |publisher| publisher.refresh()).is_err());

    // A box that knows the first root only, and one that has not fetched the second yet, both find what they believe.
    fs::rename(desk.0.join("out/metadata/2.root.json"), desk.0.join("2.root.json")).unwrap();
    assert_eq!(desk.state("out").unwrap().targets.len(), 1);
    fs::rename(desk.0.join("2.root.json"), desk.0.join("out/metadata/2.root.json")).unwrap();
    let first_root = fs::read(desk.0.join("keys/1.root.json")).unwrap();
    let publisher = Publisher {
        folder: &desk.0.join("out"),
        first_root: &first_root,
        online: &new_online,
        now: NOW,
        expiry: Expiry::default(),
        progress: &|_, _| {},
    };
    publisher.publish(&desk.draft("1.1.0"), &new).unwrap();
    publisher.refresh().unwrap();
    assert_eq!(desk.state("out").unwrap().targets.len(), 2);
}

#[test]
fn keys_are_for_one_reader_and_made_once() {
    use std::os::unix::fs::PermissionsExt as _;
    let desk = Desk::new();
    for name in keys::OFFLINE.into_iter().chain([keys::ONLINE]) {
        let mode = fs::metadata(desk.0.join(format!("keys/{name}.pem"))).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let again = keys::make(&desk.0.join("keys"), NOW, Expiry::default()).unwrap_err();
    assert!(again.to_string().contains("there already"));
    for text in ["", "rubbish", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
        assert!(Key::from_pem(text).is_err());
    }
    let shown = format!("{:?}", desk.key("online"));
    let pem = fs::read_to_string(desk.0.join("keys/online.pem")).unwrap();
    assert!(!shown.contains(pem.lines().nth(1).unwrap().get(22..40).unwrap()));
}
