//! The box's own boot script in the real U-Boot, with systems so small that a start takes a second: what is signed runs, what is
//! not never does, whatever is done to power, environment and disk; and a system that hangs is left again.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::PathBuf,
    time::Duration,
};

use board::{
    boot::{
        Table,
        script::{self, Board, Purpose},
    },
    env::{self, Env},
    header::{Header, LENGTH},
    map::BoardMap,
    slot::{Record, SlotName, State, Vars},
};
use image::{
    fit::{self, Key, Parts, Trust},
    qemu::{Machine, Net, Parts as MachineParts, U_BOOT},
};

const BOARD: &str = include_str!("../../../board/boards/qemu-aarch64/board.toml");
/// A start takes one, on a machine with nothing else to do.
const SOON: Duration = Duration::from_secs(30);
const RECOVERY: &str = "No slot holds a system that is signed for this box";

const GOOD: Record = Record { state: State::Good, tries: 3, rounds: 0 };
const EMPTY: Record = Record { state: State::Empty, tries: 0, rounds: 0 };
const TRIAL: Record = Record { state: State::Trial, tries: 2, rounds: 0 };

/// A system for the Cortex-A53: it says `words` on the serial port and then hangs for ever.
///
/// It begins as every arm64 `Image` does (the kernel's Documentation/arch/arm64/booting.rst, 4).
fn system(words: &str) -> Vec<u8> {
    let head: [u32; 16] = [0x1400_0010, 0, 0, 0, 0x1_0000, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x644d_5241, 0];
    let code = [
        0xd2a1_2001_u32, // mov x1, #0x9000000: the serial port of `virt`
        0x1000_00e2,     // adr x2, words
        0x3840_1443,     // next: ldrb w3, [x2], #1
        0x3400_0063,     // cbz w3, hang
        0x3900_0023,     // strb w3, [x1]
        0x17ff_fffd,     // b next
        0xd503_207f,     // hang: wfi
        0x17ff_ffff,     // b hang
    ];
    let mut image: Vec<u8> = head.iter().chain(&code).flat_map(|word| word.to_le_bytes()).collect();
    image.extend(words.as_bytes());
    image.resize(4096, 0);
    image
}

/// A box on the bench: a disk, its keys, and the device tree that trusts one of them.
struct Bench {
    folder: PathBuf,
    map: BoardMap,
    board: Board,
    ours: Key,
    stranger: Key,
}

impl Bench {
    fn new(name: &str) -> Self {
        let folder = lab::paths::target().join("image").join(name);
        fs::create_dir_all(&folder).unwrap();
        let (map, board) = (BoardMap::parse(BOARD).unwrap(), Board::parse(BOARD).unwrap());
        let disk = File::create(folder.join("disk.img")).unwrap();
        disk.set_len(map.disk_bytes).unwrap();
        let [ours, stranger] = ["ours", "stranger"].map(|name| Key::generate(&folder, name).unwrap());
        let bench = Self { folder, map, board, ours, stranger };
        bench.trust(&bench.ours);
        bench
    }

