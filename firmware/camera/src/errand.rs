//! One-shot questions to a camera over ONVIF, beside its stream: how it encodes, how it could, a still picture, its channels.
//!
//! Invariant: a login is refused at most once, then the errand ends; only the host that the owner named is contacted, and the
//! whole errand ends within [`LONGEST`].

#![allow(clippy::disallowed_methods, reason = "the camera's own clock and deadlines")]

use core::time::Duration;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use model::Trouble;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, sleep, timeout};
use url::Url;

use crate::choice::{self, Profile, choose};
use crate::onvif::encoder::{self, is_h264};
use crate::onvif::{self, DEVICE_PATH, Device, Services};
use crate::random::Random;
use crate::session::limits;
use crate::session::probe::Login;
use crate::session::target::Target;
use crate::session::tls::Tls;
use crate::source::{Address, Source, StreamChoice};

/// Longest time that an errand takes. The page waits for 60 s.
pub const LONGEST: Duration = Duration::from_secs(45);
/// Ports of ONVIF by vendor (CAMERAS.md): 80, Reolink 8000, TP-Link 2020, others 8080 and 8899.
pub const USUAL_PORTS: [u16; 5] = [80, 8000, 2020, 8080, 8899];
/// A camera takes up new settings after it has said yes: how often and after what time it is asked again.
const SETTLES: (u32, Duration) = (4, Duration::from_millis(500));
/// Longest wait for a port to say that it is RTSP.
const KNOCK: Duration = Duration::from_secs(3);

/// A question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "errand", rename_all = "snake_case")]
pub enum Errand {
    /// How the camera encodes the picture that [`Errand::Improve`] would change. Answered by [`Outcome::Encoder`].
    Inspect,
    /// H.264, a GOP of 1 s, a sensible bit rate. Answered by [`Outcome::Improved`].
    Improve,
    /// A still picture. Answered by [`Outcome::Snapshot`].
    Snapshot,
    /// The channels of a recorder. Answered by [`Outcome::Channels`].
    Channels,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// To [`Errand::Inspect`].
    Encoder(Encoder),
    /// To [`Errand::Improve`]: both as the camera says. Equal when there was nothing to do.
    Improved {
        /// Before.
        before: Encoder,
        /// After.
        after: Encoder,
    },
    /// To [`Errand::Snapshot`].
    Snapshot {
        /// A JPEG of at most [`onvif::PICTURE_BYTES`].
        #[serde(serialize_with = "to_base64", deserialize_with = "from_base64")]
        jpeg: Bytes,
    },
    /// To [`Errand::Channels`]: one per video source, in the device's order; a camera has one at most.
    Channels {
        /// The channels; [`Channel::token`] is a [`Source::channel`].
        channels: Vec<Channel>,
    },
}

/// How a camera encodes a picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Encoder {
    /// Name of the profile.
    pub profile: String,
    /// Whether it is the one that is streamed now: an H.265 main stream is passed over for an H.264 sub-stream.
    pub streamed: bool,
    /// As ONVIF writes it: `H264`, `H265`, `JPEG`.
    pub encoding: String,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Pictures per second at most; 0 when the camera does not say.
    pub fps: f64,
    /// Pictures from one keyframe to the next; 0 when the camera does not say.
    pub gop: u32,
    /// kbit/s at most; 0 when the camera does not say.
    pub bit_rate_kbps: u32,
    /// Whether [`Errand::Improve`] would change anything.
    pub improvable: bool,
}

/// One picture of a recorder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    /// The video source's token.
    pub token: String,
    /// What it is called to people.
    pub name: String,
}

/// Does one errand. `seed` makes nonces; it should be random.
///
/// # Errors
/// What stands in the way; [`Trouble::WrongPassword`] and [`Trouble::Locked`] after one refused login.
pub async fn run(source: &Source, errand: Errand, seed: u64) -> Result<Outcome, Trouble> {
    let mut traveller = Traveller {
        source,
        login: source
            .user
            .clone()
            .map(|user| Login { user, password: source.password.clone().unwrap_or_default() }),
        tls: None,
        random: Random::new(seed),
    };
    let shown = || source.address.host().map(|host| host.to_string()).unwrap_or_default();
    timeout(LONGEST, traveller.run(errand))
        .await
        .unwrap_or_else(|_| Err(Trouble::Unreachable { address: shown() }))
}

