//! What the cloud knows of every camera over time: bytes of reports and the clock come in, rows to be written and news
//! for people come out. Without sockets, files and clocks of its own.
//!
//! A *holder* is who reports cameras: a box, or the cloud itself for a camera without one. A holder is known once its rows
//! were read; what it reports before that waits, bounded. What is in memory is bounded by the cameras that there are.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use model::CameraId;
use model::status::CameraReport;

use super::alert::machine::{self, Alarm, Event};
use super::sample::{HOUR_MS, Hour, STEP_MS, Sample};
pub use super::told::{Batch, CameraRows, Current, Look, Rows, Told};
use super::{Book, Reason, Span};

/// Nothing heard of a holder for so long: it is away. A box reports every 30 s; two reports may get lost.
pub const SILENT_MS: u64 = 75_000;
/// Figures older than this are none: a report was lost.
const FRESH_MS: u64 = 45_000;
/// A report that is so much newer than the last one here was heard by another cloud.
const ELSEWHERE_MS: u64 = 2_000;
/// Reports that wait for a holder's rows.
const WAITING: usize = 16;
/// An hour that goes on is written so often.
const WRITE_MS: u64 = 300_000;
/// Hours of one camera in memory: the database may be gone for a while.
const HOURS: usize = 4;
/// Cameras whose figures one transaction writes.
const AT_ONCE: usize = 100;
/// Outages of a camera that one report may tell: a box tells at most 200 that are over, and one that goes on.
const OUTAGES: usize = 201;

/// Everything.
#[derive(Debug)]
pub struct Core {
    /// When this process began, and when any cloud was last alive before it.
    started_ms: u64,
    alive_ms: Option<u64>,
    holders: HashMap<String, Holder>,
    slot: u64,
}

#[derive(Debug, Default)]
struct Holder {
    loaded: bool,
    heard_ms: Option<u64>,
    /// Since when it is watched without having been heard.
    watched_ms: u64,
    /// Its last sign of life before this process heard it.
    before_ms: Option<u64>,
    silent: bool,
    waiting: VecDeque<(u64, Vec<Told>)>,
    cameras: BTreeMap<CameraId, Camera>,
    alarm: Alarm,
    alarm_changed: bool,
}

#[derive(Debug, Default)]
struct Camera {
    out: Book,
    aside: Book,
    report: Option<(u64, CameraReport)>,
    hours: BTreeMap<u64, Hour>,
    /// There are samples that no batch had yet.
    sampled: bool,
    written_ms: u64,
    /// To be written, once.
    known_ms: Option<u64>,
    alarm: Alarm,
    alarm_changed: bool,
}

impl Core {
    /// Nothing known yet. `alive_ms`: when any cloud of this database last took a report.
    pub fn new(started_ms: u64, alive_ms: Option<u64>) -> Self {
        Self { started_ms, alive_ms, holders: HashMap::new(), slot: started_ms / STEP_MS }
    }

    /// Takes a report. `sign_ms` is the holder's last sign of life before it, whoever heard that.
    pub fn heard(&mut self, holder: &str, cameras: Vec<Told>, sign_ms: Option<u64>, now: u64) {
        let entry = self.holders.entry(holder.to_owned()).or_default();
        if entry.heard_ms.is_none() && entry.waiting.is_empty() {
            entry.before_ms = sign_ms;
        }
        if entry.loaded {
            let away = self.alive_ms;
            entry.take(cameras, now, self.started_ms, away);
            return;
        }
        entry.waiting.push_back((now, cameras));
        if entry.waiting.len() > WAITING {
            // The oldest is the one whose outages the box may have forgotten: the newest figures go instead.
            entry.waiting.remove(WAITING - 1);
        }
    }

    /// Begins to answer for a holder that nobody hears.
    pub fn watch(&mut self, holder: &str, now: u64) {
        self.holders.entry(holder.to_owned()).or_default().watched_ms = now;
    }

