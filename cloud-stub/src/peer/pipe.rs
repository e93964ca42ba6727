//! A way from this machine's own network to a peer's camera inside the tunnel, for whoever reads RTSP and knows nothing of
//! tunnels: what connects to [`Pipe::address`] is connected to the camera.
//!
//! The address is one of loopback's 16 million, chosen at random, so that nobody finds it who was not told. A pipe takes a
//! few connections at a time, and ends with its handle.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tunnel::io::Handle;

use super::Far;

/// A camera has one reader, and a second one while the first is closing.
const CONNECTIONS: usize = 4;
/// Longest wait for the camera to take a connection: as long as its reader waits.
const CONNECT: Duration = Duration::from_secs(8);
/// What is sent and not acknowledged for this long is lost, with the connection (TCP_USER_TIMEOUT).
const UNACKNOWLEDGED: Duration = Duration::from_secs(10);
/// A connection on which nothing moves is tried after this, at this interval.
const QUIET: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(3));

/// An open way. Dropped, it and all its connections are closed.
#[derive(Debug)]
pub struct Pipe {
    address: SocketAddr,
    far: Far,
    task: JoinHandle<()>,
}

impl Pipe {
    /// Opens a way to the camera of the peer at `to`, at an address made of 24 of these random bits. To be called within a
    /// runtime.
    ///
    /// # Errors
    /// When this machine has no port for it.
    pub fn open(handle: Handle, to: Ipv4Addr, random: [u8; 3]) -> io::Result<Self> {
        Self::to(Far::new(handle, to), random)
    }

    fn to(far: Far, [b, c, d]: [u8; 3]) -> io::Result<Self> {
        // Neither the network's own address nor its last one.
        let own = Ipv4Addr::new(127, b, c, d.clamp(1, 254));
        let listener = std::net::TcpListener::bind((own, 0))?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let address = listener.local_addr()?;
        Ok(Self { address, far: far.clone(), task: tokio::spawn(serve(listener, far)) })
    }

    /// Where the camera is on this machine.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its far end: the near one accepts whether a camera is there or not.
    pub fn far(&self) -> Far {
        self.far.clone()
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, far: Far) {
    let seats = Arc::new(Semaphore::new(CONNECTIONS));
    // Dropped with this task, and all of them with it.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(seat) = seats.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((near, _)) => {
                let far = far.clone();
                connections.spawn(async move {
                    // Whoever reads sees the end of its connection and says so.
                    let _ = join(near, &far).await;
                    drop(seat);
                });
            }
            // No descriptor, for a moment.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn join(mut near: TcpStream, far: &Far) -> io::Result<()> {
    let socket = far.socket()?;
    let options = SockRef::from(&socket);
    options.set_tcp_nodelay(true)?;
    options.set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;
    options.set_tcp_keepalive(&TcpKeepalive::new().with_time(QUIET.0).with_interval(QUIET.1))?;
    near.set_nodelay(true)?;
    // Until there is somebody to talk to, whoever reads sees a connection that breaks, not one that is closed in good order.
    SockRef::from(&near).set_linger(Some(Duration::ZERO))?;
    let mut far = tokio::time::timeout(CONNECT, far.join(socket)).await??;
    SockRef::from(&near).set_linger(None)?;
    tokio::io::copy_bidirectional(&mut near, &mut far).await.map(drop)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpSocket;

    use super::*;

    #[tokio::test]
    async fn what_connects_to_its_address_talks_to_the_camera_until_the_pipe_goes() {
        let camera = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let SocketAddr::V4(at) = camera.local_addr().unwrap() else { panic!() };
        let pipe = Pipe::to(Far::by(at, TcpSocket::new_v4), [9, 8, 255]).unwrap();
        assert_eq!(pipe.address().ip(), Ipv4Addr::new(127, 9, 8, 254));
        let mut near = TcpStream::connect(pipe.address()).await.unwrap();
        let (mut far, _) = camera.accept().await.unwrap();
        near.write_all(b"OPTIONS").await.unwrap();
        let mut heard = [0; 7];
        far.read_exact(&mut heard).await.unwrap();
        far.write_all(b"200").await.unwrap();
        let mut answer = [0; 3];
        near.read_exact(&mut answer).await.unwrap();
        assert_eq!((&heard, &answer), (b"OPTIONS", b"200"));
        let address = pipe.address();
        drop(pipe);
        assert_eq!(near.read(&mut answer).await.unwrap_or(0), 0, "the connection has ended");
        assert!(TcpStream::connect(address).await.is_err());
    }

    #[tokio::test]
    async fn a_camera_that_is_not_there_ends_the_connection() {
        let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let SocketAddr::V4(at) = nobody.local_addr().unwrap() else { panic!() };
        drop(nobody);
        let pipe = Pipe::to(Far::by(at, TcpSocket::new_v4), [9, 8, 7]).unwrap();
        let mut near = TcpStream::connect(pipe.address()).await.unwrap();
        let broken = near.read(&mut [0]).await.unwrap_err();
        assert_eq!(broken.kind(), io::ErrorKind::ConnectionReset);
        assert!(pipe.far().connect().await.is_err(), "its far end tells, while the near one accepts");
    }
}
