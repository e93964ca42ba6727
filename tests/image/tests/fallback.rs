//! New systems that must not stay: each is installed into the other slot of a real image, started through the real boot script, and
//! left again for the old system, which runs as before; and the box says why.
//!
//! No network: nothing here needs one, and a box without one must find its way back, too.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::Path,
    time::{Duration, Instant},
};

use board::{
    env::{self, Env},
    file_disk::FileDisk,
    map::PartitionMap,
    partition::Window,
    slot::{Record, SlotName, State, Vars},
    store::Store,
};
use image::{
    build::{self, Options},
    disk::{self, Slot},
    qemu::{Machine, Net, Parts},
};
use serde_json::{Value, json};

/// Less patient than a box in a factory.
const TIMES: &str = "[update]\nhealthy_s = 4\ndeadline_s = 15\n";
/// From one start to the next, on a machine that does much else.
const START: Duration = Duration::from_secs(150);
const GOOD: Record = Record { state: State::Good, tries: 3, rounds: 0 };
const TRIAL: Record = Record { state: State::Trial, tries: 2, rounds: 0 };

/// A box that just installed a new system and restarts.
struct Updated {
    parts: Parts,
    map: PartitionMap,
    began: Instant,
    machine: Machine,
}

impl Updated {
    /// `new` lies in slot B; `before` is what the old system could do.
    fn start(test: &str, new: impl FnOnce(Options) -> Options, before: &Value) -> Self {
        let options = || Options::default().configured(TIMES).unwrap();
        let old = build::ensure(&options().version("1.0.0")).unwrap();
        let new = build::ensure(&new(options().version("1.1.0"))).unwrap();
        let folder = build::home().join("fallback").join(test);
        let parts = old.machine(&folder, Net::None).unwrap();
        let map = old.board.partitions.clone();
        let file = File::options().read(true).write(true).open(&parts.disk).unwrap();
        let header = new.header_bytes().unwrap();
        disk::fill(&file, &map, SlotName::B, Slot { header: &header, fit: &new.fit, root: &new.root })
            .unwrap();
        let vars = Vars { first: SlotName::B, a: GOOD, b: TRIAL };
        let [_, second] = map.env();
        file.write_all_at(&Env { seq: 7, vars }.encode(), second.at).unwrap();
        store(&parts.disk, &map).set("before", before.to_string().as_bytes()).unwrap();
        let began = Instant::now();
        let machine = Machine::start(&parts).unwrap();
        Self { parts, map, began, machine }
    }

    /// Waits until the boot script has started a system's kernel, and gives how the script saw the last run end.
    fn boots(&mut self, slot: SlotName) -> String {
        let console = &mut self.machine.console;
        let boot = console.line("Boot: order ", START).unwrap();
        let started = console.line("initramfs: slot=", START).unwrap();
        assert!(started.starts_with(slot.letter()), "{boot}, then slot {started}");
        let reset = boot.split_once(", reset ").unwrap().1.to_owned();
        assert!(started.contains(&format!("reset={reset} ")), "{boot}, but the kernel is told {started}");
        reset
    }

    /// Waits until the old system runs, and shows that it is left alone.
    fn falls_back(&mut self, reset: &str) {
        assert_eq!(self.boots(SlotName::A), reset);
        let line = self.machine.console.line("box: version=", START).unwrap();
        assert!(line.starts_with("1.0.0 "), "{line}");
        println!("back in the old system after {:.1} s", self.began.elapsed().as_secs_f64());
    }

    fn vars(&self) -> Vars {
        let file = File::open(&self.parts.disk).unwrap();
        let copies = self.map.env().map(|region| {
            let mut block = vec![0; env::BYTES];
            file.read_exact_at(&mut block, region.at).unwrap();
            Env::decode(&block)
        });
        copies.into_iter().flatten().max_by_key(|env| env.seq).unwrap().vars
    }

