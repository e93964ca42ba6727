//! Enrolment over HTTP: the box's side of it. The owner's side is the command line.
//!
//! Every message is judged by its signature before the database hears of it, and how often an address may ask is
//! bounded. A revoked box gets 410 whatever it asks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ::enrol::{Refused as Unbelieved, verify_hello, verify_join};
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use hyper::header::{CACHE_CONTROL, HeaderValue};
use hyper::{Request, StatusCode};
use model::enrol::{Hello, Join, Joined, Progress, Standing};
use serde::Deserialize;
use url::Url;

use crate::config::Config;
use crate::http::{Bucket, Client, failed, gone_wrong, json, not_found, sentence};
use crate::nodes::Hubs;
use crate::store::{Error, HelloWords, Store};

/// How long a question with `wait=1` waits for a session to move.
const WAIT: Duration = Duration::from_secs(20);
/// While waiting, the database is asked this often even when nothing was heard of.
const LOOK: Duration = Duration::from_secs(5);
/// Hellos of one address: an installer with ten boxes behind one router, each trying again now and then.
const HELLOS: (u32, u32) = (60, 60);
/// Other questions of one address. A waiting box asks three times a minute.
const QUESTIONS: (u32, u32) = (300, 600);

/// What enrolment needs.
#[derive(Debug)]
pub struct Enrolment {
    store: Store,
    url: Url,
    hosts: Vec<String>,
    hubs: Hubs,
    hellos: Bucket,
    questions: Bucket,
}

impl Enrolment {
    /// Enrolment into this store; `hub_key` is the hub's WireGuard public key, base64.
    pub fn new(store: Store, config: &Config, hub_key: &str) -> Self {
        Self {
            hubs: Hubs::new(config, hub_key, store.directory()),
            store,
            url: config.http.url.clone(),
            hosts: config.http.hosts.clone(),
            hellos: Bucket::new(HELLOS.0, HELLOS.1),
            questions: Bucket::new(QUESTIONS.0, QUESTIONS.1),
        }
    }

    /// The addresses under `/api/v1/enrol`.
    pub fn routes(self) -> Router {
        Router::new()
            .route("/api/v1/enrol", post(hello))
            .route("/api/v1/enrol/standing", post(standing))
            .route("/api/v1/enrol/{session}", get(progress))
            .route("/api/v1/enrol/{session}/join", post(join))
            .with_state(Arc::new(self))
    }

    /// A hello of an address that may ask, whose signature is good and that means this cloud; and the key that it is signed with.
    async fn believed(
        &self,
        client: &Client,
        request: Request<Body>,
    ) -> Result<(Hello, [u8; 32]), Box<Response>> {
        if let Err(wait) = self.hellos.take(client.0, Instant::now()) {
            return Err(Box::new(too_often(wait.retry_after_s)));
        }
        let hello: Hello = json(request).await?;
        let identity = verify_hello(&hello).map_err(|why| Box::new(unbelieved(why)))?;
        if !self.is_meant(&hello.cloud) {
            let words = "This hello is meant for another cloud.";
            return Err(Box::new(sentence(StatusCode::FORBIDDEN, words)));
        }
        Ok((hello, identity))
    }

    /// Whether a hello that means `cloud` means this one: nobody can pass it on to another.
    fn is_meant(&self, cloud: &str) -> bool {
        Url::parse(cloud).is_ok_and(|cloud| {
            cloud.origin() == self.url.origin()
                || cloud.host_str().is_some_and(|host| self.hosts.iter().any(|own| own == host))
        })
    }
}

async fn hello(
    State(enrolment): State<Arc<Enrolment>>,
    Extension(client): Extension<Client>,
    request: Request<Body>,
) -> Response {
    let (hello, identity) = match enrolment.believed(&client, request).await {
        Ok(believed) => believed,
        Err(refusal) => return *refusal,
    };
    let words = HelloWords { box_id: &hello.box_id, identity, version: &hello.version, nonce: &hello.nonce };
    match enrolment.store.hello(words).await {
        Ok(session) => {
            if let Some(findable) = &hello.findable
                && let Err(error) = enrolment.store.note_findable(&hello.box_id, findable).await
            {
                // The box comes in all the same; it says it again with its next hello.
                tracing::warn!("{error}");
            }
            tracing::info!(%hello.box_id, client = %client.0, "a box asks to enrol");
            answer(session)
        }
        Err(error) => refused("a hello", &error),
    }
}

