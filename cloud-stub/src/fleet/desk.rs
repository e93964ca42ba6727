//! Where what was decided is written down. A decision is made on what is known, and written only if nothing else was written
//! since; else it is made again on what is known then. So however many clouds there are on one database, they decide as one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use model::BoxId;
use model::update::{Question, Report};
use tokio::sync::{Mutex, OnceCell};
use tokio::time::MissedTickBehavior;

use super::fold::{Damage, FORMAT};
use super::{Answer, Ask, Command, Event, Happening, Site, State, Timing, Unwilling};
use crate::config;
use crate::http::Up;
use crate::store::{Audit, BoxRow, BoxState, By, Directory, Error, Store};
use crate::updates::{Asking, Listed, Shelf};

/// How often others' events are looked for.
const LOOK: Duration = Duration::from_millis(500);
/// How often it is looked whether something is due, in looks.
const TICK: u32 = 20;
/// The fold is kept after so many events.
const KEEP: u64 = 50_000;
/// At a clean stop it is kept after so many: fewer are read at once.
pub const WORTH_KEEPING: u64 = 1_000;
/// A decision is made so many times, while other clouds are faster, before the database counts as busy.
const TRIES: u32 = 50;
/// How long a decision waits for those of this cloud that came before it.
const PATIENCE: Duration = Duration::from_secs(5);
/// Windows that a box is told.
const WINDOWS: usize = 3;

/// All releases on their way. A handle, cheap to clone.
#[derive(Debug, Clone)]
pub struct Fleet(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    shelf: Option<Shelf>,
    everyone: bool,
    state: RwLock<State>,
    loaded: OnceCell<()>,
    /// Whether it was looked for what is kept.
    revived: OnceCell<()>,
    /// The last event of what is kept, as far as this cloud knows.
    kept: AtomicU64,
    /// Whoever reads events: one after the other.
    reading: Mutex<()>,
    /// Whoever writes events: within one cloud nobody is overtaken.
    writing: Mutex<()>,
}

/// What a box is to be told.
#[derive(Debug)]
pub struct Told {
    /// The answer.
    pub answer: Answer,
    /// When it may restart, from and to, milliseconds since 1970; empty: at any time.
    pub windows: Vec<(u64, u64)>,
}

/// What a person does, for the audit.
#[derive(Debug, Clone, Copy)]
pub struct Note<'a> {
    /// Who.
    pub by: By<'a>,
    /// The tenant whose thing it is; empty: the whole cloud's.
    pub tenant: &'a str,
    /// What, such as `fleet.pause`.
    pub what: &'a str,
    /// The id of what it is done to.
    pub subject: &'a str,
    /// More about it.
    pub detail: &'a str,
}

impl Fleet {
    /// The fleet of this store. What has happened before is read when it is first needed.
    pub fn new(store: Store, updates: Option<&config::Updates>) -> Self {
        Self(Arc::new(Inner {
            shelf: updates.map(|updates| Shelf::new(updates.dir.clone())),
            everyone: updates.is_some_and(|updates| updates.everyone),
            store,
            state: RwLock::default(),
            loaded: OnceCell::new(),
            revived: OnceCell::new(),
            kept: AtomicU64::default(),
            reading: Mutex::default(),
            writing: Mutex::default(),
        }))
    }

    /// The store that it writes to.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// The releases that there are; `None`: this cloud has none.
    pub(crate) fn shelf(&self) -> Option<&Shelf> {
        self.0.shelf.as_ref()
    }

