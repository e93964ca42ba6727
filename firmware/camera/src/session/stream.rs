//! A playing session: retina's frames as access units.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the camera's own sockets and deadlines"
)]

use core::future::poll_fn;
use core::num::NonZeroU32;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures::StreamExt as _;
use media::{AccessUnit, AudioFormat, Format, Track, VideoFormat};
use model::{CodecKind, StreamFacts, Trouble};
use retina::client::{
    Credentials, Demuxed, InitialTimestampPolicy, PlayOptions, Session, SessionGroup, SessionIdPolicy,
    SessionOptions, SetupOptions, TcpTransportOptions, TeardownPolicy, Tool, UdpTransportOptions,
};
use retina::codec::{CodecItem, FrameFormat, ParametersRef, VideoParametersCodec};
use tokio::time::{Instant, Sleep, sleep, timeout};
use url::Url;

use super::clean::clean;
use super::failure::{beyond_use, classify, within};
use super::limits;
use super::message::USER_AGENT;
use super::pipe::{self, Carrier};
use super::probe::Login;
use super::sdp::{Offer, codec_name, is_playable};
use super::sprop::parameter_sets;
use super::target::Target;
use super::tls::Tls;
use crate::source::Transport;

/// What retina hands over.
type Received = Result<CodecItem, retina::Error>;

/// A session that plays.
pub struct Stream {
    frames: Demuxed,
    carrier: Option<Carrier>,
    transport: Transport,
    group: Arc<SessionGroup>,
    video: usize,
    codec: CodecKind,
    audio: Option<AudioFormat>,
    format: Option<Format>,
    /// The parameter sets of the description, for the time until some come in band.
    offered: Option<VideoFormat>,
    waiting: Option<AccessUnit>,
    facts: StreamFacts,
    last_picture: Instant,
    /// Looks whether pictures still come, at the latest moment that matters: armed once in [`limits::PICTURE`], not
    /// for each frame.
    watchdog: Pin<Box<Sleep>>,
}

/// What a session gives.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// What the following units are made of. Comes first, and again when it changes.
    Format(Format, StreamFacts),
    /// An access unit.
    Unit(AccessUnit),
}

/// How a session ended, beside its trouble.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    /// What happened.
    pub trouble: Trouble,
    /// The camera lost its place in its own stream: connecting again at once mends it.
    pub stumbled: bool,
    /// SETUP was refused for its transport (461).
    pub transport: bool,
}

impl From<Trouble> for Ended {
    fn from(trouble: Trouble) -> Self {
        Self { trouble, stumbled: false, transport: false }
    }
}

/// What a session needs.
pub struct Request<'a> {
    /// Where.
    pub target: &'a Target,
    /// The stream's URL.
    pub url: &'a Url,
    /// URL to tell the owner.
    pub shown: String,
    /// User name and password.
    pub login: Option<&'a Login>,
    /// TLS, for `rtsps`.
    pub tls: Option<&'a Tls>,
    /// First choice of transport; the other one is taken when the camera answers 461. Over TLS it is always TCP.
    pub transport: Transport,
    /// What the probe found.
    pub offer: &'a Offer,
    /// Notes for the owner that were made while choosing the stream.
    pub notes: Vec<String>,
}

impl Stream {
    /// Opens a session and starts it.
    ///
    /// # Errors
    /// What stands in the way.
    pub async fn open(request: Request<'_>) -> Result<Self, Ended> {
        let over_tls = request.tls.is_some();
        let mut transport = if over_tls { Transport::Tcp } else { request.transport };
        let mut note = (over_tls && request.transport == Transport::Udp)
            .then_some("The camera is asked over TLS; its pictures come with its answers, because UDP would show them to others.");
        let (mut piped, mut tried_both) = (over_tls, over_tls);
        // At most three times: with the other transport, and through a pipe that a description made necessary.
        loop {
            piped |= transport == Transport::Udp;
            match Self::attempt(&request, transport, piped).await {
                Ok(Some(mut stream)) => {
                    stream.facts.notes.extend(note.map(str::to_owned));
                    return Ok(stream);
                }
                Ok(None) => piped = true,
                Err(ended) if ended.transport && !tried_both => {
                    tried_both = true;
                    (transport, note) = match transport {
                        Transport::Tcp => (
                            Transport::Udp,
                            Some("The camera refuses TCP; its pictures come over UDP, which can lose some."),
                        ),
                        Transport::Udp => {
                            (Transport::Tcp, Some("The camera refuses UDP; its pictures come over TCP."))
                        }
                    };
                }
                Err(ended) => return Err(ended),
            }
        }
    }

