//! What changes of a camera without a box while it is there: what is kept of its kind, how it was last seen, and which cloud
//! its other end has come to.

use model::status::CameraReport;
use model::{CameraId, CameraState, Private};

use super::audit::{Audit, By};
use super::portal::{Row as _, Source};
use super::{Error, Refused, Store};

/// Rows that are written in one transaction.
const ROWS: usize = 300;

impl Source {
    /// Whether its other end chooses the cloud: an encoder, or a WireGuard peer. Where it is then follows that.
    pub fn comes_by_itself(&self) -> bool {
        matches!(self.kind.as_str(), "push" | "peer")
    }

    /// Whether it streamed when it was last reported.
    pub fn streams(&self) -> bool {
        serde_json::from_str::<CameraReport>(&self.report)
            .is_ok_and(|report| matches!(report.state, CameraState::Streaming(_)))
    }
}

impl Store {
    /// Writes down that the other ends of these cameras have come to this cloud. Those of which that is known already, that
    /// are gone, or that the cloud itself asks for pictures, are passed over; so is everything where clouds do not share
    /// the database.
    ///
    /// # Errors
    /// The database's; some may be written.
    pub async fn hold_sources(&self, ids: &[CameraId]) -> Result<(), Error> {
        const DOING: &str = "write down where cameras are";
        let here = self.0.directory.borrow().here().to_owned();
        if here.is_empty() {
            return Ok(());
        }
        for part in ids.chunks(ROWS) {
            self.writing(DOING, async {
                let mut write = self.0.database.write(DOING).await?;
                let error = write.error();
                for id in part {
                    let update = "UPDATE source SET node = $2 WHERE public_id = $1 AND node <> $2 \
                                  AND kind IN ('push', 'peer')";
                    let moved = sqlx::query(update)
                        .bind(id.as_str())
                        .bind(&here)
                        .execute(&mut *write.tx)
                        .await
                        .map_err(error)?;
                    if moved.rows_affected() != 0 {
                        write.change(Source::WHAT, id.as_str(), self.now_ms()).await?;
                    }
                }
                write.commit().await
            })
            .await?;
        }
        Ok(())
    }

    /// Keeps something else of a source's kind; `what` is the word for the audit.
    ///
    /// # Errors
    /// [`Refused::NotThere`] when it is not this tenant's, or the database's.
    pub async fn set_source_settings(
        &self,
        id: &CameraId,
        tenant: &str,
        settings: &Private<String>,
        what: &str,
        by: By<'_>,
    ) -> Result<(), Error> {
        const DOING: &str = "change a camera";
        self.writing(DOING, async {
            let mut write = self.0.database.write(DOING).await?;
            let error = write.error();
            let changed = sqlx::query("UPDATE source SET settings = $3 WHERE public_id = $1 AND tenant = $2")
                .bind(id.as_str())
                .bind(tenant)
                .bind(settings.expose())
                .execute(&mut *write.tx)
                .await
                .map_err(error)?;
            if changed.rows_affected() == 0 {
                return Err(Refused::NotThere.into());
            }
            write.change(Source::WHAT, id.as_str(), self.now_ms()).await?;
            let audit = Audit { by, tenant, what, subject: id.as_str(), detail: "" };
            self.audit(&mut write, audit).await?;
            write.commit().await
        })
        .await
    }

    /// Takes reports of cameras without a box, each by its public id. One that is gone meanwhile is passed over.
    ///
    /// # Errors
    /// The database's.
    pub async fn report_sources(&self, reports: &[CameraReport]) -> Result<(), Error> {
        const DOING: &str = "write how cameras are";
        let now = self.now_ms();
        let before = self.0.directory.borrow().clone();
        self.writing(DOING, async {
            let mut write = self.0.database.write(DOING).await?;
            let error = write.error();
            for report in reports {
                let Some(source) = before.portal().sources.get(report.id.as_str()) else { continue };
                let streams = matches!(report.state, CameraState::Streaming(_));
                let since = if source.streams() == streams { source.since_ms } else { now };
                let text = serde_json::to_string(report).map_err(|error| Error::broken(DOING, error))?;
                sqlx::query("UPDATE source SET report = $2, since_ms = $3 WHERE public_id = $1")
                    .bind(report.id.as_str())
                    .bind(text)
                    .bind(since as i64)
                    .execute(&mut *write.tx)
                    .await
                    .map_err(error)?;
                write.change(Source::WHAT, report.id.as_str(), now).await?;
            }
            write.commit().await
        })
        .await
    }
}
