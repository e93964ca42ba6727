//! Addresses that a message claims, with the host put right: only the address that answered is ever contacted
//! (a camera behind two networks, or with a wrong hosts file, names 127.0.1.1 or a foreign LAN; an attacker names
//! what it wants to be attacked).

use std::net::{IpAddr, Ipv4Addr};

use url::Url;

/// Longest address that is read or kept, in bytes.
pub const MAX_LENGTH: usize = 512;

/// A claimed address, put on the host that answered.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Whether the message itself named another host.
    pub foreign: bool,
    /// The address, its host being the one that answered.
    pub url: String,
}

/// Puts a claimed `http` or `https` address on `host`: port, path and query are kept, user, password and fragment
/// dropped. A claim without a scheme (`192.0.2.7:8080/onvif/device_service`) counts as `http`.
/// `None` for anything else, and past [`MAX_LENGTH`].
pub fn http(claim: &str, host: IpAddr) -> Option<Place> {
    let claim = claim.trim();
    if claim.is_empty() || claim.len() > MAX_LENGTH {
        return None;
    }
    let mut url = if claim.contains("://") {
        Url::parse(claim).ok()?
    } else {
        Url::parse(&format!("http://{}", claim.trim_start_matches('/'))).ok()?
    };
    if !matches!(url.scheme(), "http" | "https") || url.port() == Some(0) {
        return None;
    }
    let named = url.host_str().map(ToOwned::to_owned);
    url.set_ip_host(host).ok()?;
    url.set_username("").ok()?;
    url.set_password(None).ok()?;
    url.set_fragment(None);
    let foreign = named.as_deref() != url.host_str();
    let text = String::from(url);
    (text.len() <= MAX_LENGTH).then_some(Place { foreign, url: text })
}

/// An RTSP address on `host`. The port is left out when it is 554 (RFC 2326 section 3.2), the path is kept when it
/// is short and plain.
pub fn rtsp(host: IpAddr, port: u16, path: &str) -> String {
    let host = match host {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    };
    let port = if port == 554 { String::new() } else { format!(":{port}") };
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'#' | b'"' | b'<' | b'>' | b'\\');
    let path = path.trim_start_matches('/');
    let path = if path.len() <= MAX_LENGTH / 2 && path.bytes().all(plain) { path } else { "" };
    format!("rtsp://{host}{port}/{path}")
}

/// An address that a message of `from` claims for its sender, when it is another one and one that a station can have.
pub fn claim(address: Ipv4Addr, from: IpAddr) -> Option<IpAddr> {
    let nobody =
        address.is_unspecified() || address.is_loopback() || address.is_multicast() || address.is_broadcast();
    (!nobody && IpAddr::V4(address) != from).then_some(IpAddr::V4(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(claim: &str) -> Option<String> {
        http(claim, IpAddr::from([192, 0, 2, 7])).map(|place| place.url)
    }

    #[test]
    fn the_host_that_answered_replaces_the_claimed_one() {
        for host in [
            "127.0.1.1",
            "169.254.0.9",
            "10.13.0.1",
            "evil.example",
            "[::1]",
            "0x7f000001",
            "user:pw@10.0.0.1",
        ] {
            assert_eq!(
                on(&format!("http://{host}:8080/onvif/device_service?a=1#f")).as_deref(),
                Some("http://192.0.2.7:8080/onvif/device_service?a=1"),
                "{host}"
            );
        }
        assert_eq!(
            on("192.0.2.7:2020/onvif/device_service").as_deref(),
            Some("http://192.0.2.7:2020/onvif/device_service")
        );
        assert_eq!(on("localhost/x").as_deref(), Some("http://192.0.2.7/x"));
        assert_eq!(on("https://192.0.2.7/x").as_deref(), Some("https://192.0.2.7/x"));
        let v6: IpAddr = "2001:db8::7".parse().unwrap();
        assert_eq!(http("http://10.0.0.1:81/a", v6).unwrap().url, "http://[2001:db8::7]:81/a");
    }

    #[test]
    fn other_schemes_are_no_addresses() {
        for claim in [
            "file:///etc/passwd",
            "gopher://x/",
            "",
            "http://",
            "soap.udp://10.0.0.1",
            "http://x:99999/",
            "http://x:0/",
        ] {
            assert_eq!(on(claim), None, "{claim}");
        }
        assert_eq!(on(&format!("http://x/{}", "a".repeat(600))), None);
    }

    #[test]
    fn a_truthful_address_is_told_from_a_foreign_one() {
        let host = IpAddr::from([192, 0, 2, 7]);
        assert!(!http("http://192.0.2.7/x", host).unwrap().foreign);
        assert!(http("http://192.0.2.8/x", host).unwrap().foreign);
    }

    #[test]
    fn rtsp_addresses() {
        let host = IpAddr::from([192, 0, 2, 7]);
        assert_eq!(rtsp(host, 554, ""), "rtsp://192.0.2.7/");
        assert_eq!(rtsp(host, 8554, "/live/main?x=1"), "rtsp://192.0.2.7:8554/live/main?x=1");
        assert_eq!(rtsp(host, 8554, "a b\r\nX: y"), "rtsp://192.0.2.7:8554/");
        assert_eq!(rtsp("::1".parse().unwrap(), 8554, "x"), "rtsp://[::1]:8554/x");
    }
}
