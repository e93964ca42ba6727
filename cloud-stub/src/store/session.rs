//! A box's attempt to enrol, and its code.
//!
//! A code is kept as a keyed hash only, and beside it the hash of its first four letters; no two live codes begin alike,
//! so that a wrong claim counts for one session at most.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use enrol::{Code, name128};
use model::BoxId;
use model::enrol::{Progress, Session};
use ring::hmac;
use sqlx::any::AnyRow;
use tokio::sync::Notify;

use super::database::{Fields, Write};
use super::directory::BoxState;
use super::follow::key;
use super::member::refuse_revoked;
use super::{Error, Refused, Store, lock};

/// How long a code can be claimed, and a claimed session be joined, seconds (UPDATES.md, Enrolment).
pub const CODE_LIFE_S: u32 = 15 * 60;
/// Wrong claims that kill a code.
pub(super) const WRONG_CLAIMS: u64 = 5;
/// Most sessions that wait at a time. Half as many as there are beginnings of codes would make finding one slow.
const LIVE_SESSIONS: u64 = 20_000;
/// Most sessions of one box that wait at a time; a further one ends the oldest.
const LIVE_OF_BOX: i64 = 4;

/// A hello whose signature was found good.
#[derive(Debug, Clone)]
pub struct HelloWords<'a> {
    /// The box.
    pub box_id: &'a BoxId,
    /// Its Ed25519 public key.
    pub identity: [u8; 32],
    /// Its firmware's version.
    pub version: &'a str,
    /// What makes this hello different from all others.
    pub nonce: &'a str,
}

/// A session, for whoever knows its name.
#[derive(Debug, Clone)]
pub struct SessionRow {
    /// Its name.
    pub id: String,
    /// The box that said hello.
    pub box_id: BoxId,
    /// The Ed25519 public key that it said hello with.
    pub identity: [u8; 32],
    /// How far it has come.
    pub progress: Progress,
    /// Who has claimed it.
    pub owner: Option<String>,
}

/// A row of the table `session`.
pub(super) struct Row {
    pub(super) id: String,
    pub(super) box_id: BoxId,
    pub(super) identity: [u8; 32],
    pub(super) version: String,
    pub(super) wrong_claims: u64,
    pub(super) expires_ms: u64,
    pub(super) owner: Option<String>,
    pub(super) joined: bool,
    pub(super) name: String,
    pub(super) site: String,
}

impl Store {
    /// Begins a session and makes its code.
    ///
    /// # Errors
    /// [`Refused::Revoked`], [`Refused::Repeated`], [`Refused::TooManySessions`], or the database's.
    pub async fn hello(&self, hello: HelloWords<'_>) -> Result<Session, Error> {
        const DOING: &str = "begin a session";
        let database = &self.0.database;
        database
            .within(DOING, async {
                let now = self.now_ms();
                let mut write = database.write(DOING).await?;
                let error = write.error();
                refuse_revoked(&mut write, hello.box_id).await?;
                let repeated = "SELECT COUNT(*) FROM session WHERE box_id = $1 AND nonce = $2";
                let repeated: i64 = sqlx::query_scalar(repeated)
                    .bind(hello.box_id.as_str())
                    .bind(hello.nonce)
                    .fetch_one(&mut *write.tx)
                    .await
                    .map_err(error)?;
                if repeated != 0 {
                    return Err(Refused::Repeated.into());
                }
                let live = "SELECT COUNT(*) FROM session WHERE owner IS NULL AND expires_ms > $1";
                let live: i64 =
                    sqlx::query_scalar(live).bind(now as i64).fetch_one(&mut *write.tx).await.map_err(error)?;
                if live as u64 >= LIVE_SESSIONS {
                    return Err(Refused::TooManySessions.into());
                }
                let older = "UPDATE session SET expires_ms = $2 WHERE box_id = $1 AND owner IS NULL AND expires_ms > $2 \
                             AND id NOT IN (SELECT id FROM session WHERE box_id = $1 AND owner IS NULL \
                             ORDER BY expires_ms DESC LIMIT $3)";
                sqlx::query(older)
                    .bind(hello.box_id.as_str())
                    .bind(now as i64)
                    .bind(LIVE_OF_BOX - 1)
                    .execute(&mut *write.tx)
                    .await
                    .map_err(error)?;

                let (code, head) = self.new_code(&mut write, now).await?;
                let id = name128(self.random(DOING)?);
                let insert = "INSERT INTO session (id, box_id, identity, version, nonce, code_hash, code_head, wrong_claims, \
                              expires_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8)";
                sqlx::query(insert)
                    .bind(&id)
                    .bind(hello.box_id.as_str())
                    .bind(STANDARD.encode(hello.identity))
                    .bind(hello.version)
                    .bind(hello.nonce)
                    .bind(self.hash(code.letters()))
                    .bind(head)
                    .bind((now + u64::from(CODE_LIFE_S) * 1000) as i64)
                    .execute(&mut *write.tx)
                    .await
                    .map_err(error)?;
                write.commit().await?;
                Ok(Session { session: id, code: code.to_string(), expires_in_s: CODE_LIFE_S })
            })
            .await
    }

