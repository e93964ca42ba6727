//! How cameras were over time: samples, sums, outages, and what people have been told of them.
//!
//! What people are told next is written with it. Rows come in batches, a few hundred of them in a transaction ([`Batch::parts`]). Only the cloud that hears a camera writes its rows; should two do
//! so for a moment, hours are put together and an outage is written twice under the same beginning.

use std::collections::HashMap;

use model::CameraId;
use sqlx::any::AnyRow;

use super::database::{Fields, Write};
use super::message::put_message;
use super::portal::Row as _;
use super::{Audit, Error, Refused, Store, Tenant};
use crate::status::sample::{DAY_MS, Day, HOUR_MS, Hour};
use crate::status::{Batch, CameraRows, Reason, Rows, Span};

/// Samples of single half minutes are kept so long, hours.
const RAW_HOURS: u64 = 48;
/// All else, days: 13 months.
const DAYS: u64 = 400;
/// Messages that no cloud could read or would take, days.
const MESSAGE_DAYS: u64 = 7;
/// Latest outages of a camera that are read when somebody begins to answer for it.
const LATEST: i64 = 32;
/// Ids in one question.
const IDS: usize = 200;
/// Outages in one answer of the database.
const PAGE: usize = 5_000;

impl Store {
    /// What is known of a holder's cameras.
    ///
    /// # Errors
    /// The database's.
    pub async fn status_rows(&self, holder: &str, cameras: &[CameraId]) -> Result<Rows, Error> {
        const DOING: &str = "read how cameras were";
        let database = &self.0.database;
        let error = database.error(DOING);
        let read = async {
            let mut rows = Rows { alarm: self.alarm(&format!("site:{holder}")).await?, ..Rows::default() };
            for id in cameras {
                let known: Option<i64> =
                    sqlx::query_scalar("SELECT known_ms FROM known WHERE public_id = $1")
                        .bind(id.as_str())
                        .fetch_optional(database.pool())
                        .await
                        .map_err(error)?;
                let latest = sqlx::query(
                    "SELECT from_ms, to_ms, reason FROM outage WHERE public_id = $1 ORDER BY from_ms DESC LIMIT $2",
                )
                .bind(id.as_str())
                .bind(LATEST)
                .fetch_all(database.pool())
                .await
                .map_err(error)?;
                let spans =
                    latest.iter().filter_map(|row| span(row, DOING).transpose()).collect::<Result<_, _>>()?;
                let alarm = self.alarm(&format!("camera:{id}")).await?;
                let known_ms = known.and_then(|known| u64::try_from(known).ok());
                rows.cameras.push((id.clone(), CameraRows { known_ms, spans, alarm }));
            }
            Ok(rows)
        };
        database.within(DOING, read).await
    }

    async fn alarm(&self, subject: &str) -> Result<Option<String>, Error> {
        let database = &self.0.database;
        sqlx::query_scalar("SELECT state FROM alarm WHERE subject = $1")
            .bind(subject)
            .fetch_optional(database.pool())
            .await
            .map_err(database.error("read what people were told"))
    }

    /// Writes a batch, all of it or nothing.
    ///
    /// # Errors
    /// The database's.
    pub async fn write_status(&self, batch: &Batch) -> Result<(), Error> {
        const DOING: &str = "write how cameras are";
        let database = &self.0.database;
        database
            .within(DOING, async {
                let mut write = database.write(DOING).await?;
                let error = write.error();
                for (id, at) in &batch.known {
                    let insert = "INSERT INTO known (public_id, known_ms) VALUES ($1, $2) ON CONFLICT (public_id) DO NOTHING";
                    sqlx::query(insert).bind(id.as_str()).bind(*at as i64).execute(&mut *write.tx).await.map_err(error)?;
                }
                for (id, from, span) in &batch.spans {
                    put_span(&mut write, id, *from, span.as_ref()).await?;
                }
                for message in &batch.messages {
                    put_message(&mut write, message).await?;
                }
                for (subject, state) in &batch.alarms {
                    let put = "INSERT INTO alarm (subject, state) VALUES ($1, $2) \
                               ON CONFLICT (subject) DO UPDATE SET state = excluded.state";
                    sqlx::query(put).bind(subject).bind(state).execute(&mut *write.tx).await.map_err(error)?;
                }
                for (id, hour, samples, over) in &batch.hours {
                    put_hour(&mut write, id, *hour, samples, *over).await?;
                }
                write.commit().await
            })
            .await
    }

