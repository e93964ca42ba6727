//! The real `boxd update` and `boxd updater` over a disk that is a file, with releases from a folder and from web servers with
//! faults, and killed at any moment.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::cloud::{Answers, Cloud};
use crate::world::{self, Machine, Publisher, Server, System, answer, first, next, text};
use board::slot::{SlotName, State};
use model::update::Phase;

/// A box that runs version 1 of two, and a folder with both.
fn box_with_an_update(name: &str, changed: usize) -> (Machine, Publisher, System) {
    let old = first();
    let new = next(&old, "1.1", changed);
    let mut publisher = Publisher::new();
    let machine = Machine::new(name, &old, &publisher);
    publisher.publish(&machine.releases(), &old);
    publisher.publish(&machine.releases(), &new);
    (machine, publisher, new)
}

#[test]
fn an_update_from_a_web_server_costs_what_changed_and_is_what_the_next_start_runs() {
    let (machine, _, new) = box_with_an_update("web", 3);
    let server = Server::new(&machine.releases());
    let before = machine.slots().vars().unwrap().vars;

    let output = machine.run(&["update", "--from", &server.url]);
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("Version 1.1 is installed; the next start runs it."), "{}", text(&output));
    assert!(text(&output).contains("100 %"), "{}", text(&output));

    assert!(machine.holds(SlotName::B, &new));
    let vars = machine.slots().vars().unwrap().vars;
    assert_eq!((vars.first, vars.b.state, vars.b.tries), (SlotName::B, State::Trial, 2));
    assert_eq!(vars.a, before.a);
    // 4 of 80 chunks changed.
    assert_eq!(server.chunks_asked(), 4);
    let view = machine.view();
    assert_eq!(view["phase"], "complete");
    let (fetched, download) =
        (view["bytes"]["fetched"].as_u64().unwrap(), view["bytes"]["download"].as_u64().unwrap());
    assert_eq!(fetched, server.chunk_bytes.load(Ordering::SeqCst));
    assert!(fetched * 100 <= download * 6, "{fetched} of {download}");

    let shown = text(&machine.run(&["update"]));
    assert!(shown.contains("running  slot a: 1.0 (good, 3 tries)"), "{shown}");
    assert!(shown.contains("other    slot b: 1.1 (trial, 2 tries, starts first)"), "{shown}");
    assert!(shown.contains("1.1 is installed; the next start runs it"), "{shown}");
    // What the guard has found of it later.
    let ended = r#"{"end":"rolled_back","why":"tunnel","version":"1.1","system":"ab","at_s":1795000000}"#;
    machine.store().set("last", ended.as_bytes()).unwrap();
    let shown = text(&machine.run(&["update"]));
    let sentence = "Version 1.1 was given up, the one before it runs. The reason: the tunnel to the cloud did not come back.";
    assert!(shown.contains(sentence), "{shown}");
    assert_eq!(machine.view()["verdict"]["sentence"], sentence);
    // Again: nothing is fetched for what is there.
    let output = machine.run(&["update", "--from", &server.url]);
    assert!(output.status.success() && server.chunks_asked() == 4, "{}", text(&output));
}

#[test]
fn an_update_from_a_folder_needs_no_network() {
    let (machine, _, new) = box_with_an_update("folder", 2);
    let folder = machine.releases();
    let output = machine.run(&["update", "--from", folder.to_str().unwrap()]);
    assert!(output.status.success(), "{}", text(&output));
    assert!(machine.holds(SlotName::B, &new));
}

