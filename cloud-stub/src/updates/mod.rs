//! Releases for boxes: the folder that `cargo xtask release` writes, served as it is, and which of them a box is to have.
//!
//! The folder is public: what may run is decided by its signatures, and the cloud has none of the keys behind them. It has
//! the online key only, and with it can choose among what was signed offline ([`choice`], [`Fleet`]), say so freshly
//! ([`Assigner`]), and nothing else.

pub mod choice;
mod files;
mod listed;
mod shelf;

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

use ::enrol::{Refused as Unbelieved, verify_question, verify_report};
use anyhow::Context as _;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use hyper::header::{CACHE_CONTROL, HeaderValue};
use hyper::{Request, StatusCode};
use model::BoxId;
use model::update::{Question, Report};
use ring::signature::Ed25519KeyPair;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use time::macros::format_description;
use time::{Duration, OffsetDateTime};

use crate::config;
use crate::fleet::{Answer, Fleet, Told};
use crate::http::{Bucket, Client, failed, gone_wrong, in_words, json, sentence};
use crate::store::{BoxState, Error, Refused};

pub use choice::{Asking, Choice, Listed, choose};
pub(crate) use shelf::Shelf;

/// Questions of one address: a site of some hundred boxes behind one router that all start at once, then one an hour each.
const QUESTIONS: (u32, u32) = (300, 60);
/// Reports of one address: those boxes again, five words each within the hour.
const REPORTS: (u32, u32) = (600, 300);
/// When to ask again when the folder cannot be read, seconds.
const RETRY_S: u64 = 300;

/// What serves releases.
#[derive(Debug)]
pub struct Updates {
    shelf: Shelf,
    assigner: Assigner,
    fleet: Fleet,
    questions: Bucket,
    reports: Bucket,
}

impl Updates {
    /// Releases as the operator chose them, and the fleet that they are for.
    ///
    /// # Errors
    /// When the key cannot be read or is none.
    pub fn open(chosen: &config::Updates, fleet: Fleet) -> anyhow::Result<Self> {
        let assigner = Assigner::open(&chosen.key).context("[updates] key")?;
        let shelf = fleet.shelf().context("the fleet has no [updates]")?.clone();
        let questions = Bucket::new(QUESTIONS.0, QUESTIONS.1);
        let reports = Bucket::new(REPORTS.0, REPORTS.1);
        Ok(Self { shelf, assigner, fleet, questions, reports })
    }

    /// The files under `/updates/`, the question what a box is to have, and how far it is.
    pub fn routes(self) -> Router {
        Router::new()
            .route("/updates/{*path}", get(file))
            .route("/api/v1/updates/assignment", post(assignment))
            .route("/api/v1/updates/report", post(report))
            .with_state(Arc::new(self))
    }

    /// Whether a box is active here; a revoked one is told so.
    fn is_ours(&self, box_id: &BoxId) -> Result<bool, Error> {
        match self.fleet.store().directory().borrow().by_id(box_id).map(|row| row.state) {
            Some(BoxState::Revoked) => Err(Error::from(Refused::Revoked)),
            state => Ok(state == Some(BoxState::Active)),
        }
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

    /// The signed answer to a question.
    ///
    /// # Errors
    /// When what the box says has no canonical form.
    pub fn sign(&self, question: &Question, told: &Told, now_ms: u64) -> Result<Value, String> {
        let form = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
        let date = |ms: u64| {
            let at = OffsetDateTime::UNIX_EPOCH + Duration::milliseconds(ms as i64);
            at.format(form).map_err(|error| error.to_string())
        };
        let Told { answer, windows } = told;
        let windows: Vec<[String; 2]> =
            windows.iter().map(|(from, to)| Ok([date(*from)?, date(*to)?])).collect::<Result<_, String>>()?;
        let signed = json!({
            "_type": "assignment",
            "spec_version": "1.0",
            "box": question.box_id,
            "nonce": question.nonce,
            "target": answer.target,
            "campaign": answer.campaign,
            "issued": date(now_ms)?,
            "deadline": date(answer.deadline_ms.max(now_ms))?,
            "windows": windows,
            "may_restart": answer.may_restart,
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
    let shelf = updates.shelf.clone();
    tokio::task::spawn_blocking(move || files::answer(shelf.folder(), &path))
        .await
        .unwrap_or_else(|_| trouble())
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
        return unbelieved(why);
    }
    if let Err(revoked) = updates.is_ours(&question.box_id) {
        return gone_wrong(&revoked);
    }
    let rows = match updates.shelf.releases().await {
        Ok(rows) => rows,
        Err(error) => {
            tracing::warn!("{error:#}; a box that asks for a release is told to ask later");
            return trouble();
        }
    };
    if rows.iter().all(|row| row.board != question.board) {
        return in_words(StatusCode::NOT_FOUND, "No release was ever published for this board.");
    }
    let told = match updates.fleet.ask(&question, &rows).await {
        Ok(told) => told,
        Err(error) => return gone_wrong(&error),
    };
    match updates.assigner.sign(&question, &told, updates.fleet.store().now_ms()) {
        Ok(assignment) => {
            let Answer { target, may_restart, .. } = &told.answer;
            tracing::debug!(%question.box_id, ?target, may_restart, "a box was told its release");
            let mut response = Json(assignment).into_response();
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        }
        Err(error) => sentence(StatusCode::BAD_REQUEST, &error),
    }
}

async fn report(
    State(updates): State<Arc<Updates>>,
    Extension(client): Extension<Client>,
    request: Request<Body>,
) -> Response {
    if let Err(wait) = updates.reports.take(client.0, Instant::now()) {
        return failed(StatusCode::TOO_MANY_REQUESTS, "This address reports too often.", wait.retry_after_s);
    }
    let report: Report = match json(request).await {
        Ok(report) => report,
        Err(refusal) => return *refusal,
    };
    if let Err(why) = verify_report(&report) {
        return unbelieved(why);
    }
    match updates.is_ours(&report.box_id) {
        Ok(true) => {}
        Ok(false) => return sentence(StatusCode::FORBIDDEN, "This box is none of this cloud's."),
        Err(revoked) => return gone_wrong(&revoked),
    }
    match updates.fleet.told(&report).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => gone_wrong(&error),
    }
}

fn unbelieved(why: Unbelieved) -> Response {
    let status = match why {
        Unbelieved::Malformed => StatusCode::BAD_REQUEST,
        Unbelieved::WrongName | Unbelieved::WrongSignature => StatusCode::FORBIDDEN,
    };
    sentence(status, &why.to_string())
}

fn trouble() -> Response {
    failed(StatusCode::SERVICE_UNAVAILABLE, "The releases cannot be read at the moment. Try again.", RETRY_S)
}
