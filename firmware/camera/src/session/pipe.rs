//! A local port in front of a camera: retina connects to it as if it were the camera.
//!
//! It takes one connection, from this machine only, and carries it to the camera. Requests pass as they are; answers
//! through a [`Rewriter`], so that nothing in them leads elsewhere. Pictures over UDP do not come this way.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the camera's own sockets and deadlines"
)]

use core::pin::Pin;
use std::net::{IpAddr, SocketAddr};

use model::Trouble;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::limits;
use super::message::Refused;
use super::rewrite::Rewriter;

/// What carries the bytes, for as long as it is polled; the reason when it will not carry what the camera sends.
pub type Carrier = Pin<Box<dyn Future<Output = Result<(), Trouble>> + Send>>;

/// Bytes that are taken from a camera at once: an RTSP answer, or a few interleaved packets.
const CHUNK: usize = 8 << 10;

/// Opens a port at `local` for an open connection to the camera at `ip`. Retina binds its UDP sockets where its
/// connection is: for pictures over UDP, `local` must be the address that the camera sees.
///
/// # Errors
/// When no port can be opened.
pub async fn open<S>(camera: S, ip: IpAddr, local: IpAddr) -> Result<(SocketAddr, Carrier), Trouble>
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let failed = |_| Trouble::Protocol { detail: "this box has no free port for its connection".into() };
    let listener = TcpListener::bind((local, 0)).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let carry = async move {
        let Ok(Some(ours)) = timeout(limits::CONNECT, accept(&listener, local)).await else { return Ok(()) };
        drop(listener);
        carry(ours, camera, Rewriter::new(ip, address)).await
    };
    Ok((address, Box::pin(carry)))
}

/// The first connection from this machine. Others on the LAN see the port, too, for the moment until retina is here.
async fn accept(listener: &TcpListener, local: IpAddr) -> Option<TcpStream> {
    loop {
        let (stream, peer) = listener.accept().await.ok()?;
        if peer.ip() == local {
            let _ = stream.set_nodelay(true); // a hint: the stream works without it
            return Some(stream);
        }
    }
}

/// The end of either side becomes the end of the other.
async fn carry<S>(ours: TcpStream, camera: S, mut rewriter: Rewriter) -> Result<(), Trouble>
where
    S: AsyncRead + AsyncWrite,
{
    let (mut from_us, mut to_us) = ours.into_split();
    let (mut from_camera, mut to_camera) = split(camera);
    let asking = async {
        let _ = copy(&mut from_us, &mut to_camera).await;
        let _ = to_camera.shutdown().await;
        Ok(())
    };
    let answering = async {
        let (mut chunk, mut out) = (vec![0; CHUNK], Vec::new());
        while let Ok(len @ 1..) = from_camera.read(&mut chunk).await {
            out.clear();
            rewriter.feed(chunk.get(..len).unwrap_or_default(), &mut out).map_err(trouble)?;
            if to_us.write_all(&out).await.is_err() {
                break;
            }
        }
        let _ = to_us.shutdown().await;
        Ok(())
    };
    tokio::try_join!(asking, answering).map(|_| ())
}

fn trouble(refused: Refused) -> Trouble {
    let what = match refused {
        Refused::HeadTooLarge | Refused::NotRtsp => "header",
        Refused::BodyTooLarge => "description of the stream",
    };
    Trouble::TooLarge { what: what.into() }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[tokio::test]
    async fn only_this_machine_is_let_in_and_only_once() {
        let (camera, mut far) = tokio::io::duplex(1 << 10);
        let local = IpAddr::from(Ipv4Addr::LOCALHOST);
        let (address, carry) = open(camera, local, local).await.unwrap();
        let carrying = tokio::spawn(carry);
        // Another address on the loopback stands for another machine.
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.9:0".parse().unwrap()).unwrap();
        let mut stranger = socket.connect(address).await.unwrap();
        assert_eq!(stranger.read(&mut [0]).await.unwrap_or(0), 0, "closed at once");

        let mut ours = TcpStream::connect(address).await.unwrap();
        ours.write_all(b"OPTIONS").await.unwrap();
        let mut received = [0; 7];
        far.read_exact(&mut received).await.unwrap();
        assert_eq!(&received, b"OPTIONS");
        assert!(TcpStream::connect(address).await.is_err(), "the port is closed");

        far.write_all(b"RTSP/1.0 200 OK\r\nTransport: a;source=198.51.100.9\r\n\r\n").await.unwrap();
        drop(far);
        let mut answer = String::new();
        ours.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "RTSP/1.0 200 OK\r\nTransport: a;source=127.0.0.1\r\n\r\n");
        drop(ours);
        assert_eq!(carrying.await.unwrap(), Ok(()));
    }

    #[tokio::test]
    async fn what_is_too_large_ends_it_with_its_reason() {
        let (camera, mut far) = tokio::io::duplex(1 << 10);
        let local = IpAddr::from(Ipv4Addr::LOCALHOST);
        let (address, carry) = open(camera, local, local).await.unwrap();
        let carrying = tokio::spawn(carry);
        let _ours = TcpStream::connect(address).await.unwrap();
        far.write_all(b"RTSP/1.0 200 OK\r\nContent-Length: 10000000\r\n\r\n").await.unwrap();
        assert!(matches!(carrying.await.unwrap(), Err(Trouble::TooLarge { .. })));
    }
}
