//! Releases for boxes: the folder that `cargo xtask release` writes, served as it is, and which of them a box is to have.
//!
//! The folder is public: what may run is decided by its signatures, and the cloud has none of the keys behind them. It has
//! the online key only, and with it can choose among what was signed offline ([`choice`]), say so freshly ([`Assigner`]), and
//! nothing else.

pub mod choice;
mod files;
mod listed;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use ::enrol::{Refused as Unbelieved, verify_question};
use anyhow::Context as _;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use hyper::header::{CACHE_CONTROL, HeaderValue};
use hyper::{Request, StatusCode};
use model::update::Question;
use ring::signature::Ed25519KeyPair;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use time::macros::format_description;
use time::{Duration, OffsetDateTime};

use crate::config;
use crate::http::{Bucket, Client, failed, gone_wrong, in_words, json, sentence};
use crate::store::{BoxState, Error, Refused, Store};

pub use choice::{Asking, Choice, Listed, choose};

/// How long a box may take to begin with what it was assigned: a night and a day, for a site with a window of its own.
const DEADLINE: Duration = Duration::hours(36);
/// There is one roll-out, to all.
const CAMPAIGN: &str = "all";
/// Questions of one address: a site of some hundred boxes behind one router that all start at once, then one an hour each.
const QUESTIONS: (u32, u32) = (300, 60);
/// When to ask again when the folder cannot be read, seconds.
const RETRY_S: u64 = 300;

/// What serves releases.
#[derive(Debug)]
pub struct Updates {
    folder: PathBuf,
    assigner: Assigner,
    store: Store,
    questions: Bucket,
}

impl Updates {
    /// Releases as the operator chose them.
    ///
    /// # Errors
    /// When the key cannot be read or is none.
    pub fn open(chosen: &config::Updates, store: Store) -> anyhow::Result<Self> {
        let assigner = Assigner::open(&chosen.key).context("[updates] key")?;
        let questions = Bucket::new(QUESTIONS.0, QUESTIONS.1);
        Ok(Self { folder: chosen.dir.clone(), assigner, store, questions })
    }

    /// The files under `/updates/`, and the question what a box is to have.
    pub fn routes(self) -> Router {
        Router::new()
            .route("/updates/{*path}", get(file))
            .route("/api/v1/updates/assignment", post(assignment))
            .with_state(Arc::new(self))
    }
}

/// Signs what boxes are to have.
pub struct Assigner(Ed25519KeyPair);

impl std::fmt::Debug for Assigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Assigner")
    }
}

impl Assigner {
    /// The key in a file, PKCS#8 in PEM.
    ///
    /// # Errors
    /// When it cannot be read or is no Ed25519 key.
    pub fn open(path: &std::path::Path) -> anyhow::Result<Self> {
        let named = || format!("reading {}", path.display());
        let key = PrivatePkcs8KeyDer::from_pem_file(path).with_context(named)?;
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(key.secret_pkcs8_der());
        pair.map(Self).map_err(|error| anyhow::anyhow!("it is no Ed25519 key: {error}")).with_context(named)
    }

    /// The signed answer to a question: this target, or to stay.
    ///
    /// # Errors
    /// When what the box says has no canonical form.
    pub fn sign(&self, question: &Question, target: Option<&str>, now_ms: u64) -> Result<Value, String> {
        let now = OffsetDateTime::UNIX_EPOCH + Duration::milliseconds(now_ms as i64);
        let form = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
        let date = |at: OffsetDateTime| at.format(form).map_err(|error| error.to_string());
        let signed = json!({
            "_type": "assignment",
            "spec_version": "1.0",
            "box": question.box_id,
            "nonce": question.nonce,
            "target": target,
            "campaign": CAMPAIGN,
            "issued": date(now)?,
            "deadline": date(now + DEADLINE)?,
        });
        update::tuf::sign(&signed, [&self.0])
    }
}

/// What `cloud updates list` prints.
///
/// # Errors
/// When there are no `[updates]`, or the folder cannot be read.
pub fn list(chosen: Option<&config::Updates>) -> anyhow::Result<String> {
    let chosen = chosen.context("this cloud has no releases: give it [updates] dir and key")?;
    let mut rows = listed::read(&chosen.dir)?;
    rows.sort_by(|a, b| (&a.board, a.since).cmp(&(&b.board, b.since)));
    let mut text = String::new();
    for row in &rows {
        let newest =
            rows.iter().filter(|other| other.board == row.board).all(|other| other.since <= row.since);
        let said = if newest { "  newest" } else { "" };
        // A String takes whatever is written to it.
        let _ = writeln!(text, "{}  version {}  security {}{said}", row.board, row.version, row.security);
    }
    Ok(if text.is_empty() { "nothing is published yet\n".to_owned() } else { text })
}

async fn file(State(updates): State<Arc<Updates>>, Path(path): Path<String>) -> Response {
    let folder = updates.folder.clone();
    tokio::task::spawn_blocking(move || files::answer(&folder, &path)).await.unwrap_or_else(|_| trouble())
}

async fn assignment(
    State(updates): State<Arc<Updates>>,
    Extension(client): Extension<Client>,
    request: Request<Body>,
) -> Response {
    if let Err(wait) = updates.questions.take(client.0, Instant::now()) {
        return failed(StatusCode::TOO_MANY_REQUESTS, "This address asks too often.", wait.retry_after_s);
    }
    let question: Question = match json(request).await {
        Ok(question) => question,
        Err(refusal) => return *refusal,
    };
    if let Err(why) = verify_question(&question) {
        let status = match why {
            Unbelieved::Malformed => StatusCode::BAD_REQUEST,
            Unbelieved::WrongName | Unbelieved::WrongSignature => StatusCode::FORBIDDEN,
        };
        return sentence(status, &why.to_string());
    }
    let state = updates.store.directory().borrow().by_id(&question.box_id).map(|row| row.state);
    if state == Some(BoxState::Revoked) {
        return gone_wrong(&Error::from(Refused::Revoked));
    }
    let folder = updates.folder.clone();
    let rows = match tokio::task::spawn_blocking(move || listed::read(&folder)).await {
        Ok(Ok(rows)) => rows,
        Ok(Err(error)) => {
            tracing::warn!("{error:#}; a box that asks for a release is told to ask later");
            return trouble();
        }
        Err(_) => return trouble(),
    };
    let asking = Asking { board: &question.board, version: &question.version, security: question.security };
    let target = match choose(&rows, asking) {
        Choice::UnknownBoard => {
            return in_words(StatusCode::NOT_FOUND, "No release was ever published for this board.");
        }
        Choice::Stay => None,
        Choice::Take(listed) => Some(listed.name.as_str()),
    };
    match updates.assigner.sign(&question, target, updates.store.now_ms()) {
        Ok(assignment) => {
            tracing::debug!(%question.box_id, ?target, "a box was told its release");
            let mut response = Json(assignment).into_response();
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        }
        Err(error) => sentence(StatusCode::BAD_REQUEST, &error),
    }
}

fn trouble() -> Response {
    failed(StatusCode::SERVICE_UNAVAILABLE, "The releases cannot be read at the moment. Try again.", RETRY_S)
}
