//! The way to the set-up page's process: everything under `/setup/` and `/api/v1/setup/`, and the answer to the question of
//! joining.
//!
//! Nothing of a stranger's request goes through as it came: it is read and bounded here, and a new, clean one is written, with
//! the few header lines that the page reads. What the page must know of the connection (`x-box-…`) is only ever said here.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ::door::{Limits, Seat, Seats};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{
    ACCEPT_ENCODING, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, DATE, HOST, HeaderName, HeaderValue,
    IF_NONE_MATCH, ORIGIN, RETRY_AFTER, SERVER, TRANSFER_ENCODING, UPGRADE,
};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::UnixStream;

use super::near::near;
use super::{Body, api};
use crate::setup_process::Address;

/// A body must be there after this.
const BODY_TIME: Duration = Duration::from_secs(10);
/// An answer must be there after this: a little more than the page itself waits.
const ANSWER_TIME: Duration = Duration::from_secs(70);
/// Most bytes of an answer: a snapshot is the largest.
const ANSWER_BYTES: usize = 1 << 20;
/// Requests under way, in all and from one address. Each holds a body of 64 KiB at most.
const REQUESTS: (usize, usize) = (64, 32);
/// What the page reads of a request's head; a second line of one of these is no honest request.
const READ: [HeaderName; 7] = [
    HOST,
    ORIGIN,
    CONTENT_TYPE,
    COOKIE,
    ACCEPT_ENCODING,
    IF_NONE_MATCH,
    HeaderName::from_static("sec-fetch-site"),
];
/// Where everybody may ask how the box stands.
const STATE: &str = "/api/v1/setup/state";

/// A handle on the way; cheap to clone.
#[derive(Clone)]
pub(crate) struct Way(Arc<Inner>);

struct Inner {
    address: Address,
    seats: Seats,
    owned: AtomicBool,
    /// Whether a box without an owner leads its visitors to the page.
    inviting: bool,
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub(super) struct From {
    /// The other end of the connection.
    pub(super) peer: IpAddr,
    /// Whether it came over TLS.
    pub(super) secure: bool,
}

impl Way {
    /// The way to the page at this address. `inviting`: as long as the box has no owner, its visitors are led there.
    pub(crate) fn new(address: Address, inviting: bool) -> Self {
        let (seats, seats_per_peer) = REQUESTS;
        let seats = Seats::new(Limits { seats, seats_per_peer, proxies: Vec::new() });
        Self(Arc::new(Inner { address, seats, owned: AtomicBool::new(false), inviting }))
    }

    /// Whether a path is the page's.
    pub(super) fn leads(path: &str) -> bool {
        path.starts_with("/setup/") || path.starts_with("/api/v1/setup/")
    }

    /// Has the page answer.
    pub(super) async fn answer(&self, from: From, parts: &Parts, body: Incoming) -> Response<Body> {
        let Some(seat) = self.0.seats.take(from.peer) else { return busy() };
        let body = match read(&seat, body).await {
            Ok(body) => body,
            Err(response) => return response,
        };
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        match clean(from, &parts.method, path, &parts.headers, body) {
            Ok(request) => self.asked(request).await.unwrap_or_else(gone),
            Err(response) => *response,
        }
    }

    /// Whether the request is the owner's.
    pub(super) async fn signed_in(&self, from: From, headers: &HeaderMap) -> bool {
        // Most that ask have never seen the page.
        headers.contains_key(COOKIE)
            && self.state(from, headers).await.is_some_and(|state| state["signed_in"] == true)
    }

    /// Whether a visitor of the list of cameras is led to the page instead.
    pub(super) async fn invites(&self, from: From, headers: &HeaderMap) -> bool {
        // Once owned, a box stays so until it starts anew.
        if !self.0.inviting || self.0.owned.load(Ordering::Relaxed) {
            return false;
        }
        let state = self.state(from, headers).await;
        let Some(owned) = state.and_then(|state| state["claimed"].as_bool()) else { return false };
        self.0.owned.store(owned, Ordering::Relaxed);
        !owned
    }

    /// Whether the page answers a question that anybody may ask. Takes no seat: the box itself asks, and seldom.
    pub(crate) async fn answers(&self) -> bool {
        let from = From { peer: IpAddr::from([127, 0, 0, 1]), secure: false };
        let headers = HeaderMap::from_iter([(HOST, HeaderValue::from_static("localhost"))]);
        let Ok(request) = clean(from, &Method::GET, STATE, &headers, Bytes::new()) else { return false };
        self.asked(request).await.is_some_and(|answer| answer.status().is_success())
    }

    async fn state(&self, from: From, headers: &HeaderMap) -> Option<Value> {
        let _seat = self.0.seats.take(from.peer)?;
        let request = clean(from, &Method::GET, STATE, headers, Bytes::new()).ok()?;
        let answer = self.asked(request).await?;
        let body = answer.into_body().collect().await.ok()?.to_bytes();
        serde_json::from_slice(&body).ok()
    }