    /// Whether a holder is known here, loaded or not.
    pub fn knows(&self, holder: &str) -> bool {
        self.holders.contains_key(holder)
    }

    /// Holders whose rows are to be read.
    pub fn wanted(&self) -> Vec<String> {
        let mut wanted: Vec<String> =
            self.holders.iter().filter(|(_, held)| !held.loaded).map(|(id, _)| id.clone()).collect();
        wanted.truncate(AT_ONCE);
        wanted
    }

    /// Takes a holder's rows, and what waited for them.
    pub fn load(&mut self, holder: &str, rows: Rows, now: u64) {
        let Some(entry) = self.holders.get_mut(holder).filter(|held| !held.loaded) else { return };
        entry.loaded = true;
        entry.alarm = parse(rows.alarm.as_deref());
        for (public_id, rows) in rows.cameras {
            let (aside, out): (Vec<Span>, Vec<Span>) =
                rows.spans.iter().partition(|span| !span.reason.counts());
            entry.silent |= out
                .iter()
                .any(|span| span.to_ms.is_none() && matches!(span.reason, Reason::Site | Reason::Cloud));
            let camera = Camera {
                out: Book::new(0, out),
                aside: Book::new(1, aside),
                written_ms: now.saturating_sub(phase(&public_id)),
                known_ms: rows.known_ms.is_none().then_some(now),
                alarm: parse(rows.alarm.as_deref()),
                ..Camera::default()
            };
            entry.cameras.insert(public_id, camera);
        }
        for (at, cameras) in std::mem::take(&mut entry.waiting) {
            entry.take(cameras, at, self.started_ms, self.alive_ms);
        }
    }

    /// Moves on: who is silent, which links are off, which half minute has ended, who is to be told. Called every second.
    pub fn tick(&mut self, now: u64, look: impl Fn(&str) -> Option<Look>) -> Vec<(String, Event)> {
        let slot = now / STEP_MS;
        let sampled = (slot != self.slot).then_some(slot.saturating_sub(1) * STEP_MS);
        self.slot = slot;
        let mut events = Vec::new();
        let mut leave = Vec::new();
        for (id, holder) in self.holders.iter_mut().filter(|(_, holder)| holder.loaded) {
            let Some(look) = look(id) else {
                // Released, revoked, deleted: nobody counts its time any more.
                holder.removed(now);
                leave.push(id.clone());
                continue;
            };
            // A clock was set back since: until it is that time again, nobody knows whose report it was.
            let seen_ms = look.seen_ms.filter(|at| *at <= now + ELSEWHERE_MS);
            holder.heard_ms = holder.heard_ms.map(|at| at.min(now));
            if look.elsewhere || seen_ms > Some(holder.heard_ms.unwrap_or(holder.watched_ms) + ELSEWHERE_MS) {
                // Another cloud hears it, and answers for it.
                leave.push(id.clone());
                continue;
            }
            if now.saturating_sub(self.started_ms) >= SILENT_MS {
                holder.watch_silence(id, seen_ms.max(look.sign_ms), now);
            }
            holder.switch(&look.off, now);
            if let Some(at) = sampled {
                holder.sample(at, now);
            }
            let site = holder.step(look.after_ms, now);
            events.extend(site.into_iter().map(|event| (id.clone(), event)));
        }
        for id in leave {
            let Some(holder) = self.holders.get_mut(&id) else { continue };
            if holder.dirty() {
                holder.hurry();
            } else {
                self.holders.remove(&id);
            }
        }
        events
    }

