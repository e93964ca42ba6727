//! A mirror over HTTP: one connection that is kept, each answer bounded before its body is read. What comes is believed by its
//! signature only, so plain `http://` does.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{ACCEPT_ENCODING, CONTENT_LENGTH, HOST, HeaderMap, RETRY_AFTER, USER_AGENT};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use update::install::Fault;
use url::Url;

use super::source::Bounds;

/// A name must be found, a connection made and TLS agreed on within this.
const CONNECT: Duration = Duration::from_secs(15);
/// An address that is not the name's last one has so long: a way that swallows everything, often the one of IPv6, leaves the
/// next one its turn.
const EACH: Duration = Duration::from_secs(3);
/// Most addresses of a name that are tried.
const ADDRESSES: usize = 4;
/// Most bytes that are read ahead: a head, or a piece of a body.
const AHEAD: usize = 32 << 10;

/// A web server with releases below an address.
pub(crate) struct Web {
    /// Without a slash at its end.
    base: String,
    url: Url,
    tls: Arc<ClientConfig>,
    connection: Option<Connection>,
}

/// Ends with whoever holds it.
struct Connection {
    sender: SendRequest<Empty<Bytes>>,
    driver: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl fmt::Debug for Web {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base)
    }
}

impl Web {
    /// The releases below this address; `None` for one that is no `http://` or `https://` address.
    pub(crate) fn new(address: &str, tls: Arc<ClientConfig>) -> Option<Self> {
        let base = crate::config::mirror(address)?;
        let url = Url::parse(&base).ok()?;
        Some(Self { base, url, tls, connection: None })
    }

    /// The address.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// A file.
    ///
    /// # Errors
    /// [`Fault`]. The connection is given up then.
    pub(crate) async fn get(&mut self, path: &str, bounds: Bounds) -> Result<Vec<u8>, Fault> {
        let by = Instant::now() + bounds.whole;
        let kept = self.connection.take().filter(|kept| kept.sender.is_ready());
        let reused = kept.is_some();
        let outcome = self.exchange(kept, path, bounds, by).await;
        match outcome {
            // A server may close a connection that it kept in just that moment.
            Err(Fault::Broken) if reused => self.exchange(None, path, bounds, by).await,
            outcome => outcome,
        }
    }

    async fn exchange(
        &mut self,
        kept: Option<Connection>,
        path: &str,
        bounds: Bounds,
        by: Instant,
    ) -> Result<Vec<u8>, Fault> {
        let mut connection = match kept {
            Some(kept) => kept,
            None => timeout(CONNECT, self.connect()).await.unwrap_or_else(|_| Err(self.silent()))?,
        };
        let request = Request::get(format!("{}/{path}", self.url.path().trim_end_matches('/')))
            .header(HOST, self.url.authority())
            .header(USER_AGENT, concat!("streambox/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT_ENCODING, "identity")
            .body(Empty::new())
            .map_err(|_| Fault::Unreachable(format!("{path:?} is no path of a release")))?;
        let answer = timeout(bounds.stall, connection.sender.send_request(request));
        let answer = match timeout_at(by, answer).await {
            Err(_) => return Err(Fault::Late),
            Ok(Err(_)) => return Err(Fault::Stalled),
            Ok(Ok(Err(_))) => return Err(Fault::Broken),
            Ok(Ok(Ok(answer))) => answer,
        };
        if answer.status() != StatusCode::OK {
            let code = answer.status().as_u16();
            return Err(Fault::Status { code, retry_after_ms: retry_after(answer.headers()) });
        }
        let (bytes, ended) = body(answer, bounds, by).await?;
        if ended {
            self.connection = Some(connection);
        }
        Ok(bytes)
    }

    async fn connect(&self) -> Result<Connection, Fault> {
        let host = self.url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let port = self.url.port_or_known_default().unwrap_or(80);
        let unreachable = |what: &dyn fmt::Display| Fault::Unreachable(format!("{}: {what}", self.base));
        let found = tokio::net::lookup_host((host, port)).await;
        let addresses = found.map_err(|_| unreachable(&"its name has no address"))?.take(ADDRESSES);
        let stream = reach(addresses, EACH).await.map_err(|error| unreachable(&error))?;
        let _ = stream.set_nodelay(true);
        if self.url.scheme() != "https" {
            return speak(stream).await;
        }
        let name = ServerName::try_from(host.to_owned()).map_err(|error| unreachable(&error))?;
        let stream = TlsConnector::from(self.tls.clone()).connect(name, stream).await;
        speak(stream.map_err(|error| unreachable(&error))?).await
    }

    fn silent(&self) -> Fault {
        Fault::Unreachable(format!("{} does not answer", self.base))
    }
}

/// The first of these addresses that answers; all but the last must within `each`.
async fn reach(addresses: impl Iterator<Item = SocketAddr>, each: Duration) -> std::io::Result<TcpStream> {
    let mut addresses = addresses.peekable();
    let mut last = std::io::Error::other("its name has no address");
    while let Some(address) = addresses.next() {
        let connect = TcpStream::connect(address);
        let connected = match addresses.peek() {
            Some(_) => {
                timeout(each, connect).await.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
            }
            None => connect.await,
        };
        match connected {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn speak(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<Connection, Fault> {
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(AHEAD)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|_| Fault::Broken)?;
    let driver = tokio::spawn(async {
        // How it ends is what the request that is under way hears.
        let _ = connection.await;
    });
    Ok(Connection { sender, driver })
}

/// The body, and whether it ended where it should, so that the connection can be used again.
async fn body(answer: Response<Incoming>, bounds: Bounds, by: Instant) -> Result<(Vec<u8>, bool), Fault> {
    let announced = answer.headers().get(CONTENT_LENGTH).and_then(|text| text.to_str().ok()?.parse().ok());
    if let Some(announced) = announced {
        bounds.check(announced)?;
    }
    let mut body = answer.into_body();
    let mut bytes = Vec::new();
    loop {
        // A length that fits is all that is read, though more may follow where none was announced.
        if bounds.exact && bytes.len() as u64 == bounds.most {
            return Ok((bytes, announced.is_some()));
        }
        let frame = match timeout_at(by, timeout(bounds.stall, body.frame())).await {
            Err(_) => return Err(Fault::Late),
            Ok(Err(_)) => return Err(Fault::Stalled),
            Ok(Ok(None)) if bounds.exact => return Err(Fault::Length { offered: bytes.len() as u64 }),
            Ok(Ok(None)) => return Ok((bytes, true)),
            Ok(Ok(Some(Err(_)))) => return Err(Fault::Broken),
            Ok(Ok(Some(Ok(frame)))) => frame,
        };
        let data = frame.into_data().unwrap_or_default();
        let length = bytes.len() as u64 + data.len() as u64;
        if length > bounds.most {
            return Err(Fault::Length { offered: length });
        }
        bytes.extend_from_slice(&data);
    }
}

/// Retry-After (RFC 9110, 10.2.3): seconds, or a date.
fn retry_after(headers: &HeaderMap) -> Option<u64> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(seconds.saturating_mul(1000));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(SystemTime::now()).unwrap_or_default().as_millis() as u64)
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