    /// Waits until the box has written down how the update ended.
    fn says(&mut self, end: &str, why: impl Into<Value>) {
        let why = why.into();
        let deadline = Instant::now() + START;
        loop {
            let last = store(&self.parts.disk, &self.map).get("last").ok().flatten();
            let last: Value =
                last.map_or(Value::Null, |last| serde_json::from_slice(&last).unwrap_or_default());
            if last["end"] == end && last["why"] == why && last["version"] == "1.1.0" {
                return;
            }
            assert!(Instant::now() < deadline, "the box says {last}:\n{}", self.machine.console.said());
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

/// The small state in the box's id partition.
fn store(disk: &Path, map: &PartitionMap) -> Store<Window<FileDisk>> {
    Store::new(Window::new(FileDisk::open(disk).unwrap(), map.id()))
}

/// What the old system could do: everything that needs no network.
fn alone() -> Value {
    json!({})
}

#[test]
fn a_new_system_that_panics_is_left_for_the_old_one() {
    // As early as the root's own scripts run.
    let panics = "#!/bin/sh\necho the new system panics\necho c > /proc/sysrq-trigger\n";
    let mut updated = Updated::start("panics", |new| new.script("etc/init.d/rcS", panics), &alone());
    assert_eq!(updated.boots(SlotName::B), "normal");
    updated.machine.console.expect("Kernel panic", START).unwrap();
    assert_eq!(updated.boots(SlotName::B), "crash");
    updated.machine.console.expect("Kernel panic", START).unwrap();
    updated.falls_back("crash");
    updated.says("no_verdict", "no_verdict");
    let vars = updated.vars();
    assert_eq!((vars.first, vars.b.state, vars.b.tries), (SlotName::B, State::Trial, 0));
}

#[test]
fn a_new_system_that_hangs_is_left_for_the_old_one() {
    // The initramfs has started the watchdog, with a minute of patience; here it is told ten seconds.
    let hangs = "#!/bin/sh\n/bin/busybox watchdog -T 10 -t 1000 /dev/watchdog\necho the new system hangs\n\
                 exec sleep 100000\n";
    let mut updated = Updated::start("hangs", |new| new.script("etc/init.d/rcS", hangs), &alone());
    assert_eq!(updated.boots(SlotName::B), "normal");
    updated.machine.console.expect("the new system hangs", START).unwrap();
    // Userspace hangs: the kernel's watchdog bites.
    assert_eq!(updated.boots(SlotName::B), "crash");
    updated.machine.console.expect("the new system hangs", START).unwrap();
    // The kernel hangs, its watchdog with it: on a board hardware resets it, here the lab does.
    updated.machine.monitor("stop").unwrap();
    updated.machine.reset().unwrap();
    updated.machine.monitor("cont").unwrap();
    updated.falls_back("crash");
    updated.says("no_verdict", "no_verdict");
}

#[test]
fn a_new_system_that_cannot_keep_data_gives_itself_up() {
    let nothing = "#!/bin/sh\nmount -t tmpfs -o ro tmpfs /data\n";
    let mut updated =
        Updated::start("unhealthy", |new| new.script("usr/lib/streambox/data", nothing), &alone());
    assert_eq!(updated.boots(SlotName::B), "normal");
    updated.machine.console.expect("the new system is given up", START).unwrap();
    updated.says("rolled_back", "data");
    // An orderly restart, so no crash is held against the old system.
    updated.falls_back("normal");
    let vars = updated.vars();
    assert_eq!((vars.a, vars.b.state, vars.b.tries), (GOOD, State::Failed, 0));
}

#[test]
fn a_new_system_that_cannot_update_itself_gives_itself_up() {
    let could = json!({ "source": true, "can_update": true });
    let mut updated = Updated::start("no-updates", |new| new.text("etc/streambox/note", "other"), &could);
    assert_eq!(updated.boots(SlotName::B), "normal");
    updated.machine.console.expect("the new system is given up", START).unwrap();
    updated.says("rolled_back", "update");
    updated.falls_back("normal");
    let vars = updated.vars();
    assert_eq!((vars.a, vars.b.state, vars.b.tries), (GOOD, State::Failed, 0));
}

/// So that the four above fail for what they do and not for being new.
#[test]
fn a_new_system_with_nothing_wrong_stays() {
    let mut updated = Updated::start("healthy", |new| new, &alone());
    assert_eq!(updated.boots(SlotName::B), "normal");
    updated.machine.console.expect("the new system is well: it stays", START).unwrap();
    println!("committed after {:.1} s", updated.began.elapsed().as_secs_f64());
    updated.says("committed_blind", Value::Null);
    let committed = updated.vars();
    assert_eq!((committed.first, committed.b), (SlotName::B, GOOD));
    // A power cut later it is the one that runs, and nothing is written.
    updated.machine.cut_power();
    updated.machine = Machine::start(&updated.parts).unwrap();
    assert_eq!(updated.boots(SlotName::B), "normal");
    assert_eq!(updated.vars(), committed);
}
