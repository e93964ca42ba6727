//! The directory follows the database: new rows of the table `change` say which boxes to read again. A follower that
//! has missed some (they are kept for a week), or finds an older database, reads everything.

use std::collections::{BTreeSet, HashMap};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::status::{CameraReport, Picture};
use model::{BoxId, CameraId, CameraState};
use sqlx::any::AnyRow;

use super::database::{Database, Fields};
use super::directory::{BoxRow, BoxState, CameraRow, Directory, Seen};
use super::portal::{Access, Portal};
use super::{Error, Store, lock, login};

/// How often the database is asked for changes of other processes.
pub const POLL: Duration = Duration::from_millis(250);
/// The same while it tells of them by itself.
const POLL_TOLD: Duration = Duration::from_secs(1);
/// How often what need not be written at once is written.
const FLUSH: Duration = Duration::from_secs(5);
/// How often what nobody needs any more is deleted.
const SWEEP: Duration = Duration::from_secs(3600);
/// How long it is known who did what, days.
const AUDIT_DAYS: u64 = 400;
/// More changed boxes than this are read all together.
const MANY: usize = 200;
const DOING: &str = "read the boxes and cameras";

/// What the table `change` says of boxes and of sessions.
pub(super) const BOX: &str = "box";
pub(super) const SESSION: &str = "session";

impl Store {
    /// Keeps the directory like the database, for ever. Troubles of the database are logged when they begin and end.
    pub async fn follow(self) {
        tokio::join!(self.listen(), self.keep_up());
    }

    async fn keep_up(&self) {
        let mut flush = tokio::time::interval(FLUSH);
        let mut sweep = tokio::time::interval(SWEEP);
        for timer in [&mut flush, &mut sweep] {
            timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        }
        loop {
            let outcome = tokio::select! {
                _ = flush.tick() => self.flush().await,
                _ = sweep.tick() => self.sweep().await,
                () = self.0.nudge.notified() => self.refresh().await,
                () = tokio::time::sleep(self.poll()) => self.refresh().await,
            };
            match (self.0.up.set(outcome.is_ok()), outcome) {
                (true, Err(error)) => tracing::warn!("{error}; streams that run go on"),
                (true, Ok(())) => tracing::info!("the database works again"),
                (false, _) => {}
            }
        }
    }

    fn poll(&self) -> Duration {
        if self.0.listening.load(Ordering::Relaxed) { POLL_TOLD } else { POLL }
    }

    /// Reads what has changed since the last time.
    ///
    /// # Errors
    /// When the database does not say; the directory stays as it is.
    pub async fn refresh(&self) -> Result<(), Error> {
        let database = &self.0.database;
        database
            .within(DOING, async {
                let _turn = self.0.reading.lock().await;
                self.read_changes().await
            })
            .await
    }

    async fn read_changes(&self) -> Result<(), Error> {
        let database = &self.0.database;
        let known = self.0.directory.borrow().version();
        let last = last_change(database).await?;
        if last == known {
            return Ok(());
        }
        let changes = sqlx::query("SELECT id, what, subject FROM change WHERE id > $1 ORDER BY id")
            .bind(known as i64)
            .fetch_all(database.pool())
            .await
            .map_err(database.error(DOING))?;
        let mut newest = known;
        let mut gap = last < known;
        let (mut boxes, mut sessions, mut others) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for row in &changes {
            let row = Fields::new(row, DOING);
            let id = row.number("id")?;
            gap |= id != newest + 1;
            newest = id;
            let subject = row.text("subject")?;
            match row.text("what")?.as_str() {
                BOX => boxes.insert(subject),
                SESSION => sessions.insert(subject),
                what => others.insert((what.to_owned(), subject)),
            };
        }
        // The last ones may be deleted already.
        gap |= newest < last;
        if gap || boxes.len() + others.len() > MANY {
            self.replace(whole(database).await?);
        } else {
            let mut next = Directory::clone(&self.0.directory.borrow());
            for id in &boxes {
                let id: BoxId = id.parse().map_err(|error| Error::broken(DOING, error))?;
                some(database, &mut next, &id).await?;
            }
            let mut portal = next.portal().clone();
            for (what, key) in &others {
                // What a newer version has written is not for this one.
                portal.follow(database, what, key).await?;
            }
            next.set_portal(portal);
            next.set_version(newest);
            self.0.directory.send_replace(Arc::new(next));
        }
        let waiting = lock(&self.0.waiting);
        for session in sessions.iter().filter_map(|session| waiting.get(session)) {
            session.notify_waiters();
        }
        Ok(())
    }