#[test]
fn a_state_directory_that_has_become_read_only_holds_back_no_update_and_is_told_of() {
    let (machine, _, new) = box_with_an_update("read-only", 2);
    let server = Server::new(&machine.releases());
    machine.configure(&format!("cloud = false\nurl = [\"{}\"]\ninterval_minutes = 1\n", server.url));
    assert!(machine.run(&["update", "--check"]).status.success());
    let (command, state) = (machine.command(&["updater"]), machine.home.join("state"));
    let log = machine.home.join("log");
    let mut within = Command::new("unshare");
    within.args(["-rm", "sh", "-ec"]);
    within.arg("mount --bind \"$0\" \"$0\"; mount -o remount,bind,ro \"$0\"; ! touch \"$0/x\"; exec \"$@\"");
    within.arg(&state).arg(command.get_program()).args(command.get_args());
    within.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(std::fs::File::create(&log).unwrap());
    let _child = world::Ended(within.spawn().unwrap());
    world::until("the new version is in place", 60, || {
        machine.slots().vars().unwrap().vars.b.state == State::Trial
    });
    assert!(machine.holds(SlotName::B, &new) && !state.join("x").exists());
    let said = std::fs::read_to_string(log).unwrap();
    assert!(
        said.contains("cannot keep how updates stand") && said.contains("Read-only file system"),
        "{said}"
    );
}

#[test]
fn a_look_says_what_an_update_would_cost_and_writes_nothing() {
    let (machine, _, _) = box_with_an_update("check", 3);
    let server = Server::new(&machine.releases());
    machine.configure(&format!("url = [\"{}\"]\n", server.url));
    let before = machine.other_slot();
    let output = machine.run(&["update", "--check"]);
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("Version 1.1 would cost "), "{}", text(&output));
    assert!(machine.other_slot() == before && server.chunks_asked() == 0);
}

#[test]
fn killed_at_any_moment_it_resumes_and_fetches_nothing_twice() {
    let (machine, _, new) = box_with_an_update("killed", 40);
    let slow = Arc::new(|path: &str, file: Vec<u8>, stream: &mut std::net::TcpStream| {
        if path.starts_with("chunks/") {
            thread::sleep(Duration::from_millis(10));
        }
        answer(stream, &file)
    });
    let server = Server::behaving(&machine.releases(), slow);
    let seed: u64 = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64
    });
    println!("SEED={seed}");
    let mut random = seed;
    let mut kills = 0;
    loop {
        let mut child = machine.command(&["update", "--from", &server.url]).spawn().unwrap();
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        thread::sleep(Duration::from_millis((random >> 33) % 250));
        if child.try_wait().unwrap().is_some() || kills >= 60 {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{}", text(&output));
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
        let vars = machine.slots().vars().unwrap().vars;
        assert_eq!(vars.a.state, State::Good, "the running slot stays what it is");
        // What the boot script would start is whole: the old one, or the new one.
        if machine.slots().header(SlotName::B).unwrap().is_some() {
            assert!(machine.holds(SlotName::B, &new));
        }
    }
    assert!(machine.holds(SlotName::B, &new));
    // 41 chunks have changed; each kill costs at most the one that was on its way.
    let asked = server.chunks_asked();
    assert!(asked <= 41 + kills, "{asked} requests after {kills} kills");
    println!(
        "{kills} kills, {asked} requests for 41 chunks, {} bytes",
        server.chunk_bytes.load(Ordering::SeqCst)
    );
}

