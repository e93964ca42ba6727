//! The gateway as routes: everything that no other room of the cloud answers, and the pages' files.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request};
use axum::routing::get;
use hyper::header::HeaderMap;

use super::directory::Directory;
use super::{Gateway, answer};

/// `/assets/{name}`, and links as the fallback.
pub fn routes<D: Directory>(gateway: Arc<Gateway<D>>) -> Router {
    let links = move |request: Request| {
        let gateway = gateway.clone();
        async move {
            let (parts, _) = request.into_parts();
            gateway.answer(&parts).await.map(Body::new)
        }
    };
    Router::new().route("/assets/{name}", get(asset)).fallback(links)
}

async fn asset(Path(name): Path<String>, headers: HeaderMap) -> hyper::Response<Body> {
    match player::asset(&name, &headers) {
        Some(response) => response.map(Body::from),
        None => answer::not_found().map(Body::new),
    }
}
