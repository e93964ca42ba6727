//! The conversation with an ONVIF device: HTTP/1.1 by hyper, one connection per request, deadlines of 5 s.
//!
//! Invariant: every request goes to the one address that the device was reached at. What it says of other
//! addresses (XAddrs, stream and snapshot addresses) keeps its path and port only.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the camera's own sockets and deadlines"
)]

use core::time::Duration;

use bytes::Bytes;
use http_auth::{PasswordClient, PasswordParams};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT, WWW_AUTHENTICATE};
use hyper_util::rt::TokioIo;
use model::Trouble;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use url::Url;

use super::message::{self, Reply, Request};
use super::xml::{Element, MAX_BYTES};
use crate::choice::{Profile, choose};
use crate::event::DeviceFacts;
use crate::random::Random;
use crate::session::probe::Login;
use crate::session::target::Target;
use crate::session::tls::Tls;
use crate::source::StreamChoice;

/// Longest wait for one answer, login included.
const ANSWER: Duration = Duration::from_secs(5);

/// A device under conversation.
pub struct Device<'a> {
    target: &'a Target,
    service: &'a Url,
    login: Option<&'a Login>,
    tls: Option<&'a Tls>,
    random: &'a mut Random,
    /// Seconds since 1970 on the box's clock.
    now_s: i64,
    /// The device's clock minus the box's, seconds.
    offset_s: Option<i64>,
    /// How the device asked for a login in HTTP, if it did.
    http: Option<PasswordClient>,
}

/// What a device answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The chosen stream.
    pub stream: Url,
    /// Why it is another one than the owner would expect.
    pub note: Option<String>,
    /// What the device says of itself.
    pub facts: DeviceFacts,
}

impl<'a> Device<'a> {
    /// A device at `service`, which was resolved to `target`.
    pub fn new(
        target: &'a Target,
        service: &'a Url,
        login: Option<&'a Login>,
        tls: Option<&'a Tls>,
        random: &'a mut Random,
        now_s: i64,
    ) -> Self {
        Self { target, service, login, tls, random, now_s, offset_s: None, http: None }
    }

    /// Asks for everything that is needed to stream.
    ///
    /// # Errors
    /// What stands in the way; [`Trouble::WrongPassword`] after one refused login.
    pub async fn ask(&mut self, choice: StreamChoice) -> Result<Answer, Trouble> {
        let device = self.service.clone();
        // Without login: it gives the clock that the login needs. A device that wants one even here goes without.
        let login = self.login.take();
        let clock = self.call(&device, Request::GetSystemDateAndTime).await;
        self.login = login;
        self.http = None;
        match clock {
            Ok(answer) => self.offset_s = message::clock(&answer).map(|clock| clock - self.now_s),
            Err(Trouble::PasswordNeeded | Trouble::Protocol { .. }) => {}
            Err(trouble) => return Err(trouble),
        }
        let mut facts = DeviceFacts { clock_offset_s: self.offset_s, ..DeviceFacts::default() };
        if let Some(about) = self.optional(&device, Request::GetDeviceInformation).await? {
            let text = |name| about.text_of(name).map(message::kept);
            facts.maker = text("Manufacturer");
            facts.model = text("Model");
            facts.firmware = text("FirmwareVersion");
            facts.serial = text("SerialNumber");
        }
        let (media, media2) = self.services(&device).await?;
        let mut profiles = Vec::new();
        if let Some(media2) = &media2
            && let Some(answer) = self.optional(media2, Request::GetProfiles2).await?
        {
            profiles = message::profiles(&answer, true);
        }
        if profiles.is_empty() {
            let answer = self.call(&media, Request::GetProfiles).await?;
            profiles = message::profiles(&answer, false);
        }
        facts.profiles = profiles.iter().map(|profile| profile.name.clone()).collect();
        let chosen = choose(&profiles, choice).ok_or(Trouble::NoVideo)?;
        let (note, profile) = (chosen.note, chosen.profile);
        facts.has_small = choose(&profiles, StreamChoice::Sub)
            .is_some_and(|sub| sub.note.is_none() && sub.profile.token != profile.token);
        let service = if profile.media2 { media2.as_ref().unwrap_or(&media) } else { &media };
        let stream = self.stream(service, profile).await?;
        let snapshot = if profile.media2 {
            Request::GetSnapshotUri2(&profile.token)
        } else {
            Request::GetSnapshotUri(&profile.token)
        };
        if let Some(answer) = self.optional(service, snapshot).await? {
            let url = message::uri(&answer).and_then(|uri| self.here(uri, &["http", "https"]));
            facts.snapshot = url.map(|url| url.to_string());
        }
        Ok(Answer { stream, note, facts })
    }