    /// The hours of samples of a camera, from one hour since 1970 to before another.
    ///
    /// # Errors
    /// The database's.
    pub async fn sample_hours(&self, id: &CameraId, from: u64, to: u64) -> Result<Vec<(u64, Hour)>, Error> {
        let rows = self.samples("SELECT hour AS at, samples AS text FROM sample_hour WHERE public_id = $1 AND hour >= $2 AND hour < $3 ORDER BY hour", id, from, to).await?;
        Ok(rows.into_iter().map(|(at, text)| (at, Hour::unpack(&text))).collect())
    }

    /// The sums of a camera's days, from one day since 1970 to before another.
    ///
    /// # Errors
    /// The database's.
    pub async fn sample_days(&self, id: &CameraId, from: u64, to: u64) -> Result<Vec<(u64, Day)>, Error> {
        let rows = self.samples("SELECT day AS at, hours AS text FROM sample_day WHERE public_id = $1 AND day >= $2 AND day < $3 ORDER BY day", id, from, to).await?;
        Ok(rows.into_iter().map(|(at, text)| (at, Day::unpack(&text))).collect())
    }

    async fn samples(
        &self,
        query: &'static str,
        id: &CameraId,
        from: u64,
        to: u64,
    ) -> Result<Vec<(u64, String)>, Error> {
        const DOING: &str = "read a camera's figures";
        let database = &self.0.database;
        let bound = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        database
            .within(DOING, async {
                let rows = sqlx::query(query)
                    .bind(id.as_str())
                    .bind(bound(from))
                    .bind(bound(to))
                    .fetch_all(database.pool())
                    .await
                    .map_err(database.error(DOING))?;
                rows.iter()
                    .map(|row| {
                        let row = Fields::new(row, DOING);
                        Ok((row.number("at")?, row.text("text")?))
                    })
                    .collect()
            })
            .await
    }

