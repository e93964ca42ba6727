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
use crate::store::{BoxRow, Directory, Role};
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
    /// What time it is there: an IANA name such as `Asia/Almaty`, or empty where nobody has said.
    #[serde(default)]
    pub time_zone: String,
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
            time_zone: time_zone(directory, link.tenant, link.site),
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

/// The site's time zone; without a site, that of the tenant's sites if all have the same.
fn time_zone(directory: &Directory, tenant: &str, site: &str) -> String {
    let sites = &directory.portal().sites;
    if let Some(site) = sites.get(site) {
        return site.time_zone.clone();
    }
    let mut zones = sites.iter().filter(|(_, row)| row.tenant == tenant).map(|(_, row)| &row.time_zone);
    let first = zones.next().cloned().unwrap_or_default();
    if zones.all(|zone| *zone == first) { first } else { String::new() }
}

/// The language of a reader: of his account, else of the tenant's owners if all speak the same.
fn language_of(directory: &Directory, tenant: &str, email: &str) -> words::Language {
    let people = &directory.portal().people;
    if let Some((_, person)) = people.iter().find(|(_, person)| person.email == email.to_lowercase()) {
        return words::Language::of(&person.language);
    }
    let owners = people.iter().filter(|(_, person)| person.roles.get(tenant) == Some(&Role::Owner));
    let mut languages = owners.map(|(_, person)| words::Language::of(&person.language));
    let first = languages.next().unwrap_or(words::Language::English);
    if languages.all(|language| language == first) { first } else { words::Language::English }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use model::Private;

    use super::*;
    use crate::store::{Person, Site};

    fn directory(sites: &[(&str, &str, &str)], people: &[(&str, &str, Role)]) -> Directory {
        let mut directory = Directory::default();
        let mut portal = directory.portal().clone();
        for (id, tenant, time_zone) in sites {
            let site = Site {
                tenant: (*tenant).to_owned(),
                name: String::new(),
                address: String::new(),
                time_zone: (*time_zone).to_owned(),
                window: None,
            };
            portal.sites.put(id, Some(site));
        }
        for (email, language, role) in people {
            let person = Person {
                email: (*email).to_owned(),
                name: String::new(),
                language: (*language).to_owned(),
                password: Private::default(),
                operator: false,
                roles: HashMap::from([("acme".to_owned(), *role)]),
            };
            portal.people.put(email, Some(person));
        }
        directory.set_portal(portal);
        directory
    }

    #[test]
    fn a_time_zone_is_the_sites_or_that_of_all_sites_of_the_tenant() {
        let sites =
            [("a", "acme", "Asia/Almaty"), ("b", "acme", "Asia/Almaty"), ("c", "rival", "Europe/Berlin")];
        let one = directory(&sites, &[]);
        assert_eq!(time_zone(&one, "acme", "a"), "Asia/Almaty");
        assert_eq!(time_zone(&one, "acme", ""), "Asia/Almaty", "a camera without a site");
        assert_eq!(time_zone(&one, "nobody", ""), "");
        let two = directory(&[sites[0], ("d", "acme", "Asia/Oral")], &[]);
        assert_eq!(
            (time_zone(&two, "acme", "d").as_str(), time_zone(&two, "acme", "")),
            ("Asia/Oral", String::new())
        );
    }

    #[test]
    fn a_reader_without_an_account_is_told_in_the_owners_language() {
        use words::Language::{English, Kazakh, Russian};
        let people = [("o@x.kz", "kk", Role::Owner), ("v@x.kz", "ru", Role::Viewer)];
        let one = directory(&[], &people);
        let of = |directory: &Directory, email| language_of(directory, "acme", email);
        assert_eq!((of(&one, "V@x.kz"), of(&one, "list@x.kz")), (Russian, Kazakh));
        let two = directory(&[], &[people[0], ("p@x.kz", "ru", Role::Owner)]);
        assert_eq!((of(&two, "list@x.kz"), of(&two, "o@x.kz")), (English, Kazakh), "the owners differ");
        assert_eq!(language_of(&one, "rival", "list@x.kz"), English);
    }
}
