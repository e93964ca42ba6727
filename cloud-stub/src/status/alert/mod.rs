//! Who is told of outages, in which words, and by what way.
//!
//! [`machine`] decides when; [`Rules`] who; [`words`] says it in the reader's language; [`mail`] and [`hook`] carry it. What
//! cannot be delivered is tried again for a while; what waits is bounded.

pub mod hook;
pub mod machine;
pub mod mail;
mod rules;
mod words;

use std::sync::Arc;
use std::time::Duration;

use model::CameraId;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

pub use rules::{InvalidRules, Rules, Webhook};

use crate::hex::hex;
use crate::store::{BoxRow, Directory};
use hook::Hooks;
use machine::{Event, What};
use mail::Mailer;

/// Messages under way or waiting for their next try.
const UNDER_WAY: usize = 500;
/// Between the tries of one message.
pub const TRIES: [Duration; 4] =
    [Duration::from_secs(5), Duration::from_secs(30), Duration::from_secs(120), Duration::from_secs(600)];

/// Takes messages to people. A handle, cheap to clone.
#[derive(Clone)]
pub struct Courier(Arc<Inner>);

struct Inner {
    url: String,
    mailer: Option<Mailer>,
    hooks: Option<Hooks>,
    tries: Vec<Duration>,
    room: Arc<Semaphore>,
}

/// Something that has happened, with the names that people know.
#[derive(Debug, Clone, Serialize)]
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
    /// Why: a word of [`crate::status::Reason`].
    pub reason: &'static str,
    /// When it was noticed.
    pub at_ms: u64,
}

/// How one message goes to one reader.
enum Way {
    Mail(String, words::Language),
    Hook(Webhook),
}

/// An id and a name.
#[derive(Debug, Clone, Serialize)]
pub struct Named {
    /// The id.
    pub id: String,
    /// The name.
    pub name: String,
}

/// A camera and its page.
#[derive(Debug, Clone, Serialize)]
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
        let room = Arc::new(Semaphore::new(UNDER_WAY));
        Self(Arc::new(Inner { url, mailer, hooks: Some(hooks), tries, room }))
    }

    /// One that takes nothing anywhere.
    pub fn silent(url: String) -> Self {
        let room = Arc::new(Semaphore::new(0));
        Self(Arc::new(Inner { url, mailer: None, hooks: None, tries: Vec::new(), room }))
    }

    /// Whether webhooks may be in the operator's own network.
    pub fn allows_private(&self) -> bool {
        self.0.hooks.as_ref().is_some_and(Hooks::allows_private)
    }

    /// Whether mail can be sent at all.
    pub fn has_mail(&self) -> bool {
        self.0.mailer.is_some()
    }

    /// Tells everybody who is to hear of an event. Returns at once.
    pub fn tell(&self, directory: &Directory, holder: &str, event: &Event, now: u64) {
        let Some(notice) = self.notice(directory, holder, event, now) else { return };
        let rules = Rules::of(directory, &notice.tenant.id);
        let notice = Arc::new(notice);
        if self.0.mailer.is_some() {
            for email in rules.emails {
                let language = language_of(directory, &email);
                self.spawn(Way::Mail(email, language), notice.clone());
            }
        }
        if self.0.hooks.is_some() {
            for webhook in rules.webhooks {
                self.spawn(Way::Hook(webhook), notice.clone());
            }
        }
    }

    /// Tries until it works, a few times.
    fn spawn(&self, way: Way, notice: Arc<Notice>) {
        let what = if matches!(way, Way::Mail(..)) { "a mail" } else { "a webhook's message" };
        let Ok(seat) = self.0.room.clone().try_acquire_owned() else {
            tracing::warn!("{what} is not sent: too many messages wait");
            return;
        };
        let courier = self.clone();
        tokio::spawn(async move {
            let _seat = seat;
            for pause in courier.0.tries.iter().map(Some).chain([None]) {
                match (courier.deliver(&way, &notice).await, pause) {
                    (Ok(()), _) => return,
                    (Err(error), None) => tracing::warn!("{what} was not delivered: {error}"),
                    (Err(error), Some(pause)) => {
                        tracing::debug!("{what} was not delivered yet: {error}");
                        tokio::time::sleep(*pause).await;
                    }
                }
            }
        });
    }

    async fn deliver(&self, way: &Way, notice: &Notice) -> Result<(), String> {
        match (way, &self.0.mailer, &self.0.hooks) {
            (Way::Mail(email, language), Some(mailer), _) => {
                let (subject, text) = words::mail(notice, *language);
                mailer.send(email, &subject, text).await.map_err(|error| error.to_string())
            }
            (Way::Hook(webhook), _, Some(hooks)) => {
                let sentence = words::sentence(notice, words::Language::English);
                hooks.post(webhook, notice, &sentence).await.map_err(|error| error.to_string())
            }
            _ => Ok(()),
        }
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
            reason: event.reason.name(),
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
