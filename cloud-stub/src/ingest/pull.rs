//! Keeps one camera read: finds out which address may be contacted, has a puller read it, and begins anew whenever that ends.
//!
//! ```text
//! resolve, judge ──▶ read by a puller ──▶ its events fill the feed
//!    ▲    │ forbidden, unknown: wait      │ process died: wait, then alone
//!    └────┴───────────────────────────────┤ name means another address now: at once
//!                                         └ login refused: nothing more, or half an hour if it had worked
//! ```

use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use camera::{Address, Event, Login as Shown, Source, wire};
use feed::{Feed, Link, LinkError};
use model::{CameraState, Trouble};
use tokio::sync::OwnedMutexGuard;

use super::logins::{Known, Login, Logins, turn};
use super::ping::{Asked, Pings, Way};
use super::puller::{Pool, Seat};
use super::target::Rule;

/// Pause before a camera whose process died is read again, the first time and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));
/// A process that read this camera for so long did its work: its death is not held against the next one.
const GROWN_UP: Duration = Duration::from_secs(20);
/// Between two tries to find an address that may be contacted, and how often that of a camera in trouble is looked up anew.
const LOOK: Duration = Duration::from_secs(30);
/// Longest wait for a name's addresses.
const RESOLVE: Duration = Duration::from_secs(5);
/// Before a login is shown again that had worked.
const REFUSED: Duration = Duration::from_secs(1800);

/// What all pulled cameras share.
pub(super) struct Pulling {
    /// Who reads.
    pub(super) pool: Pool,
    /// What may be contacted.
    pub(super) rule: Rule,
    /// What was refused.
    pub(super) logins: Logins,
    /// Whose ports are asked.
    pub(super) pings: Pings,
}

/// Why a camera is not read any more.
enum Over {
    Died(String),
    Moved,
    Refused { locked_s: u32 },
}

/// Keeps it read for ever, and its port asked by this way; `None`: nobody would see the figures.
pub(super) async fn keep(pulling: Arc<Pulling>, source: Source, feed: Feed, way: Option<Way>) {
    let draw = RandomState::new().hash_one(&source.id);
    let asked = way.map(|way| pulling.pings.ask(feed.clone(), way, draw));
    let judged = |at| asked.iter().for_each(|asked| asked.judged(at));
    let mut pause = PAUSE.0;
    let mut alone = false;
    // Kept over tries: the camera remembers with it what was refused.
    let mut login: Option<(SocketAddr, Login)> = None;
    loop {
        let at = match resolve(&pulling.rule, &source).await {
            Ok(at) => at,
            Err(trouble) => {
                judged(None);
                let retry_in_ms = u64::try_from(LOOK.as_millis()).unwrap_or(u64::MAX);
                note(&source, &feed, CameraState::Waiting { trouble, retry_in_ms });
                tokio::time::sleep(LOOK).await;
                continue;
            }
        };
        judged(Some(at));
        let known = match &login {
            Some((known_at, login)) if *known_at == at => login.clone(),
            _ => pulling.logins.of(&source, at),
        };
        login = Some((at, known.clone()));
        let born = Instant::now();
        match pulling.read(&source, at, &feed, &known, alone).await {
            Over::Moved => {
                feed.interrupt();
                feed.begin_anew();
            }
            Over::Refused { locked_s } => {
                feed.interrupt();
                let worked = *known.lock().await == Known::Works;
                let trouble = match locked_s {
                    0 if worked => Trouble::Locked { seconds: REFUSED.as_secs() as u32 },
                    0 => Trouble::WrongPassword,
                    seconds => Trouble::Locked { seconds },
                };
                note(&source, &feed, CameraState::Stopped { trouble });
                if !worked && locked_s == 0 {
                    // Whoever corrects it starts another keeper.
                    return pulling.look_on(&source, asked.as_ref()).await;
                }
                let wait = REFUSED.max(Duration::from_secs(locked_s.into()));
                let _ = tokio::time::timeout(wait, pulling.look_on(&source, asked.as_ref())).await;
                feed.begin_anew();
            }
            Over::Died(reason) => {
                if born.elapsed() >= GROWN_UP {
                    pause = PAUSE.0;
                }
                let wait = jittered(pause);
                pause = (pause * 2).min(PAUSE.1);
                alone = true;
                tracing::warn!(camera = %source.id, reason, "a camera's reader ended");
                feed.worker_died(wait);
                tokio::time::sleep(wait).await;
            }
        }
    }
}

impl Pulling {
    /// Reads a camera until that ends.
    async fn read(&self, source: &Source, at: SocketAddr, feed: &Feed, login: &Login, alone: bool) -> Over {
        let source = Source { pinned: Some(at.ip()), ..source.clone() };
        let read = wire::encode_source(&source)
            .map_err(io::Error::other)
            .and_then(|frame| self.pool.read(&frame, alone));
        let (mut link, seat) = match read {
            Ok(read) => read,
            Err(error) => return Over::Died(error.to_string()),
        };
        tokio::select! {
            over = fill(&source, feed, &mut link, &seat, login) => over,
            () = self.until_moved(&source, at, feed) => Over::Moved,
            () = tell(feed, &seat) => Over::Moved,
        }
    }

