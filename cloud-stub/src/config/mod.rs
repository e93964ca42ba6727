//! What the operator may choose, read from a TOML file. [`KEYS`] is the one list of keys: the reader refuses what is not
//! in it, and `cloud --help` prints it.

mod alerts;
mod cameras;
mod keys;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

pub use alerts::Alerts;
pub use cameras::{Camera, From};
pub use keys::KEYS;
use model::Private;
pub use settings::Error;
use settings::{Section, Table};
use url::Url;

use crate::http::Target;
use crate::status::alert::mail::Options as Mail;
use crate::store::Network;

/// The ACME server that most people mean.
const ACME_DIRECTORY: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// Everything that the operator chose.
#[derive(Debug)]
pub struct Config {
    /// Pages, links, enrolment.
    pub http: Http,
    /// WireGuard.
    pub hub: Hub,
    /// Among several clouds of one database.
    pub cluster: Option<Cluster>,
    /// The database: `sqlite:PATH` or `postgres://…`, which may hold a password.
    pub store: Private<String>,
    /// Releases for boxes, if it has any.
    pub updates: Option<Updates>,
    /// Who else says who may watch.
    pub access: Access,
    /// Cameras without a box that the operator names.
    pub cameras: Vec<Camera>,
    /// Whether cameras at addresses that are not public may be contacted.
    pub allow_private: bool,
    /// Where encoders send, if they may.
    pub rtmp: Option<Rtmp>,
    /// How mail is sent, if it is.
    pub mail: Option<Mail>,
    /// Where webhooks may be.
    pub alerts: Alerts,
    /// Most memory for cached video, bytes.
    pub cache_bytes: u64,
    /// Logging.
    pub log: Log,
}

/// Where and how HTTP is served.
#[derive(Debug, Clone)]
pub struct Http {
    /// Address and port.
    pub listen: SocketAddr,
    /// How the cloud is called from outside: scheme, host and port.
    pub url: Url,
    /// Where certificates come from.
    pub tls: Tls,
    /// Where plain requests are sent to `url`.
    pub redirect_listen: Option<SocketAddr>,
    /// More names by which the cloud may be called.
    pub hosts: Vec<String>,
    /// Addresses beside loopback that speak for others.
    pub proxies: Vec<IpAddr>,
}

impl Http {
    /// Where the links begin: scheme, host and, unless it is the usual one, port. Without a slash at the end.
    pub fn base(&self) -> String {
        self.url.origin().ascii_serialization()
    }
}

/// Where certificates come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    /// None: plain HTTP, behind a proxy.
    Off,
    /// Files, PEM.
    Files {
        /// The certificate chain.
        cert: PathBuf,
        /// Its private key.
        key: PathBuf,
    },
    /// An ACME server (RFC 8555).
    Acme(Acme),
}

/// Whom certificates are asked from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acme {
    /// The directory's address.
    pub directory: String,
    /// Whom the server may write to: `mailto:…`.
    pub contact: Option<String>,
    /// One more root for the server's own certificate, PEM.
    pub ca: Option<PathBuf>,
}

/// The hub.
#[derive(Debug, Clone)]
pub struct Hub {
    /// Address and port, UDP.
    pub listen: SocketAddr,
    /// What boxes are told: `host:port`.
    pub endpoint: String,
    /// The boxes' addresses.
    pub network: Network,
    /// Endpoints of other hubs that share the database.
    pub more: Vec<String>,
}

/// This cloud among several of one database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Where the others reach it.
    pub listen: SocketAddr,
    /// What they are told: `http://ADDRESS:PORT`.
    pub url: String,
}

/// Releases for boxes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Updates {
    /// The folder that `cargo xtask release` writes.
    pub dir: PathBuf,
    /// The online key, PEM.
    pub key: PathBuf,
    /// Whether the newest release is for every box at once, where no campaign is.
    pub everyone: bool,
}

/// Other servers that say who may watch cameras that are not public.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// Where the keys are whose tokens are believed.
    pub jwks: Option<Target>,
    /// For whom these tokens must be.
    pub audience: Option<String>,
    /// Who is asked where nothing else is known.
    pub hook: Option<Target>,
    /// What the hook is shown.
    pub hook_token: Option<Private<String>>,
    /// One more root for their certificates, PEM.
    pub ca: Option<PathBuf>,
}

/// Where encoders send by RTMP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rtmp {
    /// Address and port.
    pub listen: SocketAddr,
    /// What encoders are told, without a key: `rtmp://HOST:PORT/live`.
    pub url: String,
}

/// How log lines look, and how many there are.
#[derive(Debug, Clone, Copy)]
pub struct Log {
    /// Text or JSON.
    pub format: LogFormat,
    /// The least important level that is written.
    pub level: tracing::Level,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One line of text each.
    Text,
    /// One JSON object per line.
    Json,
}