    /// Takes a directory that was read anew; when boxes were last heard of is carried on.
    fn replace(&self, mut next: Directory) {
        let old = self.0.directory.borrow().clone();
        next.carry_on(&old);
        self.0.directory.send_replace(Arc::new(next));
    }

    /// Deletes changes older than a week, and sessions, invitations and logins that nobody can use any more.
    ///
    /// # Errors
    /// The database's.
    pub async fn sweep(&self) -> Result<(), Error> {
        const DOING: &str = "delete what is old";
        const DAY_MS: u64 = 24 * 3600 * 1000;
        let now = self.now_ms();
        let database = &self.0.database;
        database
            .within(DOING, async {
                let mut write = database.write(DOING).await?;
                let error = write.error();
                for (query, age) in [
                    ("DELETE FROM change WHERE at_ms < $1", 7 * DAY_MS),
                    (
                        "DELETE FROM session_key WHERE session IN (SELECT id FROM session WHERE expires_ms < $1) \
                         AND NOT EXISTS (SELECT 1 FROM boxes WHERE boxes.session = session_key.session)",
                        DAY_MS,
                    ),
                    (
                        "DELETE FROM session WHERE expires_ms < $1 \
                         AND NOT EXISTS (SELECT 1 FROM boxes WHERE boxes.session = session.id)",
                        DAY_MS,
                    ),
                    ("DELETE FROM invitation WHERE expires_ms < $1", 0),
                    ("DELETE FROM audit WHERE at_ms < $1", AUDIT_DAYS * DAY_MS),
                ] {
                    let before = now.saturating_sub(age) as i64;
                    sqlx::query(query).bind(before).execute(&mut *write.tx).await.map_err(error)?;
                }
                login::sweep(&mut write, now).await?;
                write.commit().await
            })
            .await
    }
}

/// The number of the last change.
async fn last_change(database: &Database) -> Result<u64, Error> {
    let last: i64 = sqlx::query_scalar("SELECT value FROM counter WHERE name = 'change'")
        .fetch_one(database.pool())
        .await
        .map_err(database.error(DOING))?;
    u64::try_from(last).map_err(|error| Error::broken(DOING, error))
}

/// Everything. What changes meanwhile may be in it already, and is read once more by its number.
pub(super) async fn whole(database: &Database) -> Result<Directory, Error> {
    database
        .within(DOING, async {
            let mut directory = Directory::default();
            directory.set_version(last_change(database).await?);
            directory.set_portal(Portal::whole(database).await?);
            let error = database.error(DOING);
            let boxes = sqlx::query("SELECT * FROM boxes").fetch_all(database.pool()).await.map_err(error)?;
            let rows = sqlx::query("SELECT * FROM camera").fetch_all(database.pool()).await.map_err(error)?;
            let mut cameras: HashMap<BoxId, Vec<CameraRow>> = HashMap::new();
            for row in &rows {
                let row = camera_row(row)?;
                cameras.entry(row.box_id.clone()).or_default().push(row);
            }
            for row in &boxes {
                let row = box_row(row)?;
                let of_box = cameras.remove(&row.id).unwrap_or_default();
                directory.put_cameras(&row.id, of_box);
                directory.put_box(row);
            }
            Ok(directory)
        })
        .await
}

/// One box and its cameras.
async fn some(database: &Database, directory: &mut Directory, id: &BoxId) -> Result<(), Error> {
    let error = database.error(DOING);
    let row = sqlx::query("SELECT * FROM boxes WHERE id = $1")
        .bind(id.as_str())
        .fetch_optional(database.pool())
        .await
        .map_err(error)?;
    let Some(row) = row else { return Ok(()) };
    let cameras = sqlx::query("SELECT * FROM camera WHERE box_id = $1")
        .bind(id.as_str())
        .fetch_all(database.pool())
        .await
        .map_err(error)?;
    let cameras: Vec<CameraRow> = cameras.iter().map(camera_row).collect::<Result<_, _>>()?;
    directory.put_cameras(id, cameras);
    directory.put_box(box_row(&row)?);
    Ok(())
}