struct Traveller<'a> {
    source: &'a Source,
    login: Option<Login>,
    tls: Option<Tls>,
    random: Random,
}

impl Traveller<'_> {
    /// Looks for the device service, then does the errand there.
    async fn run(&mut self, errand: Errand) -> Result<Outcome, Trouble> {
        let urls = self.services();
        let mut last = None;
        for url in &urls {
            let began = Instant::now();
            match self.at(url, errand).await {
                // Not an ONVIF device here: the next port.
                Err(Elsewhere(trouble)) => {
                    last = Some(trouble);
                    // A host that does not even refuse is not worth a deadline for each port.
                    if began.elapsed() >= limits::CONNECT {
                        break;
                    }
                }
                Ok(result) => return result,
            }
        }
        let trouble = last.unwrap_or(Trouble::NoSuchStream);
        Err(if self.speaks_rtsp().await { Trouble::OnvifOff } else { trouble })
    }

    /// Where the device service may be.
    fn services(&self) -> Vec<Url> {
        let at = |port: u16| {
            let host = self.source.address.host()?;
            Url::parse(&format!("http://{host}:{port}{DEVICE_PATH}")).ok()
        };
        match &self.source.address {
            Address::Onvif(url) => vec![url.clone()],
            Address::Host { port: Some(port), .. } => at(*port).into_iter().collect(),
            Address::Host { port: None, .. } | Address::Rtsp(_) => {
                USUAL_PORTS.into_iter().filter_map(at).collect()
            }
        }
    }

    /// Does the errand at one device service. The outer error: nothing there speaks ONVIF.
    async fn at(&mut self, url: &Url, errand: Errand) -> Result<Result<Outcome, Trouble>, Elsewhere> {
        let target = match Target::resolve(url).await {
            Ok(target) => target,
            Err(trouble) => return Ok(Err(trouble)),
        };
        if self.tls.is_none() && (target.tls || errand == Errand::Snapshot) {
            self.tls = Tls::new();
        }
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
        let tls = self.tls.as_ref().filter(|_| target.tls);
        let mut device = Device::new(&target, url, self.login.as_ref(), tls, &mut self.random, now_s);
        let opened = match device.open().await {
            Ok((_, services)) => match device.profiles(&services).await {
                Ok(profiles) => Ok((services, profiles)),
                Err(trouble) => Err(trouble),
            },
            Err(trouble) => Err(trouble),
        };
        let (services, profiles) = match opened {
            Ok(opened) => opened,
            Err(
                trouble @ (Trouble::WrongPassword
                | Trouble::PasswordNeeded
                | Trouble::Locked { .. }
                | Trouble::NotActivated),
            ) => return Ok(Err(trouble)),
            Err(trouble) => return Err(Elsewhere(trouble)),
        };
        let done = Visit { source: self.source, device: &mut device, services, tls: self.tls.as_ref() };
        Ok(done.run(errand, profiles).await)
    }

    /// Whether something at the camera's RTSP port says that it is RTSP. No login is shown.
    async fn speaks_rtsp(&self) -> bool {
        let url = match &self.source.address {
            Address::Rtsp(url) => Some(url.clone()),
            address => address.host().and_then(|host| Url::parse(&format!("rtsp://{host}/")).ok()),
        };
        let Some(url) = url else { return false };
        let knock = async {
            let target = Target::resolve(&url).await.ok()?;
            if target.tls {
                return Some(Tls::new()?.connect(&target).await.is_ok());
            }
            let mut stream = target.connect().await.ok()?;
            let request = "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: streambox\r\n\r\n";
            stream.write_all(request.as_bytes()).await.ok()?;
            let mut start = [0; 8];
            stream.read_exact(&mut start).await.ok()?;
            Some(&start == b"RTSP/1.0")
        };
        timeout(KNOCK, knock).await.ok().flatten().unwrap_or(false)
    }
}

/// What stood in the way where nothing spoke ONVIF.
struct Elsewhere(Trouble);

/// An errand at a device that answers.
struct Visit<'a, 'd> {
    source: &'a Source,
    device: &'a mut Device<'d>,
    services: Services,
    tls: Option<&'a Tls>,
}

