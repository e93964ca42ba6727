//! Takes connections and serves them within the limits.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "sockets and deadlines are what this module is for"
)]

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::rt::{Read, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::seats::{Seat, Seats};

/// A request's head must be there after this, and the next request of an open connection must come in this.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// A TLS handshake must be finished after this.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
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

/// How many connections may be open.
#[derive(Debug, Clone)]
pub struct Limits {
    /// In all.
    pub seats: usize,
    /// From one address (IPv4), or from one network of 64 bits (IPv6).
    pub seats_per_peer: usize,
    /// Addresses that speak for many peers: only the limit in all counts for them.
    pub proxies: Vec<IpAddr>,
}

impl Default for Limits {
    /// 1024 in all; 256 from one peer: an office behind one router address, each viewer with six connections.
    fn default() -> Self {
        Self { seats: 1024, seats_per_peer: 256, proxies: Vec::new() }
    }
}

/// Who is there. The connection's seat stays taken until its last clone is dropped, so whoever upgrades a connection
/// keeps its visit.
#[derive(Debug, Clone)]
pub struct Visit {
    /// The other end of the TCP connection.
    pub peer: SocketAddr,
    /// Whether the connection began with a TLS handshake.
    pub secure: bool,
    seat: Arc<Seat>,
}

/// What stands behind the door.
pub trait Service: Send + Sync + 'static {
    /// What it answers with.
    type Body: HttpBody<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static;

    /// Answers a request. Its body has not been read, nor its length judged.
    fn answer(
        &self,
        request: Request<Incoming>,
        visit: Visit,
    ) -> impl Future<Output = Response<Self::Body>> + Send;

    /// Hears of what went wrong.
    fn trouble(&self, trouble: Trouble<'_>);
}

/// What went wrong at the door.
#[derive(Debug)]
pub enum Trouble<'a> {
    /// No connection can be taken now (no descriptors left); the door tries again.
    Accept(&'a io::Error),
    /// A TLS handshake failed or took too long.
    Handshake(SocketAddr, &'a io::Error),
    /// A connection ended early. A viewer that leaves in the middle is daily life.
    Connection(SocketAddr, &'a hyper::Error),
}

impl fmt::Display for Trouble<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accept(error) => write!(f, "cannot take a connection: {error}"),
            Self::Handshake(peer, error) => write!(f, "{peer}: the TLS handshake failed: {error}"),
            Self::Connection(peer, error) => write!(f, "{peer}: a connection ended early: {error}"),
        }
    }
}

/// What the door counts, since the start.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections open now.
    pub open: AtomicU64,
    /// Connections taken.
    pub accepted: AtomicU64,
    /// Connections closed at once because too many were open, in all or from that address.
    pub refused: AtomicU64,
    /// Requests answered.
    pub requests: AtomicU64,
    /// Bytes of bodies handed to connections, as far as their length was known beforehand.
    pub bytes: AtomicU64,
}

impl Counters {
    /// Adds one.
    pub fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Serves until `stop` turns true (or its sender is gone), then lets answers under way end, for at most 1 s.
///
/// With `tls`, every connection begins with a handshake.
pub async fn serve<S: Service>(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    limits: Limits,
    counters: Arc<Counters>,
    service: Arc<S>,
    mut stop: watch::Receiver<bool>,
) {
    let seats = Seats::new(limits);
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
                    Counters::count(&counters.accepted);
                    // Until its first request.
                    seat.rest();
                    let visit = Visit { peer, secure: tls.is_some(), seat: Arc::new(seat) };
                    let open = Open::new(counters.clone());
                    let (tls, service, stop) = (tls.clone(), service.clone(), stop.clone());
                    connections.spawn(async move {
                        connection(stream, tls, visit, &open, service, stop).await;
                    });
                }
                None => Counters::count(&counters.refused),
            },
            Err(error) => {
                service.trouble(Trouble::Accept(&error));
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
async fn connection<S: Service>(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    visit: Visit,
    open: &Open,
    service: Arc<S>,
    mut stop: watch::Receiver<bool>,
) {
    let socket = socket2::SockRef::from(&stream);
    // Both only make it better: a connection without them still works.
    let _ = socket.set_tcp_nodelay(true);
    let _ = socket.set_tcp_user_timeout(Some(UNREAD_TIME));
    let Some(tls) = tls else {
        return requests(TokioIo::new(stream), visit, open, service, stop).await;
    };
    let handshake = tokio::time::timeout(HANDSHAKE_TIME, tls.accept(stream));
    let handshake = tokio::select! {
        handshake = handshake => handshake,
        () = visit.seat.lost() => return,
        () = stopping(&mut stop) => return,
    };
    let late = || io::Error::new(io::ErrorKind::TimedOut, "it took longer than 10 s");
    match handshake.unwrap_or_else(|_| Err(late())) {
        Ok(stream) => requests(TokioIo::new(stream), visit, open, service, stop).await,
        Err(error) => service.trouble(Trouble::Handshake(visit.peer, &error)),
    }
}

/// The requests of one connection.
async fn requests<S: Service>(
    io: impl Read + Write + Unpin + Send + 'static,
    visit: Visit,
    open: &Open,
    service: Arc<S>,
    mut stop: watch::Receiver<bool>,
) {
    let (peer, seat) = (visit.peer, visit.seat.clone());
    let (answering, counters) = (service.clone(), open.0.clone());
    let answer = service_fn(move |request: Request<Incoming>| {
        let (service, counters, visit) = (answering.clone(), counters.clone(), visit.clone());
        async move {
            let head_only = request.method() == Method::HEAD;
            visit.seat.work();
            let sent = Sent(visit.seat.clone());
            let response = service.answer(request, visit).await;
            Counters::count(&counters.requests);
            if !head_only {
                counters.bytes.fetch_add(response.body().size_hint().lower(), Ordering::Relaxed);
            }
            Ok::<_, Infallible>(response.map(|body| Sending { body: Box::pin(body), _sent: sent }))
        }
    });
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME)
            .max_buf_size(HEAD_BYTES)
            .max_headers(HEAD_LINES)
            .serve_connection(io, answer)
            .with_upgrades()
    );
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = seat.lost() => return,
        () = stopping(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    // Whoever has upgraded the connection goes on with it.
    seat.work();
    if let Err(error) = outcome {
        service.trouble(Trouble::Connection(peer, &error));
    }
}

/// A body on its way out: until its end, the seat is in use.
struct Sending<B> {
    body: Pin<Box<B>>,
    _sent: Sent,
}

/// The end of an answer.
struct Sent(Arc<Seat>);

impl Drop for Sent {
    fn drop(&mut self) {
        self.0.rest();
    }
}

impl<B: HttpBody> HttpBody for Sending<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.body.as_mut().poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Counts a connection for as long as it is open.
struct Open(Arc<Counters>);

impl Open {
    fn new(counters: Arc<Counters>) -> Self {
        Counters::count(&counters.open);
        Self(counters)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Returns once the door is to close. A sender that is gone means the same.
async fn stopping(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}
