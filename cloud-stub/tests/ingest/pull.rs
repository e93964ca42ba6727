//! RTSP cameras that the cloud asks for pictures.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::stage::{Cloud, Folder, Simcam, listed, until};

fn camera(id: &str, url: &str, more: &str) -> String {
    format!("[[camera]]\nid = \"{id}\"\nurl = \"{url}\"\n{more}\n")
}

const ALLOWED: &str = "[pull]\nallow_private = true\n";

#[test]
fn a_public_camera_plays_from_the_same_kind_of_link_and_goes_on_after_a_restart() {
    let (folder, simcam) = (Folder::new(), Simcam::start(&[]));
    let lines = format!("{ALLOWED}{}", camera("gate", &simcam.url(), ""));
    let cloud = Cloud::start(&folder, &lines);
    let (_, segment) = cloud.plays("gate");
    let got = cloud.get(&format!("/gate/{segment}"));
    assert_eq!(got.status, 200);
    assert_eq!(got.header("content-type").as_deref(), Some("video/mp4"));
    assert_eq!(got.header("cache-control").as_deref(), Some("public, max-age=60, immutable"));
    assert_eq!(got.header("access-control-allow-origin").as_deref(), Some("*"));
    let etag = got.header("etag").unwrap();
    let again = cloud.ask("GET", &format!("/gate/{segment}"), &[("if-none-match", &etag)], None);
    assert_eq!((again.status, again.body.len()), (304, 0));
    let ts = until("MPEG-TS", Duration::from_secs(20), || {
        let list = cloud.get("/gate/ts/index.m3u8").text();
        listed(&list, "ts").next().map(str::to_owned)
    });
    assert_eq!(cloud.get(&format!("/gate/ts/{ts}")).body.first(), Some(&0x47));
    let master = cloud.get("/gate/index.m3u8");
    assert!(master.status == 200 && master.text().contains("avc1."), "{master:?}");
    assert!(cloud.get("/gate/").text().contains("<html"));
    assert_eq!(cloud.get("/gate").status, 308);
    assert!(cloud.get("/gate/qr.svg").text().contains("<svg"));
    assert_eq!(cloud.get("/gate/status").json()["state"]["state"], "streaming");

    // No such camera, no such object: the same answer, word for word.
    let nothing = cloud.get("/nobody/index.m3u8").looks();
    for path in ["/nobody/", "/nobody", "/gate/1.m4s", "/gate/x", "/gate/../etc", "/gate/init99.mp4"] {
        assert_eq!(cloud.get(path).looks(), nothing, "{path}");
    }

    // Numbers go on, so that nothing in any cache is taken for something else.
    let number = |playlist: &str| -> u64 {
        let line = playlist.lines().find_map(|line| line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:"));
        line.unwrap().parse().unwrap()
    };
    let (before, _) = cloud.plays("gate");
    let cloud = cloud.again();
    let (after, _) = cloud.plays("gate");
    let listed = listed(&before, "m4s").count() as u64;
    assert!(number(&after) >= number(&before) + listed, "{before}\n{after}");
    assert!(!cloud.said().contains("ERROR"), "{}", cloud.said());
}

#[test]
fn what_is_not_public_is_not_contacted() {
    let (folder, simcam) = (Folder::new(), Simcam::start(&[]));
    // A name may mean anything, so it is judged when it is used.
    let url = format!("rtsp://localhost:{}/main", simcam.rtsp.port());
    let cloud = Cloud::start(&folder, &camera("gate", &url, ""));
    until("the refusal", Duration::from_secs(20), || {
        cloud.said().contains("is not a public address").then_some(())
    });
    assert_eq!(simcam.fact("requests"), 0);
    let answer = cloud.get("/gate/live.m3u8");
    assert_eq!(answer.status, 503);
    assert!(!answer.text().contains("127.0.0.1"), "{answer:?}");
    // An address is judged at once.
    let bad = folder.0.join("bad.toml");
    std::fs::write(&bad, camera("gate", &simcam.url(), "")).unwrap();
    let output =
        std::process::Command::new(env!("CARGO_BIN_EXE_cloud")).arg("--config").arg(&bad).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2));
    assert!(said.contains("bad.toml:3:") && said.contains("[pull] allow_private"), "{said}");
}

#[test]
fn a_wrong_password_is_shown_once_however_many_cameras_share_it() {
    let folder = Folder::new();
    let simcam = Simcam::start(&["--user", "viewer", "--password", "right"]);
    let login = "user = \"viewer\"\npassword = \"canary-wrong\"";
    let mut lines = ALLOWED.to_owned();
    for id in ["a", "b", "c"] {
        lines.push_str(&camera(id, &simcam.url(), login));
    }
    lines.push_str(&camera("d", &simcam.url(), "user = \"viewer\"\npassword = \"right\""));
    let cloud = Cloud::start(&folder, &lines);
    cloud.plays("d");
    until("all refusals", Duration::from_secs(20), || {
        (cloud.said().matches("wrong_password").count() >= 3).then_some(())
    });
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(simcam.fact("wrong"), 1);
    assert!(!cloud.said().contains("canary"), "{}", cloud.said());
}

