//! What boxes report of themselves and their cameras.
//!
//! A new camera, a new name, a camera that begins or ends to stream: that is written at once, and everybody hears of it.
//! All else (when a box was last heard of, figures) is written together every few seconds. While the database is gone,
//! boxes whose cameras are all known are answered from the directory.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use enrol::name128;
use model::status::{Answer, CameraLink, CameraReport, Report};
use model::{BoxId, CameraId, CameraState};

use super::database::Write;
use super::directory::{BoxRow, CameraRow, Directory};
use super::follow::{BOX, camera_row};
use super::{Error, Refused, Store, lock};

/// Most cameras of one report.
const CAMERAS: usize = 256;
/// Most cameras that are kept of one box: the reported ones, and those that it had before.
const KEPT: usize = 4 * CAMERAS;
/// Longest name that is kept, characters.
const NAME: usize = 100;

/// Rows that are written in one transaction, or those of one box more: a slow database writes them well within its time.
const ROWS: usize = 300;

/// A report that waits to be written.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    at_ms: u64,
    cameras: Vec<CameraReport>,
}

impl Store {
    /// Takes the report of the box that has this address inside the tunnel.
    ///
    /// # Errors
    /// [`Refused::NoBox`], [`Refused::TooManyCameras`]; the database's only when something new had to be written.
    pub async fn report(&self, from: Ipv4Addr, report: &Report) -> Result<Answer, Error> {
        let now = self.now_ms();
        let directory = self.0.directory.borrow().clone();
        let sender = directory.by_address(from).ok_or_else(|| Refused::NoBox(from.to_string()))?;
        if report.cameras.len() > CAMERAS {
            return Err(Refused::TooManyCameras(CAMERAS).into());
        }
        sender.seen.note(now);
        let cameras = tidy(&report.cameras);
        let version: String = report.version.chars().take(NAME).collect();
        let links = if let Some(links) = known(&directory, sender, &cameras, &version) {
            lock(&self.0.pending).insert(sender.id.clone(), Pending { at_ms: now, cameras });
            links
        } else {
            lock(&self.0.pending).remove(&sender.id);
            self.write_report(&sender.id, &cameras, &version, now).await?
        };
        if let Some(findable) = &report.findable {
            // Nothing that a viewer sees depends on it, and the next report says it again.
            let _ = self.note_findable(&sender.id, findable).await;
        }
        let cameras = links.into_iter().map(|(id, public_id, on)| {
            let url = self.link(&public_id);
            CameraLink { id, public_id, url, on }
        });
        Ok(Answer { time_ms: now, cameras: cameras.collect(), hubs: Vec::new() })
    }

    async fn write_report(
        &self,
        of: &BoxId,
        cameras: &[CameraReport],
        version: &str,
        now: u64,
    ) -> Result<Vec<Link>, Error> {
        const DOING: &str = "write a report";
        let database = &self.0.database;
        let here = self.0.directory.borrow().here().to_owned();
        database
            .within(DOING, async {
                let mut write = database.write(DOING).await?;
                let error = write.error();
                sqlx::query("UPDATE boxes SET version = $2, last_report_ms = $3, node = $4 WHERE id = $1")
                    .bind(of.as_str())
                    .bind(version)
                    .bind(now as i64)
                    .bind(here)
                    .execute(&mut *write.tx)
                    .await
                    .map_err(error)?;
                let rows = sqlx::query("SELECT * FROM camera WHERE box_id = $1")
                    .bind(of.as_str())
                    .fetch_all(&mut *write.tx)
                    .await
                    .map_err(error)?;
                let mut before: HashMap<CameraId, CameraRow> = HashMap::new();
                for row in &rows {
                    let row = camera_row(row)?;
                    before.insert(row.camera_id.clone(), row);
                }
                let new = cameras.iter().filter(|camera| !before.contains_key(&camera.id)).count();
                if new > 0 && rows.len() + new > KEPT {
                    return Err(Refused::TooManyCameras(KEPT).into());
                }
                let mut links = Vec::new();
                for camera in cameras {
                    links.push(if let Some(row) = before.remove(&camera.id) {
                        let since = if streams(&row.report) == streams(camera) { row.since_ms } else { now };
                        put_camera(&mut write, of, camera, since).await?;
                        (row.camera_id, row.public_id, row.on)
                    } else {
                        let public_id = CameraId::new(&name128(self.random(DOING)?))
                            .map_err(|error| Error::broken(DOING, error))?;
                        add_camera(&mut write, of, &public_id, camera, now).await?;
                        (camera.id.clone(), public_id, true)
                    });
                }
                // A camera that is not reported any more does not stream.
                for row in before.into_values().filter(|row| streams(&row.report)) {
                    let silent =
                        CameraReport { state: CameraState::Connecting, fps: 0.0, bit_rate: 0, ..row.report };
                    put_camera(&mut write, of, &silent, now).await?;
                }
                write.change(BOX, of.as_str(), now).await?;
                write.commit().await?;
                self.0.nudge.notify_one();
                Ok(links)
            })
            .await
    }

