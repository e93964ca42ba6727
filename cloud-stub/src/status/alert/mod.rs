//! Who is told of outages, in which words, and by what way.
//!
//! ```text
//! machine: when ─▶ Rules: who ─▶ a Message for each, in the store with the decision ─▶ post: tries ─▶ mail, hook
//! ```
//!
//! [`machine`] decides when; [`Rules`] who; [`words`] says it in the reader's language; [`mail`] and [`hook`] carry it. What is
//! to be said stays in the store until it was delivered, or was tried in vain for a while ([`post`]): a cloud that ends leaves it
//! to the next one.

pub mod hook;
pub mod machine;
pub mod mail;
mod message;
mod post;
mod rules;
mod words;

use std::sync::Arc;
use std::time::Duration;

use model::CameraId;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

pub use message::{Message, Way};
pub use post::TRIES;
pub use rules::{InvalidRules, Rules, Webhook};

use super::Reason;
use crate::hex::hex;
use crate::store::{BoxRow, Directory};
use hook::Hooks;
use machine::{Event, What};
use mail::Mailer;
use message::Reader;
use post::Hands;

/// Takes messages to people. A handle, cheap to clone.
#[derive(Clone)]
pub struct Courier(Arc<Inner>);

struct Inner {
    url: String,
    mailer: Option<Mailer>,
    hooks: Option<Hooks>,
    /// Between the tries of one message.
    tries: Vec<Duration>,
    hands: Hands,
}

/// Something that has happened, with the names that people know.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Notice {
    /// The same for the same news: whoever has heard it once need not hear it again.
    pub id: String,
    /// What.
    pub event: What,
    /// Whose.
    pub tenant: Named,
    /// Where; without a name where it has none.
    pub site: Named,
    /// The cameras that it is about.
    pub cameras: Vec<NamedCamera>,
    /// Those of the site that still have no picture.
    pub still: Vec<NamedCamera>,
    /// When it began, milliseconds since 1970.
    pub since_ms: u64,
    /// When it ended.
    pub until_ms: Option<u64>,
    /// Why.
    pub reason: Reason,
    /// When it was noticed.
    pub at_ms: u64,
}

/// An id and a name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Named {
    /// The id.
    pub id: String,
    /// The name.
    pub name: String,
}

/// A camera and its page.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NamedCamera {
    /// Its public id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Its page.
    pub url: String,
}

impl Courier {
    /// A courier. `url` is where links begin.
    pub fn new(url: String, mailer: Option<Mailer>, hooks: Hooks, tries: Vec<Duration>) -> Self {
        Self(Arc::new(Inner { url, mailer, hooks: Some(hooks), tries, hands: Hands::default() }))
    }

    /// One that takes nothing anywhere.
    pub fn silent(url: String) -> Self {
        let hands = Hands::default();
        Self(Arc::new(Inner { url, mailer: None, hooks: None, tries: Vec::new(), hands }))
    }

    /// Whether webhooks may be in the operator's own network.
    pub fn allows_private(&self) -> bool {
        self.0.hooks.as_ref().is_some_and(Hooks::allows_private)
    }

    /// Whether mail can be sent at all.
    pub fn has_mail(&self) -> bool {
        self.0.mailer.is_some()
    }

    /// What everybody who is to hear of an event is to be told, to be delivered by the cloud of this id (empty: there is one).
    pub fn messages(
        &self,
        directory: &Directory,
        holder: &str,
        event: &Event,
        now: u64,
        cloud: &str,
    ) -> Vec<Message> {
        let Some(notice) = self.notice(directory, holder, event, now) else { return Vec::new() };
        let Ok(json) = serde_json::to_string(&notice) else { return Vec::new() };
        let rules = Rules::of(directory, &notice.tenant.id);
        let mails = rules.emails.into_iter().map(Reader::Mail).filter(|_| self.0.mailer.is_some());
        let hooks = rules.webhooks.into_iter().map(Reader::Hook).filter(|_| self.0.hooks.is_some());
        mails.chain(hooks).map(|reader| Message::new(&notice, &json, &reader, cloud)).collect()
    }

    fn notice(&self, directory: &Directory, holder: &str, event: &Event, now: u64) -> Option<Notice> {
        let portal = directory.portal();
        let link = event.cameras.iter().chain(&event.still).find_map(|id| directory.link(id.as_str()))?;
        let tenant = portal.tenants.get(link.tenant)?;
        let from = holder.parse().ok().and_then(|id| directory.by_id(&id));
        let camera = |id: &CameraId| {
            let name = directory.link(id.as_str()).map(|link| link.title().to_owned());
            NamedCamera {
                id: id.to_string(),
                name: name.unwrap_or_else(|| id.to_string()),
                url: format!("{}/{id}/", self.0.url),
            }
        };
        let mut hash = Sha256::new();
        for part in [holder, &format!("{:?} {} {:?}", event.what, event.since_ms, event.cameras)] {
            hash.update(part.as_bytes());
        }
        let mut id = hex(&hash.finalize());
        id.truncate(32);
        Some(Notice {
            id,
            event: event.what,
            tenant: Named { id: link.tenant.to_owned(), name: tenant.name.clone() },
            site: site(directory, link.site, from),
            cameras: event.cameras.iter().map(camera).collect(),
            still: event.still.iter().map(camera).collect(),
            since_ms: event.since_ms,
            until_ms: event.until_ms,
            reason: event.reason,
            at_ms: now,
        })
    }
}

impl std::fmt::Debug for Courier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Courier").field("mail", &self.has_mail()).finish_non_exhaustive()
    }
}

/// What people call where it is: the site, else the box.
fn site(directory: &Directory, site: &str, from: Option<&Arc<BoxRow>>) -> Named {
    match (directory.portal().sites.get(site), from) {
        (Some(row), _) => Named { id: site.to_owned(), name: row.name.clone() },
        (None, Some(row)) => Named { id: String::new(), name: row.name.clone() },
        (None, None) => Named { id: String::new(), name: String::new() },
    }
}

fn language_of(directory: &Directory, email: &str) -> words::Language {
    let person = directory.portal().people.iter().find(|(_, person)| person.email == email.to_lowercase());
    person.map_or(words::Language::English, |(_, person)| words::Language::of(&person.language))
}
