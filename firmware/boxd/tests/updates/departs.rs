//! When a box restarts into what its cloud has assigned, and what the cloud hears of it: guard, box and updater as real
//! processes, a pretend cloud, a disk in a file. The machine's restart is a new start of the guard.

use std::fs;
use std::thread;
use std::time::Duration;

use board::slot::{SlotName, State};
use model::update::Phase;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::cloud::{Answers, Cloud};
use crate::guarded::{boots, guard, log, restarts};
use crate::updater::updater;
use crate::world::{Ended, Machine, Publisher, Server, System, first, next, until};

/// The night of the site, and the hour in which the cloud signs.
const NIGHT: [&str; 2] = ["2026-11-21T21:00:00Z", "2026-11-22T00:00:00Z"];
const NOON: [&str; 2] = ["2026-11-21T11:30:00Z", "2026-11-21T14:00:00Z"];
/// A password of a camera, which no report may hold: words that the box's own log has in it.
const CANARY: &str = "cameras=1";

fn assigned(name: &str, answers: Answers) -> (Machine, System, Server, Cloud) {
    let old = first();
    let new = next(&old, "1.1", 2);
    let mut publisher = Publisher::new();
    let mut machine = Machine::new(name, &old, &publisher);
    publisher.publish(&machine.releases(), &old);
    publisher.publish(&machine.releases(), &new);
    let server = Server::new(&machine.releases());
    let cloud = Cloud::new(&publisher, answers);
    machine.config = format!(
        "[guard]\nsilent_s = 6\n[log]\nlevel = \"debug\"\n\
         [[camera]]\nid = \"gate\"\nurl = \"rtsp://127.0.0.1:9/\"\nuser = \"admin\"\npassword = \"{CANARY}\"\n"
    );
    machine.configure(&format!(
        "url = [\"{}\"]\ninterval_minutes = 1\nhealthy_s = 4\ndeadline_s = 30\n[tunnel]\ncloud = \"{}\"\n",
        server.url, cloud.url
    ));
    (machine, new, server, cloud)
}

/// What a panic of the kernel does: everything ends at once, without a last word.
fn dies(mut guard: Ended) {
    let pid = guard.0.id();
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let of = |pid: u32| Pid::from_raw(pid as i32);
    let main = of(children.split_whitespace().next().unwrap().parse().unwrap());
    // The guard's end would be told to it.
    kill(main, Signal::SIGSTOP).unwrap();
    guard.0.kill().unwrap();
    guard.0.wait().unwrap();
    kill(main, Signal::SIGKILL).unwrap();
}

pub(crate) fn stop(mut guard: Ended) {
    kill(Pid::from_raw(guard.0.id() as i32), Signal::SIGTERM).unwrap();
    guard.0.wait().unwrap();
}

#[test]
fn a_box_waits_for_its_window_asks_afresh_and_the_cloud_hears_every_step() {
    let night = Answers { windows: vec![NIGHT], may_restart_from: 1, ..Answers::target("test/1.1.json") };
    let (machine, new, _server, cloud) = assigned("window", night);
    let running = guard(&machine);
    until("the new version is in place", 60, || cloud.phases() == [Phase::Fetching, Phase::Ready]);
    assert!(machine.holds(SlotName::B, &new));
    // It is noon: nothing happens, however long nobody watches.
    thread::sleep(Duration::from_secs(8));
    assert_eq!((cloud.asked(), cloud.phases().len()), (1, 2), "{}", log(&machine));
    assert_eq!(machine.view()["phase"], "complete");
    stop(running);
    // After a cut the window is another one; the first answer of this start is for the installation only.
    *cloud.answers() =
        Answers { windows: vec![NOON], may_restart_from: 3, ..Answers::target("test/1.1.json") };
    restarts(&machine, &mut guard(&machine));
    assert_eq!(cloud.asked(), 3, "asked afresh before it went");
    assert_eq!(cloud.phases(), [Phase::Fetching, Phase::Ready, Phase::Restarting]);

    assert_eq!(boots(&machine), SlotName::B);
    let running = guard(&machine);
    until("the verdict is told", 90, || cloud.phases().last() == Some(&Phase::Committed));
    let verdict = cloud.reports().pop().unwrap();
    let said = (verdict.campaign.as_str(), verdict.version.as_str(), verdict.running.as_str());
    assert_eq!(said, ("spring", "1.1", "1.1"));
    assert!(verdict.why.contains("1.1 runs"), "{}", verdict.why);
    assert!(verdict.journal.contains("started ***"), "{}", verdict.journal);
    assert!(!cloud.reports().iter().any(|report| report.journal.contains(CANARY)));
    assert_eq!(machine.slots().vars().unwrap().vars.b.state, State::Good);
    stop(running);
}