    /// What is known.
    ///
    /// # Errors
    /// The database's, when nothing was read yet.
    pub async fn known(&self) -> Result<RwLockReadGuard<'_, State>, Error> {
        self.0.loaded.get_or_try_init(|| self.catch_up()).await?;
        Ok(self.state())
    }

    /// What is known now, whichever cloud has written it.
    ///
    /// # Errors
    /// The database's.
    pub async fn fresh(&self) -> Result<RwLockReadGuard<'_, State>, Error> {
        self.catch_up().await?;
        Ok(self.state())
    }

    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.0.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what others have written, and does what is due, for ever.
    pub async fn keep(self) {
        let mut timer = tokio::time::interval(LOOK);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let fine = Up::default();
        for turn in 0_u32.. {
            timer.tick().await;
            let outcome = if turn % TICK == 0 { self.tick().await } else { self.catch_up().await };
            if outcome.is_ok()
                && let Err(error) = self.keep_fold(KEEP).await
            {
                tracing::warn!("{error}; a cloud that starts reads more");
            }
            if let (true, Err(error)) = (fine.set(outcome.is_ok()), outcome) {
                tracing::warn!("{error}; boxes are told what was decided before");
            }
        }
    }

    /// Does what is due by now: boxes that are overdue, rings that may be opened.
    ///
    /// # Errors
    /// The database's.
    pub async fn tick(&self) -> Result<(), Error> {
        let directory = self.0.store.directory().borrow().clone();
        let is_there = |box_id: &BoxId, now: u64| {
            let row = directory.by_id(box_id).filter(|row| row.state == BoxState::Active);
            let heard = |at| now.saturating_sub(at) < Timing::DAY;
            row.is_some_and(|row| row.seen.last_ms().is_none_or(heard))
        };
        let due = |state: &State, now| ((), state.tick(now, |box_id| is_there(box_id, now)));
        let decided = self.settle("look after the updates", None, due).await;
        decided.map(|((), events)| tell(&events))
    }

    /// Reads what was written since.
    ///
    /// # Errors
    /// The database's.
    pub async fn catch_up(&self) -> Result<(), Error> {
        let _turn = self.0.reading.lock().await;
        let revived = self.0.revived.get_or_try_init(async || {
            if let Some(damage) = self.revive().await? {
                tracing::warn!(
                    "what is kept of the updates is damaged ({damage}): all that has happened is read"
                );
                self.0.store.forget_fleet_fold(FORMAT).await?;
            }
            Ok::<(), Error>(())
        });
        revived.await?;
        loop {
            let newest = self.state().newest();
            let events = self.0.store.fleet_events(newest).await?;
            if events.is_empty() {
                return Ok(());
            }
            let mut state = self.0.state.write().unwrap_or_else(PoisonError::into_inner);
            for recorded in &events {
                state.apply(recorded);
            }
        }
    }

    /// Begins with what is kept, or says why not. Only before anything was read.
    ///
    /// # Errors
    /// The database's.
    pub(super) async fn revive(&self) -> Result<Option<Damage>, Error> {
        let (kept, last) = match self.0.store.fleet_fold(FORMAT).await {
            Ok((Some(kept), last)) => (kept, last),
            Ok((None, _)) => return Ok(None),
            Err(error) if error.passes() => return Err(error),
            Err(error) => return Ok(Some(error.into())),
        };
        match aside(move || State::revived(&kept, last)).await? {
            Ok(state) => {
                self.0.kept.store(state.newest(), Ordering::Relaxed);
                *self.0.state.write().unwrap_or_else(PoisonError::into_inner) = state;
                Ok(None)
            }
            Err(damage) => Ok(Some(damage)),
        }
    }

    /// Keeps the fold, once it has this many events that what is kept has not. After a failure, as many events later.
    ///
    /// # Errors
    /// The database's.
    pub async fn keep_fold(&self, events: u64) -> Result<(), Error> {
        let state = {
            let state = self.state();
            if state.newest() < self.0.kept.load(Ordering::Relaxed).saturating_add(events) {
                return Ok(());
            }
            state.clone()
        };
        self.0.kept.store(state.newest(), Ordering::Relaxed);
        let kept = aside(move || state.kept()).await?;
        let kept = kept.map_err(|error| Error::broken("keep what has become of updates", error))?;
        self.0.store.keep_fleet_fold(FORMAT, &kept).await
    }

    /// What a box is to have. A box that is none of this cloud's is told what is for everyone, and leaves no trace.
    ///
    /// # Errors
    /// The database's, when nothing was read yet.
    pub async fn ask(&self, question: &Question, listed: &[Listed]) -> Result<Told, Error> {
        drop(self.known().await?);
        let directory = self.0.store.directory().borrow().clone();
        let asking =
            Asking { board: &question.board, version: &question.version, security: question.security };
        let everyone = self.0.everyone;
        let ask = Ask { box_id: &question.box_id, asking, listed, everyone };
        let Some(row) = directory.by_id(&question.box_id).filter(|row| row.state == BoxState::Active) else {
            let nowhere = Here { directory: &directory, row: None };
            let answer = State::default().decide(&ask, &nowhere, self.0.store.now_ms()).answer;
            return Ok(Told { answer, windows: Vec::new() });
        };
        let here = Here { directory: &directory, row: Some(row) };
        let windows = here.windows(self.0.store.now_ms());
        let decide = |state: &State, now| {
            let decision = state.decide(&ask, &here, now);
            (decision.answer, decision.events)
        };
        let answer = match self.settle("decide about an update", None, decide).await {
            Ok((answer, _)) => answer,
            Err(error) => {
                // A box on trial must get an answer even now; what nobody can write down is not promised.
                tracing::warn!("{error}; a box that asks for a release is told nothing new");
                let (answer, events) = decide(&self.state(), self.0.store.now_ms());
                answer.without(&events)
            }
        };
        Ok(Told { answer, windows })
    }

    /// Takes a box's word.
    ///
    /// # Errors
    /// The database's.
    pub async fn told(&self, report: &Report) -> Result<(), Error> {
        // It may be about what another cloud has just told the box.
        drop(self.fresh().await?);
        let told = self.settle("take a box's report", None, |state, now| ((), state.told(report, now))).await;
        told.map(|((), events)| tell(&events))
    }

    /// Does what a person wants.
    ///
    /// # Errors
    /// The database's, or why it cannot be done.
    pub async fn command(&self, command: Command, note: Note<'_>) -> Result<Result<(), Unwilling>, Error> {
        let Note { by, tenant, what, subject, detail } = note;
        let audit = Audit { by, tenant, what, subject, detail };
        let decide = |state: &State, now| match state.command(command.clone(), by.person, now) {
            Ok(events) => (Ok(()), events),
            Err(why) => (Err(why), Vec::new()),
        };
        drop(self.fresh().await?);
        self.settle("do that", Some(audit), decide).await.map(|(outcome, _)| outcome)
    }

    /// Decides, writes down what follows, and decides again when somebody else was faster.
    async fn settle<T>(
        &self,
        doing: &'static str,
        audit: Option<Audit<'_>>,
        decide: impl Fn(&State, u64) -> (T, Vec<Happening>),
    ) -> Result<(T, Vec<Happening>), Error> {
        drop(self.known().await?);
        let decided = || {
            let state = self.state();
            let (outcome, events) = decide(&state, self.0.store.now_ms());
            (state.newest(), outcome, events)
        };
        let (_, outcome, events) = decided();
        if events.is_empty() {
            return Ok((outcome, events));
        }
        let turn = tokio::time::timeout(PATIENCE, self.0.writing.lock()).await;
        let _turn = turn.map_err(|_| Error::Locked { doing })?;
        for _ in 0..TRIES {
            let (basis, outcome, events) = decided();
            if events.is_empty() {
                return Ok((outcome, events));
            }
            if self.0.store.add_fleet_events(basis, &events, audit).await? {
                // It has happened, whether it can be read back now or by the next look: nobody is told otherwise.
                let _ = self.catch_up().await;
                return Ok((outcome, events));
            }
            self.catch_up().await?;
        }
        Err(Error::Locked { doing })
    }
}

