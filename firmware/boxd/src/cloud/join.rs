//! The box's side of joining a cloud: asks for a code, waits for a claim, asks the owner, signs.
//!
//! ```text
//! Asking ── hello ──> Code ── claimed ──> Claimed ── yes ──> Joining ── joined ──> Joined
//!   ^                  │ expired            │ no, expired       │ refused
//!   └──────────────────┴────────────────────┴───────────────────┘
//! ```
//!
//! Invariant: the box signs a yes only for the session and the owner that were shown. Whatever fails is tried again
//! with a growing, jittered pause, but for a box that was revoked (410), which stops.

use std::time::{Duration, Instant};

use bytes::Bytes;
use enrol::{Code, Unsigned, check_words, sign_hello, sign_join};
use hyper::Method;
use model::enrol::{Hello, Joined, Progress, Session, Standing};
use serde::Serialize;

use super::client::{Answer, Client, Obstacle};
use super::identity::{Keys, random};
use super::pause::Pause;
use super::view::{Claim, Cloud, OwnersAnswer, Phase};
use crate::whereabouts::Whereabouts;

/// First and longest pause after a failure.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// Between two looks at a session whose code was claimed, and at least between two long polls.
const LOOK: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_millis(500);
/// Longest that a code is shown, whatever the cloud says.
const CODE_LIFE: Duration = Duration::from_secs(3600);
/// Longest name of an owner, characters.
const OWNER: usize = 128;
/// The status of a box that was revoked: gone (RFC 9110, 15.5.11).
pub(crate) const REVOKED: u16 = 410;

/// Who answers the question whether to join.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Consent {
    /// Whoever stands before the box's page.
    #[default]
    Ask,
    /// The box itself says yes to whoever claims its code.
    Yes,
}

/// How joining ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The box belongs to the cloud.
    Joined(Box<Joined>),
    /// The cloud wants nothing to do with this box any more.
    Revoked,
}

/// How one attempt ended.
enum Tried {
    Joined(Box<Joined>),
    /// The session is over: the next one, at once.
    Anew,
}

/// Joins, however long it takes. `announce` hears of the first code, once.
pub(crate) async fn join(
    client: &Client,
    keys: &Keys,
    cloud: &Cloud,
    whereabouts: &Whereabouts,
    consent: Consent,
    announce: impl FnOnce(&str),
) -> Ended {
    let mut pause = Pause::new(PAUSE);
    let mut announce = Some(announce);
    loop {
        let tried = attempt(client, keys, cloud, whereabouts, consent, |code| {
            if let Some(announce) = announce.take() {
                announce(code);
            }
        });
        let wait = match tried.await {
            Ok(Tried::Joined(joined)) => return Ended::Joined(joined),
            Ok(Tried::Anew) => {
                pause.reset();
                pause.first()
            }
            Err(Failed { obstacle: Obstacle::Refused { status: REVOKED, .. }, .. }) => return Ended::Revoked,
            Err(Failed { obstacle, retry_after }) => {
                cloud.update(|status| status.phase = Phase::Asking);
                cloud.set_obstacle(obstacle.to_string());
                pause.next().max(retry_after)
            }
        };
        tokio::time::sleep(wait).await;
    }
}

/// Asks whether the box still belongs to somebody in the cloud.
///
/// # Errors
/// [`Failed`]; with [`REVOKED`] when the cloud wants nothing to do with it any more.
pub(crate) async fn standing(
    client: &Client,
    keys: &Keys,
    whereabouts: &Whereabouts,
) -> Result<Standing, Failed> {
    let hello = signed(client, keys, whereabouts)?;
    ask(client, Method::POST, "/api/v1/enrol/standing", Some(&hello)).await
}

