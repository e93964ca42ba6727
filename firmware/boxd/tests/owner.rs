//! What the owner does on the set-up page of a real box, and what must hold whatever happens: cameras come, change and go; a
//! refused password is shown once; nothing secret leaves the box (THREATS.md, rows 5 and 22). Only loopback is touched.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a test of a process from outside")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may fail the test")]

#[allow(dead_code, reason = "each test file needs a part of it")]
mod page;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use page::{Got, PASSWORD, TestBox, free_port};
use serde_json::{Value, json};

const USER: &str = "admin";
/// With what addresses, logs and JSON stumble over.
const RIGHT: &str = "canary:/#%@п\"x";
const WRONG: &str = "canary-wrong-password";

/// A camera that asks for a login and counts what it is shown. Behind the login it has no picture.
struct Camera {
    port: u16,
    right: Arc<AtomicUsize>,
    wrong: Arc<AtomicUsize>,
    paths: Arc<Mutex<Vec<String>>>,
}

impl Camera {
    fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let camera = Self {
            port: listener.local_addr().unwrap().port(),
            right: Arc::default(),
            wrong: Arc::default(),
            paths: Arc::default(),
        };
        let (right, wrong, paths) = (camera.right.clone(), camera.wrong.clone(), camera.paths.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (right, wrong, paths) = (right.clone(), wrong.clone(), paths.clone());
                std::thread::spawn(move || converse(stream, &right, &wrong, &paths));
            }
        });
        camera
    }

    fn url(&self, path: &str) -> String {
        format!("rtsp://127.0.0.1:{}/{path}", self.port)
    }

    fn wrong(&self) -> usize {
        self.wrong.load(Ordering::SeqCst)
    }

    fn right(&self) -> usize {
        self.right.load(Ordering::SeqCst)
    }
}

/// RTSP (RFC 2326) as far as it goes before a picture.
fn converse(mut stream: TcpStream, right: &AtomicUsize, wrong: &AtomicUsize, paths: &Mutex<Vec<String>>) {
    let mut received = Vec::new();
    let mut chunk = [0; 2048];
    while let Ok(len @ 1..) = stream.read(&mut chunk) {
        received.extend_from_slice(&chunk[..len]);
        while let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") {
            let request = String::from_utf8_lossy(&received[..end]).into_owned();
            received.drain(..end + 4);
            let header = |name: &str| {
                request.lines().find_map(|line| line.strip_prefix(name).map(|value| value.trim().to_owned()))
            };
            let cseq = header("CSeq:").unwrap_or_default();
            paths.lock().unwrap().push(request.lines().next().unwrap_or_default().to_owned());
            let expected = format!("Basic {}", STANDARD.encode(format!("{USER}:{RIGHT}")));
            let answer = match header("Authorization:") {
                Some(shown) if shown == expected => {
                    right.fetch_add(1, Ordering::SeqCst);
                    format!("RTSP/1.0 454 Session Not Found\r\nCSeq: {cseq}\r\n\r\n")
                }
                shown => {
                    wrong.fetch_add(usize::from(shown.is_some()), Ordering::SeqCst);
                    format!(
                        "RTSP/1.0 401 Unauthorized\r\nCSeq: {cseq}\r\nWWW-Authenticate: Basic realm=\"x\"\r\n\r\n"
                    )
                }
            };
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }
}

fn delete(running: &TestBox, path: &str, cookies: &str) -> Got {
    running.ask(&running.post_text(path, cookies, "").replacen("POST", "DELETE", 1))
}

fn overview(running: &TestBox, owner: &str) -> Value {
    let got = running.get("/api/v1/setup/overview", owner);
    assert_eq!(got.status, 200, "{got:?}");
    got.json()
}

/// What anybody may know, unless the box is just starting anew.
fn state(running: &TestBox) -> Option<Value> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, running.port)).ok()?;
    let request = "GET /api/v1/setup/state HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
    let got = page::answer(&mut stream, request);
    (got.status == 200).then(|| got.json())
}

fn row(running: &TestBox, owner: &str, id: &str) -> Value {
    let rows = overview(running, owner)["cameras"].as_array().unwrap().clone();
    rows.into_iter().find(|row| row["id"] == id).unwrap_or(Value::Null)
}

fn obstacle(running: &TestBox, owner: &str, id: &str) -> String {
    row(running, owner, id)["obstacles"][0]["code"].as_str().unwrap_or_default().to_owned()
}

