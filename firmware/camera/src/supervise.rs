//! Keeps one camera's stream alive: finds it, plays it, tells what stands in the way, tries again.
//!
//! Invariant: at most one session is open, and between two tries there is a delay of [`crate::backoff`]; the one
//! exception is a session that lost its place, which is opened anew at once: once, or a few times before a first picture.

#![allow(clippy::disallowed_methods, reason = "the camera's own clock")]

use core::convert::Infallible;
use core::time::Duration;
use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use model::{CameraState, Trouble};
use tokio::time::{Instant, sleep};
use url::Url;

use crate::backoff::{HEALTHY_MS, refused_delay_ms, retry_delay_ms};
use crate::event::{self, Event, Output};
use crate::onvif;
use crate::random::Random;
use crate::session::limits;
use crate::session::probe::{Login, probe};
use crate::session::stream::{Ended, Item, Request, Stream};
use crate::session::target::Target;
use crate::session::tls::Tls;
use crate::source::{Address, Source};
use crate::vendor;

/// Joining a stream in the middle of a picture makes retina lose its place: tried again at once so often until a
/// first picture came.
const STUMBLES: u32 = 8;
/// After so many failed tries a camera is asked anew where its stream is.
const FAILURES_BEFORE_ANEW: u32 = 40;

/// Runs one camera for ever. `seed` spreads the delays of many cameras and makes nonces; it should be random.
///
/// # Errors
/// The first error of `output`; there is no other way out.
pub async fn run(source: Source, output: &mut impl Output, seed: u64) -> io::Result<Infallible> {
    Supervisor::new(source, seed).run(output).await
}

/// A stream that was found, kept until it no longer plays.
#[derive(Clone)]
struct Found {
    url: Url,
    notes: Vec<String>,
}

/// How one try ended.
struct Tried {
    ended: Ended,
    streamed: Duration,
}

struct Supervisor {
    source: Source,
    login: Option<Login>,
    /// Whether the device accepted the login since it last refused it.
    accepted: bool,
    tls: Option<Tls>,
    random: Random,
    found: Option<Found>,
    /// The device spoke RTSP before: what answers otherwise now is it, restarting.
    spoke_rtsp: bool,
    maker_and_model: String,
    /// Whether the connection of the probe stays open until the session stands.
    hold: bool,
    /// Tries that failed since the last session.
    failures: u32,
    /// Which of the vendor paths comes next.
    candidate: usize,
}

impl Supervisor {
    fn new(source: Source, seed: u64) -> Self {
        let login = source
            .user
            .clone()
            .map(|user| Login { user, password: source.password.clone().unwrap_or_default() });
        Self {
            login,
            source,
            accepted: false,
            tls: None,
            random: Random::new(seed),
            found: None,
            spoke_rtsp: false,
            maker_and_model: String::new(),
            hold: true,
            failures: 0,
            candidate: 0,
        }
    }

    async fn run(mut self, output: &mut impl Output) -> io::Result<Infallible> {
        let mut attempt = 0_u32;
        let mut outage_began = Instant::now();
        let mut may_stumble = true;
        let mut stumbles = 0;
        loop {
            output.send(Event::State(CameraState::Connecting)).await?;
            let Tried { ended, streamed } = self.once(output).await?;
            if streamed > Duration::ZERO {
                outage_began = Instant::now();
                attempt = 0;
                stumbles = 0;
            }
            if streamed >= Duration::from_millis(HEALTHY_MS) {
                may_stumble = true;
            }
            if ended.stumbled && streamed > Duration::ZERO && may_stumble {
                may_stumble = false;
                continue;
            }
            if ended.stumbled && streamed.is_zero() && stumbles < STUMBLES {
                stumbles += 1;
                continue;
            }
            let outage_ms = millis(outage_began.elapsed());
            let (state, delay_ms) = match ended.trouble {
                trouble @ (Trouble::WrongPassword | Trouble::PasswordNeeded | Trouble::Locked { .. }) => {
                    // Without a password nothing can be locked; it is still only the owner who can help.
                    let wait = refused_delay_ms(core::mem::take(&mut self.accepted));
                    let wait = match &trouble {
                        Trouble::Locked { seconds } => wait.max(u64::from(*seconds) * 1_000),
                        _ => wait,
                    };
                    (CameraState::Stopped { trouble }, wait + self.random.draw() % 1_000)
                }
                trouble => {
                    let delay = retry_delay_ms(&trouble, attempt, outage_ms, self.random.draw());
                    (CameraState::Waiting { trouble, retry_in_ms: delay }, delay)
                }
            };
            attempt = attempt.saturating_add(1);
            output.send(Event::State(state)).await?;
            sleep(Duration::from_millis(delay_ms)).await;
        }
    }

