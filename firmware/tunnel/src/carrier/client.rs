//! The box's end: a connection to `wss://host/tunnel/v1`, or an error within [`PATIENCE`]. TLS trusts only the roots that
//! it is given; `ws://` is there for a cloud behind a proxy of its own, for WireGuard's content needs no second cover.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::{HeaderValue, Uri, header};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::{Error, SUBPROTOCOL, config, tune};

/// DNS, TCP, TLS and the upgrade together.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// One of several addresses.
const EACH_ADDRESS: Duration = Duration::from_secs(3);

/// Any byte stream that a WebSocket runs over.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Opens a WebSocket to `url`, trusting what `tls` trusts.
///
/// # Errors
/// When nothing there speaks WebSocket with the subprotocol `wireguard`, or not within [`PATIENCE`].
pub async fn dial(
    url: &str,
    tls: &Arc<rustls::ClientConfig>,
) -> Result<WebSocketStream<Box<dyn Stream>>, Error> {
    let address = || Error::Address(url.to_owned());
    let uri: Uri = url.parse().map_err(|_| address())?;
    let secure = match uri.scheme_str() {
        Some("wss") => true,
        Some("ws") => false,
        _ => return Err(address()),
    };
    let host = uri.host().ok_or_else(address)?.trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
    let opening = async {
        let stream = connect(&host, port).await?;
        let _ = tune(&stream); // slower without, but it works
        let stream: Box<dyn Stream> = if secure {
            let name = ServerName::try_from(host.clone()).map_err(|_| address())?;
            let failed = |source| Error::Connect { host: format!("{host}:{port}"), source };
            Box::new(TlsConnector::from(Arc::clone(tls)).connect(name, stream).await.map_err(failed)?)
        } else {
            Box::new(stream)
        };
        let mut request = uri.clone().into_client_request().map_err(Box::new)?;
        request.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
        let (socket, _) =
            client_async_with_config(request, stream, Some(config())).await.map_err(Box::new)?;
        Ok(socket)
    };
    timeout(PATIENCE, opening)
        .await
        .unwrap_or_else(|_| Err(Error::Slow { host: format!("{host}:{port}"), seconds: PATIENCE.as_secs() }))
}

/// TCP to the first of the host's addresses that answers.
async fn connect(host: &str, port: u16) -> Result<TcpStream, Error> {
    let failed = |source| Error::Connect { host: format!("{host}:{port}"), source };
    let addresses: Vec<SocketAddr> = lookup_host((host, port)).await.map_err(failed)?.collect();
    let mut last = std::io::Error::new(std::io::ErrorKind::NotFound, "the DNS knows no address of it");
    for address in addresses {
        match timeout(EACH_ADDRESS, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(_) => last = std::io::ErrorKind::TimedOut.into(),
        }
    }
    Err(failed(last))
}
