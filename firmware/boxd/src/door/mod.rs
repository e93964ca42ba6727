//! The front door: what the box answers to strangers' HTTP. The limits are the room `door`'s.

mod api;
mod captive;
mod cloud_metrics;
mod hls;
pub(crate) mod inner;
mod join;
mod metrics;
mod near;
mod pages;
pub(crate) mod qr;
mod router;
mod setup;
mod snippet;
mod update;

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Request, Response};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

pub(crate) use ::door::{Body, Counters, Hosts, not_found, reply, text};
use ::door::{Limits, Service, Trouble, Visit};
pub(crate) use api::{camera as camera_view, cameras as camera_views, streams};
pub(crate) use join::view as join_view;
pub(crate) use metrics::state_word;
pub(crate) use setup::Way;
pub(crate) use snippet::slug;
pub(crate) use update::{LastView, last as ended, update_view};

use crate::state::Shared;
use setup::From;

/// What a wrong name is answered with.
const REFUSAL: &str =
    "This box does not go by that name. Call it by its IP address, or add the name to http.hosts.\n";

/// The box's own host name and the owner's extra ones.
pub(crate) fn hosts(own: &str, extra: &[String]) -> Hosts {
    Hosts::new(extra.iter().map(String::as_str).chain([own]), REFUSAL)
}

/// Serves until `stop` turns true, then lets answers under way end.
///
/// With `tls`, every connection begins with a handshake. Without a `way` there is no set-up page.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    shared: Shared,
    hosts: Hosts,
    way: Option<Way>,
    stop: watch::Receiver<bool>,
) {
    let counters = shared.door().clone();
    let service = Arc::new(Pages { shared, hosts, way });
    ::door::serve(listener, tls, Limits::default(), counters, service, stop).await;
}

/// The pages and the media of the box.
struct Pages {
    shared: Shared,
    hosts: Hosts,
    way: Option<Way>,
}

impl Service for Pages {
    type Body = Body;

    async fn answer(&self, request: Request<Incoming>, visit: Visit) -> Response<Body> {
        if let Some(way) = captive::answer(self.shared.whereabouts(), request.headers(), visit.peer.ip()) {
            return way;
        }
        let from = From { peer: visit.peer.ip(), secure: visit.secure };
        router::answer(&self.shared, &self.hosts, self.way.as_ref(), from, request).await
    }

    fn trouble(&self, trouble: Trouble<'_>) {
        match trouble {
            Trouble::Accept(_) => tracing::warn!("{trouble}"),
            Trouble::Handshake(..) | Trouble::Connection(..) => tracing::debug!("{trouble}"),
        }
    }
}
