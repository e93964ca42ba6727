//! A whole update with the guard, the box and its updater as real processes, a web server, and a disk in a file: from one slot to
//! the other, and back when the new system cannot update itself. The machine's restart is a new start of the guard.

use std::fs;
use std::time::{Duration, Instant};

use crate::world::{Ended, Machine, Publisher, Server, System, first, next, until};
use board::boot::{Start, Table, boot};
use board::file_disk::FileDisk;
use board::partition::Window;
use board::slot::{Reset, SlotName, State};
use board::store::Store;
use board::{env, slots::Slots};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// The guard's exit code that asks for a restart of the machine.
const RESTART: i32 = 76;

fn updating(name: &str, deadline_s: u32) -> (Machine, System, Server) {
    let old = first();
    let new = next(&old, "1.1", 2);
    let mut publisher = Publisher::new();
    let mut machine = Machine::new(name, &old, &publisher);
    publisher.publish(&machine.releases(), &old);
    publisher.publish(&machine.releases(), &new);
    let server = Server::new(&machine.releases());
    machine.config.push_str("[guard]\nsilent_s = 6\n");
    machine.configure(&format!(
        "url = [\"{}\"]\ncloud = false\ninterval_minutes = 1\nhealthy_s = 4\ndeadline_s = {deadline_s}\n",
        server.url
    ));
    (machine, new, server)
}

pub(crate) fn guard(machine: &Machine) -> Ended {
    let log = fs::File::options().create(true).append(true).open(machine.home.join("log")).unwrap();
    let pages = fs::File::create(machine.home.join("pages")).unwrap();
    Ended(machine.command(&["guard"]).stdout(pages).stderr(log).spawn().unwrap())
}

/// Waits until the guard asks for a restart of the machine.
pub(crate) fn restarts(machine: &Machine, guard: &mut Ended) {
    let start = Instant::now();
    loop {
        if let Some(status) = guard.0.try_wait().unwrap() {
            return assert_eq!(status.code(), Some(RESTART), "{}", log(machine));
        }
        assert!(start.elapsed() < Duration::from_secs(90), "no restart: {}", log(machine));
        std::thread::sleep(Duration::from_millis(100));
    }
}

pub(crate) fn log(machine: &Machine) -> String {
    fs::read_to_string(machine.home.join("log")).unwrap_or_default()
}

/// What the boot script does at a restart; gives the slot that runs then.
pub(crate) fn boots(machine: &Machine) -> SlotName {
    let mut disk = FileDisk::open(&machine.home.join("disk")).unwrap();
    let map = machine.map();
    let vars = env::load(&disk, &map).unwrap().vars;
    let whole =
        Slots::new(FileDisk::open(&machine.home.join("disk")).unwrap(), map.clone(), SlotName::A).unwrap();
    let signed = |slot| whole.header(slot).unwrap().is_some();
    let save = |vars: &_| {
        env::save(&mut disk, &map, vars).unwrap();
    };
    let Start::Slot(slot) = boot(&Table::ours().unwrap(), vars, Reset::Normal, signed, save) else {
        panic!("nothing good to start")
    };
    fs::write(machine.home.join("cmdline"), format!("slot={slot} reset=normal\n")).unwrap();
    slot
}

fn writes(machine: &Machine) -> u32 {
    let disk = FileDisk::open(&machine.home.join("disk")).unwrap();
    env::load(&disk, &machine.map()).unwrap().seq
}

fn kept(machine: &Machine, name: &str) -> Value {
    let disk = FileDisk::open(&machine.home.join("disk")).unwrap();
    let store = Store::new(Window::new(disk, machine.map().id()));
    serde_json::from_slice(&store.get(name).unwrap().unwrap_or_default()).unwrap_or(Value::Null)
}

#[test]
fn a_box_updates_itself_proves_that_it_can_do_it_again_and_stays_new_with_four_writes() {
    let (machine, new, _server) = updating("guarded", 120);
    let before = writes(&machine);
    restarts(&machine, &mut guard(&machine));
    assert!(machine.holds(SlotName::B, &new));
    assert_eq!(boots(&machine), SlotName::B);
    let mut running = guard(&machine);
    until("the new system is good", 90, || machine.slots().vars().unwrap().vars.b.state == State::Good);
    until("that is said", 10, || kept(&machine, "last")["end"] == "committed");
    assert_eq!(writes(&machine) - before, 4, "begin, activate, the counted start, commit");
    kill(Pid::from_raw(running.0.id() as i32), Signal::SIGTERM).unwrap();
    assert_eq!(running.0.wait().unwrap().code(), Some(0), "{}", log(&machine));
    assert_eq!(boots(&machine), SlotName::B);
    assert_eq!(writes(&machine) - before, 4, "a clean start writes nothing");
}

#[test]
fn a_new_system_that_cannot_update_itself_is_not_committed() {
    let (machine, _, server) = updating("stuck", 25);
    restarts(&machine, &mut guard(&machine));
    assert_eq!(kept(&machine, "before")["source"], true);
    assert_eq!(boots(&machine), SlotName::B);
    // From here on nothing answers the new system.
    drop(server);
    fs::remove_dir_all(machine.releases()).unwrap();
    restarts(&machine, &mut guard(&machine));
    assert_eq!(machine.slots().vars().unwrap().vars.b.state, State::Failed);
    let last = kept(&machine, "last");
    assert_eq!(
        (&last["end"], &last["why"], &last["version"]),
        (&"rolled_back".into(), &"update".into(), &"1.1".into())
    );
    assert_eq!(boots(&machine), SlotName::A);
}
