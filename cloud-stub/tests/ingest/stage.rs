//! A cloud of its own for each test, and cameras for it.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) use crate::folder::Folder;

/// A port that nobody has now.
pub(crate) fn free() -> u16 {
    simcam::ports::free(Ipv4Addr::LOCALHOST).unwrap()
}

/// Tries again until it is so.
pub(crate) fn until<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < limit, "{what} did not happen within {limit:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The names of a playlist with this ending.
pub(crate) fn listed<'p>(playlist: &'p str, ending: &str) -> impl Iterator<Item = &'p str> {
    let lines = playlist.lines().filter(|line| !line.starts_with('#'));
    lines.filter(move |line| line.rsplit_once('.').is_some_and(|(_, last)| last == ending))
}

/// A cloud's process.
pub(crate) struct Cloud {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) config: PathBuf,
    pub(crate) log: PathBuf,
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then(|| value.to_owned())
        })
    }

    /// Everything that a stranger sees but the time.
    pub(crate) fn looks(&self) -> String {
        let head: Vec<_> =
            self.head.lines().filter(|line| !line.to_lowercase().starts_with("date:")).collect();
        format!("{head:?} {}", self.text())
    }
}

impl Cloud {
    /// A cloud with these lines in its configuration.
    pub(crate) fn start(folder: &Folder, lines: &str) -> Self {
        let port = free();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut text =
            format!("[http]\nlisten = \"127.0.0.1:{port}\"\n[hub]\nlisten = \"127.0.0.1:{udp}\"\n");
        writeln!(text, "[store]\nurl = \"sqlite:{}\"", folder.0.join("cloud.db").display()).unwrap();
        text.push_str(lines);
        let (config, log) = (folder.0.join("cloud.toml"), folder.0.join("cloud.log"));
        std::fs::write(&config, text).unwrap();
        Self::run(config, log, SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
    }

    fn run(config: PathBuf, log: PathBuf, address: SocketAddr) -> Self {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&log).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_cloud"))
            .arg("--config")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .process_group(0)
            .spawn()
            .unwrap();
        let mut cloud = Self { child, address, config, log };
        until("the cloud's start", Duration::from_secs(60), || {
            let ended = cloud.child.try_wait().unwrap();
            assert!(ended.is_none(), "{ended:?}: {}", cloud.said());
            let up = TcpStream::connect(address).is_ok();
            (up && cloud.get("/healthz").status == 200).then_some(())
        });
        cloud
    }

    /// The same one again, after its end.
    pub(crate) fn again(mut self) -> Self {
        self.stop();
        Self::run(self.config.clone(), self.log.clone(), self.address)
    }

    /// Ends it as an operator would.
    pub(crate) fn stop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(self.child.id() as i32);
        if self.child.try_wait().unwrap().is_none() {
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
            self.child.wait().unwrap();
        }
    }

    /// Everything that it has logged.
    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], None)
    }

    pub(crate) fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&serde_json::Value>,
    ) -> Answer {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(40))).unwrap();
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n", self.address);
        for (name, value) in headers {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        let body = body.map(ToString::to_string).unwrap_or_default();
        if !body.is_empty() {
            write!(head, "content-type: application/json\r\ncontent-length: {}\r\n", body.len()).unwrap();
        }
        stream.write_all(format!("{head}\r\n{body}").as_bytes()).unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        let end = all.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
        let head = String::from_utf8_lossy(&all[..end]).into_owned();
        let status = head.split_whitespace().nth(1).unwrap().parse().unwrap();
        let body = all[end + 4..].to_vec();
        assert!(!head.to_lowercase().contains("transfer-encoding"), "{head}");
        Answer { status, head, body }
    }

    /// The live playlist of a camera that plays, and the first segment that it lists.
    pub(crate) fn plays(&self, id: &str) -> (String, String) {
        until(&format!("{id} plays"), Duration::from_secs(60), || {
            let playlist = self.get(&format!("/{id}/live.m3u8"));
            let text = playlist.text();
            let segment = listed(&text, "m4s").next()?.to_owned();
            Some((text.clone(), segment))
        })
    }

    /// Processes that it has started, by a word of their command line.
    pub(crate) fn children(&self, word: &str) -> Vec<u32> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").unwrap().filter_map(Result::ok) {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
                continue;
            };
            let read = |file: &str| std::fs::read(entry.path().join(file)).unwrap_or_default();
            let line = String::from_utf8_lossy(&read("cmdline")).replace('\0', " ");
            let stat = String::from_utf8_lossy(&read("stat")).into_owned();
            let parent =
                stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse().ok());
            if parent == Some(self.child.id()) && line.contains(word) {
                found.push(pid);
            }
        }
        found
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the cloud said:\n{}", self.said());
            let _ = self.child.kill();
            let _ = self.child.wait();
        } else {
            self.stop();
        }
    }
}

/// A simulated camera in this process; it runs until the tests end.
pub(crate) struct Simcam {
    pub(crate) rtsp: SocketAddr,
    control: SocketAddr,
}

impl Simcam {
    pub(crate) fn start(words: &[&str]) -> Self {
        let (rtsp, http, control) = (free(), free(), SocketAddr::from((Ipv4Addr::LOCALHOST, free())));
        let clip = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/media/gate.h264");
        let mut all: Vec<String> =
            ["--clip", clip.to_str().unwrap(), "--bind", "127.0.0.1"].map(str::to_owned).to_vec();
        let ports = [("--rtsp-port", rtsp.to_string()), ("--http-port", http.to_string())];
        for (name, value) in ports.into_iter().chain([("--control", control.to_string())]) {
            all.extend([name.to_owned(), value]);
        }
        all.extend(words.iter().map(|word| (*word).to_owned()));
        let options = simcam::cli::parse(all).unwrap().unwrap();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(simcam::run(&options)).unwrap();
        });
        until("simcam", Duration::from_secs(30), || TcpStream::connect(control).ok().map(drop));
        Self { rtsp: (Ipv4Addr::LOCALHOST, rtsp).into(), control }
    }

    /// Says a line to its control socket.
    pub(crate) fn tell(&self, line: &str) -> String {
        let mut stream = TcpStream::connect(self.control).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.write_all(format!("{line}\n").as_bytes()).unwrap();
        let lines = BufReader::new(stream).lines().map(Result::unwrap).take_while(|line| line != ".");
        lines.collect::<Vec<_>>().join("\n")
    }

    /// A number of its facts.
    pub(crate) fn fact(&self, name: &str) -> u64 {
        let facts = self.tell("facts");
        let word = facts.split_whitespace().find_map(|word| word.strip_prefix(&format!("{name}=")));
        word.unwrap_or_else(|| panic!("{name} in {facts}")).parse().unwrap()
    }

    pub(crate) fn url(&self) -> String {
        format!("rtsp://{}/main", self.rtsp)
    }
}
