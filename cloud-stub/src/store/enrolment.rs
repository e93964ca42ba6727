//! How a box comes in: session, code, claim, yes.
//!
//! A code is kept as a keyed hash only. A wrong code matches nothing, so wrong claims are counted for the session whose
//! code begins with the same four letters; no two live codes do. Five of them, and the code is dead. Beside that, all
//! wrong claims together are bounded in time. The yes is one transaction that may be repeated: whoever lost the answer
//! gets the same one again.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use enrol::{Code, name128};
use model::BoxId;
use model::enrol::{Join, Progress, Session};
use ring::hmac;
use sqlx::any::AnyRow;
use std::net::Ipv4Addr;
use tokio::sync::Notify;

use super::database::{Fields, Write};
use super::directory::BoxState;
use super::follow::{BOX, SESSION, key};
use super::{Error, Refused, Store, lock};

/// How long a code can be claimed, and a claimed session be joined, seconds (UPDATES.md, Enrolment).
pub const CODE_LIFE_S: u32 = 15 * 60;
/// Wrong claims that kill a code.
const WRONG_CLAIMS: u64 = 5;
/// Wrong claims of all codes together in a [`WINDOW_MS`]. A guesser of 10,000 live codes then hits one with a chance of
/// 1 in 24,000 within 15 minutes.
const ALL_WRONG_CLAIMS: u64 = 30;
/// What the wrong claims of all codes are counted in, milliseconds.
const WINDOW_MS: u64 = 60_000;
/// Most sessions that wait at a time. Half as many as there are beginnings of codes would make finding one slow.
const LIVE_SESSIONS: u64 = 20_000;
/// Most sessions of one box that wait at a time; a further one ends the oldest.
const LIVE_OF_BOX: i64 = 4;
/// Longest name of an owner, characters.
const OWNER: usize = 64;

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
}

/// What the owner's side learns of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// The session that has the code.
    pub session: String,
    /// The box that shows it.
    pub box_id: BoxId,
    /// The name it was claimed by, as it is kept.
    pub owner: String,
}

/// What the yes got the box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    /// Its address inside the tunnel, a /32.
    pub address: Ipv4Addr,
    /// Its owner.
    pub owner: String,
}