    /// Writes the reports that wait, part by part, and reads those that other processes have written. What could not be
    /// written waits on.
    ///
    /// # Errors
    /// The database's, the last one of several.
    pub async fn flush(&self) -> Result<(), Error> {
        const DOING: &str = "write the reports of boxes";
        let waiting = std::mem::take(&mut *lock(&self.0.pending));
        let database = &self.0.database;
        let mut outcome = Ok(());
        for part in parts(waiting) {
            // A row that cannot be written keeps back its own part; a database that is gone keeps back the rest.
            let gone = matches!(&outcome, Err(error) if Error::passes(error));
            if !gone {
                let write = async {
                    let mut write = database.write(DOING).await?;
                    for (of, report) in &part {
                        put_pending(&mut write, of, report).await?;
                    }
                    write.commit().await
                };
                match database.within(DOING, write).await {
                    Ok(()) => continue,
                    Err(error) => outcome = Err(error),
                }
            }
            let mut pending = lock(&self.0.pending);
            for (of, report) in part {
                // A newer one may have come in.
                pending.entry(of).or_insert(report);
            }
        }
        if matches!(&outcome, Err(error) if Error::passes(error)) {
            return outcome;
        }
        outcome.and(database.within(DOING, self.read_seen()).await)
    }
}

/// Reports that wait, in parts that are written one after the other.
fn parts(waiting: HashMap<BoxId, Pending>) -> Vec<Vec<(BoxId, Pending)>> {
    let (mut parts, mut part, mut rows) = (Vec::new(), Vec::new(), 0);
    for (of, report) in waiting {
        rows += 1 + report.cameras.len();
        part.push((of, report));
        if rows >= ROWS {
            parts.push(std::mem::take(&mut part));
            rows = 0;
        }
    }
    parts.push(part);
    parts.retain(|part| !part.is_empty());
    parts
}

/// Id, public id, and whether the link is on.
type Link = (CameraId, CameraId, bool);

/// The links of a report that says nothing new; `None` when it does.
fn known(
    directory: &Directory,
    sender: &BoxRow,
    cameras: &[CameraReport],
    version: &str,
) -> Option<Vec<Link>> {
    let gone = directory
        .cameras_of(&sender.id)
        .filter(|row| streams(&row.report))
        .any(|row| !cameras.iter().any(|camera| camera.id == row.camera_id));
    // Another hub has the box now: everybody must hear of that.
    let moved = sender.node != directory.here();
    if gone || moved || sender.version != version {
        return None;
    }
    cameras
        .iter()
        .map(|camera| {
            let row = directory.camera_of(&sender.id, &camera.id)?;
            let same = row.name == camera.name
                && row.report.stream == camera.stream
                && same_state(&row.report.state, &camera.state);
            same.then(|| (row.camera_id.clone(), row.public_id.clone(), row.on))
        })
        .collect()
}

/// Equal but for the time until the next try.
fn same_state(a: &CameraState, b: &CameraState) -> bool {
    match (a, b) {
        (CameraState::Waiting { trouble: a, .. }, CameraState::Waiting { trouble: b, .. }) => a == b,
        _ => a == b,
    }
}

fn streams(report: &CameraReport) -> bool {
    matches!(report.state, CameraState::Streaming(_))
}

/// The cameras of a report, each once, with names that are not too long and figures that JSON has a form for.
fn tidy(cameras: &[CameraReport]) -> Vec<CameraReport> {
    let mut tidy: Vec<CameraReport> = Vec::with_capacity(cameras.len());
    for camera in cameras {
        if !tidy.iter().any(|other| other.id == camera.id) {
            let name = camera.name.chars().filter(|char| !char.is_control()).take(NAME).collect();
            // 1e39 in a report is infinity in an f32, which is written as null and never read again.
            let fps = if camera.fps.is_finite() { camera.fps } else { 0.0 };
            tidy.push(CameraReport { name, fps, ..camera.clone() });
        }
    }
    tidy
}

fn json(report: &CameraReport, doing: &'static str) -> Result<String, Error> {
    serde_json::to_string(report).map_err(|error| Error::broken(doing, error))
}

async fn put_camera(write: &mut Write, of: &BoxId, camera: &CameraReport, since: u64) -> Result<(), Error> {
    let error = write.error();
    sqlx::query(
        "UPDATE camera SET name = $3, report = $4, since_ms = $5 WHERE box_id = $1 AND camera_id = $2",
    )
    .bind(of.as_str())
    .bind(camera.id.as_str())
    .bind(&camera.name)
    .bind(json(camera, write.doing())?)
    .bind(since as i64)
    .execute(&mut *write.tx)
    .await
    .map_err(error)?;
    Ok(())
}

