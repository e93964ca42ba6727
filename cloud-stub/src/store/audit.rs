//! Who did what: a row for every change, written in the same transaction as the change itself, so that neither is there
//! without the other. It holds no secret: no password, cookie, code, key or invitation.

use std::net::IpAddr;

use enrol::name128;

use super::database::{Fields, Write};
use super::{Error, Store};

/// Longest detail that is kept, characters.
const DETAIL: usize = 300;

/// Who does something, and from where.
#[derive(Debug, Clone, Copy)]
pub struct By<'a> {
    /// The person's id; empty for the command line.
    pub person: &'a str,
    /// Where the request came from; `None` for the command line.
    pub address: Option<IpAddr>,
}

/// Something that was done.
#[derive(Debug, Clone, Copy)]
pub struct Audit<'a> {
    /// Who did it.
    pub by: By<'a>,
    /// The tenant's id; empty for what concerns the whole cloud.
    pub tenant: &'a str,
    /// What was done, such as `camera.change`.
    pub what: &'a str,
    /// The id of what it was done to.
    pub subject: &'a str,
    /// More about it, in words or JSON.
    pub detail: &'a str,
}

/// Something that was done, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audited {
    /// Its id.
    pub id: String,
    /// When, milliseconds since 1970.
    pub at_ms: u64,
    /// The person's id; empty for the command line.
    pub person: String,
    /// Where the request came from; empty for the command line.
    pub address: String,
    /// What was done.
    pub what: String,
    /// The id of what it was done to.
    pub subject: String,
    /// More about it.
    pub detail: String,
}

impl By<'static> {
    /// The operator at the command line.
    pub const COMMAND_LINE: Self = By { person: "", address: None };
}

impl Store {
    /// Notes what is being done, as a part of it.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn audit(&self, write: &mut Write, audit: Audit<'_>) -> Result<(), Error> {
        let error = write.error();
        let detail: String = audit.detail.chars().take(DETAIL).collect();
        let insert = "INSERT INTO audit (id, at_ms, tenant, person, address, what, subject, detail) \
                      VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
        sqlx::query(insert)
            .bind(name128(self.random(write.doing())?))
            .bind(self.now_ms() as i64)
            .bind(audit.tenant)
            .bind(audit.by.person)
            .bind(audit.by.address.map(|address| address.to_string()).unwrap_or_default())
            .bind(audit.what)
            .bind(audit.subject)
            .bind(detail)
            .execute(&mut *write.tx)
            .await
            .map_err(error)?;
        Ok(())
    }

    /// What was done in a tenant, newest first, at most `limit`; `before` is the time and id of the last one of the page
    /// before.
    ///
    /// # Errors
    /// The database's.
    pub async fn audited(
        &self,
        tenant: &str,
        before: Option<(u64, &str)>,
        limit: u32,
    ) -> Result<Vec<Audited>, Error> {
        const DOING: &str = "read what was done";
        let database = &self.0.database;
        let (at_ms, id) = before.unwrap_or((i64::MAX as u64, ""));
        let query = "SELECT * FROM audit WHERE tenant = $1 AND (at_ms < $2 OR (at_ms = $2 AND id < $3)) \
                     ORDER BY at_ms DESC, id DESC LIMIT $4";
        database
            .within(DOING, async {
                let rows = sqlx::query(query)
                    .bind(tenant)
                    .bind(i64::try_from(at_ms).unwrap_or(i64::MAX))
                    .bind(id)
                    .bind(i64::from(limit))
                    .fetch_all(database.pool())
                    .await
                    .map_err(database.error(DOING))?;
                let read = |row| {
                    let row = Fields::new(row, DOING);
                    Ok(Audited {
                        id: row.text("id")?,
                        at_ms: row.number("at_ms")?,
                        person: row.text("person")?,
                        address: row.text("address")?,
                        what: row.text("what")?,
                        subject: row.text("subject")?,
                        detail: row.text("detail")?,
                    })
                };
                rows.iter().map(read).collect()
            })
            .await
    }
}
