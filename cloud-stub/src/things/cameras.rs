//! Cameras, with a box and without one, as their tenant sees them.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use hyper::Request;
use model::status::CameraReport;
use model::{CameraId, CameraState};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Page, Things};
use crate::http::{Client, json, told};
use crate::people::{Answer, Failure, Refusal, Who};
use crate::store::{Access, BoxState, CameraWords, Directory, From, Link, Role, Store};

pub(super) async fn list(
    State(things): State<Arc<Things>>,
    who: Who,
    Path(tenant): Path<String>,
    Query(page): Query<Page>,
) -> Answer {
    who.may(&tenant, Role::Viewer)?;
    let directory = things.store.directory().borrow().clone();
    let owner = directory.portal().tenants.get(&tenant).ok_or(Refusal::NotThere)?;
    let boxes = directory.boxes().filter(|row| row.state == BoxState::Active && row.owner == owner.name);
    let of_boxes = boxes.flat_map(|row| directory.cameras_of(&row.id));
    let of_boxes = of_boxes.filter_map(|row| Some((row.public_id.as_str(), directory.link_of(row)?)));
    let sources = directory.portal().sources.iter().filter(|(_, source)| source.tenant == tenant);
    let sources = sources.filter_map(|(id, _)| Some((id, directory.link(id)?)));
    let wanted = page.query.to_lowercase();
    let mut links: Vec<(&str, Link<'_>)> = of_boxes
        .chain(sources)
        .filter(|(id, link)| id.contains(&wanted) || link.title().to_lowercase().contains(&wanted))
        .collect();
    links.sort_by_key(|(id, link)| (link.title(), *id));
    let links = page.of(links).map(|(id, link)| view(&things.store, id, &link));
    Ok(told(links.collect::<Vec<Value>>()))
}

pub(super) async fn one(State(things): State<Arc<Things>>, who: Who, Path(id): Path<String>) -> Answer {
    camera_for(&things.store.directory().borrow(), &who, &id, Role::Viewer)?;
    things.tell_camera(&id)
}

/// What is to change.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Words {
    title: Option<String>,
    on: Option<bool>,
    access: Option<Access>,
    site: Option<String>,
}

pub(super) async fn change(
    State(things): State<Arc<Things>>,
    Extension(client): Extension<Client>,
    who: Who,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Answer {
    let tenant = camera_for(&things.store.directory().borrow(), &who, &id, Role::Installer)?;
    let Words { title, on, access, site } = json(request).await?;
    if access.is_some() {
        who.may(&tenant, Role::Owner)?;
    }
    let public_id = CameraId::new(&id).map_err(|_| Failure::from(Refusal::NotThere))?;
    let words = CameraWords { title, on, access, site };
    things.store.change_camera(&public_id, &tenant, &words, who.by(client)).await?;
    things.tell_camera(&id)
}

/// The tenant of a camera, for who is at least this there.
///
/// # Errors
/// [`Refusal::NotThere`] when it is not there, or they are nothing in its tenant; [`Refusal::NotAllowed`].
pub fn camera_for(directory: &Directory, who: &Who, id: &str, least: Role) -> Result<String, Refusal> {
    let link = directory.link(id).ok_or(Refusal::NotThere)?;
    who.may(link.tenant, least)?;
    Ok(link.tenant.to_owned())
}

/// A camera as the portal shows it.
///
/// # Errors
/// [`Refusal::NotThere`].
pub fn camera_view(store: &Store, id: &str) -> Result<Value, Refusal> {
    let directory = store.directory().borrow().clone();
    let link = directory.link(id).ok_or(Refusal::NotThere)?;
    Ok(view(store, id, &link))
}

impl Things {
    fn tell_camera(&self, id: &str) -> Answer {
        Ok(told(camera_view(&self.store, id)?))
    }
}

/// A link's camera as the portal shows it.
fn view(store: &Store, id: &str, link: &Link<'_>) -> Value {
    let now = store.now_ms();
    let (report, since_ms, box_id, kind, away) = match link.from {
        From::Box(row, camera) => {
            let away = !row.is_online(now);
            let since = if away { row.seen.last_ms() } else { Some(camera.since_ms) };
            (Some(camera.report.clone()), since, Some(&row.id), "box", away)
        }
        From::Source(source) => {
            let report: Option<CameraReport> = serde_json::from_str(&source.report).ok();
            (report, Some(source.since_ms), None, source.kind.as_str(), false)
        }
    };
    let state = match report.as_ref().map(|report| &report.state) {
        _ if away => "offline",
        Some(CameraState::Streaming(_)) => "streaming",
        Some(CameraState::Waiting { .. } | CameraState::Stopped { .. }) => "offline",
        Some(CameraState::Connecting) | None => "connecting",
    };
    let plays = report.as_ref().filter(|_| state == "streaming");
    let trouble = report.as_ref().and_then(|report| report.state.trouble());
    json!({
        "id": id,
        "title": link.title(),
        "url": CameraId::new(id).map(|id| store.link(&id)).unwrap_or_default(),
        "on": link.on,
        "access": link.access,
        "site": link.site,
        "box": box_id,
        "kind": kind,
        "state": state,
        "since_ms": since_ms,
        "fps": plays.map(|report| report.fps),
        "bit_rate": plays.map(|report| report.bit_rate),
        "box_away": away,
        "sentence": trouble.map(ToString::to_string),
    })
}
