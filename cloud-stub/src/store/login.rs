//! Browsers that are signed in. Their cookies are kept as fingerprints only. A login ends 30 days after its last day of
//! use, with its person, and with any other change of the person's password.

use model::Private;

use super::audit::{Audit, By};
use super::database::Write;
use super::portal::{Login, Row as _};
use super::{Error, Refused, Store};

/// How long a login lasts without being used, milliseconds.
pub const LOGIN_LIFE_MS: u64 = 30 * 24 * 3_600_000;
/// Most browsers of one person; a further one signs out the oldest.
const BROWSERS: i64 = 20;
/// Longest description of a browser, characters.
const BROWSER: usize = 120;

/// A browser that signs in.
#[derive(Debug, Clone)]
pub struct NewLogin {
    /// The fingerprint of its cookie.
    pub key: String,
    /// What its changes must bring along.
    pub csrf: Private<String>,
    /// What it calls itself.
    pub browser: String,
}

impl Store {
    /// Signs a person in whose password was found right; `hash` is the one that it was compared with.
    ///
    /// # Errors
    /// [`Refused::NotThere`] when the person or the password is another one by now, or the database's.
    pub async fn sign_in(
        &self,
        person: &str,
        hash: &Private<String>,
        login: &NewLogin,
        by: By<'_>,
    ) -> Result<(), Error> {
        const DOING: &str = "sign somebody in";
        self.writing(DOING, async {
            let mut write = self.0.database.write(DOING).await?;
            let error = write.error();
            let same: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM person WHERE id = $1 AND password = $2")
                .bind(person)
                .bind(hash.expose())
                .fetch_one(&mut *write.tx)
                .await
                .map_err(error)?;
            if same == 0 {
                return Err(Refused::NotThere.into());
            }
            begin(&mut write, person, login, self.now_ms()).await?;
            let audit = Audit { by, tenant: "", what: "person.sign_in", subject: person, detail: "" };
            self.audit(&mut write, audit).await?;
            write.commit().await
        })
        .await
    }

    /// Ends a login. One that is not there is ended already.
    ///
    /// # Errors
    /// The database's.
    pub async fn sign_out(&self, key: &str, by: By<'_>) -> Result<(), Error> {
        const DOING: &str = "sign somebody out";
        self.writing(DOING, async {
            let mut write = self.0.database.write(DOING).await?;
            end(&mut write, "secret = $1 AND secret <> $2", key, "", self.now_ms()).await?;
            let audit = Audit { by, tenant: "", what: "person.sign_out", subject: by.person, detail: "" };
            self.audit(&mut write, audit).await?;
            write.commit().await
        })
        .await
    }

    /// Lets a login that is used last on.
    ///
    /// # Errors
    /// The database's.
    pub async fn slide(&self, key: &str) -> Result<(), Error> {
        const DOING: &str = "keep somebody signed in";
        self.writing(DOING, async {
            let now = self.now_ms();
            let mut write = self.0.database.write(DOING).await?;
            let error = write.error();
            // What has ended stays ended.
            sqlx::query("UPDATE login SET expires_ms = $2 WHERE secret = $1 AND expires_ms > $3")
                .bind(key)
                .bind((now + LOGIN_LIFE_MS) as i64)
                .bind(now as i64)
                .execute(&mut *write.tx)
                .await
                .map_err(error)?;
            write.change(Login::WHAT, key, now).await?;
            write.commit().await
        })
        .await
    }
}

/// Begins a login.
pub(super) async fn begin(write: &mut Write, person: &str, login: &NewLogin, now: u64) -> Result<(), Error> {
    let error = write.error();
    let browser: String = login.browser.chars().filter(|char| !char.is_control()).take(BROWSER).collect();
    let insert = "INSERT INTO login (secret, person, csrf, made_ms, expires_ms, browser) \
                  VALUES ($1, $2, $3, $4, $5, $6)";
    sqlx::query(insert)
        .bind(&login.key)
        .bind(person)
        .bind(login.csrf.expose())
        .bind(now as i64)
        .bind((now + LOGIN_LIFE_MS) as i64)
        .bind(browser)
        .execute(&mut *write.tx)
        .await
        .map_err(error)?;
    write.change(Login::WHAT, &login.key, now).await?;
    let older = format!(
        "person = $1 AND secret <> $2 AND secret NOT IN \
         (SELECT secret FROM login WHERE person = $1 ORDER BY made_ms DESC, secret LIMIT {BROWSERS})"
    );
    end(write, &older, person, &login.key, now).await
}

/// Ends the logins that a condition on `$1` and `$2` names.
pub(super) async fn end(
    write: &mut Write,
    condition: &str,
    first: &str,
    second: &str,
    now: u64,
) -> Result<(), Error> {
    let error = write.error();
    let query = format!("DELETE FROM login WHERE {condition} RETURNING secret");
    let ended: Vec<String> =
        sqlx::query_scalar(&query).bind(first).bind(second).fetch_all(&mut *write.tx).await.map_err(error)?;
    for key in ended {
        write.change(Login::WHAT, &key, now).await?;
    }
    Ok(())
}

/// Ends all logins of a person but one.
pub(super) async fn end_others(write: &mut Write, person: &str, but: &str, now: u64) -> Result<(), Error> {
    end(write, "person = $1 AND secret <> $2", person, but, now).await
}

/// Forgets logins that have ended by themselves.
pub(super) async fn sweep(write: &mut Write, now: u64) -> Result<(), Error> {
    // A few at a time: each is a change that everybody reads.
    const SOME: i64 = 100;
    let error = write.error();
    let query = "DELETE FROM login WHERE secret IN \
                 (SELECT secret FROM login WHERE expires_ms < $1 LIMIT $2) RETURNING secret";
    let ended: Vec<String> = sqlx::query_scalar(query)
        .bind(now as i64)
        .bind(SOME)
        .fetch_all(&mut *write.tx)
        .await
        .map_err(error)?;
    for key in ended {
        write.change(Login::WHAT, &key, now).await?;
    }
    Ok(())
}