    /// What is to be written now; `all`: everything, for this process ends.
    pub fn batch(&mut self, now: u64, all: bool) -> Batch {
        let mut batch = Batch::default();
        for (id, holder) in self.holders.iter_mut().filter(|(_, holder)| holder.loaded) {
            if std::mem::take(&mut holder.alarm_changed) {
                batch.alarms.push((format!("site:{id}"), json(&holder.alarm)));
            }
            for (public_id, camera) in &mut holder.cameras {
                batch.known.extend(camera.known_ms.take().map(|at| (public_id.clone(), at)));
                for book in [&mut camera.out, &mut camera.aside] {
                    let changes = book.take_changes();
                    batch
                        .spans
                        .extend(changes.into_iter().map(|(from, span)| (public_id.clone(), from, span)));
                }
                if std::mem::take(&mut camera.alarm_changed) {
                    batch.alarms.push((format!("camera:{public_id}"), json(&camera.alarm)));
                }
                let due = now.saturating_sub(camera.written_ms) >= WRITE_MS && batch.hours.len() < AT_ONCE;
                if all || due {
                    camera.written_ms = now;
                    camera.sampled = false;
                    let hours = camera.hours.iter().filter(|(_, hour)| !hour.is_empty());
                    batch.hours.extend(
                        hours.map(|(at, hour)| (public_id.clone(), *at, hour.clone(), *at < now / HOUR_MS)),
                    );
                }
            }
        }
        batch
    }

    /// A batch is in the database: hours that are over are forgotten.
    pub fn written(&mut self, batch: &Batch) {
        let over: HashMap<&CameraId, u64> =
            batch.hours.iter().filter(|(.., over)| *over).map(|(id, hour, ..)| (id, *hour)).collect();
        if over.is_empty() {
            return;
        }
        for (id, camera) in self.holders.values_mut().flat_map(|holder| &mut holder.cameras) {
            if let Some(last) = over.get(id) {
                camera.hours.retain(|hour, _| hour > last);
            }
        }
    }

    /// A batch could not be written: it is part of a later one.
    pub fn failed(&mut self, batch: Batch) {
        let mut spans: HashMap<CameraId, BTreeMap<u64, Option<Span>>> = HashMap::new();
        for (id, from, span) in batch.spans {
            spans.entry(id).or_default().insert(from, span);
        }
        let known: HashMap<CameraId, u64> = batch.known.into_iter().collect();
        let hours: HashSet<CameraId> = batch.hours.into_iter().map(|(id, ..)| id).collect();
        let alarms: HashSet<String> = batch.alarms.into_iter().map(|(subject, _)| subject).collect();
        for (holder_id, holder) in &mut self.holders {
            holder.alarm_changed |= alarms.contains(&format!("site:{holder_id}"));
            for (id, camera) in &mut holder.cameras {
                camera.known_ms = camera.known_ms.or(known.get(id).copied());
                camera.sampled |= hours.contains(id);
                camera.alarm_changed |= alarms.contains(&format!("camera:{id}"));
                if let Some(changes) = spans.remove(id) {
                    let (aside, out) = changes.into_iter().partition(|(from, _)| from & 1 == 1);
                    camera.out.give_back(out);
                    camera.aside.give_back(aside);
                }
            }
        }
    }

    /// How a camera is now, if this process hears it.
    pub fn current(&self, holder: &str, public_id: &CameraId) -> Option<Current> {
        let camera = self.holders.get(holder)?.cameras.get(public_id)?;
        Some(Current {
            report: camera.report.clone(),
            out: camera.out.open().copied(),
            back_ms: camera.out.spans().next_back().and_then(|span| span.to_ms),
        })
    }

    /// Samples of an hour that are not in the database yet.
    pub fn hour(&self, holder: &str, public_id: &CameraId, hour: u64) -> Option<Hour> {
        self.holders.get(holder)?.cameras.get(public_id)?.hours.get(&hour).cloned()
    }

    /// Cameras in memory.
    pub fn cameras(&self) -> usize {
        self.holders.values().map(|holder| holder.cameras.len()).sum()
    }
}

