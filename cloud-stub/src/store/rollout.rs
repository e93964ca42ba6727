//! The events of the fleet: added to by whoever has seen all that are there, so that several clouds decide one after the other,
//! and read back in their order.

use super::audit::Audit;
use super::database::Fields;
use super::{Error, Store};
use crate::fleet::{Event, Happening, Recorded};

/// Events that are read at a time.
const PAGE: i64 = 5_000;
const DOING: &str = "read what has happened to updates";

/// Whose events are wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Of<'a> {
    /// A campaign's own, without those of its boxes.
    Campaign(&'a str),
    /// A box's.
    Box(&'a str),
}

impl Store {
    /// The events after this one, some thousand at most.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn fleet_events(&self, after: u64) -> Result<Vec<Recorded>, Error> {
        let database = &self.0.database;
        let query = "SELECT * FROM fleet_event WHERE id > $1 ORDER BY id LIMIT $2";
        database
            .within(DOING, async {
                let rows = sqlx::query(query)
                    .bind(i64::try_from(after).unwrap_or(i64::MAX))
                    .bind(PAGE)
                    .fetch_all(database.pool())
                    .await
                    .map_err(database.error(DOING))?;
                rows.iter().map(|row| recorded(&Fields::new(row, DOING))).collect()
            })
            .await
    }

    /// The last events of something, the newest first.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn fleet_history(&self, of: Of<'_>, limit: u32) -> Result<Vec<Recorded>, Error> {
        let database = &self.0.database;
        let (query, key) = match of {
            Of::Campaign(id) => (
                "SELECT * FROM fleet_event WHERE campaign = $1 AND box_id = '' ORDER BY id DESC LIMIT $2",
                id,
            ),
            Of::Box(id) => ("SELECT * FROM fleet_event WHERE box_id = $1 ORDER BY id DESC LIMIT $2", id),
        };
        database
            .within(DOING, async {
                let rows = sqlx::query(query)
                    .bind(key)
                    .bind(i64::from(limit))
                    .fetch_all(database.pool())
                    .await
                    .map_err(database.error(DOING))?;
                rows.iter().map(|row| recorded(&Fields::new(row, DOING))).collect()
            })
            .await
    }

    /// Adds events that follow from all up to `basis`, and what a person has done by them. False: there are others after it
    /// by now, and nothing was added.
    ///
    /// # Errors
    /// The database's; the events may have been added all the same.
    pub async fn add_fleet_events(
        &self,
        basis: u64,
        events: &[Happening],
        audit: Option<Audit<'_>>,
    ) -> Result<bool, Error> {
        const DOING: &str = "write down what happens to an update";
        let now = self.now_ms();
        self.0
            .database
            .within(DOING, async {
                let mut write = self.0.database.write(DOING).await?;
                let error = write.error();
                let newest: i64 = sqlx::query_scalar("SELECT COALESCE(MAX(id), 0) FROM fleet_event")
                    .fetch_one(&mut *write.tx)
                    .await
                    .map_err(error)?;
                if u64::try_from(newest) != Ok(basis) {
                    return Ok(false);
                }
                let insert = "INSERT INTO fleet_event (id, at_ms, campaign, box_id, event) \
                              VALUES ($1, $2, $3, $4, $5)";
                for (id, Happening { campaign, box_id, event }) in (newest + 1..).zip(events) {
                    let event = serde_json::to_string(event).map_err(|error| Error::broken(DOING, error))?;
                    sqlx::query(insert)
                        .bind(id)
                        .bind(now as i64)
                        .bind(campaign)
                        .bind(box_id.as_ref().map_or("", |id| id.as_str()))
                        .bind(event)
                        .execute(&mut *write.tx)
                        .await
                        .map_err(error)?;
                }
                if let Some(audit) = audit {
                    self.audit(&mut write, audit).await?;
                }
                write.commit().await?;
                Ok(true)
            })
            .await
    }
}

fn recorded(row: &Fields<'_>) -> Result<Recorded, Error> {
    let box_id = row.text("box_id")?;
    let event: Event =
        serde_json::from_str(&row.text("event")?).map_err(|error| Error::broken(DOING, error))?;
    let box_id = match box_id.as_str() {
        "" => None,
        id => Some(id.parse().map_err(|error| Error::broken(DOING, error))?),
    };
    let what = Happening { campaign: row.text("campaign")?, box_id, event };
    Ok(Recorded { id: row.number("id")?, at_ms: row.number("at_ms")?, what })
}
