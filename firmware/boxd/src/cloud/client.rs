//! Requests to the cloud over HTTPS: one connection each, everything with a deadline and a limit, every failure a
//! sentence with what to do.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONTENT_TYPE, DATE, HOST, RETRY_AFTER, USER_AGENT};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::address::CloudAddress;
use super::time::{Time, date, parse_date};
use super::trust::Trust;

/// A name must be found and a connection made within this, for each address.
const CONNECT: Duration = Duration::from_secs(8);
/// A TLS handshake must be finished after this.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// An answer must be whole after this; a long poll is answered after 20 s.
const ANSWER: Duration = Duration::from_secs(35);
/// Most bytes of an answer.
const MOST: usize = 64 << 10;
/// Most addresses of a name that are tried.
const ADDRESSES: usize = 4;

/// Asks the cloud.
pub(crate) struct Client {
    address: CloudAddress,
    time: Arc<Time>,
    trust: Trust,
}

/// An answer of the cloud.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Its status.
    pub(crate) status: StatusCode,
    /// Its body, at most 64 KiB.
    pub(crate) body: Bytes,
    /// When the cloud wants to be asked again at the earliest.
    pub(crate) retry_after: Option<Duration>,
    date: Option<Duration>,
}

/// What stands between the box and its cloud. Displayed, a sentence for the owner.
#[derive(Debug)]
pub(crate) enum Obstacle {
    /// Its name has no address.
    NoName { host: String },
    /// Nothing answers there.
    Unreachable { address: String, why: io::ErrorKind },
    /// It stopped talking.
    Silent { address: String },
    /// Its certificate is not to be believed.
    Certificate { host: String, why: Distrust },
    /// It does not speak TLS, or not like this box.
    NotTls { address: String },
    /// It does not speak like a cloud.
    Foreign { address: String },
    /// It refuses, with a reason of its own.
    Refused { status: u16, reason: String },
}

/// Why a certificate is not believed.
#[derive(Debug)]
pub(crate) enum Distrust {
    /// Not valid yet by the box's clock, which says this.
    Early(String),
    /// No longer valid by the box's clock, which says this.
    Late(String),
    /// Signed by nobody that the box knows.
    Stranger,
    /// For another name.
    OtherName,
    /// Anything else.
    Broken,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoName { host } => write!(
                f,
                "No address is known for the cloud's name “{host}”: check the box's network and name server, and the \
                 spelling ([tunnel] cloud)."
            ),
            Self::Unreachable { address, why: io::ErrorKind::ConnectionRefused } => write!(
                f,
                "The cloud at {address} refuses the connection: its server may be down, or the port is wrong ([tunnel] cloud)."
            ),
            Self::Unreachable { address, .. } => write!(
                f,
                "The cloud at {address} cannot be reached: check that this network has Internet access and lets the \
                 box out to that port."
            ),
            Self::Silent { address } => {
                write!(
                    f,
                    "The cloud at {address} stopped answering: the connection may be very slow, or blocked."
                )
            }
            Self::Certificate { host, why: Distrust::Early(now) } => write!(
                f,
                "The certificate of {host} is not valid yet: the box's clock says {now}, which is probably wrong."
            ),
            Self::Certificate { host, why: Distrust::Late(now) } => write!(
                f,
                "The certificate of {host} has expired: renew it at the cloud, or set the box's clock, which says {now}."
            ),
            Self::Certificate { host, why: Distrust::Stranger } => write!(
                f,
                "The certificate of {host} is signed by nobody that the box knows: a device on this network may \
                 look into TLS connections and must make an exception for {host}; a cloud with a certificate of its \
                 own needs [tunnel] ca."
            ),
            Self::Certificate { host, why: Distrust::OtherName } => {
                write!(
                    f,
                    "What answers at {host} shows a certificate for another name: check [tunnel] cloud."
                )
            }
            Self::Certificate { host, why: Distrust::Broken } => {
                write!(f, "The certificate of {host} is broken: renew it at the cloud.")
            }
            Self::NotTls { address } => {
                write!(
                    f,
                    "What answers at {address} does not speak TLS: check address and port ([tunnel] cloud)."
                )
            }
            Self::Foreign { address } => write!(
                f,
                "What answers at {address} is not a Streambox cloud: this network may want a login first, or the \
                 address is wrong ([tunnel] cloud)."
            ),
            Self::Refused { status, reason } if reason.is_empty() => {
                write!(f, "The cloud refuses with status {status}; the box tries again.")
            }
            Self::Refused { status, reason } => write!(f, "The cloud refuses: {reason} (status {status})."),
        }
    }
}

