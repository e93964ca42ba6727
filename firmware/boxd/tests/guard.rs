//! The built guard as a process, over the real box and a disk in a file: what it keeps, what it gives up, when its watchdog goes
//! hungry. Only loopback is touched, and no machine is restarted: the guard says so by its exit code.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a test of a process from outside")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may fail the test")]

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use board::block::BlockDevice as _;
use board::env;
use board::file_disk::FileDisk;
use board::header::Header;
use board::map::{BoardMap, PartitionMap};
use board::partition::Window;
use board::slot::{Record, SlotName, State, Vars};
use board::store::Store;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use update::Floors;

const BOXD: &str = env!("CARGO_BIN_EXE_boxd");
const MAP: &str = r#"
name = "test"
[disk]
device = "/nonexistent"
bytes = 0x0100_0000
[partition]
env1 = { at = 0x0002_0000, bytes = 0x0001_0000 }
env2 = { at = 0x0003_0000, bytes = 0x0001_0000 }
id = { at = 0x0004_0000, bytes = 0x0002_0000 }
fit_a = { at = 0x0010_0000, bytes = 0x0010_0000 }
fit_b = { at = 0x0020_0000, bytes = 0x0010_0000 }
root_a = { at = 0x0030_0000, bytes = 0x0010_0000 }
root_b = { at = 0x0040_0000, bytes = 0x0010_0000 }
data = { at = 0x0050_0000, bytes = 0x0010_0000 }
"#;
/// The guard's exit code that asks for a restart of the machine.
const RESTART: i32 = 76;
/// What is said of slots.
const GOOD: Record = Record { state: State::Good, tries: 3, rounds: 0 };
const TRIED_ONCE: Record = Record { state: State::Trial, tries: 1, rounds: 0 };

/// A board in a folder: a disk, its map, what the kernel was started with, and a watchdog.
struct Board {
    directory: PathBuf,
    port: u16,
    map: PartitionMap,
}

/// A guard over it.
struct Guard<'a> {
    board: &'a Board,
    child: Child,
}

impl Board {
    fn new(name: &str, update: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("boxd-guard-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).unwrap();
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let place = directory.display();
        let board = if update.is_empty() {
            String::new()
        } else {
            format!(
                "[board]\nmap = \"{place}/board.toml\"\ndisk = \"{place}/disk\"\ncommand_line = \"{place}/line\"\n\
                 [update]\n{update}\n"
            )
        };
        let config = format!(
            "[http]\nlisten = \"127.0.0.1:{port}\"\n[discovery]\nenabled = false\n[state]\ndir = \"{place}/state\"\n\
             [guard]\nwatchdog = \"file:{place}/dog\"\nwatchdog_s = 1\nsilent_s = 3\n{board}"
        );
        fs::write(directory.join("box.toml"), config).unwrap();
        fs::write(directory.join("board.toml"), MAP).unwrap();
        File::create(directory.join("disk")).unwrap().set_len(0x0100_0000).unwrap();
        let map = BoardMap::parse(MAP).unwrap().partitions;
        let board = Self { directory, port, map };
        for (slot, version, security) in [(SlotName::A, "1.0", 4), (SlotName::B, "2.0", 7)] {
            let header = Header {
                version: version.to_owned(),
                board: "test".to_owned(),
                security,
                schema: 1,
                fit: (512, [1; 32]),
                root: (512, [security as u8; 32]),
            };
            board.disk().write(board.map.fit(slot).at, &header.encode().unwrap()).unwrap();
        }
        // As the system in slot A left them when it was committed.
        let floors = Floors { security: 4, ..Floors::default() };
        board.store().set("floors", &floors.encode()).unwrap();
        board
    }

    fn disk(&self) -> FileDisk {
        FileDisk::open(&self.directory.join("disk")).unwrap()
    }

    fn store(&self) -> Store<Window<FileDisk>> {
        Store::new(Window::new(self.disk(), self.map.id()))
    }

    /// What the boot environment says from now on, and which slot the next guard runs in.
    fn boots(&self, slot: SlotName, a: Record, b: Record) {
        env::save(&mut self.disk(), &self.map, &Vars { first: slot, a, b }).unwrap();
        fs::write(self.directory.join("line"), format!("console=x slot={slot} reset=normal\n")).unwrap();
    }

    fn vars(&self) -> Vars {
        env::load(&self.disk(), &self.map).unwrap().vars
    }

    /// How often the environment was written.
    fn writes(&self) -> u32 {
        env::load(&self.disk(), &self.map).unwrap().seq
    }

    fn before(&self, before: &Value) {
        self.store().set("before", before.to_string().as_bytes()).unwrap();
    }

    fn last(&self) -> Value {
        let text = self.store().get("last").unwrap().unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or(Value::Null)
    }

    fn fed(&self) -> u64 {
        let text = fs::read_to_string(self.directory.join("dog")).unwrap_or_default();
        text.split_whitespace().nth(4).and_then(|count| count.parse().ok()).unwrap_or(0)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    fn guard(&self) -> Guard<'_> {
        let child = Command::new(BOXD)
            .args(["guard", "--config"])
            .arg(self.directory.join("box.toml"))
            .stdout(Stdio::null())
            .stderr(File::options().create(true).append(true).open(self.directory.join("log")).unwrap())
            .spawn()
            .unwrap();
        Guard { board: self, child }
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

impl Guard<'_> {
    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap())
    }

