//! WireGuard's datagrams in a WebSocket (RFC 6455), for networks that let nothing out but HTTPS: one binary message holds
//! one datagram. A carrier keeps UDP's manners: what cannot be sent soon is dropped, not stored, for the protocols inside
//! the tunnel repeat it themselves, and old packets are worth less than none.
//!
//! [`client`] opens one, [`server`] answers the request for one, [`pump`] moves datagrams on either side until it ends.
//! Nothing that comes in is trusted: a message of another kind or above [`MESSAGE_BYTES`] ends the connection, and whoever
//! is silent for [`DEAD_AFTER`] is taken for dead.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the carrier is the shell that owns these connections"
)]

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};

pub mod client;
pub mod server;
#[cfg(test)]
mod tests;

/// The subprotocol that both sides name (RFC 6455 section 1.9).
pub const SUBPROTOCOL: &str = "wireguard";
/// The most that one message holds, in bytes: a datagram of the largest Ethernet packet with room to spare.
pub const MESSAGE_BYTES: usize = 2048;
/// A side from which nothing came for so long is pinged (RFC 6455 section 5.5.2), which also keeps proxies and NATs from
/// forgetting the connection. While the tunnel's own pings go through, this costs nothing.
pub const PING_EVERY: Duration = Duration::from_secs(20);
/// A side from which nothing came for so long, two pings and more, is dead. So is one that takes nothing for so long.
pub const DEAD_AFTER: Duration = Duration::from_secs(45);
/// What the kernel may hold of a connection without having sent it, in bytes; half a second at 1 Mbit/s. The default of
/// some megabytes would delay everything by many seconds on a slow line.
const UNSENT_BYTES: u32 = 64 * 1024;
/// Bytes collected before they are written, kept small for the sake of thousands of connections.
const BUFFER_BYTES: usize = 8 * 1024;

/// Why a carrier ended, or did not come to be.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address of the hub cannot be read.
    #[error("{0:?} is no address of a hub: it begins with wss:// (or ws://) and names a host")]
    Address(String),
    /// The other side cannot be reached.
    #[error("cannot connect to {host}: {source}")]
    Connect {
        /// Host and port.
        host: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Connecting took too long.
    #[error("{host} did not answer within {seconds} s")]
    Slow {
        /// Host and port.
        host: String,
        /// How long we waited.
        seconds: u64,
    },
    /// The other side speaks, but not WebSocket as it should.
    #[error("WebSocket: {0}")]
    WebSocket(#[from] Box<tungstenite::Error>),
    /// It sent something that is no datagram.
    #[error("the other side sent something else than datagrams")]
    NoDatagram,
    /// It is silent, or takes nothing.
    #[error("the other side has been silent for 45 s")]
    Dead,
    /// It said goodbye, or our side did.
    #[error("closed")]
    Closed,
}

fn config() -> WebSocketConfig {
    WebSocketConfig {
        write_buffer_size: BUFFER_BYTES,
        max_write_buffer_size: 4 * BUFFER_BYTES,
        max_message_size: Some(MESSAGE_BYTES),
        max_frame_size: Some(MESSAGE_BYTES),
        ..WebSocketConfig::default()
    }
}

/// Makes a TCP connection fit for datagrams: nothing waits for company, and little waits unsent.
///
/// # Errors
/// What the system says; the carrier works without.
pub fn tune(stream: &tokio::net::TcpStream) -> std::io::Result<()> {
    let socket = socket2::SockRef::from(stream);
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_notsent_lowat(UNSENT_BYTES)
}

/// Moves datagrams until either side ends it: what comes in goes to `deliver`, what `outgoing` gives goes out. Ends when
/// all senders of `outgoing` are gone, too. While the connection takes nothing, `outgoing` fills up; its owner drops.
pub async fn pump<S>(
    socket: WebSocketStream<S>,
    deliver: impl FnMut(&[u8]),
    outgoing: &mut mpsc::Receiver<Bytes>,
) -> Error
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (sink, stream) = socket.split();
    let heard = Heard { start: Instant::now(), ms: AtomicU64::new(0) };
    // Each direction by itself: a side that only wrote while the other only writes would wait for ever.
    tokio::select! {
        error = read(stream, deliver, &heard) => error,
        error = write(sink, outgoing, &heard) => error,
    }
}

/// When something last came.
struct Heard {
    start: Instant,
    ms: AtomicU64,
}

impl Heard {
    fn now(&self) {
        self.ms.store(self.start.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    fn last(&self) -> Instant {
        self.start + Duration::from_millis(self.ms.load(Ordering::Relaxed))
    }
}

async fn read<S>(
    mut stream: SplitStream<WebSocketStream<S>>,
    mut deliver: impl FnMut(&[u8]),
    heard: &Heard,
) -> Error
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        let message = timeout(DEAD_AFTER, stream.next()).await;
        heard.now();
        match message {
            Ok(Some(Ok(Message::Binary(datagram)))) => deliver(&datagram),
            Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => {}
            Ok(Some(Ok(Message::Close(_))) | None) => return Error::Closed,
            Ok(Some(Ok(_))) => return Error::NoDatagram,
            Ok(Some(Err(error))) => return Error::from(Box::new(error)),
            Err(_) => return Error::Dead,
        }
    }
}

async fn write<S>(
    mut sink: SplitSink<WebSocketStream<S>, Message>,
    outgoing: &mut mpsc::Receiver<Bytes>,
    heard: &Heard,
) -> Error
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut ping_at = Instant::now() + PING_EVERY;
    loop {
        let message = tokio::select! {
            datagram = outgoing.recv() => {
                let Some(datagram) = datagram else {
                    let _ = timeout(Duration::from_secs(1), sink.close()).await;
                    return Error::Closed;
                };
                Message::Binary(datagram.to_vec())
            }
            () = sleep_until(ping_at) => {
                let now = Instant::now();
                ping_at = heard.last() + PING_EVERY;
                if ping_at > now {
                    continue;
                }
                ping_at = now + PING_EVERY;
                Message::Ping(Vec::new())
            }
        };
        let sent = timeout(DEAD_AFTER, async {
            sink.feed(message).await?;
            while let Ok(datagram) = outgoing.try_recv() {
                sink.feed(Message::Binary(datagram.to_vec())).await?;
            }
            sink.flush().await
        });
        match sent.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Error::from(Box::new(error)),
            Err(_) => return Error::Dead,
        }
    }
}