pub(super) fn box_row(row: &AnyRow) -> Result<BoxRow, Error> {
    let row = Fields::new(row, DOING);
    let address = u32::try_from(row.number("address")?).map_err(|error| Error::broken(DOING, error))?;
    let seen = Seen::default();
    seen.note(row.number("last_report_ms")?);
    let state = row.text("state")?;
    Ok(BoxRow {
        id: row.parsed("id")?,
        identity: key(&row.text("identity")?)?,
        tunnel_key: key(&row.text("tunnel_key")?)?,
        address: Ipv4Addr::from(address),
        owner: row.text("owner")?,
        state: BoxState::from_name(&state)
            .ok_or_else(|| Error::broken(DOING, format!("the box state {state:?}")))?,
        enrolled_ms: row.number("enrolled_ms")?,
        version: row.text("version")?,
        name: row.text("name")?,
        site: row.text("site")?,
        node: row.text("node")?,
        seen,
    })
}

pub(super) fn camera_row(row: &AnyRow) -> Result<CameraRow, Error> {
    let row = Fields::new(row, DOING);
    let (camera_id, name): (CameraId, String) = (row.parsed("camera_id")?, row.text("name")?);
    let report = serde_json::from_str(&row.text("report")?).unwrap_or_else(|error| {
        // What one box has said holds up nobody else's changes; its next report is written over it.
        tracing::warn!(camera = %camera_id, %error, "a camera's last report cannot be read: it counts as connecting");
        unknown(&camera_id, &name)
    });
    Ok(CameraRow {
        public_id: row.parsed("public_id")?,
        box_id: row.parsed("box_id")?,
        camera_id,
        name,
        title: row.text("title")?,
        access: Access::read(&row.text("access")?)?,
        on: row.number("is_on")? != 0,
        report,
        since_ms: row.number("since_ms")?,
    })
}

/// The report of a camera of which nothing is known.
fn unknown(id: &CameraId, name: &str) -> CameraReport {
    CameraReport {
        id: id.clone(),
        name: name.to_owned(),
        state: CameraState::Connecting,
        stream: Picture::default(),
        fps: 0.0,
        bit_rate: 0,
        last_frame_age_ms: None,
        keyframe_age_ms: None,
        latency_ms: None,
        ping_ms: None,
        outages: Vec::new(),
    }
}

/// A key as it is kept.
pub(super) fn key(text: &str) -> Result<[u8; 32], Error> {
    let bytes = STANDARD.decode(text).map_err(|error| Error::broken(DOING, error))?;
    bytes.try_into().map_err(|_| Error::broken(DOING, "a key of another length"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::stage::{Stage, camera, report};

    #[tokio::test]
    async fn a_report_that_cannot_be_read_holds_up_nobody() {
        let stage = Stage::new().await;
        let (id, from, link) = stage.with_camera(1).await;
        stage.sql("UPDATE camera SET report = '{\"fps\":null}'").await;
        let other = stage.another().await;
        stage.store.set_camera(&link, false).await.unwrap();
        for store in [&stage.store, &other] {
            store.refresh().await.unwrap();
            let directory = store.directory().borrow().clone();
            let row = directory.camera(link.as_str()).unwrap();
            assert!(!row.on, "the link is off");
            assert_eq!((&row.report.state, row.report.name.as_str()), (&CameraState::Connecting, "gate"));
        }
        stage.clock.forward_ms(30_000);
        other.report(from, &report(&[camera("gate")])).await.unwrap();
        other.flush().await.unwrap();
        let directory = stage.another().await.directory().borrow().clone();
        assert_eq!(directory.cameras_of(&id).next().unwrap().report.bit_rate, 4_000_000);
    }

    #[tokio::test]
    async fn whoever_has_missed_the_last_changes_reads_everything() {
        let stage = Stage::new().await;
        let (.., link) = stage.with_camera(1).await;
        let other = stage.another().await;
        stage.store.set_camera(&link, false).await.unwrap();
        stage.sql("DELETE FROM change").await;
        other.refresh().await.unwrap();
        let directory = other.directory().borrow().clone();
        assert!(!directory.camera(link.as_str()).unwrap().on);
        assert_eq!(directory.version(), stage.store.directory().borrow().version());
    }
}
