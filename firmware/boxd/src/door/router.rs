//! Which part of the box answers a request.

use hyper::body::Incoming;
use hyper::header::{ALLOW, CONNECTION, CONTENT_LENGTH, HOST, HeaderValue, LOCATION};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use model::CameraId;

use super::{Body, Hosts, api, hls, join, metrics, not_found, pages, text};
use crate::state::Shared;

/// The one address that changes something.
const QUESTION: &str = "/api/v1/join";
/// Most bytes of a request's body. Who reads one has a lower limit: this only tells an honest mistake from an attack.
const BODY_BYTES: u64 = 64 << 10;

/// Answers a request: first whether it may come in, then what it asks for.
pub(super) async fn answer(shared: &Shared, hosts: &Hosts, request: Request<Incoming>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    if let Some(response) = refusal(hosts, &parts) {
        return response;
    }
    if parts.method == Method::POST {
        return join::answered(shared, &parts.headers, body).await;
    }
    // Any other body is never read. hyper closes the connection behind an answer that leaves one unread.
    drop(body);
    route(shared, &parts).await
}

/// The answer to a request that may not come in.
fn refusal(hosts: &Hosts, request: &Parts) -> Option<Response<Body>> {
    if let Some(response) = hosts.refusal(request) {
        return Some(response);
    }
    let allowed =
        if request.uri.path() == QUESTION { "GET, HEAD, OPTIONS, POST" } else { "GET, HEAD, OPTIONS" };
    if !allowed.split(", ").any(|method| request.method == method) {
        let mut response =
            text(StatusCode::METHOD_NOT_ALLOWED, format!("Here only {allowed} are understood.\n"));
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
        return Some(closing(response));
    }
    let announced = request.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    if announced.is_some_and(|length| length.parse().map_or(true, |length: u64| length > BODY_BYTES)) {
        let response = text(StatusCode::PAYLOAD_TOO_LARGE, "A request's body has at most 64 KiB.\n");
        return Some(closing(response));
    }
    None
}

fn closing(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

async fn route(shared: &Shared, request: &Parts) -> Response<Body> {
    let path = request.uri.path();
    let (first, rest) = match path.strip_prefix('/').unwrap_or_default().split_once('/') {
        Some((first, rest)) => (first, Some(rest)),
        None => (path.trim_start_matches('/'), None),
    };
    if request.method == Method::OPTIONS {
        return options(
            matches!(rest, Some(name) if !name.is_empty() && !CameraId::RESERVED.contains(&first)),
        );
    }
    match (first, rest) {
        ("", None) => {
            let host = request.headers.get(HOST).and_then(|host| host.to_str().ok());
            pages::index(shared, host)
        }
        ("join", None) => pages::join(shared),
        ("healthz", None) => text(StatusCode::OK, "ok\n"),
        ("metrics", None) => metrics::answer(shared),
        ("assets", Some(name)) => pages::asset(name, &request.headers),
        ("api", Some(rest)) => match rest.strip_prefix("v1/") {
            Some(rest) => api::answer(shared, rest),
            None => not_found(),
        },
        (id, None) if shared.camera(id).is_some() => redirect(&format!("/{id}/")),
        (id, Some("")) => pages::player(shared, id),
        (id, Some(name)) => hls::answer(shared, id, name, request).await,
        _ => not_found(),
    }
}

/// What may be done with an address; only media may be fetched by pages of other origins.
fn options(media: bool) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"));
    if media {
        hls::open_to_all_origins(response.headers_mut());
    }
    response
}

/// Relative names in a page need the slash at the end of its address.
fn redirect(path: &str) -> Response<Body> {
    let mut response = text(StatusCode::PERMANENT_REDIRECT, "");
    if let Ok(path) = HeaderValue::try_from(path) {
        response.headers_mut().insert(LOCATION, path);
    }
    response
}
