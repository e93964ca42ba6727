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

/// The board that the machine is.
const QEMU: &str = "qemu-aarch64";
/// Where that board's memory begins; the others' begins at 0.
const MEMORY: u64 = 0x4000_0000;
/// How much of it there is below what U-Boot keeps.
const FREE: u64 = 0x1d80_0000;

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
fn ours(case: &Case, map: &BoardMap, table: Table) -> Outcome {
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
    let start = boot(&table, vars, case.reset, signed, |vars| {
        // Nothing is written behind the last number there is.
        let _ = env::save(&mut disk, &map.partitions, vars);
    });
    let started = match start {
        Start::Slot(slot) | Start::LastResort(slot) => Some(slot),
        Start::Recovery => None,
    };
    Outcome { started, env: disk.blocks, marked: started }
}

/// Two environments are alike if they say the same; one that says nothing must have the same bytes.
fn says(block: &[u8]) -> Result<Env, &[u8]> {
    Env::decode(block).ok_or(block)
}

fn board(name: &str) -> (BoardMap, Board) {
    let path = lab::paths::workspace().join("board/boards").join(name).join("board.toml");
    let text = fs::read_to_string(path).unwrap();
    (BoardMap::parse(&text).unwrap(), Board::parse(&text).unwrap())
}

/// A board as it would be with QEMU's memory and disk: everything where it is on its own disk, as far from memory's beginning as
/// in its own memory. A marker that is a register becomes the word of memory that QEMU has for it.
fn moved(name: &str) -> (BoardMap, Board) {
    let (map, theirs) = board(name);
    let (_, qemu) = board(QEMU);
    let memory = |address: u64| (address < FREE).then_some(MEMORY + address);
    let moved = Board {
        kernel: memory(theirs.kernel).unwrap(),
        load: memory(theirs.load).unwrap(),
        scratch: memory(theirs.scratch).unwrap(),
        marker: memory(theirs.marker).unwrap_or(qemu.marker),
        arguments: theirs.arguments,
        ..qemu
    };
    (map, moved)
}

fn compare(cases: &[Case], name: &str, within: Duration) {
    compare_on(board(QEMU), cases, name, within);
}