impl Visit<'_, '_> {
    async fn run(mut self, errand: Errand, profiles: Vec<Profile>) -> Result<Outcome, Trouble> {
        if errand == Errand::Channels {
            let channels = choice::channels(&profiles).into_iter();
            let channels =
                channels.map(|channel| Channel { token: channel.token, name: channel.name }).collect();
            return Ok(Outcome::Channels { channels });
        }
        let profiles = choice::of_channel(profiles, self.source.channel.as_deref())?;
        let streamed = self.streamed(&profiles).await?;
        if errand == Errand::Snapshot {
            let url = self.device.snapshot(&self.services, &streamed).await?.ok_or(Trouble::NoSnapshot)?;
            let jpeg = self.device.picture(&url, self.tls).await?;
            return Ok(Outcome::Snapshot { jpeg });
        }
        // The owner wants the large picture to play: the small one that stands in for it stays as it is.
        let explicit =
            self.source.stream == StreamChoice::Sub || matches!(self.source.address, Address::Rtsp(_));
        let main = if explicit { Some(&streamed) } else { choice::main(&profiles) };
        let subject = main.ok_or(Trouble::NoVideo)?.clone();
        let is_streamed = subject.token == streamed.token;
        let options = self.device.options(&self.services, &subject).await?;
        let before = self.device.encoder(&self.services, &subject).await?;
        let told = |now: &encoder::Encoder| told(&subject, is_streamed, now, &options);
        if errand == Errand::Inspect {
            return Ok(Outcome::Encoder(told(&before)));
        }
        let Some(new) = before.improved(&options) else {
            let other =
                profiles.iter().find(|other| other.token != subject.token && is_h264(&other.encoding));
            return Err(Trouble::NoH264 { other: other.map(|other| other.name.clone()) });
        };
        if new == before {
            return Ok(Outcome::Improved { before: told(&before), after: told(&before) });
        }
        match self.device.set_encoder(&self.services, subject.media2, &new).await {
            // Some offer Media 2 to look at only.
            Err(Trouble::Refused { .. }) if subject.media2 && is_h264(&before.encoding) => {
                self.device.set_encoder(&self.services, false, &new).await?;
            }
            result => result?,
        }
        let (times, pause) = SETTLES;
        let mut after = self.device.encoder(&self.services, &subject).await?;
        for _ in 1..times {
            if after != before {
                break;
            }
            sleep(pause).await;
            after = self.device.encoder(&self.services, &subject).await?;
        }
        if after == before || !is_h264(&after.encoding) {
            return Err(Trouble::Refused { detail: "it said yes and kept the old ones".into() });
        }
        Ok(Outcome::Improved { before: told(&before), after: told(&after) })
    }

    /// The profile that is streamed: for an RTSP address the one whose address it is, else the chosen one.
    async fn streamed(&mut self, profiles: &[Profile]) -> Result<Profile, Trouble> {
        if let Address::Rtsp(url) = &self.source.address {
            let same = |other: &Url| other.path() == url.path() && other.query() == url.query();
            for profile in profiles.iter().take(16) {
                if self.device.stream(&self.services, profile).await.is_ok_and(|other| same(&other)) {
                    return Ok(profile.clone());
                }
            }
        }
        choose(profiles, self.source.stream).map(|chosen| chosen.profile.clone()).ok_or(Trouble::NoVideo)
    }
}

/// An encoder in the words of the page.
fn told(profile: &Profile, streamed: bool, now: &encoder::Encoder, options: &encoder::Options) -> Encoder {
    Encoder {
        profile: profile.name.clone(),
        streamed,
        encoding: now.encoding.clone(),
        width: now.size.0,
        height: now.size.1,
        fps: now.fps,
        gop: now.gop,
        bit_rate_kbps: now.kbps,
        improvable: now.improved(options).is_some_and(|new| new != *now),
    }
}

fn to_base64<S: Serializer>(bytes: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(bytes))
}

fn from_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    let text = String::deserialize(deserializer)?;
    let bytes = STANDARD.decode(text).map_err(|_| serde::de::Error::custom("not base64"))?;
    if bytes.len() > onvif::PICTURE_BYTES {
        return Err(serde::de::Error::custom("too large a picture"));
    }
    Ok(bytes.into())
}
