//! The conversation with an ONVIF device: one HTTP connection per request, deadlines of 5 s.
//!
//! Invariant: every request goes to the one address that the device was reached at. What it says of other
//! addresses (XAddrs, stream and snapshot addresses) keeps its path and port only. A login is shown only after a request
//! without one was refused, in the way that the refusal asks for, and never again once it was refused itself.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the camera's own sockets and deadlines"
)]

use core::time::Duration;

use bytes::Bytes;
use http_auth::PasswordClient;
use model::Trouble;
use tokio::time::timeout;
use url::Url;

use super::http::{self, Asked, Got};
use super::message::{self, Reply, Request};
use super::xml::{Element, MAX_BYTES};
use super::{encoder, refusal};
use crate::choice::{self, Profile, choose};
use crate::event::DeviceFacts;
use crate::random::Random;
use crate::session::probe::Login;
use crate::session::target::Target;
use crate::session::tls::Tls;
use crate::source::StreamChoice;

/// Longest wait for one answer, login included.
const ANSWER: Duration = Duration::from_secs(5);
/// Most bytes of a still picture.
pub const PICTURE_BYTES: usize = 512 << 10;

/// How a device wants its login.
enum Way {
    /// It has not asked for one yet.
    Bare,
    /// As a UsernameToken.
    Token,
    /// In HTTP; the token goes along, for devices that ask in HTTP and look at the token.
    Http(PasswordClient),
}

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
    /// How it wants its login.
    way: Way,
    /// It accepted the login in this conversation.
    proved: bool,
}

/// Where a device's services are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Services {
    /// Media 1.
    pub media: Url,
    /// Media 2, if it has it.
    pub media2: Option<Url>,
}

