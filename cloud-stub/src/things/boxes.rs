//! Boxes, as their tenant sees them. One that was given away or refused is not there any more.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use hyper::Request;
use model::BoxId;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Page, SILENT_MS, Things};
use crate::http::{Client, json, told};
use crate::people::{Answer, Refusal, Who};
use crate::store::{BoxRow, BoxState, Directory, Role};

pub(super) async fn list(
    State(things): State<Arc<Things>>,
    who: Who,
    Path(tenant): Path<String>,
    Query(page): Query<Page>,
) -> Answer {
    who.may(&tenant, Role::Viewer)?;
    let (directory, now) = (things.store.directory().borrow().clone(), things.store.now_ms());
    let owner = directory.portal().tenants.get(&tenant).ok_or(Refusal::NotThere)?;
    let own = directory.boxes().filter(|row| row.state == BoxState::Active && row.owner == owner.name);
    let mut rows: Vec<&Arc<BoxRow>> = own.filter(|row| row.is_like(&page.query.to_lowercase())).collect();
    rows.sort_by_key(|row| (row.name.as_str(), row.enrolled_ms, row.address));
    let rows = page.of(rows).map(|row| described(&directory, row, now));
    Ok(told(rows.collect::<Vec<Value>>()))
}

pub(super) async fn one(State(things): State<Arc<Things>>, who: Who, Path(id): Path<String>) -> Answer {
    things.box_for(&who, &id, Role::Viewer)?;
    things.tell_box(&id)
}

/// What is to change.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Words {
    name: Option<String>,
    site: Option<String>,
}

pub(super) async fn change(
    State(things): State<Arc<Things>>,
    Extension(client): Extension<Client>,
    who: Who,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Answer {
    let (row, tenant) = things.box_for(&who, &id, Role::Installer)?;
    let Words { name, site } = json(request).await?;
    let (name, site) = (name.as_deref(), site.as_deref());
    things.store.change_box(&row.id, &tenant, name, site, who.by(client)).await?;
    things.tell_box(&id)
}

pub(super) async fn release(
    State(things): State<Arc<Things>>,
    Extension(client): Extension<Client>,
    who: Who,
    Path(id): Path<String>,
) -> Answer {
    let (row, _) = things.box_for(&who, &id, Role::Owner)?;
    things.store.release_box_by(&row.id, Some(&row.owner), who.by(client)).await?;
    Ok(told(json!({})))
}

pub(super) async fn revoke(
    State(things): State<Arc<Things>>,
    Extension(client): Extension<Client>,
    who: Who,
    Path(id): Path<String>,
) -> Answer {
    let (row, _) = things.box_for(&who, &id, Role::Owner)?;
    things.store.revoke_box_by(&row.id, Some(&row.owner), who.by(client)).await?;
    Ok(told(json!({})))
}

impl Things {
    /// An active box and its tenant, for who is at least this there.
    fn box_for(&self, who: &Who, id: &str, least: Role) -> Result<(Arc<BoxRow>, String), Refusal> {
        let directory = self.store.directory().borrow().clone();
        let id: BoxId = id.parse().map_err(|_| Refusal::NotThere)?;
        let row = directory.by_id(&id).filter(|row| row.state == BoxState::Active);
        let row = row.ok_or(Refusal::NotThere)?;
        let tenant = directory.portal().tenant_named(&row.owner).ok_or(Refusal::NotThere)?;
        who.may(tenant, least)?;
        Ok((row.clone(), tenant.to_owned()))
    }

    fn tell_box(&self, id: &str) -> Answer {
        let (directory, now) = (self.store.directory().borrow().clone(), self.store.now_ms());
        let id: BoxId = id.parse().map_err(|_| Refusal::NotThere)?;
        let row = directory.by_id(&id).ok_or(Refusal::NotThere)?;
        Ok(told(described(&directory, row, now)))
    }
}

impl BoxRow {
    /// Whether it was heard of lately.
    pub(super) fn is_online(&self, now_ms: u64) -> bool {
        let heard = self.seen.last_ms().is_some_and(|at| now_ms.saturating_sub(at) <= SILENT_MS);
        heard && self.state == BoxState::Active
    }

    /// Whether a search for these small letters finds it.
    pub(super) fn is_like(&self, wanted: &str) -> bool {
        wanted.is_empty()
            || self.id.as_str().contains(wanted)
            || [&self.name, &self.owner, &self.version]
                .iter()
                .any(|text| text.to_lowercase().contains(wanted))
    }
}

/// A box as the portal shows it.
pub(super) fn described(directory: &Directory, row: &BoxRow, now_ms: u64) -> Value {
    json!({
        "id": row.id,
        "name": row.name,
        "site": row.site,
        "tenant": row.owner,
        "state": row.state.name(),
        "online": row.is_online(now_ms),
        "last_seen_ms": row.seen.last_ms(),
        "enrolled_ms": row.enrolled_ms,
        "version": row.version,
        "cameras": directory.cameras_of(&row.id).count(),
    })
}
