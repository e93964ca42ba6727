//! Signing in and out, and what people change of themselves.
//!
//! A wrong password and an unknown e-mail address get the same answer after the same time.

use std::sync::Arc;
use std::time::Instant;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use hyper::header::{HeaderMap, HeaderValue, SET_COOKIE, USER_AGENT};
use hyper::{Request, Response, StatusCode};
use model::Private;
use serde::Deserialize;
use serde_json::json;

use super::who::COOKIE_NAME;
use super::{Answer, Failure, Gate, People, Who, fingerprint};
use crate::http::{Client, json, told};
use crate::store::{By, NewLogin};

/// How long a browser keeps the cookie; browsers allow 400 days. When it is good for nothing any more the cloud decides.
const COOKIE_S: u32 = 400 * 24 * 3600;

/// Somebody's words when they sign in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Credentials {
    email: String,
    password: Private<String>,
}

pub(super) async fn sign_in(
    State(people): State<Arc<People>>,
    Extension(client): Extension<Client>,
    Extension(gate): Extension<Gate>,
    request: Request<Body>,
) -> Answer {
    gate.not_foreign(request.method(), request.headers())?;
    let browser = browser(request.headers());
    let Credentials { email, password } = json(request).await?;
    let email = email.trim().to_lowercase();
    people.tries.take(client.0, &email, Instant::now())?;
    let directory = people.store.directory().borrow().clone();
    let known = directory.portal().people.iter().find(|(_, person)| person.email == email);
    let hash = known.map(|(_, person)| person.password.clone());
    let fits = people.passwords.fits(password, hash.clone()).await?;
    let (Some((id, _)), Some(hash), true) = (known, hash, fits) else {
        tracing::info!(client = %client.0, "somebody could not sign in");
        return Err(wrong());
    };
    let (login, cookie) = people.new_login(browser)?;
    let by = By { person: id, address: Some(client.0) };
    match people.store.sign_in(id, &hash, &login, by).await {
        Err(crate::store::Error::Refused(_)) => return Err(wrong()),
        outcome => outcome?,
    }
    people.tries.give_back(client.0, &email);
    people.signed_in(&gate, login.key, &cookie)
}

fn wrong() -> Failure {
    Failure::new(StatusCode::UNAUTHORIZED, "The e-mail address or the password is wrong.")
}

pub(super) async fn sign_out(
    State(people): State<Arc<People>>,
    Extension(client): Extension<Client>,
    Extension(gate): Extension<Gate>,
    who: Who,
) -> Answer {
    people.store.sign_out(&who.key, who.by(client)).await?;
    let mut response = told(json!({}));
    set_cookie(&mut response, &gate, "", 0);
    Ok(response)
}

pub(super) async fn me(who: Who) -> Response<Body> {
    told(described(&who))
}

/// What people change of themselves.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Changes {
    name: Option<String>,
    language: Option<String>,
    password: Option<NewPassword>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewPassword {
    old: Private<String>,
    new: Private<String>,
}

pub(super) async fn change_me(
    State(people): State<Arc<People>>,
    Extension(client): Extension<Client>,
    who: Who,
    request: Request<Body>,
) -> Answer {
    let Changes { name, language, password } = json(request).await?;
    if let Some(NewPassword { old, new }) = password {
        let (email, had) = (&who.row.email, &who.row.password);
        people.tries.take(client.0, email, Instant::now())?;
        if !people.passwords.fits(old, Some(had.clone())).await? {
            return Err(Failure::new(StatusCode::FORBIDDEN, "The old password is another one."));
        }
        people.tries.give_back(client.0, email);
        let new = people.passwords.hash(new, people.salt()?).await?;
        people.store.change_password(&who.person, had, &new, &who.key, who.by(client)).await?;
    }
    if name.is_some() || language.is_some() {
        let (name, language) = (name.as_deref(), language.as_deref());
        people.store.change_person(&who.person, name, language, who.by(client)).await?;
    }
    Ok(told(described(&people.again(&who)?)))
}

impl Who {
    /// Who does what they ask for, for the audit.
    pub fn by(&self, client: Client) -> By<'_> {
        By { person: &self.person, address: Some(client.0) }
    }
}

impl People {
    /// A new login and its cookie.
    pub(super) fn new_login(&self, browser: String) -> Result<(NewLogin, Private<String>), Failure> {
        const DOING: &str = "sign somebody in";
        let cookie = self.store.secret(DOING)?;
        let csrf = self.store.secret(DOING)?.into();
        Ok((NewLogin { key: fingerprint(&cookie), csrf, browser }, cookie.into()))
    }

    /// The answer to who has just signed in.
    pub(super) fn signed_in(&self, gate: &Gate, key: String, cookie: &Private<String>) -> Answer {
        let directory = self.store.directory().borrow().clone();
        let who = Who::of(&directory, key, self.store.now_ms()).ok_or_else(not_yet)?;
        let mut response = told(described(&who));
        set_cookie(&mut response, gate, cookie.expose(), COOKIE_S);
        Ok(response)
    }

    /// The same person after a change.
    fn again(&self, who: &Who) -> Result<Who, Failure> {
        let directory = self.store.directory().borrow().clone();
        Who::of(&directory, who.key.clone(), self.store.now_ms()).ok_or_else(not_yet)
    }

    /// Random bits for a hash.
    pub(super) fn salt(&self) -> Result<[u8; 16], Failure> {
        Ok(self.store.salt()?)
    }
}

fn not_yet() -> Failure {
    Failure::new(StatusCode::SERVICE_UNAVAILABLE, "It is done, but cannot be shown yet: load the page again.")
}

/// What the portal needs to know of who is signed in.
fn described(who: &Who) -> serde_json::Value {
    let tenants = who.tenants();
    let tenants = tenants.iter().take(super::members::TENANTS);
    let tenants: Vec<_> =
        tenants.map(|(id, tenant, role)| json!({ "id": id, "name": tenant.name, "role": role })).collect();
    json!({
        "person": {
            "id": who.person,
            "email": who.row.email,
            "name": who.row.name,
            "language": who.row.language,
            "operator": who.operator,
        },
        "tenants": tenants,
        "csrf": who.login.csrf.expose(),
    })
}

fn set_cookie(response: &mut Response<Body>, gate: &Gate, value: &str, for_s: u32) {
    let secure = if gate.is_secure() { "; Secure" } else { "" };
    let cookie = format!("{COOKIE_NAME}={value}; HttpOnly; SameSite=Lax; Path=/; Max-Age={for_s}{secure}");
    if let Ok(mut cookie) = HeaderValue::try_from(cookie) {
        cookie.set_sensitive(true);
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
}

/// What a browser calls itself.
pub(super) fn browser(headers: &HeaderMap) -> String {
    headers.get(USER_AGENT).and_then(|name| name.to_str().ok()).unwrap_or_default().to_owned()
}
