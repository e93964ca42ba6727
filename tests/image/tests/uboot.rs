//! The boot script in the real U-Boot decides as `board::boot` does, and starts nothing that is not signed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use board::{
    block::{BlockDevice, DiskError},
    boot::{Start, Table, boot, script::Board},
    env::{self, Env},
    header::{Header, LENGTH},
    map::BoardMap,
    slot::{Record, Reset, SlotName, State, Vars},
};
use image::{
    fit::{self, Key, Parts},
    uboot::{Case, Outcome, Stage},
};

const BOARD: &str = include_str!("../../../board/boards/qemu-aarch64/board.toml");

/// What may lie in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lies {
    Signed,
    /// One byte of the kernel is another.
    Flipped,
    Unsigned,
    /// Signed by a key that the box does not trust: a stranger's, or its own of yesterday.
    Rotated,
    /// A signed FIT behind no header: an installation that was cut off.
    Headless,
    /// A header that says that the FIT is longer than the disk.
    Endless,
    /// A header that says that there is no FIT, which leaves the one before it in memory.
    Hollow,
    /// Another system's form of image, which knows no signatures, behind a right header.
    Android,
}

const LIES: [Lies; 8] = [
    Lies::Signed,
    Lies::Flipped,
    Lies::Unsigned,
    Lies::Rotated,
    Lies::Headless,
    Lies::Endless,
    Lies::Hollow,
    Lies::Android,
];

