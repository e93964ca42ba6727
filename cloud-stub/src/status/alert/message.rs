//! What is to be said to one reader, as it is kept until it was delivered.
//!
//! A tenant's rules are asked again before each try: whoever is not in them any more hears nothing, and a webhook's address and
//! secret are kept there and nowhere else.

use sha2::{Digest as _, Sha256};

use super::{Notice, Rules, Webhook};
use crate::hex::hex;

/// Letters of a message's id, and of what stands for a webhook's address.
const LETTERS: usize = 32;

/// By what way a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    /// By SMTP.
    Mail,
    /// By POST.
    Hook,
}

impl Way {
    /// Its word in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mail => "mail",
            Self::Hook => "hook",
        }
    }

    /// The way of a word.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Mail, Self::Hook].into_iter().find(|way| way.name() == name)
    }
}

/// A message to one reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The same for the same news to the same reader, whichever cloud has decided it.
    pub id: String,
    /// The tenant's id.
    pub tenant: String,
    /// How it goes.
    pub way: Way,
    /// An address of mail, or what stands for a webhook's.
    pub reader: String,
    /// The [`Notice`], JSON.
    pub notice: String,
    /// When it was decided, milliseconds since 1970.
    pub made_ms: u64,
    /// The cloud that delivers it; empty where clouds share no database.
    pub holder: String,
    /// Tries that were begun.
    pub tries: u32,
    /// The next one is not before this, milliseconds since 1970.
    pub due_ms: u64,
}

/// Who hears a message.
pub(super) enum Reader {
    Mail(String),
    Hook(Webhook),
}

impl Message {
    /// Of a notice, to whoever is to hear it: at once, and never tried so far.
    pub(super) fn new(notice: &Notice, json: &str, reader: &Reader, holder: &str) -> Self {
        let (way, reader) = match reader {
            Reader::Mail(email) => (Way::Mail, email.clone()),
            Reader::Hook(webhook) => (Way::Hook, stand_in(webhook)),
        };
        Self {
            id: short([notice.id.as_str(), way.name(), &reader]),
            tenant: notice.tenant.id.clone(),
            way,
            reader,
            notice: json.to_owned(),
            made_ms: notice.at_ms,
            holder: holder.to_owned(),
            tries: 0,
            due_ms: notice.at_ms,
        }
    }

    /// Who hears it by these rules; `None`: nobody any more.
    pub(super) fn reader(&self, rules: Rules) -> Option<Reader> {
        match self.way {
            Way::Mail => rules.emails.into_iter().find(|email| *email == self.reader).map(Reader::Mail),
            Way::Hook => {
                rules.webhooks.into_iter().find(|hook| stand_in(hook) == self.reader).map(Reader::Hook)
            }
        }
    }
}

fn stand_in(webhook: &Webhook) -> String {
    short([webhook.url.expose().as_str()])
}

fn short<const N: usize>(parts: [&str; N]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let mut letters = hex(&hash.finalize());
    letters.truncate(LETTERS);
    letters
}