    /// The last outages of a camera that began before a time, newest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn outages_before(
        &self,
        id: &CameraId,
        before_ms: u64,
        limit: u32,
    ) -> Result<Vec<Span>, Error> {
        const DOING: &str = "read a camera's outages";
        let database = &self.0.database;
        database
            .within(DOING, async {
                let rows = sqlx::query(
                    "SELECT from_ms, to_ms, reason FROM outage WHERE public_id = $1 AND from_ms < $2 \
                     ORDER BY from_ms DESC LIMIT $3",
                )
                .bind(id.as_str())
                .bind(i64::try_from(before_ms).unwrap_or(i64::MAX))
                .bind(i64::from(limit))
                .fetch_all(database.pool())
                .await
                .map_err(database.error(DOING))?;
                rows.iter().filter_map(|row| span(row, DOING).transpose()).collect()
            })
            .await
    }

    /// Since when cameras are known, and their outages that touch a stretch of time, in order. What is not known is not in it.
    ///
    /// # Errors
    /// The database's.
    pub async fn outages_of(
        &self,
        cameras: &[CameraId],
        from_ms: u64,
        to_ms: u64,
    ) -> Result<HashMap<CameraId, (u64, Vec<Span>)>, Error> {
        const DOING: &str = "read outages";
        let database = &self.0.database;
        let error = database.error(DOING);
        let read = async {
            let mut all: HashMap<CameraId, (u64, Vec<Span>)> = HashMap::new();
            for ids in cameras.chunks(IDS) {
                let places: Vec<String> = (1..=ids.len()).map(|place| format!("${place}")).collect();
                let places = places.join(", ");
                let known = format!("SELECT public_id, known_ms FROM known WHERE public_id IN ({places})");
                let mut query = sqlx::query(&known);
                for id in ids {
                    query = query.bind(id.as_str());
                }
                for row in query.fetch_all(database.pool()).await.map_err(error)? {
                    let row = Fields::new(&row, DOING);
                    all.insert(row.parsed("public_id")?, (row.number("known_ms")?, Vec::new()));
                }
                let (to, from, last) = (ids.len() + 1, ids.len() + 2, ids.len() + 3);
                let (last_from, page) = (ids.len() + 4, ids.len() + 5);
                let outages = format!(
                    "SELECT public_id, from_ms, to_ms, reason FROM outage WHERE public_id IN ({places}) \
                     AND from_ms < ${to} AND (to_ms IS NULL OR to_ms > ${from}) \
                     AND (public_id > ${last} OR (public_id = ${last} AND from_ms > ${last_from})) \
                     ORDER BY public_id, from_ms LIMIT ${page}"
                );
                // Behind the last one of the page before, so that no camera's are left out.
                let mut after = (String::new(), 0);
                loop {
                    let mut query = sqlx::query(&outages);
                    for id in ids {
                        query = query.bind(id.as_str());
                    }
                    let query = query.bind(to_ms as i64).bind(from_ms as i64).bind(after.0.as_str());
                    let query = query.bind(after.1 as i64).bind(PAGE as i64);
                    let rows = query.fetch_all(database.pool()).await.map_err(error)?;
                    for row in &rows {
                        let id: CameraId = Fields::new(row, DOING).parsed("public_id")?;
                        if let (Some((_, spans)), Some(span)) = (all.get_mut(&id), span(row, DOING)?) {
                            spans.push(span);
                        }
                    }
                    let Some(last) = rows.last().filter(|_| rows.len() == PAGE) else { break };
                    let last = Fields::new(last, DOING);
                    after = (last.text("public_id")?, last.number("from_ms")?);
                }
            }
            Ok(all)
        };
        database.within(DOING, read).await
    }

    /// Deletes what is older than it is kept, of cameras that are gone as well.
    ///
    /// # Errors
    /// The database's.
    pub async fn sweep_status(&self, now: u64) -> Result<(), Error> {
        const DOING: &str = "delete old figures";
        let database = &self.0.database;
        database
            .within(DOING, async {
                let mut write = database.write(DOING).await?;
                let error = write.error();
                let old_ms = now.saturating_sub(DAYS * DAY_MS);
                for (query, before) in [
                    ("DELETE FROM sample_hour WHERE hour < $1", (now / HOUR_MS).saturating_sub(RAW_HOURS)),
                    ("DELETE FROM sample_day WHERE day < $1", old_ms / DAY_MS),
                    ("DELETE FROM outage WHERE to_ms < $1", old_ms),
                    ("DELETE FROM message WHERE made_ms < $1", now.saturating_sub(MESSAGE_DAYS * DAY_MS)),
                    // What is known of a camera goes with its last figures and outages.
                    (
                        "DELETE FROM outage WHERE reason = 'removed' AND to_ms IS NULL AND from_ms < $1",
                        old_ms,
                    ),
                    // PostgreSQL asks NOT IN row by row once the list is larger than its memory for one.
                    (
                        "DELETE FROM known WHERE known_ms < $1 \
                         AND NOT EXISTS (SELECT 1 FROM sample_day WHERE sample_day.public_id = known.public_id) \
                         AND NOT EXISTS (SELECT 1 FROM outage WHERE outage.public_id = known.public_id)",
                        old_ms,
                    ),
                ] {
                    sqlx::query(query).bind(before as i64).execute(&mut *write.tx).await.map_err(error)?;
                }
                write.commit().await
            })
            .await
    }

    /// Says who is told of a tenant's outages (JSON).
    ///
    /// # Errors
    /// [`Refused::NotThere`], or the database's.
    pub async fn set_alerts(&self, tenant: &str, alerts: &str, audit: Audit<'_>) -> Result<(), Error> {
        const DOING: &str = "say who is told of outages";
        let database = &self.0.database;
        database
            .within(DOING, async {
                let mut write = database.write(DOING).await?;
                let error = write.error();
                let done = sqlx::query("UPDATE tenant SET alerts = $2 WHERE id = $1")
                    .bind(tenant)
                    .bind(alerts)
                    .execute(&mut *write.tx)
                    .await
                    .map_err(error)?;
                if done.rows_affected() == 0 {
                    return Err(Refused::NotThere.into());
                }
                self.audit(&mut write, audit).await?;
                write.change(Tenant::WHAT, tenant, self.now_ms()).await?;
                write.commit().await?;
                self.0.nudge.notify_one();
                Ok(())
            })
            .await
    }
}

/// A stretch of a row; `None` when a later version has written a reason that this one does not know.
fn span(row: &AnyRow, doing: &'static str) -> Result<Option<Span>, Error> {
    let row = Fields::new(row, doing);
    let Some(reason) = Reason::from_name(&row.text("reason")?) else { return Ok(None) };
    Ok(Some(Span { from_ms: row.number("from_ms")?, to_ms: row.maybe_number("to_ms")?, reason }))
}

async fn put_span(write: &mut Write, id: &CameraId, from: u64, span: Option<&Span>) -> Result<(), Error> {
    let error = write.error();
    let query = match span {
        Some(span) => sqlx::query(
            "INSERT INTO outage (public_id, from_ms, to_ms, reason) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (public_id, from_ms) DO UPDATE SET to_ms = excluded.to_ms, reason = excluded.reason",
        )
        .bind(id.as_str())
        .bind(from as i64)
        .bind(span.to_ms.map(|to| to as i64))
        .bind(span.reason.name()),
        None => sqlx::query("DELETE FROM outage WHERE public_id = $1 AND from_ms = $2")
            .bind(id.as_str())
            .bind(from as i64),
    };
    query.execute(&mut *write.tx).await.map_err(error)?;
    Ok(())
}

