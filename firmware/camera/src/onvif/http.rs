//! One bounded HTTP/1.1 exchange with a device, on a connection of its own.
//!
//! Invariant: only the target is contacted; redirects are answers like any other; a body over the limit is given up.

use bytes::Bytes;
use http_auth::{PasswordClient, PasswordParams};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, RETRY_AFTER, USER_AGENT, WWW_AUTHENTICATE};
use hyper_util::rt::TokioIo;
use model::Trouble;
use tokio::io::{AsyncRead, AsyncWrite};
use url::Url;

use crate::session::probe::Login;
use crate::session::target::Target;
use crate::session::tls::Tls;

/// What is asked.
pub(super) struct Asked<'a> {
    /// `GET` or `POST`.
    pub(super) method: &'a str,
    /// Path and query.
    pub(super) path: &'a str,
    /// Type of the body, empty without one.
    pub(super) kind: String,
    /// The body.
    pub(super) body: String,
    /// Value of the Authorization header.
    pub(super) authorization: Option<String>,
    /// Most bytes of the answer's body.
    pub(super) limit: usize,
}

/// What came back.
pub(super) struct Got {
    /// Status code.
    pub(super) status: u16,
    /// All challenges of WWW-Authenticate, joined.
    pub(super) challenge: String,
    /// Seconds in Retry-After.
    pub(super) retry_after: Option<u32>,
    /// The body.
    pub(super) body: Bytes,
}

/// Path and query of a URL.
pub(super) fn path(url: &Url) -> String {
    url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()))
}

/// Whether a challenge says that only the nonce has aged (RFC 7616, 3.3).
pub(super) fn is_stale(challenge: &str) -> bool {
    challenge.to_ascii_lowercase().replace([' ', '"'], "").contains("stale=true")
}

/// The Authorization header's value for one request.
pub(super) fn authorization(
    client: &mut PasswordClient,
    login: &Login,
    method: &str,
    path: &str,
) -> Option<String> {
    let parameters = PasswordParams {
        username: &login.user,
        password: login.password.expose(),
        uri: path,
        method,
        body: Some(&[]),
    };
    client.respond(&parameters).ok()
}

/// Asks. The caller sets the deadline.
///
/// # Errors
/// [`Trouble::Unreachable`], [`Trouble::TooLarge`], or [`Trouble::Protocol`] for what is not HTTP.
pub(super) async fn ask(target: &Target, tls: Option<&Tls>, asked: Asked<'_>) -> Result<Got, Trouble> {
    let broken = |_| Trouble::Protocol { detail: "the request cannot be sent".into() };
    let mut request = hyper::Request::builder()
        .method(asked.method)
        .uri(asked.path)
        .header(HOST, format!("{}:{}", target.host, target.address.port()))
        .header(USER_AGENT, crate::session::message::USER_AGENT);
    if !asked.kind.is_empty() {
        request = request.header(CONTENT_TYPE, asked.kind);
    }
    if let Some(value) = asked.authorization {
        request = request.header(AUTHORIZATION, value);
    }
    let request = request.body(Full::new(Bytes::from(asked.body))).map_err(broken)?;
    match tls {
        Some(tls) => exchange(tls.connect(target).await?, request, asked.limit).await,
        None => exchange(target.connect().await?, request, asked.limit).await,
    }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: hyper::Request<Full<Bytes>>,
    limit: usize,
) -> Result<Got, Trouble> {
    let not_http = |_| Trouble::Protocol { detail: "no answer in HTTP".into() };
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(not_http)?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(not_http)?;
        let status = response.status().as_u16();
        let headers = response.headers();
        let challenges: Vec<&str> =
            headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok()).collect();
        let challenge = challenges.join(", ");
        let retry_after = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let body = Limited::new(response.into_body(), limit).collect().await;
        let body = body.map_err(|_| Trouble::TooLarge { what: "answer".into() })?.to_bytes();
        Ok(Got { status, challenge, retry_after, body })
    };
    tokio::pin!(answer);
    tokio::select! {
        biased;
        result = &mut answer => result,
        _ = connection => answer.await,
    }
}
