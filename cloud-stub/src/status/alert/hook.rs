//! Webhooks: a POST of JSON to where a tenant has said, signed, and only to addresses that its owner could reach as well.
//!
//! A tenant chooses the address, so without rules it would be a way into the operator's network: the name is resolved, every
//! address of it judged, and the judged one contacted. Redirections are not followed; of the answer only the status counts.
//!
//! `x-streambox-signature` is `sha256=` and the HMAC-SHA-256, in hex, of `x-streambox-time`, a dot and the body, with the
//! webhook's secret.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use ring::hmac;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use super::{Notice, Webhook};
use crate::hex::hex;
use crate::http::{TrustError, client_config};
use crate::ingest::Rule;

/// A message must be answered by then.
const TIME: Duration = Duration::from_secs(10);

/// Why a message was not taken. Never repeats the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The name means nothing.
    #[error("the webhook's name has no address")]
    Unknown,
    /// Nobody's public address.
    #[error("the webhook's address is not a public one ([alerts] allow_private)")]
    Forbidden,
    /// Nobody is there.
    #[error("the webhook's server cannot be reached")]
    Unreachable,
    /// Its certificate is not good.
    #[error("the certificate of the webhook's server is not good")]
    Certificate,
    /// It broke off.
    #[error("the webhook's server broke off")]
    Broken,
    /// It took too long.
    #[error("the webhook's server takes too long")]
    Late,
    /// It said no.
    #[error("the webhook's server answered {0}")]
    Status(StatusCode),
}

/// Sends messages to webhooks.
pub struct Hooks {
    rule: Rule,
    tls: TlsConnector,
}

impl Hooks {
    /// A sender; `rule` says which addresses may be contacted. Beside the roots that browsers know, those of the file `ca` (PEM)
    /// are believed.
    ///
    /// # Errors
    /// When they cannot be read, or TLS is not available.
    pub fn new(rule: Rule, ca: Option<&Path>) -> Result<Self, TrustError> {
        Ok(Self { rule, tls: TlsConnector::from(Arc::new(client_config(ca)?)) })
    }

    /// Whether every address may be contacted, and without TLS.
    pub fn allows_private(&self) -> bool {
        self.rule.private
    }

    /// Sends a notice.
    ///
    /// # Errors
    /// When it was not taken by a status of 200 to 299.
    pub async fn post(&self, webhook: &Webhook, notice: &Notice, sentence: &str) -> Result<(), Error> {
        let mut body = serde_json::to_value(notice).map_err(|_| Error::Broken)?;
        if let Some(fields) = body.as_object_mut() {
            fields.insert("sentence".to_owned(), sentence.into());
        }
        timeout(TIME, self.exchange(webhook, body.to_string(), notice.at_ms))
            .await
            .map_err(|_| Error::Late)?
    }

    async fn exchange(&self, webhook: &Webhook, body: String, at_ms: u64) -> Result<(), Error> {
        let url = Url::parse(webhook.url.expose()).map_err(|_| Error::Unknown)?;
        if url.scheme() != "https" && !(url.scheme() == "http" && self.rule.private) {
            return Err(Error::Forbidden);
        }
        let to = self.resolve(&url).await?;
        let path =
            url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        let host = url.host_str().unwrap_or_default();
        let authority = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(HOST, authority)
            .header(USER_AGENT, concat!("streambox-cloud/", env!("CARGO_PKG_VERSION")))
            .header(CONTENT_TYPE, "application/json")
            .header("x-streambox-time", at_ms.to_string())
            .header("x-streambox-signature", signature(webhook.secret.expose(), at_ms, &body))
            .body(Full::new(Bytes::from(body)))
            .map_err(|_| Error::Unknown)?;
        let stream = TcpStream::connect(to).await.map_err(|_| Error::Unreachable)?;
        let status = if url.scheme() == "http" {
            send(stream, request).await?
        } else {
            let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())
                .map_err(|_| Error::Certificate)?;
            let stream = self.tls.connect(name, stream).await.map_err(|_| Error::Certificate)?;
            send(stream, request).await?
        };
        if status.is_success() { Ok(()) } else { Err(Error::Status(status)) }
    }

    /// The one address that is contacted. A name of which any address is forbidden is forbidden: it may be made to change.
    async fn resolve(&self, url: &Url) -> Result<SocketAddr, Error> {
        let port = url.port_or_known_default().unwrap_or(443);
        let found: Vec<SocketAddr> = match url.host().ok_or(Error::Unknown)? {
            Host::Ipv4(address) => vec![(IpAddr::from(address), port).into()],
            Host::Ipv6(address) => vec![(IpAddr::from(address), port).into()],
            Host::Domain(name) => {
                tokio::net::lookup_host((name, port)).await.map_err(|_| Error::Unknown)?.collect()
            }
        };
        if found.iter().any(|address| self.rule.check(*address).is_err()) {
            return Err(Error::Forbidden);
        }
        found.into_iter().min_by_key(SocketAddr::is_ipv6).ok_or(Error::Unknown)
    }
}

impl std::fmt::Debug for Hooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hooks").field("rule", &self.rule).finish_non_exhaustive()
    }
}

/// How a message is signed.
pub fn signature(secret: &str, at_ms: u64, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, format!("{at_ms}.{body}").as_bytes());
    format!("sha256={}", hex(tag.as_ref()))
}

async fn send<S>(stream: S, request: Request<Full<Bytes>>) -> Result<StatusCode, Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|_| Error::Broken)?;
    let answer = sender.send_request(request);
    tokio::pin!(answer, connection);
    let response = tokio::select! {
        response = &mut answer => response,
        // It may end together with its answer.
        _ = &mut connection => answer.await,
    };
    // What it says beside the status is not read.
    response.map(|response| response.status()).map_err(|_| Error::Broken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hooks(private: bool) -> Hooks {
        Hooks::new(Rule { private, own: Vec::new() }, None).unwrap()
    }

    #[tokio::test]
    async fn a_webhook_is_no_way_into_the_operators_network() {
        let hooks = hooks(false);
        for url in [
            "https://127.0.0.1/",
            "https://localhost/",
            "https://10.0.0.8/",
            "https://192.168.1.1:8443/",
            "https://169.254.169.254/latest/meta-data",
            "https://[::1]/",
            "https://[fe80::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://93.184.216.34:6379/",
            "http://93.184.216.34/",
        ] {
            let webhook = Webhook { url: url.to_owned().into(), secret: String::new().into() };
            let sent = hooks.exchange(&webhook, String::new(), 0).await;
            assert_eq!(sent, Err(Error::Forbidden), "{url}");
        }
    }

    #[test]
    fn a_signature_is_what_the_manual_says() {
        // python3: hmac.new(b"key", b"5.{}", "sha256").hexdigest()
        assert_eq!(
            signature("key", 5, "{}"),
            "sha256=9be615aec64f0d044b5ad6854ab1d893ec88617fb728d2149dcd3a3428e8c45d"
        );
    }
}
