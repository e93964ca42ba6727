//! The box's end of the socket pair to the page's process: each question is answered by itself, so that a slow camera holds back
//! no other answer.
//!
//! The page's process reads what browsers send, so it is not trusted with more than the owner is: lines are limited, and a line
//! that is no question ends the link (the process is started again then).

use std::sync::Arc;
use std::time::Duration;

use camera::errand::{self, Errand, Outcome};
use model::{CameraId, Private};
use setup::desk::{Answer, Ask, Asked, Channel, Encoder, LINE_BYTES, Refusal, Replied, Reply};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinSet;
use zeroize::Zeroizing;

use super::roster::cleaned;
use super::{Owner, refusal};
use crate::cloud::OwnersAnswer;
use crate::logins::millis;
use crate::state::lock;
use crate::updater::Phase;

/// Questions under way at a time; what comes beyond waits in the socket.
const AT_ONCE: usize = 32;
/// Most characters of an argon2id string.
const HASH: usize = 512;
/// Smallest and largest cap, kbit/s, as in the configuration.
const CAP: std::ops::RangeInclusive<u32> = 64..=10_000_000;
/// An answer that nobody takes for so long ends the link.
const SEND_TIME: Duration = Duration::from_secs(10);

/// Answers the page's process until it leaves, or says what is no question.
pub(crate) async fn serve(socket: UnixStream, owner: Owner) {
    let (read, write) = socket.into_split();
    let write = Arc::new(Mutex::new(write));
    let seats = Arc::new(Semaphore::new(AT_ONCE));
    let mut reader = BufReader::new(read);
    let mut under_way = JoinSet::new();
    let mut line = Zeroizing::new(Vec::new());
    loop {
        let Ok(seat) = seats.clone().acquire_owned().await else { return };
        line.clear();
        let length = (&mut reader).take(LINE_BYTES as u64).read_until(b'\n', &mut line).await;
        if !length.is_ok_and(|length| length > 0) || !line.ends_with(b"\n") {
            return;
        }
        let Ok(Asked { id, ask }) = serde_json::from_slice(&line) else {
            tracing::warn!("the set-up page's process asked what is no question");
            return;
        };
        while under_way.try_join_next().is_some() {}
        let (owner, write) = (owner.clone(), write.clone());
        under_way.spawn(async move {
            let reply = owner.answer(ask).await;
            send(&write, &Replied { id, reply }).await;
            drop(seat);
        });
    }
}

/// Sends one answer. One that cannot be sent is lost: whoever reads the socket learns that the other end is gone.
async fn send(write: &Mutex<OwnedWriteHalf>, replied: &Replied) {
    let line = |replied: &Replied| {
        let mut line = serde_json::to_vec(replied).unwrap_or_default();
        line.push(b'\n');
        Zeroizing::new(line)
    };
    let mut bytes = line(replied);
    if bytes.len() > LINE_BYTES {
        let reply = Err(refusal("too_large", "The answer is too large to be shown."));
        bytes = line(&Replied { id: replied.id, reply });
    }
    let mut write = write.lock().await;
    if !matches!(tokio::time::timeout(SEND_TIME, write.write_all(&bytes)).await, Ok(Ok(()))) {
        // Half a line is no answer: nothing more can be said on this link.
        let _ = write.shutdown().await;
    }
}

impl Owner {
    /// Does what is asked.
    async fn answer(&self, ask: Ask) -> Reply {
        let done = |outcome: Result<(), Refusal>| outcome.map(|()| Answer::Done);
        match ask {
            Ask::Start => Ok(self.greet()),
            Ask::SetPassword { hash } => done(self.set_password(hash)),
            Ask::SignedIn { peer } => {
                self.event("signed_in", None, format!("The owner signed in from {peer}."));
                Ok(Answer::Done)
            }
            Ask::SetSite { language, name } => done(self.keep(|core| {
                core.language = language.or(core.language);
                if let Some(name) = name {
                    core.name = cleaned(&name);
                }
            })),
            Ask::Overview => Ok(Answer::Overview(Box::new(self.overview()))),
            Ask::Add { picks, login } => {
                let outcomes = self.add(picks, login).await;
                for id in outcomes.iter().flatten() {
                    let (owner, id) = (self.clone(), id.clone());
                    tokio::spawn(async move { owner.ask_channels(&id).await });
                }
                Ok(Answer::Added { outcomes })
            }
            Ask::Change { id, change } => done(self.alter(&id, change).await),
            Ask::Order { ids } => done(self.order(ids).await),
            Ask::Remove { id } => done(self.remove(&id).await),
            Ask::Inspect { id } => match self.errand(&id, Errand::Inspect).await? {
                Outcome::Encoder(encoder) => Ok(Answer::Encoder(shown(&encoder))),
                _ => Err(unexpected()),
            },
            Ask::Improve { id } => match self.errand(&id, Errand::Improve).await? {
                Outcome::Improved { before, after } => {
                    self.event("camera_changed", Some(&id), format!("{id} was set for browsers."));
                    Ok(Answer::Improved { before: shown(&before), after: shown(&after) })
                }
                _ => Err(unexpected()),
            },
            Ask::Snapshot { id } => {
                let source = self.source(&id)?;
                Ok(Answer::Snapshot { jpeg: self.0.errands.picture(&source).await? })
            }
            Ask::Reach { key } => done(self.reach(key).await),
            Ask::Join { session, accept } => {
                let answered = self.0.shared.cloud().answer(OwnersAnswer { session, accept });
                done(answered.map_err(|error| refusal("not_asked", &error.to_string())))
            }
            Ask::SetUplink { kbps } => done(self.set_uplink(kbps)),
            Ask::SetTime { unix_ms } => {
                let told = self.0.time.told_by_phone(Duration::from_millis(unix_ms));
                done(told.map_err(|error| refusal("time_known", &error.to_string())))
            }
            Ask::Update { in_s } => done(self.restart_into_update(in_s)),
            Ask::Events => Ok(Answer::Events { events: self.0.events.list() }),
            Ask::Diagnostics => Ok(Answer::Diagnostics { text: self.diagnostics() }),
            Ask::Restart => {
                self.restart();
                Ok(Answer::Done)
            }
            Ask::FactoryReset => done(self.forget_all().map_err(|error| Refusal {
                code: "cannot_keep".to_owned(),
                sentence: format!("The box cannot delete what it knows ({error}): restart it and try again."),
            })),
        }
    }

