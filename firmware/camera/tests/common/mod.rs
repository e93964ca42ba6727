//! A simulated camera in this process, and a listener to what the box makes of it.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::fmt::Write as _;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use camera::errand::{self, Errand, Outcome};
use camera::{Event, Output, Source, run};
use model::{CameraId, CameraState, StreamFacts, Trouble};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// A clip of the repository.
pub(crate) fn media(name: &str) -> String {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/media").join(name).display().to_string()
}

/// A running camera; it runs until the tests end.
pub(crate) struct Simcam {
    /// RTSP.
    pub(crate) rtsp: SocketAddr,
    /// ONVIF and snapshots.
    pub(crate) http: SocketAddr,
    control: SocketAddr,
}

/// A port that nobody has now.
fn free(host: Ipv4Addr) -> u16 {
    simcam::ports::free(host).unwrap()
}

impl Simcam {
    /// A camera on ports of its own.
    pub(crate) fn start(clip: &str, words: &[&str]) -> Self {
        let host = Ipv4Addr::LOCALHOST;
        Self::at(host, free(host), free(host), clip, words)
    }

    /// A camera of this address and these ports.
    pub(crate) fn at(host: Ipv4Addr, rtsp: u16, http: u16, clip: &str, words: &[&str]) -> Self {
        let control = SocketAddr::from((host, free(host)));
        let (clip, rtsp_text, http_text) = (media(clip), rtsp.to_string(), http.to_string());
        let (host_text, control_text) = (host.to_string(), control.to_string());
        let fixed = [
            "--clip",
            &clip,
            "--bind",
            &host_text,
            "--rtsp-port",
            &rtsp_text,
            "--http-port",
            &http_text,
            "--control",
            &control_text,
        ];
        let all = fixed.iter().chain(words).map(|word| (*word).to_owned());
        let options = simcam::cli::parse(all).unwrap().unwrap();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(simcam::run(&options)).unwrap();
        });
        let camera = Self { rtsp: (host, rtsp).into(), http: (host, http).into(), control };
        let began = Instant::now();
        while TcpStream::connect(control).is_err() {
            assert!(began.elapsed() < Duration::from_secs(30), "simcam does not come up");
            std::thread::sleep(Duration::from_millis(20));
        }
        camera
    }

    /// Says a line to its control socket.
    pub(crate) fn tell(&self, line: &str) -> String {
        let mut stream = TcpStream::connect(self.control).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.write_all(format!("{line}\n").as_bytes()).unwrap();
        let lines = BufReader::new(stream).lines().map(Result::unwrap).take_while(|line| line != ".");
        let answer = lines.collect::<Vec<_>>().join("\n");
        assert!(!answer.starts_with("error"), "{answer}");
        answer
    }

    /// A number of its facts: `wrong`, `right`, `sessions`, `requests`, `changes`.
    pub(crate) fn fact(&self, name: &str) -> u64 {
        let facts = self.tell("facts");
        let word = facts
            .split_whitespace()
            .find_map(|word| word.strip_prefix(&format!("{name}=")).map(str::to_owned));
        word.unwrap_or_else(|| panic!("{name} in {facts}")).parse().unwrap()
    }

    /// Its ONVIF device service.
    pub(crate) fn onvif(&self) -> String {
        format!("http://{}/onvif/device_service", self.http)
    }

    /// One of its streams.
    pub(crate) fn stream(&self, path: &str) -> String {
        format!("rtsp://{}/{path}", self.rtsp)
    }
}

/// A camera as the owner would add it.
pub(crate) fn source(url: &str, login: Option<(&str, &str)>) -> Source {
    let (user, password) = login
        .map_or((None, None), |(user, password)| (Some(user.to_owned()), Some(password.to_owned().into())));
    Source::new(CameraId::new("cam").unwrap(), url, user, password).unwrap()
}

/// Does an errand.
pub(crate) async fn send(source: &Source, errand: Errand) -> Result<Outcome, Trouble> {
    errand::run(source, errand, 7).await
}

struct Told(mpsc::UnboundedSender<Event>);

impl Output for Told {
    async fn send(&mut self, event: Event) -> io::Result<()> {
        self.0.send(event).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// What the box hears of one camera while it streams.
pub(crate) struct Listener {
    events: mpsc::UnboundedReceiver<Event>,
    running: tokio::task::JoinHandle<()>,
    /// Everything that was said so far, as a log would have it.
    pub(crate) said: String,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.running.abort();
    }
}

impl Listener {
    /// Starts to stream.
    pub(crate) fn of(source: Source) -> Self {
        let (told, events) = mpsc::unbounded_channel();
        let running = tokio::spawn(async move {
            let _ = run(source, &mut Told(told), 7).await;
        });
        Self { events, running, said: String::new() }
    }

    /// The next event.
    pub(crate) async fn event(&mut self) -> Event {
        let event = timeout(Duration::from_secs(40), self.events.recv()).await.expect("an event in time");
        let event = event.expect("the run goes on");
        if !matches!(event, Event::Unit(_)) {
            let _ = write!(self.said, "{event:?} ");
        }
        if let Event::State(state) = &event
            && let Some(trouble) = state.trouble()
        {
            self.said += &trouble.to_string();
        }
        event
    }

    /// The next picture or sound that comes within a time.
    pub(crate) async fn unit_within(&mut self, longest: Duration) -> Option<media::AccessUnit> {
        let unit = async {
            loop {
                if let Event::Unit(unit) = self.event().await {
                    return unit;
                }
            }
        };
        timeout(longest, unit).await.ok()
    }

    /// Waits for a picture.
    pub(crate) async fn unit(&mut self) -> media::AccessUnit {
        self.unit_within(Duration::from_secs(30)).await.expect("a picture")
    }

    /// Waits for the stream to run.
    pub(crate) async fn streaming(&mut self) -> StreamFacts {
        loop {
            if let Event::State(CameraState::Streaming(facts)) = self.event().await {
                return facts;
            }
        }
    }

    /// Waits for the next trouble; whether it is only the owner's to solve.
    pub(crate) async fn trouble(&mut self) -> (Trouble, bool) {
        loop {
            match self.event().await {
                Event::State(CameraState::Waiting { trouble, .. }) => return (trouble, false),
                Event::State(CameraState::Stopped { trouble }) => return (trouble, true),
                _ => {}
            }
        }
    }
}

/// Set where a test runs inside its namespaces.
const INSIDE: &str = "STREAMBOX_CAMERA_TEST";

/// Whether this test runs in a network of its own, where every port and multicast on the loopback are free. If not, runs it
/// there, so the caller returns.
pub(crate) fn inside() -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let is_root = std::process::Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout == b"0\n");
    let user: &[&str] = if is_root { &[] } else { &["-r"] };
    let prepare = "ip link set lo up multicast on && ip route add 239.0.0.0/8 dev lo && exec \"$0\" \"$@\"";
    let shell = |test: &[&str]| {
        let mut command = std::process::Command::new("unshare");
        command.args(user).args(["-mpfn", "--kill-child", "sh", "-c", prepare]).args(test).env(INSIDE, "1");
        command
    };
    let allowed = shell(&["true"]).output();
    if !allowed.as_ref().is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: needs root or user namespaces, and iproute2: {allowed:?}");
        return false;
    }
    let this = std::env::current_exe().unwrap().display().to_string();
    let name = std::thread::current().name().unwrap().to_owned();
    let status = shell(&[&this, "--exact", "--nocapture", "--test-threads=1", &name]).status().unwrap();
    assert!(status.success(), "{name} failed in its network");
    false
}

/// Runs a test's future.
pub(crate) fn on_runtime(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future);
}
