//! A hint for phones and computers that ask whether there is Internet: where nothing else answers such a name (a network of its
//! own, whose name server leads everything to the box), they open the set-up page by themselves.
//!
//! Nothing of the box is reachable by these names: the only answer is the way to the page, by address.

use std::net::IpAddr;

use hyper::header::{CACHE_CONTROL, HOST, HeaderMap, HeaderValue, LOCATION};
use hyper::http::uri::Authority;
use hyper::{Response, StatusCode};

use super::{Body, text};
use crate::whereabouts::Whereabouts;

/// Where systems ask.
const CHECKS: [&str; 12] = [
    // Android and Chrome OS
    "connectivitycheck.gstatic.com",
    "connectivitycheck.android.com",
    "clients3.google.com",
    "www.gstatic.com",
    // Apple
    "captive.apple.com",
    "www.apple.com",
    // Windows
    "www.msftconnecttest.com",
    "www.msftncsi.com",
    // Firefox
    "detectportal.firefox.com",
    // GNOME, KDE, Ubuntu
    "nmcheck.gnome.org",
    "networkcheck.kde.org",
    "connectivity-check.ubuntu.com",
];

/// The way to the page, for a check of connectivity; `None` for any other request.
pub(super) fn answer(whereabouts: &Whereabouts, headers: &HeaderMap, peer: IpAddr) -> Option<Response<Body>> {
    let host = headers.get(HOST)?.to_str().ok()?.parse::<Authority>().ok()?;
    if !CHECKS.iter().any(|check| host.host().eq_ignore_ascii_case(check)) {
        return None;
    }
    let page = HeaderValue::try_from(whereabouts.page_near(peer)?).ok()?;
    let mut response = text(StatusCode::FOUND, "");
    response.headers_mut().insert(LOCATION, page);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Some(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(host: &str) -> Option<String> {
        let whereabouts = Whereabouts::default();
        whereabouts.set_door("10.0.0.5:8080".parse().unwrap());
        let headers = HeaderMap::from_iter([(HOST, HeaderValue::try_from(host).unwrap())]);
        let response = answer(&whereabouts, &headers, "10.0.0.9".parse().unwrap())?;
        assert_eq!(response.status(), StatusCode::FOUND);
        assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
        Some(response.headers()[LOCATION].to_str().unwrap().to_owned())
    }

    #[test]
    fn a_check_of_connectivity_is_led_to_the_page_and_nothing_else_is() {
        for host in ["connectivitycheck.gstatic.com", "CAPTIVE.apple.com", "www.msftconnecttest.com:80"] {
            assert_eq!(location(host).as_deref(), Some("http://10.0.0.5:8080/setup/"), "{host}");
        }
        for host in ["evil.example", "captive.apple.com.evil.example", "xcaptive.apple.com", "10.0.0.5"] {
            assert_eq!(location(host), None, "{host}");
        }
    }
}
