//! Delivers what waits in the store: each message by one cloud at a time, a few times, and not for ever.
//!
//! A try is written before it is made, and with it when the next one is due, so that a cloud which ends in the middle of one
//! leaves the message to whoever follows. While its holder lives, no other cloud touches it. What was delivered is forgotten;
//! should the database be gone just then, this process remembers it and sends nothing twice.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::message::Reader;
use super::{Courier, Message, Notice, Rules, language_of, words};
use crate::store::{Directory, Error, Store};

/// Between the tries of one message.
pub const TRIES: [Duration; 5] = [
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(120),
    Duration::from_secs(600),
    Duration::from_secs(3600),
];
/// News that are older than this are none, milliseconds.
const OLD_MS: u64 = 24 * 3_600_000;
/// Messages under way at a time.
const SEATS: usize = 64;

/// What this process has in its hands.
#[derive(Default)]
pub(super) struct Hands {
    /// Messages that are being delivered.
    under_way: Mutex<HashSet<String>>,
    /// Those that are over and not forgotten yet, for the database is gone.
    over: Mutex<HashSet<String>>,
}

/// What a message in the store comes to.
enum Fate {
    /// It is tried, as this to this reader.
    Try(Box<Notice>, Reader),
    /// Nobody is to hear it any more.
    Moot,
    /// It was tried often enough, or is too old.
    Late,
}

/// Why somebody does not hear.
struct Undelivered {
    why: String,
    /// The operator is to know at once: the fault lies with him, or with a certificate.
    warn: bool,
}

impl Courier {
    /// Begins what is due: of this cloud's messages and, with `alive`, of those whose holder is not among these other clouds.
    /// Returns when all of it is under way.
    ///
    /// # Errors
    /// The database's; it is due the next time as well.
    pub async fn deliver(
        &self,
        store: &Store,
        directory: &Directory,
        cloud: &str,
        alive: Option<&[&str]>,
        now: u64,
    ) -> Result<(), Error> {
        if self.0.hooks.is_none() {
            // It takes nothing anywhere.
            return Ok(());
        }
        let hands = &self.0.hands;
        let over: Vec<String> = lock(&hands.over).iter().cloned().collect();
        store.forget_messages(&over).await?;
        lock(&hands.over).retain(|id| !over.contains(id));
        let busy = lock(&hands.under_way).clone();
        let free = SEATS.saturating_sub(busy.len());
        if free == 0 {
            return Ok(());
        }
        let mut due = store.messages(cloud, alive, now, free + busy.len()).await?;
        due.retain(|message| !busy.contains(&message.id));
        due.truncate(free);
        let (mut tried, mut readers, mut gone) = (Vec::new(), Vec::new(), Vec::new());
        for message in due {
            match self.fate(&message, directory, now) {
                Fate::Try(notice, reader) => {
                    let next = self.pause_ms(message.tries).saturating_add(now);
                    readers.push((message.id.clone(), notice, reader));
                    tried.push((message, next));
                }
                Fate::Moot => gone.push(message.id),
                Fate::Late => {
                    let (way, tries) = (message.way.name(), message.tries);
                    tracing::warn!(
                        way,
                        tries,
                        "a message was given up: it is too old, or was tried too often"
                    );
                    gone.push(message.id);
                }
            }
        }
        store.forget_messages(&gone).await?;
        let taken = store.try_messages(tried, cloud).await?;
        for message in taken {
            let Some(place) = readers.iter().position(|(id, ..)| *id == message.id) else { continue };
            let (_, notice, reader) = readers.swap_remove(place);
            lock(&hands.under_way).insert(message.id.clone());
            let (courier, store) = (self.clone(), store.clone());
            let language = match &reader {
                Reader::Mail(email) => language_of(directory, &message.tenant, email),
                Reader::Hook(_) => words::Language::English,
            };
            tokio::spawn(async move {
                courier.hand_over(&store, &message, &notice, &reader, language).await;
                lock(&courier.0.hands.under_way).remove(&message.id);
            });
        }
        Ok(())
    }

    /// Returns when nothing is under way any more, or after this time.
    pub async fn settle(&self, most: Duration) {
        let settled = async {
            while !lock(&self.0.hands.under_way).is_empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        // What is left then is the next process's.
        let _ = tokio::time::timeout(most, settled).await;
    }

    fn fate(&self, message: &Message, directory: &Directory, now: u64) -> Fate {
        let over = lock(&self.0.hands.over).contains(&message.id);
        let reader = message.reader(Rules::of(directory, &message.tenant)).filter(|_| !over);
        let Some(reader) = reader else { return Fate::Moot };
        let notice = serde_json::from_str(&message.notice);
        let old = now.saturating_sub(message.made_ms) >= OLD_MS;
        match notice {
            Ok(notice) if !old && message.tries as usize <= self.0.tries.len() => {
                Fate::Try(Box::new(notice), reader)
            }
            _ => Fate::Late,
        }
    }

    /// From the beginning of a try, the first being 0, until the next is due. The last one is followed by none: then it is
    /// given up.
    fn pause_ms(&self, tries: u32) -> u64 {
        let pause = self.0.tries.get(tries as usize).or(self.0.tries.last());
        pause.map_or(0, |pause| u64::try_from(pause.as_millis()).unwrap_or(u64::MAX))
    }

    /// One try, and what follows from it.
    async fn hand_over(
        &self,
        store: &Store,
        message: &Message,
        notice: &Notice,
        reader: &Reader,
        language: words::Language,
    ) {
        let what = if matches!(reader, Reader::Mail(_)) { "a mail" } else { "a webhook's message" };
        let last = message.tries as usize > self.0.tries.len();
        match self.carry(notice, reader, language).await {
            Ok(()) => {}
            Err(Undelivered { why, .. }) if last => tracing::warn!("{what} was not delivered: {why}"),
            Err(Undelivered { why, warn }) => {
                if warn && message.tries == 1 {
                    tracing::warn!("{what} was not delivered yet: {why}");
                } else {
                    tracing::debug!("{what} was not delivered yet: {why}");
                }
                return;
            }
        }
        if store.forget_messages(std::slice::from_ref(&message.id)).await.is_err() {
            lock(&self.0.hands.over).insert(message.id.clone());
        }
    }

    async fn carry(
        &self,
        notice: &Notice,
        reader: &Reader,
        language: words::Language,
    ) -> Result<(), Undelivered> {
        match (reader, &self.0.mailer, &self.0.hooks) {
            (Reader::Mail(email), Some(mailer), _) => {
                let (subject, text) = words::mail(notice, language);
                let sent = mailer.send(email, &subject, text).await;
                sent.map_err(|error| Undelivered { why: error.to_string(), warn: true })
            }
            (Reader::Hook(webhook), _, Some(hooks)) => {
                let sentence = words::sentence(notice, words::Language::English);
                let sent = hooks.post(webhook, notice, &sentence).await;
                let warn = |error| matches!(error, super::hook::Error::Certificate);
                sent.map_err(|error| Undelivered { why: error.to_string(), warn: warn(error) })
            }
            _ => Err(Undelivered { why: "no mail server is configured ([mail])".to_owned(), warn: true }),
        }
    }
}

/// Nobody leaves a half-made value behind: a poisoned lock is used as it is.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
