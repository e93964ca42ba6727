//! Who did what: a row for every change, written in the same transaction as the change itself, so that neither is there
//! without the other. It holds no secret: no password, cookie, code, key or invitation.

use std::net::IpAddr;

use enrol::name128;

use super::database::Write;
use super::{Error, Store};

/// Longest detail that is kept, characters.
const DETAIL: usize = 300;

/// Something that was done.
#[derive(Debug, Clone, Copy)]
pub struct Audit<'a> {
    /// The tenant's id; empty for what concerns the whole cloud.
    pub tenant: &'a str,
    /// The person's id; empty for the command line.
    pub person: &'a str,
    /// Where the request came from; `None` for the command line.
    pub address: Option<IpAddr>,
    /// What was done, such as `camera.change`.
    pub what: &'a str,
    /// The id of what it was done to.
    pub subject: &'a str,
    /// More about it, in words or JSON.
    pub detail: &'a str,
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
            .bind(audit.person)
            .bind(audit.address.map(|address| address.to_string()).unwrap_or_default())
            .bind(audit.what)
            .bind(audit.subject)
            .bind(detail)
            .execute(&mut *write.tx)
            .await
            .map_err(error)?;
        Ok(())
    }
}
