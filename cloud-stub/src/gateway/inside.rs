//! The way to the boxes in production, TCP inside the tunnel's namespace; and to other clouds, outside of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpSocket;
use tunnel::io::Handle;

use super::directory::At;
use super::upstream::{Connector, Stream};

/// Where a box listens inside the tunnel.
const PORT: u16 = 80;
/// A box that acknowledges nothing for this long is gone (TCP_USER_TIMEOUT): whoever waits for it tries anew instead of
/// waiting for TCP's own patience of a quarter of an hour.
const UNACKNOWLEDGED: Duration = Duration::from_secs(5);
/// A connection on which nothing moves is tried after this, at this interval.
const QUIET: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(1));

/// Connects to boxes through this tunnel, and to other clouds.
pub fn inside(handle: Handle) -> Connector {
    Arc::new(move |at: At| {
        let handle = handle.clone();
        Box::pin(async move {
            let (socket, to) = match at {
                At::Box(address) => {
                    let socket = TcpSocket::from_std_stream(handle.tcp_socket()?.into());
                    (socket, SocketAddr::from((address, PORT)))
                }
                At::Here => return Err(std::io::Error::other("this cloud is not asked over a network")),
                At::Node(address) if address.is_ipv4() => (TcpSocket::new_v4()?, address),
                At::Node(address) => (TcpSocket::new_v6()?, address),
            };
            let options = SockRef::from(&socket);
            options.set_tcp_nodelay(true)?;
            options.set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;
            options.set_tcp_keepalive(&TcpKeepalive::new().with_time(QUIET.0).with_interval(QUIET.1))?;
            let stream = socket.connect(to).await?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    })
}