impl Config {
    /// Reads a file's text; `file` is its name for errors.
    ///
    /// # Errors
    /// The first thing in the text that is wrong, with its line.
    pub fn parse(file: &str, text: &str) -> Result<Self, Error> {
        let document = settings::document(file, text)?;
        let root = Table::root(file, text, &document, KEYS)?;
        let http = http(&root.section("http")?)?;
        let hub = hub(&root.section("hub")?, &http)?;
        let cluster = cluster(&root.section("cluster")?)?;
        let store = root.section("store")?;
        let form = "sqlite:PATH or postgres://USER:PASSWORD@HOST/NAME";
        let store = store.parsed("url", form, store_url)?;
        let store =
            store.unwrap_or_else(|| Private::new("sqlite:/var/lib/streambox-cloud/cloud.db".to_owned()));
        let updates = updates(&root.section("updates")?)?;
        let access = access(&root.section("access")?)?;
        let allow_private = cameras::allow_private(&root.section("pull")?)?;
        let cameras = cameras::cameras(&root, allow_private)?;
        let rtmp = rtmp(&root.section("rtmp")?, &http, &cameras)?;
        let mail = alerts::mail(&root.section("mail")?)?;
        let alerts = alerts::alerts(&root.section("alerts")?)?;
        let cache_bytes = root.section("cache")?.integer("mib", 16..=65_536)?.unwrap_or(256) << 20;
        let log = root.section("log")?;
        let log = Log {
            format: log
                .choice("format", &[("text", LogFormat::Text), ("json", LogFormat::Json)])?
                .unwrap_or(LogFormat::Text),
            level: log.choice("level", &LEVELS)?.unwrap_or(tracing::Level::INFO),
        };
        Ok(Self {
            http,
            hub,
            cluster,
            store,
            updates,
            access,
            cameras,
            allow_private,
            rtmp,
            mail,
            alerts,
            cache_bytes,
            log,
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

fn http(table: &Section<'_>) -> Result<Http, Error> {
    #[derive(Clone, Copy)]
    enum Way {
        Off,
        Files,
        Acme,
    }
    let socket = |key, form| table.parsed(key, form, |text| text.parse::<SocketAddr>().ok());
    let listen = socket("listen", "an address and port such as \"0.0.0.0:8443\"")?
        .unwrap_or(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8443)));
    let way = table.choice("tls", &[("off", Way::Off), ("files", Way::Files), ("acme", Way::Acme)])?;
    let path = |key| Ok(table.string(key)?.map(PathBuf::from));
    let url =
        table.parsed("url", "an address such as \"https://video.example.org\" without a path", base_url)?;
    let tls = match way.unwrap_or(Way::Off) {
        Way::Off => Tls::Off,
        Way::Files => Tls::Files {
            cert: table.required("cert", path("cert")?)?,
            key: table.required("key", path("key")?)?,
        },
        Way::Acme => {
            let named = url.as_ref().is_some_and(|url| url.scheme() == "https" && url.domain().is_some());
            if !named {
                return Err(
                    table.error("url", "acme needs the name that the certificate is for: https://NAME")
                );
            }
            Tls::Acme(Acme {
                directory: table.string("acme_directory")?.unwrap_or(ACME_DIRECTORY).to_owned(),
                contact: table.string("acme_contact")?.map(str::to_owned),
                ca: path("acme_ca")?,
            })
        }
    };
    let unused = match tls {
        Tls::Off => &["cert", "key", "acme_directory", "acme_contact", "acme_ca"][..],
        Tls::Files { .. } => &["acme_directory", "acme_contact", "acme_ca"],
        Tls::Acme(_) => &["cert", "key"],
    };
    for key in unused {
        if table.string(key)?.is_some() {
            return Err(table.error(key, "has no effect with this tls"));
        }
    }
    let usual = matches!(tls, Tls::Acme(_)).then_some(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 80)));
    let redirect_listen = socket("redirect_listen", "an address and port such as \"0.0.0.0:80\"")?.or(usual);
    let mut proxies = Vec::new();
    for text in table.strings("proxies")? {
        proxies.push(text.parse().map_err(|_| table.error("proxies", "is not a list of IP addresses"))?);
    }
    let url = if let Some(url) = url {
        url
    } else {
        let scheme = if tls == Tls::Off { "http" } else { "https" };
        let own = Url::parse(&format!("{scheme}://127.0.0.1:{}", listen.port()));
        own.map_err(|_| table.error("url", "is missing"))?
    };
    let hosts = table.strings("hosts")?.into_iter().map(|host| host.to_ascii_lowercase()).collect();
    Ok(Http { listen, url, tls, redirect_listen, hosts, proxies })
}

/// Both keys or none: a folder without a key could not tell a box what is new.
fn updates(table: &Section<'_>) -> Result<Option<Updates>, Error> {
    let (dir, key, everyone) = (table.string("dir")?, table.string("key")?, table.boolean("everyone")?);
    if dir.is_none() && key.is_none() && everyone.is_none() {
        return Ok(None);
    }
    let (dir, key) = (table.required("dir", dir)?, table.required("key", key)?);
    let everyone = everyone.unwrap_or(false);
    Ok(Some(Updates { dir: PathBuf::from(dir), key: PathBuf::from(key), everyone }))
}

