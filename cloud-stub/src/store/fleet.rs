//! What the owner's side does with boxes and cameras that are there. Every process follows within a second.

use std::collections::HashMap;

use model::{BoxId, CameraId};

use super::directory::BoxState;
use super::follow::BOX;
use super::{Error, Refused, Store};

impl Store {
    /// Takes a box out for good: its peer goes, its links go, its identity is refused. Again is no error.
    ///
    /// # Errors
    /// [`Refused::NoBox`], or the database's.
    pub async fn revoke_box(&self, id: &BoxId) -> Result<(), Error> {
        self.set_state("revoke a box", id, BoxState::Revoked).await
    }

    /// Lets another owner claim a box. Until somebody does, it has no peer and no links; its last owner gets the same
    /// links back, another one new ones.
    ///
    /// # Errors
    /// [`Refused::NoBox`], [`Refused::Revoked`], or the database's.
    pub async fn release_box(&self, id: &BoxId) -> Result<(), Error> {
        self.set_state("release a box", id, BoxState::Released).await
    }

    async fn set_state(&self, doing: &'static str, id: &BoxId, state: BoxState) -> Result<(), Error> {
        let database = &self.0.database;
        database
            .within(doing, async {
                let now = self.now_ms();
                let mut write = database.write(doing).await?;
                let error = write.error();
                let known: Option<String> = sqlx::query_scalar("SELECT state FROM boxes WHERE id = $1")
                    .bind(id.as_str())
                    .fetch_optional(&mut *write.tx)
                    .await
                    .map_err(error)?;
                let known = known.ok_or_else(|| Refused::NoBox(id.to_string()))?;
                if known == BoxState::Revoked.name() && state != BoxState::Revoked {
                    return Err(Refused::Revoked.into());
                }
                sqlx::query("UPDATE boxes SET state = $2 WHERE id = $1")
                    .bind(id.as_str())
                    .bind(state.name())
                    .execute(&mut *write.tx)
                    .await
                    .map_err(error)?;
                write.change(BOX, id.as_str(), now).await?;
                write.commit().await?;
                self.0.nudge.notify_one();
                Ok(())
            })
            .await
    }

    /// Switches a camera's public link on or off.
    ///
    /// # Errors
    /// [`Refused::NoCamera`], or the database's.
    pub async fn set_camera(&self, public_id: &CameraId, on: bool) -> Result<(), Error> {
        const DOING: &str = "switch a link";
        let database = &self.0.database;
        database
            .within(DOING, async {
                let now = self.now_ms();
                let mut write = database.write(DOING).await?;
                let error = write.error();
                let of: Option<String> =
                    sqlx::query_scalar("UPDATE camera SET is_on = $2 WHERE public_id = $1 RETURNING box_id")
                        .bind(public_id.as_str())
                        .bind(i64::from(on))
                        .fetch_optional(&mut *write.tx)
                        .await
                        .map_err(error)?;
                let of = of.ok_or_else(|| Refused::NoCamera(public_id.to_string()))?;
                write.change(BOX, &of, now).await?;
                write.commit().await?;
                self.0.nudge.notify_one();
                Ok(())
            })
            .await
    }

    /// The page of a public link.
    pub fn link(&self, public_id: &CameraId) -> String {
        format!("{}/{public_id}/", self.0.options.url)
    }

    /// Notes when boxes were last heard of, as far as any process has written it down.
    pub(super) async fn read_seen(&self) -> Result<(), Error> {
        const DOING: &str = "read when boxes were heard of";
        let database = &self.0.database;
        let directory = self.0.directory.borrow().clone();
        let newest = directory.boxes().filter_map(|row| row.seen.last_ms()).max().unwrap_or(0);
        let rows: Vec<(String, i64)> =
            sqlx::query_as("SELECT id, last_report_ms FROM boxes WHERE last_report_ms > $1")
                // Whoever writes down a report does so within seconds.
                .bind(newest.saturating_sub(60_000) as i64)
                .fetch_all(database.pool())
                .await
                .map_err(database.error(DOING))?;
        let rows: HashMap<String, i64> = rows.into_iter().collect();
        for row in directory.boxes() {
            if let Some(at) = rows.get(row.id.as_str()) {
                row.seen.note(*at as u64);
            }
        }
        Ok(())
    }
}
