//! The cloud's front: what strangers, boxes and viewers reach from outside.
//!
//! The door bounds connections and heads; here the rest is bounded: which names may be called (421), how long a request's
//! body may be and take, and what is not there (one 404 for everything).

pub mod acme;
pub mod certificate;
mod change;
mod client;
mod limits;
mod metrics;
mod outgoing;
mod redirect;
mod reply;
mod trust;
mod validity;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use door::{Hosts, Service, Trouble, Visit};
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use hyper::{Request, Response, StatusCode};
use tower::ServiceExt as _;

pub use change::Change;
pub use client::{Client, Proxies};
pub use limits::{BODY_BYTES, Bucket, TooMuch, json};
pub(crate) use metrics::Up;
pub use metrics::{Metrics, Source};
pub use outgoing::{NoAnswer, Outgoing, Target};
pub use redirect::{Challenges, Redirect};
pub use reply::{failed, gone_wrong, in_words, not_found, sentence, told};
pub use trust::{TrustError, client_config};

/// The description of the API for programs (OpenAPI 3.1).
const OPENAPI: &str = include_str!("openapi.json");

/// The front: an axum router behind the door's limits.
#[derive(Debug, Clone)]
pub struct Front {
    router: Router,
    hosts: Hosts,
    proxies: Proxies,
}

impl Front {
    /// A front that serves `routes`, and beside them `/healthz`, `/metrics` and the description of the API.
    pub fn new(routes: Router, metrics: Arc<Metrics>, hosts: Hosts, proxies: Proxies) -> Self {
        let own = Router::new()
            .route("/healthz", get(async || reply::text(StatusCode::OK, "ok\n")))
            .route("/metrics", get(async move || metrics.answer()))
            .route("/api/v1/openapi.json", get(async || reply::typed("application/json", OPENAPI)));
        let router = routes.merge(own).method_not_allowed_fallback(async || reply::not_allowed());
        Self { router, hosts, proxies }
    }
}

impl Service for Front {
    type Body = Body;

    async fn answer(&self, request: Request<Incoming>, visit: Visit) -> Response<Body> {
        let (mut parts, body) = request.into_parts();
        let path = parts.uri.path();
        let api = path == "/api" || path.starts_with("/api/");
        if let Some(refusal) = api.then(|| self.hosts.refusal(&parts)).flatten() {
            return refusal.map(Body::new);
        }
        let length = parts.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
        if length.is_some_and(|length| length.parse().map_or(true, |length: u64| length > BODY_BYTES as u64))
        {
            return reply::too_large();
        }
        parts.extensions.insert(self.proxies.client(visit.peer, &parts.headers));
        parts.extensions.insert(visit);
        let request = Request::from_parts(parts, Body::new(body));
        match self.router.clone().oneshot(request).await {
            // Whoever asks for what is not there learns nothing from how it is said.
            Ok(response) if reply::hides(&response) => not_found(),
            Ok(mut response) => {
                response.headers_mut().entry(X_CONTENT_TYPE_OPTIONS).or_insert(reply::NOSNIFF);
                response
            }
            Err(impossible) => match impossible {},
        }
    }

    fn trouble(&self, trouble: Trouble<'_>) {
        log(&trouble);
    }
}

/// Logs what the door says.
fn log(trouble: &Trouble<'_>) {
    match trouble {
        Trouble::Accept(_) => tracing::warn!("{trouble}"),
        Trouble::Handshake(..) | Trouble::Connection(..) => tracing::debug!("{trouble}"),
    }
}

/// Whether a request's body calls itself JSON.
fn is_json(parts: &hyper::http::request::Parts) -> bool {
    let kind = parts.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}
