//! What operators ask of the fleet, and how an owner spares a box for a while. Nobody else is told that there is any of it.

use axum::body::Body;
use axum::extract::{Path, Query, State as Of};
use axum::routing::{MethodRouter, get, post};
use axum::{Extension, Router};
use hyper::{Request, StatusCode};
use model::BoxId;
use serde::Deserialize;
use serde_json::json;

use super::orders::{Care, Page, Undone, Words};
use super::{Fleet, Steer, Unwilling};
use crate::http::{Change, Client, failed, json, told};
use crate::people::{Answer, Failure, Refusal, Who};
use crate::store::Role;

/// When to try again while the releases cannot be read, seconds.
const RETRY_S: u64 = 30;

/// What is under `/api/v1` for that. Needs [`Gate`](crate::people::Gate) as an extension.
pub fn routes(fleet: Fleet) -> Router {
    Router::new()
        .route("/api/v1/fleet/releases", get(releases))
        .route("/api/v1/fleet/campaigns", get(campaigns).post(draft))
        .route("/api/v1/fleet/campaigns/{campaign}", get(campaign))
        .route("/api/v1/fleet/campaigns/{campaign}/start", steering(Steer::Start))
        .route("/api/v1/fleet/campaigns/{campaign}/pause", steering(Steer::Pause))
        .route("/api/v1/fleet/campaigns/{campaign}/resume", steering(Steer::Resume))
        .route("/api/v1/fleet/campaigns/{campaign}/advance", steering(Steer::Advance))
        .route("/api/v1/fleet/campaigns/{campaign}/withdraw", steering(Steer::Withdraw))
        .route("/api/v1/fleet/campaigns/{campaign}/boxes", get(boxes))
        .route("/api/v1/fleet/boxes/{box}", get(unit).patch(change))
        .route("/api/v1/boxes/{box}/postpone", get(postponed).post(postpone))
        .with_state(fleet)
}

async fn releases(Of(fleet): Of<Fleet>, who: Who) -> Answer {
    who.operates()?;
    Ok(told(fleet.tell_releases().await?))
}

async fn campaigns(Of(fleet): Of<Fleet>, who: Who) -> Answer {
    who.operates()?;
    Ok(told(fleet.tell_campaigns().await?))
}

async fn draft(
    Of(fleet): Of<Fleet>,
    Extension(client): Extension<Client>,
    who: Who,
    request: Request<Body>,
) -> Answer {
    who.operates()?;
    let words: Words = json(request).await?;
    let campaign = fleet.draft(words, who.by(client)).await?;
    Ok(told(fleet.tell_campaign(&campaign).await?))
}

async fn campaign(Of(fleet): Of<Fleet>, who: Who, Path(campaign): Path<String>) -> Answer {
    who.operates()?;
    Ok(told(fleet.tell_campaign(&campaign).await?))
}

/// Why.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reason {
    #[serde(default)]
    reason: String,
}

fn steering(how: Steer) -> MethodRouter<Fleet> {
    post(
        move |fleet: Of<Fleet>,
              client: Extension<Client>,
              who: Who,
              campaign: Path<String>,
              request: Request<Body>| steer(how, fleet, client, who, campaign, request),
    )
}

async fn steer(
    how: Steer,
    Of(fleet): Of<Fleet>,
    Extension(client): Extension<Client>,
    who: Who,
    Path(campaign): Path<String>,
    request: Request<Body>,
) -> Answer {
    who.operates()?;
    let Reason { reason } = json(request).await?;
    fleet.steer(&campaign, how, &reason, who.by(client)).await?;
    Ok(told(fleet.tell_campaign(&campaign).await?))
}

async fn boxes(
    Of(fleet): Of<Fleet>,
    who: Who,
    Path(campaign): Path<String>,
    Query(page): Query<Page>,
) -> Answer {
    who.operates()?;
    Ok(told(fleet.tell_boxes(&campaign, &page).await?))
}

async fn unit(Of(fleet): Of<Fleet>, who: Who, Path(id): Path<String>) -> Answer {
    who.operates()?;
    let id: BoxId = id.parse().map_err(|_| Refusal::NotThere)?;
    Ok(told(fleet.tell_box(&id).await?))
}

/// What is to change; `null` takes it away, and what is not said stays.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Changes {
    #[serde(default)]
    pin: Change<String>,
    #[serde(default)]
    hold: Change<Reason>,
}

async fn change(
    Of(fleet): Of<Fleet>,
    Extension(client): Extension<Client>,
    who: Who,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Answer {
    who.operates()?;
    let (id, _) = fleet.box_and_tenant(&id)?;
    let Changes { pin, hold } = json(request).await?;
    let pin = match pin {
        Change::Keep => None,
        Change::Clear => Some(Care::Pin(None)),
        Change::Set(version) => Some(Care::Pin(Some(version))),
    };
    let hold = match hold {
        Change::Keep => None,
        Change::Clear => Some(Care::Hold(None)),
        Change::Set(Reason { reason }) => Some(Care::Hold(Some(reason))),
    };
    fleet.care(&id, pin.into_iter().chain(hold).collect(), who.by(client)).await?;
    Ok(told(fleet.tell_box(&id).await?))
}

/// For how long.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Spared {
    hours: u64,
}

async fn postpone(
    Of(fleet): Of<Fleet>,
    Extension(client): Extension<Client>,
    who: Who,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Answer {
    let (id, tenant) = fleet.box_and_tenant(&id)?;
    who.may(&tenant, Role::Owner)?;
    let Spared { hours } = json(request).await?;
    let until_ms = fleet.postpone(&id, hours, who.by(client)).await?;
    Ok(told(json!({ "until_ms": until_ms })))
}

async fn postponed(Of(fleet): Of<Fleet>, who: Who, Path(id): Path<String>) -> Answer {
    let (id, tenant) = fleet.box_and_tenant(&id)?;
    who.may(&tenant, Role::Owner)?;
    Ok(told(json!({ "until_ms": fleet.postponed(&id).await? })))
}

impl Fleet {
    /// A box that is active, and its tenant.
    fn box_and_tenant(&self, id: &str) -> Result<(BoxId, String), Refusal> {
        let id: BoxId = id.parse().map_err(|_| Refusal::NotThere)?;
        let tenant = self.tenant_of(&id).ok_or(Refusal::NotThere)?;
        Ok((id, tenant))
    }
}

impl From<Undone> for Failure {
    fn from(why: Undone) -> Self {
        match why {
            Undone::Unwilling(Unwilling::NotThere) => Refusal::NotThere.into(),
            Undone::Unwilling(Unwilling::NotNow(words)) => Self::new(StatusCode::CONFLICT, words),
            Undone::Unwilling(Unwilling::Unfit(words)) => Self::new(StatusCode::BAD_REQUEST, words),
            Undone::Unreadable(error) => {
                tracing::warn!("{error:#}; an operator is told to ask later");
                let words = "The releases cannot be read at the moment. Try again.";
                Box::new(failed(StatusCode::SERVICE_UNAVAILABLE, words, RETRY_S)).into()
            }
            Undone::Store(error) => error.into(),
        }
    }
}