#[test]
fn whatever_one_mirror_does_the_other_one_serves() {
    let (machine, _, new) = box_with_an_update("mirrors", 12);
    let turn = AtomicUsize::new(0);
    // Each request for a chunk meets another fault; metadata is served.
    let bad = move |path: &str, file: Vec<u8>, stream: &mut std::net::TcpStream| {
        use std::io::Write as _;
        if !path.starts_with("chunks/") {
            return answer(stream, &file);
        }
        let broken = Err(std::io::ErrorKind::ConnectionReset.into());
        match turn.fetch_add(1, Ordering::SeqCst) % 7 {
            0 => answer(stream, b"<!doctype html><title>Log in to the hotel's network</title>"),
            1 => {
                stream.write_all(b"HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n")?;
                broken
            }
            2 => stream.write_all(b"HTTP/1.1 429 Slow down\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n"),
            3 => broken,
            // Endless.
            4 => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
                loop {
                    stream.write_all(b"1000\r\n")?;
                    stream.write_all(&[7; 4096])?;
                    stream.write_all(b"\r\n")?;
                }
            }
            // Cut off.
            5 => {
                let half = &file[..file.len() / 2];
                stream.write_all(
                    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", file.len()).as_bytes(),
                )?;
                stream.write_all(half)?;
                broken
            }
            _ => answer(stream, &vec![0; file.len()]),
        }
    };
    let bad = Server::behaving(&machine.releases(), Arc::new(bad));
    let good = Server::new(&machine.releases());
    machine.configure(&format!(
        "cloud = false\nurl = [\"{}\", \"{}\"]\ninterval_minutes = 1\n",
        bad.url, good.url
    ));
    let mut child = updater(&machine);
    world::until("the update is installed", 60, || machine.view()["phase"] == "complete");
    assert!(machine.holds(SlotName::B, &new));
    assert!(bad.chunks_asked() > 0 && good.chunks_asked() > 0);
    // Its parent goes: so does it.
    drop(child.0.stdin.take());
    world::until("the updater ends with its parent", 5, || child.0.try_wait().unwrap().is_some());
}

#[test]
fn a_mirror_without_one_good_chunk_leaves_the_slot_as_it_was() {
    let (machine, _, _) = box_with_an_update("portal", 3);
    let portal = |path: &str, file: Vec<u8>, stream: &mut std::net::TcpStream| {
        if path.starts_with("chunks/") {
            answer(stream, b"<html>Welcome</html>")
        } else {
            answer(stream, &file)
        }
    };
    let server = Server::behaving(&machine.releases(), Arc::new(portal));
    let (before, vars) = (machine.other_slot(), machine.slots().vars().unwrap().vars);
    let mut child = world::Ended(machine.command(&["update", "--from", &server.url]).spawn().unwrap());
    world::until("it has tried a few times", 30, || server.chunks_asked() >= 4);
    child.0.kill().unwrap();
    assert!(machine.other_slot() == before && machine.slots().vars().unwrap().vars == vars);
}

#[test]
fn what_is_not_signed_well_enough_is_refused_in_words_and_the_slot_stays() {
    let (machine, mut publisher, new) = box_with_an_update("signed", 3);
    let server = Server::new(&machine.releases());
    let before = machine.other_slot();
    let refused = |why: &str| {
        let output = machine.run(&["update", "--from", &server.url]);
        assert!(!output.status.success(), "{}", text(&output));
        assert!(text(&output).contains(why), "{}", text(&output));
        assert!(machine.other_slot() == before && server.chunks_asked() == 0);
    };
    publisher.signers = &[0];
    publisher.publish(&machine.releases(), &next(&new, "1.2", 3));
    refused("signature");
    publisher.signers = &[0, 1];
    publisher.expires = "2001-01-01T00:00:00Z";
    publisher.announce(&machine.releases());
    refused("expired");
    // Another publisher's releases.
    let mut other = Publisher::new();
    other.publish(&machine.releases(), &next(&new, "6.6", 3));
    refused("signature");
}

#[test]
fn mistakes_are_answered_with_what_to_do() {
    let (machine, _, _) = box_with_an_update("mistakes", 1);
    let says = |arguments: &[&str], words: &str| {
        let output = machine.run(arguments);
        assert!(
            !output.status.success() && text(&output).contains(words),
            "{arguments:?}: {}",
            text(&output)
        );
    };
    says(&["update", "--from", "/nonexistent"], "/nonexistent is no folder with releases");
    says(&["update", "--from", "ftp://example.org/"], "neither a folder nor an address");
    says(&["update", "--check"], "give [update] url");
    std::fs::write(machine.home.join("cmdline"), "quiet\n").unwrap();
    says(&["update"], "does not say from which slot the box was started");
    std::fs::remove_file(machine.home.join("root.json")).unwrap();
    std::fs::write(machine.home.join("cmdline"), "slot=a\n").unwrap();
    says(&["update", "--from", machine.releases().to_str().unwrap()], "root.json ([update] root)");
}

