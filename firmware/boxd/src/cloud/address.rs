//! Where the cloud is.

use std::fmt;
use std::net::IpAddr;

use url::{Host, Url};

/// The cloud's address: `https://host[:port]`, or `http://` to a loopback or private address, for a cloud behind its
/// own proxy and for tests.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct CloudAddress {
    url: Url,
    host: String,
    port: u16,
}

/// Why a text is no such address. Never repeats it: somebody may have put a password into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WrongAddress {
    /// Not a URL, or more than scheme, host and port.
    #[error("is not an address such as \"https://video.example.org\" (only scheme, host and port)")]
    Malformed,
    /// Readable by everyone on the way.
    #[error("may be http:// only for a loopback or private IP address: write https://")]
    Open,
}

impl CloudAddress {
    /// Reads an address.
    ///
    /// # Errors
    /// [`WrongAddress`].
    pub(crate) fn parse(text: &str) -> Result<Self, WrongAddress> {
        let url = Url::parse(text.trim()).map_err(|_| WrongAddress::Malformed)?;
        let bare = matches!(url.path(), "" | "/")
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        let (Some(host), true) = (url.host(), bare) else { return Err(WrongAddress::Malformed) };
        match url.scheme() {
            "https" => {}
            "http" if near(&host) => {}
            "http" => return Err(WrongAddress::Open),
            _ => return Err(WrongAddress::Malformed),
        }
        let port = url.port_or_known_default().ok_or(WrongAddress::Malformed)?;
        let host = match host {
            Host::Domain(name) => name.to_owned(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        };
        Ok(Self { url, host, port })
    }

    /// Whether everything is said inside TLS.
    pub(crate) fn is_tls(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// Name or IP address, without brackets.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// `Host` of a request (RFC 9110, 7.2): the port only when it is not the scheme's own.
    pub(crate) fn authority(&self) -> String {
        self.origin().split_once("://").map(|(_, authority)| authority.to_owned()).unwrap_or_default()
    }

    /// Scheme, host and port, without a slash at the end.
    pub(crate) fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }
}

/// Whether nobody but the owner's own network is on the way.
fn near(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(address) => address.is_loopback() || address.is_private() || address.is_link_local(),
        Host::Ipv6(address) => {
            IpAddr::V6(*address).to_canonical().is_loopback()
                || address.is_unique_local()
                || address.is_unicast_link_local()
        }
    }
}

impl fmt::Display for CloudAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin())
    }
}

impl fmt::Debug for CloudAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        let cloud = CloudAddress::parse("https://Video.Example.org/").unwrap();
        assert_eq!((cloud.host(), cloud.port(), cloud.is_tls()), ("video.example.org", 443, true));
        assert_eq!(cloud.origin(), "https://video.example.org");
        assert_eq!(cloud.authority(), "video.example.org");
        let cloud = CloudAddress::parse("https://[2001:db8::1]:8443").unwrap();
        assert_eq!((cloud.host(), cloud.port()), ("2001:db8::1", 8443));
        assert_eq!(cloud.authority(), "[2001:db8::1]:8443");
    }

    #[test]
    fn what_others_could_read_needs_tls() {
        for near in ["http://127.0.0.1:8443", "http://10.0.0.5", "http://[::1]:80", "http://localhost:1"] {
            assert!(CloudAddress::parse(near).is_ok(), "{near}");
        }
        for far in [
            "http://video.example.org",
            "http://8.8.8.8",
            "http://[2001:db8::1]",
            "http://localhost.evil.example",
        ] {
            assert_eq!(CloudAddress::parse(far), Err(WrongAddress::Open), "{far}");
        }
    }

    #[test]
    fn more_or_less_than_an_address_is_refused_without_repeating_it() {
        for text in [
            "",
            "video.example.org",
            "ftp://h",
            "https://",
            "https://user:canary@h",
            "https://h/path",
            "https://h/?canary",
            "https://h/#x",
        ] {
            let error = CloudAddress::parse(text).unwrap_err();
            assert_eq!(error, WrongAddress::Malformed, "{text}");
            assert!(!error.to_string().contains("canary"));
        }
    }
}