    /// Addresses of Media 1 (the device service where it is not said) and Media 2.
    async fn services(&mut self, device: &Url) -> Result<(Url, Option<Url>), Trouble> {
        let mut found = (None, None);
        for request in [Request::GetServices, Request::GetCapabilities] {
            if let Some(answer) = self.optional(device, request).await? {
                found = message::media_services(&answer);
                if found.0.is_some() || found.1.is_some() {
                    break;
                }
            }
        }
        let here = |claimed: Option<String>| claimed.and_then(|claimed| self.service_here(&claimed));
        let media2 = here(found.1);
        Ok((here(found.0).unwrap_or_else(|| device.clone()), media2))
    }

    async fn stream(&mut self, service: &Url, profile: &Profile) -> Result<Url, Trouble> {
        let request = if profile.media2 {
            Request::GetStreamUri2(&profile.token)
        } else {
            Request::GetStreamUri(&profile.token)
        };
        let answer = self.call(service, request).await?;
        message::uri(&answer)
            .and_then(|uri| self.here(uri, &["rtsp", "rtsps"]))
            .ok_or_else(|| Trouble::Protocol { detail: "it names no RTSP address for its stream".into() })
    }

    /// A claimed address with the host that answered; only of these schemes, never with user or password.
    fn here(&self, claimed: &str, schemes: &[&str]) -> Option<Url> {
        let claimed = Url::parse(claimed.trim()).ok().filter(|url| schemes.contains(&url.scheme()))?;
        let port = claimed.port().map(|port| format!(":{port}")).unwrap_or_default();
        let query = claimed.query().map(|query| format!("?{query}")).unwrap_or_default();
        let host = self.service.host_str()?;
        Url::parse(&format!("{}://{host}{port}{}{query}", claimed.scheme(), claimed.path())).ok()
    }

    /// A claimed service address at the port that answered: a camera behind a port forward claims its inner one.
    fn service_here(&self, claimed: &str) -> Option<Url> {
        let path = match Url::parse(claimed.trim()) {
            Ok(url) => url.path().to_owned(),
            // Some devices leave the scheme out.
            Err(_) => format!("/{}", claimed.trim().split_once('/')?.1),
        };
        let mut url = self.service.clone();
        url.set_path(&path);
        url.set_query(None);
        Some(url)
    }

    /// A request that the device may not know.
    async fn optional(&mut self, service: &Url, request: Request<'_>) -> Result<Option<Element>, Trouble> {
        match self.call(service, request).await {
            Ok(answer) => Ok(Some(answer)),
            Err(Trouble::Protocol { .. } | Trouble::NoSuchStream) => Ok(None),
            Err(trouble) => Err(trouble),
        }
    }

    /// One request and its answer, logged in as the device wants it.
    async fn call(&mut self, service: &Url, request: Request<'_>) -> Result<Element, Trouble> {
        match timeout(ANSWER, self.exchange(service, request)).await {
            Ok(result) => result,
            Err(_) => Err(self.target.unreachable()),
        }
    }