    /// Finds the stream and plays it until it ends.
    async fn once(&mut self, output: &mut impl Output) -> io::Result<Tried> {
        let failed = |ended: Ended| Tried { ended, streamed: Duration::ZERO };
        let login = self.login.is_some();
        if login {
            output.may_log_in().await?;
        }
        let (found, facts) = match self.find().await {
            Ok(found) => found,
            Err(trouble) => {
                if login {
                    output.logged_in(event::Login::after(&trouble)).await?;
                }
                return Ok(failed(self.known(trouble).into()));
            }
        };
        if login && facts.is_some() {
            // What ONVIF accepted, RTSP will: nobody has to wait for that.
            output.logged_in(event::Login::Accepted).await?;
        }
        if let Some(facts) = facts {
            output.send(Event::Facts(facts)).await?;
        }
        let target = match Target::resolve_or(&found.url, self.source.pinned).await {
            Ok(target) => target,
            Err(trouble) => {
                if login {
                    output.logged_in(event::Login::Unknown).await?;
                }
                return Ok(failed(trouble.into()));
            }
        };
        let opened = self.open(&target, &found).await;
        if login {
            let outcome = match &opened {
                Ok(_) => event::Login::Accepted,
                Err(ended) => event::Login::after(&ended.trouble),
            };
            self.accepted |= opened.is_ok();
            output.logged_in(outcome).await?;
        }
        let mut stream = match opened {
            Ok(stream) => stream,
            Err(ended) => {
                self.forget(&ended.trouble);
                return Ok(failed(Ended { trouble: self.known(ended.trouble), ..ended }));
            }
        };
        self.found = Some(found);
        self.failures = 0;
        let mut began = None;
        let ended = loop {
            match stream.next(&target).await {
                Ok(Item::Format(format, facts)) => {
                    began.get_or_insert_with(Instant::now);
                    output.send(Event::Format(format)).await?;
                    output.send(Event::State(CameraState::Streaming(facts))).await?;
                    output.may_wait(stream.may_wait());
                }
                Ok(Item::Unit(unit)) => output.send(Event::Unit(unit)).await?,
                Err(ended) => break ended,
            }
        };
        output.may_wait(false);
        let streamed = began.map_or(Duration::ZERO, |began| began.elapsed());
        stream.close().await;
        if began.is_some() {
            output.send(Event::Interrupted).await?;
        }
        Ok(Tried { ended, streamed })
    }

    /// Asks for the description, then opens the session.
    async fn open(&mut self, target: &Target, found: &Found) -> Result<Stream, Ended> {
        if target.tls && self.tls.is_none() {
            self.tls = Tls::new();
        }
        let tls = if target.tls {
            let missing = || Trouble::Protocol { detail: "TLS is not available".into() };
            Some(self.tls.as_ref().ok_or_else(missing)?)
        } else {
            None
        };
        let login = self.login.as_ref();
        let (offer, held) = probe(target, &found.url, login, tls).await?;
        self.spoke_rtsp = true;
        let held = self.hold.then_some(held);
        let opened = Stream::open(Request {
            target,
            url: &found.url,
            shown: Address::Rtsp(found.url.clone()).to_string(),
            login,
            tls,
            transport: self.source.transport,
            offer: &offer,
            notes: found.notes.clone(),
        })
        .await;
        drop(held);
        // A camera that has room for one connection only is met halfway the next time.
        self.hold ^= opened.is_err();
        opened
    }

