//! Taking an invitation: the page behind the link asks what it is for, then sends what the person has chosen.

use std::sync::Arc;
use std::time::Instant;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use hyper::{Request, StatusCode};
use model::Private;
use serde::Deserialize;
use serde_json::json;

use super::{Answer, Failure, Gate, People, Refusal, session};
use crate::http::{Client, json, told};
use crate::store::{Chosen, Invitation};

pub(super) async fn look(
    State(people): State<Arc<People>>,
    Extension(client): Extension<Client>,
    Path(secret): Path<String>,
) -> Answer {
    people.tries.take(client.0, &secret, Instant::now())?;
    let invitation = people.store.invitation(&secret).await?.ok_or(Refusal::NotThere)?;
    people.tries.give_back(client.0, &secret);
    let directory = people.store.directory().borrow().clone();
    let tenant = directory.portal().tenants.get(&invitation.tenant);
    Ok(told(json!({
        "email": invitation.email,
        "tenant_name": tenant.map(|tenant| &tenant.name),
        "role": (!invitation.operator).then_some(invitation.role),
        "known": had(&people, &invitation).is_some() && !invitation.renews(),
    })))
}

/// What an invited person sends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Words {
    #[serde(default)]
    name: String,
    password: Private<String>,
    language: Option<String>,
}

pub(super) async fn accept(
    State(people): State<Arc<People>>,
    Extension(client): Extension<Client>,
    Extension(gate): Extension<Gate>,
    Path(secret): Path<String>,
    request: Request<Body>,
) -> Answer {
    gate.not_foreign(request.method(), request.headers())?;
    people.tries.take(client.0, &secret, Instant::now())?;
    let browser = session::browser(request.headers());
    let invitation = people.store.invitation(&secret).await?.ok_or(Refusal::NotThere)?;
    let Words { name, password, language } = json(request).await?;
    let had = had(&people, &invitation);
    let password = if had.is_some() && !invitation.renews() {
        // Whoever may invite somebody again and again has no more guesses at their password than at the front.
        people.tries.take(client.0, &invitation.email, Instant::now())?;
        if !people.passwords.fits(password, had.clone()).await? {
            return Err(Failure::new(StatusCode::FORBIDDEN, "This is not your password."));
        }
        people.tries.give_back(client.0, &invitation.email);
        None
    } else {
        Some(people.passwords.hash(password, people.salt()?).await?)
    };
    people.tries.give_back(client.0, &secret);
    let (login, cookie) = people.new_login(browser)?;
    let chosen = Chosen {
        name: if name.trim().is_empty() { invitation.email } else { name },
        language: language.unwrap_or_else(|| "en".to_owned()),
        password,
        had: had.unwrap_or_default(),
        login,
    };
    people.store.accept(&secret, &chosen, Some(client.0)).await?;
    people.signed_in(&gate, chosen.login.key, &cookie)
}

/// The password's hash of an invited person who is known already.
fn had(people: &People, invitation: &Invitation) -> Option<Private<String>> {
    let directory = people.store.directory().borrow().clone();
    let mut known = directory.portal().people.iter();
    let person = known.find(|(_, person)| person.email == invitation.email)?.1;
    Some(person.password.clone()).filter(|password| !password.expose().is_empty())
}
