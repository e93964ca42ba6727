//! What people are to be told and have not been. A message is written together with the decision to send it, and a try is
//! written before it is made: so a cloud that starts anew, or another one, knows what is left and how often it was tried.

use super::database::{Fields, Write};
use super::{Error, Store};
use crate::status::alert::{Message, Way};

impl Store {
    /// Messages whose next try is due, oldest first, at most `most`: those of this holder and, with `alive`, those of holders that
    /// are not among these clouds, which live beside it.
    ///
    /// # Errors
    /// The database's.
    pub async fn messages(
        &self,
        holder: &str,
        alive: Option<&[&str]>,
        now_ms: u64,
        most: usize,
    ) -> Result<Vec<Message>, Error> {
        const DOING: &str = "read what people are to be told";
        let database = &self.0.database;
        // Bound one after the other behind the time and the number of rows.
        let (whose, bound) = match alive {
            None => ("holder = $3".to_owned(), vec![holder]),
            Some([]) => ("1 = 1".to_owned(), Vec::new()),
            Some(others) => {
                let places: Vec<String> = (3..3 + others.len()).map(|place| format!("${place}")).collect();
                (format!("holder NOT IN ({})", places.join(", ")), others.to_vec())
            }
        };
        let question = format!(
            "SELECT id, tenant, way, reader, notice, made_ms, holder, tries, due_ms FROM message \
             WHERE due_ms <= $1 AND {whose} ORDER BY due_ms, id LIMIT $2"
        );
        database
            .within(DOING, async {
                let mut query = sqlx::query(&question).bind(now_ms as i64).bind(most as i64);
                for id in bound {
                    query = query.bind(id);
                }
                let rows = query.fetch_all(database.pool()).await.map_err(database.error(DOING))?;
                let rows = rows.iter().filter_map(|row| read(&Fields::new(row, DOING)).transpose());
                rows.collect()
            })
            .await
    }

    /// Begins a try of each of these messages, whose next one is then due at a time; gives those that are this holder's now. What
    /// another one has taken meanwhile, or delivered, is not among them.
    ///
    /// # Errors
    /// The database's; then none is this holder's.
    pub async fn try_messages(&self, due: Vec<(Message, u64)>, holder: &str) -> Result<Vec<Message>, Error> {
        const DOING: &str = "begin to tell people";
        if due.is_empty() {
            return Ok(Vec::new());
        }
        let database = &self.0.database;
        database
            .within(DOING, async {
                let mut write = database.write(DOING).await?;
                let error = write.error();
                let mut taken = Vec::with_capacity(due.len());
                for (message, due_ms) in due {
                    let take = "UPDATE message SET holder = $1, tries = tries + 1, due_ms = $2 \
                                WHERE id = $3 AND holder = $4 AND tries = $5";
                    let done = sqlx::query(take)
                        .bind(holder)
                        .bind(due_ms as i64)
                        .bind(&message.id)
                        .bind(&message.holder)
                        .bind(i64::from(message.tries))
                        .execute(&mut *write.tx)
                        .await
                        .map_err(error)?;
                    if done.rows_affected() == 1 {
                        taken.push(Message {
                            holder: holder.to_owned(),
                            tries: message.tries + 1,
                            due_ms,
                            ..message
                        });
                    }
                }
                write.commit().await?;
                Ok(taken)
            })
            .await
    }

    /// Forgets messages that were delivered or given up.
    ///
    /// # Errors
    /// The database's.
    pub async fn forget_messages(&self, ids: &[String]) -> Result<(), Error> {
        const DOING: &str = "write that people were told";
        if ids.is_empty() {
            return Ok(());
        }
        let database = &self.0.database;
        database
            .within(DOING, async {
                let mut write = database.write(DOING).await?;
                let error = write.error();
                for id in ids {
                    let delete = sqlx::query("DELETE FROM message WHERE id = $1").bind(id);
                    delete.execute(&mut *write.tx).await.map_err(error)?;
                }
                write.commit().await
            })
            .await
    }
}

/// Writes a message; one that is there already stays as it is.
pub(super) async fn put_message(write: &mut Write, message: &Message) -> Result<(), Error> {
    let error = write.error();
    let Message { id, tenant, way, reader, notice, made_ms, holder, tries, due_ms } = message;
    sqlx::query(
        "INSERT INTO message (id, tenant, way, reader, notice, made_ms, holder, tries, due_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (id) DO NOTHING",
    )
    .bind(id)
    .bind(tenant)
    .bind(way.name())
    .bind(reader)
    .bind(notice)
    .bind(*made_ms as i64)
    .bind(holder)
    .bind(i64::from(*tries))
    .bind(*due_ms as i64)
    .execute(&mut *write.tx)
    .await
    .map_err(error)?;
    Ok(())
}

/// A row; `None` when a later version has written a way that this one does not know.
fn read(row: &Fields<'_>) -> Result<Option<Message>, Error> {
    let Some(way) = Way::from_name(&row.text("way")?) else { return Ok(None) };
    Ok(Some(Message {
        id: row.text("id")?,
        tenant: row.text("tenant")?,
        way,
        reader: row.text("reader")?,
        notice: row.text("notice")?,
        made_ms: row.number("made_ms")?,
        holder: row.text("holder")?,
        tries: u32::try_from(row.number("tries")?).unwrap_or(u32::MAX),
        due_ms: row.number("due_ms")?,
    }))
}
