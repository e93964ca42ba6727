//! The connections: SQLite or PostgreSQL, the same queries for both.
//!
//! Reads go side by side. Writes come one after the other: within this process by a turn, between processes by the row
//! `change` of the table `counter`, which every writer takes first. So a transaction that looks for the lowest free
//! address finds it free when it commits, whatever the database's isolation.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use model::Private;
use sqlx::any::{AnyPoolOptions, AnyRow};
use sqlx::migrate::{Migration, MigrationSource, MigrationType, Migrator};
use sqlx::{Any, AnyPool, Connection as _, Executor as _, Row as _, Transaction};
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::error::{Error, Kind};
use super::listen::NOTIFY;

/// How long a writer waits for another program's lock.
const LOCK_TIME: Duration = Duration::from_secs(2);
/// How long anything waits for a connection.
const CONNECT_TIME: Duration = Duration::from_secs(3);
/// Whatever is done with the database ends after this.
const WHOLE_TIME: Duration = Duration::from_secs(6);
/// Connections of this process.
const CONNECTIONS: u32 = 6;

/// The migrations, in order. A migration that was published never changes.
const MIGRATIONS: [(i64, &str, &str); 8] = [
    (1, "enrolment", include_str!("../../migrations/0001_enrolment.sql")),
    (2, "found", include_str!("../../migrations/0002_found.sql")),
    (3, "portal", include_str!("../../migrations/0003_portal.sql")),
    (4, "claims", include_str!("../../migrations/0004_claims.sql")),
    (5, "status", include_str!("../../migrations/0005_status.sql")),
    (6, "fleet", include_str!("../../migrations/0006_fleet.sql")),
    (7, "fleet fold", include_str!("../../migrations/0007_fleet_fold.sql")),
    (8, "message", include_str!("../../migrations/0008_message.sql")),
];

/// An open database.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    pool: AnyPool,
    kind: Kind,
    /// As the operator wrote it.
    url: Private<String>,
    turn: Arc<Mutex<()>>,
}

/// A transaction that may write. Dropped without [`Write::commit`], nothing has happened.
pub(crate) struct Write {
    pub(crate) tx: Transaction<'static, Any>,
    database: Database,
    doing: &'static str,
    /// The last change's number, and whether it is one of this transaction's.
    change: i64,
    changed: bool,
    _turn: OwnedMutexGuard<()>,
}

#[derive(Debug)]
struct Embedded;

impl MigrationSource<'static> for Embedded {
    fn resolve(
        self,
    ) -> std::pin::Pin<
        Box<dyn Future<Output = Result<Vec<Migration>, Box<dyn std::error::Error + Send + Sync>>> + Send>,
    > {
        let migrations = MIGRATIONS.map(|(version, name, sql)| {
            Migration::new(version, name.into(), MigrationType::Simple, sql.into(), false)
        });
        Box::pin(async move { Ok(migrations.to_vec()) })
    }
}

impl Database {
    /// Opens `sqlite:PATH` (made when it is not there) or `postgres://…`, and brings its tables up to date.
    ///
    /// # Errors
    /// When it cannot be reached, or is of a later version.
    pub(crate) async fn open(url: &str) -> Result<Self, Error> {
        const DOING: &str = "open the database ([store] url)";
        sqlx::any::install_default_drivers();
        let own = Private::new(url.to_owned());
        let (kind, url) = match url.strip_prefix("sqlite:") {
            Some(path) => {
                let path = path.strip_prefix("//").unwrap_or(path);
                private_folder(Path::new(path));
                (Kind::Sqlite, format!("sqlite://{path}?mode=rwc"))
            }
            None => (Kind::Postgres, url.to_owned()),
        };
        let pool = AnyPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(CONNECT_TIME)
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    let wait = LOCK_TIME.as_millis();
                    let words = match kind {
                        // FULL: an answer that was given is on the disk.
                        Kind::Sqlite => format!(
                            "PRAGMA busy_timeout = {wait}; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
                             PRAGMA foreign_keys = ON"
                        ),
                        Kind::Postgres => {
                            format!("SET lock_timeout = {wait}; SET statement_timeout = {}", 2 * wait)
                        }
                    };
                    for word in words.split("; ") {
                        connection.execute(word).await?;
                    }
                    Ok(())
                })
            })
            // SQLite ends a transaction by itself when its disk is full, and the driver then never believes that it is over.
            .before_acquire(|connection, _| {
                let usable = !connection.is_in_transaction();
                Box::pin(async move { Ok(usable) })
            })
            .connect(&url)
            .await
            .map_err(|error| Error::from_driver(kind, DOING, &error))?;
        let migrator = Migrator::new(Embedded).await.map_err(|error| Error::broken(DOING, error))?;
        migrator.run(&pool).await.map_err(|error| match error {
            sqlx::migrate::MigrateError::Execute(error)
            | sqlx::migrate::MigrateError::ExecuteMigration(error, _) => {
                Error::from_driver(kind, DOING, &error)
            }
            other => Error::broken(DOING, other),
        })?;
        Ok(Self { pool, kind, url: own, turn: Arc::default() })
    }

    /// A connection pool for reads.
    pub(crate) fn pool(&self) -> &AnyPool {
        &self.pool
    }

    /// The address of a PostgreSQL; none of a SQLite.
    pub(super) fn postgres(&self) -> Option<&Private<String>> {
        Some(&self.url).filter(|_| matches!(self.kind, Kind::Postgres))
    }

    /// Sorts a driver's error.
    pub(crate) fn error(&self, doing: &'static str) -> impl Fn(sqlx::Error) -> Error + Copy + use<> {
        let kind = self.kind;
        move |error| Error::from_driver(kind, doing, &error)
    }

    /// Does something with the database, and gives up in time.
    pub(crate) async fn within<T>(
        &self,
        doing: &'static str,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let late = || Error::Gone { doing, cause: format!("no answer within {} s", WHOLE_TIME.as_secs()) };
        tokio::time::timeout(WHOLE_TIME, work).await.unwrap_or_else(|_| Err(late()))
    }

    /// Begins to write: waits for its turn, then for other processes.
    pub(crate) async fn write(&self, doing: &'static str) -> Result<Write, Error> {
        let turn = self.turn.clone().lock_owned().await;
        let begin = match self.kind {
            // A transaction that begins by reading may not become a writer in SQLite.
            Kind::Sqlite => "BEGIN IMMEDIATE",
            Kind::Postgres => "BEGIN",
        };
        let mut tx = self.pool.begin_with(begin).await.map_err(self.error(doing))?;
        let change = sqlx::query("UPDATE counter SET value = value WHERE name = 'change' RETURNING value")
            .fetch_one(&mut *tx)
            .await
            .and_then(|row| row.try_get(0))
            .map_err(self.error(doing))?;
        Ok(Write { tx, database: self.clone(), doing, change, changed: false, _turn: turn })
    }

    /// Closes all connections.
    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }
}