    /// How far a session has come.
    ///
    /// # Errors
    /// [`Refused::NoSession`], [`Refused::Revoked`], or the database's.
    pub async fn session(&self, id: &str) -> Result<SessionRow, Error> {
        const DOING: &str = "look for a session";
        let database = &self.0.database;
        database
            .within(DOING, async {
                let query = "SELECT session.*, boxes.state AS box_state FROM session \
                             LEFT JOIN boxes ON boxes.id = session.box_id WHERE session.id = $1";
                let row = sqlx::query(query)
                    .bind(id)
                    .fetch_optional(database.pool())
                    .await
                    .map_err(database.error(DOING))?
                    .ok_or(Refused::NoSession)?;
                if Fields::new(&row, DOING).maybe_text("box_state")?.as_deref()
                    == Some(BoxState::Revoked.name())
                {
                    return Err(Refused::Revoked.into());
                }
                let row = Row::read(&row, DOING)?;
                let progress = row.progress(self.now_ms());
                let (id, box_id, identity, owner) = (row.id, row.box_id, row.identity, row.owner);
                Ok(SessionRow { id, box_id, identity, progress, owner })
            })
            .await
    }

    /// Something that is notified when the session has moved. Take it before asking how far the session is.
    pub fn movement(&self, session: &str) -> Movement {
        let mut waiting = lock(&self.0.waiting);
        let notify = waiting.entry(session.to_owned()).or_default().clone();
        Movement { store: self.clone(), session: session.to_owned(), notify }
    }

    /// A code whose first four letters no live code has, and the hash of these.
    async fn new_code(&self, write: &mut Write, now: u64) -> Result<(Code, String), Error> {
        let error = write.error();
        // With LIVE_SESSIONS codes alive, 16 beginnings in a row are taken once in 10^19 times.
        for _ in 0..16 {
            let code = Code::from_random(self.random(write.doing())?);
            let head = self.head(&code);
            let taken = "SELECT COUNT(*) FROM session WHERE code_head = $1 AND expires_ms > $2";
            let taken: i64 = sqlx::query_scalar(taken)
                .bind(&head)
                .bind(now as i64)
                .fetch_one(&mut *write.tx)
                .await
                .map_err(error)?;
            if taken == 0 {
                return Ok((code, head));
            }
        }
        Err(Refused::TooManySessions.into())
    }

    /// How a code is kept.
    pub(super) fn hash(&self, letters: &str) -> String {
        STANDARD.encode(hmac::sign(&self.0.codes, letters.as_bytes()))
    }

    /// How the beginning of a code is kept.
    pub(super) fn head(&self, code: &Code) -> String {
        self.hash(code.letters().get(..4).unwrap_or_default())
    }
}

/// Waits for a session to move; forgotten when dropped.
#[derive(Debug)]
pub struct Movement {
    store: Store,
    session: String,
    notify: Arc<Notify>,
}

impl Movement {
    /// Completes when the session moves. Begin to wait before asking how far it is.
    pub fn moved(&self) -> tokio::sync::futures::Notified<'_> {
        self.notify.notified()
    }
}

impl Drop for Movement {
    fn drop(&mut self) {
        let mut waiting = lock(&self.store.0.waiting);
        // One is the table's, one is ours.
        if Arc::strong_count(&self.notify) <= 2 {
            waiting.remove(&self.session);
        }
    }
}

impl Row {
    pub(super) fn read(row: &AnyRow, doing: &'static str) -> Result<Self, Error> {
        let row = Fields::new(row, doing);
        Ok(Self {
            id: row.text("id")?,
            box_id: row.parsed("box_id")?,
            identity: key(&row.text("identity")?)?,
            version: row.text("version")?,
            wrong_claims: row.number("wrong_claims")?,
            expires_ms: row.number("expires_ms")?,
            owner: row.maybe_text("owner")?,
            joined: row.maybe_number("joined_ms")?.is_some(),
            name: row.text("name")?,
            site: row.text("site")?,
        })
    }

    pub(super) fn progress(&self, now_ms: u64) -> Progress {
        let left_ms = self.expires_ms.saturating_sub(now_ms);
        match &self.owner {
            _ if self.joined => Progress::Joined,
            _ if left_ms == 0 => Progress::Expired,
            Some(owner) => Progress::Claimed { owner: owner.clone() },
            None if self.wrong_claims >= WRONG_CLAIMS => Progress::Expired,
            None => Progress::Waiting { expires_in_s: left_ms.div_ceil(1000) as u32 },
        }
    }
}
