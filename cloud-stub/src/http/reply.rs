//! Answers: short sentences that no cache keeps, and one 404 for everything that is not there, whatever the reason.

use axum::body::Body;
use bytes::Bytes;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW, CACHE_CONTROL, CONNECTION, HeaderValue, RETRY_AFTER,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};

use crate::store::{self, Refused};

pub(super) const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
/// When to try again while the database does not answer, seconds.
const DATABASE_RETRY_S: u64 = 5;
/// When to try again while too many enrol, seconds.
const CROWD_RETRY_S: u64 = 60;

/// An answer of this type.
pub(super) fn typed(content_type: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    door::reply(StatusCode::OK, content_type, body.into()).map(Body::new)
}

/// A plain sentence.
pub(super) fn text(status: StatusCode, sentence: &'static str) -> Response<Body> {
    door::text(status, sentence).map(Body::new)
}

/// The one answer for everything that is not there. Pages of other origins may read it, as they may read video: else a
/// link that is off would look different to them from one that never was.
pub fn not_found() -> Response<Body> {
    let mut response = door::not_found().map(Body::new);
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    response
}

/// A method that this address does not know. axum has said which it knows.
pub(super) fn not_allowed() -> Response<Body> {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "That cannot be done here.\n");
    response.headers_mut().remove(ALLOW);
    response
}

/// A body that is too long; the connection ends, so that it is not read.
pub(super) fn too_large() -> Response<Body> {
    let mut response = text(StatusCode::PAYLOAD_TOO_LARGE, "A request's body has at most 64 KiB.\n");
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// An answer of the API that no cache keeps.
pub fn told(body: impl serde::Serialize) -> Response<Body> {
    match serde_json::to_vec(&body) {
        Ok(body) => {
            let mut response = door::reply(StatusCode::OK, "application/json", body).map(Body::new);
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        }
        Err(_) => sentence(StatusCode::INTERNAL_SERVER_ERROR, "The answer cannot be written down."),
    }
}

/// A refusal of the API: `{"error": "…"}`.
pub fn sentence(status: StatusCode, sentence: &str) -> Response<Body> {
    let body = serde_json::json!({ "error": sentence }).to_string();
    door::reply(status, "application/json", body).map(Body::new)
}

/// Marks an answer whose words are for everybody to read.
#[derive(Debug, Clone, Copy)]
struct InWords;

/// A refusal of the API whose words are kept even when they say that something is not there: it is no secret that it is not.
pub fn in_words(status: StatusCode, words: &str) -> Response<Body> {
    let mut response = sentence(status, words);
    response.extensions_mut().insert(InWords);
    response
}

/// Whether an answer says that something is not there, and why not is nobody's business.
pub(super) fn hides(response: &Response<Body>) -> bool {
    response.status() == StatusCode::NOT_FOUND && response.extensions().get::<InWords>().is_none()
}

/// A [`sentence`], with the time to try again, seconds.
pub fn failed(status: StatusCode, words: &str, retry_after_s: u64) -> Response<Body> {
    let mut response = sentence(status, words);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(retry_after_s));
    response
}

/// What a stranger learns of a store's error. The database's own words stay in the log.
pub fn gone_wrong(error: &store::Error) -> Response<Body> {
    let store::Error::Refused(refused) = error else {
        let words = "The cloud's database does not answer at the moment. Nothing is lost: try again.";
        return failed(StatusCode::SERVICE_UNAVAILABLE, words, DATABASE_RETRY_S);
    };
    let words = refused.to_string();
    match refused {
        Refused::NoSession
        | Refused::NoBox(_)
        | Refused::NoCamera(_)
        | Refused::NoPerson(_)
        | Refused::NotThere
        | Refused::NoCode => not_found(),
        Refused::Revoked => sentence(StatusCode::GONE, &words),
        Refused::TooManySessions | Refused::PoolExhausted { .. } => {
            failed(StatusCode::SERVICE_UNAVAILABLE, &words, CROWD_RETRY_S)
        }
        Refused::TooManyClaims { retry_after_s } => {
            failed(StatusCode::TOO_MANY_REQUESTS, &words, *retry_after_s)
        }
        Refused::OwnerName | Refused::Unfit(_) | Refused::TooManyCameras(_) => {
            sentence(StatusCode::BAD_REQUEST, &words)
        }
        Refused::NotClaimed
        | Refused::Expired
        | Refused::Repeated
        | Refused::OtherWords
        | Refused::OtherOwner { .. }
        | Refused::NameTaken
        | Refused::LastOwner
        | Refused::KeyTaken => sentence(StatusCode::CONFLICT, &words),
    }
}
