//! One look for an update, and its installation: the same for the process that does it by itself and for `boxd update`.

use std::fs::{File, OpenOptions};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use board::slot::State;
use model::update::Phase as Told;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use rustls::ClientConfig;
use update::Release;
use update::tuf::Freshness;

use super::ask::{ask, sign, tell};
use super::fill::{Goal, fill, running_version};
use super::http::Web;
use super::journal::Journal;
use super::machine::Machine;
use super::metadata::{Looked, Than, look};
use super::orders::Orders;
use super::reports::{News, Reports, Taken};
use super::second::Second;
use super::source::Source;
use super::status::{Bytes, Outcome, Phase, Status};
use crate::cloud::{Files, RealTime, Time, Trust};
use crate::config::{Tunnel, Update};
use crate::door;
use crate::guard::LAST;
use crate::guard::word::Last;

/// How long the cloud has to hear what is to be told.
const TELL: Duration = Duration::from_secs(20);
/// Most characters of why a look came to nothing: mirrors may be many.
const WHY: usize = 1000;
/// Held while an update is under way, below the state directory.
const LOCK: &str = "update/lock";

/// Where to look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// Where the configuration says.
    Configured,
    /// Where somebody says by hand: what is there is wanted, however old.
    Given(String),
    /// On a stick that somebody has plugged in: only what is newer than all that the box has.
    Stick(PathBuf),
}

/// Looks for updates and installs them.
pub(crate) struct Work {
    machine: Machine,
    files: Files,
    update: Update,
    tunnel: Option<Tunnel>,
    time: Arc<Time>,
    tls: Arc<ClientConfig>,
    /// What is known, told at each change.
    status: Status,
    tell: Box<dyn FnMut(&Status)>,
    second: Second,
    /// What was ordered last.
    orders: Orders,
    reports: Reports,
}

impl Work {
    /// Prepares everything. `tell` hears each change.
    ///
    /// # Errors
    /// When the board has no two slots, or TLS is not available.
    pub(crate) fn open(
        config: &crate::config::Config,
        tell: impl FnMut(&Status) + 'static,
    ) -> anyhow::Result<Self> {
        let machine = Machine::open(&config.board)?;
        let files = Files::new(&config.state_dir);
        let time = Arc::new(Time::look(files.clone(), Box::new(RealTime)));
        let ca = config.tunnel.as_ref().and_then(|tunnel| tunnel.ca.as_deref());
        let tls = Trust::new(ca, &time)?.strict;
        let status = Status { last: Status::kept(&files).last, ..Status::default() };
        let (update, tunnel) = (config.update.clone(), config.tunnel.clone());
        let (tell, second) = (Box::new(tell), Second::default());
        let (orders, reports) = (Orders::kept(&files), Reports::kept(&files));
        Ok(Self { machine, files, update, tunnel, time, tls, status, tell, second, orders, reports })
    }

    /// Looks for an update and installs it or only says what it costs. How it ended is kept and told, whatever it was.
    ///
    /// # Errors
    /// Only when another process is at it.
    pub(crate) async fn once(&mut self, from: &Place, goal: Goal) -> anyhow::Result<Outcome> {
        let _lock = lock(&self.files)?;
        self.change(|status| {
            status.phase = Phase::Looking;
            status.leave = None;
        });
        let outcome = match Box::pin(self.find_and_fill(from, goal)).await {
            Ok(outcome) => outcome,
            Err(error) => {
                let why = format!("{error:#}").chars().take(WHY).collect();
                Outcome { version: self.status.version.clone(), good: false, why, at_ms: now_ms() }
            }
        };
        let complete = self.waits_for_restart();
        // What was withdrawn since, or brought by hand, waits for somebody.
        let ordered = complete.is_some() && self.orders.version == complete;
        let orders = ordered.then(|| self.orders.clone());
        self.change(|status| {
            status.phase = if complete.is_some() { Phase::Complete } else { Phase::Idle };
            status.orders = orders;
            status.version = complete;
            status.looks.ended += 1;
            status.looks.answered += u64::from(outcome.good);
            if goal == Goal::Complete {
                status.last = Some(outcome.clone());
            }
            if matches!(from, Place::Stick(_)) {
                status.stick = Some(outcome.clone());
            }
        });
        if goal == Goal::Complete && !matches!(from, Place::Given(_)) {
            self.tell_how_far(&outcome).await;
        }
        Ok(outcome)
    }

    /// Tells the cloud what came of a look: a version that waits for a restart, or what stands in its way.
    async fn tell_how_far(&mut self, outcome: &Outcome) {
        if self.status.orders.is_some() {
            self.report(Told::Ready, "").await;
        } else if !outcome.good && self.reports.is_fetching() {
            self.report(Told::Fetching, &outcome.why).await;
        } else {
            self.flush().await;
        }
    }