    /// The page's answer; nothing when it does not come.
    async fn asked(&self, request: Request<Full<Bytes>>) -> Option<Response<Body>> {
        tokio::time::timeout(ANSWER_TIME, self.exchange(request)).await.ok()?
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Option<Response<Body>> {
        let head_only = request.method() == Method::HEAD;
        let stream = UnixStream::connect(self.0.address.path()).await.ok()?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
        let answer = async {
            let (mut parts, body) = sender.send_request(request).await.ok()?.into_parts();
            let body = Limited::new(body, ANSWER_BYTES).collect().await.ok()?.to_bytes();
            for name in [CONNECTION, TRANSFER_ENCODING, SERVER, DATE] {
                parts.headers.remove(name);
            }
            if !head_only {
                parts.headers.remove(CONTENT_LENGTH);
            }
            Some(Response::from_parts(parts, Body::from(body)))
        };
        let mut answer = std::pin::pin!(answer);
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            answer = &mut answer => answer,
            // Its end may come in the same moment as the answer.
            _ = &mut connection => answer.await,
        }
    }
}

/// The page's answer to a request that does not come as far as the page.
fn refusal(status: StatusCode, code: &str, sentence: &str) -> Response<Body> {
    api::json(status, &json!({ "code": code, "error": sentence }))
}

fn busy() -> Response<Body> {
    let mut response =
        refusal(StatusCode::SERVICE_UNAVAILABLE, "busy", "The set-up page is busy: try again.");
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

fn gone() -> Response<Body> {
    refusal(
        StatusCode::SERVICE_UNAVAILABLE,
        "gone",
        "The set-up page is starting anew: wait a moment and try again.",
    )
}

/// Reads a body, as long as nobody else needs the seat more.
async fn read(seat: &Seat, body: Incoming) -> Result<Bytes, Response<Body>> {
    seat.rest();
    let reading = tokio::time::timeout(BODY_TIME, Limited::new(body, setup::BODY_BYTES).collect());
    let read = tokio::select! {
        read = reading => read,
        () = seat.lost() => return Err(busy()),
    };
    seat.work();
    match read {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(refusal(StatusCode::PAYLOAD_TOO_LARGE, "too_long", "A request's body has at most 64 KiB."))
        }
        Ok(Err(_)) => Err(refusal(StatusCode::BAD_REQUEST, "malformed", "The request's body is malformed.")),
        Err(_) => {
            Err(refusal(StatusCode::REQUEST_TIMEOUT, "late", "The request's body did not come within 10 s."))
        }
    }
}

/// The request that the page gets.
fn clean(
    from: From,
    method: &Method,
    path: &str,
    headers: &HeaderMap,
    body: Bytes,
) -> Result<Request<Full<Bytes>>, Box<Response<Body>>> {
    let malformed =
        || Box::new(refusal(StatusCode::BAD_REQUEST, "malformed", "The request's head is malformed."));
    if headers.contains_key(UPGRADE) {
        return Err(Box::new(refusal(StatusCode::FORBIDDEN, "no_upgrade", "There is no WebSocket here.")));
    }
    let yes = |yes| HeaderValue::from_static(if yes { "yes" } else { "no" });
    let peer = HeaderValue::try_from(from.peer.to_canonical().to_string()).map_err(|_| malformed())?;
    let mut clean = Request::builder()
        .method(method)
        .uri(path)
        .header(CONNECTION, "close")
        .header("x-box-peer", peer)
        .header("x-box-near", yes(near(from.peer)))
        .header("x-box-secure", yes(from.secure));
    for name in READ {
        let mut values = headers.get_all(&name).iter();
        match (values.next(), values.next()) {
            (None, _) => {}
            // tiny_http reads ASCII only.
            (Some(value), None) if value.to_str().is_ok() => clean = clean.header(name, value),
            _ => return Err(malformed()),
        }
    }
    clean.body(Full::new(body)).map_err(|_| malformed())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cleaned(headers: &[(&str, &str)]) -> Result<Request<Full<Bytes>>, u16> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            );
        }
        let from = From { peer: "203.0.113.9".parse().unwrap(), secure: false };
        clean(from, &Method::GET, STATE, &map, Bytes::new()).map_err(|response| response.status().as_u16())
    }

    #[test]
    fn what_the_page_is_told_of_a_connection_comes_from_the_door_alone() {
        let request = cleaned(&[
            ("host", "box.local"),
            ("x-box-peer", "127.0.0.1"),
            ("x-box-near", "yes"),
            ("x-box-secure", "yes"),
            ("x-forwarded-for", "127.0.0.1"),
            ("transfer-encoding", "chunked"),
            ("expect", "100-continue"),
            ("connection", "keep-alive"),
        ])
        .unwrap();
        let lines: Vec<_> = request
            .headers()
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        assert_eq!(
            lines,
            [
                "connection: close",
                "x-box-peer: 203.0.113.9",
                "x-box-near: no",
                "x-box-secure: no",
                "host: box.local"
            ]
        );
    }

    #[test]
    fn heads_that_can_be_read_in_two_ways_do_not_come_through() {
        let host = ("host", "box.local");
        assert_eq!(cleaned(&[host, ("origin", "a"), ("origin", "b")]).unwrap_err(), 400);
        assert_eq!(cleaned(&[host, ("cookie", "a=b"), ("cookie", "c=d")]).unwrap_err(), 400);
        assert_eq!(cleaned(&[host, ("cookie", "a=ы")]).unwrap_err(), 400);
        assert_eq!(cleaned(&[host, ("upgrade", "websocket")]).unwrap_err(), 403);
    }
}
