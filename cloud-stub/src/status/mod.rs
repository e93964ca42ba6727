//! How cameras are and were: samples, outages, uptime, and who is told.
//!
//! ```text
//! boxes' reports ─┐                      ┌─> store: sample_hour, sample_day, outage, alarm (a batch every 5 s)
//!                 ├─> [`Core`] (no IO) ──┤
//! the clock ──────┘                      └─> store: message, in the same batch ──> [`alert`]: mail and webhooks
//! ```
//!
//! A box says itself when its pictures stopped and came again; that it is silent, only the cloud can see. Both go into the
//! same [`Book`]. Boxes speak in ages ([`model::status::Outage`]): their clocks do not matter.

pub mod alert;
mod book;
mod core;
mod reason;
mod routes;
pub mod sample;
mod told;
pub mod uptime;

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::CameraId;
use model::status::{Answer, CameraReport, Report};
use tokio::time::{MissedTickBehavior, interval};

pub use book::{Book, Span};
pub use core::{Batch, CameraRows, Core, Current, Look, Rows, SILENT_MS, Told};
pub use reason::Reason;
pub use routes::routes;

use crate::hub::Reports;
use crate::nodes::is_here;
use crate::store::{BoxRow, BoxState, Directory, Error, Store};
use alert::Message;
use sample::HOUR_MS;

/// What a camera without a box is held by: this and its public id.
pub(crate) const SOURCE: &str = "source:";
/// Between two looks at the clock.
const TICK: Duration = Duration::from_secs(1);
/// Between two writes, looks.
const WRITE_EVERY: u32 = 5;
/// Between two sweeps, milliseconds.
const SWEEP_MS: u64 = 6 * HOUR_MS;
/// Most messages to people that wait for the database.
const MESSAGES: usize = 5_000;
/// How long the end waits for messages that are under way.
const SETTLE: Duration = Duration::from_millis(800);

/// When a box was last heard of beside its reports, milliseconds since 1970: what the tunnel knows.
pub type Sign = Box<dyn Fn(&BoxRow) -> Option<u64> + Send + Sync>;

/// What a status keeper is made of.
pub struct Options {
    /// The tunnel's word.
    pub sign: Sign,
    /// This cloud's id among those that share the database; `None`: it is the only one.
    pub node: Option<String>,
    /// Who takes messages to people.
    pub courier: alert::Courier,
}

/// Keeps the status of every camera that this cloud hears. A handle, cheap to clone.
#[derive(Clone)]
pub struct Status(Arc<Inner>);

struct Inner {
    store: Store,
    options: Options,
    core: Mutex<Core>,
    /// What people are to be told and is not written yet.
    messages: Mutex<Vec<Message>>,
    swept_ms: Mutex<u64>,
    started_ms: u64,
}

impl Status {
    /// A keeper that has heard nothing yet.
    pub fn new(store: Store, options: Options) -> Self {
        let now = store.now_ms();
        let alive = store.directory().borrow().boxes().filter_map(|row| row.seen.last_ms()).max();
        Self(Arc::new(Inner {
            core: Mutex::new(Core::new(now, alive)),
            messages: Mutex::default(),
            swept_ms: Mutex::new(0),
            started_ms: now,
            options,
            store,
        }))
    }

    /// One that hears nobody and tells nobody.
    pub fn idle(store: Store) -> Self {
        let courier = alert::Courier::silent(store.base().to_owned());
        Self::new(store, Options { sign: Box::new(|_| None), node: None, courier })
    }

    /// Who takes messages to people.
    pub fn courier(&self) -> &alert::Courier {
        &self.0.options.courier
    }

    /// The store that it writes to.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// Takes what this cloud says itself of a camera without a box, every half minute and at each change.
    pub fn heard_source(&self, public_id: &CameraId, report: CameraReport) {
        let told = vec![Told { public_id: public_id.clone(), report }];
        let now = self.0.store.now_ms();
        self.core(|core| core.heard(&format!("{SOURCE}{public_id}"), told, None, now));
    }

