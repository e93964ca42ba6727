//! The set-up page of a real box, as its owner and as attackers see it (THREATS.md, rows 6, 7, 8 and 22). Only loopback is
//! touched.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a test of a process from outside")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may fail the test")]

#[allow(dead_code, reason = "each test file needs a part of it")]
mod page;

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use page::{PASSWORD, TestBox};
use serde_json::{Value, json};
use setup::desk::{Answer, Ask, Asked, Replied};

#[test]
fn a_new_box_leads_its_owner_from_the_first_page_to_signing_in() {
    let running = TestBox::start("first", "");
    let first = running.get("/", "");
    assert_eq!((first.status, first.header("location")), (302, Some("/setup/")));
    let page = running.get("/setup/", "");
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert_eq!(running.get("/setup", "").header("location"), Some("/setup/"));
    assert_eq!(running.get("/join", "").header("location"), Some("/setup/#join"));
    let state = running.state("");
    assert_eq!((&state["claimed"], &state["can_claim"]), (&json!(false), &json!(true)), "{state}");
    assert_eq!(running.get("/api/v1/setup/overview", "").status, 401);

    assert_eq!(running.claim("short").json()["code"], "password_too_short");
    let claimed = running.claim(PASSWORD);
    assert_eq!(claimed.status, 200, "{claimed:?}");
    let owner = claimed.cookies();
    assert_eq!(running.state(&owner)["signed_in"], true);
    assert_eq!(running.get("/api/v1/setup/overview", &owner).status, 200);
    let list = running.get("/", "");
    assert!(list.status == 200 && list.body.contains("href=\"/setup/\""), "{list:?}");
    assert_eq!(running.login("wrong password").status, 401);
    assert_eq!(running.login(PASSWORD).status, 200);
    assert_eq!(running.post("logout", &owner, "{}").status, 200);
    assert_eq!(running.get("/api/v1/setup/overview", &owner).status, 401);
    let head = running.ask("HEAD /setup/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(head.header("content-length"), page.header("content-length"));
}

#[test]
fn cameras_in_the_file_mean_that_nobody_is_led_away_from_them() {
    let camera = "[[camera]]\nid = \"gate\"\nurl = \"rtsp://127.0.0.1:9/a\"\n";
    let running = TestBox::start("listed", camera);
    assert_eq!(running.get("/", "").status, 200);
    let off = TestBox::start("no-page", "[setup]\nenabled = false\n");
    assert_eq!(off.get("/setup/", "").status, 404);
    assert_eq!(off.claim(PASSWORD).status, 404);
    assert_eq!(off.get("/", "").status, 200);
    assert_eq!(off.page(), None);
}

/// Row 6.
#[test]
fn a_strangers_name_for_the_box_opens_nothing() {
    let (running, owner) = TestBox::owned("rebinding", "");
    let before = running.state(&owner);
    for host in ["evil.example", "127.0.0.1.evil.example", "streambox.local.evil.example"] {
        for request in [
            format!("GET /setup/ HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nCookie: {owner}\r\n\r\n"),
            format!(
                "GET /api/v1/setup/overview HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nCookie: {owner}\r\n\r\n"
            ),
            post(host, host, "site", &owner, r#"{"name":"taken"}"#),
            post(host, host, "claim", "", r#"{"password":"evil evil evil"}"#),
            post(host, host, "login", "", &format!("{{\"password\":\"{PASSWORD}\"}}")),
            post(host, host, "reset", &owner, &format!("{{\"password\":\"{PASSWORD}\"}}")),
        ] {
            let got = running.ask(&request);
            assert_eq!((got.status, got.header("set-cookie")), (421, None), "{request}");
        }
    }
    assert_eq!(running.state(&owner), before);
}

fn post(host: &str, origin: &str, path: &str, cookies: &str, body: &str) -> String {
    format!(
        "POST /api/v1/setup/{path} HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{origin}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nCookie: {cookies}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Row 7.
#[test]
fn a_strangers_page_in_the_owners_browser_changes_nothing() {
    let (running, owner) = TestBox::owned("forgery", "");
    let (port, before) = (running.port, running.state(&owner));
    let own = format!("Origin: http://127.0.0.1:{port}\r\n");
    let body = r#"{"name":"taken"}"#;
    for headers in [
        format!("{own}Content-Type: application/x-www-form-urlencoded\r\n"),
        format!("{own}Content-Type: text/plain\r\n"),
        format!("{own}Content-Type: multipart/form-data; boundary=x\r\n"),
        own.clone(),
        "Content-Type: application/json\r\n".to_owned(),
        "Content-Type: application/json\r\nOrigin: http://evil.example\r\n".to_owned(),
        "Content-Type: application/json\r\nOrigin: null\r\n".to_owned(),
        format!("{own}Content-Type: application/json\r\nSec-Fetch-Site: cross-site\r\n"),
        format!("{own}Content-Type: application/json\r\nOrigin: http://evil.example\r\n"),
        format!("{own}Content-Type: application/json\r\nContent-Type: text/plain\r\n"),
    ] {
        for path in ["/api/v1/setup/site", "/api/v1/setup/restart", "/api/v1/setup/logout", "/api/v1/join"] {
            let got = running.ask(&format!(
                "POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\nCookie: {owner}\r\n{headers}\
                 Content-Length: {}\r\n\r\n{body}",
                body.len()
            ));
            assert!(matches!(got.status, 400 | 403), "{path} {headers} {got:?}");
        }
    }
    let socket = running.ask(&format!(
        "GET /api/v1/setup/overview HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nOrigin: http://evil.example\r\n\
         Cookie: {owner}\r\n\r\n"
    ));
    assert_eq!(socket.status, 403, "{socket:?}");
    let preflight = running.ask(&format!(
        "OPTIONS /api/v1/setup/site HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\nOrigin: http://evil.example\r\n\
         Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type\r\n\r\n"
    ));
    assert!(!preflight.head.to_ascii_lowercase().contains("access-control-allow"), "{preflight:?}");
    assert_eq!(running.state(&owner), before, "signed in as before, the name as before");
    assert_eq!(running.post("site", &owner, body).status, 200, "the page itself may");
    assert_eq!(running.state(&owner)["name"], "taken");
}

/// Row 8.
#[test]
fn of_many_who_claim_at_once_exactly_one_owns_the_box() {
    let running = TestBox::start("race", "");
    let results: Vec<(usize, u16)> = std::thread::scope(|threads| {
        let claims: Vec<_> = (0..20)
            .map(|number| {
                let running = &running;
                threads.spawn(move || (number, running.claim(&format!("password of {number}")).status))
            })
            .collect();
        claims.into_iter().map(|claim| claim.join().unwrap()).collect()
    });
    let winners: Vec<_> = results.iter().filter(|(_, status)| *status == 200).collect();
    assert_eq!(winners.len(), 1, "{results:?}");
    assert!(results.iter().all(|(_, status)| matches!(status, 200 | 409)), "{results:?}");
    let winner = winners[0].0;
    assert_eq!(running.login(&format!("password of {winner}")).status, 200);
    assert_eq!(running.login(&format!("password of {}", (winner + 1) % 20)).status, 401);
    assert_eq!(running.claim("another password").status, 409);
}

#[test]
fn what_a_visitor_says_of_its_connection_is_not_believed() {
    let running = TestBox::start("said", "");
    // The door says that loopback is near and not over TLS, whatever the visitor says.
    let got = running.ask(&format!(
        "GET /api/v1/setup/state HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\nX-Box-Near: no\r\nX-Box-Secure: yes\r\n\r\n",
        running.port
    ));
    assert_eq!(got.json()["can_claim"], true);
    let body = format!("{{\"password\":\"{PASSWORD}\"}}");
    let got = running.ask(&running.post_text("claim", "a=b\r\nX-Box-Secure: yes", &body));
    assert!(got.status == 200 && !got.head.contains("Secure"), "{got:?}");
}

#[test]
fn a_page_that_dies_comes_back_and_the_owner_stays_the_owner() {
    let (running, owner) = TestBox::owned("dies", "");
    running.wait_for("its page", || running.page().is_some());
    let first = running.page().unwrap();
    kill(Pid::from_raw(first), Signal::SIGKILL).unwrap();
    running.wait_for("another page", || running.page().is_some_and(|page| page != first));
    assert_eq!(running.get("/healthz", "").status, 200);
    let state = running.state(&owner);
    assert_eq!((&state["claimed"], &state["signed_in"]), (&json!(true), &json!(false)), "{state}");
    assert_eq!(running.claim("another password").status, 409);
    assert_eq!(running.login(PASSWORD).status, 200);
}

/// Row 22.
#[test]
fn no_password_is_ever_said() {
    let (mut running, owner) = TestBox::owned("silent", "");
    let cameras = json!({
        "picks": [{"address": "rtsp://canary-user:canary-in-url@127.0.0.1:9/live"}, {"address": "nonsense:/"}],
        "login": {"user": "admin", "password": "canary-camera-password"},
    });
    let answers = [
        running.login("canary-guess"),
        running.post("password", &owner, r#"{"old":"canary-old","new":"canary-new-password"}"#),
        running.post("password", &owner, r#"{"old":"canary-old","new":"canary"}"#),
        running.post("cameras", &owner, &cameras.to_string()),
        running.post("cameras", &owner, r#"{"picks":"canary","login":{"password":"canary"}}"#),
        running.post("cameras/gate", &owner, r#"{"login":{"user":"a","password":"canary-change"}}"#),
        running.post("login", &owner, r#"{"password":"canary-more","canary":1}"#),
        running.get("/api/v1/setup/login?password=canary-query", &owner),
        running.get("/api/v1/setup/overview", &owner),
        running.get("/api/v1/setup/events", &owner),
        running.get("/api/v1/setup/diagnostics", &owner),
        running.get("/api/v1/cameras", ""),
        running.get("/metrics", ""),
    ];
    for got in &answers {
        let text = format!("{}{}", got.head, got.body);
        for word in [
            "canary-user",
            "canary-in-url",
            "canary-camera",
            "canary-owner",
            "canary-guess",
            "canary-old",
            "canary-new",
            "canary-change",
            "canary-more",
            "canary-query",
            "$argon2",
        ] {
            assert!(!text.contains(word), "{word} in {got:?}");
        }
    }
    std::thread::sleep(std::time::Duration::from_millis(300));
    kill(Pid::from_raw(running.child.id() as i32), Signal::SIGTERM).unwrap();
    assert_eq!(running.child.wait().unwrap().code(), Some(0));
    let session = owner.split(['=', ';']).nth(1).unwrap();
    assert_eq!(session.len(), 64);
    for log in ["stdout", "stderr"] {
        let said = running.log(log);
        assert!(!said.contains("canary") && !said.contains("$argon2") && !said.contains(session), "{said}");
        assert!(!said.contains("ERROR") && !said.contains("panicked"), "{said}");
    }
}

#[test]
fn strangers_see_how_the_box_stands_and_no_more() {
    let (running, owner) = TestBox::owned("join-view", "[tunnel]\ncloud = \"http://127.0.0.1:9\"\n");
    let keys = |cookies: &str| {
        let view = running.get("/api/v1/join", cookies).json();
        let Value::Object(view) = view else { panic!("{view}") };
        (view["state"].clone(), view["box_id"].clone())
    };
    running.wait_for("its name", || keys(&owner).1.is_string());
    assert_eq!(keys("").1, Value::Null);
    assert_eq!(keys("").0, keys(&owner).0);
    let answer = r#"{"session":"x","accept":true}"#;
    let text = |cookies: &str| {
        running.post_text("join", cookies, answer).replace("/api/v1/setup/join", "/api/v1/join")
    };
    assert_eq!(running.ask(&text("")).status, 401);
    assert_eq!(running.ask(&text(&owner)).status, 409, "nothing is asked");
}

/// The page's process by itself, with a desk of this test's that keeps what it is asked.
struct Alone {
    child: Child,
    directory: std::path::PathBuf,
}

impl Alone {
    fn start(name: &str, claim_seconds: u32, up_ms: u64) -> Self {
        let directory = std::env::temp_dir().join(format!("boxd-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let listener = UnixListener::bind(directory.join("page")).unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_boxd"))
            .args(["setup", &claim_seconds.to_string()])
            .env("MALLOC_ARENA_MAX", "1")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::from(OwnedFd::from(listener)))
            .spawn()
            .unwrap();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(ours);
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|len| len > 0) {
                let Asked { id, ask } = serde_json::from_str(&line).unwrap();
                let answer = match ask {
                    Ask::Start => Answer::Start { password: None, language: None, name: None, up_ms },
                    _ => Answer::Done,
                };
                let mut text = serde_json::to_string(&Replied { id, reply: Ok(answer) }).unwrap();
                text.push('\n');
                reader.get_mut().write_all(text.as_bytes()).unwrap();
                line.clear();
            }
        });
        Self { child, directory }
    }

    fn claim(&self, near: &str) -> (u16, String) {
        let body = format!("{{\"password\":\"{PASSWORD}\"}}");
        let mut stream = UnixStream::connect(self.directory.join("page")).unwrap();
        let request = format!(
            "POST /api/v1/setup/claim HTTP/1.1\r\nHost: box.local\r\nOrigin: http://box.local\r\nConnection: close\r\n\
             Content-Type: application/json\r\nX-Box-Peer: 192.168.1.7\r\nX-Box-Near: {near}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let answer = std::io::read_to_string(stream).unwrap();
        let code = answer.split("\"code\":\"").nth(1).and_then(|rest| rest.split('"').next());
        (answer.split(' ').nth(1).unwrap().parse().unwrap(), code.unwrap_or_default().to_owned())
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Row 8.
#[test]
fn a_claim_comes_in_time_and_from_near_or_not_at_all() {
    let closed = || (403, "claim_closed".to_owned());
    assert_eq!(Alone::start("never", 0, 0).claim("yes"), closed());
    // The time counts from the start of the box, not of this process.
    assert_eq!(Alone::start("late", 600, 600_000).claim("yes"), closed());
    let page = Alone::start("far", 600, 590_000);
    for near in ["no", "", "YES", "yes, no"] {
        assert_eq!(page.claim(near), (403, "not_near".to_owned()), "{near}");
    }
    assert_eq!(page.claim("yes").0, 200);
    assert_eq!(page.claim("yes"), (409, "claimed".to_owned()));
}

const NAME: &str = "whoever_comes_from_another_subnet_cannot_claim_the_box";
const INSIDE: &str = "BOXD_TEST_INSIDE_NETWORKS";

/// Row 8, over a network: in namespaces of its own, where a client has one address in the box's subnet and one in another.
#[test]
fn whoever_comes_from_another_subnet_cannot_claim_the_box() {
    if std::env::var_os(INSIDE).is_some() {
        return other_subnet();
    }
    let child = Command::new("unshare")
        .args(["-rmpfn", "--kill-child", "--mount-proc"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", NAME, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(said.contains("tried both"), "{said}{}", String::from_utf8_lossy(&child.stderr));
}

fn other_subnet() {
    let run = |line: &str| {
        let mut words = line.split(' ');
        let output = Command::new(words.next().unwrap()).args(words).output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let mut client = Command::new("unshare").args(["-n", "sleep", "60"]).spawn().unwrap();
    let pid = client.id();
    std::thread::sleep(std::time::Duration::from_millis(300));
    for line in [
        "ip link set lo up",
        "ip link add v0 type veth peer name v1",
        &format!("ip link set v1 netns {pid}"),
        "ip addr add 192.168.50.1/24 dev v0",
        "ip link set v0 up",
        &format!("nsenter -t {pid} -n ip addr add 192.168.50.2/24 dev v1"),
        &format!("nsenter -t {pid} -n ip addr add 203.0.113.9/32 dev v1"),
        &format!("nsenter -t {pid} -n ip link set v1 up"),
        "ip route add 203.0.113.9/32 via 192.168.50.2",
    ] {
        run(line);
    }
    let running = TestBox::start_at("0.0.0.0", "subnets", "");
    let port = running.port;
    let claim = |from: &str| {
        run(&format!(
            "nsenter -t {pid} -n curl -s --interface {from} -o /dev/null -w %{{http_code}} -H content-type:application/json \
             -H origin:http://192.168.50.1:{port} -d {{\"password\":\"{PASSWORD}\"}} http://192.168.50.1:{port}/api/v1/setup/claim"
        ))
    };
    assert_eq!(claim("203.0.113.9"), "403");
    assert_eq!(running.state("")["claimed"], false);
    assert_eq!(claim("192.168.50.2"), "200");
    assert_eq!(running.state("")["claimed"], true);
    let _ = client.kill();
    let _ = client.wait();
    println!("tried both");
}