/// The updater's process alone.
pub(crate) fn updater(machine: &Machine) -> world::Ended {
    let mut updater = machine.command(&["updater"]);
    // What it logs is for whoever reads a failure.
    updater.stdin(Stdio::piped()).stderr(Stdio::inherit());
    world::Ended(updater.spawn().unwrap())
}

#[test]
fn the_cloud_chooses_among_what_is_signed_whatever_the_clock_says_of_the_metadata() {
    let (machine, mut publisher, new) = box_with_an_update("assigned", 3);
    publisher.publish(&machine.releases(), &next(&new, "1.2", 5));
    let server = Server::new(&machine.releases());
    let cloud = Cloud::new(&publisher, Answers::target("test/1.1.json"));
    machine.configure(&format!(
        "url = [\"{}\"]\ninterval_minutes = 1\n[tunnel]\ncloud = \"{}\"\n",
        server.url, cloud.url
    ));
    let _child = updater(&machine);
    world::until("the assigned version is installed", 60, || machine.view()["phase"] == "complete");
    assert!(machine.holds(SlotName::B, &new), "1.1 as assigned, though 1.2 is newer");
    assert_eq!(cloud.asked(), 1);
    world::until("the cloud knows it", 10, || cloud.phases() == [Phase::Fetching, Phase::Ready]);
    let ready = cloud.reports().pop().unwrap();
    let said = (ready.campaign.as_str(), ready.version.as_str(), ready.running.as_str());
    assert_eq!(said, ("spring", "1.1", "1.0"));
}

#[test]
fn an_old_answer_of_the_cloud_is_none() {
    let (machine, publisher, _) = box_with_an_update("stale", 3);
    let server = Server::new(&machine.releases());
    let cloud = Cloud::new(&publisher, Answers { stale: true, ..Answers::target("test/1.1.json") });
    machine.configure(&format!("url = [\"{}\"]\n[tunnel]\ncloud = \"{}\"\n", server.url, cloud.url));
    let check = || machine.run(&["update", "--check"]);
    let output = check();
    assert!(output.status.success() && text(&output).contains("1.1 would cost"), "{}", text(&output));
    let before = machine.other_slot();
    let output = check();
    assert!(!output.status.success() && text(&output).contains("stale"), "{}", text(&output));
    assert_eq!(cloud.asked(), 2);
    assert!(machine.other_slot() == before && server.chunks_asked() == 0);
}

#[test]
fn a_release_below_the_security_floor_is_never_taken_and_one_that_failed_is_not_tried_again() {
    let (machine, mut publisher, new) = box_with_an_update("floor", 3);
    let server = Server::new(&machine.releases());
    machine.configure(&format!("cloud = false\nurl = [\"{}\"]\n", server.url));
    let says = |words: &str, good: bool| {
        let output = machine.run(&["update", "--check"]);
        assert!(output.status.success() == good && text(&output).contains(words), "{}", text(&output));
    };
    // 1.1 is tried and fails.
    assert!(machine.run(&["update", "--from", &server.url]).status.success());
    let slots = machine.slots();
    let mut other = board::slots::Slots::new(slots.into_disk(), machine.map(), SlotName::B).unwrap();
    other.fail().unwrap();
    says("1.1 was tried on this box and failed", false);
    // A newer one with a known hole.
    let mut holey = next(&new, "1.2", 5);
    holey.security = 0;
    publisher.publish(&machine.releases(), &holey);
    machine.raise_floor(1);
    says("1.1 was tried on this box and failed", false);
    let output = machine.run(&["update", "--check", "--json"]);
    assert!(!text(&output).contains("1.2"), "{}", text(&output));
    // And one without.
    publisher.publish(&machine.releases(), &next(&new, "1.3", 5));
    says("1.3 would cost", true);
}