    /// Runs for ever. Troubles of the database are the follower's to log.
    pub async fn keep(self) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut round = 0_u32;
        loop {
            tick.tick().await;
            round = round.wrapping_add(1);
            self.tick().await;
            if round.is_multiple_of(WRITE_EVERY) || !lock(&self.0.messages).is_empty() {
                // What could not be written is part of the next batch, and what could not be begun is due again.
                let _ = self.flush(false).await;
                let _ = self.deliver().await;
            }
            self.sweep().await;
        }
    }

    /// One look at the clock.
    pub async fn tick(&self) {
        let inner = &*self.0;
        let now = inner.store.now_ms();
        let directory = inner.store.directory().borrow().clone();
        self.watch_the_unheard(&directory, now);
        for holder in self.core(|core| core.wanted()) {
            let cameras = cameras_of(&directory, &holder);
            // Without the database it waits, and so do its reports.
            let Ok(rows) = inner.store.status_rows(&holder, &cameras).await else { break };
            self.core(|core| core.load(&holder, rows, inner.store.now_ms()));
        }
        let news = self.core(|core| core.tick(now, |holder| self.look(&directory, holder)));
        let cloud = self.cloud();
        let courier = &inner.options.courier;
        let mut messages = lock(&inner.messages);
        for (holder, event) in news {
            messages.extend(courier.messages(&directory, &holder, &event, now, cloud));
        }
        let over = messages.len().saturating_sub(MESSAGES);
        if over > 0 {
            tracing::warn!(over, "people are not told of everything: the database does not answer");
            messages.drain(..over);
        }
    }

    /// Writes what waits, part by part. `all`: everything, for this process ends.
    ///
    /// # Errors
    /// The database's, the last one of several; nothing is lost.
    pub async fn flush(&self, all: bool) -> Result<(), Error> {
        let inner = &*self.0;
        let now = inner.store.now_ms();
        let mut batch = self.core(|core| core.batch(now, all));
        batch.messages = std::mem::take(&mut *lock(&inner.messages));
        let mut outcome = Ok(());
        let mut left = Batch::default();
        for part in batch.parts() {
            // A row that cannot be written keeps back its own part; a database that is gone keeps back the rest.
            if matches!(&outcome, Err(error) if Error::passes(error)) {
                left.extend(part);
                continue;
            }
            match inner.store.write_status(&part).await {
                Ok(()) => self.core(|core| core.written(&part)),
                Err(error) => {
                    outcome = Err(error);
                    left.extend(part);
                }
            }
        }
        lock(&inner.messages).splice(0..0, std::mem::take(&mut left.messages));
        if !left.is_empty() {
            self.core(|core| core.failed(left));
        }
        if all {
            inner.options.courier.settle(SETTLE).await;
        }
        outcome
    }

    /// Begins to tell people what is written and due: what this cloud has decided, and what a cloud that is dead has left.
    ///
    /// # Errors
    /// The database's; it is due the next time as well.
    pub async fn deliver(&self) -> Result<(), Error> {
        let Inner { store, options, started_ms, .. } = &*self.0;
        let (directory, now, cloud) = (store.directory().borrow().clone(), store.now_ms(), self.cloud());
        let others: Vec<&str> =
            directory.alive().iter().map(String::as_str).filter(|id| *id != cloud).collect();
        // One that has just begun does not know yet who lives.
        let settled = now.saturating_sub(*started_ms) >= SILENT_MS;
        let others = settled.then_some(others.as_slice());
        options.courier.deliver(store, &directory, cloud, others, now).await
    }

    /// This cloud's id among those that share the database; empty where there is one.
    fn cloud(&self) -> &str {
        self.0.options.node.as_deref().unwrap_or_default()
    }

    /// How a camera is now, and samples of this hour, if this cloud hears it.
    pub fn current(&self, directory: &Directory, public_id: &CameraId) -> Option<Current> {
        let holder = holder_of(directory, public_id)?;
        self.core(|core| core.current(&holder, public_id))
    }

    /// Samples of an hour that are in memory.
    pub fn hour(&self, directory: &Directory, public_id: &CameraId, hour: u64) -> Option<sample::Hour> {
        let holder = holder_of(directory, public_id)?;
        self.core(|core| core.hour(&holder, public_id, hour))
    }

    async fn sweep(&self) {
        let now = self.0.store.now_ms();
        let due = now.saturating_sub(*lock(&self.0.swept_ms)) >= SWEEP_MS;
        if !due {
            return;
        }
        // Also when it fails: everybody who writes waits while it is tried.
        *lock(&self.0.swept_ms) = now;
        if let Err(error) = self.0.store.sweep_status(now).await {
            tracing::warn!("{error}; it is tried again in {} h", SWEEP_MS / HOUR_MS);
        }
    }

    /// Boxes that no cloud has heard for long are watched by the first one that lives.
    fn watch_the_unheard(&self, directory: &Directory, now: u64) {
        let first = directory.alive().first();
        let first = self.0.options.node.as_ref().is_none_or(|own| first.is_none_or(|first| first == own));
        if !first || now.saturating_sub(self.0.started_ms) < SILENT_MS {
            return;
        }
        self.core(|core| {
            for row in directory.peers() {
                let silent = row.seen.last_ms().is_some_and(|at| now.saturating_sub(at) >= SILENT_MS);
                if silent && !core.knows(row.id.as_str()) {
                    core.watch(row.id.as_str(), now);
                }
            }
        });
    }

    fn look(&self, directory: &Directory, holder: &str) -> Option<Look> {
        let mut look = Look::default();
        let tenant = if let Some(public_id) = holder.strip_prefix(SOURCE) {
            let source = directory.portal().sources.get(public_id)?;
            look.elsewhere = !is_here(directory, public_id);
            if !source.on {
                look.off.extend(CameraId::new(public_id).ok());
            }
            Some(source.tenant.as_str())
        } else {
            let row = directory.by_id(&holder.parse().ok()?).filter(|row| row.state == BoxState::Active)?;
            look.seen_ms = row.seen.last_ms();
            // By the other's clock, which may be ahead of this one.
            let ahead = look.seen_ms > Some(self.0.store.now_ms());
            look.elsewhere = ahead && directory.alive().contains(&row.node) && self.is_another(&row.node);
            look.sign_ms = (self.0.options.sign)(row);
            let off = directory.cameras_of(&row.id).filter(|camera| !camera.on);
            look.off = off.map(|camera| camera.public_id.clone()).collect();
            directory.portal().tenant_named(&row.owner)
        };
        look.after_ms = alert::Rules::of(directory, tenant.unwrap_or_default()).after_ms();
        Some(look)
    }

    /// Whether this is the id of another cloud.
    fn is_another(&self, node: &str) -> bool {
        self.0.options.node.as_ref().is_some_and(|own| own != node)
    }

    fn core<T>(&self, with: impl FnOnce(&mut Core) -> T) -> T {
        with(&mut lock(&self.0.core))
    }
}