/// Does something that takes a processor for long, where nobody waits for it.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Error::Gone {
        doing: "work on what has become of updates",
        cause: error.to_string(),
    })
}

/// Says in the log what an operator should know of.
fn tell(events: &[Happening]) {
    for Happening { campaign, event, .. } in events {
        match event {
            Event::Halted { why } => tracing::warn!(%campaign, "a campaign was halted: {why}"),
            Event::Opened { stage } => tracing::info!(%campaign, stage = stage.name(), "a ring was opened"),
            Event::Done => tracing::info!(%campaign, "a campaign is through"),
            _ => {}
        }
    }
}

/// Where a box stands. Those of one owner that stand nowhere in particular count as one site.
struct Here<'a> {
    directory: &'a Directory,
    row: Option<&'a BoxRow>,
}

impl Here<'_> {
    fn is_neighbour(&self, other: &BoxRow) -> bool {
        self.row.is_some_and(|row| row.site == other.site && row.owner == other.owner)
    }

    fn place(&self) -> Option<&crate::store::Site> {
        self.directory.portal().sites.get(&self.row?.site).map(Arc::as_ref)
    }

    fn windows(&self, now_ms: u64) -> Vec<(u64, u64)> {
        let windows =
            |site: &crate::store::Site| Some(site.window.as_ref()?.next(&site.time_zone, now_ms, WINDOWS));
        self.place().and_then(windows).unwrap_or_default()
    }
}

impl Site for Here<'_> {
    fn has(&self, other: &BoxId) -> bool {
        self.directory.by_id(other).is_some_and(|other| self.is_neighbour(other))
    }

    fn boxes(&self) -> usize {
        self.directory.peers().filter(|other| self.is_neighbour(other)).count()
    }

    fn is_open(&self, now_ms: u64) -> bool {
        self.place().is_none_or(|site| {
            site.window.as_ref().is_none_or(|window| window.is_open(&site.time_zone, now_ms))
        })
    }
}
