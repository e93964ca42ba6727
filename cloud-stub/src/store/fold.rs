//! The fold of the fleet's events as it is kept: a copy of what follows from them, and worth nothing without them.

use super::database::Fields;
use super::{Error, Store};

/// A fold as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    /// The last event that is in it.
    pub(crate) newest: u64,
    /// What its parts must come to.
    pub(crate) digest: String,
    /// The fold, cut into pieces that a database takes at a time.
    pub(crate) parts: Vec<String>,
}

impl Store {
    /// The fold in this format, if one is kept, and the last event that there is.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn fleet_fold(&self, format: u32) -> Result<(Option<Kept>, u64), Error> {
        const DOING: &str = "read what had become of updates";
        let database = &self.0.database;
        let error = database.error(DOING);
        database
            .within(DOING, async {
                let rows = sqlx::query("SELECT * FROM fleet_fold WHERE format = $1 ORDER BY part")
                    .bind(i64::from(format))
                    .fetch_all(database.pool())
                    .await
                    .map_err(error)?;
                let last: i64 = sqlx::query_scalar("SELECT COALESCE(MAX(id), 0) FROM fleet_event")
                    .fetch_one(database.pool())
                    .await
                    .map_err(error)?;
                let mut kept: Option<Kept> = None;
                for row in &rows {
                    let row = Fields::new(row, DOING);
                    let (newest, digest) = (row.number("newest")?, row.text("digest")?);
                    let kept = kept.get_or_insert(Kept { newest, digest, parts: Vec::new() });
                    kept.parts.push(row.text("body")?);
                }
                Ok((kept, u64::try_from(last).unwrap_or_default()))
            })
            .await
    }

    /// Keeps a fold, unless another cloud has kept a later one. Those of earlier formats go.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn keep_fleet_fold(&self, format: u32, fold: &Kept) -> Result<(), Error> {
        const DOING: &str = "keep what has become of updates";
        let newest = i64::try_from(fold.newest).map_err(|error| Error::broken(DOING, error))?;
        self.0
            .database
            .within(DOING, async {
                let mut write = self.0.database.write(DOING).await?;
                let error = write.error();
                let held = "SELECT COALESCE(MAX(newest), 0) FROM fleet_fold WHERE format = $1";
                let held: i64 = sqlx::query_scalar(held)
                    .bind(i64::from(format))
                    .fetch_one(&mut *write.tx)
                    .await
                    .map_err(error)?;
                if held >= newest {
                    return Ok(());
                }
                sqlx::query("DELETE FROM fleet_fold WHERE format <= $1")
                    .bind(i64::from(format))
                    .execute(&mut *write.tx)
                    .await
                    .map_err(error)?;
                let insert = "INSERT INTO fleet_fold (format, part, newest, digest, body) \
                              VALUES ($1, $2, $3, $4, $5)";
                for (part, body) in (0_i64..).zip(&fold.parts) {
                    sqlx::query(insert)
                        .bind(i64::from(format))
                        .bind(part)
                        .bind(newest)
                        .bind(&fold.digest)
                        .bind(body)
                        .execute(&mut *write.tx)
                        .await
                        .map_err(error)?;
                }
                write.commit().await
            })
            .await
    }

    /// Deletes the fold in this format: it is damaged.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn forget_fleet_fold(&self, format: u32) -> Result<(), Error> {
        const DOING: &str = "delete what is damaged";
        self.0
            .database
            .within(DOING, async {
                let mut write = self.0.database.write(DOING).await?;
                let error = write.error();
                sqlx::query("DELETE FROM fleet_fold WHERE format = $1")
                    .bind(i64::from(format))
                    .execute(&mut *write.tx)
                    .await
                    .map_err(error)?;
                write.commit().await
            })
            .await
    }
}
