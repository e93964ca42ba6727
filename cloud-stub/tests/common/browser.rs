//! Browsers at a front on loopback: each keeps a cookie and comes from an address of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use cloud_stub::store::{Role, Store};
use http_body_util::{BodyExt as _, Full};
use hyper::header::HeaderMap;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

/// The front's own address, as its pages say where they come from.
pub(crate) const URL: &str = "https://video.example.org";
/// Everybody's.
pub(crate) const PASSWORD: &str = "correct horse battery";

/// An answer, whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }

    /// The JSON of a good answer.
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{self:?}");
        self.json()
    }

    /// Everything that a stranger sees but the time.
    pub(crate) fn looks(&self) -> String {
        let mut headers: Vec<_> = self.headers.iter().filter(|(name, _)| *name != "date").collect();
        headers.sort_by_key(|(name, _)| name.as_str());
        format!("{} {headers:?} {:?}", self.status, self.body)
    }

    /// The cookie that it sets.
    pub(crate) fn cookie(&self) -> Option<String> {
        let cookie = self.headers.get("set-cookie")?.to_str().unwrap();
        Some(cookie.split(';').next().unwrap().to_owned())
    }
}

/// Sends one request on a connection of its own.
pub(crate) async fn send(front: SocketAddr, request: Request<Full<Bytes>>) -> Answer {
    let stream = TcpStream::connect(front).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let response = sender.send_request(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer { status: parts.status, headers: parts.headers, body }
}

/// A browser.
#[derive(Clone, Debug)]
pub(crate) struct Browser {
    pub(crate) cookie: String,
    pub(crate) csrf: String,
    pub(crate) from: String,
}

impl Browser {
    /// Nobody is signed in.
    pub(crate) fn new() -> Self {
        static TURN: AtomicU32 = AtomicU32::new(0x0a14_0000);
        let from = Ipv4Addr::from(TURN.fetch_add(1, Ordering::Relaxed)).to_string();
        Self { cookie: String::new(), csrf: String::new(), from }
    }

    /// Somebody new, signed in: in a tenant, or an operator.
    pub(crate) async fn invited(
        front: SocketAddr,
        store: &Store,
        email: &str,
        what: Option<(&str, Role)>,
    ) -> Self {
        let secret = store.invite_as(email, what).await.unwrap();
        let mut browser = Self::new();
        let path = format!("/api/v1/invitations/{}", secret.expose());
        let words = json!({ "name": email, "password": PASSWORD, "language": "kk" });
        let answer = browser.ask(front, "POST", &path, Some(&words)).await;
        browser.has_signed_in(&answer);
        browser
    }

    /// Keeps what it is given.
    pub(crate) fn has_signed_in(&mut self, answer: &Answer) {
        self.csrf = answer.ok()["csrf"].as_str().unwrap().into();
        self.cookie = answer.cookie().unwrap();
    }

    /// Asks as the portal's page in this browser does.
    pub(crate) async fn ask(
        &self,
        front: SocketAddr,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Answer {
        let mut request = Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap()).uri(path);
        request = request.header("host", "video.example.org").header("x-forwarded-for", &self.from);
        request = request.header("user-agent", "Browser/1.0");
        if method != "GET" {
            request = request.header("origin", URL).header("sec-fetch-site", "same-origin");
        }
        for (name, value) in [("cookie", &self.cookie), ("x-csrf", &self.csrf)] {
            if !value.is_empty() {
                request = request.header(name, value);
            }
        }
        let body = body.map(|body| serde_json::to_vec(body).unwrap());
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        send(front, request.body(Full::from(body.unwrap_or_default())).unwrap()).await
    }
}
