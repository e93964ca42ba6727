//! The front door: what the box answers to strangers' HTTP. The limits are the room `door`'s.

mod api;
mod cloud_metrics;
mod hls;
pub(crate) mod inner;
mod join;
mod metrics;
mod pages;
mod qr;
mod router;
mod snippet;

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Request, Response};
use tokio::net::TcpListener;
use tokio::sync::watch;

pub(crate) use ::door::{Body, Counters, Hosts, not_found, reply, text};
use ::door::{Limits, Service, Trouble, Visit};
pub(crate) use api::cameras as camera_views;
pub(crate) use metrics::state_word;
pub(crate) use snippet::slug;

use crate::state::Shared;

/// What a wrong name is answered with.
const REFUSAL: &str =
    "This box does not go by that name. Call it by its IP address, or add the name to http.hosts.\n";

/// The box's own host name and the owner's extra ones.
pub(crate) fn hosts(own: &str, extra: &[String]) -> Hosts {
    Hosts::new(extra.iter().map(String::as_str).chain([own]), REFUSAL)
}

/// Serves until `stop` turns true, then lets answers under way end.
pub(crate) async fn serve(listener: TcpListener, shared: Shared, hosts: Hosts, stop: watch::Receiver<bool>) {
    let counters = shared.door().clone();
    let service = Arc::new(Pages { shared, hosts });
    ::door::serve(listener, None, Limits::default(), counters, service, stop).await;
}

/// The pages and the media of the box.
struct Pages {
    shared: Shared,
    hosts: Hosts,
}

impl Service for Pages {
    type Body = Body;

    async fn answer(&self, request: Request<Incoming>, _visit: Visit) -> Response<Body> {
        router::answer(&self.shared, &self.hosts, request).await
    }

    fn trouble(&self, trouble: Trouble<'_>) {
        match trouble {
            Trouble::Accept(_) => tracing::warn!("{trouble}"),
            Trouble::Handshake(..) | Trouble::Connection(..) => tracing::debug!("{trouble}"),
        }
    }
}