fn signed(client: &Client, keys: &Keys, whereabouts: &Whereabouts) -> Result<Hello, Failed> {
    // Without random bytes no nonce: but then the box would not have its keys either.
    let nonce = random().map_err(|error| Obstacle::Refused { status: 0, reason: error.to_string() })?;
    Ok(sign_hello(
        &keys.identity,
        Unsigned {
            tunnel_key: *keys.tunnel.public().as_bytes(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            cloud: client.address().origin(),
            nonce,
            findable: whereabouts.findable(),
        },
    ))
}

/// Says hello: gives a session, and finds out whether the box was revoked.
async fn hello(client: &Client, keys: &Keys, whereabouts: &Whereabouts) -> Result<Session, Failed> {
    let hello = signed(client, keys, whereabouts)?;
    let session: Session = ask(client, Method::POST, "/api/v1/enrol", Some(&hello)).await?;
    // It becomes part of an address, the code part of a page.
    let named = (1..=64).contains(&session.session.len())
        && session.session.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !named || session.code.parse::<Code>().is_err() {
        return Err(Obstacle::Foreign { address: client.address().authority() }.into());
    }
    Ok(session)
}

/// What failed, and how long the cloud wants to be left alone.
#[derive(Debug)]
pub(crate) struct Failed {
    /// What stands in the way.
    pub(crate) obstacle: Obstacle,
    retry_after: Duration,
}

impl From<Obstacle> for Failed {
    fn from(obstacle: Obstacle) -> Self {
        Self { obstacle, retry_after: Duration::ZERO }
    }
}

/// One session, from hello to its end.
async fn attempt(
    client: &Client,
    keys: &Keys,
    cloud: &Cloud,
    whereabouts: &Whereabouts,
    consent: Consent,
    announce: impl FnOnce(&str),
) -> Result<Tried, Failed> {
    let Session { session, code, expires_in_s } = hello(client, keys, whereabouts).await?;
    let until = Instant::now() + Duration::from_secs(expires_in_s.into()).min(CODE_LIFE);
    announce(&code);
    let shown = || Phase::Code { session: session.clone(), code: code.clone(), until };
    cloud.set_phase(shown());
    // Only answers from now on: an older one was for another question.
    let mut answers = cloud.answers();
    answers.mark_unchanged();
    let mut pause = Pause::new(PAUSE);
    let mut claimed: Option<String> = None;
    loop {
        let path = match &claimed {
            None => format!("/api/v1/enrol/{session}?wait=1"),
            Some(_) => format!("/api/v1/enrol/{session}"),
        };
        let asked = Instant::now();
        match ask::<Progress>(client, Method::GET, &path, None::<&()>).await {
            Ok(progress) => {
                pause.reset();
                cloud.update(|status| status.obstacle = None);
                match progress {
                    Progress::Waiting { .. } => {
                        if claimed.take().is_some() {
                            cloud.set_phase(shown());
                        }
                        tokio::time::sleep(POLL.saturating_sub(asked.elapsed())).await;
                    }
                    Progress::Claimed { owner } => {
                        let owner: String =
                            owner.chars().filter(|letter| !letter.is_control()).take(OWNER).collect();
                        if claimed.as_ref() != Some(&owner) {
                            let words = check_words(keys.identity.box_id(), &session, &owner);
                            tracing::info!(%owner, %words, "the code was claimed");
                            let claim = Claim { session: session.clone(), owner: owner.clone(), words };
                            cloud.set_phase(Phase::Claimed(claim));
                            claimed = Some(owner.clone());
                        }
                        match consent {
                            Consent::Yes => return say_yes(client, keys, cloud, &session, &owner).await,
                            Consent::Ask => match answered(&mut answers, &session).await {
                                Some(true) => return say_yes(client, keys, cloud, &session, &owner).await,
                                Some(false) => {
                                    tracing::info!(%owner, "the owner of the box said no");
                                    cloud.set_phase(Phase::Asking);
                                    return Ok(Tried::Anew);
                                }
                                None => {}
                            },
                        }
                    }
                    // The answer to an earlier yes was lost: say it again, which changes nothing.
                    Progress::Joined => match claimed {
                        Some(owner) => return say_yes(client, keys, cloud, &session, &owner).await,
                        None => return Ok(Tried::Anew),
                    },
                    Progress::Expired => {
                        cloud.set_phase(Phase::Asking);
                        return Ok(Tried::Anew);
                    }
                }
            }
            Err(Failed { obstacle: Obstacle::Refused { status: 404, .. }, .. }) => {
                cloud.set_phase(Phase::Asking);
                return Ok(Tried::Anew);
            }
            Err(failed @ Failed { obstacle: Obstacle::Refused { status: REVOKED, .. }, .. }) => {
                return Err(failed);
            }
            Err(Failed { obstacle, retry_after }) => {
                cloud.set_obstacle(obstacle.to_string());
                tokio::time::sleep(pause.next().max(retry_after)).await;
            }
        }
        if claimed.is_none() && Instant::now() >= until {
            cloud.set_phase(Phase::Asking);
            return Ok(Tried::Anew);
        }
    }
}

/// What the owner answers to this session's question within one look.
async fn answered(
    answers: &mut tokio::sync::watch::Receiver<Option<OwnersAnswer>>,
    session: &str,
) -> Option<bool> {
    let answer = async {
        // An error would mean that the page is gone: then nobody answers.
        while answers.changed().await.is_ok() {
            let answer = answers.borrow_and_update().clone();
            if let Some(OwnersAnswer { accept, .. }) = answer.filter(|answer| answer.session == session) {
                return accept;
            }
        }
        std::future::pending().await
    };
    tokio::time::timeout(LOOK, answer).await.ok()
}

/// Signs the yes and takes what the cloud gives for it. Saying it twice changes nothing.
async fn say_yes(
    client: &Client,
    keys: &Keys,
    cloud: &Cloud,
    session: &str,
    owner: &str,
) -> Result<Tried, Failed> {
    cloud.set_phase(Phase::Joining { owner: owner.to_owned() });
    let join = sign_join(&keys.identity, session, owner, *keys.tunnel.public().as_bytes());
    let path = format!("/api/v1/enrol/{session}/join");
    let mut pause = Pause::new(PAUSE);
    loop {
        let failed = match ask::<Joined>(client, Method::POST, &path, Some(&join)).await {
            Ok(joined) if !joined.hubs.is_empty() => return Ok(Tried::Joined(Box::new(joined))),
            Ok(_) => Obstacle::Foreign { address: client.address().authority() }.into(),
            Err(failed) => failed,
        };
        match &failed.obstacle {
            // The cloud has decided: another session is needed.
            Obstacle::Refused { status: 400..=428 | 430..=499, .. } => return Err(failed),
            obstacle => cloud.set_obstacle(obstacle.to_string()),
        }
        tokio::time::sleep(pause.next().max(failed.retry_after)).await;
    }
}

async fn ask<T: serde::de::DeserializeOwned>(
    client: &Client,
    method: Method,
    path: &str,
    body: Option<&impl Serialize>,
) -> Result<T, Failed> {
    let body = body.map(serde_json::to_vec).transpose();
    let body = body.map_err(|error| Obstacle::Refused { status: 0, reason: error.to_string() })?;
    let answer: Answer = client.ask(method, path, body.map(Bytes::from)).await?;
    let retry_after = answer.retry_after.unwrap_or_default().min(CODE_LIFE);
    answer.json(client.address()).map_err(|obstacle| Failed { obstacle, retry_after })
}