/// A row of the table `session`.
struct Row {
    id: String,
    box_id: BoxId,
    identity: [u8; 32],
    version: String,
    wrong_claims: u64,
    expires_ms: u64,
    owner: Option<String>,
    joined: bool,
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
                Ok(SessionRow { id: row.id, box_id: row.box_id, identity: row.identity, progress })
            })
            .await
    }

    /// Something that is notified when the session has moved. Take it before asking how far the session is.
    pub fn movement(&self, session: &str) -> Movement {
        let mut waiting = lock(&self.0.waiting);
        let notify = waiting.entry(session.to_owned()).or_default().clone();
        Movement { store: self.clone(), session: session.to_owned(), notify }
    }

    /// The owner has typed a code. Claiming the same code by the same name again gives the same answer.
    ///
    /// # Errors
    /// [`Refused::NoCode`], [`Refused::TooManyClaims`], [`Refused::OtherOwner`], [`Refused::Revoked`],
    /// [`Refused::OwnerName`], or the database's.
    pub async fn claim(&self, code: &Code, owner: &str) -> Result<Claimed, Error> {
        const DOING: &str = "claim a code";
        let owner = owner_name(owner)?;
        let database = &self.0.database;
        database
            .within(DOING, async {
                let now = self.now_ms();
                let mut write = database.write(DOING).await?;
                let error = write.error();
                let (wrong, since) = wrong_claims(&mut write, now).await?;
                if wrong >= ALL_WRONG_CLAIMS {
                    let retry_after_s = (since + WINDOW_MS).saturating_sub(now).div_ceil(1000);
                    return Err(Refused::TooManyClaims { retry_after_s }.into());
                }
                let found =
                    "SELECT * FROM session WHERE code_head = $3 AND code_hash = $1 AND expires_ms > $2";
                let found = sqlx::query(found)
                    .bind(self.hash(code.letters()))
                    .bind(now as i64)
                    .bind(self.head(code))
                    .fetch_optional(&mut *write.tx)
                    .await
                    .map_err(error)?;
                let row = found.as_ref().map(|row| Row::read(row, DOING)).transpose()?;
                let ours = row.filter(|row| match &row.owner {
                    None => row.wrong_claims < WRONG_CLAIMS,
                    Some(by) => *by == owner && !row.joined,
                });
                let Some(row) = ours else {
                    self.count_wrong_claim(&mut write, code, wrong, since, now).await?;
                    write.commit().await?;
                    return Err(Refused::NoCode.into());
                };
                may_have(&mut write, &row.box_id, &owner).await?;
                if row.owner.is_none() {
                    sqlx::query("UPDATE session SET owner = $2, expires_ms = $3 WHERE id = $1")
                        .bind(&row.id)
                        .bind(&owner)
                        .bind((now + u64::from(CODE_LIFE_S) * 1000) as i64)
                        .execute(&mut *write.tx)
                        .await
                        .map_err(error)?;
                    write.change(SESSION, &row.id, now).await?;
                    write.commit().await?;
                    self.0.nudge.notify_one();
                }
                Ok(Claimed { session: row.id, box_id: row.box_id, owner })
            })
            .await
    }

    /// The box has said yes; its signature was found good. One transaction finds the address, puts the peer in, and tells
    /// every hub. The same yes again gives the same answer; one with a new key changes the key.
    ///
    /// # Errors
    /// [`Refused`] in most of its forms, or the database's.
    pub async fn join(&self, join: &Join) -> Result<Admitted, Error> {
        const DOING: &str = "let a box join";
        let database = &self.0.database;
        database
            .within(DOING, async {
                let now = self.now_ms();
                let mut write = database.write(DOING).await?;
                let error = write.error();
                let row = sqlx::query("SELECT * FROM session WHERE id = $1 AND box_id = $2")
                    .bind(&join.session)
                    .bind(join.box_id.as_str())
                    .fetch_optional(&mut *write.tx)
                    .await
                    .map_err(error)?
                    .ok_or(Refused::NoSession)?;
                let session = Row::read(&row, DOING)?;
                refuse_revoked(&mut write, &session.box_id).await?;
                let owner = match session.progress(now) {
                    Progress::Waiting { .. } => return Err(Refused::NotClaimed.into()),
                    Progress::Expired => return Err(Refused::Expired.into()),
                    Progress::Claimed { owner } => owner,
                    Progress::Joined => session.owner.clone().ok_or(Refused::Expired)?,
                };
                if owner != join.owner {
                    return Err(Refused::OtherWords.into());
                }
                let member = member(&mut write, &session.box_id).await?;
                let admitted = match member {
                    Some(member) if session.joined => {
                        if member.session != session.id || member.state != BoxState::Active {
                            return Err(Refused::Expired.into());
                        }
                        if member.tunnel_key == join.tunnel_key {
                            return Ok(Admitted { address: member.address, owner: member.owner });
                        }
                        free_key(&mut write, join).await?;
                        change_box(&mut write, &session, join, &owner, member.enrolled_ms).await?;
                        Admitted { address: member.address, owner }
                    }
                    Some(member) => {
                        may_have(&mut write, &session.box_id, &owner).await?;
                        free_key(&mut write, join).await?;
                        if member.owner != owner {
                            // The links that the last owner knows must not show the new one's pictures.
                            sqlx::query("DELETE FROM camera WHERE box_id = $1")
                                .bind(session.box_id.as_str())
                                .execute(&mut *write.tx)
                                .await
                                .map_err(error)?;
                        }
                        change_box(&mut write, &session, join, &owner, now).await?;
                        Admitted { address: member.address, owner }
                    }
                    None => {
                        free_key(&mut write, join).await?;
                        let address = self.free_address(&mut write).await?;
                        add_box(&mut write, &session, join, &owner, address, now).await?;
                        Admitted { address, owner }
                    }
                };
                sqlx::query("INSERT INTO session_key (session, tunnel_key) VALUES ($1, $2)")
                    .bind(&session.id)
                    .bind(&join.tunnel_key)
                    .execute(&mut *write.tx)
                    .await
                    .map_err(error)?;
                sqlx::query("UPDATE session SET joined_ms = $2 WHERE id = $1")
                    .bind(&session.id)
                    .bind(now as i64)
                    .execute(&mut *write.tx)
                    .await
                    .map_err(error)?;
                write.change(BOX, session.box_id.as_str(), now).await?;
                write.change(SESSION, &session.id, now).await?;
                write.commit().await?;
                self.0.nudge.notify_one();
                Ok(admitted)
            })
            .await
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

    async fn count_wrong_claim(
        &self,
        write: &mut Write,
        code: &Code,
        wrong: u64,
        since: u64,
        now: u64,
    ) -> Result<(), Error> {
        let error = write.error();
        let nearest = "UPDATE session SET wrong_claims = wrong_claims + 1 WHERE code_head = $1 AND owner IS NULL AND \
                       expires_ms > $2";
        sqlx::query(nearest)
            .bind(self.head(code))
            .bind(now as i64)
            .execute(&mut *write.tx)
            .await
            .map_err(error)?;
        for (name, value) in [("wrong_claims", wrong + 1), ("wrong_claims_since", since)] {
            sqlx::query("UPDATE counter SET value = $2 WHERE name = $1")
                .bind(name)
                .bind(value as i64)
                .execute(&mut *write.tx)
                .await
                .map_err(error)?;
        }
        Ok(())
    }

    /// The lowest address that no box has.
    async fn free_address(&self, write: &mut Write) -> Result<Ipv4Addr, Error> {
        let (error, doing) = (write.error(), write.doing());
        let network = self.0.options.network;
        let all = network.boxes();
        let query = "SELECT COUNT(*) AS taken, MAX(address) AS highest, MIN(address) AS lowest FROM boxes \
                     WHERE address BETWEEN $1 AND $2";
        let row = sqlx::query(query)
            .bind(i64::from(*all.start()))
            .bind(i64::from(*all.end()))
            .fetch_one(&mut *write.tx)
            .await
            .map_err(error)?;
        let row = Fields::new(&row, doing);
        let first = u64::from(*all.start());
        let free = match (row.number("taken")?, row.maybe_number("highest")?, row.maybe_number("lowest")?) {
            (taken, Some(highest), Some(lowest)) if lowest == first => {
                if taken == highest - first + 1 {
                    highest + 1
                } else {
                    // There is a gap: the lowest address whose neighbour below is taken and which is not.
                    let gap = "SELECT MIN(below.address) + 1 FROM boxes AS below WHERE below.address BETWEEN $1 AND $2 \
                               AND NOT EXISTS (SELECT 1 FROM boxes WHERE boxes.address = below.address + 1)";
                    let gap: i64 = sqlx::query_scalar(gap)
                        .bind(i64::from(*all.start()))
                        .bind(i64::from(*all.end()))
                        .fetch_one(&mut *write.tx)
                        .await
                        .map_err(error)?;
                    gap as u64
                }
            }
            _ => first,
        };
        if free > u64::from(*all.end()) {
            return Err(Refused::PoolExhausted { network: network.to_string(), size: network.size() }.into());
        }
        u32::try_from(free).map(Ipv4Addr::from).map_err(|error| Error::broken(doing, error))
    }

    /// How a code is kept.
    fn hash(&self, letters: &str) -> String {
        STANDARD.encode(hmac::sign(&self.0.codes, letters.as_bytes()))
    }

    /// How the beginning of a code is kept.
    fn head(&self, code: &Code) -> String {
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
    fn read(row: &AnyRow, doing: &'static str) -> Result<Self, Error> {
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
        })
    }

    fn progress(&self, now_ms: u64) -> Progress {
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

/// What the table `boxes` has of a box that came in before.
struct Member {
    tunnel_key: String,
    address: Ipv4Addr,
    owner: String,
    state: BoxState,
    session: String,
    enrolled_ms: u64,
}

async fn member(write: &mut Write, id: &BoxId) -> Result<Option<Member>, Error> {
    let (error, doing) = (write.error(), write.doing());
    let row = sqlx::query("SELECT * FROM boxes WHERE id = $1")
        .bind(id.as_str())
        .fetch_optional(&mut *write.tx)
        .await
        .map_err(error)?;
    let Some(row) = row else { return Ok(None) };
    let fields = Fields::new(&row, doing);
    let (session, tunnel_key) = (fields.text("session")?, fields.text("tunnel_key")?);
    let row = super::follow::box_row(&row)?;
    let (address, owner, state, enrolled_ms) = (row.address, row.owner, row.state, row.enrolled_ms);
    Ok(Some(Member { tunnel_key, address, owner, state, session, enrolled_ms }))
}

/// A revoked identity is refused for good.
async fn refuse_revoked(write: &mut Write, id: &BoxId) -> Result<(), Error> {
    match member(write, id).await? {
        Some(member) if member.state == BoxState::Revoked => Err(Refused::Revoked.into()),
        _ => Ok(()),
    }
}

/// Whether this owner may have the box: nobody has it, its owner released it, or the owner is the same.
async fn may_have(write: &mut Write, id: &BoxId, owner: &str) -> Result<(), Error> {
    match member(write, id).await? {
        Some(member) if member.state == BoxState::Revoked => Err(Refused::Revoked.into()),
        Some(member) if member.state == BoxState::Active && member.owner != owner => {
            Err(Refused::OtherOwner { box_id: id.to_string() }.into())
        }
        _ => Ok(()),
    }
}

/// Whether the key is neither another box's nor an earlier one of this session.
async fn free_key(write: &mut Write, join: &Join) -> Result<(), Error> {
    let error = write.error();
    let of_others: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM boxes WHERE tunnel_key = $1 AND id <> $2")
        .bind(&join.tunnel_key)
        .bind(join.box_id.as_str())
        .fetch_one(&mut *write.tx)
        .await
        .map_err(error)?;
    if of_others != 0 {
        return Err(Refused::KeyTaken.into());
    }
    let earlier: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM session_key WHERE session = $1 AND tunnel_key = $2")
            .bind(&join.session)
            .bind(&join.tunnel_key)
            .fetch_one(&mut *write.tx)
            .await
            .map_err(error)?;
    if earlier != 0 { Err(Refused::Repeated.into()) } else { Ok(()) }
}

async fn change_box(
    write: &mut Write,
    session: &Row,
    join: &Join,
    owner: &str,
    enrolled_ms: u64,
) -> Result<(), Error> {
    let error = write.error();
    let update = "UPDATE boxes SET tunnel_key = $2, owner = $3, state = $4, enrolled_ms = $5, version = $6, session = $7 \
                  WHERE id = $1";
    sqlx::query(update)
        .bind(session.box_id.as_str())
        .bind(&join.tunnel_key)
        .bind(owner)
        .bind(BoxState::Active.name())
        .bind(enrolled_ms as i64)
        .bind(&session.version)
        .bind(&session.id)
        .execute(&mut *write.tx)
        .await
        .map_err(error)?;
    Ok(())
}

async fn add_box(
    write: &mut Write,
    session: &Row,
    join: &Join,
    owner: &str,
    address: Ipv4Addr,
    now: u64,
) -> Result<(), Error> {
    let error = write.error();
    let insert = "INSERT INTO boxes (id, identity, tunnel_key, address, owner, state, enrolled_ms, version, \
                  last_report_ms, session) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, $9)";
    sqlx::query(insert)
        .bind(session.box_id.as_str())
        .bind(STANDARD.encode(session.identity))
        .bind(&join.tunnel_key)
        .bind(i64::from(address.to_bits()))
        .bind(owner)
        .bind(BoxState::Active.name())
        .bind(now as i64)
        .bind(&session.version)
        .bind(&session.id)
        .execute(&mut *write.tx)
        .await
        .map_err(error)?;
    Ok(())
}

/// How many wrong claims there were in the present window, and when it began.
async fn wrong_claims(write: &mut Write, now: u64) -> Result<(u64, u64), Error> {
    let (error, doing) = (write.error(), write.doing());
    let query = "SELECT (SELECT value FROM counter WHERE name = 'wrong_claims') AS wrong, \
                 (SELECT value FROM counter WHERE name = 'wrong_claims_since') AS since";
    let row = sqlx::query(query).fetch_one(&mut *write.tx).await.map_err(error)?;
    let row = Fields::new(&row, doing);
    let (wrong, since) = (row.number("wrong")?, row.number("since")?);
    // A clock that went back begins a new window, too.
    let running = (since..since + WINDOW_MS).contains(&now);
    Ok(if running { (wrong, since) } else { (0, now) })
}

/// An owner's name as it is kept: without spaces around it.
fn owner_name(name: &str) -> Result<String, Refused> {
    let name = name.trim();
    let fits = (1..=OWNER).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    if fits { Ok(name.to_owned()) } else { Err(Refused::OwnerName) }
}
