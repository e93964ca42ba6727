//! The front door: the one place where strangers' HTTP comes in.
//!
//! Everything that a stranger can make the box hold is bounded here: connections in all and per address, the size
//! and the time of a request's head, the size of its body, and how long an answer may lie unread.

mod api;
mod body;
mod hls;
mod host;
mod metrics;
mod pages;
mod range;
mod router;
mod seats;
mod snippet;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

pub(crate) use body::{Body, not_found, reply, text};
pub(crate) use host::Hosts;
use seats::{Seat, Seats};
pub(crate) use snippet::slug;

use crate::state::{Shared, stopping};

/// A request's head must be there after this, and the next request of an open connection must come in this.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// Most bytes of a request's head.
const HEAD_BYTES: usize = 16 << 10;
/// Most header lines of a request.
const HEAD_LINES: usize = 64;
/// A viewer whose connection takes no byte for this long is gone (TCP_USER_TIMEOUT).
const UNREAD_TIME: Duration = Duration::from_secs(30);
/// Answers under way at the end get this long.
const LAST_ANSWERS: Duration = Duration::from_secs(1);
/// Wait after an error of `accept` (no descriptors left): it would come again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the door counts, since the box started.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Connections open now.
    pub(crate) open: AtomicU64,
    /// Connections taken.
    pub(crate) accepted: AtomicU64,
    /// Connections closed at once because too many were open, in all or from that address.
    pub(crate) refused: AtomicU64,
    /// Requests answered.
    pub(crate) requests: AtomicU64,
    /// Bytes of bodies handed to connections.
    pub(crate) bytes: AtomicU64,
}

impl Counters {
    /// Adds one.
    pub(crate) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Serves until `stop` turns true, then lets answers under way end.
pub(crate) async fn serve(
    listener: TcpListener,
    shared: Shared,
    hosts: Arc<Hosts>,
    mut stop: watch::Receiver<bool>,
) {
    let seats = Seats::default();
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            () = stopping(&mut stop) => break,
        };
        match accepted {
            Ok((stream, peer)) => match seats.take(peer.ip()) {
                Some(seat) => {
                    Counters::count(&shared.door().accepted);
                    connections.spawn(connection(
                        stream,
                        peer,
                        seat,
                        shared.clone(),
                        hosts.clone(),
                        stop.clone(),
                    ));
                }
                None => Counters::count(&shared.door().refused),
            },
            Err(error) => {
                tracing::warn!(%error, "cannot take a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    // Whoever is still reading after that is cut off.
    let _ =
        tokio::time::timeout(LAST_ANSWERS, async { while connections.join_next().await.is_some() {} }).await;
}

/// One connection, for as long as it lasts.
async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    seat: Seat,
    shared: Shared,
    hosts: Arc<Hosts>,
    mut stop: watch::Receiver<bool>,
) {
    let open = Open::new(shared.clone());
    let socket = socket2::SockRef::from(&stream);
    // Both only make it better: a connection without them still works.
    let _ = socket.set_tcp_nodelay(true);
    let _ = socket.set_tcp_user_timeout(Some(UNREAD_TIME));
    let service = service_fn(|request| router::answer(&shared, &hosts, request));
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME)
            .max_buf_size(HEAD_BYTES)
            .max_headers(HEAD_LINES)
            .serve_connection(TokioIo::new(stream), service)
    );
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = stopping(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        // A viewer that leaves in the middle is daily life.
        tracing::debug!(%peer, %error, "a connection ended early");
    }
    drop((open, seat));
}

/// Counts a connection for as long as it is open.
struct Open(Shared);

impl Open {
    fn new(shared: Shared) -> Self {
        Counters::count(&shared.door().open);
        Self(shared)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.door().open.fetch_sub(1, Ordering::Relaxed);
    }
}