impl Holder {
    fn take(&mut self, cameras: Vec<Told>, now: u64, started_ms: u64, alive_ms: Option<u64>) {
        self.gap(now, started_ms, alive_ms);
        self.heard_ms = Some(now);
        for (id, camera) in &mut self.cameras {
            if !cameras.iter().any(|told| told.public_id == *id) && camera.aside.open().is_none() {
                camera.aside.tell(Span { from_ms: now, to_ms: None, reason: Reason::Removed }, now);
                camera.report = None;
            }
        }
        for told in cameras {
            let camera = self.cameras.entry(told.public_id).or_insert_with_key(|id| Camera {
                aside: Book::new(1, []),
                written_ms: now.saturating_sub(phase(id)),
                known_ms: Some(now),
                ..Camera::default()
            });
            camera.take(told.report, now);
        }
    }

    /// Nothing was heard of it for a while, and now something is.
    fn gap(&mut self, now: u64, started_ms: u64, alive_ms: Option<u64>) {
        let first = self.heard_ms.is_none();
        let last = self.heard_ms.or(self.before_ms);
        if std::mem::take(&mut self.silent) {
            for camera in self.cameras.values_mut() {
                let away =
                    camera.out.open().is_some_and(|open| matches!(open.reason, Reason::Site | Reason::Cloud));
                if away {
                    camera.out.end(now);
                }
            }
        } else if let Some(last) = last.filter(|last| first && now.saturating_sub(*last) >= SILENT_MS) {
            // Before this process began. Whoever was heard until the cloud fell silent was not away itself.
            let cloud = alive_ms.is_some_and(|alive| alive < started_ms && last + SILENT_MS >= alive);
            let reason = if cloud { Reason::Cloud } else { Reason::Site };
            for camera in self.cameras.values_mut() {
                camera.out.tell(Span { from_ms: last, to_ms: Some(now), reason }, now);
            }
        }
    }

    fn watch_silence(&mut self, id: &str, sign_ms: Option<u64>, now: u64) {
        let Some(sign) = sign_ms.max(self.heard_ms) else { return };
        if self.silent || now.saturating_sub(sign) < SILENT_MS {
            return;
        }
        self.silent = true;
        // A camera without a box is heard by the cloud itself.
        let reason = if id.starts_with(super::SOURCE) { Reason::Cloud } else { Reason::Site };
        for camera in self.cameras.values_mut() {
            camera.out.tell(Span { from_ms: sign, to_ms: None, reason }, now);
        }
    }

    fn switch(&mut self, off: &[CameraId], now: u64) {
        for (id, camera) in &mut self.cameras {
            let open = camera.aside.open().map(|open| open.reason);
            match (off.contains(id), open) {
                (true, None) => {
                    camera.aside.tell(Span { from_ms: now, to_ms: None, reason: Reason::Off }, now);
                }
                (false, Some(Reason::Off)) => camera.aside.end(now),
                _ => {}
            }
        }
    }

    fn removed(&mut self, now: u64) {
        for camera in self.cameras.values_mut().filter(|camera| camera.aside.open().is_none()) {
            camera.aside.tell(Span { from_ms: now, to_ms: None, reason: Reason::Removed }, now);
        }
    }

    fn sample(&mut self, at: u64, now: u64) {
        for camera in self.cameras.values_mut() {
            let fresh = camera.report.as_ref().filter(|(heard, _)| now.saturating_sub(*heard) <= FRESH_MS);
            let Some((heard, report)) = fresh else { continue };
            let short = |number: u32| u16::try_from(number).unwrap_or(u16::MAX - 1);
            let flows = camera.out.open().is_none();
            let sample = Sample {
                ping_ms: report.ping_ms.map(short),
                latency_ms: report.latency_ms.filter(|_| flows).map(short),
                fps: if flows { report.fps } else { 0.0 },
                bit_rate: if flows { report.bit_rate } else { 0 },
                keyframe_age_ms: report
                    .keyframe_age_ms
                    .map(|age| age.saturating_add(now.saturating_sub(*heard))),
            };
            camera.hours.entry(at / HOUR_MS).or_default().put(at, sample);
            camera.sampled = true;
            while camera.hours.len() > HOURS {
                camera.hours.pop_first();
            }
        }
    }