#[test]
fn what_is_withdrawn_before_its_restart_is_not_started_by_another_one() {
    let night = Answers { windows: vec![NIGHT], may_restart_from: 1, ..Answers::target("test/1.1.json") };
    let (machine, new, server, cloud) = assigned("withdrawn", night);
    let waits = || {
        let vars = machine.slots().vars().unwrap().vars;
        (vars.first, vars.b.state, machine.view()["phase"] == "complete")
    };
    let running = updater(&machine);
    until("the new version is in place", 60, || cloud.phases() == [Phase::Fetching, Phase::Ready]);
    assert_eq!(waits(), (SlotName::B, State::Trial, true));
    drop(running);
    let fetched = server.chunks_asked();
    // Found to do harm, it is not wanted any more: not even after the cut that comes next.
    cloud.answers().target = None;
    let running = updater(&machine);
    until("it is taken back", 60, || waits() == (SlotName::A, State::Empty, false));
    drop(running);
    assert_eq!(boots(&machine), SlotName::A);
    // The cloud has changed its mind: nothing is fetched again.
    cloud.answers().target = Some("test/1.1.json");
    let _running = updater(&machine);
    until("it is in place again", 60, || waits() == (SlotName::B, State::Trial, true));
    assert!(machine.holds(SlotName::B, &new));
    assert_eq!(server.chunks_asked(), fetched);
}

#[test]
fn a_system_that_gave_itself_up_leaves_its_journal_to_the_one_that_tells() {
    let (machine, _, _server, cloud) = assigned("told", Answers::target("test/1.1.json"));
    restarts(&machine, &mut guard(&machine));
    assert_eq!(boots(&machine), SlotName::B);
    // The new system is assigned nothing: it cannot update itself. Nor does anybody hear it.
    cloud.answers().silent = true;
    cloud.answers().reports = 503;
    restarts(&machine, &mut guard(&machine));
    assert_eq!(machine.slots().vars().unwrap().vars.b.state, State::Failed);
    assert_eq!(boots(&machine), SlotName::A);
    let told = cloud.reports().len();
    cloud.answers().reports = 204;
    let running = guard(&machine);
    until("the old system tells", 30, || cloud.reports().len() > told);
    let verdict = cloud.reports().pop().unwrap();
    assert_eq!((verdict.phase, verdict.campaign.as_str()), (Phase::Failed, "spring"));
    assert_eq!((verdict.version.as_str(), verdict.running.as_str()), ("1.1", "1.0"));
    assert!(verdict.why.starts_with("Version 1.1 was given up"), "{}", verdict.why);
    assert!(verdict.journal.contains("started ***"), "{}", verdict.journal);
    assert!(verdict.journal.contains("stopping"), "its last words: {}", verdict.journal);
    assert!(!verdict.journal.contains(CANARY));
    stop(running);
}

#[test]
fn a_system_that_died_twice_is_told_of_with_what_it_said_before() {
    let (machine, _, _server, cloud) = assigned("died", Answers::target("test/1.1.json"));
    restarts(&machine, &mut guard(&machine));
    let journal = machine.home.join("state/update/journal.json");
    for _ in 0..2 {
        assert_eq!(boots(&machine), SlotName::B);
        let _ = fs::remove_file(&journal);
        let running = guard(&machine);
        until("the new system's journal is kept", 20, || journal.exists());
        dies(running);
    }
    assert_eq!(boots(&machine), SlotName::A, "it was tried twice");
    let running = guard(&machine);
    until("the old system tells", 40, || cloud.phases().last() == Some(&Phase::Failed));
    let verdict = cloud.reports().pop().unwrap();
    assert_eq!((verdict.campaign.as_str(), verdict.running.as_str()), ("spring", "1.0"));
    assert!(verdict.why.contains("did not show that it is well"), "{}", verdict.why);
    assert!(
        verdict.journal.contains("started ***") && !verdict.journal.contains("stopping"),
        "{}",
        verdict.journal
    );
    assert!(!verdict.journal.contains(CANARY));
    stop(running);
}