    /// The box's main process.
    fn main(&self) -> Option<Pid> {
        let pid = self.pid();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
        children.split_whitespace().next()?.parse().ok().map(Pid::from_raw)
    }

    fn wait_for<T>(&self, what: &str, mut there: impl FnMut() -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(value) = there() {
                return value;
            }
            assert!(start.elapsed() < Duration::from_secs(60), "never: {what}: {}", self.board.log());
            sleep(Duration::from_millis(50));
        }
    }

    /// What the API says of updates, once the box answers.
    fn update(&self) -> Option<Value> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.board.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream
            .write_all(b"GET /api/v1/update HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
    }

    fn code(&mut self) -> Option<i32> {
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(60) {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            sleep(Duration::from_millis(50));
        }
        panic!("the guard did not end: {}", self.board.log());
    }

    /// Ends it in order; its box must be gone then, too.
    fn stop(mut self) {
        let main = self.wait_for("a box", || self.main());
        kill(self.pid(), Signal::SIGTERM).unwrap();
        assert_eq!(self.code(), Some(0));
        assert!(is_gone(main), "the box outlived its guard");
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        let main = self.main();
        let _ = self.child.kill();
        let _ = self.child.wait();
        // One that a test has stopped cannot end by itself.
        if let Some(main) = main {
            let _ = kill(main, Signal::SIGKILL);
        }
    }
}

fn is_gone(pid: Pid) -> bool {
    let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    state.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('Z'))
}

#[test]
fn a_new_system_that_is_as_well_as_the_old_one_is_committed_by_one_write_and_a_clean_start_writes_nothing() {
    let board = Board::new("well", "healthy_s = 3\ndeadline_s = 8\nenabled = false");
    board.before(&json!({ "source": false }));
    board.boots(SlotName::B, GOOD, TRIED_ONCE);
    let before = board.writes();
    let guard = board.guard();
    let trial = guard.wait_for("the page says that the system is on trial", || {
        guard.update().filter(|update| update["state"] == "trial")
    });
    assert_eq!(trial["running"], json!({ "slot": "b", "version": "2.0", "state": "trial" }));
    guard.wait_for("a commit", || (board.vars().b == GOOD).then_some(()));
    assert_eq!(board.vars(), Vars { first: SlotName::B, a: GOOD, b: GOOD });
    let shown = guard.wait_for("the page says how the update ended", || {
        guard.update().filter(|update| update["last"]["end"] == "committed_blind")
    });
    assert_eq!((&shown["state"], &shown["last"]["version"]), (&"idle".into(), &"2.0".into()));
    let floors = guard.wait_for("the floor", || board.store().get("floors").unwrap());
    assert_eq!(Floors::decode(&floors).unwrap().security, 7, "the committed release's security version");
    guard.stop();
    assert_eq!(board.writes(), before + 1, "a commit is one write");

    let guard = board.guard();
    guard.wait_for("a page", || guard.update());
    sleep(Duration::from_secs(5));
    guard.stop();
    assert_eq!(board.writes(), before + 1, "a clean start writes nothing");
}

#[test]
fn a_floor_that_a_cut_kept_from_rising_rises_at_the_next_start() {
    let board = Board::new("floor", "healthy_s = 1\ndeadline_s = 3600\nenabled = false");
    board.before(&json!({}));
    board.boots(SlotName::B, GOOD, GOOD);
    let before = board.writes();
    let guard = board.guard();
    guard.wait_for("the floor", || {
        let floors = Floors::decode(&board.store().get("floors").unwrap()?).unwrap();
        (floors.security == 7).then_some(())
    });
    guard.stop();
    assert_eq!(board.writes(), before, "the environment said so already");
}

