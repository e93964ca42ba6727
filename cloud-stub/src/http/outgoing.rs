//! Questions that the cloud asks of other servers, whose addresses the operator has configured. Every one ends within its
//! time, and no more than so many bytes of an answer are read.
//!
//! An address may hold a secret: errors name the host alone.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use model::Private;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use super::trust::{TrustError, client_config};

/// Connections that are kept for the next question.
const KEPT: usize = 8;
/// And for how long: most servers close theirs later.
const KEPT_FOR: Duration = Duration::from_secs(4);

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// The server cannot be reached.
    #[error("the server cannot be reached")]
    Unreachable,
    /// Its certificate is not good.
    #[error("the server's certificate is not good")]
    Certificate,
    /// It broke off.
    #[error("the server broke off")]
    Broken,
    /// It takes too long.
    #[error("the server takes too long")]
    Late,
    /// It says too much.
    #[error("the server's answer is too long")]
    TooLong,
}

/// Where a question goes: `https`, or `http` on this machine.
#[derive(Clone, PartialEq, Eq)]
pub struct Target(Url);

impl Target {
    /// Reads an address: `https://…`, or `http://…` of loopback; without user and fragment.
    pub fn parse(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok()?;
        let own = match url.host()? {
            Host::Domain(name) => name == "localhost",
            Host::Ipv4(address) => address.is_loopback(),
            Host::Ipv6(address) => address.is_loopback(),
        };
        let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
        (plain && (url.scheme() == "https" || url.scheme() == "http" && own)).then_some(Self(url))
    }

    /// Host and port.
    fn authority(&self) -> String {
        let host = self.0.host_str().unwrap_or_default();
        self.0.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Target {
    /// Host and port: the rest may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.authority())
    }
}

/// One server, and the connections to it.
pub struct Outgoing {
    target: Target,
    tls: TlsConnector,
    bearer: Option<Private<String>>,
    idle: Mutex<Vec<(SendRequest<Full<Bytes>>, Instant)>>,
}

impl Outgoing {
    /// The server of this address. Beside the roots that browsers know, those of a PEM file are believed.
    ///
    /// # Errors
    /// [`TrustError`].
    pub fn new(target: Target, ca: Option<&Path>) -> Result<Self, TrustError> {
        let config = client_config(ca)?;
        Ok(Self { target, tls: TlsConnector::from(Arc::new(config)), bearer: None, idle: Mutex::default() })
    }

    /// The same, showing this secret with every question (`Authorization: Bearer …`).
    #[must_use]
    pub fn with_bearer(mut self, secret: Option<Private<String>>) -> Self {
        self.bearer = secret;
        self
    }

    /// Whom it asks.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Asks: with a body by POST, as JSON, without one by GET. Gives the status and at most `most` bytes of the answer.
    ///
    /// # Errors
    /// [`NoAnswer`], after `time` at the latest.
    pub async fn ask(
        &self,
        json: Option<Bytes>,
        most: usize,
        time: Duration,
    ) -> Result<(StatusCode, Bytes), NoAnswer> {
        timeout(time, self.exchange(json, most)).await.map_err(|_| NoAnswer::Late)?
    }

    async fn exchange(&self, json: Option<Bytes>, most: usize) -> Result<(StatusCode, Bytes), NoAnswer> {
        if let Some(mut sender) = self.idle()
            // The server may have closed it while it lay idle.
            && let Ok(response) = sender.send_request(self.request(json.clone())?).await
        {
            return self.take(response, sender, most).await;
        }
        let mut sender = self.connect().await?;
        let response = sender.send_request(self.request(json)?).await.map_err(|_| NoAnswer::Broken)?;
        self.take(response, sender, most).await
    }

    fn request(&self, json: Option<Bytes>) -> Result<Request<Full<Bytes>>, NoAnswer> {
        let url = &self.target.0;
        let path =
            url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        let method = if json.is_some() { Method::POST } else { Method::GET };
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.target.authority())
            .header(USER_AGENT, concat!("streambox-cloud/", env!("CARGO_PKG_VERSION")));
        if json.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if let Some(secret) = &self.bearer {
            let mut value =
                HeaderValue::try_from(format!("Bearer {}", secret.expose())).map_err(|_| NoAnswer::Broken)?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        request.body(Full::new(json.unwrap_or_default())).map_err(|_| NoAnswer::Broken)
    }

    async fn take(
        &self,
        response: Response<Incoming>,
        sender: SendRequest<Full<Bytes>>,
        most: usize,
    ) -> Result<(StatusCode, Bytes), NoAnswer> {
        let (head, body) = response.into_parts();
        let body = Limited::new(body, most).collect().await.map_err(|error| {
            if error.is::<http_body_util::LengthLimitError>() { NoAnswer::TooLong } else { NoAnswer::Broken }
        })?;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < KEPT && !sender.is_closed() {
            idle.push((sender, Instant::now()));
        }
        Ok((head.status, body.to_bytes()))
    }

