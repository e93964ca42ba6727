//! A box comes in by the code that its page shows. Both sides then show the same check words.

use std::sync::Arc;
use std::time::Instant;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use enrol::{Code, check_words};
use hyper::{Request, StatusCode};
use model::enrol::Progress;
use serde::Deserialize;
use serde_json::json;

use super::Things;
use crate::http::{Client, json, told};
use crate::people::{Answer, Failure, Refusal, Who};
use crate::store::{ClaimWords, Role};

/// What a person has typed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Words {
    code: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    site: String,
}

pub(super) async fn claim(
    State(things): State<Arc<Things>>,
    Extension(client): Extension<Client>,
    who: Who,
    Path(tenant): Path<String>,
    request: Request<Body>,
) -> Answer {
    who.may(&tenant, Role::Installer)?;
    let Words { code, name, site } = json(request).await?;
    things.claims.take(client.0, &who.person, Instant::now())?;
    // The code is not repeated: a mistyped one is nearly a right one.
    let code: Code = code
        .parse()
        .map_err(|error: enrol::InvalidCode| Failure::new(StatusCode::BAD_REQUEST, &error.to_string()))?;
    let owner = things.owner(&tenant)?;
    let words = ClaimWords { name, site };
    let claimed = things.store.claim_by(&code, &owner, &words, who.by(client)).await?;
    things.claims.give_back(client.0, &who.person);
    Ok(told(json!({
        "box": claimed.box_id,
        "session": claimed.session,
        "check_words": check_words(&claimed.box_id, &claimed.session, &claimed.owner),
    })))
}

pub(super) async fn progress(
    State(things): State<Arc<Things>>,
    who: Who,
    Path((tenant, session)): Path<(String, String)>,
) -> Answer {
    who.may(&tenant, Role::Installer)?;
    let owner = things.owner(&tenant)?;
    let row = things.store.session(&session).await?;
    if row.owner.as_ref() != Some(&owner) {
        return Err(Refusal::NotThere.into());
    }
    let state = match row.progress {
        Progress::Joined => "joined",
        Progress::Expired => "expired",
        Progress::Claimed { .. } | Progress::Waiting { .. } => "claimed",
    };
    Ok(told(json!({ "box": row.box_id, "session": row.id, "state": state })))
}

impl Things {
    /// By what name a tenant claims boxes.
    fn owner(&self, tenant: &str) -> Result<String, Refusal> {
        let directory = self.store.directory().borrow().clone();
        directory.portal().tenants.get(tenant).map(|tenant| tenant.name.clone()).ok_or(Refusal::NotThere)
    }
}