fn compare_on((map, board): (BoardMap, Board), cases: &[Case], name: &str, within: Duration) {
    let folder = folder(name);
    let (key, variants) = variants(&folder);
    let table = Table::ours().unwrap();
    let stage = Stage { map: &map, board: &board, table: &table, key: &key, variants: &variants };
    let began = Instant::now();
    let theirs = stage.rehearse(cases, &folder, within).unwrap();
    println!("{} cases in U-Boot: {:.1} s", cases.len(), began.elapsed().as_secs_f64());
    assert_eq!(theirs.len(), cases.len());
    let mut wrong = Vec::new();
    for (index, (case, theirs)) in cases.iter().zip(&theirs).enumerate() {
        let ours = ours(case, &map, table);
        let same_env = ours.env.iter().zip(&theirs.env).all(|(ours, theirs)| says(ours) == says(theirs));
        if ours.started != theirs.started || ours.marked != theirs.marked || !same_env {
            let [a, b] = case.fit.map(|lies| LIES[lies]);
            let before = case
                .env
                .each_ref()
                .map(|block| Env::decode(&[block.as_slice(), &vec![0; env::BYTES - block.len()]].concat()));
            wrong.push(format!(
                "case {index:x}: {before:?}, {:?}, A {a:?}, B {b:?}\n  U-Boot: {:?} marked {:?} {:?}\n  Rust:   {:?} {:?}",
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
                for reset in [Reset::Normal, Reset::Crash(SlotName::A), Reset::Crash(SlotName::B)] {
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
    let every = if std::env::var_os("STREAMBOX_SOAK").is_some() { 1 } else { 11 };
    compare(&product(every), "table", Duration::from_secs(if every == 1 { 1800 } else { 400 }));
}

const fn record(state: State, tries: u8) -> Record {
    Record { state, tries, rounds: 0 }
}

/// B is on trial with one try left, A is good.
const TRIAL: Vars = Vars { first: SlotName::B, a: record(State::Good, 3), b: record(State::Trial, 1) };
/// A is good, B was tried in vain.
const AFTER: Vars = Vars { first: SlotName::A, a: record(State::Good, 3), b: record(State::Failed, 0) };

/// A block of these lines with a right CRC, as somebody with the disk on his desk makes it.
fn lines(lines: &[&str]) -> Vec<u8> {
    let mut data: Vec<u8> = lines.iter().flat_map(|line| [line.as_bytes(), &[0]].concat()).collect();
    data.resize(env::BYTES - 4, 0);
    [crc32fast::hash(&data).to_le_bytes().to_vec(), data].concat()
}

/// Every pair of copies that a cut, a bad sector or somebody with the disk on his desk can leave.
fn copies() -> Vec<[Vec<u8>; 2]> {
    let (older, newer) = (block(0x1f, TRIAL), block(0x20, AFTER));
    let torn = [&newer[..512], &older[512..0x2000], &[0xff; 0x2000]].concat();
    let erased = vec![0xff; env::BYTES];
    let last = block(u32::MAX, TRIAL);
    let mut pairs = vec![
        [older.clone(), newer.clone()],
        [block(0x20, TRIAL), block(0x20, AFTER)],
        [block(0x7fff_ffff, AFTER), block(0x8000_0000, TRIAL)],
        [block(0xff, AFTER), block(0x100, TRIAL)],
        [torn.clone(), older.clone()],
        [torn.clone(), erased.clone()],
        [erased.clone(), newer.clone()],
        [Vec::new(), Vec::new()],
        [torn.clone(), torn],
        // No write behind the last number: it would not count.
        [last.clone(), older.clone()],
        [last, block(u32::MAX - 1, AFTER)],
    ];
    let good = ["order=ba", "a_state=g", "a_tries=3", "a_rounds=0", "b_state=t", "b_tries=2", "b_rounds=1"];
    let seqs = [
        "seq=1F",
        "seq=2",
        "seq=",
        "seq=000000021",
        "seq=21 22",
        "seq=-1",
        "seq=0x21",
        "seq=\"; reset; \"",
        "seq='",
        "seq=30'",
        "x=1",
    ];
    pairs.extend(seqs.map(|seq| [older.clone(), lines(&[&[seq], good.as_slice()].concat())]));
    let long = format!("a_state=g{}", "g".repeat(12_000));
    let fields: [&[&str]; 19] = [
        &[],
        &["a_state='", "b_state=g", "b_tries='3", "order=' ; '"],
        &["a_state=' = '", "b_state=g' || 'g", "b_tries=3'", "a_tries='", "order='ba"],
        &[&long, "b_state=g", "b_tries=3"],
        &["order=bb"],
        &["order=ba"],
        &["order=b a", "a_state=t", "b_state=t"],
        &["a_state=", "b_state=G"],
        &["a_state=g g", "b_state=gg", "order=ba"],
        &["a_tries=10", "b_tries=f", "b_state=t", "order=ba"],
        &["a_tries=-1", "b_tries=A", "b_state=t", "order=ba"],
        &["a_tries=3x", "b_tries=x", "a_state=g"],
        &["a_tries=002", "a_state=t", "b_tries= ", "b_state=g"],
        &["a_rounds=q", "a_state=t", "a_tries=2"],
        &["a_state=$(reset)", "b_state=`reset`", "order=;reset"],
        &["a_state=\" = \"\" -o \"1", "b_state=' ; reset ; '", "order=\\", "a_tries=\"", "b_tries=\\\""],
        &[
            "started=a",
            "newest=1",
            "best=ffffffff",
            "list=b",
            "reset=crash",
            "marker=0",
            "a_state=t",
            "a_tries=2",
        ],
        &[
            "bootcmd=reset",
            "bootargs=init=/bin/sh",
            "start_a=reset",
            "save=reset",
            "main=reset",
            "fdtcontroladdr=0",
        ],
        &[
            "a_state=${b_state}",
            "b_state=g",
            "a_tries=${b_tries}",
            "b_tries=3",
            "word=g-crash",
            "slot=b",
            "from=0",
        ],
    ];
    pairs.extend(fields.map(|fields| [lines(&[&["seq=30"], fields].concat()), older.clone()]));
    let turned = pairs.clone().into_iter().map(|[first, second]| [second, first]);
    turned.chain(pairs.clone()).collect()
}

#[test]
fn each_pair_of_copies_is_read_and_written_as_rust_does() {
    let mut cases = Vec::new();
    for env in copies() {
        for fit in [[Lies::Signed; 2], [Lies::Flipped, Lies::Signed]] {
            cases.push(Case { env: env.clone(), fit: fit.map(lies), reset: Reset::Normal });
        }
        let fit = [Lies::Signed, Lies::Flipped].map(lies);
        cases.push(Case { env, fit, reset: Reset::Crash(SlotName::A) });
    }
    compare(&cases, "copies", Duration::from_secs(400));
}

#[test]
fn the_scripts_of_the_other_boards_decide_and_write_as_rust_does() {
    // 173 shares no factor with the product, either, and leaves some thirty of it.
    let every = if std::env::var_os("STREAMBOX_SOAK").is_some() { 11 } else { 173 };
    let mut cases = product(every);
    for env in copies().into_iter().step_by(7) {
        cases.push(Case { env, fit: [Lies::Signed; 2].map(lies), reset: Reset::Normal });
    }
    for slot in [[Lies::Endless, Lies::Signed], [Lies::Signed, Lies::Headless], [Lies::Hollow, Lies::Rotated]]
    {
        cases.push(Case { env: [block(5, TRIAL), Vec::new()], fit: slot.map(lies), reset: Reset::Normal });
    }
    let boards = fs::read_dir(lab::paths::workspace().join("board/boards")).unwrap();
    let names = boards.map(|entry| entry.unwrap()).filter(|entry| entry.path().is_dir());
    let mut seen = 0;
    for name in names.map(|entry| entry.file_name().into_string().unwrap()).filter(|name| name != QEMU) {
        compare_on(moved(&name), &cases, &format!("other-{name}"), Duration::from_secs(400));
        seen += 1;
    }
    assert!(seen >= 2);
}

#[test]
fn nothing_but_a_signed_system_behind_a_header_is_started() {
    let mut cases = Vec::new();
    for env in [Vec::new(), block(5, TRIAL)] {
        for fit in LIES.iter().flat_map(|a| LIES.map(|b| [*a, b])) {
            // What is in memory of the case before is a system that would run.
            let before = [Lies::Signed; 2].map(lies);
            if fit.contains(&Lies::Hollow) || fit.contains(&Lies::Endless) {
                cases.push(Case { env: [Vec::new(), Vec::new()], fit: before, reset: Reset::Normal });
            }
            cases.push(Case { env: [env.clone(), Vec::new()], fit: fit.map(lies), reset: Reset::Normal });
        }
    }
    compare(&cases, "lies", Duration::from_secs(400));
}
