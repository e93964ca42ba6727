//! The boot environment's blocks are what Debian's U-Boot tools write and read.
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
    process::Command,
};

use board::{
    env::{BYTES, Env, NAMES},
    slot::{Record, SlotName, State, Vars},
};

fn run(command: &str, arguments: &[&str]) -> String {
    let output = Command::new(command).args(arguments).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A folder that goes with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        image::setup::ensure().unwrap();
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    /// A configuration of libubootenv for a block at the beginning of a file.
    fn tools(&self) -> String {
        let config = self.path("fw_env.config");
        fs::write(&config, format!("{} 0x0 {BYTES:#x}\n", self.path("block"))).unwrap();
        config
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn example() -> Env {
    let a = Record { state: State::Good, tries: 3, rounds: 0 };
    let b = Record { state: State::Trial, tries: 12, rounds: 2 };
    Env { seq: 0x1f_00ab, vars: Vars { first: SlotName::B, a, b } }
}

const LINES: [&str; NAMES.len()] = [
    "seq=001f00ab",
    "order=ba",
    "a_state=g",
    "a_tries=3",
    "a_rounds=0",
    "b_state=t",
    "b_tries=c",
    "b_rounds=2",
];

#[test]
fn mkenvimage_makes_the_very_same_block() {
    let scratch = Scratch::new("mkenvimage");
    fs::write(scratch.path("text"), LINES.join("\n") + "\n").unwrap();
    let (size, block, text) = (format!("{BYTES:#x}"), scratch.path("block"), scratch.path("text"));
    run("mkenvimage", &["-s", &size, "-p", "0", "-o", &block, &text]);
    assert_eq!(fs::read(&block).unwrap(), example().encode());
}

#[test]
fn fw_printenv_reads_what_the_box_writes() {
    let scratch = Scratch::new("fw_printenv");
    fs::write(scratch.path("block"), example().encode()).unwrap();
    let printed = run("fw_printenv", &["-c", &scratch.tools()]);
    let mut lines: Vec<&str> = printed.lines().collect();
    let mut expected = LINES;
    lines.sort_unstable();
    expected.sort_unstable();
    assert_eq!(lines, expected);
}

#[test]
fn the_box_reads_what_fw_setenv_writes() {
    let scratch = Scratch::new("fw_setenv");
    fs::write(scratch.path("block"), example().encode()).unwrap();
    let config = scratch.tools();
    for (name, value) in [("order", "ab"), ("b_state", "x"), ("b_tries", "0"), ("bootcmd", "run evil")] {
        run("fw_setenv", &["-c", &config, name, value]);
    }
    let block = fs::read(scratch.path("block")).unwrap();
    let b = Record { state: State::Failed, tries: 0, rounds: 2 };
    let Env { seq, vars } = example();
    assert_eq!(Env::decode(&block), Some(Env { seq, vars: Vars { first: SlotName::A, b, ..vars } }));
}
