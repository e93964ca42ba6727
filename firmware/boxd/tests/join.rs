//! A box joins a cloud, as its owner sees it: pages, files, log lines. The cloud is a small one of this test's, spoken to
//! over loopback without TLS; it checks every signature.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a test of a process from outside")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may fail the test")]

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use enrol::{check_words, verify_hello, verify_join};
use model::enrol::{Hello, Hub, Join, Joined, Progress, Session};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// What the cloud of this test knows and does.
#[derive(Default)]
struct World {
    hellos: Vec<Hello>,
    joins: Vec<Join>,
    /// By session: its number is its place, its name and code are made from it.
    progress: Vec<Progress>,
    /// Every hello is answered with 410.
    revoked: bool,
    /// So many joins are taken without an answer: the connection breaks.
    lose_answers: usize,
}

#[derive(Clone)]
struct Cloud {
    world: Arc<Mutex<World>>,
    port: u16,
}

fn session(number: usize) -> String {
    format!("canarysession{}", "abcdefghij".chars().nth(number).unwrap())
}

fn code(number: usize) -> String {
    format!("CANA-RYA{}", "ABCDEFGHJK".chars().nth(number).unwrap())
}

impl Cloud {
    fn start(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        let cloud = Self { world: Arc::default(), port: listener.local_addr().unwrap().port() };
        let served = cloud.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let cloud = served.clone();
                std::thread::spawn(move || cloud.serve(stream));
            }
        });
        cloud
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn serve(&self, mut stream: TcpStream) {
        let mut request = Vec::new();
        let mut piece = [0; 4096];
        let (head, body) = loop {
            let text = String::from_utf8_lossy(&request).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.to_ascii_lowercase();
                let length =
                    length.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
                if body.len() >= length.unwrap_or(0) {
                    break (head.to_owned(), body.to_owned());
                }
            }
            match stream.read(&mut piece) {
                Ok(0) | Err(_) => return,
                Ok(read) => request.extend_from_slice(&piece[..read]),
            }
        };
        let mut line = head.lines().next().unwrap().split(' ');
        let (method, path) = (line.next().unwrap(), line.next().unwrap());
        let Some((status, answer)) = self.answer(method, path, &body) else { return };
        let _ = write!(
            stream,
            "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{answer}",
            answer.len()
        );
    }

    fn answer(&self, method: &str, path: &str, body: &str) -> Option<(u16, String)> {
        let json = |value: Value| value.to_string();
        match (method, path.split_once('?').map_or((path, false), |(path, _)| (path, true))) {
            ("POST", ("/api/v1/enrol", _)) => {
                let mut world = self.world();
                if world.revoked {
                    return Some((410, "{\"error\":\"This box was revoked.\"}".to_owned()));
                }
                let hello: Hello = serde_json::from_str(body).unwrap();
                verify_hello(&hello).unwrap();
                assert_eq!(hello.cloud, self.url(), "it means this cloud");
                world.hellos.push(hello);
                let number = world.progress.len();
                world.progress.push(Progress::Waiting { expires_in_s: 900 });
                let session = Session { session: session(number), code: code(number), expires_in_s: 900 };
                Some((200, json(serde_json::to_value(session).unwrap())))
            }
            ("GET", (path, wait)) => {
                let number = (0..10).find(|number| path == format!("/api/v1/enrol/{}", session(*number)))?;
                let start = Instant::now();
                // A long poll, cut short for the test's sake.
                loop {
                    let progress = self.world().progress[number].clone();
                    let waiting = matches!(progress, Progress::Waiting { .. });
                    if !waiting || !wait || start.elapsed() > Duration::from_secs(1) {
                        return Some((200, json(serde_json::to_value(progress).unwrap())));
                    }
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
            ("POST", (path, _)) => {
                let number =
                    (0..10).find(|number| path == format!("/api/v1/enrol/{}/join", session(*number)))?;
                let join: Join = serde_json::from_str(body).unwrap();
                let mut world = self.world();
                let hello = world.hellos[number].clone();
                verify_join(&join, &verify_hello(&hello).unwrap()).unwrap();
                assert_eq!((&join.session, &join.tunnel_key), (&session(number), &hello.tunnel_key));
                let owner = join.owner.clone();
                world.joins.push(join);
                world.progress[number] = Progress::Joined;
                if world.lose_answers > 0 {
                    world.lose_answers -= 1;
                    return None;
                }
                let joined = Joined {
                    address: Ipv4Addr::new(10, 13, 1, 1),
                    owner,
                    url: self.url(),
                    hubs: vec![Hub {
                        public_key: hello.tunnel_key,
                        // Nobody answers there.
                        endpoints: vec!["127.0.0.1:9".to_owned()],
                        carrier: None,
                        inner: Ipv4Addr::new(10, 13, 0, 1),
                    }],
                    time_ms: 0,
                };
                Some((200, json(serde_json::to_value(joined).unwrap())))
            }
            other => panic!("the cloud has no {other:?}"),
        }
    }

    /// Somebody types the latest code.
    fn claim(&self, owner: &str) -> usize {
        let mut world = self.world();
        let number = world.progress.len() - 1;
        world.progress[number] = Progress::Claimed { owner: owner.to_owned() };
        number
    }
}

/// A box of its own directory, killed with the test.
struct TestBox {
    child: Child,
    port: u16,
    directory: PathBuf,
    /// The owner's session.
    cookies: String,
}

/// The owner's password.
const PASSWORD: &str = "canary-owner-password";

impl TestBox {
    fn start(name: &str, cloud: &str, more: &str) -> Self {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        let port = free_port();
        std::fs::create_dir_all(&directory).unwrap();
        let config = format!(
            "[http]\nlisten = \"127.0.0.1:{port}\"\n[discovery]\nenabled = false\n[log]\nlevel = \"trace\"\n\
             [tunnel]\ncloud = \"{cloud}\"\n{more}[state]\ndir = \"{}/state\"\n",
            directory.display()
        );
        let file = directory.join("box.toml");
        std::fs::write(&file, config).unwrap();
        let log = |name: &str| File::options().create(true).append(true).open(directory.join(name)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_boxd"));
        if name.starts_with("unprivileged") && nix::unistd::geteuid().is_root() {
            command = Command::new("setpriv");
            command.args(["--bounding-set", "-all", env!("CARGO_BIN_EXE_boxd")]);
        }
        let child =
            command.arg("--config").arg(&file).stdout(log("stdout")).stderr(log("stderr")).spawn().unwrap();
        let mut started = Self { child, port, directory, cookies: String::new() };
        started
            .wait_for("its page", |_| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok().then_some(()));
        started.cookies = started.sign_in();
        started
    }

    /// Becomes the owner, or signs in as such; the browser's cookies.
    fn sign_in(&self) -> String {
        let body = format!("{{\"password\":\"{PASSWORD}\"}}");
        let headers = format!("Content-Type: application/json\r\nOrigin: http://127.0.0.1:{}\r\n", self.port);
        let post = |path: &str| self.post(&format!("/api/v1/setup/{path}"), &headers, &body);
        let (status, head, body) = match post("claim") {
            (409, ..) => post("login"),
            other => other,
        };
        assert_eq!(status, 200, "{body}");
        let cookies = head.lines().filter_map(|line| line.strip_prefix("set-cookie: ")?.split(';').next());
        cookies.collect::<Vec<_>>().join("; ")
    }

    /// Ends it and starts it again in the same directory.
    fn restart(mut self, name: &str, cloud: &str, more: &str) -> Self {
        self.terminate();
        let directory = std::mem::take(&mut self.directory);
        let again = Self::start(name, cloud, more);
        assert_eq!(again.directory, directory);
        again
    }

    fn terminate(&mut self) {
        let start = Instant::now();
        kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM).unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(0), "{}", self.log("stderr"));
        assert!(start.elapsed() < Duration::from_secs(3), "it ends at once: {:?}", start.elapsed());
    }

    fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.directory.join(name)).unwrap()
    }

    fn state(&self, name: &str) -> PathBuf {
        self.directory.join("state").join(name)
    }

    fn wait_for<T>(&self, what: &str, mut there: impl FnMut(&Self) -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(there) = there(self) {
                return there;
            }
            assert!(start.elapsed() < Duration::from_secs(20), "never showed {what}: {}", self.log("stderr"));
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn ask(&self, request: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_owned(), body.to_owned())
    }

    fn get(&self, path: &str) -> String {
        let cookies = &self.cookies;
        self.ask(&format!(
            "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nCookie: {cookies}\r\n\r\n"
        ))
        .2
    }

    fn get_as_stranger(&self, path: &str) -> String {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")).2
    }

    fn post(&self, path: &str, headers: &str, body: &str) -> (u16, String, String) {
        let (port, length) = (self.port, body.len());
        self.ask(&format!(
            "POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        ))
    }

    fn join(&self) -> Value {
        serde_json::from_str(&self.get("/api/v1/join")).unwrap()
    }

    fn wait_for_state(&self, state: &str) -> Value {
        self.wait_for(state, |this| Some(this.join()).filter(|join| join["state"] == state))
    }

    fn say(&self, headers: &str, body: &str) -> u16 {
        self.post("/api/v1/join", &format!("{headers}Cookie: {}\r\n", self.cookies), body).0
    }

    /// What the box's own page sends.
    fn say_from_page(&self, accept: bool, session: &Value) -> u16 {
        let headers = format!("Content-Type: application/json\r\nOrigin: http://127.0.0.1:{}\r\n", self.port);
        self.say(&headers, &format!("{{\"accept\":{accept},\"session\":{session}}}"))
    }
}

impl Drop for TestBox {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if !self.directory.as_os_str().is_empty() && !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.directory);
        }
    }
}

