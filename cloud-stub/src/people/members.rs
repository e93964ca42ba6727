//! Tenants, who is what in them, and who did what.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use hyper::Request;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, Failure, People, Refusal, Who};
use crate::http::{Client, json, told};
use crate::store::{BoxState, Role};

/// Most tenants that are told at once.
pub(super) const TENANTS: usize = 200;
/// Most rows of the audit log at once, and how many unless asked otherwise.
const AUDIT: (u32, u32) = (500, 100);

/// Which of many.
#[derive(Deserialize)]
pub(super) struct Page {
    #[serde(default)]
    query: String,
    #[serde(default)]
    offset: usize,
    limit: Option<usize>,
}

pub(super) async fn tenants(State(people): State<Arc<People>>, who: Who, Query(page): Query<Page>) -> Answer {
    let directory = people.store.directory().borrow().clone();
    let mut boxes: HashMap<&str, usize> = HashMap::new();
    for row in directory.boxes().filter(|row| row.state == BoxState::Active) {
        *boxes.entry(&row.owner).or_default() += 1;
    }
    let wanted = page.query.to_lowercase();
    let tenants = who.tenants();
    let tenants = tenants.iter().filter(|(_, tenant, _)| tenant.name.to_lowercase().contains(&wanted));
    let tenants = tenants.skip(page.offset).take(page.limit.unwrap_or(TENANTS).min(TENANTS));
    let tenants: Vec<Value> = tenants
        .map(|(id, tenant, role)| {
            let boxes = boxes.get(tenant.name.as_str()).copied().unwrap_or_default();
            json!({ "id": id, "name": tenant.name, "role": role, "boxes": boxes })
        })
        .collect();
    Ok(told(tenants))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewTenant {
    name: String,
}

pub(super) async fn add_tenant(
    State(people): State<Arc<People>>,
    Extension(client): Extension<Client>,
    who: Who,
    request: Request<Body>,
) -> Answer {
    if !who.operator {
        return Err(Refusal::NotAllowed.into());
    }
    let NewTenant { name } = json(request).await?;
    let id = people.store.add_tenant(&name, who.by(client)).await?;
    Ok(told(json!({ "id": id, "name": name.trim(), "role": Role::Owner })))
}

pub(super) async fn list(State(people): State<Arc<People>>, who: Who, Path(tenant): Path<String>) -> Answer {
    who.may(&tenant, Role::Owner)?;
    let invited = people.store.invitations(&tenant).await?;
    let directory = people.store.directory().borrow().clone();
    let members = directory.portal().people.iter().filter_map(|(id, person)| {
        let role = person.roles.get(&tenant)?;
        let mail = &person.email;
        Some(json!({ "id": id, "email": mail, "name": person.name, "role": role, "active": true }))
    });
    let mut members: Vec<Value> = members.collect();
    members.sort_by(|a, b| a["email"].as_str().cmp(&b["email"].as_str()));
    members.extend(invited.iter().map(|invited| {
        let (mail, role, until) = (&invited.email, invited.role, invited.expires_ms);
        json!({ "id": mail, "email": mail, "name": "", "role": role, "active": false, "expires_ms": until })
    }));
    Ok(told(members))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Invited {
    email: String,
    role: Role,
}

pub(super) async fn invite(
    State(people): State<Arc<People>>,
    Extension(client): Extension<Client>,
    who: Who,
    Path(tenant): Path<String>,
    request: Request<Body>,
) -> Answer {
    who.may(&tenant, Role::Owner)?;
    let Invited { email, role } = json(request).await?;
    let secret = people.store.invite(&email, &tenant, role, who.by(client)).await?;
    Ok(told(json!({ "invitation": people.store.invitation_url(&secret) })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewRole {
    role: Role,
}

pub(super) async fn change(
    State(people): State<Arc<People>>,
    Extension(client): Extension<Client>,
    who: Who,
    Path((tenant, person)): Path<(String, String)>,
    request: Request<Body>,
) -> Answer {
    who.may(&tenant, Role::Owner)?;
    let NewRole { role } = json(request).await?;
    people.store.set_role(&tenant, &person, Some(role), who.by(client)).await?;
    Ok(told(json!({ "id": person, "role": role })))
}

/// `person` is an id, or the e-mail address of who is only invited.
pub(super) async fn remove(
    State(people): State<Arc<People>>,
    Extension(client): Extension<Client>,
    who: Who,
    Path((tenant, person)): Path<(String, String)>,
) -> Answer {
    who.may(&tenant, Role::Owner)?;
    if !person.contains('@') {
        people.store.set_role(&tenant, &person, None, who.by(client)).await?;
    } else if !people.store.uninvite(&person.to_lowercase(), &tenant, who.by(client)).await? {
        return Err(Refusal::NotThere.into());
    }
    Ok(told(json!({})))
}

/// Which part of the audit log: `before` is a time or, so that nothing is left out, `{at_ms}-{id}` of the last row known.
#[derive(Deserialize)]
pub(super) struct Part {
    before: Option<String>,
    limit: Option<u32>,
}

pub(super) async fn audit(
    State(people): State<Arc<People>>,
    who: Who,
    Path(tenant): Path<String>,
    Query(part): Query<Part>,
) -> Answer {
    who.may(&tenant, Role::Owner)?;
    let before = part.before.as_deref().map(|before| {
        let (at_ms, id) = before.split_once('-').unwrap_or((before, ""));
        let wrong =
            || Failure::new(hyper::StatusCode::BAD_REQUEST, "before is a time, or {at_ms}-{id} of a row.");
        at_ms.parse().map(|at_ms: u64| (at_ms, id)).map_err(|_| wrong())
    });
    let limit = part.limit.unwrap_or(AUDIT.1).clamp(1, AUDIT.0);
    let rows = people.store.audited(&tenant, before.transpose()?, limit).await?;
    let directory = people.store.directory().borrow().clone();
    let rows = rows.iter().map(|row| {
        let known = directory.portal().people.get(&row.person);
        json!({
            "id": row.id,
            "at_ms": row.at_ms,
            "person": known.map_or(row.person.as_str(), |person| &person.email),
            "address": row.address,
            "what": row.what,
            "subject": row.subject,
            "detail": row.detail,
        })
    });
    Ok(told(rows.collect::<Vec<Value>>()))
}
