//! What the owner may choose, read from a TOML file.
//!
//! Every error names file, line and key, and never repeats a value that may hold a password. [`KEYS`] is the one list
//! of keys: the reader refuses what is not in it, and `boxd --help` prints it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use board::{ButtonAt, LightsAt};
use camera::{Source, StreamChoice, Transport};
use model::{CameraId, Private};
use settings::{Error as ConfigError, Section, Table};

use crate::cloud::{CloudAddress, Consent};

mod keys;

pub(crate) use keys::KEYS;

/// Everything that the owner chose.
#[derive(Debug)]
pub(crate) struct Config {
    /// The file that it was read from; `None`: none.
    pub(crate) file: Option<PathBuf>,
    /// The front door.
    pub(crate) http: Http,
    /// Where the little that must survive a restart is kept; made when first needed.
    pub(crate) state_dir: PathBuf,
    /// The cloud that makes public links; `None`: none.
    pub(crate) tunnel: Option<Tunnel>,
    /// Logging.
    pub(crate) log: Log,
    /// Packaging.
    pub(crate) hls: media::Options,
    /// Looking for cameras on the LAN.
    pub(crate) discovery: Discovery,
    /// Lights and button.
    pub(crate) board: Board,
    /// Updates.
    pub(crate) update: Update,
    /// What watches over the box.
    pub(crate) guard: Guard,
    /// The set-up page.
    pub(crate) setup: Setup,
    /// The configured cameras, in the order of the file.
    pub(crate) cameras: Vec<Source>,
}

/// Where the front door listens and by which names it may be called.
#[derive(Debug)]
pub(crate) struct Http {
    /// Address and port.
    pub(crate) listen: SocketAddr,
    /// Extra host names, lower case, without port.
    pub(crate) hosts: Vec<String>,
    /// The plain name on the LAN, without `.local`.
    pub(crate) name: String,
    /// Whether the box tells the LAN its names.
    pub(crate) announce: bool,
    /// Where the pages are also served over TLS.
    pub(crate) tls: TlsListen,
}

/// Where the pages are served over TLS with the box's own certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TlsListen {
    /// Beside the plain pages: port 443 beside port 80, else port 8443. Nowhere while the plain pages are for this machine
    /// only, or on a socket that was handed down: whoever arranged that arranges TLS, too.
    Beside,
    /// Nowhere.
    Off,
    /// There.
    At(SocketAddr),
}

/// What the board has for people to see and to press.
#[derive(Debug, Clone, Default)]
pub(crate) struct Board {
    /// The lights; `None`: the board's own, as its map says.
    pub(crate) lights: Option<LightsAt>,
    /// The reset button; `None`, too.
    pub(crate) button: Option<ButtonAt>,
    /// The partition map; `None`: the box has one system and does not update itself.
    pub(crate) map: Option<PathBuf>,
    /// The disk that the map is of; `None`: the one that the map names.
    pub(crate) disk: Option<PathBuf>,
    /// Where the kernel says how it was started; `None`: where it always does.
    pub(crate) command_line: Option<PathBuf>,
}

/// Where updates come from, and when they are taken.
#[derive(Debug, Clone)]
pub(crate) struct Update {
    /// Whether the box looks for updates by itself.
    pub(crate) enabled: bool,
    /// Where releases are: `http://` or `https://`, without a slash at the end. What they serve is signed.
    pub(crate) mirrors: Vec<String>,
    /// Whether the cloud says which release to take; `None`: when there is a cloud.
    pub(crate) cloud: Option<bool>,
    /// Between two looks.
    pub(crate) every: Duration,
    /// Whether the box restarts by itself into a new system.
    pub(crate) restart: bool,
    /// The first root metadata that is trusted.
    pub(crate) root: PathBuf,
    /// Where USB sticks with releases are looked for.
    pub(crate) usb: Usb,
    /// How long a new system must be well before it stays.
    pub(crate) healthy: Duration,
    /// How long it has for that.
    pub(crate) deadline: Duration,
    /// How long the old system waits before it tries one again that ended without a verdict.
    pub(crate) retry: Duration,
}

/// Where USB sticks are looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Usb {
    /// At the box's ports; they are mounted.
    Auto,
    /// Nowhere.
    Off,
    /// In this folder, where something else mounts them.
    Folder(PathBuf),
}

