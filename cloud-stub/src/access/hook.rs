//! The decision hook: a server of the operator's that says who may watch what.
//!
//! A decision is kept for a second; whoever asks the same meanwhile waits for it or gets it. A hook that does not answer says
//! no. Decisions, questions under way and questions that strangers can cause are all bounded.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::StatusCode;
use model::CameraId;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tokio::sync::{Semaphore, watch};

use crate::gateway::{Caller, Later, Token};
use crate::http::{Bucket, NoAnswer, Outgoing};

/// How long a decision is good.
const KEPT: Duration = Duration::from_secs(1);
/// A viewer who was let in within this is no stranger.
const REMEMBERED: Duration = Duration::from_secs(10);
/// The hook must have answered after this, waiting for a turn included.
const TIME: Duration = Duration::from_secs(2);
/// Bytes of its answer that are read; only the status counts.
const MOST: usize = 16 << 10;
/// Most decisions that are kept or under way.
const DECISIONS: usize = 10_000;
/// Questions under way for viewers who run, and for new ones.
const TURNS: (usize, usize) = (32, 32);
/// New questions of one address: at once, and per minute. An office behind one address opens its wall at nine.
const NEW: (u32, u32) = (500, 600);

/// The hook.
#[derive(Debug)]
pub struct Hook {
    shared: Arc<Shared>,
    strangers: Bucket,
}

#[derive(Debug)]
struct Shared {
    server: Outgoing,
    decisions: Mutex<HashMap<Key, Decision>>,
    running: Semaphore,
    new: Semaphore,
    works: crate::http::Up,
}

/// What a decision is for. The token is kept as its SHA-256.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    camera: CameraId,
    token: Option<[u8; 32]>,
    address: Option<IpAddr>,
}

#[derive(Debug)]
enum Decision {
    /// Under way; the channel closes with the question.
    Coming(watch::Receiver<()>),
    Made {
        yes: bool,
        at: Instant,
    },
}

/// What is asked.
#[derive(Serialize)]
struct Question<'a> {
    camera: &'a str,
    tenant: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    address: Option<IpAddr>,
    /// Without the token.
    path: String,
}

/// What the hook has said, as far as it is known now.
pub enum Said {
    /// Yes or no.
    Made(bool),
    /// To be asked again when this ends.
    Later(Later),
}

impl Hook {
    /// The hook at this server.
    pub fn new(server: Outgoing) -> Self {
        let shared = Shared {
            server,
            decisions: Mutex::default(),
            running: Semaphore::new(TURNS.0),
            new: Semaphore::new(TURNS.1),
            works: crate::http::Up::default(),
        };
        Self { shared: Arc::new(shared), strangers: Bucket::new(NEW.0, NEW.1) }
    }

    /// What the hook says of this viewer. Within a runtime.
    pub fn decide(&self, caller: &Caller, tenant: &str) -> Said {
        let now = Instant::now();
        let token = caller.token.as_ref().map(Token::expose);
        let digest = token.map(|token| Sha256::digest(token).into());
        let key = Key { camera: caller.camera.clone(), token: digest, address: caller.address };
        let mut decisions = self.shared.decisions();
        let running = match decisions.get(&key) {
            Some(Decision::Coming(end)) => return Said::Later(until(end.clone())),
            Some(Decision::Made { yes, at }) if now.duration_since(*at) < KEPT => return Said::Made(*yes),
            Some(Decision::Made { yes, at }) => *yes && now.duration_since(*at) < REMEMBERED,
            None => false,
        };
        if !running {
            let address = caller.address.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
            if self.strangers.take(address, now).is_err() || !room(&mut decisions, now) {
                return Said::Made(false);
            }
        }
        let path = format!("/{}/{}", caller.camera, caller.name().unwrap_or_default());
        let question =
            Question { camera: caller.camera.as_str(), tenant, token, address: caller.address, path };
        // Texts and an address: there is no way for it to fail.
        let Ok(question) = serde_json::to_vec(&question) else { return Said::Made(false) };
        let (end, ended) = watch::channel(());
        decisions.insert(key.clone(), Decision::Coming(ended.clone()));
        drop(decisions);
        tokio::spawn(self.shared.clone().ask(key, question.into(), running, end));
        Said::Later(until(ended))
    }
}

impl Shared {
    async fn ask(self: Arc<Self>, key: Key, question: Bytes, running: bool, end: watch::Sender<()>) {
        let turns = if running { &self.running } else { &self.new };
        let asked = tokio::time::timeout(TIME, async {
            let _turn = turns.acquire().await.map_err(|_| NoAnswer::Broken)?;
            self.server.ask(Some(question), MOST, TIME).await
        });
        let outcome = asked.await.unwrap_or(Err(NoAnswer::Late));
        let server = self.server.target();
        match (self.works.set(outcome.is_ok()), &outcome) {
            (true, Ok(_)) => tracing::info!("[access] hook: {server} answers again"),
            (true, Err(reason)) => {
                tracing::warn!("[access] hook: {server}: {reason}; until it answers, it lets nobody in");
            }
            (false, _) => {}
        }
        let yes = outcome.is_ok_and(|(status, _)| status == StatusCode::OK);
        self.decisions().insert(key, Decision::Made { yes, at: Instant::now() });
        drop(end);
    }

    fn decisions(&self) -> MutexGuard<'_, HashMap<Key, Decision>> {
        // No holder leaves a half-made value.
        self.decisions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes room for one more decision; false when there is none.
fn room(decisions: &mut HashMap<Key, Decision>, now: Instant) -> bool {
    if decisions.len() >= DECISIONS {
        decisions.retain(|_, decision| match decision {
            Decision::Coming(_) => true,
            Decision::Made { yes, at } => now.duration_since(*at) < if *yes { REMEMBERED } else { KEPT },
        });
    }
    decisions.len() < DECISIONS
}

/// Ends when the question does.
fn until(mut end: watch::Receiver<()>) -> Later {
    Box::pin(async move {
        // Nothing is ever sent: it ends by closing.
        let _ = end.changed().await;
    })
}

impl std::fmt::Debug for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Made(yes) => f.debug_tuple("Made").field(yes).finish(),
            Self::Later(_) => f.write_str("Later"),
        }
    }
}