    /// One session on one connection. `None`: not without a pipe.
    async fn attempt(
        request: &Request<'_>,
        transport: Transport,
        piped: bool,
    ) -> Result<Option<Self>, Ended> {
        let ip = request.target.address.ip();
        let (via, mut carrier) = match request.tls {
            Some(tls) => {
                let camera = tls.connect(request.target).await?;
                let (at, carry) = pipe::open(camera, ip, Ipv4Addr::LOCALHOST.into()).await?;
                (Some(at), Some(carry))
            }
            None if piped => {
                let camera = request.target.connect().await?;
                let local = camera.local_addr().map_err(|_| Trouble::Closed)?;
                let (at, carry) = pipe::open(camera, ip, local.ip()).await?;
                (Some(at), Some(carry))
            }
            None => (None, None),
        };
        let open = Self::start(request, transport, via);
        let stream = match carrier.as_mut() {
            None => open.await?,
            Some(carry) => {
                tokio::pin!(open);
                tokio::select! {
                    biased;
                    result = &mut open => result?,
                    carried = carry => {
                        carried?;
                        carrier = None;
                        // The pipe has closed; what retina makes of it is the answer.
                        open.await?
                    }
                }
            }
        };
        Ok(stream.map(|stream| Self { carrier, ..stream }))
    }

    async fn start(
        request: &Request<'_>,
        transport: Transport,
        via: Option<SocketAddr>,
    ) -> Result<Option<Self>, Ended> {
        let &Request { target, url, login, offer, .. } = request;
        let mut notes = request.notes.clone();
        let group = Arc::new(SessionGroup::default());
        let options = SessionOptions::default()
            .creds(login.map(|login| Credentials {
                username: login.user.clone(),
                password: login.password.expose().clone(),
            }))
            .user_agent(USER_AGENT.to_owned())
            .session_group(Arc::clone(&group))
            .session_id(SessionIdPolicy::UseFirst)
            .teardown(TeardownPolicy::Auto);
        let request_url = target.request_url(url, via).ok_or(Trouble::NoSuchStream)?;
        let mut session =
            within(limits::CONNECT + limits::DESCRIBE, target, Session::describe(request_url, options))
                .await?;
        // For these servers retina sends TEARDOWN over new connections, too, to whatever host the description names.
        if via.is_none() && session.tool().is_some_and(Tool::has_live555_tcp_bug) {
            return Ok(None);
        }

        let (video, codec) = session
            .streams()
            .iter()
            .enumerate()
            .filter(|(_, stream)| stream.media() == "video" && is_playable(stream.encoding_name()))
            .map(|(index, stream)| {
                (index, if stream.encoding_name() == "h264" { CodecKind::H264 } else { CodecKind::H265 })
            })
            .min_by_key(|(_, codec)| *codec != CodecKind::H264)
            .ok_or(Trouble::NoVideo)?;
        let encoding = if codec == CodecKind::H264 { "h264" } else { "h265" };
        let offered = offer
            .media
            .iter()
            .find(|medium| medium.kind == "video" && medium.encoding == encoding)
            .and_then(|medium| parameter_sets(encoding, &medium.parameters));
        let audio =
            session.streams().iter().enumerate().find_map(|(index, stream)| match stream.parameters() {
                Some(ParametersRef::Audio(parameters)) if stream.encoding_name() == "mpeg4-generic" => {
                    let sample_rate = NonZeroU32::new(parameters.clock_rate())?;
                    let config = Bytes::copy_from_slice(parameters.extra_data());
                    Some((
                        index,
                        AudioFormat::Aac { config, sample_rate, channels: parameters.channels().get() },
                    ))
                }
                _ => None,
            });
        if audio.is_none()
            && let Some(silent) =
                offer.media.iter().find(|medium| medium.kind == "audio" && !medium.back_channel)
        {
            notes.push(format!(
                    "The camera's sound ({}) is left out, because browsers cannot play it in HLS; set it to AAC in the camera's own menu.",
                    codec_name(&silent.encoding)
                ));
        }

        setup(&mut session, target, video, transport).await?;
        let audio = match audio {
            // Sound that cannot be set up is no reason to go without pictures.
            Some((index, format)) => {
                setup(&mut session, target, index, transport).await.ok().map(|()| format)
            }
            None => None,
        };
        let play = PlayOptions::default().initial_timestamp(InitialTimestampPolicy::Permissive);
        let frames = within(limits::PLAY, target, session.play(play)).await?;
        let frames = frames.demuxed().map_err(|error| classify(&error, target))?;
        let facts = StreamFacts {
            url: request.shown.clone(),
            video: codec,
            size: (0, 0),
            audio: audio.is_some().then_some(CodecKind::Aac),
            notes,
        };
        Ok(Some(Self {
            frames,
            carrier: None,
            transport,
            group,
            video,
            codec,
            audio,
            format: None,
            offered,
            waiting: None,
            facts,
            last_picture: Instant::now(),
            watchdog: Box::pin(sleep(limits::PICTURE)),
        }))
    }