impl Write {
    /// Sorts a driver's error.
    pub(crate) fn error(&self) -> impl Fn(sqlx::Error) -> Error + Copy + use<> {
        self.database.error(self.doing)
    }

    /// What this is for.
    pub(crate) fn doing(&self) -> &'static str {
        self.doing
    }

    /// Tells all processes that `subject` has changed.
    pub(crate) async fn change(&mut self, what: &str, subject: &str, now_ms: u64) -> Result<(), Error> {
        self.change += 1;
        self.changed = true;
        let error = self.error();
        sqlx::query("INSERT INTO change (id, at_ms, what, subject) VALUES ($1, $2, $3, $4)")
            .bind(self.change)
            .bind(now_ms as i64)
            .bind(what)
            .bind(subject)
            .execute(&mut *self.tx)
            .await
            .map_err(error)?;
        sqlx::query("UPDATE counter SET value = $1 WHERE name = 'change'")
            .bind(self.change)
            .execute(&mut *self.tx)
            .await
            .map_err(error)?;
        Ok(())
    }

    /// Makes it true. After an error it may have become true all the same (the answer was lost): whoever tries again
    /// must find the same.
    pub(crate) async fn commit(mut self) -> Result<(), Error> {
        let error = self.error();
        if self.changed && self.database.postgres().is_some() {
            sqlx::query(NOTIFY).execute(&mut *self.tx).await.map_err(error)?;
        }
        self.tx.commit().await.map_err(error)
    }
}

/// The database holds keys: a folder that is made for it is its owner's only.
fn private_folder(file: &Path) {
    use std::os::unix::fs::DirBuilderExt as _;
    if let Some(folder) = file.parent().filter(|folder| !folder.exists()) {
        // What cannot be made is found missing when the database is opened, with its path.
        let _ = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    }
}

/// One row, read by names. What is missing or of another type is the database's fault.
pub(crate) struct Fields<'r> {
    row: &'r AnyRow,
    doing: &'static str,
}

impl<'r> Fields<'r> {
    pub(crate) fn new(row: &'r AnyRow, doing: &'static str) -> Self {
        Self { row, doing }
    }

    pub(crate) fn text(&self, name: &str) -> Result<String, Error> {
        self.row.try_get(name).map_err(|error| Error::broken(self.doing, error))
    }

    pub(crate) fn maybe_text(&self, name: &str) -> Result<Option<String>, Error> {
        self.row.try_get(name).map_err(|error| Error::broken(self.doing, error))
    }

    pub(crate) fn number(&self, name: &str) -> Result<u64, Error> {
        let number: i64 = self.row.try_get(name).map_err(|error| Error::broken(self.doing, error))?;
        u64::try_from(number).map_err(|error| Error::broken(self.doing, error))
    }

    pub(crate) fn maybe_number(&self, name: &str) -> Result<Option<u64>, Error> {
        let number: Option<i64> = self.row.try_get(name).map_err(|error| Error::broken(self.doing, error))?;
        number
            .map(|number| u64::try_from(number).map_err(|error| Error::broken(self.doing, error)))
            .transpose()
    }

    /// A text that is something else, such as an id.
    pub(crate) fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
        &self,
        name: &str,
    ) -> Result<T, Error> {
        self.text(name)?.parse().map_err(|error| Error::broken(self.doing, error))
    }
}
