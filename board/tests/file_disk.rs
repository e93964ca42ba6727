//! A disk in a file: what is kept on it, who may change it, and that reading back asks the medium.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use board::block::{BlockDevice as _, DiskError};
use board::env;
use board::file_disk::FileDisk;
use board::header::Header;
use board::map::{PartitionMap, Region};
use board::partition::Window;
use board::slot::{Record, SlotName, State, Vars};
use board::slots::{Image, SlotError, Slots};
use board::store::Store;

/// A file of zeros that goes with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, bytes: u64) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        File::create(&path).unwrap().set_len(bytes).unwrap();
        Self(path)
    }

    fn open(&self) -> FileDisk {
        FileDisk::open(&self.0).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

const KIB: u64 = 1024;

fn map() -> PartitionMap {
    let names = ["env1", "env2", "id", "fit_a", "root_a", "fit_b", "root_b", "data"];
    let place = |(index, name): (usize, &str)| {
        (name.to_owned(), Region { at: index as u64 * 128 * KIB, bytes: 128 * KIB })
    };
    PartitionMap::new(names.into_iter().enumerate().map(place)).unwrap()
}

#[test]
fn what_is_written_is_read_by_the_next_one_and_nothing_lies_outside() {
    let scratch = Scratch::new("words", 4 * KIB);
    let mut disk = scratch.open();
    assert_eq!(disk.bytes(), 4 * KIB);
    disk.write(KIB, &[7; 512]).unwrap();
    disk.flush().unwrap();
    let mut found = [0; 1024];
    scratch.open().read(KIB, &mut found).unwrap();
    assert_eq!((found[0], found[511], found[512]), (7, 7, 0));
    for (at, length) in [(4 * KIB, 512), (100, 512), (0, 100), (u64::MAX - 511, 512)] {
        assert!(matches!(disk.write(at, &vec![1; length]), Err(DiskError::Range { .. })), "{at}");
        assert!(matches!(disk.read(at, &mut vec![1; length]), Err(DiskError::Range { .. })), "{at}");
    }
    assert_eq!(fs::metadata(&scratch.0).unwrap().len(), 4 * KIB, "a disk does not grow");
    assert!(matches!(FileDisk::open(Path::new("/nowhere/disk")), Err(DiskError::Medium(_))));
}

/// Bytes of a file that the kernel has in memory, by util-linux.
fn cached(path: &Path) -> u64 {
    let output =
        Command::new("fincore").args(["--bytes", "--noheadings", "--output", "RES"]).arg(path).output();
    String::from_utf8(output.unwrap().stdout).unwrap().trim().parse().unwrap()
}

#[test]
fn after_a_flush_nothing_is_left_in_memory_that_could_be_read_back_instead_of_the_medium() {
    let scratch = Scratch::new("cache", 1024 * KIB);
    let mut disk = scratch.open();
    disk.write(0, &vec![9; 512 * 1024]).unwrap();
    assert!(cached(&scratch.0) >= 512 * KIB);
    disk.flush().unwrap();
    assert_eq!(cached(&scratch.0), 0);
}

#[test]
fn whoever_changes_something_keeps_the_others_waiting() {
    let scratch = Scratch::new("lock", 4 * KIB);
    let disk = Arc::new(scratch.open());
    // Another process has a disk of its own; another thread may share this one.
    for other in [Arc::new(scratch.open()), Arc::clone(&disk)] {
        let held = disk.lock().unwrap();
        assert!(held.is_held());
        let (sender, receiver) = mpsc::channel();
        let waiting = thread::spawn(move || sender.send(other.lock().unwrap().is_held()).unwrap());
        assert!(receiver.recv_timeout(Duration::from_millis(200)).is_err());
        drop(held);
        assert_eq!(receiver.recv_timeout(Duration::from_secs(20)), Ok(true));
        waiting.join().unwrap();
    }
    let mut disk = scratch.open();
    assert!(Window::new(&mut disk, Region { at: 0, bytes: 1024 }).lock().unwrap().is_held());
}

#[test]
fn two_installations_never_write_to_one_slot_at_the_same_time() {
    let scratch = Scratch::new("claim", 1024 * KIB);
    let good = Record { state: State::Good, tries: 3, rounds: 0 };
    env::save(&mut scratch.open(), &map(), &Vars { a: good, ..Vars::LOST }).unwrap();
    let slots = || Slots::new(scratch.open(), map(), SlotName::A).unwrap();
    let image = (512, ring::digest::digest(&ring::digest::SHA256, &[7; 512]).as_ref().try_into().unwrap());
    let header = Header {
        version: "2".to_owned(),
        board: "test".to_owned(),
        security: 1,
        schema: 1,
        fit: image,
        root: image,
    };
    let (mut ours, mut theirs) = (slots(), slots());
    let mut update = ours.install(header.clone()).unwrap();
    let mut other = theirs.install(header).unwrap();
    update.write_at(Image::Fit, 0, &[7; 512]).unwrap();
    assert!(matches!(other.begin(), Err(SlotError::Busy(SlotName::B))));
    assert!(matches!(other.write_at(Image::Root, 0, &[9; 512]), Err(SlotError::Busy(SlotName::B))));
    update.write_at(Image::Root, 0, &[7; 512]).unwrap();
    let finished = update.finish().unwrap();
    assert!(matches!(other.begin(), Err(SlotError::Busy(SlotName::B))));
    finished.activate().unwrap();
    assert!(other.begin().is_ok(), "free again");
    // What is claimed is a part, of the window's own disk.
    let disk = scratch.open();
    let window = Window::new(scratch.open(), Region { at: 512 * KIB, bytes: 512 * KIB });
    let held = window.claim(0, 512).unwrap();
    assert!(held.as_ref().unwrap().is_held() && disk.claim(512 * KIB, 512).unwrap().is_none());
    assert!(disk.claim(0, 512).unwrap().is_some() && disk.claim(512 * KIB + 512, 512).unwrap().is_some());
    drop(held);
    assert!(disk.claim(512 * KIB, 512).unwrap().is_some());
    assert!(disk.claim(u64::MAX, 512).is_err() && window.claim(512 * KIB, 512).is_err());
}

#[test]
fn writers_at_the_same_time_lose_nothing_of_each_other() {
    const EACH: usize = 40;
    let scratch = Scratch::new("writers", 1024 * KIB);
    let writers: Vec<_> = (0..3)
        .map(|writer| {
            let mut disk = scratch.open();
            thread::spawn(move || {
                for round in 0..EACH {
                    // Changes something each time, whatever the others did.
                    let turn = |vars: &Vars| {
                        let b = Record { state: State::Trial, tries: (vars.b.tries + 1) % 16, rounds: 0 };
                        Some(Vars { b, ..*vars })
                    };
                    env::change(&mut disk, &map(), turn).unwrap();
                    let name = format!("w{writer}");
                    let mut store = Store::new(Window::new(&mut disk, map().id()));
                    store.set(&name, &[round as u8]).unwrap();
                    let more = |old: Option<&[u8]>| Some(vec![old.map_or(0, |old| old[0]) + 1]);
                    store.revise("all", more).unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.join().unwrap();
    }
    let disk = scratch.open();
    let loaded = env::load(&disk, &map()).unwrap();
    assert_eq!(loaded.seq as usize, 3 * EACH);
    assert_eq!(usize::from(loaded.vars.b.tries), (1 + 3 * EACH) % 16);
    let store = Store::new(Window::new(disk, map().id()));
    assert_eq!(store.get("all").unwrap(), Some(vec![3 * EACH as u8]));
    for writer in 0..3 {
        assert_eq!(store.get(&format!("w{writer}")).unwrap(), Some(vec![EACH as u8 - 1]));
    }
}
