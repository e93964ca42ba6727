//! The owner's claim of a code.
//!
//! A wrong code matches nothing, so wrong claims are counted for the session whose code begins with the same four
//! letters. Five of them, and the code is dead. Beside that, all wrong claims together are bounded in time.

use enrol::Code;
use model::BoxId;

use super::audit::{Audit, By};
use super::database::{Fields, Write};
use super::follow::SESSION;
use super::member::may_have;
use super::place::{NAME, its_site, text};
use super::session::{CODE_LIFE_S, Row, WRONG_CLAIMS};
use super::{Error, Refused, Store, tenant};

/// Wrong claims of all codes together in a [`WINDOW_MS`]. A guesser of 10,000 live codes then hits one with a chance of
/// 1 in 24,000 within 15 minutes.
const ALL_WRONG_CLAIMS: u64 = 30;
/// What the wrong claims of all codes are counted in, milliseconds.
const WINDOW_MS: u64 = 60_000;
/// Longest name of an owner, characters.
const OWNER: usize = 64;

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

/// What a claimed box is to be called, and where it is to stand; empty: nothing, nowhere in particular.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClaimWords {
    /// What people call it.
    pub name: String,
    /// The id of a site.
    pub site: String,
}

impl Store {
    /// The owner has typed a code. Claiming the same code by the same name again gives the same answer.
    ///
    /// # Errors
    /// [`Refused::NoCode`], [`Refused::TooManyClaims`], [`Refused::OtherOwner`], [`Refused::Revoked`],
    /// [`Refused::OwnerName`], or the database's.
    pub async fn claim(&self, code: &Code, owner: &str) -> Result<Claimed, Error> {
        self.claim_by(code, owner, &ClaimWords::default(), By::COMMAND_LINE).await
    }

    /// The same in a person's name, with what the box is to be called.
    ///
    /// # Errors
    /// As [`Store::claim`], and [`Refused::NotThere`] when the site is none of the tenant's.
    pub async fn claim_by(
        &self,
        code: &Code,
        owner: &str,
        words: &ClaimWords,
        by: By<'_>,
    ) -> Result<Claimed, Error> {
        const DOING: &str = "claim a code";
        let owner = owner_name(owner)?;
        let name = text(&words.name, 0, NAME)?;
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
                    tenant::make(&mut write, &owner, self.random(DOING)?, now).await?;
                    let tenant = tenant::id_of(&mut write, &owner).await?.unwrap_or_default();
                    its_site(&mut write, &tenant, &words.site).await?;
                    let update =
                        "UPDATE session SET owner = $2, expires_ms = $3, name = $4, site = $5 WHERE id = $1";
                    sqlx::query(update)
                        .bind(&row.id)
                        .bind(&owner)
                        .bind((now + u64::from(CODE_LIFE_S) * 1000) as i64)
                        .bind(&name)
                        .bind(&words.site)
                        .execute(&mut *write.tx)
                        .await
                        .map_err(error)?;
                    write.change(SESSION, &row.id, now).await?;
                    let (subject, tenant) = (row.box_id.as_str(), tenant.as_str());
                    let audit = Audit { by, tenant, what: "box.claim", subject, detail: &name };
                    self.audit(&mut write, audit).await?;
                    write.commit().await?;
                    self.0.nudge.notify_one();
                }
                Ok(Claimed { session: row.id, box_id: row.box_id, owner })
            })
            .await
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
pub(super) fn owner_name(name: &str) -> Result<String, Refused> {
    let name = name.trim();
    let fits = (1..=OWNER).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    if fits { Ok(name.to_owned()) } else { Err(Refused::OwnerName) }
}