    fn trust(&self, key: &Key) {
        let text = script::script(&Table::ours().unwrap(), &self.map, &self.board, Purpose::Box);
        let trust = Trust { key: Some(key), script: Some(&text), marker: self.board.marker };
        fit::tree(trust, &self.path("u-boot.dtb")).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn disk(&self) -> File {
        File::options().read(true).write(true).open(self.path("disk.img")).unwrap()
    }

    fn fit(&self, words: &str, key: Option<&Key>) -> Vec<u8> {
        let (kernel, initramfs, fit) = (self.path("kernel"), self.path("initramfs"), self.path("it.itb"));
        fs::write(&kernel, system(words)).unwrap();
        fs::write(&initramfs, "nothing").unwrap();
        let parts = Parts { kernel: &kernel, initramfs: &initramfs, load: self.board.kernel };
        fit::build(parts, key, &fit).unwrap();
        fs::read(fit).unwrap()
    }

    fn fill(&self, slot: SlotName, fit: &[u8]) {
        let header = Header {
            version: "1.0.0".to_owned(),
            board: self.map.name.clone(),
            security: 1,
            schema: 1,
            fit: ((fit.len() as u64).next_multiple_of(512), [0; 32]),
            root: (512, [0; 32]),
        };
        let at = self.map.partitions.fit(slot).at;
        self.disk().write_all_at(&header.encode().unwrap(), at).unwrap();
        self.disk().write_all_at(fit, at + LENGTH).unwrap();
    }

    fn say(&self, vars: Vars) {
        let [first, second] = self.map.partitions.env();
        self.disk().write_all_at(&Env { seq: 1, vars }.encode(), first.at).unwrap();
        self.disk().write_all_at(&vec![0; env::BYTES], second.at).unwrap();
    }

    fn erase_environment(&self) {
        for region in self.map.partitions.env() {
            self.disk().write_all_at(&vec![0xff; env::BYTES], region.at).unwrap();
        }
    }

    /// What the environment says now.
    fn says(&self) -> Vars {
        let copies = self.map.partitions.env().map(|region| {
            let mut block = vec![0; env::BYTES];
            self.disk().read_exact_at(&mut block, region.at).unwrap();
            Env::decode(&block)
        });
        copies.into_iter().flatten().max_by_key(|env| env.seq).unwrap().vars
    }

    fn start(&self, name: &str) -> Machine {
        Machine::start(&MachineParts {
            disk: self.path("disk.img"),
            tree: Some(self.path("u-boot.dtb")),
            boot_loader: U_BOOT.into(),
            net: Net::None,
            memory: Vec::new(),
            log: self.path(&format!("{name}.log")),
        })
        .unwrap()
    }

    /// What comes of a start: which words, of a system or of recovery.
    fn ends(&self, name: &str) -> String {
        let mut machine = self.start(name);
        machine.console.expect("Boot: order", SOON).unwrap();
        let (which, _) = machine.console.expect_any(&["This is ", RECOVERY], SOON).unwrap();
        if which == 1 {
            return "recovery".to_owned();
        }
        machine.console.expect("\n", SOON).unwrap().trim().to_owned()
    }
}

fn vars(first: SlotName, a: Record, b: Record) -> Vars {
    Vars { first, a, b }
}

#[test]
fn a_thief_with_the_disk_on_his_desk_gets_only_signed_systems_to_run() {
    let bench = Bench::new("thief");
    let ours = bench.fit("This is ours\n", Some(&bench.ours));
    let mut changed = ours.clone();
    let words = changed.windows(7).position(|bytes| bytes == b"is ours").unwrap();
    changed[words + 3..words + 7].copy_from_slice(b"evil");
    let unsigned = bench.fit("This is unsigned\n", None);
    let strangers = bench.fit("This is a stranger\n", Some(&bench.stranger));
    let claims_a = vars(SlotName::A, GOOD, EMPTY);

    bench.fill(SlotName::A, &ours);
    bench.say(claims_a);
    assert_eq!(bench.ends("signed"), "ours");

    // Another byte, no signature, somebody else's: the other slot runs, and the environment says why not this one.
    bench.fill(SlotName::B, &ours);
    for (name, evil) in [("changed", &changed), ("unsigned", &unsigned), ("stranger", &strangers)] {
        bench.fill(SlotName::A, evil);
        bench.say(vars(SlotName::A, GOOD, GOOD));
        assert_eq!(bench.ends(name), "ours");
        assert_eq!(bench.says(), vars(SlotName::A, Record { tries: 0, ..GOOD }, GOOD), "{name}");
    }

    // Nothing that is signed: it waits, however often power is cut and whatever the environment claims or lacks.
    bench.fill(SlotName::B, &changed);
    for name in ["once", "twice", "three-times"] {
        bench.erase_environment();
        assert_eq!(bench.ends(name), "recovery");
    }
    bench.say(vars(SlotName::B, GOOD, GOOD));
    assert_eq!(bench.ends("claimed-good"), "recovery");

    // Both slots as they left the factory, nothing else: what is signed runs without an environment.
    bench.fill(SlotName::A, &unsigned);
    bench.fill(SlotName::B, &ours);
    bench.erase_environment();
    assert_eq!(bench.ends("no-environment"), "ours");
}

#[test]
fn an_old_image_of_the_disk_does_not_run_after_its_key_was_rotated() {
    let bench = Bench::new("rotated");
    let old = bench.fit("This is old\n", Some(&bench.ours));
    bench.fill(SlotName::A, &old);
    bench.say(vars(SlotName::A, GOOD, EMPTY));
    assert_eq!(bench.ends("before"), "old");
    // What was called the stranger's is the key that the boot loader trusts from now on.
    bench.trust(&bench.stranger);
    assert_eq!(bench.ends("after"), "recovery");
    let new = bench.fit("This is new\n", Some(&bench.stranger));
    bench.fill(SlotName::B, &new);
    bench.say(vars(SlotName::A, GOOD, EMPTY));
    assert_eq!(bench.ends("new"), "new");
}

#[test]
fn a_system_that_hangs_is_tried_twice_and_left_and_power_cuts_are_no_crashes() {
    let bench = Bench::new("hangs");
    bench.fill(SlotName::A, &bench.fit("This is good\n", Some(&bench.ours)));
    bench.fill(SlotName::B, &bench.fit("This is new\n", Some(&bench.ours)));
    bench.say(vars(SlotName::B, GOOD, TRIAL));
    let mut machine = bench.start("console");
    let boots = |machine: &mut Machine, how: &str, which: &str| {
        let line = machine.console.line("Boot: order ", SOON).unwrap();
        assert!(line.ends_with(how), "{line}");
        assert_eq!(machine.console.line("This is ", SOON).unwrap(), which);
    };
    boots(&mut machine, "reset normal", "new");
    assert_eq!(bench.says().b.tries, 1, "counted before it ran");
    // The lab is the hardware watchdog.
    machine.reset().unwrap();
    boots(&mut machine, "reset crash", "new");
    machine.reset().unwrap();
    boots(&mut machine, "reset crash", "good");
    let left = bench.says();
    assert_eq!((left.b.state, left.b.tries), (State::Trial, 0), "its verdict is for the good one to pass");
    assert_eq!(left.a, Record { tries: 2, ..GOOD }, "a start after a crash is counted for a good one, too");

    // Power is not a crash: the good one stays as it is, for ever.
    for number in 0..4 {
        machine.cut_power();
        machine = bench.start(&format!("power-{number}"));
        boots(&mut machine, "reset normal", "good");
    }
    assert_eq!(bench.says(), left);
}

#[test]
fn a_box_without_a_system_says_what_to_do_and_looks_again() {
    let bench = Bench::new("recovery");
    bench.erase_environment();
    let mut machine = bench.start("console");
    let said = machine.console.expect("Looking again in 10 s", SOON).unwrap();
    assert!(said.contains("Write a disk image to it"), "{said}");
    // Somebody comes with a card; the box is not touched.
    bench.fill(SlotName::B, &bench.fit("This is new\n", Some(&bench.ours)));
    assert_eq!(machine.console.line("This is ", SOON).unwrap(), "new");
    assert!(!machine.console.said().contains("=> "), "nobody is given a prompt");
}

#[test]
fn typing_on_the_serial_port_gives_nobody_a_prompt() {
    let bench = Bench::new("typing");
    let prompt = |machine: &mut Machine, otherwise: &str| {
        for _ in 0..40 {
            machine.console.send("\u{3}\n \u{3}").unwrap();
            std::thread::sleep(Duration::from_millis(30));
        }
        machine.console.expect_any(&[otherwise, "=> "], SOON).unwrap().0 == 1
    };
    bench.erase_environment();
    let mut machine = bench.start("recovery");
    machine.console.expect(RECOVERY, SOON).unwrap();
    assert!(!prompt(&mut machine, "DRAM:"), "while it waits for a system");
    machine.cut_power();

    bench.fill(SlotName::A, &bench.fit("This is ours\n", Some(&bench.ours)));
    bench.say(vars(SlotName::A, GOOD, EMPTY));
    assert!(!prompt(&mut bench.start("start"), "This is "), "while it starts");
}
