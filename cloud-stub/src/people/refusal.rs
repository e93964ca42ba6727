//! Why somebody may not do something, in the same few words everywhere.

use axum::response::{IntoResponse, Response};
use hyper::StatusCode;

use crate::http::{not_found, sentence};

/// Why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nobody is signed in (401).
    #[error("Sign in first.")]
    NotSignedIn,
    /// It is not there, or they may not know that it is (404).
    #[error("There is nothing here.")]
    NotThere,
    /// They know of it, but may not do this (403).
    #[error("You may not do this: ask an owner.")]
    NotAllowed,
    /// The request may come from another site's page (403).
    #[error("This request was not sent by this cloud's own page.")]
    Foreign,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match self {
            Self::NotThere => return not_found(),
            Self::NotSignedIn => StatusCode::UNAUTHORIZED,
            Self::NotAllowed | Self::Foreign => StatusCode::FORBIDDEN,
        };
        sentence(status, &self.to_string())
    }
}
