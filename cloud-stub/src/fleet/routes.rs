//! What operators ask of the fleet, and how an owner spares a box for a while. Nobody else is told that there is any of it.

use axum::body::Body;
use axum::extract::{Path, Query, State as Of};
use axum::routing::{MethodRouter, get, post};
use axum::{Extension, Router};
use hyper::{Request, StatusCode};
use model::BoxId;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Command, Draft, Fleet, Note, POSTPONE_MS, Steer, Unwilling, view};
use crate::http::{Change, Client, failed, json, told};
use crate::people::{Answer, Failure, Refusal, Who};
use crate::store::{self, BoxState, Role};

/// Most rows that are told at once.
const MOST: usize = 1000;
/// Lines of a history.
const LINES: u32 = 200;
/// How long a ring is watched if nobody says otherwise, seconds.
const BAKE_S: u64 = 24 * 3600;
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
    let Some(shelf) = fleet.shelf() else { return Ok(told(json!([]))) };
    let rows = shelf.releases().await.map_err(|error| unreadable(&error))?;
    let mut rows: Vec<_> = rows.iter().collect();
    rows.sort_by_key(|row| (std::cmp::Reverse(row.since), &row.name));
    let rows = rows.into_iter().map(|row| {
        json!({
            "name": row.name,
            "board": row.board,
            "version": row.version,
            "security": row.security,
            "since": row.since,
        })
    });
    Ok(told(rows.collect::<Vec<Value>>()))
}

fn unreadable(error: &anyhow::Error) -> Failure {
    tracing::warn!("{error:#}; an operator is told to ask later");
    let words = "The releases cannot be read at the moment. Try again.";
    Box::new(failed(StatusCode::SERVICE_UNAVAILABLE, words, RETRY_S)).into()
}

async fn campaigns(Of(fleet): Of<Fleet>, who: Who) -> Answer {
    who.operates()?;
    let directory = fleet.store().directory().borrow().clone();
    let state = fleet.fresh().await?;
    let mut rows: Vec<_> = state.campaigns().iter().collect();
    rows.sort_by_key(|(id, campaign)| (std::cmp::Reverse(campaign.drafted_ms), *id));
    let rows = rows.into_iter().map(|(id, campaign)| view::campaign(&state, &directory, id, campaign));
    Ok(told(rows.collect::<Vec<Value>>()))
}

/// A campaign as people write it down.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Words {
    name: String,
    version: String,
    #[serde(default)]
    boards: Vec<String>,
    #[serde(default)]
    canaries: Vec<BoxId>,
    bake_s: Option<u64>,
    #[serde(default)]
    note: String,
}

async fn draft(
    Of(fleet): Of<Fleet>,
    Extension(client): Extension<Client>,
    who: Who,
    request: Request<Body>,
) -> Answer {
    who.operates()?;
    let Words { name, version, boards, canaries, bake_s, note } = json(request).await?;
    let wrong = |words: &str| Failure::new(StatusCode::BAD_REQUEST, words);
    let rows = match fleet.shelf() {
        Some(shelf) => shelf.releases().await.map_err(|error| unreadable(&error))?,
        None => return Err(wrong("This cloud has no releases.")),
    };
    let published = |board: Option<&String>| {
        rows.iter().any(|row| row.version == version && board.is_none_or(|board| *board == row.board))
    };
    if !published(None) || !boards.iter().all(|board| published(Some(board))) {
        return Err(wrong("This version is not published for that board."));
    }
    {
        let directory = fleet.store().directory().borrow().clone();
        let active = |id| directory.by_id(id).is_some_and(|row| row.state == BoxState::Active);
        if !canaries.iter().all(active) {
            return Err(wrong("One of the boxes that are to go first is not there."));
        }
    }
    let campaign = enrol::name128(fleet.store().fresh("name a campaign")?);
    let bake_s = bake_s.unwrap_or(BAKE_S);
    let detail = format!("{name}: {version}");
    let draft = Draft { name, version, boards, canaries, bake_s, note, who: String::new() };
    let command = Command::Draft { campaign: campaign.clone(), draft };
    let note =
        Note { by: who.by(client), tenant: "", what: "fleet.draft", subject: &campaign, detail: &detail };
    fleet.command(command, note).await??;
    fleet.tell_campaign(&campaign).await
}

async fn campaign(Of(fleet): Of<Fleet>, who: Who, Path(campaign): Path<String>) -> Answer {
    who.operates()?;
    fleet.tell_campaign(&campaign).await
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
    let what = format!("fleet.{}", how.name());
    let note = Note { by: who.by(client), tenant: "", what: &what, subject: &campaign, detail: &reason };
    let command = Command::Steer { campaign: campaign.clone(), how, reason: reason.clone() };
    fleet.command(command, note).await??;
    fleet.tell_campaign(&campaign).await
}

/// Which of many.
#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    standing: String,
    #[serde(default)]
    query: String,
    #[serde(default)]
    offset: usize,
    limit: Option<usize>,
}