    fn greet(&self) -> Answer {
        self.0.store.with(|core| Answer::Start {
            password: core.password.as_ref().map(|hash| hash.expose().clone()),
            language: core.language,
            name: core.name.clone(),
            up_ms: millis(self.0.shared.uptime()),
        })
    }

    fn set_password(&self, hash: String) -> Result<(), Refusal> {
        // Whatever it is, no plain password may ever be kept here.
        if !hash.starts_with("$argon2id$") || hash.len() > HASH {
            return Err(refusal("bad_hash", "The password could not be kept: try again."));
        }
        self.keep(|core| core.password = Some(Private::new(hash)))?;
        self.event("password_set", None, "The password of this page was set.".to_owned());
        Ok(())
    }

    fn set_uplink(&self, kbps: Option<u32>) -> Result<(), Refusal> {
        if kbps.is_some_and(|kbps| !CAP.contains(&kbps)) {
            return Err(refusal("bad_cap", "A limit is between 64 kbit/s and 10 Gbit/s."));
        }
        self.keep(|core| core.uplink_kbps = Some(kbps))?;
        self.0.shared.cloud().set_cap(kbps.map(|kbps| u64::from(kbps) * 1000));
        Ok(())
    }

    /// The guard restarts the machine, so without one there is nothing to wish for.
    fn restart_into_update(&self, in_s: u32) -> Result<(), Refusal> {
        let systems = self.0.shared.systems();
        let complete = systems
            .updater()
            .is_some_and(|updater| updater.version.is_some() && updater.phase != Phase::Installing);
        if !complete || systems.guard().is_none() {
            return Err(refusal("no_update", "No new version waits for a restart."));
        }
        systems.set_wish(Duration::from_secs(u64::from(in_s).min(update::restart::LATER_S)));
        self.event(
            "update_chosen",
            None,
            match in_s {
                0 => "The owner wants the new version now.".to_owned(),
                _ => "The owner wants the new version later.".to_owned(),
            },
        );
        Ok(())
    }

    async fn errand(&self, id: &CameraId, errand: Errand) -> Result<Outcome, Refusal> {
        let source = self.source(id)?;
        self.0.errands.run(&source, errand).await
    }

    async fn reach(&self, key: String) -> Result<(), Refusal> {
        let reach = lock(&self.0.reach).clone();
        let Some(reach) = reach else {
            return Err(refusal(
                "no_search",
                "The box does not look for cameras ([discovery] enabled), so it reaches none of another network.",
            ));
        };
        reach.reach(&key).await.map(drop).map_err(|refused| refusal(refused.code(), &refused.to_string()))
    }

    /// Asks whether a camera that was just added is a recorder, and for its pictures.
    async fn ask_channels(&self, id: &CameraId) {
        let kept = self.0.store.with(|core| core.camera(id).cloned());
        let Some(kept) = kept.filter(|kept| kept.channel.is_none()) else { return };
        let Some(key) = kept.device else { return };
        if lock(&self.0.channels).contains_key(&key) {
            return;
        }
        if let Ok(Outcome::Channels { channels }) = self.errand(id, Errand::Channels).await
            && channels.len() > 1
        {
            let first = channels.first().map(|channel| channel.token.clone());
            let channels =
                channels.into_iter().map(|channel| Channel { token: channel.token, name: channel.name });
            lock(&self.0.channels).insert(key, channels.collect());
            // What is streamed of it already is the first one: it is not to be added once more.
            let _ = self.keep(|core| {
                if let Some(kept) = core.camera_mut(id) {
                    kept.channel = kept.channel.take().or(first);
                }
            });
        }
    }
}

fn shown(encoder: &errand::Encoder) -> Encoder {
    Encoder {
        encoding: encoder.encoding.clone(),
        width: encoder.width,
        height: encoder.height,
        fps: encoder.fps,
        gop: encoder.gop,
        bit_rate_kbps: encoder.bit_rate_kbps,
        improvable: encoder.improvable,
    }
}

fn unexpected() -> Refusal {
    refusal("protocol", "The camera's answer could not be understood: try again.")
}