/// Reports go through here to the store: what the store has taken is the cloud's.
impl Reports for Status {
    async fn report(&self, from: Ipv4Addr, report: &Report) -> Result<Answer, Error> {
        let store = &self.0.store;
        let sender = store.directory().borrow().by_address(from).cloned();
        let before = sender.as_ref().and_then(|row| row.seen.last_ms());
        let answer = store.report(from, report).await?;
        if let Some(sender) = sender {
            let told = answer.cameras.iter().filter_map(|link| {
                let said = report.cameras.iter().find(|camera| camera.id == link.id)?;
                Some(Told { public_id: link.public_id.clone(), report: said.clone() })
            });
            let (told, now) = (told.collect(), store.now_ms());
            self.core(|core| core.heard(sender.id.as_str(), told, before, now));
        }
        Ok(answer)
    }
}

impl std::fmt::Debug for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Status").field("cameras", &self.core(|core| core.cameras())).finish_non_exhaustive()
    }
}

/// Who reports a camera.
fn holder_of(directory: &Directory, public_id: &CameraId) -> Option<String> {
    match directory.camera(public_id.as_str()) {
        Some(camera) => Some(camera.box_id.to_string()),
        None => directory.portal().sources.get(public_id.as_str()).map(|_| format!("{SOURCE}{public_id}")),
    }
}

fn cameras_of(directory: &Directory, holder: &str) -> Vec<CameraId> {
    match holder.strip_prefix(SOURCE) {
        Some(public_id) => CameraId::new(public_id).into_iter().collect(),
        None => holder.parse().map_or_else(
            |_| Vec::new(),
            |id| directory.cameras_of(&id).map(|camera| camera.public_id.clone()).collect(),
        ),
    }
}

