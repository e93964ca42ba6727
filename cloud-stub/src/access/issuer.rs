//! Whoever signs tokens: their keys, fetched from the configured address and kept, and what each token came to.
//!
//! The keys are read at the start and every [`OLD`]; a token that names a key which is not known lets them be read again,
//! at most every [`EVERY`], whoever asks. While the server does not answer the keys that are known stay good.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use super::jwt::{Claims, Keys, Refused};
use crate::gateway::Later;
use crate::http::Outgoing;

/// Keys are asked for at most this often.
const EVERY: Duration = Duration::from_secs(10);
/// And at least this often, so that a key that is withdrawn does not stay good for ever.
const OLD: Duration = Duration::from_secs(300);
/// The server may take this long.
const TIME: Duration = Duration::from_secs(5);
/// Longest key set, bytes.
const MOST: usize = 256 << 10;
/// A viewer waits so long for keys.
const PATIENCE: Duration = Duration::from_secs(3);
/// Tokens whose signatures need not be checked again.
const TOKENS: usize = 4096;

/// Whoever signs tokens.
#[derive(Debug)]
pub struct Issuer {
    audience: Option<String>,
    known: watch::Receiver<Known>,
    /// Somebody needs a key that is not known.
    wanted: Arc<Notify>,
    remembered: Mutex<Remembered>,
    reader: JoinHandle<()>,
}

/// What tokens have said, by their SHA-256, since the keys are of this edition.
#[derive(Debug, Default)]
struct Remembered {
    edition: u64,
    tokens: HashMap<[u8; 32], Arc<Claims>>,
}

/// What is known of the keys.
#[derive(Debug, Clone)]
struct Known {
    keys: Option<Arc<Keys>>,
    /// Counts the times that keys came.
    edition: u64,
    /// When they were last asked for; `None` before the first answer or failure.
    asked: Option<Instant>,
}

/// What a token came to.
#[derive(Debug)]
pub enum Opened {
    /// It is good now, and says this.
    Says(Arc<Claims>),
    /// It is not good.
    Nothing,
    /// To be asked again when this ends.
    Later(Wait),
}

/// Waits for keys.
pub struct Wait(pub Later);

impl std::fmt::Debug for Wait {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Wait")
    }
}

impl Issuer {
    /// The issuer whose keys are at this address. To be called within a runtime.
    pub fn start(server: Outgoing, audience: Option<String>) -> Self {
        let (sender, known) = watch::channel(Known { keys: None, edition: 0, asked: None });
        let wanted = Arc::new(Notify::new());
        let reader = tokio::spawn(read(server, sender, wanted.clone()));
        Self { audience, known, wanted, remembered: Mutex::default(), reader }
    }

    /// What a token comes to at this time, milliseconds since 1970.
    pub fn open(&self, token: &str, now_ms: u64) -> Opened {
        // What is no JWT is nobody's affair here.
        if token.bytes().filter(|byte| *byte == b'.').count() != 2 {
            return Opened::Nothing;
        }
        let known = self.known.borrow().clone();
        let Some(keys) = &known.keys else {
            return if known.may_come() { self.wait() } else { Opened::Nothing };
        };
        let digest = Sha256::digest(token).into();
        let claims = match self.remembered(known.edition, &digest) {
            Some(claims) => claims,
            None => match keys.open(token) {
                Ok(claims) => self.remember(known.edition, digest, claims),
                Err(Refused::UnknownKey) if known.may_come() => return self.wait(),
                Err(_) => return Opened::Nothing,
            },
        };
        if claims.hold(now_ms, self.audience.as_deref()) { Opened::Says(claims) } else { Opened::Nothing }
    }

    fn wait(&self) -> Opened {
        if self.known.borrow().asked.is_some() {
            self.wanted.notify_one();
        }
        let mut known = self.known.clone();
        known.mark_unchanged();
        Opened::Later(Wait(Box::pin(async move {
            // Whoever has waited for nothing hears a no when they ask again.
            let _ = tokio::time::timeout(PATIENCE, known.changed()).await;
        })))
    }

    fn remembered(&self, edition: u64, digest: &[u8; 32]) -> Option<Arc<Claims>> {
        let remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        (remembered.edition == edition).then(|| remembered.tokens.get(digest).cloned())?
    }

    fn remember(&self, edition: u64, digest: [u8; 32], claims: Claims) -> Arc<Claims> {
        let claims = Arc::new(claims);
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.edition != edition || remembered.tokens.len() >= TOKENS {
            *remembered = Remembered { edition, tokens: HashMap::new() };
        }
        remembered.tokens.insert(digest, claims.clone());
        claims
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Known {
    /// Whether a key that is not known may be there by now: nobody has asked for a while.
    fn may_come(&self) -> bool {
        self.asked.is_none_or(|asked| asked.elapsed() >= EVERY)
    }
}

/// Reads the keys for ever.
async fn read(server: Outgoing, known: watch::Sender<Known>, wanted: Arc<Notify>) {
    let mut works = true;
    loop {
        let asked = Instant::now();
        let outcome = keys(&server).await;
        if works != outcome.is_ok() {
            works = !works;
            match &outcome {
                Ok(_) => tracing::info!("[access] jwks: {} gives its keys again", server.target()),
                Err(reason) => tracing::warn!(
                    "[access] jwks: no keys from {}: {reason}; those that are known stay good",
                    server.target()
                ),
            }
        }
        known.send_modify(|known| {
            known.asked = Some(asked);
            if let Ok(keys) = outcome {
                known.keys = Some(Arc::new(keys));
                known.edition += 1;
            }
        });
        tokio::time::sleep(EVERY.saturating_sub(asked.elapsed())).await;
        // The rest of their time, or until somebody needs another one. Without any they are asked for all the time.
        if known.borrow().keys.is_some() {
            let _ = tokio::time::timeout(OLD.saturating_sub(EVERY), wanted.notified()).await;
        }
    }
}

async fn keys(server: &Outgoing) -> Result<Keys, String> {
    let (status, body) = server.ask(None, MOST, TIME).await.map_err(|reason| reason.to_string())?;
    if !status.is_success() {
        return Err(format!("it says {status}"));
    }
    let keys = Keys::read(&body).map_err(|_| "that is no key set (JWKS)".to_owned())?;
    if keys.is_empty() {
        return Err("its key set has no key for RS256, ES256 or EdDSA".to_owned());
    }
    Ok(keys)
}