async fn add_camera(
    write: &mut Write,
    of: &BoxId,
    public_id: &CameraId,
    camera: &CameraReport,
    now: u64,
) -> Result<(), Error> {
    let error = write.error();
    let insert = "INSERT INTO camera (public_id, box_id, camera_id, name, is_on, report, since_ms) \
                  VALUES ($1, $2, $3, $4, 1, $5, $6)";
    sqlx::query(insert)
        .bind(public_id.as_str())
        .bind(of.as_str())
        .bind(camera.id.as_str())
        .bind(&camera.name)
        .bind(json(camera, write.doing())?)
        .bind(now as i64)
        .execute(&mut *write.tx)
        .await
        .map_err(error)?;
    Ok(())
}

async fn put_pending(write: &mut Write, of: &BoxId, report: &Pending) -> Result<(), Error> {
    let error = write.error();
    let newer = sqlx::query("UPDATE boxes SET last_report_ms = $2 WHERE id = $1 AND last_report_ms < $2")
        .bind(of.as_str())
        .bind(report.at_ms as i64)
        .execute(&mut *write.tx)
        .await
        .map_err(error)?;
    if newer.rows_affected() == 0 {
        // A later report was written at once.
        return Ok(());
    }
    for camera in &report.cameras {
        sqlx::query("UPDATE camera SET report = $3 WHERE box_id = $1 AND camera_id = $2")
            .bind(of.as_str())
            .bind(camera.id.as_str())
            .bind(json(camera, write.doing())?)
            .execute(&mut *write.tx)
            .await
            .map_err(error)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::stage::{Stage, camera, report};

    #[tokio::test]
    async fn a_figure_that_is_no_number_stops_nobody() {
        let stage = Stage::new().await;
        let (_, from) = stage.join(1).await;
        let text = serde_json::to_string(&report(&[camera("gate")])).unwrap();
        let hostile = text.replace("25.0", "1e39");
        assert_ne!(hostile, text);
        let hostile: Report = serde_json::from_str(&hostile).unwrap();
        stage.store.report(from, &hostile).await.unwrap();
        let other = stage.another().await;
        for store in [&stage.store, &other] {
            store.refresh().await.unwrap();
            let directory = store.directory().borrow().clone();
            let kept: Vec<_> = directory.cameras().map(|row| (row.report.fps, row.report.bit_rate)).collect();
            assert_eq!(kept, [(0.0, 4_000_000)]);
        }
    }

    #[tokio::test]
    async fn a_box_that_reports_new_cameras_again_and_again_is_stopped() {
        let stage = Stage::new().await;
        let (id, from) = stage.join(1).await;
        let cameras =
            |turn: usize| (0..CAMERAS).map(|number| camera(&format!("c{turn}-{number}"))).collect::<Vec<_>>();
        for turn in 0..KEPT / CAMERAS {
            stage.store.report(from, &report(&cameras(turn))).await.unwrap();
        }
        let refused = stage.store.report(from, &report(&cameras(99))).await;
        assert!(matches!(refused, Err(Error::Refused(Refused::TooManyCameras(KEPT)))), "{refused:?}");
        stage.store.refresh().await.unwrap();
        assert_eq!(stage.store.directory().borrow().cameras_of(&id).count(), KEPT);
        let known = stage.store.report(from, &report(&cameras(0))).await.unwrap();
        assert_eq!(known.cameras.len(), CAMERAS, "those that are known go on");
    }

    #[tokio::test]
    async fn a_report_that_cannot_be_written_keeps_back_its_own_part_only() {
        let stage = Stage::new().await;
        let mut boxes = Vec::new();
        for number in 1..=4 {
            let (_, from) = stage.join(number).await;
            let cameras: Vec<CameraReport> = (0..200).map(|n| camera(&format!("c{number}-{n}"))).collect();
            stage.store.report(from, &report(&cameras)).await.unwrap();
            boxes.push((from, cameras));
        }
        stage.store.refresh().await.unwrap();
        stage.clock.forward_ms(30_000);
        for (from, cameras) in &mut boxes {
            for camera in &mut *cameras {
                camera.bit_rate = 77;
            }
            stage.store.report(*from, &report(cameras)).await.unwrap();
        }
        stage
            .sql(
                "CREATE TRIGGER no BEFORE UPDATE ON camera WHEN NEW.camera_id = 'c1-199' \
                 BEGIN SELECT RAISE(ABORT, 'no'); END",
            )
            .await;
        let written = async || stage.number("SELECT COUNT(*) FROM camera WHERE report LIKE '%:77%'").await;
        stage.store.flush().await.unwrap_err();
        assert_eq!(written().await, 400, "two boxes at a time");
        stage.sql("DROP TRIGGER no").await;
        stage.store.flush().await.unwrap();
        assert_eq!(written().await, 800);
    }
}
