//! What the owner's side does with boxes and cameras that are there. Every process follows within a second.

use std::collections::HashMap;

use model::{BoxId, CameraId};

use super::audit::{Audit, By};
use super::directory::BoxState;
use super::follow::BOX;
use super::member::member;
use super::{Error, Refused, Store, tenant};

/// Whoever writes down a report does so within seconds; the clocks of two clouds may be so far apart, milliseconds.
const CLOCKS_MS: u64 = 600_000;

impl Store {
    /// Takes a box out for good: its peer goes, its links go, its identity is refused. Again is no error.
    ///
    /// # Errors
    /// [`Refused::NoBox`], or the database's.
    pub async fn revoke_box(&self, id: &BoxId) -> Result<(), Error> {
        self.revoke_box_by(id, None, By::COMMAND_LINE).await
    }

    /// The same in a person's name; only if the box is this owner's.
    ///
    /// # Errors
    /// As [`Store::revoke_box`].
    pub async fn revoke_box_by(&self, id: &BoxId, owner: Option<&str>, by: By<'_>) -> Result<(), Error> {
        self.set_state("revoke a box", id, BoxState::Revoked, owner, by).await
    }

    /// Lets another owner claim a box. Until somebody does, it has no peer and no links; its last owner gets the same
    /// links back, another one new ones.
    ///
    /// # Errors
    /// [`Refused::NoBox`], [`Refused::Revoked`], or the database's.
    pub async fn release_box(&self, id: &BoxId) -> Result<(), Error> {
        self.release_box_by(id, None, By::COMMAND_LINE).await
    }

    /// The same in a person's name; only if the box is this owner's.
    ///
    /// # Errors
    /// As [`Store::release_box`].
    pub async fn release_box_by(&self, id: &BoxId, owner: Option<&str>, by: By<'_>) -> Result<(), Error> {
        self.set_state("release a box", id, BoxState::Released, owner, by).await
    }

    async fn set_state(
        &self,
        doing: &'static str,
        id: &BoxId,
        state: BoxState,
        owner: Option<&str>,
        by: By<'_>,
    ) -> Result<(), Error> {
        self.writing(doing, async {
            let mut write = self.0.database.write(doing).await?;
            let error = write.error();
            let known = member(&mut write, id).await?;
            let known = known.filter(|known| owner.is_none_or(|owner| owner == known.owner));
            let known = known.ok_or_else(|| Refused::NoBox(id.to_string()))?;
            if known.state == BoxState::Revoked && state != BoxState::Revoked {
                return Err(Refused::Revoked.into());
            }
            sqlx::query("UPDATE boxes SET state = $2 WHERE id = $1")
                .bind(id.as_str())
                .bind(state.name())
                .execute(&mut *write.tx)
                .await
                .map_err(error)?;
            write.change(BOX, id.as_str(), self.now_ms()).await?;
            let tenant = tenant::id_of(&mut write, &known.owner).await?.unwrap_or_default();
            let what = if state == BoxState::Revoked { "box.revoke" } else { "box.release" };
            let (tenant, subject) = (tenant.as_str(), id.as_str());
            self.audit(&mut write, Audit { by, tenant, what, subject, detail: "" }).await?;
            write.commit().await
        })
        .await
    }

    /// Switches a camera's public link on or off.
    ///
    /// # Errors
    /// [`Refused::NoCamera`], or the database's.
    pub async fn set_camera(&self, public_id: &CameraId, on: bool) -> Result<(), Error> {
        const DOING: &str = "switch a link";
        self.writing(DOING, async {
            let mut write = self.0.database.write(DOING).await?;
            let error = write.error();
            let of: Option<String> =
                sqlx::query_scalar("UPDATE camera SET is_on = $2 WHERE public_id = $1 RETURNING box_id")
                    .bind(public_id.as_str())
                    .bind(i64::from(on))
                    .fetch_optional(&mut *write.tx)
                    .await
                    .map_err(error)?;
            let of = of.ok_or_else(|| Refused::NoCamera(public_id.to_string()))?;
            write.change(BOX, &of, self.now_ms()).await?;
            let tenant = sqlx::query_scalar(
                "SELECT tenant.id FROM tenant JOIN boxes ON boxes.owner = tenant.name WHERE boxes.id = $1",
            )
            .bind(&of)
            .fetch_optional(&mut *write.tx)
            .await
            .map_err(error)?;
            let tenant: String = tenant.unwrap_or_default();
            let audit = Audit {
                by: By::COMMAND_LINE,
                tenant: &tenant,
                what: "camera.change",
                subject: public_id.as_str(),
                detail: if on { "on" } else { "off" },
            };
            self.audit(&mut write, audit).await?;
            write.commit().await
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
        // A clock that was ahead once does not hide what is written by the others.
        let since = newest.min(self.now_ms()).saturating_sub(CLOCKS_MS);
        let rows: Vec<(String, i64)> =
            sqlx::query_as("SELECT id, last_report_ms FROM boxes WHERE last_report_ms > $1")
                .bind(since as i64)
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

#[cfg(test)]
mod tests {
    use crate::store::stage::{Stage, camera, report};

    #[tokio::test]
    async fn a_report_of_the_future_does_not_hide_those_of_now() {
        let stage = Stage::new().await;
        let (ahead, _) = stage.join(1).await;
        let (id, from, _) = stage.with_camera(2).await;
        let future = stage.store.now_ms() + 3_600_000;
        stage.sql(&format!("UPDATE boxes SET last_report_ms = {future} WHERE id = '{ahead}'")).await;
        let other = stage.another().await;
        for _ in 0..3 {
            stage.clock.forward_ms(30_000);
            stage.store.report(from, &report(&[camera("gate")])).await.unwrap();
            stage.store.flush().await.unwrap();
            other.flush().await.unwrap();
            let seen = other.directory().borrow().by_id(&id).unwrap().seen.last_ms();
            assert_eq!(seen, Some(stage.store.now_ms()));
        }
    }
}
