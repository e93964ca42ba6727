//! What a tenant has: sites, boxes, cameras, and how boxes come in.
//!
//! Everything is told from the directory in memory. Whoever is nothing in the tenant of a thing is told that it is not
//! there.

mod boxes;
mod cameras;
mod claims;
mod operator;
mod sites;

pub use cameras::{camera_for, camera_view};

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, patch, post};
use serde::Deserialize;

use crate::people::Turnstile;
use crate::store::Store;

/// A box reports every 30 s; two reports may get lost, milliseconds.
const SILENT_MS: u64 = 75_000;
/// Most things that are told at once.
const MOST: usize = 1000;
/// Claims from one address: an installer with ten boxes in the car, mistyping each second code.
const OF_ADDRESS: (u32, u32) = (20, 20);
/// Claims of one person.
const OF_PERSON: (u32, u32) = (10, 10);

/// The things of this store.
#[derive(Debug)]
pub struct Things {
    store: Store,
    claims: Turnstile,
}

impl Things {
    /// The things of this store.
    pub fn new(store: Store) -> Self {
        Self { store, claims: Turnstile::new(OF_ADDRESS, OF_PERSON) }
    }

    /// What is under `/api/v1` for that. Needs [`Gate`](crate::people::Gate) as an extension.
    pub fn routes(self) -> Router {
        Router::new()
            .route("/api/v1/tenants/{tenant}/sites", get(sites::list).post(sites::add))
            .route("/api/v1/sites/{site}", patch(sites::change).delete(sites::remove))
            .route("/api/v1/tenants/{tenant}/claims", post(claims::claim))
            .route("/api/v1/tenants/{tenant}/claims/{session}", get(claims::progress))
            .route("/api/v1/tenants/{tenant}/boxes", get(boxes::list))
            .route("/api/v1/boxes/{box}", get(boxes::one).patch(boxes::change))
            .route("/api/v1/boxes/{box}/release", post(boxes::release))
            .route("/api/v1/boxes/{box}/revoke", post(boxes::revoke))
            .route("/api/v1/tenants/{tenant}/cameras", get(cameras::list))
            .route("/api/v1/cameras/{camera}", get(cameras::one).patch(cameras::change))
            .route("/api/v1/operator/summary", get(operator::summary))
            .route("/api/v1/operator/boxes", get(operator::boxes))
            .with_state(Arc::new(self))
    }
}

/// Which of many.
#[derive(Debug, Deserialize)]
struct Page {
    #[serde(default)]
    query: String,
    #[serde(default)]
    offset: usize,
    limit: Option<usize>,
}

impl Page {
    /// The part that was asked for.
    fn of<T>(&self, all: impl IntoIterator<Item = T>) -> impl Iterator<Item = T> {
        all.into_iter().skip(self.offset).take(self.limit.unwrap_or(MOST).min(MOST))
    }
}