fn folder(name: &str) -> PathBuf {
    let folder = lab::paths::target().join("image").join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn header(fit: u64) -> Vec<u8> {
    let header = Header {
        version: "1.0.0".to_owned(),
        board: "qemu-aarch64".to_owned(),
        security: 1,
        schema: 1,
        fit: (fit.next_multiple_of(512), [0; 32]),
        root: (512, [0; 32]),
    };
    let mut block = header.encode().unwrap().to_vec();
    block.resize(LENGTH as usize, 0);
    block
}

/// Each of [`LIES`] as it lies in a slot, and the key that is trusted.
fn variants(folder: &Path) -> (Key, Vec<Vec<u8>>) {
    let (ours, rotated) = (Key::generate(folder, "ours").unwrap(), Key::generate(folder, "rotated").unwrap());
    let (kernel, initramfs) = (folder.join("kernel"), folder.join("initramfs"));
    // It is never run: whether it would be is what is asked.
    fs::write(&kernel, [0x5a; 4096]).unwrap();
    fs::write(&initramfs, [0xa5; 1024]).unwrap();
    let parts = Parts { kernel: &kernel, initramfs: &initramfs, load: 0x4040_0000 };
    let build = |key: Option<&Key>| {
        let path = folder.join("it.itb");
        fit::build(parts, key, &path).unwrap();
        fs::read(path).unwrap()
    };
    let signed = build(Some(&ours));
    let slot = |fit: &[u8]| [header(fit.len() as u64), fit.to_vec()].concat();
    let with_sectors = |sectors: u32| {
        let mut slot = slot(&signed);
        slot[8..12].copy_from_slice(&sectors.to_le_bytes());
        slot
    };
    let variant = |lies: Lies| match lies {
        Lies::Signed => slot(&signed),
        Lies::Flipped => {
            let mut flipped = signed.clone();
            let kernel = flipped.windows(64).position(|bytes| bytes == [0x5a; 64]).unwrap();
            flipped[kernel + 1000] ^= 1;
            slot(&flipped)
        }
        Lies::Unsigned => slot(&build(None)),
        Lies::Rotated => slot(&build(Some(&rotated))),
        Lies::Headless => [vec![0; LENGTH as usize], signed.clone()].concat(),
        Lies::Endless => with_sectors(u32::MAX),
        Lies::Hollow => with_sectors(0),
        Lies::Android => slot(&android()),
    };
    (ours.clone(), LIES.map(variant).to_vec())
}

/// An Android boot image, version 0 of its header: kernel and ramdisk of a page each.
fn android() -> Vec<u8> {
    let mut image = b"ANDROID!".to_vec();
    for word in [2048, 0x4040_0000, 2048, 0x4400_0000, 0, 0, 0, 2048, 0, 0_u32] {
        image.extend(word.to_le_bytes());
    }
    image.resize(2048 * 3, 0x5a);
    image
}

/// Two environments in memory where the map has them, for Rust's own way of reading and writing them.
struct TwoBlocks {
    map: BoardMap,
    blocks: [Vec<u8>; 2],
}

impl TwoBlocks {
    fn block(&mut self, at: u64) -> &mut Vec<u8> {
        let copy = self.map.partitions.env().iter().position(|region| region.at == at).unwrap();
        &mut self.blocks[copy]
    }
}

impl BlockDevice for TwoBlocks {
    fn bytes(&self) -> u64 {
        self.map.disk_bytes
    }

    fn read(&self, at: u64, into: &mut [u8]) -> Result<(), DiskError> {
        let copy = self.map.partitions.env().iter().position(|region| region.at == at).unwrap();
        into.copy_from_slice(&self.blocks[copy]);
        Ok(())
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> Result<(), DiskError> {
        *self.block(at) = bytes.to_vec();
        Ok(())
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        Ok(())
    }
}

/// What Rust makes of a case.
fn ours(case: &Case, map: &BoardMap, table: &Table) -> Outcome {
    let full = |block: &Vec<u8>| {
        let mut block = block.clone();
        block.resize(env::BYTES, 0);
        block
    };
    let mut disk = TwoBlocks { map: map.clone(), blocks: [full(&case.env[0]), full(&case.env[1])] };
    let vars = env::load(&disk, &map.partitions).unwrap().vars;
    let signed = |slot: SlotName| {
        let [a, b] = case.fit;
        LIES[if slot == SlotName::A { a } else { b }] == Lies::Signed
    };
    let start = boot(table, vars, case.reset, signed, |vars| {
        // Nothing is written behind the last number there is.
        let _ = env::save(&mut disk, &map.partitions, vars);
    });
    let started = match start {
        Start::Slot(slot) | Start::LastResort(slot) => Some(slot),
        Start::Recovery => None,
    };
    Outcome { started, env: disk.blocks, marked: started.is_some() }
}

/// Two environments are alike if they say the same; one that says nothing must have the same bytes.
fn says(block: &[u8]) -> Result<Env, &[u8]> {
    Env::decode(block).ok_or(block)
}

fn compare(cases: &[Case], name: &str, within: Duration) {
    let folder = folder(name);
    let (key, variants) = variants(&folder);
    let (map, board, table) =
        (BoardMap::parse(BOARD).unwrap(), Board::parse(BOARD).unwrap(), Table::ours().unwrap());
    let stage = Stage { map: &map, board: &board, table: &table, key: &key, variants: &variants };
    let began = Instant::now();
    let theirs = stage.rehearse(cases, &folder, within).unwrap();
    println!("{} cases in U-Boot: {:.1} s", cases.len(), began.elapsed().as_secs_f64());
    assert_eq!(theirs.len(), cases.len());
    let mut wrong = Vec::new();
    for (index, (case, theirs)) in cases.iter().zip(&theirs).enumerate() {
        let ours = ours(case, &map, &table);
        let same_env = ours.env.iter().zip(&theirs.env).all(|(ours, theirs)| says(ours) == says(theirs));
        if ours.started != theirs.started || ours.marked != theirs.marked || !same_env {
            let [a, b] = case.fit.map(|lies| LIES[lies]);
            let before = case
                .env
                .each_ref()
                .map(|block| Env::decode(&[block.as_slice(), &vec![0; env::BYTES - block.len()]].concat()));
            wrong.push(format!(
                "case {index:x}: {before:?}, {:?}, A {a:?}, B {b:?}\n  U-Boot: {:?} marked {} {:?}\n  Rust:   {:?} {:?}",
                case.reset,
                theirs.started,
                theirs.marked,
                theirs.env.each_ref().map(|block| Env::decode(block)),
                ours.started,
                ours.env.each_ref().map(|block| Env::decode(block)),
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} cases differ; the log is in {}\n{}",
        wrong.len(),
        cases.len(),
        folder.display(),
        wrong[..wrong.len().min(10)].join("\n")
    );
}

fn block(seq: u32, vars: Vars) -> Vec<u8> {
    Env { seq, vars }.encode()
}

const fn lies(wanted: Lies) -> usize {
    wanted as usize
}

/// Order, states, tries, reset and signatures: all there are, or every so many of them.
fn product(every: usize) -> Vec<Case> {
    let mut cases = Vec::new();
    let tries = [0, 1, 3];
    let signed = [lies(Lies::Signed), lies(Lies::Flipped)];
    for fit in signed.iter().flat_map(|a| signed.map(|b| [*a, b])) {
        for (first, state_a, state_b) in SlotName::BOTH
            .into_iter()
            .flat_map(|first| State::ALL.map(|a| State::ALL.map(|b| (first, a, b))))
            .flatten()
        {
            for (tries_a, tries_b) in tries.iter().flat_map(|a| tries.map(|b| (*a, b))) {
                for reset in [Reset::Normal, Reset::Crash] {
                    let a = Record { state: state_a, tries: tries_a, rounds: 0 };
                    let b = Record { state: state_b, tries: tries_b, rounds: 2 };
                    let new = block(8, Vars { first, a, b });
                    cases.push(Case { env: [Vec::new(), new], fit, reset });
                }
            }
        }
    }
    // A step that shares no factor with any of the product's meets each value of each part as often.
    cases.into_iter().step_by(every).collect()
}

#[test]
fn the_script_decides_and_writes_as_rust_does() {
    let every = if std::env::var_os("STREAMBOX_SOAK").is_some() { 1 } else { 7 };
    compare(&product(every), "table", Duration::from_secs(if every == 1 { 1200 } else { 150 }));
}