    /// The box is about to restart into what waits: tells the cloud so, and its main process whether it goes.
    pub(crate) async fn leave(&mut self) {
        self.change(|status| status.leave = None);
        let told = self.report(Told::Restarting, "").await;
        let go = told == Taken::Yes;
        if !go {
            self.reports.stays();
            self.keep_reports();
        }
        self.change(|status| status.leave = Some(go));
    }

    /// Tells the cloud how an update ended, if the guard has said so since it was told last.
    pub(crate) async fn verdict(&mut self) {
        let last = self.machine.store().and_then(|store| Ok(store.get(LAST)?)).ok().flatten();
        let Some(last) = last.and_then(|bytes| serde_json::from_slice::<Last>(&bytes).ok()) else { return };
        let journal = Journal::kept(&self.files, &last.version).map(|journal| journal.lines);
        let sentence = door::ended(last.clone()).sentence;
        if let Some(news) = self.reports.verdict(&last, &sentence, journal, self.machine.crashed) {
            self.add(news);
        }
        self.flush().await;
    }

    /// Whether there is anywhere to look by itself.
    pub(crate) fn has_sources(&self) -> bool {
        self.cloud().is_some() || !self.update.mirrors.is_empty()
    }

    /// The stick was pulled out.
    pub(crate) fn no_stick(&mut self) {
        self.change(|status| status.stick = None);
    }

    /// Whether there is something that the cloud has not heard yet.
    pub(crate) fn has_news(&self) -> bool {
        self.reports.next().is_some()
    }

    /// Whether this process has shown that it can update itself.
    pub(crate) const fn has_verified(&self) -> bool {
        self.status.verified
    }

    /// Tells the cloud how far the version is that is under way, unless that was told last.
    async fn report(&mut self, phase: Told, why: &str) -> Taken {
        let version = self.status.version.clone().unwrap_or_default();
        let campaign = Some(&self.orders).filter(|orders| orders.version.as_ref() == Some(&version));
        let campaign = campaign.map(|orders| orders.campaign.clone()).unwrap_or_default();
        let news = News { campaign, version, phase, why: why.to_owned(), journal: String::new() };
        if !news.version.is_empty() && self.reports.is_new(&news) {
            self.add(news);
        }
        self.flush().await
    }

    fn add(&mut self, news: News) {
        if self.cloud().is_none() {
            return;
        }
        let running = self.machine.slots().ok().and_then(|slots| running_version(&slots));
        match sign(&self.files, running, now_ms()) {
            Ok(sign) => self.reports.add(news, sign),
            Err(error) => {
                let error = format_args!("{error:#}");
                tracing::warn!(%error, "the cloud cannot be told how the update stands");
            }
        }
        self.keep_reports();
    }

    /// Tells what is still to be told, and what became of the last of it.
    async fn flush(&mut self) -> Taken {
        let Some(tunnel) = self.cloud().cloned() else { return Taken::Yes };
        let until = tokio::time::Instant::now() + TELL;
        let mut taken = Taken::Yes;
        while let Some(report) = self.reports.next().cloned() {
            let told = tokio::time::timeout_at(until, tell(&tunnel, &self.time, &report)).await;
            taken = told.unwrap_or(Taken::Unheard);
            if taken == Taken::Unheard {
                break;
            }
            self.reports.taken();
            self.keep_reports();
        }
        taken
    }

    fn keep_reports(&self) {
        if let Err(error) = self.reports.keep(&self.files) {
            tracing::debug!(%error, "cannot keep what the cloud is to be told");
        }
    }

    /// The cloud that says which release to take.
    fn cloud(&self) -> Option<&Tunnel> {
        self.tunnel.as_ref().filter(|_| self.update.cloud != Some(false))
    }

    /// Keeps what was ordered.
    fn order(&mut self, orders: Orders) {
        if let Err(error) = orders.keep(&self.orders, &self.files) {
            tracing::debug!(%error, "cannot keep when the box may restart");
        }
        self.orders = orders;
    }