/// What watches over the box: `boxd guard`.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    /// The watchdog that it feeds.
    pub(crate) watchdog: WatchdogAt,
    /// How long after the last feeding the watchdog bites.
    pub(crate) bite: Duration,
    /// A box that says nothing for so long is taken for hung.
    pub(crate) silent: Duration,
    /// How the machine is restarted.
    pub(crate) restart: Restart,
}

/// Where the watchdog is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WatchdogAt {
    /// Nowhere.
    None,
    /// The kernel's, a device node.
    Device(PathBuf),
    /// A file that says how often it was fed.
    File(PathBuf),
}

/// How the guard has the machine restarted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Restart {
    /// It ends with an exit code that init knows.
    Exit,
    /// It asks the kernel, at once.
    Kernel,
    /// It starts a program.
    Program(PathBuf),
}

/// The set-up page.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setup {
    /// Whether there is one.
    pub(crate) enabled: bool,
    /// How long after its start a box without an owner can be claimed.
    pub(crate) claim: Duration,
}

/// The cloud, and how the box reaches it.
#[derive(Debug, Clone)]
pub(crate) struct Tunnel {
    /// Where it is.
    pub(crate) cloud: CloudAddress,
    /// A PEM file of root certificates that count beside the usual ones.
    pub(crate) ca: Option<PathBuf>,
    /// Who says yes to joining.
    pub(crate) join: Consent,
    /// Most bits per second that may go out.
    pub(crate) uplink: Option<u64>,
}

/// How log lines look, and how many there are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Log {
    /// Text or JSON.
    pub(crate) format: LogFormat,
    /// The least important level that is written.
    pub(crate) level: tracing::Level,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// One line of text each.
    Text,
    /// One JSON object per line.
    Json,
}

/// How cameras are looked for on the LAN.
#[derive(Debug)]
pub(crate) struct Discovery {
    /// At all.
    pub(crate) enabled: bool,
    /// Also by trying RTSP ports on the box's own subnets.
    pub(crate) sweep: bool,
    /// Only on these network interfaces; empty: on all.
    pub(crate) interfaces: Vec<String>,
    /// Stream every camera that is found.
    pub(crate) adopt: bool,
    /// User name for adopted cameras.
    pub(crate) user: Option<String>,
    /// Password for adopted cameras.
    pub(crate) password: Option<Private<String>>,
}

/// Default state directory: the system's for root, the user's own otherwise.
pub(crate) fn default_state_dir(root: bool, home: Option<PathBuf>) -> PathBuf {
    match (root, home) {
        (true, _) => PathBuf::from("/var/lib/streambox"),
        (false, Some(home)) if home.is_absolute() => home.join("streambox"),
        (false, _) => PathBuf::from("streambox-state"),
    }
}

impl Config {
    /// The configuration without a file.
    ///
    /// # Errors
    /// None in practice: the empty text is valid.
    pub(crate) fn defaults(state_dir: PathBuf) -> Result<Self, ConfigError> {
        Self::parse("(defaults)", "", state_dir)
    }

