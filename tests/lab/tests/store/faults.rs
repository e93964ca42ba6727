//! What is left of the store when its database is in trouble: clear words in time, 503 for whoever asks, a directory that
//! goes on serving, and nothing lost once the trouble is over.

use std::{
    fs,
    io::Read,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use axum::{Extension, Router, body::Body};
use cloud_stub::{
    config::Config,
    enrol::Enrolment,
    http::Client,
    store::{Error, Store},
};
use hyper::{Request, StatusCode, header::RETRY_AFTER};
use lab::world::{SCRATCH, run};
use tower::ServiceExt;

use crate::{
    promises::report,
    stage::{Member, Place, Stage, address},
};

/// Whatever is done with a database ends within this.
const PATIENCE: Duration = Duration::from_secs(8);

/// A box that is in, a link that works, and a box that has claimed and not yet joined: what must not be lost.
#[derive(Clone)]
struct Before {
    store: Store,
    session: String,
    link: String,
}

async fn before(place: &Place) -> Result<Before> {
    let store = place.open().await?;
    Member::new(1).enrol(&store, "ACME", 1).await?;
    let coming = Member::new(2);
    let session = coming.hello(&store, 1).await?;
    store.claim(&session.code.parse()?, "ACME").await?;
    store.refresh().await?;
    let link = report(&store, &["gate"], true).await?.remove(0).to_string();
    store.refresh().await?;
    Ok(Before { store, session: session.session, link })
}

/// What holds while the trouble lasts: `kind` is the error that must come, `words` what the operator must read.
async fn during(before: &Before, kind: fn(&Error) -> bool, words: &str) -> Result<()> {
    let store = &before.store;
    let start = Instant::now();
    let yes = Member::new(2).yes(&before.session, "ACME", 1);
    let Err(error) = store.join(&yes).await else { bail!("a box joined without a database") };
    ensure!(kind(&error) && error.passes(), "{error:?}");
    ensure!(error.to_string().contains(words), "{error}");
    ensure!(start.elapsed() < PATIENCE, "it took {:?}", start.elapsed());

    // Whoever asks is told when to come back, and nothing of the database.
    let config = Config::parse("cloud.toml", "[http]\nurl = \"https://video.example.org\"\n")?;
    let client = Client([203, 0, 113, 5].into());
    let routes: Router = Enrolment::new(store.clone(), &config, "key").routes().layer(Extension(client));
    let hello = serde_json::to_vec(&Member::new(3).signed_hello(1))?;
    let request = Request::post("/api/v1/enrol").header("content-type", "application/json");
    let start = Instant::now();
    let answer = routes.oneshot(request.body(Body::from(hello))?).await?;
    ensure!(answer.status() == StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
    ensure!(answer.headers().get(RETRY_AFTER).is_some_and(|after| after == "5"), "{answer:?}");
    ensure!(start.elapsed() < PATIENCE, "it took {:?}", start.elapsed());
    let body = axum::body::to_bytes(answer.into_body(), 10_000).await?;
    let body = String::from_utf8_lossy(&body);
    ensure!(body.contains("try again") && !body.contains("sql") && !body.contains('/'), "{body}");

    // The streams that run are none of the database's business, nor are the reports of boxes that say nothing new.
    let directory = store.directory().borrow().clone();
    ensure!(directory.watched(&before.link).is_some() && directory.by_address(address(1)).is_some());
    ensure!(
        report(store, &["gate"], true).await?
            == vec![before.link.parse().map_err(|_| anyhow::anyhow!("an id"))?]
    );
    Ok(())
}

/// What holds once it is over: the same words go through, and what was there is there.
async fn after(before: &Before, place: &Place) -> Result<()> {
    let store = &before.store;
    let start = Instant::now();
    let yes = Member::new(2).yes(&before.session, "ACME", 1);
    let admitted = loop {
        match store.join(&yes).await {
            Ok(admitted) => break admitted,
            Err(error) if start.elapsed() > Duration::from_secs(20) => return Err(error.into()),
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    };
    ensure!(admitted.address == address(2), "{admitted:?}");
    store.flush().await?;
    let fresh = place.open().await?;
    let directory = fresh.directory().borrow().clone();
    ensure!(directory.peers().count() == 2 && directory.watched(&before.link).is_some());
    let heard = directory.by_address(address(1)).and_then(|row| row.seen.last_ms());
    ensure!(heard == Some(store.now_ms()), "the report of the bad time was lost: {heard:?}");
    println!("{}: works again after {:.2} s", place.name, start.elapsed().as_secs_f64());
    Ok(())
}

pub(crate) fn postgres_stopped(stage: &mut Stage) -> Result<()> {
    let place = stage.postgres("stopped")?;
    let known = stage.runtime.block_on(before(&place))?;
    place.clock().forward_s(30);
    stage.postgres.stop()?;
    let gone = |error: &Error| matches!(error, Error::Gone { .. });
    stage.runtime.block_on(during(&known, gone, "see that it runs"))?;
    stage.postgres.go_on()?;
    stage.runtime.block_on(after(&known, &place))
}

/// A server that takes connections and never answers.
pub(crate) fn postgres_frozen(stage: &Stage) -> Result<()> {
    let place = stage.postgres("frozen")?;
    let known = stage.runtime.block_on(before(&place))?;
    place.clock().forward_s(30);
    stage.postgres.freeze(true)?;
    let gone = |error: &Error| matches!(error, Error::Gone { .. });
    let outcome = stage.runtime.block_on(during(&known, gone, "does not answer"));
    stage.postgres.freeze(false)?;
    outcome?;
    stage.runtime.block_on(after(&known, &place))
}

/// A server that says disk_full (SQLSTATE 53100) to every new row. The words are its own; the full disk is not.
pub(crate) fn postgres_full(stage: &Stage) -> Result<()> {
    let place = stage.postgres("no_room")?;
    let known = stage.runtime.block_on(before(&place))?;
    place.clock().forward_s(30);
    let full = "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS \
                $$ BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = '53100'; END $$; \
                CREATE TRIGGER full_boxes BEFORE INSERT ON boxes EXECUTE FUNCTION full_disk(); \
                CREATE TRIGGER full_session BEFORE INSERT ON session EXECUTE FUNCTION full_disk()";
    stage.postgres.sql("no_room", full)?;
    let is_full = |error: &Error| matches!(error, Error::Full { .. });
    stage.runtime.block_on(during(&known, is_full, "free some space"))?;
    stage.postgres.sql("no_room", "DROP FUNCTION full_disk CASCADE")?;
    stage.runtime.block_on(after(&known, &place))
}

pub(crate) fn postgres_locked(stage: &Stage) -> Result<()> {
    let place = stage.postgres("locked")?;
    let known = stage.runtime.block_on(before(&place))?;
    place.clock().forward_s(30);
    let mut holder =
        stage.postgres.psql("locked", "BEGIN; LOCK TABLE counter; SELECT 'held'; SELECT pg_sleep(600)")?;
    let holder = Holder::start(&mut holder)?;
    let granted = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted \
                   AND relation = 'counter'::regclass";
    let start = Instant::now();
    while stage.postgres.sql("locked", granted)?.trim() == "0" {
        ensure!(start.elapsed() < PATIENCE, "the lock was not taken");
    }
    let locked = |error: &Error| matches!(error, Error::Locked { .. });
    stage.runtime.block_on(during(&known, locked, "locked by another program"))?;
    drop(holder);
    // Its client is gone; the server notices when it next speaks to it.
    stage.postgres.sql("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()")?;
    stage.runtime.block_on(after(&known, &place))
}

pub(crate) fn sqlite_locked(stage: &Stage) -> Result<()> {
    let place = Stage::sqlite("locked")?;
    let known = stage.runtime.block_on(before(&place))?;
    place.clock().forward_s(30);
    let file = place.url.strip_prefix("sqlite:").context("a file")?;
    let script = "import sqlite3, sys, time\n\
                  held = sqlite3.connect(sys.argv[1], isolation_level=None)\n\
                  held.execute('BEGIN EXCLUSIVE')\n\
                  print('held', flush=True)\n\
                  time.sleep(600)\n";
    let mut holder = Holder::start(Command::new("python3").args(["-c", script, file]))?;
    holder.wait_for("held")?;
    let locked = |error: &Error| matches!(error, Error::Locked { .. });
    stage.runtime.block_on(during(&known, locked, "locked by another program"))?;
    drop(holder);
    stage.runtime.block_on(after(&known, &place))
}

/// A disk of its own that is full to the last byte.
pub(crate) fn sqlite_full(stage: &Stage) -> Result<()> {
    let disk = disk("full", "1m")?;
    let place = Place::new(format!("sqlite:{}", disk.join("cloud.db").display()), "SQLite", "full");
    let known = stage.runtime.block_on(before(&place))?;
    place.clock().forward_s(30);
    let ballast = disk.join("ballast");
    // dd ends with an error when the disk is full; that is what it is for.
    let dd = Command::new("dd")
        .args(["if=/dev/zero", "bs=1k"])
        .arg(format!("of={}", ballast.display()))
        .output()?;
    ensure!(!dd.status.success(), "the disk is not full");
    let full = |error: &Error| matches!(error, Error::Full { .. });
    stage.runtime.block_on(during(&known, full, "free some space"))?;
    fs::remove_file(&ballast)?;
    stage.runtime.block_on(after(&known, &place))
}

/// A disk that has become read-only, as a bad one does.
pub(crate) fn sqlite_not_writable(stage: &Stage) -> Result<()> {
    let disk = disk("readonly", "8m")?;
    let place = Place::new(format!("sqlite:{}", disk.join("cloud.db").display()), "SQLite", "read-only");
    let known = stage.runtime.block_on(before(&place))?;
    place.clock().forward_s(30);
    let path = disk.display().to_string();
    // What has files open for writing cannot become read-only, but what is opened anew can be: a cloud that starts again
    // on such a disk shows its cameras, and lets no box in.
    run("mount", &["--bind", "-o", "ro", &path, &path])?;
    let again = Before { store: stage.runtime.block_on(place.open())?, ..known.clone() };
    let gone = |error: &Error| matches!(error, Error::Gone { .. });
    stage.runtime.block_on(during(&again, gone, "its files can be written"))?;
    let lost = stage.runtime.block_on(again.store.close());
    ensure!(lost.is_err(), "a report was written on a read-only disk");
    // Lazily: SQLite keeps a file open for as long as another connection of the same process has a lock on it.
    run("umount", &["--lazy", &path])?;
    // What the box said meanwhile it says again half a minute later.
    stage.runtime.block_on(report(&known.store, &["gate"], true))?;
    stage.runtime.block_on(after(&known, &place))
}

/// A small disk in memory.
fn disk(name: &str, size: &str) -> Result<PathBuf> {
    let folder = PathBuf::from(SCRATCH).join(name);
    fs::create_dir_all(&folder)?;
    let path = folder.display().to_string();
    run("mount", &["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs", &path])?;
    Ok(folder)
}

/// A program that holds a lock until it is dropped.
struct Holder(Child);

impl Holder {
    fn start(command: &mut Command) -> Result<Self> {
        Ok(Self(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?))
    }

    fn wait_for(&mut self, word: &str) -> Result<()> {
        let out = self.0.stdout.as_mut().context("no output")?;
        let mut said = vec![0; word.len()];
        out.read_exact(&mut said)?;
        ensure!(said == word.as_bytes(), "it said something else");
        Ok(())
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