/// Answers a box whose tunnel is dead. Nothing is begun by it.
async fn standing(
    State(enrolment): State<Arc<Enrolment>>,
    Extension(client): Extension<Client>,
    request: Request<Body>,
) -> Response {
    let (hello, _) = match enrolment.believed(&client, request).await {
        Ok(believed) => believed,
        Err(refusal) => return *refusal,
    };
    match enrolment.store.has_peer(&hello.box_id, &hello.tunnel_key).await {
        Ok(member) => answer(Standing { member }),
        Err(error) => refused("a question", &error),
    }
}

/// What follows the `?`.
#[derive(Debug, Deserialize)]
struct Waiting {
    wait: Option<String>,
}

async fn progress(
    State(enrolment): State<Arc<Enrolment>>,
    Extension(client): Extension<Client>,
    Path(session): Path<String>,
    Query(waiting): Query<Waiting>,
) -> Response {
    if let Err(wait) = enrolment.questions.take(client.0, Instant::now()) {
        return too_often(wait.retry_after_s);
    }
    let movement = enrolment.store.movement(&session);
    let deadline = tokio::time::Instant::now() + WAIT;
    loop {
        // Waiting begins before asking: a step in between is not missed.
        let mut moved = std::pin::pin!(movement.moved());
        moved.as_mut().enable();
        let row = match enrolment.store.session(&session).await {
            Ok(row) => row,
            Err(error) => return refused("a question", &error),
        };
        let patient = waiting.wait.as_deref() == Some("1") && tokio::time::Instant::now() < deadline;
        if !patient || !matches!(row.progress, Progress::Waiting { .. }) {
            return answer(row.progress);
        }
        let look = (tokio::time::Instant::now() + LOOK).min(deadline);
        let _ = tokio::time::timeout_at(look, moved).await;
    }
}

async fn join(
    State(enrolment): State<Arc<Enrolment>>,
    Extension(client): Extension<Client>,
    Path(session): Path<String>,
    request: Request<Body>,
) -> Response {
    if let Err(wait) = enrolment.questions.take(client.0, Instant::now()) {
        return too_often(wait.retry_after_s);
    }
    let join: Join = match json(request).await {
        Ok(join) => join,
        Err(refusal) => return *refusal,
    };
    if join.session != session {
        return not_found();
    }
    let identity = match enrolment.store.session(&session).await {
        Ok(row) if row.box_id == join.box_id => row.identity,
        Ok(_) => return not_found(),
        Err(error) => return refused("a yes", &error),
    };
    if let Err(why) = verify_join(&join, &identity) {
        return unbelieved(why);
    }
    match enrolment.store.join(&join).await {
        Ok(admitted) => {
            tracing::info!(%join.box_id, address = %admitted.address, "a box has joined");
            answer(Joined {
                address: admitted.address,
                owner: admitted.owner,
                url: enrolment.url.origin().ascii_serialization(),
                hubs: enrolment.hubs.list(),
                time_ms: enrolment.store.now_ms(),
            })
        }
        Err(error) => refused("a yes", &error),
    }
}

/// An answer that no cache keeps.
fn answer(body: impl serde::Serialize) -> Response {
    let mut response = Json(body).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn unbelieved(why: Unbelieved) -> Response {
    let status = match why {
        Unbelieved::Malformed => StatusCode::BAD_REQUEST,
        Unbelieved::WrongName | Unbelieved::WrongSignature => StatusCode::FORBIDDEN,
    };
    sentence(status, &why.to_string())
}

fn too_often(retry_after_s: u64) -> Response {
    failed(StatusCode::TOO_MANY_REQUESTS, "This address asks too often.", retry_after_s)
}

fn refused(what: &'static str, error: &Error) -> Response {
    if let Error::Refused(why) = error {
        tracing::debug!(%why, "{what} was refused");
    } else {
        tracing::warn!("{error}; {what} was answered with 503");
    }
    gone_wrong(error)
}