    /// Reads a file's text; `file` is its name for errors.
    ///
    /// # Errors
    /// The first thing in the text that is wrong, with its line.
    pub(crate) fn parse(file: &str, text: &str, state_dir: PathBuf) -> Result<Self, ConfigError> {
        let document = settings::document(file, text)?;
        let root = Table::root(file, text, &document, KEYS)?;

        let http = root.section("http")?;
        let http = Http {
            listen: http
                .parsed("listen", "an address and port such as \"0.0.0.0:8080\"", |text| text.parse().ok())?
                .unwrap_or(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8080))),
            hosts: http.strings("hosts")?.into_iter().map(|host| host.to_ascii_lowercase()).collect(),
            name: http
                .parsed("name", "1 to 32 of a-z, 0-9 and -, such as \"streambox\"", host_label)?
                .unwrap_or_else(|| "streambox".to_owned()),
            announce: http.boolean("announce")?.unwrap_or(true),
            tls: http
                .parsed("tls_listen", "\"off\", or an address and port such as \"0.0.0.0:8443\"", |text| {
                    if text == "off" { Some(TlsListen::Off) } else { text.parse().ok().map(TlsListen::At) }
                })?
                .unwrap_or(TlsListen::Beside),
        };

        let board = root.section("board")?;
        let path = |key| -> Result<_, ConfigError> { Ok(board.string(key)?.map(PathBuf::from)) };
        let board = Board {
            lights: place(&board, "lights")?,
            button: place(&board, "button")?,
            map: path("map")?,
            disk: path("disk")?,
            command_line: path("command_line")?,
        };
        let update = update(&root.section("update")?)?;
        let guard = guard(&root.section("guard")?)?;

        let setup = root.section("setup")?;
        let claim = setup.integer("claim_minutes", 1..=1440)?.unwrap_or(30);
        let setup = Setup {
            enabled: setup.boolean("enabled")?.unwrap_or(true),
            claim: Duration::from_secs(claim * 60),
        };

        let state_dir = root.section("state")?.string("dir")?.map_or(state_dir, PathBuf::from);

        let tunnel = tunnel(&root.section("tunnel")?)?;

        let log = root.section("log")?;
        let log = Log {
            format: log
                .choice("format", &[("text", LogFormat::Text), ("json", LogFormat::Json)])?
                .unwrap_or(LogFormat::Text),
            level: log.choice("level", &LEVELS)?.unwrap_or(tracing::Level::INFO),
        };

        let hls = root.section("hls")?;
        let usual = media::Options::default();
        let hls = media::Options {
            part: hls.integer("part_ms", 50..=2000)?.map_or(usual.part, Duration::from_millis),
            window: hls.integer("window_seconds", 4..=600)?.map_or(usual.window, Duration::from_secs),
            window_bytes: hls.integer("window_mib", 1..=1024)?.map_or(usual.window_bytes, |mib| mib << 20),
            ..usual
        };

        let discovery = root.section("discovery")?;
        let (user, password) = login(&discovery)?;
        let discovery = Discovery {
            enabled: discovery.boolean("enabled")?.unwrap_or(true),
            sweep: discovery.boolean("sweep")?.unwrap_or(true),
            interfaces: discovery.strings("interfaces")?,
            adopt: discovery.boolean("adopt")?.unwrap_or(false),
            user,
            password,
        };

        let mut cameras: Vec<Source> = Vec::new();
        for table in root.sections("camera")? {
            let camera = source(&table)?;
            if cameras.iter().any(|other| other.id == camera.id) {
                return Err(table.error("id", "another camera has this id already"));
            }
            cameras.push(camera);
        }
        Ok(Self {
            file: None,
            http,
            state_dir,
            tunnel,
            log,
            hls,
            discovery,
            board,
            update,
            guard,
            setup,
            cameras,
        })
    }
}

const LEVELS: [(&str, tracing::Level); 5] = [
    ("error", tracing::Level::ERROR),
    ("warn", tracing::Level::WARN),
    ("info", tracing::Level::INFO),
    ("debug", tracing::Level::DEBUG),
    ("trace", tracing::Level::TRACE),
];

/// A name for multicast DNS: one label of letters, digits and hyphens (RFC 1123), with room for what makes it unique.
fn host_label(text: &str) -> Option<String> {
    let name = text.to_ascii_lowercase();
    let good = (1..=32).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-');
    good.then_some(name)
}

/// Where the board has something; none when nothing is said.
fn place<T: std::str::FromStr<Err = board::UnknownPlace>>(
    table: &Section<'_>,
    key: &'static str,
) -> Result<Option<T>, ConfigError> {
    let text = table.string(key)?;
    text.map(|text| text.parse().map_err(|error| table.error(key, &format!("{error}")))).transpose()
}

/// Updates: anybody may bring them, what they are is signed.
fn update(table: &Section<'_>) -> Result<Update, ConfigError> {
    let mut mirrors = Vec::new();
    for text in table.strings("url")? {
        let mirror = mirror(&text);
        mirrors.push(mirror.ok_or_else(|| {
            table.error(
                "url",
                "is not a list of addresses such as [\"https://updates.example.org/streambox\"]",
            )
        })?);
    }
    let usb = |text: &str| match text {
        "auto" => Some(Usb::Auto),
        "off" => Some(Usb::Off),
        path => path.starts_with('/').then(|| Usb::Folder(path.into())),
    };
    Ok(Update {
        usb: table
            .parsed("usb", "\"auto\", \"off\" or a folder such as \"/media/usb\"", usb)?
            .unwrap_or(Usb::Auto),
        enabled: table.boolean("enabled")?.unwrap_or(true),
        mirrors,
        cloud: table.boolean("cloud")?,
        every: Duration::from_secs(60 * table.integer("interval_minutes", 1..=10_080)?.unwrap_or(60)),
        restart: table.choice("restart", &[("now", true), ("ask", false)])?.unwrap_or(true),
        root: table.string("root")?.unwrap_or("/etc/streambox/root.json").into(),
        healthy: Duration::from_secs(table.integer("healthy_s", 1..=3600)?.unwrap_or(300)),
        deadline: Duration::from_secs(table.integer("deadline_s", 2..=86_400)?.unwrap_or(1200)),
        retry: Duration::from_secs(table.integer("retry_s", 1..=604_800)?.unwrap_or(6 * 3600)),
    })
}