fn free_port() -> u16 {
    simcam::ports::free(Ipv4Addr::LOCALHOST).unwrap()
}

#[test]
fn a_box_joins_when_its_owner_says_yes_on_its_own_page_and_stays_joined() {
    let cloud = Cloud::start(0);
    let mut joining = TestBox::start("join", &cloud.url(), "");
    let shown = joining.wait_for_state("code");
    assert_eq!(shown["code"], code(0));
    assert_eq!(shown["claim_url"], format!("{}/claim#{}", cloud.url(), code(0)));
    let seen = joining.get_as_stranger("/api/v1/join");
    assert!(!seen.contains("CANA-RYA") && !seen.contains("canarysession"), "{seen}");
    assert!(joining.get("/").contains("href=\"/setup/#join\""), "the list of cameras leads there");
    joining.wait_for("the code in its start lines", |this| {
        this.log("stdout")
            .lines()
            .any(|line| line.starts_with("join: ") && line.contains(&code(0)))
            .then_some(())
    });

    let number = cloud.claim("ACME <b>&");
    let asked = joining.wait_for_state("claimed");
    assert_eq!(asked["owner"], "ACME <b>&");
    let box_id = cloud.world().hellos[0].box_id.clone();
    assert_eq!(asked["box_id"], box_id.as_str());
    assert_eq!(asked["check_words"], check_words(&box_id, &session(number), "ACME <b>&"));
    let seen = joining.get_as_stranger("/api/v1/join");
    for hidden in [&asked["check_words"], &asked["session"], &asked["box_id"]] {
        assert!(!seen.contains(hidden.as_str().unwrap()), "{seen}");
    }

    // Others must not be able to say yes: a form, another page, no page, an answer to another question.
    let session = &asked["session"];
    let yes = format!("{{\"accept\":true,\"session\":{session}}}");
    let own = format!("Origin: http://127.0.0.1:{}\r\n", joining.port);
    let json = "Content-Type: application/json\r\n";
    for headers in [
        format!("{own}Content-Type: text/plain\r\n"),
        format!("{json}Origin: http://evil.example\r\n"),
        json.to_owned(),
        format!("{own}Content-Type: application/x-www-form-urlencoded\r\n"),
    ] {
        assert_eq!(joining.say(&headers, &yes), 403, "{headers}");
    }
    assert_eq!(joining.say(&format!("{json}{own}"), "{\"accept\":true,\"session\":\"other\"}"), 409);
    assert_eq!(joining.say(&format!("{json}{own}"), "{\"accept\":true}"), 400);
    assert_eq!(joining.say(&format!("{json}{own}"), &" ".repeat(70_000)), 413);
    assert_eq!(joining.post("/api/v1/join", &format!("{json}{own}"), &yes).0, 401, "not signed in");
    assert_eq!(joining.join()["state"], "claimed");
    assert!(cloud.world().joins.is_empty(), "nothing was signed");

    cloud.world().lose_answers = 1;
    assert_eq!(joining.say_from_page(true, session), 202);
    let joined = joining.wait_for_state("joined");
    assert_eq!(joined["owner"], "ACME <b>&");
    assert_eq!(cloud.world().joins.len(), 2, "the first answer was lost, so the box asked again");
    assert_eq!(joining.say_from_page(true, session), 409, "the question is no longer asked");
    joining.wait_for("the tunnel", |this| this.join()["tunnel"].is_object().then_some(()));
    assert_eq!(joining.join()["tunnel"]["address"], "10.13.1.1");
    for name in ["identity.key", "tunnel.key", "cloud.json"] {
        let mode = std::fs::metadata(joining.state(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let metrics = joining.get("/metrics");
    assert!(
        metrics.contains("streambox_cloud_joined 1") && metrics.contains("streambox_tunnel_up 0"),
        "{metrics}"
    );

    joining = joining.restart("join", &cloud.url(), "");
    assert_eq!(joining.wait_for_state("joined")["owner"], "ACME <b>&");
    assert_eq!(cloud.world().hellos.len(), 1, "a box that has joined does not ask again");
    let kept = joining.state("identity.key");
    let identity = std::fs::read_to_string(&kept).unwrap();
    let tunnel = std::fs::read_to_string(joining.state("tunnel.key")).unwrap();
    joining.terminate();
    // No key, code or session is ever logged, at any level; the first code is in the start lines for people.
    let log = joining.log("stderr");
    assert!(log.contains("asking to join") && log.contains("joined"), "{log}");
    for secret in [identity.trim(), tunnel.trim(), "CANA-RYA", "canarysession", PASSWORD] {
        assert!(!log.contains(secret), "{secret} was logged");
    }
    let lines = joining.log("stdout");
    assert_eq!(lines.matches("CANA-RYA").count(), 1, "{lines}");
    assert!(!lines.contains("canarysession"), "{lines}");
}

#[test]
fn a_no_and_an_expired_code_each_bring_another_code() {
    let cloud = Cloud::start(0);
    let asking = TestBox::start("renew", &cloud.url(), "");
    asking.wait_for_state("code");
    cloud.world().progress[0] = Progress::Expired;
    asking.wait_for("another code", |this| (this.join()["code"] == code(1)).then_some(()));
    cloud.claim("Mallory");
    let asked = asking.wait_for_state("claimed");
    assert_eq!(asking.say_from_page(false, &asked["session"]), 202);
    asking.wait_for("a third code", |this| (this.join()["code"] == code(2)).then_some(()));
    // A claim that is taken back is no longer asked about.
    cloud.claim("ACME");
    asking.wait_for_state("claimed");
    cloud.world().progress[2] = Progress::Expired;
    asking.wait_for("a fourth code", |this| (this.join()["code"] == code(3)).then_some(()));
    assert!(cloud.world().joins.is_empty());
    let nonces: std::collections::BTreeSet<_> =
        cloud.world().hellos.iter().map(|hello| hello.nonce.clone()).collect();
    assert_eq!(nonces.len(), 4, "no hello can be replayed");
}

#[test]
fn a_box_set_up_for_it_joins_whoever_claims_its_code() {
    let cloud = Cloud::start(0);
    let unattended = TestBox::start("unattended", &cloud.url(), "join = \"yes\"\n");
    unattended.wait_for_state("code");
    cloud.claim("ACME");
    assert_eq!(unattended.wait_for_state("joined")["owner"], "ACME");
    assert_eq!(cloud.world().joins[0].owner, "ACME");
}

#[test]
fn without_the_rights_for_a_tunnel_the_box_says_so_and_goes_on_for_its_network() {
    let cloud = Cloud::start(0);
    let unprivileged = TestBox::start("unprivileged", &cloud.url(), "join = \"yes\"\n");
    unprivileged.wait_for_state("code");
    cloud.claim("ACME");
    let sentence = unprivileged.wait_for("why there is no tunnel", |this| {
        this.join()["tunnel"]["sentence"].as_str().map(str::to_owned)
    });
    assert!(sentence.contains("CAP_NET_ADMIN") && sentence.contains("as root"), "{sentence}");
    assert!(unprivileged.get("/").contains("CAP_NET_ADMIN"));
    assert_eq!(unprivileged.get("/healthz"), "ok\n");
    assert!(unprivileged.log("stderr").contains("CAP_NET_ADMIN"));
}

#[test]
fn a_cloud_that_comes_later_is_found_and_what_stands_in_the_way_is_said() {
    let port = free_port();
    let early = TestBox::start("early", &format!("http://127.0.0.1:{port}"), "");
    let sentence = early.wait_for("why", |this| this.join()["sentence"].as_str().map(str::to_owned));
    assert!(sentence.contains("refuses the connection"), "{sentence}");
    assert!(early.get("/").contains("refuses the connection"), "the list of cameras says so, too");
    let cloud = Cloud::start(port);
    let shown = early.wait_for_state("code");
    assert_eq!(shown["sentence"], Value::Null);
    drop(cloud);
}

#[test]
fn a_revoked_box_stops_and_says_so() {
    let cloud = Cloud::start(0);
    cloud.world().revoked = true;
    let revoked = TestBox::start("revoked", &cloud.url(), "");
    let stopped = revoked.wait_for_state("stopped");
    assert!(stopped["sentence"].as_str().unwrap().contains("revoked this box"), "{stopped}");
    cloud.world().revoked = false;
    std::thread::sleep(Duration::from_secs(3));
    assert!(cloud.world().hellos.is_empty(), "it does not try again");
    assert_eq!(revoked.join()["state"], "stopped");
}

#[test]
fn a_damaged_key_is_said_and_the_cameras_go_on() {
    let cloud = Cloud::start(0);
    let damaged = TestBox::start("damaged", &cloud.url(), "");
    damaged.wait_for_state("code");
    std::fs::write(damaged.state("identity.key"), "canary").unwrap();
    let damaged = damaged.restart("damaged", &cloud.url(), "");
    let stopped = damaged.wait_for_state("stopped");
    let sentence = stopped["sentence"].as_str().unwrap();
    assert!(sentence.contains("identity.key") && sentence.contains("damaged"), "{sentence}");
    assert_eq!(
        std::fs::read_to_string(damaged.state("identity.key")).unwrap(),
        "canary",
        "nothing was replaced"
    );
    assert_eq!(damaged.get("/healthz"), "ok\n");
    assert!(!damaged.log("stderr").contains("canary"));
}