    async fn exchange(&mut self, service: &Url, request: Request<'_>) -> Result<Element, Trouble> {
        let path = service
            .query()
            .map_or_else(|| service.path().to_owned(), |query| format!("{}?{query}", service.path()));
        let (mut answered, mut renewed) = (self.http.is_some(), false);
        loop {
            let security = match self.login {
                Some(login) => {
                    let mut nonce = [0; 16];
                    let (high, low) = nonce.split_at_mut(8);
                    high.copy_from_slice(&self.random.draw().to_be_bytes());
                    low.copy_from_slice(&self.random.draw().to_be_bytes());
                    message::security(login, nonce, self.now_s.saturating_add(self.offset_s.unwrap_or(0)))
                }
                None => String::new(),
            };
            let authorization = match (self.http.as_mut(), self.login) {
                (Some(client), Some(login)) => client
                    .respond(&PasswordParams {
                        username: &login.user,
                        password: login.password.expose(),
                        uri: &path,
                        method: "POST",
                        body: Some(&[]),
                    })
                    .ok(),
                _ => None,
            };
            let (status, challenge, body) = self.post(&path, request, &security, authorization).await?;
            match status {
                401 | 403 => {
                    let Some(_) = self.login else { return Err(Trouble::PasswordNeeded) };
                    let aged = challenge.to_ascii_lowercase().replace([' ', '"'], "").contains("stale=true");
                    match PasswordClient::try_from(challenge.as_str()) {
                        // The first challenge is no refusal, a device that wants HTTP's login looks at no other;
                        // nor is one for an aged nonce, once.
                        Ok(client) if !answered || (aged && !renewed) => {
                            renewed = answered;
                            answered = true;
                            self.http = Some(client);
                        }
                        _ => return Err(Trouble::WrongPassword),
                    }
                }
                404 | 405 => return Err(Trouble::NoSuchStream),
                _ => {
                    return match message::reply(&body) {
                        Ok(Reply::Body(answer)) => Ok(answer),
                        Ok(Reply::NotAuthorized) if self.login.is_some() => Err(Trouble::WrongPassword),
                        Ok(Reply::NotAuthorized) => Err(Trouble::PasswordNeeded),
                        Ok(Reply::Fault(reason)) => {
                            Err(Trouble::Protocol { detail: format!("ONVIF: {reason}") })
                        }
                        Err(error) => Err(Trouble::Protocol { detail: format!("ONVIF: {error}") }),
                    };
                }
            }
        }
    }

    async fn post(
        &self,
        path: &str,
        request: Request<'_>,
        security: &str,
        authorization: Option<String>,
    ) -> Result<(u16, String, Bytes), Trouble> {
        let broken = |_| Trouble::Protocol { detail: "ONVIF: the request cannot be sent".into() };
        let mut post = hyper::Request::post(path)
            .header(HOST, format!("{}:{}", self.target.host, self.target.address.port()))
            .header(USER_AGENT, crate::session::message::USER_AGENT)
            .header(
                CONTENT_TYPE,
                format!("application/soap+xml; charset=utf-8; action=\"{}\"", request.action()),
            );
        if let Some(value) = authorization {
            post = post.header(AUTHORIZATION, value);
        }
        let post = post.body(Full::new(Bytes::from(request.envelope(security)))).map_err(broken)?;
        match self.tls {
            Some(tls) => self.send(tls.connect(self.target).await?, post).await,
            None => self.send(self.target.connect().await?, post).await,
        }
    }

    async fn send(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin,
        post: hyper::Request<Full<Bytes>>,
    ) -> Result<(u16, String, Bytes), Trouble> {
        let not_http = |_| Trouble::Protocol { detail: "ONVIF: no answer in HTTP".into() };
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(not_http)?;
        let answer = async {
            let response = sender.send_request(post).await.map_err(not_http)?;
            let status = response.status().as_u16();
            let challenges: Vec<&str> = response
                .headers()
                .get_all(WWW_AUTHENTICATE)
                .iter()
                .filter_map(|value| value.to_str().ok())
                .collect();
            let challenges = challenges.join(", ");
            let body = Limited::new(response.into_body(), MAX_BYTES).collect().await;
            let body = body.map_err(|_| Trouble::TooLarge { what: "ONVIF answer".into() })?.to_bytes();
            Ok((status, challenges, body))
        };
        tokio::pin!(answer);
        tokio::select! {
            biased;
            result = &mut answer => result,
            _ = connection => answer.await,
        }
    }
}
