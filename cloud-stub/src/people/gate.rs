//! What stands before every handler that is for people: who asks, and whether their own page does.
//!
//! A browser sends its cookie along with requests that another site's page has made up. So a request that changes
//! something must bring what only our own page can know (`x-csrf`), and must not say that it comes from elsewhere.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::FromRequestParts;
use hyper::header::{HeaderMap, ORIGIN};
use hyper::http::request::Parts;
use hyper::{Method, header};
use url::Url;

use super::{Refusal, Who, fingerprint, who};
use crate::config::Config;
use crate::store::{LOGIN_LIFE_MS, Store};

/// A day, milliseconds.
const DAY_MS: u64 = 24 * 3_600_000;

/// Knows who is signed in and by what names this cloud goes. An extension of the router.
#[derive(Debug, Clone)]
pub struct Gate {
    store: Store,
    names: Arc<Names>,
    /// The logins that are being kept on.
    sliding: Arc<Mutex<HashSet<String>>>,
}

/// By what the cloud's own pages say where they come from.
#[derive(Debug)]
struct Names {
    url: Url,
    hosts: Vec<String>,
}

impl Gate {
    /// A gate for the people of this store.
    pub fn new(store: Store, config: &Config) -> Self {
        let names = Names { url: config.http.url.clone(), hosts: config.http.hosts.clone() };
        Self { store, names: Arc::new(names), sliding: Arc::default() }
    }

    /// Whether a request may have been made up by another site's page.
    ///
    /// # Errors
    /// [`Refusal::Foreign`] when it may.
    pub fn not_foreign(&self, method: &Method, headers: &HeaderMap) -> Result<(), Refusal> {
        if headers.get(ORIGIN).is_some_and(|origin| !origin.to_str().is_ok_and(|origin| self.is_ours(origin)))
        {
            return Err(Refusal::Foreign);
        }
        // A link on another site may lead to what is only read.
        let foreign = headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site");
        if foreign && (changes(method) || headers.contains_key(header::UPGRADE)) {
            return Err(Refusal::Foreign);
        }
        Ok(())
    }

    fn is_ours(&self, origin: &str) -> bool {
        Url::parse(origin).is_ok_and(|origin| {
            let own = self.names.url.origin();
            origin.origin() == own
                || (origin.scheme() == self.names.url.scheme()
                    && origin.host_str().is_some_and(|host| self.names.hosts.iter().any(|own| own == host)))
        })
    }

    /// Who has sent this request.
    fn admit(&self, parts: &Parts) -> Result<Who, Refusal> {
        let directory = self.store.directory().borrow().clone();
        self.not_foreign(&parts.method, &parts.headers)?;
        let who = who(&directory, &parts.headers, self.store.now_ms()).ok_or(Refusal::NotSignedIn)?;
        if changes(&parts.method) {
            let brought = parts.headers.get("x-csrf").and_then(|value| value.to_str().ok());
            // Compared by their fingerprints, so that the time it takes tells nothing.
            let same = |brought: &str| fingerprint(brought) == fingerprint(who.login.csrf.expose());
            if !brought.is_some_and(same) {
                return Err(Refusal::Foreign);
            }
        }
        self.keep_on(&who);
        Ok(who)
    }

    /// Whether cookies are for HTTPS only.
    pub(super) fn is_secure(&self) -> bool {
        self.names.url.scheme() == "https"
    }

    /// A login that is used lasts on: written once a day.
    fn keep_on(&self, who: &Who) {
        let (store, now) = (self.store.clone(), self.store.now_ms());
        if who.login.expires_ms > now + LOGIN_LIFE_MS - DAY_MS || !self.lock().insert(who.key.clone()) {
            return;
        }
        let (gate, key) = (self.clone(), who.key.clone());
        tokio::spawn(async move {
            if let Err(error) = store.slide(&key).await {
                tracing::warn!("{error}; it is tried again with the next request");
            }
            gate.lock().remove(&key);
        });
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<String>> {
        self.sliding.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn changes(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD)
}

impl<S: Send + Sync> FromRequestParts<S> for Who {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Refusal> {
        // Without a gate nobody is let in.
        parts.extensions.get::<Gate>().ok_or(Refusal::NotSignedIn)?.admit(parts)
    }
}