/// Adds cameras by their addresses; their ids.
fn add(running: &TestBox, owner: &str, addresses: &[&str], password: &str) -> Vec<String> {
    let picks: Vec<Value> = addresses.iter().map(|address| json!({ "address": address })).collect();
    let body = json!({"picks": picks, "login": {"user": USER, "password": password}}).to_string();
    let got = running.post("cameras", owner, &body);
    assert_eq!(got.status, 200, "{got:?}");
    let outcomes = got.json()["outcomes"].as_array().unwrap().clone();
    outcomes
        .iter()
        .map(|outcome| outcome["Ok"].as_str().unwrap_or_else(|| panic!("{outcome}")).to_owned())
        .collect()
}

/// The process ids of a camera's workers.
fn workers(running: &TestBox, id: &str) -> Vec<i32> {
    let pid = running.child.id();
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let wanted = format!("boxd\0camera\0{id}\0").into_bytes();
    let is = |pid: &i32| std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line == wanted);
    children.split_whitespace().map(|pid| pid.parse().unwrap()).filter(is).collect()
}

/// Ends a box as a service manager does and starts one anew with the same state; the same cookies are worth nothing then.
fn restarted(mut running: TestBox, name: &str) -> (TestBox, String) {
    kill(Pid::from_raw(running.child.id() as i32), Signal::SIGTERM).unwrap();
    running.child.wait().unwrap();
    let again = TestBox::start(name, "");
    // Its directory is the new one's.
    std::mem::forget(running);
    let login = again.login(PASSWORD);
    assert_eq!(login.status, 200, "the owner is known over a restart: {login:?}");
    let cookies = login.cookies();
    (again, cookies)
}