    fn idle(&self) -> Option<SendRequest<Full<Bytes>>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(sender, since)| !sender.is_closed() && since.elapsed() < KEPT_FOR);
        let ready = idle.iter().rposition(|(sender, _)| sender.is_ready())?;
        Some(idle.swap_remove(ready).0)
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, NoAnswer> {
        let url = &self.target.0;
        let port = url.port_or_known_default().unwrap_or(443);
        let stream = match url.host().ok_or(NoAnswer::Unreachable)? {
            Host::Domain(name) => TcpStream::connect((name, port)).await,
            Host::Ipv4(address) => TcpStream::connect((address, port)).await,
            Host::Ipv6(address) => TcpStream::connect((address, port)).await,
        };
        let stream = stream.map_err(|_| NoAnswer::Unreachable)?;
        // Without it an answer comes a little later.
        let _ = stream.set_nodelay(true);
        if url.scheme() == "http" {
            return shake(stream).await;
        }
        let name = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(name).map_err(|_| NoAnswer::Certificate)?;
        let stream = self.tls.connect(name, stream).await.map_err(|_| NoAnswer::Certificate)?;
        shake(stream).await
    }
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing").field("target", &self.target).finish_non_exhaustive()
    }
}

async fn shake<S>(stream: S) -> Result<SendRequest<Full<Bytes>>, NoAnswer>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|_| NoAnswer::Broken)?;
    // Ends with the connection, which ends with its sender.
    tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok(sender)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn a_question_leaves_this_machine_under_tls_only_and_its_address_is_not_printed() {
        for good in
            ["https://idp.example/keys?x=1", "http://127.0.0.1:9/", "http://[::1]/k", "http://localhost/k"]
        {
            assert!(Target::parse(good).is_some(), "{good}");
        }
        for bad in [
            "http://idp.example/keys",
            "http://10.0.0.1/",
            "https://u:p@idp.example/",
            "https://idp.example/#x",
            "ftp://127.0.0.1/",
            "http://127.0.0.1.example/",
            "idp.example",
        ] {
            assert_eq!(Target::parse(bad), None, "{bad}");
        }
        let target = Target::parse("https://idp.example:8443/canary?canary=canary").unwrap();
        assert_eq!(format!("{target} {target:?}"), "idp.example:8443 idp.example:8443");
    }

    /// A server that says this to everybody and then nothing more; counts its connections.
    async fn server(says: &'static str) -> (Outgoing, Arc<Mutex<Vec<String>>>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}/path?q=1", listener.local_addr().unwrap());
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hears = heard.clone();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let hears = hears.clone();
                tokio::spawn(async move {
                    let mut buffer = [0; 4096];
                    while let Ok(len @ 1..) = stream.read(&mut buffer).await {
                        hears.lock().unwrap().push(String::from_utf8_lossy(&buffer[..len]).into_owned());
                        stream.write_all(says.as_bytes()).await.unwrap();
                    }
                });
            }
        });
        (Outgoing::new(Target::parse(&url).unwrap(), None).unwrap(), heard)
    }

    const SHORT: Duration = Duration::from_millis(300);

    #[tokio::test]
    async fn whatever_a_server_does_a_question_ends() {
        let (ordinary, heard) = server("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await;
        let ordinary = ordinary.with_bearer(Some(Private::new("key".into())));
        for _ in 0..2 {
            let answer = ordinary.ask(Some(Bytes::from_static(b"{}")), 10, SHORT).await;
            assert_eq!(answer, Ok((StatusCode::OK, Bytes::from_static(b"hi"))));
        }
        let first = heard.lock().unwrap()[0].to_ascii_lowercase();
        assert!(first.starts_with("post /path?q=1 http/1.1\r\n"), "{first}");
        assert!(first.contains("authorization: bearer key\r\n"), "{first}");
        let cases = [
            ("HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\nhello world", NoAnswer::TooLong),
            ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhi", NoAnswer::Late),
            ("", NoAnswer::Late),
            ("nonsense\r\n\r\n", NoAnswer::Broken),
        ];
        for (says, expected) in cases {
            let (server, _) = server(says).await;
            assert_eq!(server.ask(None, 10, SHORT).await, Err(expected), "{says:?}");
        }
        let nobody = Outgoing::new(Target::parse("http://127.0.0.1:1/").unwrap(), None).unwrap();
        assert_eq!(nobody.ask(None, 10, SHORT).await, Err(NoAnswer::Unreachable));
    }

    #[tokio::test]
    async fn a_certificate_of_nobody_known_is_not_believed_until_its_root_is() {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("https://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let mut buffer = [0; 4096];
                let _ = stream.read(&mut buffer).await;
                let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
                let _ = stream.flush().await;
            }
        });
        let target = Target::parse(&url).unwrap();
        let stranger = Outgoing::new(target.clone(), None).unwrap();
        let long = Duration::from_secs(5);
        assert_eq!(stranger.ask(None, 10, long).await, Err(NoAnswer::Certificate));
        let file = std::env::temp_dir().join(format!("cloud-outgoing-{}.pem", std::process::id()));
        std::fs::write(&file, made.cert.pem()).unwrap();
        let known = Outgoing::new(target.clone(), Some(&file)).unwrap();
        assert_eq!(known.ask(None, 10, long).await.map(|(status, _)| status), Ok(StatusCode::NO_CONTENT));
        std::fs::write(&file, "no certificate").unwrap();
        let wrong = Outgoing::new(target, Some(&file)).map(|_| ()).unwrap_err();
        assert!(wrong.to_string().contains(&file.display().to_string()), "{wrong}");
        std::fs::remove_file(&file).unwrap();
    }
}