/// What watches over the box.
fn guard(table: &Section<'_>) -> Result<Guard, ConfigError> {
    let watchdog = |text: &str| match text.strip_prefix("file:") {
        Some(path) if !path.is_empty() => Some(WatchdogAt::File(path.into())),
        None if text == "none" => Some(WatchdogAt::None),
        None if text.starts_with("/dev/") => Some(WatchdogAt::Device(text.into())),
        _ => None,
    };
    let restart = |text: &str| match text {
        "exit" => Some(Restart::Exit),
        "kernel" => Some(Restart::Kernel),
        path => path.starts_with('/').then(|| Restart::Program(path.into())),
    };
    Ok(Guard {
        watchdog: table
            .parsed("watchdog", "\"none\", \"/dev/watchdog\" or \"file:PATH\"", watchdog)?
            .unwrap_or(WatchdogAt::None),
        bite: Duration::from_secs(table.integer("watchdog_s", 1..=600)?.unwrap_or(30)),
        silent: Duration::from_secs(table.integer("silent_s", 2..=600)?.unwrap_or(60)),
        restart: table
            .parsed("restart", "\"exit\", \"kernel\" or a program such as \"/sbin/reboot\"", restart)?
            .unwrap_or(Restart::Exit),
    })
}

/// An address below which releases are; `None` for anything else.
pub(crate) fn mirror(text: &str) -> Option<String> {
    let url = url::Url::parse(text.trim()).ok()?;
    let bare = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    let good = bare && url.password().is_none() && matches!(url.scheme(), "http" | "https") && url.has_host();
    good.then(|| url.as_str().trim_end_matches('/').to_owned())
}

/// The cloud, if one is wanted.
fn tunnel(table: &Section<'_>) -> Result<Option<Tunnel>, ConfigError> {
    let cloud = table.string("cloud")?.map(CloudAddress::parse).transpose();
    let cloud = cloud.map_err(|error| table.error("cloud", &error.to_string()))?;
    let ca = table.string("ca")?.map(PathBuf::from);
    let join = table.choice("join", &[("ask", Consent::Ask), ("yes", Consent::Yes)])?.unwrap_or_default();
    let uplink = table.integer("uplink_kbps", 64..=10_000_000)?.map(|kbps| kbps * 1000);
    match (table.boolean("enabled")?, cloud) {
        (Some(true), None) => {
            Err(table.error("enabled", "a tunnel needs the cloud's address: give cloud, too"))
        }
        (Some(false), _) | (None, None) => Ok(None),
        (_, Some(cloud)) => Ok(Some(Tunnel { cloud, ca, join, uplink })),
    }
}

/// User name and password of a section; an empty text is none.
fn login(table: &Section<'_>) -> Result<(Option<String>, Option<Private<String>>), ConfigError> {
    let text = |key| Ok(table.string(key)?.filter(|text| !text.is_empty()).map(str::to_owned));
    Ok((text("user")?, text("password")?.map(Private::new)))
}

fn source(table: &Section<'_>) -> Result<Source, ConfigError> {
    let id = table.required("id", table.string("id")?)?;
    let id = CameraId::new(id).map_err(|error| table.error("id", &error.to_string()))?;
    let url = table.required("url", table.string("url")?)?;
    let (user, password) = login(table)?;
    let transport = table.choice("transport", &[("tcp", Transport::Tcp), ("udp", Transport::Udp)])?;
    let streams = [("auto", StreamChoice::Auto), ("main", StreamChoice::Main), ("sub", StreamChoice::Sub)];
    let stream = table.choice("stream", &streams)?;
    let source =
        Source::new(id, url, user, password).map_err(|error| table.error("url", &error.to_string()))?;
    let source = match table.string("sub_url")? {
        Some(small) => {
            source.with_small(small).map_err(|error| table.error("sub_url", &error.to_string()))?
        }
        None => source,
    };
    if source.password.is_some() && source.user.is_none() {
        return Err(table.error("password", "a password needs a user"));
    }
    Ok(Source { transport: transport.unwrap_or_default(), stream: stream.unwrap_or_default(), ..source })
}

#[cfg(test)]
mod tests;