#[test]
fn cameras_come_change_and_go_while_the_box_runs() {
    let camera = Camera::start();
    let (running, owner) = TestBox::owned("roster", "");
    let ids = add(&running, &owner, &[&camera.url("one"), &camera.url("two")], RIGHT);
    let (one, two) = (ids[0].as_str(), ids[1].as_str());
    assert_ne!(one, two);
    running.wait_for("both workers", || workers(&running, one).len() + workers(&running, two).len() == 2);
    running.wait_for("the login", || camera.right() >= 2);

    // A name, everywhere.
    assert_eq!(running.post(&format!("cameras/{one}"), &owner, r#"{"name":"Ворота"}"#).status, 200);
    let listed = running.get("/api/v1/cameras", "").json();
    assert!(listed.as_array().unwrap().iter().any(|camera| camera["name"] == "Ворота"), "{listed}");
    // An order.
    for wanted in [[two, one], [one, two]] {
        assert_eq!(running.post("order", &owner, &json!({ "ids": wanted }).to_string()).status, 200);
        let listed = running.get("/api/v1/cameras", "").json();
        let ids: Vec<_> = listed.as_array().unwrap().iter().map(|camera| camera["id"].clone()).collect();
        assert_eq!(ids, wanted);
    }

    // Off: the same answer as for a camera that never was, and no worker within a second.
    let unknown = running.get("/no-such-camera/live.m3u8", "");
    let before = workers(&running, one);
    assert_eq!(running.post(&format!("cameras/{one}"), &owner, r#"{"on":false}"#).status, 200);
    let start = Instant::now();
    let off = running.get(&format!("/{one}/live.m3u8"), "");
    assert_eq!((off.status, &off.body), (unknown.status, &unknown.body));
    running.wait_for("the end of the worker", || workers(&running, one).is_empty());
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    assert!(!before.is_empty());
    assert_eq!(row(&running, &owner, one)["on"], false, "it is still in the owner's list");
    assert_eq!(running.post(&format!("cameras/{one}"), &owner, r#"{"on":true}"#).status, 200);
    running.wait_for("the worker again", || workers(&running, one).len() == 1);

    // Removed: gone; added again it is the same camera, under the same links.
    assert_eq!(delete(&running, &format!("cameras/{two}"), &owner).status, 200);
    running.wait_for("the end of the worker", || workers(&running, two).is_empty());
    assert_eq!(running.get(&format!("/{two}/"), "").status, 404);
    assert_eq!(delete(&running, &format!("cameras/{two}"), &owner).status, 404);
    assert_eq!(add(&running, &owner, &[&camera.url("two")], RIGHT), [two]);

    let events = running.get("/api/v1/setup/events", &owner).json();
    let codes: Vec<String> = events["events"]
        .as_array()
        .unwrap_or(&vec![])
        .iter()
        .map(|event| event["code"].as_str().unwrap().to_owned())
        .collect();
    for code in ["camera_added", "camera_removed", "camera_changed", "password_set", "started"] {
        assert!(codes.iter().any(|known| known == code), "{code} in {codes:?}");
    }
}

#[test]
fn what_was_set_up_is_there_after_a_restart_and_streams_without_the_page() {
    let camera = Camera::start();
    let (running, owner) = TestBox::owned("again", "");
    let ids = add(&running, &owner, &[&camera.url("one")], RIGHT);
    assert_eq!(running.post("site", &owner, r#"{"name":"Цех 1","language":"kk"}"#).status, 200);
    running.wait_for("the login", || camera.right() >= 1);
    let shown = camera.right();
    let (again, owner) = restarted(running, "again");
    assert_eq!(overview(&again, &owner)["name"], "Цех 1");
    again.wait_for("the camera", || workers(&again, &ids[0]).len() == 1 && camera.right() > shown);

    // The same by the button on the page: the process stays, the box is a new one.
    let before = workers(&again, &ids[0]);
    assert_eq!(again.post("restart", &owner, "{}").status, 200);
    again.wait_for("the camera of the new start", || {
        let now = workers(&again, &ids[0]);
        now.len() == 1 && now != before
    });
    again.wait_for("its page", || state(&again).is_some());
    assert_eq!(again.get("/api/v1/setup/overview", &owner).status, 401, "sessions end with it");
    assert_eq!(again.login(PASSWORD).status, 200);
}

#[test]
fn a_wrong_password_is_shown_once_by_all_pictures_of_a_device_and_over_restarts() {
    let camera = Camera::start();
    let (running, owner) = TestBox::owned("refused", "");
    let addresses: Vec<String> = (0..6).map(|channel| camera.url(&format!("ch{channel}"))).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let ids = add(&running, &owner, &addresses, WRONG);
    for id in &ids {
        running.wait_for("the refusal", || obstacle(&running, &owner, id) == "wrong_password");
    }
    let shown = row(&running, &owner, &ids[0]);
    let until = shown["obstacles"][0]["until_ms"].as_u64().expect("the page says when it is tried again");
    let now = overview(&running, &owner)["now_ms"].as_u64().unwrap();
    assert!(until > now + 25 * 60_000 && until <= now + 30 * 60_000, "{until} {now}");
    assert_eq!(shown["obstacles"][0]["fix"], "login");
    assert_eq!(camera.wrong(), 1, "six pictures of one device: {:?}", camera.paths.lock().unwrap());
    running.wait_for("no process waits for that", || ids.iter().all(|id| workers(&running, id).is_empty()));

    let (again, owner) = restarted(running, "refused");
    again.wait_for("the refusal", || obstacle(&again, &owner, &ids[5]) == "wrong_password");
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(camera.wrong(), 1, "nor after a restart");

    // The right one is tried at once.
    let login = json!({"login": {"user": USER, "password": RIGHT}}).to_string();
    assert_eq!(again.post(&format!("cameras/{}", ids[2]), &owner, &login).status, 200);
    let start = Instant::now();
    again.wait_for("the right login", || camera.right() >= 1);
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    assert_ne!(obstacle(&again, &owner, &ids[2]), "wrong_password");
    assert_eq!(camera.wrong(), 1);
}

/// Row 22.
#[test]
fn diagnostics_tell_what_is_wrong_and_no_secret() {
    let camera = Camera::start();
    let file = format!(
        "[[camera]]\nid = \"filed\"\nurl = \"{}&token=canary-token\"\nuser = \"u\"\npassword = \"canary-filed\"\n\
         [tunnel]\ncloud = \"http://127.0.0.1:{}\"\n",
        camera.url("user=x&password=canary-in-path"),
        free_port()
    );
    let (running, owner) = TestBox::owned("diagnostics", &file);
    let id =
        add(&running, &owner, &[&format!("rtsp://{USER}:canary-in-url@127.0.0.1:{}/x", camera.port)], RIGHT);
    add(&running, &owner, &[&camera.url("one")], RIGHT);
    // Secrets where nobody should write them, but people do.
    let name = json!({ "name": format!("my {RIGHT} rtsp://a:canary-named@h/") }).to_string();
    assert_eq!(running.post(&format!("cameras/{}", id[0]), &owner, &name).status, 200);
    running.wait_for("the refusals", || camera.wrong() >= 2);
    let got = running.get("/api/v1/setup/diagnostics", &owner);
    assert_eq!(got.status, 200);
    assert!(
        got.header("content-disposition").is_some_and(|value| value.starts_with("attachment")),
        "{}",
        got.head
    );
    for there in
        ["== cameras", &id[0], "filed", "wrong_password", "== log", "started", env!("CARGO_PKG_VERSION")]
    {
        assert!(got.body.contains(there), "{there:?} is not in {}", got.body);
    }
    let state = running.directory.join("state");
    let mut secrets: Vec<String> = ["canary", PASSWORD, "$argon2id"].map(str::to_owned).to_vec();
    secrets.push(STANDARD.encode(format!("{USER}:{RIGHT}")));
    for key in ["identity.key", "tunnel.key"] {
        secrets.push(std::fs::read_to_string(state.join(key)).unwrap().trim().to_owned());
    }
    for secret in &secrets {
        let line = got.body.lines().find(|line| line.contains(secret.as_str()));
        assert_eq!(line, None, "{secret}");
    }
    let logged = running.log("stderr") + &running.log("stdout");
    for secret in
        [RIGHT, PASSWORD, "canary-filed", "canary-in-url", "canary-in-path", "canary-token", "$argon2id"]
    {
        assert!(!logged.contains(secret), "{secret} in the log");
    }
}

#[test]
fn a_torn_file_is_no_reason_not_to_start_and_is_not_lost() {
    let (running, _owner) = TestBox::owned("torn", "");
    let core = running.directory.join("state/core.json");
    let whole = std::fs::read(&core).unwrap();
    let mut running = running;
    kill(Pid::from_raw(running.child.id() as i32), Signal::SIGTERM).unwrap();
    running.child.wait().unwrap();
    std::fs::write(&core, &whole[..whole.len() / 2]).unwrap();
    let again = TestBox::start("torn", "");
    again.wait_for("a word about it", || again.log("stderr").contains("set aside"));
    let aside = std::fs::read_dir(running.directory.join("state")).unwrap().flatten();
    let aside: Vec<_> =
        aside.filter(|entry| entry.file_name().to_string_lossy().starts_with("core.json.damaged-")).collect();
    assert_eq!(std::fs::read(aside[0].path()).unwrap(), &whole[..whole.len() / 2]);
    let owner = again.claim(PASSWORD).cookies();
    let events = again.get("/api/v1/setup/events", &owner);
    assert!(events.body.contains("settings_lost"), "{events:?}");
}

#[test]
fn a_reset_forgets_everything_but_who_the_box_is() {
    let camera = Camera::start();
    let cloud = format!("[tunnel]\ncloud = \"http://127.0.0.1:{}\"\n", free_port());
    let (running, owner) = TestBox::owned("reset", &cloud);
    let ids = add(&running, &owner, &[&camera.url("one")], WRONG);
    running.wait_for("the refusal", || camera.wrong() == 1);
    let directory = running.directory.join("state");
    let identity = std::fs::read(directory.join("identity.key")).unwrap();
    let tunnel = std::fs::read(directory.join("tunnel.key")).unwrap();
    std::fs::create_dir_all(directory.join("update")).unwrap();
    let updates = ["journal.json", "reports.json", "orders.json", "status.json", "last.json", "root.json"];
    for name in updates {
        std::fs::write(directory.join("update").join(name), WRONG).unwrap();
    }
    assert_eq!(running.post("reset", &owner, r#"{"password":"not the password"}"#).status, 401);
    assert_eq!(running.post("reset", &owner, &json!({ "password": PASSWORD }).to_string()).status, 200);
    running.wait_for("a box without an owner", || {
        state(&running).is_some_and(|state| state["claimed"] == false)
    });
    assert!(workers(&running, &ids[0]).is_empty());
    assert_eq!(running.get("/api/v1/cameras", "").json(), json!([]));
    assert_eq!(std::fs::read(directory.join("identity.key")).unwrap(), identity);
    assert_eq!(std::fs::read(directory.join("tunnel.key")).unwrap(), tunnel);
    let left: Vec<_> = std::fs::read_dir(directory.join("update")).unwrap().flatten().collect();
    let left: Vec<_> = left.iter().map(std::fs::DirEntry::file_name).collect();
    assert_eq!(left, ["root.json"], "what is signed is no owner's");
    for entry in std::fs::read_dir(&directory).unwrap().flatten() {
        let text = String::from_utf8_lossy(&std::fs::read(entry.path()).unwrap_or_default()).into_owned();
        assert!(!text.contains(WRONG) && !text.contains("argon2"), "{:?}", entry.path());
    }
}

#[test]
fn the_uplinks_limit_acts_at_once_and_stays() {
    let (running, owner) = TestBox::owned("uplink", "");
    assert_eq!(running.post("uplink", &owner, r#"{"kbps":2000}"#).status, 200);
    assert_eq!(overview(&running, &owner)["uplink_cap_kbps"], 2000);
    assert_eq!(running.get("/api/v1/join", &owner).json()["uplink"]["cap_bit_rate"], 2_000_000);
    assert!(running.post("uplink", &owner, r#"{"kbps":1}"#).status >= 400);
    let (again, owner) = restarted(running, "uplink");
    assert_eq!(overview(&again, &owner)["uplink_cap_kbps"], 2000);
    assert_eq!(again.post("uplink", &owner, r#"{"kbps":null}"#).status, 200);
    assert_eq!(overview(&again, &owner)["uplink_cap_kbps"], Value::Null);
    assert_eq!(overview(&again, &owner)["clock_known"], true);
    assert!(again.post("time", &owner, r#"{"unix_ms":1}"#).status >= 400, "the clock is known");
}
