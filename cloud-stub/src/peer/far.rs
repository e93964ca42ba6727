//! The far end of a way to a peer's camera: how a connection to it is made, from inside the tunnel.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;

use socket2::SockRef;
use tokio::net::{TcpSocket, TcpStream};
use tunnel::io::Handle;

use crate::hub::RTSP;

/// What we tell the camera to put into a packet at most: the peer's MTU of 1280 without the headers of IPv4 and TCP, so that
/// nothing must be cut on the way.
const SEGMENT: u32 = 1240;

/// Where a peer forwards to its camera; a handle, cheap to clone.
#[derive(Clone)]
pub struct Far {
    to: SocketAddr,
    socket: Arc<dyn Fn() -> io::Result<TcpSocket> + Send + Sync>,
}

impl Far {
    /// The camera of the peer at `to`.
    pub(super) fn new(handle: Handle, to: Ipv4Addr) -> Self {
        Self::by(SocketAddrV4::new(to, RTSP), move || {
            let stream: std::net::TcpStream = handle.tcp_socket()?.into();
            let socket = TcpSocket::from_std_stream(stream);
            SockRef::from(&socket).set_tcp_mss(SEGMENT)?;
            Ok(socket)
        })
    }

    /// What stands at `to`, by sockets of this kind.
    pub(crate) fn by(
        to: SocketAddrV4,
        socket: impl Fn() -> io::Result<TcpSocket> + Send + Sync + 'static,
    ) -> Self {
        Self { to: to.into(), socket: Arc::new(socket) }
    }

    /// A socket for one connection.
    ///
    /// # Errors
    /// When there is no descriptor for it, or the tunnel has ended.
    pub(super) fn socket(&self) -> io::Result<TcpSocket> {
        (self.socket)()
    }

    /// Connects a socket of [`Far::socket`]'s.
    ///
    /// # Errors
    /// The kernel's, after its own time.
    pub(super) async fn join(&self, socket: TcpSocket) -> io::Result<TcpStream> {
        socket.connect(self.to).await
    }

    /// Connects; nothing is sent.
    ///
    /// # Errors
    /// When there is no socket, or nobody accepts, after the kernel's own time.
    pub async fn connect(&self) -> io::Result<TcpStream> {
        self.join(self.socket()?).await
    }
}

impl std::fmt::Debug for Far {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Far").field("to", &self.to).finish_non_exhaustive()
    }
}
