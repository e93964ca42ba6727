//! By which names the owner of the door may be called.
//!
//! A page of a stranger can point its own name at the owner's address (DNS rebinding) and then talk to it as if it were
//! that page's server. Such a request carries the stranger's name as Host; a name that is not the owner's gets 421.

use hyper::header::HOST;
use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use hyper::{Response, StatusCode, Version};

use crate::{Body, text};

/// The names that are the owner's beside IP addresses, `localhost` and everything under `.local` and `.localhost`,
/// which no public name server can answer for.
#[derive(Debug, Clone)]
pub struct Hosts {
    names: Vec<String>,
    refusal: &'static str,
}

impl Hosts {
    /// These names; `refusal` is the sentence for whoever calls by another one.
    pub fn new<'n>(names: impl IntoIterator<Item = &'n str>, refusal: &'static str) -> Self {
        let names = names.into_iter().map(plain).filter(|name| !name.is_empty()).collect();
        Self { names, refusal }
    }

    /// The answer to a request that may not come in.
    pub fn refusal(&self, request: &Parts) -> Option<Response<Body>> {
        let refused = |status, sentence: &'static str| Some(text(status, sentence));
        let mut named = request.headers.get_all(HOST).iter();
        let host = match (named.next(), named.next()) {
            (Some(host), None) => host.to_str().ok().and_then(|host| host.parse::<Authority>().ok()),
            (None, _) if request.version == Version::HTTP_10 => return None,
            _ => return refused(StatusCode::BAD_REQUEST, "Exactly one Host is needed.\n"),
        };
        let Some(host) = host else { return refused(StatusCode::BAD_REQUEST, "The Host is malformed.\n") };
        let target = request.uri.authority();
        if self.allowed(host.host()) && target.is_none_or(|target| self.allowed(target.host())) {
            return None;
        }
        refused(StatusCode::MISDIRECTED_REQUEST, self.refusal)
    }

    fn allowed(&self, host: &str) -> bool {
        let host = plain(host);
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&host);
        bare.parse::<std::net::IpAddr>().is_ok()
            || host == "localhost"
            || [".local", ".localhost"].iter().any(|end| host.len() > end.len() && host.ends_with(end))
            || self.names.contains(&host)
    }
}

/// Lower case, without the root's dot.
fn plain(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    fn status(hosts: &[&str]) -> u16 {
        let mut request = Request::builder().uri("/");
        for host in hosts {
            request = request.header(HOST, *host);
        }
        answer(request)
    }

    fn answer(request: hyper::http::request::Builder) -> u16 {
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let hosts = Hosts::new(["Box7", "cams.example.org"], "Not my name.\n");
        hosts.refusal(&parts).map_or(200, |response| response.status().as_u16())
    }

    #[test]
    fn only_the_owners_names_come_in() {
        for good in [
            "192.168.1.5",
            "192.168.1.5:8080",
            "[fe80::1]:8080",
            "[::1]",
            "localhost:8080",
            "LOCALHOST",
            "box7",
            "BOX7.",
            "box7.local",
            "anything.local:80",
            "cams.example.org:8080",
            "app.localhost",
        ] {
            assert_eq!(status(&[good]), 200, "{good}");
        }
        for bad in [
            "evil.example",
            "192.168.1.5.evil.example",
            "localhost.evil.example",
            "box7.evil.example",
            "evil-local",
            ".local",
            "local",
            "xbox7",
            "1.2.3",
        ] {
            assert_eq!(status(&[bad]), 421, "{bad}");
        }
    }

    #[test]
    fn tricks_with_the_header_are_refused() {
        assert_eq!(status(&[]), 400);
        assert_eq!(status(&["localhost", "localhost"]), 400);
        assert_eq!(status(&["localhost", "evil.example"]), 400);
        assert_eq!(status(&[""]), 400);
        assert_eq!(status(&["a b"]), 400);
        assert_eq!(status(&["localhost@evil.example"]), 421);
        assert_eq!(answer(Request::get("http://evil.example/").header(HOST, "localhost")), 421);
        assert_eq!(answer(Request::get("http://localhost/").header(HOST, "evil.example")), 421);
        assert_eq!(answer(Request::get("http://localhost:80/").header(HOST, "localhost:80")), 200);
    }
}
