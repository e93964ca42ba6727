//! "Find my box": a page for the phone that has scanned a label, and the question behind it.
//!
//! The code stands behind the `#` of the label's address, so browsers never send it but in the one question. Codes have 50 bits;
//! how often an address may ask is bounded, and so is how often everybody together may, so that guessing is hopeless. What is
//! unknown, too old, revoked and malformed looks the same.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Instant;

use ::enrol::LabelCode;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use hyper::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, REFERRER_POLICY};
use hyper::{Request, StatusCode};
use serde::{Deserialize, Serialize};

use crate::http::{Bucket, Client, failed, gone_wrong, json, not_found};
use crate::store::Store;

/// Questions of one address: at once, and in a minute. Somebody types a code wrong a few times.
const OF_ONE: (u32, u32) = (10, 10);
/// Questions of everybody. At ten thousand boxes a guesser who takes them all finds one in three hundred years.
const OF_ALL: (u32, u32) = (300, 600);
/// Everybody, as one address.
const EVERYBODY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
/// The page loads its own files and asks its own server; it cannot be framed.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

const PAGE: &str = include_str!("find.html");
const SCRIPT: &str = include_str!("find.js");
const STYLE: &str = include_str!("find.css");

/// What finding needs.
#[derive(Debug)]
pub struct Finder {
    store: Store,
    of_one: Bucket,
    of_all: Bucket,
}

/// The question.
#[derive(Deserialize)]
struct Question {
    code: String,
}

/// The answer.
#[derive(Serialize)]
struct Answer {
    /// Where the box's page is on its own network, best first.
    pages: Vec<String>,
    /// Seconds since the box was last heard of.
    seen_s: u64,
}

impl Finder {
    /// Finds the boxes of this store.
    pub fn new(store: Store) -> Self {
        Self { store, of_one: Bucket::new(OF_ONE.0, OF_ONE.1), of_all: Bucket::new(OF_ALL.0, OF_ALL.1) }
    }

    /// `/find`, what it is made of, and `/api/v1/find`.
    pub fn routes(self) -> Router {
        Router::new()
            .route("/find", get(async || file("text/html; charset=utf-8", PAGE)))
            .route("/find/find.js", get(async || file("text/javascript; charset=utf-8", SCRIPT)))
            .route("/find/find.css", get(async || file("text/css; charset=utf-8", STYLE)))
            .route("/api/v1/find", post(find))
            .with_state(Arc::new(self))
    }
}

fn file(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        (CONTENT_TYPE, kind),
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-cache"),
    ];
    (headers, text).into_response()
}

async fn find(
    State(finder): State<Arc<Finder>>,
    Extension(client): Extension<Client>,
    request: Request<Body>,
) -> Response {
    let now = Instant::now();
    let taken = finder.of_one.take(client.0, now).and_then(|()| finder.of_all.take(EVERYBODY, now));
    if let Err(wait) = taken {
        let words = "Too many codes were asked for: wait a minute.";
        return failed(StatusCode::TOO_MANY_REQUESTS, words, wait.retry_after_s);
    }
    let question: Question = match json(request).await {
        Ok(question) => question,
        Err(refusal) => return *refusal,
    };
    let Ok(code) = question.code.parse::<LabelCode>() else { return not_found() };
    match finder.store.find(&code.hash()).await {
        Ok(Some(found)) => {
            let seen_s = finder.store.now_ms().saturating_sub(found.seen_ms) / 1000;
            let mut response = Json(Answer { pages: found.pages, seen_s }).into_response();
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        }
        Ok(None) => not_found(),
        Err(error) => {
            tracing::warn!("{error}; a search for a box was answered with 503");
            gone_wrong(&error)
        }
    }
}
