//! Somebody who is signed in.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::HeaderMap;
use hyper::header::COOKIE;
use sha2::{Digest as _, Sha256};

use super::Refusal;
use crate::store::{Directory, Login, Person, Role, Table, Tenant};

/// The cookie's name.
pub(super) const COOKIE_NAME: &str = "streambox";
/// Longest cookie that is looked at, bytes. Ours have 26.
const LONGEST: usize = 64;

/// Somebody who is signed in, as of the moment of their request.
#[derive(Debug, Clone)]
pub struct Who {
    /// The person's id.
    pub person: String,
    /// Everything in every tenant, and new tenants.
    pub operator: bool,
    /// What is known of the person.
    pub row: Arc<Person>,
    /// What is known of the browser.
    pub login: Arc<Login>,
    /// The fingerprint of the cookie: the login's key.
    pub key: String,
    tenants: Table<Tenant>,
}

impl Who {
    /// Whose login has this key.
    pub(super) fn of(directory: &Directory, key: String, now_ms: u64) -> Option<Self> {
        let portal = directory.portal();
        let login = portal.logins.get(&key).filter(|login| now_ms < login.expires_ms)?;
        let row = portal.people.get(&login.person)?;
        Some(Self {
            person: login.person.clone(),
            operator: row.operator,
            row: row.clone(),
            login: login.clone(),
            key,
            tenants: portal.tenants.clone(),
        })
    }

    /// What they are in a tenant. An operator is an owner in every tenant that there is.
    pub fn role(&self, tenant: &str) -> Option<Role> {
        self.tenants.get(tenant)?;
        if self.operator { Some(Role::Owner) } else { self.row.roles.get(tenant).copied() }
    }

    /// The tenants where they are something, and what, by name.
    pub fn tenants(&self) -> Vec<(&str, &Tenant, Role)> {
        let named = |(id, tenant)| Some((id, Arc::as_ref(tenant), self.role(id)?));
        let mut tenants: Vec<_> = if self.operator {
            self.tenants.iter().filter_map(named).collect()
        } else {
            let own = self.row.roles.keys().filter_map(|id| Some((id.as_str(), self.tenants.get(id)?)));
            own.filter_map(named).collect()
        };
        tenants.sort_by(|a, b| a.1.name.cmp(&b.1.name));
        tenants
    }

    /// Whether they are an operator.
    ///
    /// # Errors
    /// [`Refusal::NotThere`]: what is for operators is nobody else's business.
    pub fn operates(&self) -> Result<(), Refusal> {
        if self.operator { Ok(()) } else { Err(Refusal::NotThere) }
    }

    /// Whether they are at least this in a tenant.
    ///
    /// # Errors
    /// [`Refusal::NotThere`] when they have no role there, [`Refusal::NotAllowed`] when it is a lesser one.
    pub fn may(&self, tenant: &str, least: Role) -> Result<(), Refusal> {
        match self.role(tenant) {
            None => Err(Refusal::NotThere),
            Some(role) if role < least => Err(Refusal::NotAllowed),
            Some(_) => Ok(()),
        }
    }
}

/// Who has sent a request with these headers; `None` when nobody is signed in. The cookie is hashed before it is looked
/// up, so how long that takes tells nothing of any other cookie.
pub fn who(directory: &Directory, headers: &HeaderMap, now_ms: u64) -> Option<Who> {
    cookies(headers).find_map(|cookie| Who::of(directory, fingerprint(cookie), now_ms))
}

/// How a secret is kept: SHA-256 in base64.
pub fn fingerprint(secret: &str) -> String {
    STANDARD.encode(Sha256::digest(secret.as_bytes()))
}

/// What the request brings of our cookie, at most a few of them.
fn cookies(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs
        .filter(|(name, value)| *name == COOKIE_NAME && value.len() <= LONGEST)
        .map(|(_, value)| value)
        .take(4)
}