    /// Looks where a camera is that nobody reads: its port is asked all the same, and only where that was judged lately. Never
    /// returns.
    async fn look_on(&self, source: &Source, asked: Option<&Asked>) {
        let Some(asked) = asked else { return std::future::pending().await };
        loop {
            tokio::time::sleep(LOOK).await;
            asked.judged(resolve(&self.rule, source).await.ok());
        }
    }

    /// Returns when the address of a camera in trouble is another one now, or may not be contacted any more.
    async fn until_moved(&self, source: &Source, at: SocketAddr, feed: &Feed) {
        loop {
            tokio::time::sleep(LOOK).await;
            if feed.trouble().is_some() && resolve(&self.rule, source).await != Ok(at) {
                return;
            }
        }
    }
}

/// The one address that is contacted for a source: the first of its host's that may be. One that is pinned already is at the
/// near end of a way of ours.
pub(super) async fn resolve(rule: &Rule, source: &Source) -> Result<SocketAddr, Trouble> {
    let (host, port) = host_and_port(source)
        .ok_or_else(|| Trouble::Forbidden { detail: "its address is not rtsp:// or rtsps://".to_owned() })?;
    if let Some(pinned) = source.pinned {
        return Ok(SocketAddr::new(pinned, port));
    }
    let unknown = || Trouble::UnknownHost { host: host.clone() };
    let found: Vec<SocketAddr> = match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(address) => vec![SocketAddr::new(address, port)],
        Err(_) => tokio::time::timeout(RESOLVE, tokio::net::lookup_host((host.as_str(), port)))
            .await
            .map_err(|_| unknown())?
            .map_err(|_| unknown())?
            .collect(),
    };
    let mut why = None;
    for at in found.iter().filter(|at| at.is_ipv4()).chain(found.iter().filter(|at| at.is_ipv6())) {
        match rule.check(*at) {
            Ok(()) => return Ok(*at),
            Err(forbidden) => why = why.or(Some(forbidden)),
        }
    }
    Err(why.map_or_else(unknown, |why| Trouble::Forbidden { detail: why.to_string() }))
}

/// Tells whoever reads a camera that somebody watches, for ever.
async fn tell(feed: &Feed, seat: &Seat) {
    loop {
        feed.watched().await;
        seat.watched();
    }
}

/// Moves what the puller sends into the feed, until the link ends.
async fn fill(source: &Source, feed: &Feed, link: &mut Link, seat: &Seat, login: &Login) -> Over {
    let mut shown: Option<OwnedMutexGuard<Known>> = None;
    loop {
        let event = match link.next().await {
            Ok(event) => event,
            Err(error) => {
                if matches!(error, LinkError::Closed) {
                    seat.close();
                }
                return Over::Died(error.to_string());
            }
        };
        match event {
            Event::Unit(unit) => feed.push(unit),
            Event::Format(format) => {
                if let Err(error) = feed.set_format(format) {
                    return Over::Died(error.to_string());
                }
            }
            Event::State(state) => note(source, feed, state),
            Event::Interrupted => feed.interrupt(),
            Event::Facts(facts) => feed.set_device(facts),
            Event::Login(Shown::Wanted) => {
                shown = turn(login).await;
                if shown.is_none() {
                    return Over::Refused { locked_s: 0 };
                }
                if let Err(error) = link.allow_login().await {
                    return Over::Died(error.to_string());
                }
            }
            Event::Login(outcome) => {
                let mut known = shown.take();
                match outcome {
                    Shown::Accepted => {
                        if let Some(known) = &mut known {
                            **known = Known::Works;
                        }
                    }
                    Shown::Refused { locked_s } => {
                        if let Some(known) = known.as_mut().filter(|known| ***known == Known::Nothing) {
                            **known = Known::Refused;
                        }
                        return Over::Refused { locked_s };
                    }
                    Shown::Wanted | Shown::Unknown => {}
                }
            }
        }
    }
}

/// Notes a camera's state, and logs what an operator would ask about: a picture that came, trouble that is new.
fn note(source: &Source, feed: &Feed, state: CameraState) {
    let before = feed.trouble();
    match &state {
        CameraState::Streaming(facts) => {
            tracing::info!(camera = %source.id, video = ?facts.video, size = ?facts.size, "streaming");
        }
        CameraState::Waiting { trouble, .. } | CameraState::Stopped { trouble } => {
            if before.is_none_or(|(before, _)| before.code() != trouble.code()) {
                tracing::warn!(camera = %source.id, trouble = trouble.code(), "{trouble}");
            }
        }
        CameraState::Connecting => {}
    }
    feed.set_state(state);
}

/// Where an RTSP source is.
fn host_and_port(source: &Source) -> Option<(String, u16)> {
    let Address::Rtsp(url) = &source.address else { return None };
    let port = url.port().unwrap_or(if url.scheme() == "rtsps" { 322 } else { 554 });
    Some((source.address.host()?.to_string(), port))
}

/// Between half of it and all of it: many that wait do not come at once.
pub(super) fn jittered(pause: Duration) -> Duration {
    let draw = RandomState::new().hash_one(pause) % 512;
    pause / 2 + pause / 2 * draw as u32 / 512
}