    /// The next item.
    ///
    /// # Errors
    /// How the session ended; [`Trouble::Stalled`] after [`limits::PICTURE`] without a picture.
    pub async fn next(&mut self, target: &Target) -> Result<Item, Ended> {
        if let Some(unit) = self.waiting.take() {
            return Ok(Item::Unit(unit));
        }
        loop {
            let frame = poll_fn(|cx| self.poll_frame(cx)).await;
            let frame = match frame {
                Err(stalled) => return Err(stalled.into()),
                Ok(None) => return Err(Trouble::Closed.into()),
                Ok(Some(Err(error))) => return Err(classify(&error, target)),
                Ok(Some(Ok(frame))) => frame,
            };
            match frame {
                CodecItem::VideoFrame(frame) if frame.stream_id() == self.video => {
                    self.last_picture = Instant::now();
                    let (changed, loss) = (frame.has_new_parameters(), frame.loss() > 0);
                    let (stamp, received) = (frame.timestamp(), frame.end_ctx().received_wall());
                    let mut data = frame.into_data();
                    if data.len() > limits::UNIT_BYTES {
                        return Err(Trouble::TooLarge { what: "one picture".into() }.into());
                    }
                    let cleaned = clean(self.codec, &mut data);
                    if !cleaned.picture {
                        continue;
                    }
                    let unit = AccessUnit {
                        track: Track::Video,
                        stamp: stamp.elapsed(),
                        clock_rate: stamp.clock_rate(),
                        arrival_us: micros(received.into()),
                        random_access: cleaned.random_access,
                        loss,
                        data: exact(data),
                    };
                    if (changed || self.format.is_none())
                        && let Some(format) = self.new_format()?
                    {
                        self.waiting = Some(unit);
                        return Ok(Item::Format(format, self.facts.clone()));
                    }
                    // Without parameter sets nothing can be shown: they come with a later key frame.
                    if self.format.is_some() {
                        return Ok(Item::Unit(unit));
                    }
                }
                CodecItem::AudioFrame(frame)
                    if self.format.is_some() && frame.data().len() <= limits::UNIT_BYTES =>
                {
                    let stamp = frame.timestamp();
                    return Ok(Item::Unit(AccessUnit {
                        track: Track::Audio,
                        stamp: stamp.elapsed(),
                        clock_rate: stamp.clock_rate(),
                        arrival_us: micros(frame.ctx().received_wall().into()),
                        random_access: true,
                        loss: frame.loss() > 0,
                        data: Bytes::copy_from_slice(frame.data()),
                    }));
                }
                _ => {}
            }
        }
    }