/// Puts an hour's samples together with those that are there; when it is over, its sum goes into its day.
async fn put_hour(
    write: &mut Write,
    id: &CameraId,
    hour: u64,
    samples: &Hour,
    over: bool,
) -> Result<(), Error> {
    let error = write.error();
    let there: Option<String> =
        sqlx::query_scalar("SELECT samples FROM sample_hour WHERE public_id = $1 AND hour = $2")
            .bind(id.as_str())
            .bind(hour as i64)
            .fetch_optional(&mut *write.tx)
            .await
            .map_err(error)?;
    let mut whole = samples.clone();
    if let Some(text) = there {
        whole.fill(&Hour::unpack(&text));
    }
    sqlx::query(
        "INSERT INTO sample_hour (public_id, hour, samples) VALUES ($1, $2, $3) \
         ON CONFLICT (public_id, hour) DO UPDATE SET samples = excluded.samples",
    )
    .bind(id.as_str())
    .bind(hour as i64)
    .bind(whole.pack())
    .execute(&mut *write.tx)
    .await
    .map_err(error)?;
    if !over {
        return Ok(());
    }
    let day = hour / 24;
    let there: Option<String> =
        sqlx::query_scalar("SELECT hours FROM sample_day WHERE public_id = $1 AND day = $2")
            .bind(id.as_str())
            .bind(day as i64)
            .fetch_optional(&mut *write.tx)
            .await
            .map_err(error)?;
    let mut sums = there.map_or_else(Day::default, |text| Day::unpack(&text));
    sums.put(hour % 24, whole.sum());
    sqlx::query(
        "INSERT INTO sample_day (public_id, day, hours) VALUES ($1, $2, $3) \
         ON CONFLICT (public_id, day) DO UPDATE SET hours = excluded.hours",
    )
    .bind(id.as_str())
    .bind(day as i64)
    .bind(sums.pack())
    .execute(&mut *write.tx)
    .await
    .map_err(error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::stage::Stage;

    #[tokio::test]
    async fn what_is_known_of_a_camera_goes_with_its_last_figures_and_outages() {
        let stage = Stage::new().await;
        for id in ["figures", "outage", "neither"] {
            stage.sql(&format!("INSERT INTO known (public_id, known_ms) VALUES ('{id}', 1)")).await;
        }
        let now = 1_000 * DAY_MS;
        stage.sql("INSERT INTO sample_day (public_id, day, hours) VALUES ('figures', 999, '')").await;
        let from = now - DAY_MS;
        let outage = "INSERT INTO outage (public_id, from_ms, to_ms, reason) VALUES";
        stage.sql(&format!("{outage} ('outage', {from}, {from}, 'site')")).await;
        stage.store.sweep_status(now).await.unwrap();
        assert_eq!(stage.number("SELECT COUNT(*) FROM known WHERE public_id = 'neither'").await, 0);
        assert_eq!(stage.number("SELECT COUNT(*) FROM known").await, 2);
    }

    #[tokio::test]
    async fn no_cameras_outages_are_left_out_however_many_there_are() {
        let stage = Stage::new().await;
        let cameras = ["a", "b", "c"].map(|id| CameraId::new(id).unwrap());
        for (id, count) in cameras.iter().zip([2 * PAGE - 1, 2, 3 * PAGE]) {
            stage.sql(&format!("INSERT INTO known (public_id, known_ms) VALUES ('{id}', 1)")).await;
            stage
                .sql(&format!(
                    "WITH RECURSIVE turn (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM turn WHERE n < {count}) \
                     INSERT INTO outage (public_id, from_ms, to_ms, reason) \
                     SELECT '{id}', n * 10000, n * 10000 + 5000, 'camera' FROM turn"
                ))
                .await;
        }
        let outages = stage.store.outages_of(&cameras, 0, 1_000_000_000_000).await.unwrap();
        for (id, count) in cameras.iter().zip([2 * PAGE - 1, 2, 3 * PAGE]) {
            let (_, spans) = &outages[id];
            assert_eq!(spans.len(), count, "{id}");
            assert!(spans.windows(2).all(|pair| pair[0].from_ms < pair[1].from_ms));
        }
    }
}