#[test]
fn a_new_system_without_its_tunnel_is_given_up_once_and_the_old_one_looks_for_itself_and_says_why() {
    let board = Board::new("tunnel", "healthy_s = 2\ndeadline_s = 5\nenabled = false");
    board.before(&json!({ "tunnel_up": true, "cloud_answers": true, "can_update": true, "source": true }));
    board.boots(SlotName::B, GOOD, TRIED_ONCE);
    let before = board.writes();
    let mut guard = board.guard();
    let main = guard.wait_for("a box", || guard.main());
    assert_eq!(guard.code(), Some(RESTART), "the machine is to be restarted");
    assert!(is_gone(main), "nothing runs on over the restart");
    let failed = Record { state: State::Failed, tries: 0, rounds: 0 };
    assert_eq!((board.vars().b, board.writes()), (failed, before + 1));
    assert_eq!((&board.last()["end"], &board.last()["why"]), (&"rolled_back".into(), &"tunnel".into()));
    let copy = fs::read_to_string(board.directory.join("state/update/last.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&copy).unwrap(), board.last());

    // The machine comes up in the old one, which has no tunnel either.
    fs::write(board.directory.join("line"), "slot=a reset=normal\n").unwrap();
    let guard = board.guard();
    let shown = guard.wait_for("the page says that the fault may lie elsewhere", || {
        guard.update().filter(|update| update["last"]["end"] == "doubtful")
    });
    assert_eq!((&shown["state"], &shown["running"]["slot"]), (&"idle".into(), &"a".into()));
    assert_eq!(shown["other"], json!({ "slot": "b", "version": "2.0", "state": "failed" }));
    let sentence = shown["last"]["sentence"].as_str().unwrap();
    assert!(sentence.contains("the tunnel to the cloud did not come back"), "{sentence}");
    guard.stop();
    assert_eq!(board.vars().b, failed, "without a network nothing is tried again");
    assert_eq!(board.writes(), before + 1);
}

#[test]
fn a_system_whose_data_cannot_be_written_is_given_up_and_that_is_remembered_all_the_same() {
    let board = Board::new("data", "healthy_s = 2\ndeadline_s = 6\nenabled = false");
    fs::write(board.directory.join("state"), "a file where the folder should be").unwrap();
    board.before(&json!({}));
    board.boots(SlotName::B, GOOD, TRIED_ONCE);
    let mut guard = board.guard();
    assert_eq!(guard.code(), Some(RESTART));
    assert_eq!(board.vars().b.state, State::Failed);
    assert_eq!(board.last()["why"], "data", "what is kept of it does not need the data");
}

#[test]
fn a_system_that_dies_again_and_again_is_given_up_before_its_time_is_over() {
    let board = Board::new("dies", "healthy_s = 30\ndeadline_s = 3600\nenabled = false");
    board.before(&json!({}));
    board.boots(SlotName::B, GOOD, TRIED_ONCE);
    let mut guard = board.guard();
    let mut killed = Vec::new();
    let start = Instant::now();
    while guard.child.try_wait().unwrap().is_none() {
        assert!(start.elapsed() < Duration::from_secs(60), "{killed:?}");
        if let Some(main) = guard.main().filter(|main| killed.last() != Some(main)) {
            let _ = kill(main, Signal::SIGKILL);
            killed.push(main);
        }
        sleep(Duration::from_millis(20));
    }
    assert_eq!(guard.code(), Some(RESTART));
    assert_eq!(killed.len(), 6, "five deaths are forgiven");
    assert_eq!((board.vars().b.state, &board.last()["why"]), (State::Failed, &"dies".into()));
}

#[test]
fn the_watchdog_goes_hungry_when_the_box_hangs_and_only_then() {
    let board = Board::new("hangs", "healthy_s = 2\ndeadline_s = 3600\nenabled = false");
    board.before(&json!({}));
    board.boots(SlotName::A, GOOD, GOOD);
    let guard = board.guard();
    guard.wait_for("a page", || guard.update());
    let main = guard.wait_for("a box", || guard.main());
    let grows = |seconds| {
        let fed = board.fed();
        sleep(Duration::from_secs(seconds));
        board.fed() - fed
    };
    assert!(grows(3) >= 3, "it is fed while the box lives");
    kill(main, Signal::SIGSTOP).unwrap();
    sleep(Duration::from_secs(4));
    assert_eq!(grows(3), 0, "the box hangs");
    assert_eq!(guard.main(), Some(main), "where a watchdog restarts the machine, the guard does not meddle");
    kill(main, Signal::SIGCONT).unwrap();
    sleep(Duration::from_secs(2));
    assert!(grows(2) >= 1, "it lives again");
    // A box that dies is started again, and that is a sign of life, too.
    kill(main, Signal::SIGKILL).unwrap();
    assert!(grows(4) >= 3);
    guard.wait_for("another box", || guard.main().filter(|again| *again != main));
    guard.stop();
    let fed = board.fed();
    sleep(Duration::from_secs(2));
    assert_eq!(board.fed(), fed, "whoever stops the guard gets a restart");
}

#[test]
fn a_guard_that_does_not_see_its_board_feeds_nothing_until_restarts_have_not_helped() {
    let board = Board::new("blind", "enabled = false");
    board.boots(SlotName::B, GOOD, TRIED_ONCE);
    fs::write(board.directory.join("board.toml"), "name = ").unwrap();
    for _ in 0..2 {
        let mut guard = board.guard();
        assert_eq!(guard.code(), Some(1), "so that the watchdog bites and the start counts as a crash");
        assert!(!board.directory.join("dog").exists(), "nobody opened the watchdog, which feeds it");
    }
    let starts = board.directory.join("state/update/blind");
    assert!(fs::read_to_string(&starts).unwrap().ends_with(" 1\n"), "the machine was started once");
    // As after six starts of the machine, in both slots perhaps.
    fs::write(&starts, "another-start 6\n").unwrap();
    let guard = board.guard();
    guard.wait_for("a page", || guard.update());
    assert!(board.fed() > 0);
    guard.stop();
    // Seen again, it begins anew.
    fs::write(board.directory.join("board.toml"), MAP).unwrap();
    let guard = board.guard();
    guard.wait_for("a page", || guard.update());
    assert!(!starts.exists());
    guard.stop();
    // What the boot script has not started is nobody's crash.
    fs::write(board.directory.join("line"), "console=x\n").unwrap();
    let guard = board.guard();
    guard.wait_for("a page", || guard.update());
    guard.stop();
}

#[test]
fn without_a_partition_map_the_guard_only_keeps_the_box_alive() {
    let board = Board::new("single", "");
    let mut guard = board.guard();
    let update = guard.wait_for("a page", || guard.update());
    assert_eq!((&update["state"], &update["other"]), (&"single".into(), &Value::Null));
    let main = guard.wait_for("a box", || guard.main());
    kill(main, Signal::SIGTERM).unwrap();
    let again = guard.wait_for("another box", || guard.main().filter(|again| *again != main));
    // Nobody is left behind who would hold the page's port when init starts the next guard.
    guard.child.kill().unwrap();
    guard.child.wait().unwrap();
    guard.wait_for("the end of the box", || is_gone(again).then_some(()));
}

#[test]
fn a_trial_that_never_said_a_word_gets_as_many_rounds_as_the_table_allows() {
    let board = Board::new("rounds", "healthy_s = 1\ndeadline_s = 3\nretry_s = 4\nenabled = false");
    board.before(&json!({}));
    for round in [1, 2] {
        let spent = Record { state: State::Trial, tries: 0, rounds: round - 1 };
        board.boots(SlotName::A, GOOD, spent);
        let before = board.writes();
        let mut guard = board.guard();
        guard.wait_for("a word about it", || (board.last()["end"] == "no_verdict").then_some(()));
        assert_eq!(board.vars().b, spent, "not before its time");
        assert_eq!(guard.code(), Some(RESTART));
        let again = Record { state: State::Trial, tries: 2, rounds: round };
        assert_eq!((board.vars().first, board.vars().b), (SlotName::B, again));
        assert_eq!(board.writes(), before + 1);
    }
    board.boots(SlotName::A, GOOD, Record { state: State::Trial, tries: 0, rounds: 2 });
    let guard = board.guard();
    guard.wait_for("the end", || (board.vars().b.state == State::Failed).then_some(()));
    let shown = guard
        .wait_for("the page says so", || guard.update().filter(|update| update["last"]["end"] == "given_up"));
    assert_eq!(shown["last"]["why"], "no_verdict");
    guard.stop();
}