impl Client {
    /// A client of this cloud.
    pub(crate) const fn new(address: CloudAddress, trust: Trust, time: Arc<Time>) -> Self {
        Self { address, time, trust }
    }

    /// The same trust, for other connections to the cloud.
    pub(crate) fn tls(&self) -> Arc<ClientConfig> {
        self.trust.strict.clone()
    }

    /// Where the cloud is.
    pub(crate) const fn address(&self) -> &CloudAddress {
        &self.address
    }

    /// Asks and takes the answer, whatever its status. An answer inside TLS also tells the time. When the cloud's
    /// certificate is not valid yet, its clock is looked at once, and it is asked again.
    ///
    /// # Errors
    /// [`Obstacle`].
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
    ) -> Result<Answer, Obstacle> {
        let early = match self.once(&self.trust.strict, method.clone(), path, body.clone()).await {
            Err(error @ Obstacle::Certificate { why: Distrust::Early(_), .. }) => error,
            other => {
                if let Ok(Answer { date: Some(date), .. }) = &other {
                    self.heard(*date);
                }
                return other;
            }
        };
        let hint = self
            .once(&self.trust.early, Method::GET, "/healthz", None)
            .await
            .ok()
            .and_then(|answer| answer.date);
        if !hint.is_some_and(|hint| self.time.hinted(hint)) {
            return Err(early);
        }
        // Boxed: this is the same future again.
        let again = Box::pin(self.once(&self.trust.strict, method, path, body)).await?;
        if let Some(date) = again.date {
            self.heard(date);
        }
        Ok(again)
    }

    /// The cloud has told the time. Without TLS nobody vouches for it: good enough for a clock that is certainly behind.
    fn heard(&self, date: Duration) {
        if self.address.is_tls() {
            self.time.told(date);
        } else if self.time.is_unsure() {
            self.time.hinted(date);
        }
    }

    async fn once(
        &self,
        tls: &Arc<ClientConfig>,
        method: Method,
        path: &str,
        body: Option<Bytes>,
    ) -> Result<Answer, Obstacle> {
        let stream = self.connect().await?;
        if !self.address.is_tls() {
            return self.talk(stream, method, path, body).await;
        }
        let host = self.address.host().to_owned();
        let name = ServerName::try_from(host.clone()).map_err(|_| Obstacle::NoName { host })?;
        let connector = TlsConnector::from(tls.clone());
        let stream = match timeout(HANDSHAKE, connector.connect(name, stream)).await {
            Err(_) => return Err(self.silent()),
            Ok(Err(error)) => return Err(self.distrust(&error)),
            Ok(Ok(stream)) => stream,
        };
        self.talk(stream, method, path, body).await
    }

    async fn connect(&self) -> Result<TcpStream, Obstacle> {
        let (host, port) = (self.address.host(), self.address.port());
        let no_name = || Obstacle::NoName { host: host.to_owned() };
        let found = timeout(CONNECT, tokio::net::lookup_host((host, port))).await;
        let addresses: Vec<_> =
            found.map_err(|_| no_name())?.map_err(|_| no_name())?.take(ADDRESSES).collect();
        let mut last = no_name();
        for address in addresses {
            let why = match timeout(CONNECT, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => error.kind(),
                Err(_) => io::ErrorKind::TimedOut,
            };
            last = Obstacle::Unreachable { address: self.address.authority(), why };
        }
        Err(last)
    }

    async fn talk(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        method: Method,
        path: &str,
        body: Option<Bytes>,
    ) -> Result<Answer, Obstacle> {
        let foreign = || Obstacle::Foreign { address: self.address.authority() };
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(MOST)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|_| foreign())?;
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.address.authority())
            .header(USER_AGENT, concat!("streambox/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, "application/json");
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::new(body.unwrap_or_default())).map_err(|_| foreign())?;
        let exchange = async {
            let response = sender.send_request(request).await.map_err(|error| self.broken(&error))?;
            let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
            let date = text(DATE).and_then(parse_date);
            let retry_after = text(RETRY_AFTER).and_then(|text| text.parse().ok()).map(Duration::from_secs);
            let status = response.status();
            let body = Limited::new(response.into_body(), MOST).collect().await.map_err(|_| foreign())?;
            Ok(Answer { status, body: body.to_bytes(), retry_after, date })
        };
        let both = async {
            tokio::pin!(exchange);
            tokio::select! {
                answer = &mut exchange => answer,
                // The connection may end in the same moment as the answer.
                _ = connection => exchange.await,
            }
        };
        timeout(ANSWER, both).await.unwrap_or_else(|_| Err(self.silent()))
    }

    fn silent(&self) -> Obstacle {
        Obstacle::Silent { address: self.address.authority() }
    }

    fn broken(&self, error: &hyper::Error) -> Obstacle {
        let address = self.address.authority();
        if error.is_parse() { Obstacle::Foreign { address } } else { Obstacle::Silent { address } }
    }

    /// What a failed handshake means.
    fn distrust(&self, error: &io::Error) -> Obstacle {
        use rustls::CertificateError as C;
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        let Some(tls) = tls else {
            return match error.kind() {
                io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => self.silent(),
                why => Obstacle::Unreachable { address: self.address.authority(), why },
            };
        };
        let rustls::Error::InvalidCertificate(wrong) = tls else {
            return Obstacle::NotTls { address: self.address.authority() };
        };
        let now = || date(self.time.now());
        let why = match wrong {
            C::NotValidYet | C::NotValidYetContext { .. } => Distrust::Early(now()),
            C::Expired | C::ExpiredContext { .. } => Distrust::Late(now()),
            C::UnknownIssuer | C::BadSignature => Distrust::Stranger,
            C::NotValidForName | C::NotValidForNameContext { .. } => Distrust::OtherName,
            _ => Distrust::Broken,
        };
        Obstacle::Certificate { host: self.address.host().to_owned(), why }
    }
}

impl Answer {
    /// The JSON of an answer that says yes.
    ///
    /// # Errors
    /// [`Obstacle::Refused`] with the cloud's own sentence for any other status, [`Obstacle::Foreign`] when it is
    /// something else.
    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self, address: &CloudAddress) -> Result<T, Obstacle> {
        let foreign = || Obstacle::Foreign { address: address.authority() };
        if self.status.is_success() {
            return serde_json::from_slice(&self.body).map_err(|_| foreign());
        }
        if self.status.is_redirection() {
            return Err(foreign());
        }
        Err(Obstacle::Refused { status: self.status.as_u16(), reason: self.reason() })
    }

    /// The sentence of an error: at most 200 characters, no control characters.
    fn reason(&self) -> String {
        let said = serde_json::from_slice::<serde_json::Value>(&self.body).ok();
        let error = said.as_ref().and_then(|said| said.get("error")).and_then(|error| error.as_str());
        let text: String = error.unwrap_or_default().chars().filter(|c| !c.is_control()).take(200).collect();
        text.trim_end_matches('.').to_owned()
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
