//! One bounded DESCRIBE exchange: what answers, does it let us in, what does it offer?

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the camera's own sockets and deadlines"
)]

use http_auth::{PasswordClient, PasswordParams};
use model::{Private, Trouble};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;
use url::Url;

use super::limits;
use super::message::{Refused, Response, describe};
use super::sdp::{Offer, examine};
use super::target::Target;
use super::tls::Tls;

/// User name and password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// User name.
    pub user: String,
    /// Password.
    pub password: Private<String>,
}

/// A connection that stays open until it is dropped.
pub type Held = Box<dyn AsyncRead + Send + Unpin>;

/// Asks for the description of `url`, and hands over the connection that it came on: a camera that shares one stream between
/// its clients may take it down when the last of them leaves (gst-rtsp-server then refuses or stalls the next one), so
/// it is held until the session stands. `login` is used only when the camera asks for it, and then once: a refused one is
/// [`Trouble::WrongPassword`].
///
/// # Errors
/// What stands in the way.
pub async fn probe(
    target: &Target,
    url: &Url,
    login: Option<&Login>,
    tls: Option<&Tls>,
) -> Result<(Offer, Held), Trouble> {
    let request_url = target.request_url(url, None).ok_or(Trouble::NoSuchStream)?;
    if let Some(tls) = tls {
        let mut stream = tls.connect(target).await?;
        let offer = bounded(&mut stream, target, request_url.as_str(), login).await?;
        Ok((offer, Box::new(stream)))
    } else {
        let mut stream = target.connect().await?;
        let offer = bounded(&mut stream, target, request_url.as_str(), login).await?;
        Ok((offer, Box::new(stream)))
    }
}

async fn bounded(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    target: &Target,
    url: &str,
    login: Option<&Login>,
) -> Result<Offer, Trouble> {
    match timeout(limits::DESCRIBE, exchange(stream, target, url, login)).await {
        Ok(result) => result,
        Err(_) => Err(target.unreachable()),
    }
}

async fn exchange(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    target: &Target,
    url: &str,
    login: Option<&Login>,
) -> Result<Offer, Trouble> {
    let mut answered = None;
    let mut authorization = None;
    // At most: without login, with it, and with it on a fresh nonce.
    for cseq in 1..=3 {
        let request = describe(url, cseq, authorization.as_deref());
        let response = ask(stream, target, request.as_bytes()).await?;
        match response.status {
            200..=299 => return examine(&response.body),
            401 => {
                let challenge = response.header("www-authenticate").unwrap_or_default();
                let login = login.ok_or(Trouble::PasswordNeeded)?;
                if answered.is_some()
                    && !challenge.to_ascii_lowercase().replace([' ', '"'], "").contains("stale=true")
                {
                    return Err(Trouble::WrongPassword);
                }
                let mut client =
                    PasswordClient::try_from(challenge.as_str()).map_err(|_| Trouble::Protocol {
                        detail: "it asks for a way of logging in that is not known here".into(),
                    })?;
                let value = client.respond(&PasswordParams {
                    username: &login.user,
                    password: login.password.expose(),
                    uri: url,
                    method: "DESCRIBE",
                    body: Some(&[]),
                });
                authorization = Some(value.map_err(|_| Trouble::Protocol {
                    detail: "its way of logging in cannot be answered with this user name or password".into(),
                })?);
                answered = Some(challenge);
            }
            403 if login.is_none() => return Err(Trouble::PasswordNeeded),
            status => return Err(refused(status)),
        }
    }
    Err(Trouble::WrongPassword)
}

/// The trouble behind a status code (RFC 2326, 11).
pub fn refused(status: u16) -> Trouble {
    match status {
        401 | 403 => Trouble::WrongPassword,
        404 | 410 | 454 => Trouble::NoSuchStream,
        453 => Trouble::Busy,
        300..=399 => Trouble::Protocol {
            detail: format!("it points to another address ({status}), which is not followed"),
        },
        status => Trouble::Protocol { detail: format!("it answered with the error {status}") },
    }
}

async fn ask(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    target: &Target,
    request: &[u8],
) -> Result<Response, Trouble> {
    let mut received = Vec::new();
    // What was said before the connection broke still tells who answered: an SSH banner, a page in HTTP.
    let _ = stream.write_all(request).await.and(stream.flush().await);
    loop {
        match Response::read(&received) {
            Ok(Some(response)) => return Ok(response),
            Ok(None) => {}
            Err(Refused::NotRtsp) => return Err(target.not_rtsp()),
            Err(Refused::HeadTooLarge) => return Err(Trouble::TooLarge { what: "header".into() }),
            Err(Refused::BodyTooLarge) => {
                return Err(Trouble::TooLarge { what: "description of the stream".into() });
            }
        }
        let mut chunk = [0; 2048];
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) if received.is_empty() => return Err(target.not_rtsp()),
            Ok(0) | Err(_) => return Err(Trouble::Closed),
            Ok(len) => received.extend_from_slice(chunk.get(..len).unwrap_or_default()),
        }
    }
}