    fn step(&mut self, after_ms: u64, now: u64) -> Vec<Event> {
        let before = self.alarm.clone();
        let mut old = Vec::with_capacity(self.cameras.len());
        let mut cameras = Vec::with_capacity(self.cameras.len());
        for (id, camera) in &mut self.cameras {
            if camera.aside.open().is_some() {
                if camera.alarm != Alarm::default() {
                    camera.alarm = Alarm::default();
                    camera.alarm_changed = true;
                }
                continue;
            }
            let state = machine::Now {
                out: camera.out.open().copied(),
                back_ms: camera.out.spans().next_back().and_then(|span| span.to_ms).unwrap_or(0),
            };
            old.push((camera.alarm.clone(), &mut camera.alarm_changed));
            cameras.push(machine::Camera { id, now: state, alarm: &mut camera.alarm });
        }
        let events = machine::step(&mut self.alarm, &mut cameras, after_ms, now);
        for ((before, changed), camera) in old.into_iter().zip(&cameras) {
            *changed |= before != *camera.alarm;
        }
        self.alarm_changed |= before != self.alarm;
        events
    }

    /// Somebody else answers for it: what is left is written at once.
    fn hurry(&mut self) {
        for camera in self.cameras.values_mut().filter(|camera| camera.sampled) {
            camera.written_ms = 0;
        }
    }

    fn dirty(&mut self) -> bool {
        self.alarm_changed
            || self.cameras.values_mut().any(|camera| {
                let books = [&mut camera.out, &mut camera.aside].into_iter();
                let mut waits = camera.known_ms.is_some() || camera.alarm_changed || camera.sampled;
                for book in books {
                    waits |= book.changed();
                }
                waits
            })
    }
}

impl Camera {
    fn take(&mut self, mut report: CameraReport, now: u64) {
        if self.aside.open().is_some_and(|open| open.reason == Reason::Removed) {
            self.aside.end(now);
        }
        if !report.fps.is_finite() {
            report.fps = 0.0;
        }
        let mut outages = std::mem::take(&mut report.outages);
        // They come oldest first; the last one may still go on.
        outages.drain(..outages.len().saturating_sub(OUTAGES));
        let mut lasts = false;
        for outage in outages {
            lasts |= outage.to_age_ms.is_none();
            let span = Span {
                from_ms: now.saturating_sub(outage.from_age_ms),
                to_ms: outage.to_age_ms.map(|age| now.saturating_sub(age)),
                reason: Reason::of_trouble(&outage.reason),
            };
            self.out.tell(span, now);
        }
        if !lasts {
            // A box that measures nothing says only what its camera does.
            let streams = report.last_frame_age_ms.is_some()
                || matches!(report.state, model::CameraState::Streaming(_));
            if streams && self.out.open().is_some() {
                self.out.end(now.saturating_sub(report.last_frame_age_ms.unwrap_or(0)));
            } else if !streams && self.out.open().is_none() {
                let reason = report.state.trouble().map_or("", |trouble| trouble.code());
                self.out.tell(Span { from_ms: now, to_ms: None, reason: Reason::of_trouble(reason) }, now);
            }
        }
        self.report = Some((now, report));
    }
}

/// Spreads the cameras' writes over [`WRITE_MS`].
fn phase(id: &CameraId) -> u64 {
    let hash = id.as_str().bytes().fold(5_381_u64, |hash, byte| hash.wrapping_mul(33) ^ u64::from(byte));
    hash % WRITE_MS
}

fn parse(text: Option<&str>) -> Alarm {
    text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

fn json(alarm: &Alarm) -> String {
    serde_json::to_string(alarm).unwrap_or_default()
}

#[cfg(test)]
#[path = "core_tests.rs"]
mod tests;
