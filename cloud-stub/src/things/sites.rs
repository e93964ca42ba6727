//! Sites: where boxes and cameras stand.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use hyper::Request;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Things;
use crate::fleet::Window;
use crate::http::{Change, Client, json, told};
use crate::people::{Answer, Refusal, Who};
use crate::store::{Role, Site, SiteWords};

/// A site as people write it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Words {
    name: Option<String>,
    address: Option<String>,
    time_zone: Option<String>,
    #[serde(default)]
    window: Change<Window>,
}

impl From<Words> for SiteWords {
    fn from(words: Words) -> Self {
        Self { name: words.name, address: words.address, time_zone: words.time_zone, window: words.window }
    }
}

pub(super) async fn list(State(things): State<Arc<Things>>, who: Who, Path(tenant): Path<String>) -> Answer {
    who.may(&tenant, Role::Viewer)?;
    let directory = things.store.directory().borrow().clone();
    let sites = directory.portal().sites.iter().filter(|(_, site)| site.tenant == tenant);
    let mut sites: Vec<_> = sites.map(|(id, site)| (site.name.clone(), described(id, site))).collect();
    sites.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(told(sites.into_iter().map(|(_, site)| site).collect::<Vec<Value>>()))
}

pub(super) async fn add(
    State(things): State<Arc<Things>>,
    Extension(client): Extension<Client>,
    who: Who,
    Path(tenant): Path<String>,
    request: Request<Body>,
) -> Answer {
    who.may(&tenant, Role::Installer)?;
    let words: Words = json(request).await?;
    let id = things.store.add_site(&tenant, &words.into(), who.by(client)).await?;
    things.tell_site(&id)
}

pub(super) async fn change(
    State(things): State<Arc<Things>>,
    Extension(client): Extension<Client>,
    who: Who,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Answer {
    things.may_change(&who, &id)?;
    let words: Words = json(request).await?;
    things.store.change_site(&id, &words.into(), who.by(client)).await?;
    things.tell_site(&id)
}

pub(super) async fn remove(
    State(things): State<Arc<Things>>,
    Extension(client): Extension<Client>,
    who: Who,
    Path(id): Path<String>,
) -> Answer {
    things.may_change(&who, &id)?;
    things.store.remove_site(&id, who.by(client)).await?;
    Ok(told(json!({})))
}

impl Things {
    fn may_change(&self, who: &Who, id: &str) -> Result<(), Refusal> {
        let directory = self.store.directory().borrow().clone();
        let site = directory.portal().sites.get(id).ok_or(Refusal::NotThere)?;
        who.may(&site.tenant, Role::Installer)
    }

    fn tell_site(&self, id: &str) -> Answer {
        let directory = self.store.directory().borrow().clone();
        let site = directory.portal().sites.get(id).ok_or(Refusal::NotThere)?;
        Ok(told(described(id, site)))
    }
}

fn described(id: &str, site: &Site) -> Value {
    json!({ "id": id, "name": site.name, "address": site.address, "time_zone": site.time_zone, "window": site.window })
}
