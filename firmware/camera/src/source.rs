//! Where a camera is, and the user name and password for it.
//!
//! A password is never in a URL that is kept: [`Source::new`] takes it out, so `Debug` and `Display` of an
//! [`Address`] are safe to log.

use core::fmt;
use core::net::IpAddr;

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
    /// Which of a recorder's channels: the token of an ONVIF video source ([`crate::choice::Channel`]).
    pub channel: Option<String>,
    /// Where its small picture is, when `address` is a stream and the owner knows another one.
    pub small: Option<Address>,
    /// The one address to contact, whatever its host's name means: somebody has judged it. `None`: the name is resolved.
    pub pinned: Option<IpAddr>,
}

/// Where a camera is, without user information. Some makers put a password into the path or query: `Display` and
/// `Debug` mask it, so that an address may be logged and shown.
#[derive(Clone, PartialEq, Eq)]
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
    #[error(
        "a camera's address starts with rtsp://, rtsps://, http:// or https://, or is only a host name or IP address"
    )]
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
            channel: None,
            small: None,
            pinned: None,
        })
    }

    /// The same with the address of its small picture, an `rtsp://` or `rtsps://` URL. A user and a password in it are
    /// not used: those of the camera are.
    ///
    /// # Errors
    /// [`AddressError`] when the text is no such address.
    pub fn with_small(self, text: &str) -> Result<Self, AddressError> {
        match take(text)?.address {
            small @ Address::Rtsp(_) => Ok(Self { small: Some(small), ..self }),
            Address::Onvif(_) | Address::Host { .. } => Err(AddressError::Scheme),
        }
    }

    /// The same camera's small picture, as far as the owner's words tell: an ONVIF device names its streams itself and
    /// may have none. `None` when the owner wants the small picture anyway, or none is known.
    pub fn small_picture(&self) -> Option<Self> {
        let source = Self { stream: StreamChoice::Sub, small: None, ..self.clone() };
        match (&self.address, &self.small) {
            _ if self.stream == StreamChoice::Sub => None,
            (_, Some(small)) => Some(Self { address: small.clone(), ..source }),
            (Address::Rtsp(_), None) => None,
            (Address::Onvif(_) | Address::Host { .. }, None) => Some(source),
        }
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
        Some((host, port)) => {
            let named = host.starts_with('[') || host.contains('.') && !host.contains(':');
            named && port.parse::<u16>().is_ok()
        }
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
        if let (b'%', Some(high), Some(low)) = (byte, hex(bytes.get(at + 1)), hex(bytes.get(at + 2))) {
            out.push((high * 16 + low) as u8);
            at += 3;
        } else {
            out.push(*byte);
            at += 1;
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

    /// The address as it was given: for the wire, never for a log or a page.
    pub fn unmasked(&self) -> String {
        match self {
            Self::Rtsp(url) | Self::Onvif(url) => url.as_str().to_owned(),
            Self::Host { host, port: None } => host.to_string(),
            Self::Host { host, port: Some(port) } => format!("{host}:{port}"),
        }
    }
}

/// `text` with the value of each `password=`, `passwd=`, `pwd=`, `pass=` and `token=` in it replaced by `***`.
fn masked(text: &str) -> String {
    const KEYS: [&str; 5] = ["password=", "passwd=", "pwd=", "pass=", "token="];
    let lower = text.to_ascii_lowercase();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(rest) = lower.get(at..).filter(|rest| !rest.is_empty()) {
        let next = KEYS.iter().filter_map(|key| rest.find(key).map(|found| found + key.len())).min();
        let Some(value) = next else { break };
        out.push_str(text.get(at..at + value).unwrap_or_default());
        out.push_str("***");
        let end = rest
            .get(value..)
            .and_then(|value| value.find(['&', ';', '/', '?', '#']))
            .unwrap_or(rest.len() - value);
        at += value + end;
    }
    out.push_str(text.get(at..).unwrap_or_default());
    out
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&masked(&self.unmasked()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn source(text: &str) -> Result<Source, AddressError> {
        Source::new(CameraId::new("cam").unwrap(), text, None, None)
    }

    fn parts(text: &str) -> (String, Option<String>, Option<String>) {
        let source = source(text).unwrap();
        (source.address.to_string(), source.user, source.password.map(|password| password.expose().clone()))
    }

    #[test]
    fn passwords_come_out_of_the_url() {
        let some = |text: &str| Some(text.to_owned());
        for (text, address, user, password) in [
            ("rtsp://10.0.0.1/live", "rtsp://10.0.0.1/live", None, None),
            ("rtsp://admin:p%40ss@10.0.0.1/live", "rtsp://10.0.0.1/live", some("admin"), some("p@ss")),
            (
                "rtsp://admin:a@b:c/d#e%f?g@cam:8554/s?x=1",
                "rtsp://cam:8554/s?x=1",
                some("admin"),
                some("a@b:c/d#e%f?g"),
            ),
            ("rtsp://оператор:пароль@10.0.0.1/", "rtsp://10.0.0.1/", some("оператор"), some("пароль")),
            ("rtsp://admin:100%@10.0.0.1/", "rtsp://10.0.0.1/", some("admin"), some("100%")),
            ("rtsp://admin:@10.0.0.1/", "rtsp://10.0.0.1/", some("admin"), some("")),
            ("rtsp://10.0.0.1:554/a@b", "rtsp://10.0.0.1:554/a@b", None, None),
            ("RTSPS://u:p@[fe80::1]:322/x", "rtsps://[fe80::1]:322/x", some("u"), some("p")),
            ("http://u:p@10.0.0.1", "http://10.0.0.1/onvif/device_service", some("u"), some("p")),
            ("http://10.0.0.1:8000/onvif/dev", "http://10.0.0.1:8000/onvif/dev", None, None),
            ("10.0.0.7", "10.0.0.7", None, None),
            ("u:p@cam.local:8000", "cam.local:8000", some("u"), some("p")),
        ] {
            assert_eq!(parts(text), (address.to_owned(), user, password), "{text}");
        }
    }

    #[test]
    fn what_is_beside_the_url_wins() {
        let id = CameraId::new("cam").unwrap();
        let source = Source::new(id, "rtsp://a:b@h/", Some("c".into()), Some("d".to_owned().into())).unwrap();
        assert_eq!((source.user.as_deref(), source.password.unwrap().expose().as_str()), (Some("c"), "d"));
    }

    #[test]
    fn what_is_no_address_is_said() {
        assert_eq!(source("ftp://h/").unwrap_err(), AddressError::Scheme);
        assert_eq!(source("rtsp:///live").unwrap_err(), AddressError::NoHost);
        assert_eq!(source("").unwrap_err(), AddressError::NoHost);
        assert_eq!(source("10.0.0.1/live").unwrap_err(), AddressError::Scheme);
        assert!(source("rtsp://ho st/").is_err());
    }

    #[test]
    fn secrets_are_never_printed() {
        let shown =
            source("rtsp://u:canary@10.0.0.1/user=admin&password=canary&channel=1?token=canary").unwrap();
        assert!(!format!("{shown:?} {}", shown.address).contains("canary"));
        assert_eq!(shown.address.to_string(), "rtsp://10.0.0.1/user=admin&password=***&channel=1?token=***");
        let error = source("canary://u:canary@h/").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("canary"));
    }

    #[test]
    fn a_password_that_looks_like_a_port_and_a_path_is_one() {
        let found = source("rtsp://admin:.:0/@10.0.0.1:554/live").unwrap();
        assert_eq!(found.password.unwrap().expose(), ".:0/");
    }

    proptest! {
        #[test]
        fn any_text_is_an_address_or_an_error(text in "\\PC{0,80}") {
            if let Ok(source) = source(&text) {
                let again = Source::new(source.id.clone(), &source.address.unmasked(), None, None);
                prop_assert_eq!(again.unwrap().address, source.address);
            }
        }

        #[test]
        fn any_password_without_percent_survives(password in "[^%\r\n\t]{1,24}") {
            let found = source(&format!("rtsp://admin:{password}@10.0.0.1:554/live")).unwrap().password.unwrap();
            prop_assert_eq!(found.expose(), &password);
        }
    }
}