/// Nobody leaves a half-made value behind: a poisoned lock is used as it is.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use model::Private;

    use super::*;
    use crate::store::stage::{Stage, camera};
    use crate::store::{By, NewSource, Node};

    #[tokio::test]
    async fn a_sweep_that_fails_is_not_tried_again_each_second() {
        let stage = Stage::new().await;
        let status = Status::idle(stage.store.clone());
        stage.sql("INSERT INTO sample_hour (public_id, hour, samples) VALUES ('x', 1, '')").await;
        stage.sql("ALTER TABLE known RENAME TO away").await;
        status.sweep().await;
        stage.sql("ALTER TABLE away RENAME TO known").await;
        let left = async || stage.number("SELECT COUNT(*) FROM sample_hour").await;
        assert_eq!(left().await, 1, "it failed");
        stage.clock.forward_ms(1_000);
        status.sweep().await;
        assert_eq!(left().await, 1, "not yet");
        stage.clock.forward_ms(SWEEP_MS);
        status.sweep().await;
        assert_eq!(left().await, 0);
    }

    #[tokio::test]
    async fn a_row_that_cannot_be_written_keeps_back_its_own_part_only() {
        let stage = Stage::new().await;
        let status = Status::idle(stage.store.clone());
        for id in (0..600).map(|n| format!("c{n:03}")) {
            status.heard_source(&CameraId::new(&id).unwrap(), camera(&id));
        }
        for holder in (0..600).map(|n| format!("{SOURCE}c{n:03}")) {
            status.core(|core| core.load(&holder, Rows::default(), stage.store.now_ms()));
        }
        stage
            .sql(
                "CREATE TRIGGER no BEFORE INSERT ON known WHEN NEW.public_id = 'c350' \
                 BEGIN SELECT RAISE(ABORT, 'no'); END",
            )
            .await;
        let known = async || stage.number("SELECT COUNT(*) FROM known").await;
        status.flush(false).await.unwrap_err();
        assert_eq!(known().await, 300, "one part of two");
        status.flush(false).await.unwrap_err();
        assert_eq!(known().await, 300, "what failed is tried again");
        stage.sql("DROP TRIGGER no").await;
        status.flush(false).await.unwrap();
        assert_eq!(known().await, 600);
    }

    #[tokio::test]
    async fn a_report_of_the_future_is_anothers_only_when_another_has_the_box() {
        let stage = Stage::new().await;
        let (id, ..) = stage.with_camera(1).await;
        let courier = alert::Courier::silent(String::new());
        let options = Options { sign: Box::new(|_| None), node: Some("a".to_owned()), courier };
        let status = Status::new(stage.store.clone(), options);
        let mut directory = Directory::clone(&stage.store.directory().borrow());
        directory.set_alive(["a", "b"].map(str::to_owned).into());
        let row = directory.by_id(&id).unwrap().clone();
        row.seen.note(stage.store.now_ms() + 60_000);
        for (node, elsewhere) in [("", false), ("a", false), ("b", true), ("dead", false)] {
            directory.put_box(BoxRow { node: node.to_owned(), ..BoxRow::clone(&row) });
            assert_eq!(status.look(&directory, id.as_str()).unwrap().elsewhere, elsewhere, "{node:?}");
        }
        stage.clock.forward_ms(60_000);
        directory.put_box(BoxRow { node: "b".to_owned(), ..BoxRow::clone(&row) });
        assert!(!status.look(&directory, id.as_str()).unwrap().elsewhere, "times tell");
    }

    #[tokio::test]
    async fn a_camera_without_a_box_is_answered_for_by_the_cloud_that_has_it() {
        let stage = Stage::new().await;
        let tenant = stage.store.add_tenant("Other", By::COMMAND_LINE).await.unwrap();
        let settings = Private::new("{}".to_owned());
        let new = NewSource { title: "Yard", site: "", kind: "push", settings, tunnel_key: None };
        let (id, _) = stage.store.add_source(&tenant, &new, By::COMMAND_LINE).await.unwrap();
        let status = Status::idle(stage.store.clone());
        let looked = |here: &str, node: &str| {
            let mut directory = Directory::clone(&stage.store.directory().borrow());
            let mut portal = directory.portal().clone();
            let row = portal.sources.get(id.as_str()).unwrap();
            let row = crate::store::Source { node: node.to_owned(), ..crate::store::Source::clone(row) };
            portal.sources.put(id.as_str(), Some(row));
            for node in ["a", "b"] {
                let url = format!("http://{node}");
                portal.nodes.put(node, Some(Node { url, endpoint: String::new() }));
            }
            directory.set_portal(portal);
            directory.set_here(here);
            directory.set_alive(["a", "b"].map(str::to_owned).into());
            status.look(&directory, &format!("{SOURCE}{id}")).unwrap().elsewhere
        };
        assert!(looked("a", "b") && looked("b", "a"));
        assert!(!looked("a", "a") && !looked("", ""), "and where there is one cloud only, by that");
        assert_ne!(looked("a", ""), looked("b", ""), "by one of them, where nothing has come yet");
    }

    #[tokio::test]
    async fn the_first_cloud_that_lives_watches_the_unheard() {
        let stage = Stage::new().await;
        let (id, ..) = stage.with_camera(1).await;
        let courier = alert::Courier::silent(String::new());
        let options = Options { sign: Box::new(|_| None), node: Some("b".to_owned()), courier };
        let status = Status::new(stage.store.clone(), options);
        let mut directory = Directory::clone(&stage.store.directory().borrow());
        let mut portal = directory.portal().clone();
        for node in ["a", "b", "c"] {
            portal.nodes.put(node, Some(Node { url: format!("http://{node}"), endpoint: String::new() }));
        }
        directory.set_portal(portal);
        stage.clock.forward_ms(2 * SILENT_MS);
        for (alive, watches) in [(&["a", "b"][..], false), (&["b", "c"], true)] {
            directory.set_alive(alive.iter().map(|id| (*id).to_owned()).collect());
            status.watch_the_unheard(&directory, stage.store.now_ms());
            assert_eq!(status.core(|core| core.knows(id.as_str())), watches, "{alive:?}");
        }
    }
}