    /// What a look has found says what is ordered. A version from a stick that waits stays ordered while the cloud orders none. One
    /// that the cloud has ordered and orders no more is not started either, whatever restarts the box: it may have been withdrawn for
    /// what it does.
    ///
    /// # Errors
    /// When that cannot be written; then the order stands until the next look.
    fn take_orders(&mut self, looked: &Looked, running: Option<&str>) -> anyhow::Result<()> {
        let before = &self.orders;
        let found = looked.found.as_ref().map(|found| found.release.version.as_str());
        let orders = match (&looked.assignment, found) {
            (Some(assignment), found) => {
                let new = Orders::new(assignment, before);
                let waits = self.waits_for_restart();
                let stick = !before.ask && before.version.is_some() && before.version == waits;
                if stick && found.is_none() {
                    Orders { windows: new.windows, issued: new.issued, ..before.clone() }
                } else {
                    new
                }
            }
            (None, Some(version)) => Orders::without_cloud(version, before),
            (None, None) if before.version.as_deref() != running => return Ok(()),
            (None, None) => Orders { version: None, ..before.clone() },
        };
        let ordered = before.ask.then(|| before.version.clone()).flatten();
        let gone = looked.assignment.is_some() && ordered.is_some() && ordered != orders.version;
        // To a box that has said that it goes the cloud says nothing else than to stay.
        if gone && ordered == self.waits_for_restart() && !self.reports.is_leaving() {
            self.machine.slots()?.withdraw().context("cannot take back what was ordered")?;
            tracing::info!(version = ordered, "the cloud wants this version no more: the box stays as it is");
        }
        self.order(orders);
        Ok(())
    }

    /// Gives a system that has run well for seven days its second copy, in the other slot; `ran` is how long this process runs. Gives
    /// whether it was made now.
    ///
    /// # Errors
    /// When another process is at it, or the disk fails.
    pub(crate) fn second_copy(&mut self, ran: Duration) -> anyhow::Result<bool> {
        let _lock = lock(&self.files)?;
        self.second.look(&mut self.machine.slots()?, &mut self.machine.store()?, ran)
    }

    async fn find_and_fill(&mut self, from: &Place, goal: Goal) -> anyhow::Result<Outcome> {
        let mut sources = self.sources(from)?;
        let running = running_version(&self.machine.slots()?);
        let freshness = self.freshness(from, running.clone()).await?;
        let root = self.update.root.clone();
        let has: Vec<String> = running.iter().cloned().chain(self.waits_for_restart()).collect();
        let newer = if matches!(from, Place::Stick(_)) { has.as_slice() } else { &[] };
        let than = Than { running: running.as_deref(), newer };
        let looked = look(&self.machine, &self.files, &root, &mut sources, &freshness, than).await?;
        // A stick shows nothing about the next update: it may be pulled out.
        let stick = matches!(from, Place::Stick(_));
        self.change(|status| status.verified |= !stick);
        if goal == Goal::Complete && *from == Place::Configured {
            self.take_orders(&looked, running.as_deref())?;
        } else if let Some(found) = looked.found.as_ref().filter(|_| stick) {
            self.order(Orders::without_cloud(&found.release.version, &self.orders));
        }
        let found = looked.found;
        let good = |version, why: String| Outcome { version, good: true, why, at_ms: now_ms() };
        let Some(found) = found else {
            let version = running.as_deref().unwrap_or("which the box runs");
            return Ok(good(None, format!("there is no other version for this box than {version}")));
        };
        let version = found.release.version.clone();
        if let Some(outcome) = self.had(&found.release, matches!(from, Place::Given(_)))? {
            return Ok(outcome);
        }
        // The mirror that had the metadata is asked for the rest first.
        let (before, _) = sources.split_at_mut_checked(found.mirror).unwrap_or_default();
        let turn = before.len();
        sources.rotate_left(turn);
        self.change(|status| {
            status.phase = Phase::Installing;
            status.version = Some(version.clone());
            status.bytes = Bytes::default();
        });
        if goal == Goal::Complete && !matches!(from, Place::Given(_)) {
            self.report(Told::Fetching, "").await;
        }
        let Self { machine, status, tell, files, .. } = self;
        let mut steps = Steps::default();
        let told = |bytes| {
            status.bytes = bytes;
            if steps.is_new(status) {
                say(status, files, tell);
            }
        };
        let bytes = fill(machine, &found.release, &mut sources, goal, told).await?;
        let why = match goal {
            Goal::Cost => {
                format!("version {version} would cost {} of {} bytes", bytes.to_fetch, bytes.download)
            }
            Goal::Complete => format!("version {version} is installed; the next start runs it"),
        };
        Ok(good(Some(version), why))
    }

    /// A release that is in the other slot already: to be started, or to be left alone since it failed, unless somebody
    /// `insists`.
    fn had(&self, release: &Release, insists: bool) -> anyhow::Result<Option<Outcome>> {
        let slots = self.machine.slots()?;
        if slots.header(slots.target())? != Some(self.machine.header(release)?) {
            return Ok(None);
        }
        let version = release.version.clone();
        let (good, why) = match slots.vars()?.vars.of(slots.target()).state {
            State::Trial => (true, format!("version {version} is installed; the next start runs it")),
            State::Failed if !insists => {
                (false, format!("version {version} was tried on this box and failed; it is not tried again"))
            }
            _ => return Ok(None),
        };
        Ok(Some(Outcome { version: Some(version), good, why, at_ms: now_ms() }))
    }