    /// Whether what the camera sends is kept while nobody reads: in one TCP socket, with nothing in between that needs to run.
    pub fn may_wait(&self) -> bool {
        self.transport == Transport::Tcp && self.carrier.is_none()
    }

    /// Retina's next item, `None` at the end of the session or of its pipe.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Received>, Trouble>> {
        if let Poll::Ready(frame) = self.frames.poll_next_unpin(cx) {
            return Poll::Ready(Ok(frame));
        }
        if let Some(carry) = self.carrier.as_mut()
            && let Poll::Ready(carried) = carry.as_mut().poll(cx)
        {
            self.carrier = None;
            return Poll::Ready(carried.map(|()| None));
        }
        while self.watchdog.as_mut().poll(cx).is_ready() {
            let due = self.last_picture + limits::PICTURE;
            if due <= Instant::now() {
                return Poll::Ready(Err(Trouble::Stalled { seconds: limits::PICTURE.as_secs() as u32 }));
            }
            self.watchdog.as_mut().reset(due);
        }
        Poll::Pending
    }

    /// The format as of the frame just received, if it is another one than the last told.
    ///
    /// # Errors
    /// [`Trouble::UnsupportedCodec`] when nothing here could show its pictures.
    fn new_format(&mut self) -> Result<Option<Format>, Trouble> {
        let Some(told) = self.frames.streams().get(self.video) else { return Ok(None) };
        let video = if let Some(ParametersRef::Video(parameters)) = told.parameters() {
            match parameters.codec_params() {
                VideoParametersCodec::H264 { sps, pps } => VideoFormat::H264 { sps: own(sps), pps: own(pps) },
                VideoParametersCodec::H265 { vps, sps, pps } => {
                    VideoFormat::H265 { vps: own(vps), sps: own(sps), pps: own(pps) }
                }
                _ => return Ok(None),
            }
        } else {
            let Some(offered) = self.offered.clone().filter(|offered| offered.facts().is_ok()) else {
                return Ok(None);
            };
            offered
        };
        let facts = video.facts().map_err(|_| beyond_use(self.codec))?;
        let format = Format { video, audio: self.audio.clone() };
        if self.format.as_ref() == Some(&format) {
            return Ok(None);
        }
        self.facts.size = (facts.width, facts.height);
        self.format = Some(format.clone());
        Ok(Some(format))
    }

    /// Ends the session and waits a short time for the camera to know.
    pub async fn close(self) {
        let Self { frames, carrier, group, .. } = self;
        drop(frames);
        let end = async {
            let _ = group.await_teardown().await; // the camera forgets a session by itself, too
        };
        let both = async {
            match carrier {
                None => end.await,
                Some(carry) => tokio::select! { () = end => {}, _ = carry => {} },
            }
        };
        let _ = timeout(limits::TEARDOWN, both).await;
    }
}

async fn setup(
    session: &mut Session<retina::client::Described>,
    target: &Target,
    index: usize,
    transport: Transport,
) -> Result<(), Ended> {
    let options = SetupOptions::default().frame_format(FrameFormat::MP4).transport(match transport {
        Transport::Tcp => retina::client::Transport::Tcp(TcpTransportOptions::default()),
        Transport::Udp => retina::client::Transport::Udp(UdpTransportOptions::default()),
    });
    within(limits::SETUP, target, session.setup(index, options)).await
}

/// One allocation of the exact size: no copy when nothing was removed.
fn exact(data: Vec<u8>) -> Bytes {
    Bytes::from(data.into_boxed_slice())
}

/// A copy that does not keep the buffer it was cut from.
fn own(set: &Bytes) -> Bytes {
    Bytes::copy_from_slice(set)
}

fn micros(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_micros()).ok())
        .unwrap_or_default()
}
