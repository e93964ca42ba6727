//! Why a request of the portal is not answered as was asked, whatever the reason.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use hyper::StatusCode;

use super::{PasswordError, Refusal};
use crate::http::{TooMuch, failed, gone_wrong, sentence};
use crate::store::Error;

/// When to try again while too many sign in, seconds.
const BUSY_RETRY_S: u64 = 3;

/// Why not, as an answer.
#[derive(Debug)]
pub struct Failure(Box<Response>);

/// What a handler gives.
pub type Answer = Result<Response, Failure>;

impl Failure {
    /// These words.
    pub fn new(status: StatusCode, words: &str) -> Self {
        Self(Box::new(sentence(status, words)))
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        *self.0
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self(Box::new(refusal.into_response()))
    }
}

impl From<Box<Response<Body>>> for Failure {
    fn from(response: Box<Response<Body>>) -> Self {
        Self(response)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        if !matches!(error, Error::Refused(_)) {
            tracing::warn!("{error}; a request was answered with 503");
        }
        Self(Box::new(gone_wrong(&error)))
    }
}

impl From<TooMuch> for Failure {
    fn from(wait: TooMuch) -> Self {
        let words = "There were too many tries: wait a little.";
        Self(Box::new(failed(StatusCode::TOO_MANY_REQUESTS, words, wait.retry_after_s)))
    }
}

impl From<PasswordError> for Failure {
    fn from(error: PasswordError) -> Self {
        let words = error.to_string();
        Self(Box::new(match error {
            PasswordError::TooShort | PasswordError::TooLong => sentence(StatusCode::BAD_REQUEST, &words),
            PasswordError::Busy => failed(StatusCode::SERVICE_UNAVAILABLE, &words, BUSY_RETRY_S),
        }))
    }
}