    /// The stream's address, and what was learned of the device on the way.
    async fn find(&mut self) -> Result<(Found, Option<crate::DeviceFacts>), Trouble> {
        if let Some(found) = &self.found {
            return Ok((found.clone(), None));
        }
        match self.source.address.clone() {
            Address::Rtsp(url) => Ok((Found { url, notes: Vec::new() }, None)),
            Address::Onvif(url) => self.ask(&url).await,
            Address::Host { host, port } => {
                // Ports of ONVIF by vendor (CAMERAS.md): 80, Reolink 8000, TP-Link 2020, others 8080 and 8899.
                let usual = [80, 8000, 2020, 8080, 8899];
                let ports = port.as_ref().map_or(&usual[..], core::slice::from_ref);
                for port in ports {
                    let Ok(url) = Url::parse(&format!("http://{host}:{port}{}", onvif::DEVICE_PATH)) else {
                        continue;
                    };
                    let began = Instant::now();
                    match self.ask(&url).await {
                        Ok(found) => return Ok(found),
                        Err(
                            trouble @ (Trouble::WrongPassword
                            | Trouble::Locked { .. }
                            | Trouble::NotActivated
                            | Trouble::PasswordNeeded
                            | Trouble::UnknownHost { .. }),
                        ) => {
                            return Err(trouble);
                        }
                        // A host that does not even refuse is not worth a deadline for each port.
                        Err(_) if began.elapsed() >= limits::CONNECT => break,
                        Err(_) => {}
                    }
                }
                // Without ONVIF, what RTSP says is what counts.
                self.guess(&host)
            }
        }
    }

    /// Asks an ONVIF device for its streams.
    async fn ask(&mut self, url: &Url) -> Result<(Found, Option<crate::DeviceFacts>), Trouble> {
        let target = Target::resolve(url).await?;
        if target.tls && self.tls.is_none() {
            self.tls = Tls::new();
        }
        let login = self.login.as_ref();
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
        let tls = self.tls.as_ref().filter(|_| target.tls);
        let mut device = onvif::Device::new(&target, url, login, tls, &mut self.random, now_s);
        let answer = device.ask(self.source.stream, self.source.channel.as_deref()).await?;
        self.maker_and_model = format!(
            "{} {}",
            answer.facts.maker.as_deref().unwrap_or_default(),
            answer.facts.model.as_deref().unwrap_or_default()
        );
        let notes = answer.note.into_iter().collect();
        Ok((Found { url: answer.stream, notes }, Some(answer.facts)))
    }

    /// The next path that cameras of this maker use: one per try.
    fn guess(&mut self, host: &url::Host) -> Result<(Found, Option<crate::DeviceFacts>), Trouble> {
        let paths = vendor::candidates(&self.maker_and_model, self.source.stream);
        let path = paths.get(self.candidate % paths.len().max(1)).copied().unwrap_or("/");
        let url = Url::parse(&format!("rtsp://{host}{path}")).map_err(|_| Trouble::NoSuchStream)?;
        Ok((Found { url, notes: Vec::new() }, None))
    }

    /// Drops what was found when it is no longer there, so that the next try looks anew. A camera that restarts is
    /// asked for the same stream as soon as it answers: its ONVIF service may come up later.
    fn forget(&mut self, trouble: &Trouble) {
        self.failures = self.failures.saturating_add(1);
        let gone =
            matches!(trouble, Trouble::NoSuchStream | Trouble::NoVideo | Trouble::UnsupportedCodec { .. });
        if gone || self.failures >= FAILURES_BEFORE_ANEW {
            self.found = None;
        }
        if matches!(trouble, Trouble::NoSuchStream) {
            self.candidate = self.candidate.wrapping_add(1);
        }
    }

    /// A device that spoke RTSP before and now answers with nothing is one that restarts.
    fn known(&self, trouble: Trouble) -> Trouble {
        match trouble {
            Trouble::NotRtsp { .. } if self.spoke_rtsp => Trouble::Closed,
            trouble => trouble,
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