impl Services {
    /// The service that a profile came from.
    pub fn of(&self, media2: bool) -> &Url {
        self.media2.as_ref().filter(|_| media2).unwrap_or(&self.media)
    }
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
        Self { target, service, login, tls, random, now_s, offset_s: None, way: Way::Bare, proved: false }
    }

    /// Asks for everything that is needed to stream; `channel` is the video source whose profiles count, all if none.
    ///
    /// # Errors
    /// What stands in the way; [`Trouble::WrongPassword`] after one refused login.
    pub async fn ask(&mut self, choice: StreamChoice, channel: Option<&str>) -> Result<Answer, Trouble> {
        let (mut facts, services) = self.open().await?;
        let profiles = choice::of_channel(self.profiles(&services).await?, channel)?;
        facts.profiles = profiles.iter().map(|profile| profile.name.clone()).collect();
        let chosen = choose(&profiles, choice).ok_or(Trouble::NoVideo)?;
        let (note, profile) = (chosen.note, chosen.profile);
        facts.has_small = choose(&profiles, StreamChoice::Sub)
            .is_some_and(|sub| sub.note.is_none() && sub.profile.token != profile.token);
        let stream = self.stream(&services, profile).await?;
        facts.snapshot = self.snapshot(&services, profile).await?.map(|url| url.to_string());
        Ok(Answer { stream, note, facts })
    }

    /// Begins: the clock, what the device says of itself, where its services are.
    ///
    /// # Errors
    /// As [`Device::ask`].
    pub async fn open(&mut self) -> Result<(DeviceFacts, Services), Trouble> {
        let device = self.service.clone();
        // Without login: it gives the clock that the login needs. A device that wants one even here goes without.
        let login = self.login.take();
        let clock = self.call(&device, Request::GetSystemDateAndTime).await;
        self.login = login;
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
        Ok((facts, Services { media, media2 }))
    }

    /// The profiles with video, those of Media 2 where it has any.
    ///
    /// # Errors
    /// As [`Device::ask`].
    pub async fn profiles(&mut self, services: &Services) -> Result<Vec<Profile>, Trouble> {
        if let Some(media2) = &services.media2
            && let Some(answer) = self.optional(media2, Request::GetProfiles2).await?
        {
            let mut profiles = message::profiles(&answer, true);
            // Some devices name the encoder of a profile only; it is described in a list of its own.
            if profiles.iter().any(|profile| profile.encoding.is_empty())
                && let Some(answer) = self.optional(media2, Request::GetEncoders2(None)).await?
            {
                let known = message::encoders(&answer);
                for profile in &mut profiles {
                    if let Some(encoder) = known.iter().find(|encoder| encoder.token == profile.encoder.token)
                    {
                        profile.describe(encoder.clone());
                    }
                }
            }
            if profiles.iter().any(|profile| !profile.encoding.is_empty()) {
                return Ok(profiles);
            }
        }
        let answer = self.call(&services.media, Request::GetProfiles).await?;
        Ok(message::profiles(&answer, false))
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

    /// Where a profile's stream is.
    ///
    /// # Errors
    /// As [`Device::ask`].
    pub async fn stream(&mut self, services: &Services, profile: &Profile) -> Result<Url, Trouble> {
        let request = if profile.media2 {
            Request::GetStreamUri2(&profile.token)
        } else {
            Request::GetStreamUri(&profile.token)
        };
        let answer = self.call(services.of(profile.media2), request).await?;
        message::uri(&answer)
            .and_then(|uri| self.here(uri, &["rtsp", "rtsps"]))
            .ok_or_else(|| Trouble::Protocol { detail: "it names no RTSP address for its stream".into() })
    }

    /// Where a profile's still picture is, if it has one.
    ///
    /// # Errors
    /// As [`Device::ask`].
    pub async fn snapshot(&mut self, services: &Services, profile: &Profile) -> Result<Option<Url>, Trouble> {
        let request = if profile.media2 {
            Request::GetSnapshotUri2(&profile.token)
        } else {
            Request::GetSnapshotUri(&profile.token)
        };
        let answer = self.optional(services.of(profile.media2), request).await?;
        Ok(answer.and_then(|answer| self.here(message::uri(&answer)?, &["http", "https"])))
    }

    /// The settings of a profile's encoder, as the camera says now.
    ///
    /// # Errors
    /// As [`Device::ask`].
    pub async fn encoder(
        &mut self,
        services: &Services,
        profile: &Profile,
    ) -> Result<encoder::Encoder, Trouble> {
        let token = profile.encoder.token.as_str();
        let service = services.of(profile.media2);
        let request =
            if profile.media2 { Request::GetEncoders2(Some(token)) } else { Request::GetEncoder(token) };
        let answer = self.optional(service, request).await?;
        let found = answer.map(|answer| message::encoders(&answer)).unwrap_or_default();
        let found = found.into_iter().find(|encoder| encoder.token == token);
        if let Some(encoder) = found.filter(|encoder| !encoder.encoding.is_empty()) {
            return Ok(encoder);
        }
        // What the list of profiles said, asked anew: it may have been changed since.
        let profiles = self.profiles(services).await?;
        let again = profiles.into_iter().find(|other| other.token == profile.token);
        again.map(|profile| profile.encoder).ok_or(Trouble::NoSuchStream)
    }

    /// What a profile's encoder could do.
    ///
    /// # Errors
    /// As [`Device::ask`].
    pub async fn options(
        &mut self,
        services: &Services,
        profile: &Profile,
    ) -> Result<encoder::Options, Trouble> {
        let (encoder, token) = (profile.encoder.token.as_str(), profile.token.as_str());
        let service = services.of(profile.media2);
        let request = if profile.media2 {
            Request::GetEncoderOptions2(encoder, token)
        } else {
            Request::GetEncoderOptions(encoder, token)
        };
        let answer = self.optional(service, request).await?;
        let read = if profile.media2 { encoder::Options::read2 } else { encoder::Options::read };
        Ok(answer.as_ref().map_or(encoder::Options::Unknown, read))
    }

    /// Changes an encoder's settings, and has them kept over a restart.
    ///
    /// # Errors
    /// [`Trouble::Refused`] with the device's reason, else as [`Device::ask`].
    pub async fn set_encoder(
        &mut self,
        services: &Services,
        media2: bool,
        new: &encoder::Encoder,
    ) -> Result<(), Trouble> {
        let request = if media2 { Request::SetEncoder2(new) } else { Request::SetEncoder(new) };
        match self.call(services.of(media2), request).await {
            Ok(_) => Ok(()),
            Err(Trouble::Protocol { detail }) => Err(Trouble::Refused { detail }),
            Err(Trouble::NoSuchStream) => {
                Err(Trouble::Refused { detail: "it knows no such settings".into() })
            }
            Err(trouble) => Err(trouble),
        }
    }

    /// Fetches a still picture from an address of [`Device::snapshot`], a JPEG of at most [`PICTURE_BYTES`].
    ///
    /// # Errors
    /// [`Trouble::NoSnapshot`] when it is none, else as [`Device::ask`].
    pub async fn picture(&mut self, url: &Url, tls: Option<&Tls>) -> Result<Bytes, Trouble> {
        let mut target = Target::resolve(url).await?;
        // The address that answered, also where a name has several.
        target.address.set_ip(self.target.address.ip());
        match timeout(ANSWER, self.fetch(&target, tls.filter(|_| target.tls), &http::path(url))).await {
            Ok(result) => result,
            Err(_) => Err(target.unreachable()),
        }
    }

    async fn fetch(&mut self, target: &Target, tls: Option<&Tls>, path: &str) -> Result<Bytes, Trouble> {
        // A challenge of its own: this may be another server, with another realm.
        let mut client: Option<PasswordClient> = None;
        let mut renewed = false;
        loop {
            let authorization = match (client.as_mut(), self.login) {
                (Some(client), Some(login)) => http::authorization(client, login, "GET", path),
                _ => None,
            };
            let (kind, body) = (String::new(), String::new());
            let asked = Asked { method: "GET", path, kind, body, authorization, limit: PICTURE_BYTES };
            let got = http::ask(target, tls, asked).await?;
            match got.status {
                200 if got.body.starts_with(&[0xff, 0xd8, 0xff]) => return Ok(got.body),
                401 | 403 | 423 | 429 | 490 => {
                    if let Some(trouble) = refusal::read(got.status, got.retry_after, &got.body) {
                        return Err(trouble);
                    }
                    let Some(_) = self.login else { return Err(Trouble::PasswordNeeded) };
                    match PasswordClient::try_from(got.challenge.as_str()) {
                        Ok(asked) if client.is_none() || (http::is_stale(&got.challenge) && !renewed) => {
                            renewed = client.is_some();
                            client = Some(asked);
                        }
                        // Refused without a way to log in: not for this user.
                        _ if client.is_none() => return Err(Trouble::NoSnapshot),
                        _ => return Err(Trouble::WrongPassword),
                    }
                }
                _ => return Err(Trouble::NoSnapshot),
            }
        }
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
        let path = http::path(service);
        let mut renewed = false;
        loop {
            let login = self.login.filter(|_| !matches!(self.way, Way::Bare));
            let got = self.post(&path, request, login).await?;
            let refused = match got.status {
                401 | 403 | 423 | 429 | 490 => true,
                404 | 405 => return Err(Trouble::NoSuchStream),
                status => match message::reply(&got.body) {
                    Ok(Reply::Body(answer)) => {
                        self.proved |= login.is_some();
                        return Ok(answer);
                    }
                    Ok(Reply::NotAuthorized) => true,
                    Ok(Reply::Fault(reason)) => {
                        return Err(Trouble::Protocol { detail: format!("ONVIF: {reason}") });
                    }
                    // Some refuse what comes without a login in no words at all.
                    Err(_) if status >= 400 && login.is_none() && self.login.is_some() => true,
                    Err(error) => return Err(Trouble::Protocol { detail: format!("ONVIF: {error}") }),
                },
            };
            debug_assert!(refused, "all else has returned");
            if let Some(trouble) = refusal::read(got.status, got.retry_after, &got.body) {
                return Err(trouble);
            }
            if self.login.is_none() {
                return Err(Trouble::PasswordNeeded);
            }
            let challenge = PasswordClient::try_from(got.challenge.as_str()).ok();
            self.way = match (&self.way, challenge) {
                (Way::Bare, Some(client)) => Way::Http(client),
                (Way::Bare, None) => Way::Token,
                // Once: a nonce that has aged, or another service of the device that asks in another way. A login that was
                // accepted a moment ago is no guess.
                (_, Some(client)) if !renewed && (self.proved || http::is_stale(&got.challenge)) => {
                    renewed = true;
                    Way::Http(client)
                }
                _ => return Err(Trouble::WrongPassword),
            };
        }
    }

    async fn post(
        &mut self,
        path: &str,
        request: Request<'_>,
        login: Option<&Login>,
    ) -> Result<Got, Trouble> {
        let (mut security, mut authorization) = (String::new(), None);
        if let Some(login) = login {
            let mut nonce = [0; 16];
            let (high, low) = nonce.split_at_mut(8);
            high.copy_from_slice(&self.random.draw().to_be_bytes());
            low.copy_from_slice(&self.random.draw().to_be_bytes());
            let created_s = self.now_s.saturating_add(self.offset_s.unwrap_or(0));
            security = message::security(login, nonce, created_s);
            if let Way::Http(client) = &mut self.way {
                authorization = http::authorization(client, login, "POST", path);
            }
        }
        let kind = format!("application/soap+xml; charset=utf-8; action=\"{}\"", request.action());
        let body = request.envelope(&security);
        let asked = Asked { method: "POST", path, kind, body, authorization, limit: MAX_BYTES };
        http::ask(self.target, self.tls, asked).await
    }
}
