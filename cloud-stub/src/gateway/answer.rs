//! Answers to viewers. Every no is the same no: same bytes, same headers, whatever the reason.

use std::sync::Arc;

use door::range::{self, Asked};
use door::{Body as Own, reply};
use hyper::header::{
    ACCEPT_RANGES, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALLOW, CACHE_CONTROL, CONTENT_RANGE, CONTENT_TYPE,
    ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH, IF_RANGE, LOCATION, RANGE, REFERRER_POLICY, RETRY_AFTER,
    VARY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use media::ObjectName;

use super::object::{Media, Object, content_type};
use super::pieces::Body;

/// The one answer for a link that never was, that is switched off, whose box is revoked, and for names that no camera has.
pub(super) fn not_found() -> Response<Own> {
    open(door::not_found())
}

/// A directive that cannot be read, or that the box refused.
pub(super) fn malformed() -> Response<Own> {
    open(door::text(StatusCode::BAD_REQUEST, "That playlist cannot be asked for.\n"))
}

/// Only reading is possible here.
pub(super) fn not_allowed() -> Response<Own> {
    let mut response =
        door::text(StatusCode::METHOD_NOT_ALLOWED, "Only GET, HEAD and OPTIONS are understood.\n");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"));
    open(response)
}

/// What a page of another origin may do here (Fetch standard, CORS preflight).
pub(super) fn options() -> Response<Own> {
    let mut response = Response::new(Own::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"));
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD, OPTIONS"));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("range, authorization"));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    open(response)
}

/// Nothing to show now; `offline_since_ms` while the box cannot be reached.
pub(super) fn unavailable(offline_since_ms: Option<u64>) -> Response<Own> {
    let body = serde_json::json!({ "offline_since_ms": offline_since_ms }).to_string();
    let mut response = reply(StatusCode::SERVICE_UNAVAILABLE, "application/json", body);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    open(response)
}

/// The answer to what is found elsewhere: for ever, or for this once. Where that is may hold a secret: no cache keeps it.
pub(super) fn moved(status: StatusCode, path: String) -> Response<Own> {
    let mut response = door::text(status, "");
    // What a path may hold, a header may.
    if let Ok(path) = HeaderValue::try_from(path) {
        response.headers_mut().insert(LOCATION, path);
    }
    response
}

/// An answer that no cache keeps and that is nothing but its type.
pub(super) fn plain(content_type: &'static str, body: String) -> Response<Own> {
    let mut response = reply(StatusCode::OK, content_type, body);
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// The same answer for one viewer only: no cache keeps it, and one that keeps it all the same tells viewers apart
/// (RFC 9111, 4.1). The page says nothing of its address, which may hold a secret, to others.
pub(super) fn private<B>(mut response: Response<B>) -> Response<B> {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    headers.insert(VARY, HeaderValue::from_static("cookie, authorization"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// An object as this request asks for it: whole, a range of it (RFC 9110, 14), or not again (13.1.2).
pub(super) fn media(
    name: ObjectName,
    object: &Arc<Object>,
    media: &Media,
    request: &Parts,
) -> Response<Body> {
    let length = media.pieces.len();
    if media.etag.as_ref().is_some_and(|etag| known(&request.headers, etag)) {
        let mut response = Response::new(Body::Own(Own::empty()));
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        keep(&mut response, media);
        return open(response);
    }
    let wanted = request.headers.get(RANGE).filter(|_| media.lasting && request.method == Method::GET);
    let wanted = wanted.filter(|_| {
        // A range of what was changed meanwhile is none (RFC 9110, 13.1.5).
        request.headers.get(IF_RANGE).is_none_or(|tag| Some(tag) == media.etag.as_ref())
    });
    let (status, body, content_range) =
        match range::asked(wanted.and_then(|range| range.to_str().ok()), length) {
            Asked::Whole => (StatusCode::OK, Body::range(object, &media.pieces, 0..length), None),
            Asked::Part(part) => {
                let content_range = format!("bytes {}-{}/{length}", part.start, part.end - 1);
                let body = Body::range(object, &media.pieces, part);
                (StatusCode::PARTIAL_CONTENT, body, Some(content_range))
            }
            Asked::Beyond => (
                StatusCode::RANGE_NOT_SATISFIABLE,
                Body::Own(Own::empty()),
                Some(format!("bytes */{length}")),
            ),
        };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    if status == StatusCode::RANGE_NOT_SATISFIABLE {
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    } else {
        keep(&mut response, media);
    }
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type(name)));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if media.lasting {
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    }
    if let Some(value) = content_range.and_then(|range| HeaderValue::try_from(range).ok()) {
        headers.insert(CONTENT_RANGE, value);
    }
    open(response)
}

/// What caches need.
fn keep(response: &mut Response<Body>, media: &Media) {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, media.cache_control.clone());
    if let Some(etag) = &media.etag {
        headers.insert(ETAG, etag.clone());
    }
}

/// Whether the viewer has it already: If-None-Match compares weakly.
pub(super) fn known(request: &HeaderMap, etag: &HeaderValue) -> bool {
    let Ok(etag) = etag.to_str() else { return false };
    let lists = request.get_all(IF_NONE_MATCH).iter().filter_map(|tags| tags.to_str().ok());
    lists
        .flat_map(|tags| tags.split(','))
        .map(str::trim)
        .any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag)
}

/// Pages of any origin may fetch this.
pub(super) fn open<B>(mut response: Response<B>) -> Response<B> {
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(
        ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("content-length, content-range, date, retry-after"),
    );
    response
}
