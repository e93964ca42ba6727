//! Which part of the box answers a request.

use hyper::body::Incoming;
use hyper::header::{ALLOW, CONNECTION, CONTENT_LENGTH, HOST, HeaderValue, LOCATION};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use model::CameraId;

use super::setup::{From, Way};
use super::{Body, Hosts, api, hls, join, metrics, not_found, pages, reply, text};
use crate::names::ssdp;
use crate::state::Shared;

/// The one address outside the set-up page that changes something.
const QUESTION: &str = "/api/v1/join";
/// Most bytes of a request's body. Who reads one has a lower limit: this only tells an honest mistake from an attack.
const BODY_BYTES: u64 = 64 << 10;

/// Answers a request: first whether it may come in, then what it asks for.
pub(super) async fn answer(
    shared: &Shared,
    hosts: &Hosts,
    way: Option<&Way>,
    from: From,
    request: Request<Incoming>,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    if let Some(response) = refusal(hosts, &parts) {
        return response;
    }
    let path = parts.uri.path();
    if Way::leads(path) || (path == QUESTION && parts.method == Method::POST) {
        return match way {
            Some(way) => way.answer(from, &parts, body).await,
            None => not_found(),
        };
    }
    // Any other body is never read. hyper closes the connection behind an answer that leaves one unread.
    drop(body);
    if parts.method != Method::OPTIONS {
        match (path, way) {
            (QUESTION, way) => return join::answer(shared, way, from, &parts.headers).await,
            ("/", Some(way)) if way.invites(from, &parts.headers).await => {
                return redirect(StatusCode::FOUND, "/setup/");
            }
            ("/setup", Some(_)) => return redirect(StatusCode::PERMANENT_REDIRECT, "/setup/"),
            ("/join", Some(_)) => return redirect(StatusCode::FOUND, "/setup/#join"),
            _ => {}
        }
    }
    route(shared, way.is_some(), &parts).await
}

/// The answer to a request that may not come in.
fn refusal(hosts: &Hosts, request: &Parts) -> Option<Response<Body>> {
    if let Some(response) = hosts.refusal(request) {
        return Some(response);
    }
    let allowed = match request.uri.path() {
        QUESTION => "GET, HEAD, OPTIONS, POST",
        path if Way::leads(path) => "GET, HEAD, OPTIONS, POST, DELETE",
        _ => "GET, HEAD, OPTIONS",
    };
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

async fn route(shared: &Shared, page: bool, request: &Parts) -> Response<Body> {
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
            pages::index(shared, page, host)
        }
        ("ssdp.xml", None) => description(shared, request),
        ("healthz", None) => text(StatusCode::OK, "ok\n"),
        ("metrics", None) => metrics::answer(shared),
        ("assets", Some(name)) => pages::asset(name, &request.headers),
        ("api", Some(rest)) => match rest.strip_prefix("v1/") {
            Some(rest) => api::answer(shared, rest),
            None => not_found(),
        },
        (id, None) if shared.camera(id).is_some() => {
            redirect(StatusCode::PERMANENT_REDIRECT, &format!("/{id}/"))
        }
        (id, Some("")) => pages::player(shared, id),
        (id, Some(name)) => hls::answer(shared, id, name, request).await,
        _ => not_found(),
    }
}

/// What the box tells UPnP of itself; the page is where the asker has come in.
fn description(shared: &Shared, request: &Parts) -> Response<Body> {
    let host = request.headers.get(HOST).and_then(|host| host.to_str().ok());
    match (shared.whereabouts().called(), host) {
        (Some(names), Some(host)) => {
            let text = ssdp::description(&names.uuid(), &names.friendly(), host);
            reply(StatusCode::OK, "text/xml; charset=\"utf-8\"", text)
        }
        _ => not_found(),
    }
}

/// What may be done with an address; only media may be fetched by pages of other origins.
fn options(media: bool) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"));
    if media {
        feed::open_to_all_origins(response.headers_mut());
    }
    response
}

/// Leads elsewhere. Relative names in a page need the slash at the end of its address.
fn redirect(status: StatusCode, path: &str) -> Response<Body> {
    let mut response = text(status, "");
    if let Ok(path) = HeaderValue::try_from(path) {
        response.headers_mut().insert(LOCATION, path);
    }
    response
}
