//! Where a camera is, and the user name and password for it.
//!
//! A password is never in a URL that is kept: [`Source::new`] takes it out, so `Debug` and `Display` of an
//! [`Address`] are safe to log.

use core::fmt;

use model::{CameraId, Private};
use url::{Host, Url};

/// One camera as the owner names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its id on the box.
    pub id: CameraId,
    /// Where it is.
    pub address: Address,
    /// User name, if any.
    pub user: Option<String>,
    /// Password, if any.
    pub password: Option<Private<String>>,
    /// How RTP travels.
    pub transport: Transport,
    /// Which of its streams is wanted.
    pub stream: StreamChoice,
}

/// Where a camera is. No form holds a user name or password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A stream: `rtsp://` or `rtsps://`.
    Rtsp(Url),
    /// An ONVIF device service: `http://` or `https://`. Its profiles name the streams.
    Onvif(Url),
    /// Only a host: ONVIF is tried, then the paths that cameras of its maker use.
    Host {
        /// Name or IP address.
        host: Host,
        /// ONVIF port, if another than 80.
        port: Option<u16>,
    },
}

/// How RTP travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Transport {
    /// Interleaved in the RTSP connection (RFC 2326, 10.12).
    #[default]
    Tcp,
    /// UDP; the other one is taken when the camera answers 461.
    Udp,
}

/// Which stream of a camera is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StreamChoice {
    /// The main stream, unless browsers cannot play it and the sub-stream plays.
    #[default]
    Auto,
    /// The main stream.
    Main,
    /// The sub-stream.
    Sub,
}

/// Why a text is not a camera's address. Never repeats the text: it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Another scheme.
    #[error("a camera's address starts with rtsp://, rtsps://, http:// or https://, or is only a host name or IP address")]
    Scheme,
    /// No host in it.
    #[error("the camera's address has no host name or IP address")]
    NoHost,
    /// Not a URL.
    #[error("the camera's address is not a URL (percent-encode spaces and special characters in the path)")]
    Malformed,
}

/// An address and what stood before its `@`.
struct Taken {
    address: Address,
    user: Option<String>,
    password: Option<String>,
}

impl Source {
    /// A source from the owner's text: a URL with or without `user:password@`, or a bare host.
    ///
    /// The user information ends at the LAST `@`, so that passwords with `@`, `:`, `/`, `#`, `%` or Cyrillic
    /// letters work unencoded; percent-encoded ones are decoded. An `@` in the path behind a user name is then
    /// ambiguous: write it as `%40`. A `user` or `password` given beside the URL wins over the one in it.
    ///
    /// # Errors
    /// [`AddressError`] when the text is no address.
    pub fn new(
        id: CameraId,
        text: &str,
        user: Option<String>,
        password: Option<Private<String>>,
    ) -> Result<Self, AddressError> {
        let taken = take(text)?;
        Ok(Self {
            id,
            address: taken.address,
            user: user.or(taken.user),
            password: password.or_else(|| taken.password.map(Private::new)),
            transport: Transport::default(),
            stream: StreamChoice::default(),
        })
    }
}

/// Splits an owner's text into address, user and password.
fn take(text: &str) -> Result<Taken, AddressError> {
    let text = text.trim();
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (Some(scheme.to_ascii_lowercase()), rest),
        None => (None, text),
    };
    let (user, password, rest) = match rest.rsplit_once('@') {
        Some((info, rest)) if !begins_with_a_host(info) => {
            let (user, password) = match info.split_once(':') {
                Some((user, password)) => (user, Some(percent_decoded(password))),
                None => (info, None),
            };
            (Some(percent_decoded(user)).filter(|user| !user.is_empty()), password, rest)
        }
        _ => (None, None, rest),
    };
    if rest.is_empty() || rest.starts_with('/') {
        return Err(AddressError::NoHost);
    }
    let address = match scheme.as_deref() {
        Some("rtsp" | "rtsps") => Address::Rtsp(url(scheme.as_deref().unwrap_or_default(), rest)?),
        Some("http" | "https") => {
            let mut url = url(scheme.as_deref().unwrap_or_default(), rest)?;
            if url.path() == "/" {
                url.set_path(crate::onvif::DEVICE_PATH);
            }
            Address::Onvif(url)
        }
        Some(_) => return Err(AddressError::Scheme),
        None => {
            let url = url("http", rest)?;
            if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
                return Err(AddressError::Scheme);
            }
            Address::Host { host: url.host().ok_or(AddressError::NoHost)?.to_owned(), port: url.port() }
        }
    };
    Ok(Taken { address, user, password })
}

/// Whether what stands before an `@` is itself a host and a path, so that the `@` belongs to the path:
/// `cam/a@b`, `10.0.0.1:554/a@b`, but not `user:a/b@…`.
fn begins_with_a_host(info: &str) -> bool {
    let Some(end) = info.find(['/', '?', '#']) else { return false };
    let authority = info.get(..end).unwrap_or_default();
    match authority.rsplit_once(':') {
        _ if authority.contains('@') => false,
        Some((host, port)) => port.parse::<u16>().is_ok() && (host.contains('.') || host.starts_with('[')),
        None => true,
    }
}

fn url(scheme: &str, rest: &str) -> Result<Url, AddressError> {
    let url = Url::parse(&format!("{scheme}://{rest}")).map_err(|_| AddressError::Malformed)?;
    match url.host() {
        // `rtsp` is not a special scheme, so the URL crate leaves its host unread: read it as a browser would.
        Some(Host::Domain(name)) if !name.is_empty() => {
            let host = Host::parse(name).map_err(|_| AddressError::Malformed)?;
            let mut url = url.clone();
            url.set_host(Some(&host.to_string())).map_err(|_| AddressError::Malformed)?;
            Ok(url)
        }
        Some(Host::Ipv4(_) | Host::Ipv6(_)) => Ok(url),
        _ => Err(AddressError::NoHost),
    }
}

/// Percent-decodes; a `%` without two hex digits stays, and so does the whole text if it is not UTF-8 then.
fn percent_decoded(text: &str) -> String {
    let hex = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match (byte, hex(bytes.get(at + 1)), hex(bytes.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 3;
            }
            _ => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_owned())
}

impl Address {
    /// The host.
    pub fn host(&self) -> Option<Host> {
        match self {
            Self::Rtsp(url) | Self::Onvif(url) => url.host().map(|host| match host {
                // An IPv4 address in a URL of a scheme that the URL crate does not know is left as text.
                Host::Domain(name) => Host::parse(name).unwrap_or_else(|_| Host::Domain(name.to_owned())),
                host => host.to_owned(),
            }),
            Self::Host { host, .. } => Some(host.clone()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rtsp(url) | Self::Onvif(url) => f.write_str(url.as_str()),
            Self::Host { host, port: None } => write!(f, "{host}"),
            Self::Host { host, port: Some(port) } => write!(f, "{host}:{port}"),
        }
    }
}
