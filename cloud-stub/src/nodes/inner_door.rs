//! Where other clouds ask for the pictures of boxes that this one's hub holds. Whoever cannot show a seal finds nothing here,
//! and nothing else is served.

use std::sync::Arc;

use axum::body::Body;
use door::{Limits, Service, Trouble, Visit};
use hyper::body::Incoming;
use hyper::{Method, Request, Response};

use super::seal::{HEADER, Seal};
use crate::gateway::{Directory, Gateway};
use crate::http::not_found;
use crate::store::{System, World as _};

/// Connections in all, and from one cloud: each blocking reload of each camera that its viewers watch is one.
pub const LIMITS: Limits = Limits { seats: 16_384, seats_per_peer: 8192, proxies: Vec::new() };

/// The service behind the clouds' own port.
#[derive(Debug)]
pub struct InnerDoor<D: Directory> {
    gateway: Arc<Gateway<D>>,
    seal: Seal,
}

impl<D: Directory> InnerDoor<D> {
    /// Answers from this gateway's shelf.
    pub fn new(gateway: Arc<Gateway<D>>, seal: Seal) -> Self {
        Self { gateway, seal }
    }

    fn is_sealed<B>(&self, request: &Request<B>) -> bool {
        let Some(header) = request.headers().get(HEADER).and_then(|header| header.to_str().ok()) else {
            return false;
        };
        let path = request.uri().path_and_query().map_or("", |path| path.as_str());
        self.seal.fits(header, request.method().as_str(), path, System.now_ms())
    }
}

impl<D: Directory> Service for InnerDoor<D> {
    type Body = Body;

    async fn answer(&self, request: Request<Incoming>, _: Visit) -> Response<Body> {
        if request.method() != Method::GET || !self.is_sealed(&request) {
            return not_found();
        }
        let (parts, _) = request.into_parts();
        self.gateway.for_cloud(&parts).await.map(Body::new)
    }

    fn trouble(&self, trouble: Trouble<'_>) {
        match trouble {
            Trouble::Accept(_) => tracing::warn!("between clouds: {trouble}"),
            Trouble::Handshake(..) | Trouble::Connection(..) => tracing::debug!("between clouds: {trouble}"),
        }
    }
}
