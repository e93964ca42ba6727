//! The built box as a process: what it serves, how it ends, what it refuses. Only loopback is touched.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a test of a process from outside")]
#![allow(clippy::unwrap_used, reason = "helpers of tests may fail the test")]

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use socket2::{Domain, Socket, Type};

const BOXD: &str = env!("CARGO_BIN_EXE_boxd");

/// A running box that is killed with the test.
struct TestBox {
    child: Child,
    port: u16,
    directory: PathBuf,
}

impl TestBox {
    fn start(name: &str, cameras: &str) -> Self {
        let port = free_port();
        let (directory, file) = written(
            name,
            &format!("[http]\nlisten = \"127.0.0.1:{port}\"\n[discovery]\nenabled = false\n{cameras}"),
        );
        let child = Command::new(BOXD)
            .arg("--config")
            .arg(&file)
            .stderr(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let started = Self { child: child.unwrap(), port, directory };
        started.wait_for("its page", || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
        started
    }

    fn wait_for(&self, what: &str, there: impl FnMut() -> bool) {
        self.wait_within(Duration::from_secs(10), what, there);
    }

    fn wait_within(&self, longest: Duration, what: &str, mut there: impl FnMut() -> bool) {
        let start = Instant::now();
        while !there() {
            assert!(start.elapsed() < longest, "the box on port {} never showed {what}", self.port);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn ask(&self, request: &str) -> String {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        ask(&mut stream, request)
    }

    fn get(&self, path: &str) -> String {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"))
    }

    fn cameras(&self) -> Vec<Value> {
        let answer = self.get("/api/v1/cameras");
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str::<Value>(body).unwrap().as_array().unwrap().clone()
    }

    fn workers(&self) -> Vec<i32> {
        let pid = self.child.id();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        let camera = |pid: &i32| {
            std::fs::read(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|line| line.starts_with(b"boxd\0camera\0"))
        };
        children.split_whitespace().map(|pid| pid.parse().unwrap()).filter(camera).collect()
    }

    /// Most memory that a process of it has held, KiB.
    fn peak_kib(pid: u32) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Ends it as a service manager would; its exit code, how long it took, and what it said.
    fn terminate(mut self) -> (Option<i32>, Duration, String) {
        let start = Instant::now();
        kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM).unwrap();
        let code = self.child.wait().unwrap().code();
        let took = start.elapsed();
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        self.child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        (code, took, said)
    }
}

impl Drop for TestBox {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn ask(stream: &mut TcpStream, request: &str) -> String {
    stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
    // The box may close before it has read everything: its answer counts.
    let _ = stream.write_all(request.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn free_port() -> u16 {
    simcam::ports::free(Ipv4Addr::LOCALHOST).unwrap()
}

fn written(name: &str, config: &str) -> (PathBuf, PathBuf) {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let file = directory.join("box.toml");
    std::fs::write(&file, format!("{config}[state]\ndir = \"{}/state\"\n", directory.display())).unwrap();
    (directory, file)
}

fn camera(id: &str, url: &str) -> String {
    format!("[[camera]]\nid = \"{id}\"\nurl = \"{url}\"\nuser = \"admin\"\npassword = \"canary-password\"\n")
}

fn alive(pid: i32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[test]
fn bad_cameras_each_say_what_is_wrong_and_the_box_serves_and_ends_cleanly() {
    let http = TcpListener::bind("127.0.0.1:0").unwrap();
    let http_port = http.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in http.incoming().flatten() {
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let closed_port = free_port();
    let cameras = [
        camera("nohost", "rtsp://no-such-host.invalid/a"),
        camera("closed", &format!("rtsp://127.0.0.1:{closed_port}/a")),
        camera("web", &format!("rtsp://127.0.0.1:{http_port}/a")),
    ];
    let running = TestBox::start("bad-cameras", &cameras.concat());
    assert!(running.get("/healthz").starts_with("HTTP/1.1 200 OK\r\n"));

    let trouble = |id: &str| {
        let cameras = running.cameras();
        let camera = cameras.iter().find(|camera| camera["id"] == id).unwrap();
        let code = camera["state"]["trouble"]["trouble"].as_str().unwrap_or_default().to_owned();
        (code, camera["sentence"].as_str().unwrap_or_default().to_owned())
    };
    for (id, code, word) in [
        ("nohost", "unknown_host", "no-such-host.invalid"),
        ("closed", "unreachable", "Nothing answers"),
        ("web", "not_rtsp", "not a camera stream"),
    ] {
        running.wait_for(&format!("{code} for {id}"), || trouble(id).0 == code);
        assert!(trouble(id).1.contains(word), "{id}: {}", trouble(id).1);
    }
    // A stream that cannot come is refused at once, with the reason, instead of being waited for.
    let start = Instant::now();
    let refused = running.get("/closed/index.m3u8");
    assert!(refused.starts_with("HTTP/1.1 503 ") && refused.contains("Nothing answers"), "{refused}");
    assert!(
        refused.to_ascii_lowercase().contains("retry-after: 1") && start.elapsed() < Duration::from_secs(2)
    );

    let workers = running.workers();
    assert_eq!(workers.len(), 3);
    let (code, took, said) = running.terminate();
    assert_eq!(code, Some(0), "{said}");
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert!(!workers.into_iter().any(alive), "a worker was left behind");
    assert!(said.contains("page: http://127.0.0.1:"), "{said}");
    assert!(!said.contains("canary-password") && !said.contains("ERROR"), "{said}");
}

#[test]
fn a_killed_worker_comes_back_alone() {
    let port = free_port();
    let cameras = [
        camera("one", &format!("rtsp://127.0.0.1:{port}/a")),
        camera("two", &format!("rtsp://127.0.0.1:{port}/a")),
    ];
    let running = TestBox::start("killed-worker", &cameras.concat());
    running.wait_for("both workers", || running.workers().len() == 2);
    let before = running.workers();
    let start = Instant::now();
    kill(Pid::from_raw(before[0]), Signal::SIGKILL).unwrap();
    running.wait_for("another worker", || {
        let now = running.workers();
        now.len() == 2 && !now.contains(&before[0])
    });
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    assert!(running.workers().contains(&before[1]), "the other worker was disturbed");
    let restarts: Vec<_> =
        running.cameras().iter().map(|camera| camera["facts"]["worker_restarts"].clone()).collect();
    assert!(restarts.contains(&1.into()) && restarts.contains(&0.into()), "{restarts:?}");
}

#[test]
fn workers_die_with_the_box() {
    let mut running =
        TestBox::start("orphans", &camera("one", &format!("rtsp://127.0.0.1:{}/a", free_port())));
    running.wait_for("its worker", || running.workers().len() == 1);
    let workers = running.workers();
    running.child.kill().unwrap();
    running.child.wait().unwrap();
    running.wait_for("the end of its worker", || !workers.iter().copied().any(alive));
}

#[test]
fn what_the_door_does_not_understand_gets_its_own_answer() {
    let running = TestBox::start("door", &camera("one", &format!("rtsp://127.0.0.1:{}/a", free_port())));
    let head = "Host: 127.0.0.1\r\nConnection: close\r\n";
    for (request, status) in [
        (format!("GET /nothing HTTP/1.1\r\n{head}\r\n"), 404),
        (format!("GET /nothing/1.m4s HTTP/1.1\r\n{head}\r\n"), 404),
        (format!("GET /one/../healthz HTTP/1.1\r\n{head}\r\n"), 404),
        (format!("GET /one/live.m3u8?_HLS_msn=x HTTP/1.1\r\n{head}\r\n"), 400),
        (format!("GET /one HTTP/1.1\r\n{head}\r\n"), 308),
        ("GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n".to_owned(), 421),
        ("GET / HTTP/1.1\r\nConnection: close\r\n\r\n".to_owned(), 400),
        (format!("POST /api/v1/cameras HTTP/1.1\r\n{head}Content-Length: 2\r\n\r\n{{}}"), 405),
        (format!("GET / HTTP/1.1\r\n{head}Content-Length: 99999999999\r\n\r\n"), 413),
        (format!("GET / HTTP/1.1\r\n{head}Content-Length: 1\r\nContent-Length: 2\r\n\r\nx"), 400),
        (format!("GET / HTTP/1.1\r\n{head}X: {}\r\n\r\n", "y".repeat(64 << 10)), 431),
        (format!("GET / HTTP/1.1\r\n{head}{}\r\n", "X: y\r\n".repeat(200)), 431),
        (format!("GET / HTTP/1.1\r\n{head}Transfer-Encoding: gzip\r\n\r\n"), 400),
        (format!("GET / HTTP/1.1\r\n{head}Transfer-Encoding: chunked, identity\r\n\r\n"), 400),
        (format!("GET / HTTP/1.1\r\n{head}Content-Length: +1\r\n\r\nx"), 400),
    ] {
        let answer = running.ask(&request);
        let line = answer.lines().next().unwrap_or_default();
        assert!(
            line.starts_with(&format!("HTTP/1.1 {status} ")),
            "{}: {line:?}",
            &request[..request.len().min(80)]
        );
    }
    let preflight =
        running.ask(&format!("OPTIONS /one/live.m3u8 HTTP/1.1\r\n{head}Origin: http://x\r\n\r\n"));
    assert!(preflight.contains("access-control-allow-origin: *"), "{preflight}");
    let api = running.ask(&format!("OPTIONS /api/v1/cameras HTTP/1.1\r\n{head}Origin: http://x\r\n\r\n"));
    assert!(!api.contains("access-control"), "{api}");
    let head_only = running.ask(&format!("HEAD /healthz HTTP/1.1\r\n{head}\r\n"));
    assert!(head_only.contains("content-length: 3") && head_only.ends_with("\r\n\r\n"), "{head_only}");
}

#[test]
fn one_peer_with_half_open_connections_shuts_nobody_else_out() {
    let running = TestBox::start("half-open", "");
    let box_address = SocketAddr::from((Ipv4Addr::LOCALHOST, running.port));
    let mut half_open = Vec::new();
    // The box closes what is beyond the peer's share at once; only so many descriptors are there for the rest.
    for number in 0..5000 {
        let Ok(mut stream) = TcpStream::connect(box_address) else { continue };
        if stream.write_all(b"GET / HTTP/1.1\r\nHost: 127").is_ok() && number < 400 {
            half_open.push(stream);
        }
    }
    let from_elsewhere = || {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), 0)).into()).unwrap();
        socket.connect(&box_address.into()).unwrap();
        ask(&mut socket.into(), "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
    };
    assert!(from_elsewhere().starts_with("HTTP/1.1 200 OK"));
    assert!(!running.get("/healthz").starts_with("HTTP/1.1 200"), "the greedy peer has used up its share");
    // After the time for a request's head, its share is free again.
    running.wait_within(Duration::from_secs(13), "room again", || {
        running.get("/healthz").starts_with("HTTP/1.1 200")
    });
    drop(half_open);
    let peak = TestBox::peak_kib(running.child.id());
    assert!(peak < 48 << 10, "the box took {peak} KiB");
}

#[test]
fn a_socket_may_be_inherited() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (directory, file) =
        written("inherited", "[http]\nlisten = \"127.0.0.1:1\"\n[discovery]\nenabled = false\n");
    let child = Command::new("sh")
        .args(["-c", "exec \"$0\" --config \"$1\" 3<&0 </dev/null", BOXD])
        .arg(&file)
        .env("LISTEN_FDS", "1")
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(listener)))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let running = TestBox { child, port: address.port(), directory };
    assert!(running.get("/healthz").starts_with("HTTP/1.1 200 OK"));
    assert_eq!(running.terminate().0, Some(0));
}

fn run(arguments: &[&str]) -> Output {
    Command::new(BOXD).args(arguments).output().unwrap()
}

#[test]
fn wrong_use_is_told_apart_from_failure() {
    let (directory, file) =
        written("wrong", "[http]\nlisten = \"127.0.0.1:0\"\n\n[[camera]]\nid = \"gate\"\nusr = \"x\"\n");
    let name = file.to_str().unwrap();
    let output = run(&["--config", name]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        said,
        format!("boxd: {name}:6: [[camera]] gate: unknown key \"usr\" (did you mean \"user\"?)\n")
    );

    assert_eq!(run(&["--config", "/no/such/file"]).status.code(), Some(2));
    assert_eq!(run(&["--port"]).status.code(), Some(2));
    assert_eq!(run(&["--help"]).status.code(), Some(0));

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    std::fs::write(&file, format!("[http]\nlisten = \"127.0.0.1:{port}\"\n")).unwrap();
    let output = run(&["--config", name]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains(&format!("port {port} is taken")), "{said}");
    let _ = std::fs::remove_dir_all(directory);
}
