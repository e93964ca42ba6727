//! A box of a test's own, and browsers before its set-up page.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use serde_json::Value;
use socket2::{Domain, Socket, Type};

pub(crate) const PASSWORD: &str = "canary-owner-password";

/// A running box, killed with the test.
pub(crate) struct TestBox {
    pub(crate) child: Child,
    pub(crate) port: u16,
    pub(crate) directory: PathBuf,
}

/// What came back.
#[derive(Debug, Clone)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Got {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// A header line's value, by its lower-case name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// The cookies that a browser would keep.
    pub(crate) fn cookies(&self) -> String {
        let lines =
            self.head.lines().filter_map(|line| line.to_ascii_lowercase().find("set-cookie: ").map(|_| line));
        lines.map(|line| line[12..].split(';').next().unwrap()).collect::<Vec<_>>().join("; ")
    }
}

impl TestBox {
    pub(crate) fn start(name: &str, more: &str) -> Self {
        Self::start_at("127.0.0.1", name, more)
    }

    /// One that looks for cameras.
    pub(crate) fn start_searching(name: &str) -> Self {
        // In a namespace of its own every test has the same process id.
        let stale = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(stale);
        Self::start_with("127.0.0.1", name, "[discovery]\nenabled = true\n")
    }

    pub(crate) fn start_at(address: &str, name: &str, more: &str) -> Self {
        Self::start_with(address, name, &format!("[discovery]\nenabled = false\n{more}"))
    }

    fn start_with(address: &str, name: &str, more: &str) -> Self {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        let port = free_port();
        std::fs::create_dir_all(&directory).unwrap();
        let config = format!(
            "[http]\nlisten = \"{address}:{port}\"\n[log]\nlevel = \"trace\"\n\
             [state]\ndir = \"{}/state\"\n{more}",
            directory.display()
        );
        let file = directory.join("box.toml");
        std::fs::write(&file, config).unwrap();
        let log = |name: &str| File::options().create(true).append(true).open(directory.join(name)).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_boxd"))
            .arg("--config")
            .arg(&file)
            .stdout(log("stdout"))
            .stderr(log("stderr"))
            .spawn()
            .unwrap();
        let started = Self { child, port, directory };
        started.wait_for("its page", || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
        started
    }

    /// A box with an owner, and the owner's cookies.
    pub(crate) fn owned(name: &str, more: &str) -> (Self, String) {
        let started = Self::start(name, more);
        let got = started.claim(PASSWORD);
        assert_eq!(got.status, 200, "{got:?}");
        let cookies = got.cookies();
        (started, cookies)
    }

    pub(crate) fn wait_for(&self, what: &str, mut there: impl FnMut() -> bool) {
        let start = Instant::now();
        while !there() {
            assert!(start.elapsed() < Duration::from_secs(20), "never showed {what}: {}", self.log("stderr"));
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.directory.join(name)).unwrap()
    }

    /// Sends bytes from an address of loopback.
    pub(crate) fn ask_from(&self, from: Ipv4Addr, request: &str) -> Got {
        answer(&mut self.connect(from), request)
    }

    pub(crate) fn connect(&self, from: Ipv4Addr) -> TcpStream {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
        socket.connect(&SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)).into()).unwrap();
        socket.into()
    }

    pub(crate) fn ask(&self, request: &str) -> Got {
        self.ask_from(Ipv4Addr::LOCALHOST, request)
    }

    pub(crate) fn get(&self, path: &str, cookies: &str) -> Got {
        let port = self.port;
        self.ask(&format!(
            "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\nCookie: {cookies}\r\n\r\n"
        ))
    }

    /// What the page itself sends.
    pub(crate) fn post_from(&self, from: Ipv4Addr, path: &str, cookies: &str, body: &str) -> Got {
        self.ask_from(from, &self.post_text(path, cookies, body))
    }

    pub(crate) fn post_text(&self, path: &str, cookies: &str, body: &str) -> String {
        format!(
            "POST /api/v1/setup/{path} HTTP/1.1\r\nHost: 127.0.0.1:{0}\r\nOrigin: http://127.0.0.1:{0}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nCookie: {cookies}\r\nContent-Length: {1}\r\n\r\n{body}",
            self.port,
            body.len()
        )
    }

    pub(crate) fn post(&self, path: &str, cookies: &str, body: &str) -> Got {
        self.post_from(Ipv4Addr::LOCALHOST, path, cookies, body)
    }

    pub(crate) fn claim(&self, password: &str) -> Got {
        self.post("claim", "", &format!("{{\"password\":\"{password}\",\"language\":\"kk\"}}"))
    }

    pub(crate) fn login(&self, password: &str) -> Got {
        self.login_from(Ipv4Addr::LOCALHOST, password)
    }

    pub(crate) fn login_from(&self, from: Ipv4Addr, password: &str) -> Got {
        self.post_from(from, "login", "", &format!("{{\"password\":\"{password}\"}}"))
    }

    pub(crate) fn state(&self, cookies: &str) -> Value {
        let got = self.get("/api/v1/setup/state", cookies);
        assert_eq!(got.status, 200, "{got:?}");
        got.json()
    }

    /// The page's process.
    pub(crate) fn page(&self) -> Option<i32> {
        let pid = self.child.id();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        let mut children = children.split_whitespace().map(|pid| pid.parse().unwrap());
        children.find(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.starts_with(b"boxd\0setup\0")
        })
    }

    /// Memory that the box and its page hold now, KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        let of = |pid: u32| {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
            line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0)
        };
        of(self.child.id()) + self.page().map_or(0, |pid| of(pid as u32))
    }
}

impl Drop for TestBox {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.directory);
        }
    }
}

/// Sends a request and reads to the end of the connection; status 0 when nothing came.
pub(crate) fn answer(stream: &mut TcpStream, request: &str) -> Got {
    stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
    // The box may close before it has read everything: its answer counts.
    let _ = stream.write_all(request.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Got { status, head: head.to_owned(), body: body.to_owned() }
}

pub(crate) fn free_port() -> u16 {
    simcam::ports::free(Ipv4Addr::LOCALHOST).unwrap()
}
