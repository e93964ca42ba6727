//! What a browser sent, and whether it was the box's own page that made it send it.
//!
//! A page of a stranger can make its visitor's browser send forms, plain fetches and WebSocket handshakes to the box. It cannot
//! make it send JSON with the box's own `Origin`: so everything that changes something must be exactly that.

use std::net::{IpAddr, Ipv4Addr};

use embedded_svc::http::{Headers, Method};
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::answer::Fault;
use crate::gate::Visitor;

/// Most bytes of a body.
pub const BODY_BYTES: usize = 64 << 10;

/// One request, its body read.
pub(crate) struct Request<'c> {
    /// How.
    pub(crate) method: Method,
    /// Header lines.
    pub(crate) headers: &'c dyn Headers,
    /// The body; it may hold a password, so it is wiped.
    pub(crate) body: Zeroizing<Vec<u8>>,
}

/// A cookie's name: over TLS one that no plain page and no neighbour's name can set (RFC 6265bis, section 4.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cookie {
    /// The session.
    Session,
    /// The browser's mark.
    Mark,
}

impl Cookie {
    /// Its name.
    pub(crate) const fn name(self, secure: bool) -> &'static str {
        match (self, secure) {
            (Self::Session, false) => "box",
            (Self::Session, true) => "__Host-box",
            (Self::Mark, false) => "box-known",
            (Self::Mark, true) => "__Host-box-known",
        }
    }

    /// The line that makes a browser keep it for so many seconds.
    pub(crate) fn line(self, secure: bool, value: &str, seconds: u64) -> String {
        let name = self.name(secure);
        let more = if secure { "; Secure" } else { "" };
        format!("{name}={value}; HttpOnly; SameSite=Strict; Path=/; Max-Age={seconds}{more}")
    }
}

impl Request<'_> {
    /// Whether it came over TLS, as the front door says.
    pub(crate) fn secure(&self) -> bool {
        self.headers.header("x-box-secure") == Some("yes")
    }

    /// The other end, as the front door says.
    pub(crate) fn peer(&self) -> IpAddr {
        let peer = self.headers.header("x-box-peer").and_then(|peer| peer.parse().ok());
        peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
    }

    /// Who asks.
    pub(crate) fn visitor(&self) -> Visitor<'_> {
        Visitor {
            peer: self.peer(),
            near: self.headers.header("x-box-near") == Some("yes"),
            mark: self.cookie(Cookie::Mark),
        }
    }

    /// A cookie's value.
    pub(crate) fn cookie(&self, cookie: Cookie) -> Option<&str> {
        let name = cookie.name(self.secure());
        let lines = self.headers.header("cookie")?;
        lines.split(';').find_map(|line| {
            let (key, value) = line.trim().split_once('=')?;
            (key == name).then_some(value)
        })
    }

    /// Refuses what a page of somebody else made the browser send.
    pub(crate) fn judge_origin(&self) -> Result<(), Fault> {
        let foreign = || {
            Fault::new(
                403,
                "not_the_page",
                "Only the box's own page may do that: JSON, with the page's own origin.",
            )
        };
        let origin = self.headers.header("origin");
        let own = |origin: &str| {
            let host = self.headers.header("host").unwrap_or_default();
            let origin = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
            !host.is_empty() && origin.is_some_and(|origin| origin.eq_ignore_ascii_case(host))
        };
        if origin.is_some_and(|origin| !own(origin)) {
            return Err(foreign());
        }
        // Browsers say since 2020 where a request comes from (Fetch Metadata); whoever asks without a browser says nothing.
        if matches!(self.headers.header("sec-fetch-site"), Some("cross-site" | "same-site")) {
            return Err(foreign());
        }
        if matches!(self.method, Method::Get | Method::Head) {
            return Ok(());
        }
        let kind = self.headers.header("content-type").and_then(|kind| kind.split(';').next());
        let json = kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"));
        // No form and no plain fetch can send DELETE; browsers send it without a type, for it has no body.
        let json = json || (self.method == Method::Delete && kind.is_none() && self.body.is_empty());
        if origin.is_none() || !json {
            return Err(foreign());
        }
        Ok(())
    }

    /// The body as JSON; none counts as `{}`.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        let body = if self.body.is_empty() { b"{}" } else { self.body.as_slice() };
        serde_json::from_slice(body).map_err(|_| Fault::malformed())
    }
}