/// Answers everything with a redirect to elsewhere, and counts.
fn redirecting(to: String) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, asked) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let counter = asked.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let mut number = String::new();
            while let Some(Ok(line)) = lines.next() {
                if let Some(value) = line.strip_prefix("CSeq: ") {
                    value.clone_into(&mut number);
                }
                if line.is_empty() {
                    counter.fetch_add(1, Ordering::Relaxed);
                    let answer = format!("RTSP/1.0 302 Moved\r\nCSeq: {number}\r\nLocation: {to}\r\n\r\n");
                    let _ = stream.write_all(answer.as_bytes());
                }
            }
        }
    });
    (port, asked)
}

#[test]
fn a_redirect_leads_nowhere() {
    let (folder, elsewhere) = (Folder::new(), Simcam::start(&[]));
    let (port, asked) = redirecting(elsewhere.url());
    let lines = format!("{ALLOWED}{}", camera("gate", &format!("rtsp://127.0.0.1:{port}/main"), ""));
    let cloud = Cloud::start(&folder, &lines);
    until("the redirect", Duration::from_secs(20), || (asked.load(Ordering::Relaxed) > 0).then_some(()));
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(elsewhere.fact("requests"), 0);
    assert_eq!(cloud.get("/gate/live.m3u8").status, 503);
}

/// A server whose answer has no end.
fn endless() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let mut number = String::new();
                while let Some(Ok(line)) = lines.next() {
                    if let Some(value) = line.strip_prefix("CSeq: ") {
                        value.clone_into(&mut number);
                    }
                    if line.is_empty() {
                        break;
                    }
                }
                let head = format!("RTSP/1.0 200 OK\r\nCSeq: {number}\r\nContent-Length: 4000000000\r\n\r\n");
                let _ = stream.write_all(head.as_bytes());
                let rubbish = vec![b'v'; 1 << 20];
                while stream.write_all(&rubbish).is_ok() {}
            });
        }
    });
    port
}

#[test]
fn a_hostile_server_costs_its_neighbours_nothing_that_lasts() {
    let (folder, simcam) = (Folder::new(), Simcam::start(&[]));
    let mut lines = ALLOWED.to_owned();
    for id in ["a", "b", "c"] {
        lines.push_str(&camera(id, &simcam.url(), ""));
    }
    lines.push_str(&camera("hostile", &format!("rtsp://127.0.0.1:{}/main", endless()), ""));
    let cloud = Cloud::start(&folder, &lines);
    for id in ["a", "b", "c"] {
        cloud.plays(id);
    }
    std::thread::sleep(Duration::from_secs(5));
    let pullers = cloud.children("puller");
    assert!(!pullers.is_empty());
    for pid in pullers.into_iter().chain([cloud.child.id()]) {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib: u64 = peak.map_or(0, |peak| peak.trim().trim_end_matches(" kB").parse().unwrap());
        assert!(kib < 256 << 10, "{pid} took {kib} KiB");
    }
    // A camera's reader that dies is started again, and nobody else's dies with it any more.
    let pullers = cloud.children("puller");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pullers[0] as i32), nix::sys::signal::Signal::SIGKILL)
        .unwrap();
    until("everybody plays on", Duration::from_secs(30), || {
        let alone = cloud.children("puller").len() >= 3;
        let play = ["a", "b", "c"]
            .iter()
            .all(|id| cloud.get(&format!("/{id}/status")).json()["state"]["state"] == "streaming");
        (alone && play).then_some(())
    });
}

#[test]
fn readers_end_in_order_when_their_cloud_is_killed() {
    let (folder, simcam) = (Folder::new(), Simcam::start(&[]));
    let cloud = Cloud::start(&folder, &format!("{ALLOWED}{}", camera("gate", &simcam.url(), "")));
    cloud.plays("gate");
    let pullers = cloud.children("puller");
    assert!(!pullers.is_empty());
    let whole = nix::unistd::Pid::from_raw(cloud.child.id() as i32);
    nix::sys::signal::kill(whole, nix::sys::signal::Signal::SIGKILL).unwrap();
    let runs = |pid: &u32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        status.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
    };
    until("no reader is left", Duration::from_secs(10), || (!pullers.iter().any(runs)).then_some(()));
    assert!(!cloud.said().contains("panicked"), "{}", cloud.said());
}
