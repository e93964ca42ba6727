//! The plain listener beside TLS: it answers the ACME server (RFC 8555 section 8.3) and sends everybody else to the
//! cloud's own address.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use door::{Body, Service, Trouble, Visit};
use hyper::body::Incoming;
use hyper::header::{HeaderValue, LOCATION};
use hyper::{Request, Response, StatusCode};

/// Where the ACME server looks.
const CHALLENGE: &str = "/.well-known/acme-challenge/";

/// The key authorizations that an ACME server may ask for now, by their tokens.
#[derive(Debug, Clone, Default)]
pub struct Challenges(Arc<RwLock<HashMap<String, String>>>);

impl Challenges {
    /// Answers `token` from now on.
    pub fn put(&self, token: &str, answer: &str) {
        let mut answers = self.0.write().unwrap_or_else(PoisonError::into_inner);
        answers.insert(token.to_owned(), answer.to_owned());
    }

    /// Answers none of them any more.
    pub fn clear(&self) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn get(&self, token: &str) -> Option<String> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(token).cloned()
    }
}

/// The plain listener.
#[derive(Debug, Clone)]
pub struct Redirect {
    /// What the ACME server may ask for.
    pub challenges: Challenges,
    /// Where everybody else goes, without a slash at the end.
    pub base: String,
}

impl Service for Redirect {
    type Body = Body;

    async fn answer(&self, request: Request<Incoming>, _visit: Visit) -> Response<Body> {
        if let Some(token) = request.uri().path().strip_prefix(CHALLENGE) {
            return match self.challenges.get(token) {
                Some(answer) => door::reply(StatusCode::OK, "application/octet-stream", answer),
                None => door::not_found(),
            };
        }
        // The name that was called by is not repeated: it may be a stranger's.
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let mut response = door::text(StatusCode::PERMANENT_REDIRECT, "");
        if let Ok(location) = HeaderValue::try_from(format!("{}{path}", self.base)) {
            response.headers_mut().insert(LOCATION, location);
        }
        response
    }

    fn trouble(&self, trouble: Trouble<'_>) {
        super::log(&trouble);
    }
}