    /// The version in the other slot that the next start runs.
    fn waits_for_restart(&self) -> Option<String> {
        let slots = self.machine.slots().ok()?;
        let record = slots.vars().ok()?.vars.of(slots.target());
        let trial = record.state == State::Trial && record.tries > 0;
        slots.header(slots.target()).ok()?.filter(|_| trial).map(|header| header.version)
    }

    fn sources(&self, from: &Place) -> anyhow::Result<Vec<Source>> {
        let place = match from {
            Place::Configured => {
                // A cloud that says which release to take has them, too.
                let cloud = self.cloud().map(|tunnel| format!("{}/updates", tunnel.cloud));
                let mirrors = self.update.mirrors.iter().chain(&cloud);
                let web = mirrors.filter_map(|mirror| Web::new(mirror, self.tls.clone()));
                return Ok(web.map(Source::Web).collect());
            }
            Place::Stick(folder) => return Ok(vec![Source::Folder(folder.clone())]),
            Place::Given(place) => place,
        };
        if let Some(web) = Web::new(place, self.tls.clone()) {
            return Ok(vec![Source::Web(web)]);
        }
        if place.contains("://") {
            bail!("{place:?} is neither a folder nor an address such as https://updates.example.org");
        }
        let folder = PathBuf::from(place);
        std::fs::metadata(folder.join("metadata"))
            .with_context(|| format!("{place} is no folder with releases: it has no metadata in it"))?;
        Ok(vec![Source::Folder(folder)])
    }

    async fn freshness(&self, from: &Place, running: Option<String>) -> anyhow::Result<Freshness> {
        match (&self.tunnel, self.update.cloud) {
            (Some(tunnel), None | Some(true)) if *from == Place::Configured => {
                let floors = self.machine.floors()?;
                ask(&self.machine, tunnel, &self.files, &self.time, &floors, running).await
            }
            (None, Some(true)) if *from == Place::Configured => {
                bail!("[update] cloud = true needs a cloud: give [tunnel] cloud, or set it to false")
            }
            _ => Ok(Freshness::Clock(self.time.now().as_secs())),
        }
    }

    fn change(&mut self, change: impl FnOnce(&mut Status)) {
        change(&mut self.status);
        say(&self.status, &self.files, &mut self.tell);
    }
}

/// Tells and keeps.
fn say(status: &Status, files: &Files, tell: &mut dyn FnMut(&Status)) {
    if let Err(error) = status.keep(files) {
        tracing::debug!(%error, "cannot keep the state of updates");
    }
    tell(status);
}

/// Says only what is worth a line: each twentieth part.
#[derive(Debug, Default)]
struct Steps(Option<u64>);

impl Steps {
    fn is_new(&mut self, status: &Status) -> bool {
        let step = Some(status.percent() / 5);
        let new = self.0 != step;
        self.0 = step;
        new
    }
}

/// Keeps others from updating at the same time, until it is dropped. A state directory that has become read-only holds nothing back:
/// slots and floors lie elsewhere, and what is kept here can be fetched again.
///
/// # Errors
/// When somebody is at it, or there is no lock yet and the state directory cannot be written.
pub(crate) fn lock(files: &Files) -> anyhow::Result<Flock<File>> {
    let path = files.path(LOCK);
    let cannot = || format!("cannot write {} ([state] dir)", path.display());
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(cannot)?;
    }
    let writable = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = writable.or_else(|error| match File::open(&path) {
        Ok(file) => {
            tracing::warn!(%error, "cannot keep how updates stand ([state] dir): they go on without");
            Ok(file)
        }
        Err(_) => Err(error),
    });
    let file = file.with_context(cannot)?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(lock),
        Err((_, Errno::EWOULDBLOCK)) => bail!("another update is under way; boxd update shows how far it is"),
        Err((_, error)) => Err(error).with_context(cannot),
    }
}

/// Whether somebody is updating.
pub(crate) fn is_under_way(files: &Files) -> bool {
    let Ok(file) = File::open(files.path(LOCK)) else { return false };
    matches!(Flock::lock(file, FlockArg::LockSharedNonblock), Err((_, Errno::EWOULDBLOCK)))
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::files_tests::Scratch;

    #[test]
    fn a_lock_that_cannot_be_written_locks_all_the_same() {
        let scratch = Scratch::new("work-lock");
        let files = scratch.files();
        // Nobody can write to a folder, not even who may write to everything.
        std::fs::create_dir_all(files.path(LOCK)).unwrap();
        let held = lock(&files).unwrap();
        assert!(is_under_way(&files));
        assert!(lock(&files).unwrap_err().to_string().contains("another update"), "one at a time");
        drop(held);
        assert!(!is_under_way(&files));
    }
}