/// A key that nobody would ever look at is a mistake.
fn access(table: &Section<'_>) -> Result<Access, Error> {
    let form = "an address such as \"https://login.example.org/keys\" (http for this machine only)";
    let (jwks, hook) =
        (table.parsed("jwks", form, Target::parse)?, table.parsed("hook", form, Target::parse)?);
    let audience = table.string("audience")?.map(str::to_owned);
    let bearer = |text: &str| {
        let fits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| Private::new(text.to_owned()))
    };
    let hook_token = table.parsed("hook_token", "a word without spaces", bearer)?;
    let ca = table.string("ca")?.map(PathBuf::from);
    for (key, useless) in [
        ("audience", audience.is_some() && jwks.is_none()),
        ("hook_token", hook_token.is_some() && hook.is_none()),
        ("ca", ca.is_some() && jwks.is_none() && hook.is_none()),
    ] {
        if useless {
            return Err(table.error(key, "has no effect without jwks or hook"));
        }
    }
    Ok(Access { jwks, audience, hook, hook_token, ca })
}

/// Encoders may send once an address is chosen for them.
fn rtmp(table: &Section<'_>, http: &Http, cameras: &[Camera]) -> Result<Option<Rtmp>, Error> {
    let form = "an address and port such as \"0.0.0.0:1935\"";
    let listen: Option<SocketAddr> = table.parsed("listen", form, |text| text.parse().ok())?;
    let form = "an address such as \"rtmp://push.example.org/live\"";
    let url = table.parsed("url", form, |text| {
        Url::parse(text)
            .ok()
            .filter(|url| url.scheme() == "rtmp" && url.path() == "/live")
            .map(|_| text.to_owned())
    })?;
    let Some(listen) = listen else {
        if url.is_some() || cameras.iter().any(|camera| matches!(camera.from, From::Push(_))) {
            return Err(table.error("listen", "is missing: where do encoders send? Such as \"0.0.0.0:1935\""));
        }
        return Ok(None);
    };
    let url = url.unwrap_or_else(|| {
        let port = if listen.port() == 1935 { String::new() } else { format!(":{}", listen.port()) };
        format!("rtmp://{}{port}/live", http.url.host_str().unwrap_or("127.0.0.1"))
    });
    Ok(Some(Rtmp { listen, url }))
}

fn hub(table: &Section<'_>, http: &Http) -> Result<Hub, Error> {
    let form = "an address and port such as \"0.0.0.0:51820\"";
    let listen: SocketAddr = table
        .parsed("listen", form, |text| text.parse().ok())?
        .unwrap_or(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 51_820)));
    let form = "a host and port such as \"hub.example.org:51820\"";
    let endpoint = table
        .parsed("endpoint", form, endpoint)?
        .unwrap_or_else(|| format!("{}:{}", http.url.host_str().unwrap_or("127.0.0.1"), listen.port()));
    let network = table.parsed("network", "a network such as \"10.13.0.0/16\"", |text| text.parse().ok())?;
    let network = match network {
        Some(network) => network,
        None => "10.13.0.0/16".parse().map_err(|_| table.error("network", "is missing"))?,
    };
    let mut more = Vec::new();
    for text in table.strings("more")? {
        more.push(
            self::endpoint(&text).ok_or_else(|| table.error("more", "is not a list of hosts and ports"))?,
        );
    }
    Ok(Hub { listen, endpoint, network, more })
}

fn cluster(table: &Section<'_>) -> Result<Option<Cluster>, Error> {
    let form = "an address and port such as \"10.0.0.1:8444\"";
    let listen = table.parsed("listen", form, |text| text.parse::<SocketAddr>().ok())?;
    let form = "an address such as \"http://10.0.0.1:8444\" without a path";
    let told = |text: &str| text.strip_prefix("http://")?.trim_end_matches('/').parse::<SocketAddr>().ok();
    let url = table.parsed("url", form, told)?;
    if listen.is_none() && url.is_none() {
        return Ok(None);
    }
    let listen = table.required("listen", listen)?;
    let url = url.unwrap_or(listen);
    if url.ip().is_unspecified() || url.port() == 0 {
        return Err(table.error("url", "must say by which address the other clouds reach this one"));
    }
    Ok(Some(Cluster { listen, url: format!("http://{url}") }))
}

/// `host:port`, as boxes are told.
fn endpoint(text: &str) -> Option<String> {
    let (host, port) = text.rsplit_once(':')?;
    let url = Url::parse(&format!("http://{text}/")).ok()?;
    let plain =
        url.username().is_empty() && url.password().is_none() && url.path() == "/" && url.query().is_none();
    let fits = plain && !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port != 0);
    fits.then(|| text.to_owned())
}

fn base_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    plain.then_some(url)
}

fn store_url(text: &str) -> Option<Private<String>> {
    let known = text.strip_prefix("sqlite:").is_some_and(|path| !path.is_empty() && !path.contains('?'))
        || ["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme))
            && Url::parse(text).is_ok();
    known.then(|| Private::new(text.to_owned()))
}

#[cfg(test)]
mod tests;