async fn boxes(
    Of(fleet): Of<Fleet>,
    who: Who,
    Path(campaign): Path<String>,
    Query(page): Query<Page>,
) -> Answer {
    who.operates()?;
    let directory = fleet.store().directory().borrow().clone();
    let state = fleet.fresh().await?;
    let of = state.campaigns().get(&campaign).ok_or(Refusal::NotThere)?;
    let wanted = page.query.to_lowercase();
    let fits = |standing: &str| page.standing.is_empty() || page.standing == standing;
    let places = of.places().iter().filter(|(_, place)| fits(place.standing().name()));
    let rows = places.map(|(box_id, place)| view::row(&directory, box_id, of, place));
    let rows: Vec<Value> = rows.filter(|row| view::is_like(row, &wanted)).collect();
    let total = rows.len();
    let rows = rows.into_iter().skip(page.offset).take(page.limit.unwrap_or(MOST).min(MOST));
    Ok(told(json!({ "total": total, "rows": rows.collect::<Vec<Value>>() })))
}

async fn unit(Of(fleet): Of<Fleet>, who: Who, Path(id): Path<String>) -> Answer {
    who.operates()?;
    fleet.tell_box(&id).await
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
    let (box_id, tenant) = fleet.box_and_tenant(&id)?;
    let Changes { pin, hold } = json(request).await?;
    let pin = match pin {
        Change::Keep => None,
        Change::Clear => Some(None),
        Change::Set(version) => Some(Some(version)),
    };
    let hold = match hold {
        Change::Keep => None,
        Change::Clear => Some(None),
        Change::Set(Reason { reason }) => Some(Some(reason)),
    };
    let pin = pin.map(|version| {
        let detail = version.clone().unwrap_or_default();
        ("fleet.pin", detail, Command::Pin { box_id: box_id.clone(), version })
    });
    let hold = hold.map(|reason| {
        let detail = reason.clone().unwrap_or_default();
        ("fleet.hold", detail, Command::Hold { box_id: box_id.clone(), reason })
    });
    let commands: Vec<_> = pin.into_iter().chain(hold).collect();
    {
        // Both or neither.
        let (state, now) = (fleet.known().await?, fleet.store().now_ms());
        for (_, _, command) in &commands {
            state.command(command.clone(), "", now)?;
        }
    }
    for (what, detail, command) in commands {
        let note = Note { by: who.by(client), tenant: &tenant, what, subject: &id, detail: &detail };
        fleet.command(command, note).await??;
    }
    fleet.tell_box(&id).await
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
    let (box_id, tenant) = fleet.box_and_tenant(&id)?;
    who.may(&tenant, Role::Owner)?;
    let Spared { hours } = json(request).await?;
    // Too many stay too many, whatever time it takes to decide.
    let ms = hours.saturating_mul(3_600_000).min(2 * POSTPONE_MS);
    let until_ms = fleet.store().now_ms() + ms;
    let detail = format!("{hours} h");
    let note =
        Note { by: who.by(client), tenant: &tenant, what: "box.postpone", subject: &id, detail: &detail };
    fleet.command(Command::Postpone { box_id, until_ms }, note).await??;
    Ok(told(json!({ "until_ms": until_ms })))
}

async fn postponed(Of(fleet): Of<Fleet>, who: Who, Path(id): Path<String>) -> Answer {
    let (box_id, tenant) = fleet.box_and_tenant(&id)?;
    who.may(&tenant, Role::Owner)?;
    let now = fleet.store().now_ms();
    let state = fleet.known().await?;
    let until_ms = state.known(&box_id).map(|known| known.postponed_ms).filter(|until| *until > now);
    Ok(told(json!({ "until_ms": until_ms })))
}

impl Fleet {
    /// A box that is active, and its tenant.
    fn box_and_tenant(&self, id: &str) -> Result<(BoxId, String), Refusal> {
        let directory = self.store().directory().borrow().clone();
        let id: BoxId = id.parse().map_err(|_| Refusal::NotThere)?;
        let row = directory.by_id(&id).filter(|row| row.state == BoxState::Active);
        let tenant = row.and_then(|row| directory.portal().tenant_named(&row.owner));
        Ok((id, tenant.ok_or(Refusal::NotThere)?.to_owned()))
    }

    async fn tell_campaign(&self, id: &str) -> Answer {
        let directory = self.store().directory().borrow().clone();
        let mut shown = {
            let state = self.fresh().await?;
            let campaign = state.campaigns().get(id).ok_or(Refusal::NotThere)?;
            view::campaign(&state, &directory, id, campaign)
        };
        let history = self.store().fleet_history(store::Of::Campaign(id), LINES).await?;
        let lines: Vec<Value> = history.iter().map(|recorded| view::line(&directory, recorded)).collect();
        shown["events"] = lines.into();
        Ok(told(shown))
    }

    async fn tell_box(&self, id: &str) -> Answer {
        let directory = self.store().directory().borrow().clone();
        let id: BoxId = id.parse().map_err(|_| Refusal::NotThere)?;
        let row = directory.by_id(&id).ok_or(Refusal::NotThere)?;
        let history = self.store().fleet_history(store::Of::Box(id.as_str()), LINES).await?;
        let state = self.fresh().await?;
        Ok(told(view::unit(&state, &directory, row, &history)))
    }
}

impl From<Unwilling> for Failure {
    fn from(why: Unwilling) -> Self {
        match why {
            Unwilling::NotThere => Refusal::NotThere.into(),
            Unwilling::NotNow(words) => Self::new(StatusCode::CONFLICT, words),
            Unwilling::Unfit(words) => Self::new(StatusCode::BAD_REQUEST, words),
        }
    }
}
