//! Installs a release into the slot that does not run. Sans-IO: [`Installer::next`] says what is to be done, one thing at a
//! time, and [`Installer::event`] is told what became of it.
//!
//! ```text
//! look through the running slot, then the target slot ──> plan
//!   ──> fetch the first missing chunk ──> Begin ──> chunk by chunk: read or fetch, compare, Write ──> Complete ──> Done
//! ```
//!
//! Invariants: `Begin` comes only when a good chunk that had to be fetched is in hand, or when nothing has to be fetched; only
//! bytes with the signed hash are written; `Complete` comes only after each chunk was written or found in its place. There is no
//! journal: after a cut the target slot is looked through again, and what is in its place is kept. At most one packed and one
//! plain chunk are in memory.

mod chunk;
mod mirrors;
mod words;

use std::ops::Range;
use std::sync::Arc;

pub use chunk::Spoiled;
pub use words::{Action, Event, Failure, Fault};

use crate::plan::{Found, IMAGES, Origin, Plan, Step, Sums};
use crate::release::{ImageKind, Release};
use mirrors::{Mirrors, Next};

/// Slowest mirror that is waited for, bytes per second: a chunk of 64 KiB may take 94 s.
const SLOWEST: u64 = 1024;

/// How patient an installer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How often one chunk is asked for, over all mirrors, before the installation is given up.
    pub tries: u32,
    /// Longest silence in the middle of a body, milliseconds.
    pub stall_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { tries: 12, stall_ms: 30_000 }
    }
}

/// Bytes of the two images.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lengths {
    /// Of the FIT.
    pub fit: u64,
    /// Of the root.
    pub root: u64,
}

/// How far an installation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Both slots were looked through: `sums` hold.
    pub planned: bool,
    /// What it costs.
    pub sums: Sums,
    /// Bytes of good chunks that were fetched, as they travelled.
    pub fetched: u64,
    /// Bytes of the images that are in their place.
    pub installed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    Running,
    Target,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    /// Looking through a slot: the next chunk.
    Look(Slot, ImageKind),
    /// Putting chunks into their place, in the order of `queue`.
    Fill,
    /// All of them are there.
    Full,
    Done,
    Failed(Failure),
}

/// Installs one release.
#[derive(Debug)]
pub struct Installer {
    release: Release,
    running: Lengths,
    limits: Limits,
    stage: Stage,
    /// What was asked for and is not answered yet.
    waiting: Option<Action>,
    found: Found,
    in_target: Found,
    plan: Plan,
    /// Steps that are left, the next one last.
    queue: Vec<Step>,
    /// The plain bytes of the next step.
    hand: Option<Arc<Vec<u8>>>,
    mirrors: Mirrors,
    /// How often the next step's chunk was asked for.
    tries: u32,
    begun: bool,
    fetched: u64,
    installed: u64,
}

impl Installer {
    /// Installs `release` from so many mirrors. `running` are the lengths of the images in the running slot, zero for what is
    /// not to be looked through; `room` is what the target slot has.
    pub fn new(release: Release, mirrors: usize, running: Lengths, room: Lengths, limits: Limits) -> Self {
        let too_large = IMAGES.into_iter().find_map(|image| {
            let (needed, room) = (release.image(image).bytes, room.of(image));
            (needed > room).then_some(Failure::NoRoom { image, needed, room })
        });
        let wrong = release.check().err().map(Failure::from).or(too_large);
        Self {
            release,
            running,
            limits,
            stage: wrong.map_or(Stage::Look(Slot::Running, ImageKind::Fit), Stage::Failed),
            waiting: None,
            found: Found::default(),
            in_target: Found::default(),
            plan: Plan::default(),
            queue: Vec::new(),
            hand: None,
            mirrors: Mirrors::new(mirrors),
            tries: 0,
            begun: false,
            fetched: 0,
            installed: 0,
        }
    }

    /// What is to be done at `now_ms`, which counts from any moment and only forwards. The same again until
    /// [`Self::event`] was told what became of it.
    pub fn next(&mut self, now_ms: u64) -> Action {
        if let Some(waiting) = &self.waiting {
            return waiting.clone();
        }
        let action = self.decide(now_ms);
        if !matches!(action, Action::Wait { .. } | Action::Done | Action::Failed { .. }) {
            self.waiting = Some(action.clone());
        }
        action
    }

    /// Takes what became of the last action. What does not belong to it changes nothing. `random` spreads the pauses of
    /// boxes that failed together.
    pub fn event(&mut self, event: Event, now_ms: u64, random: u32) {
        let Some(waiting) = self.waiting.take() else { return };
        match (waiting, event) {
            (Action::ReadRunning { range, .. } | Action::ReadTarget { range, .. }, Event::Read(bytes)) => {
                self.read(&range, Some(bytes));
            }
            (Action::ReadRunning { range, .. } | Action::ReadTarget { range, .. }, Event::Unreadable) => {
                self.read(&range, None);
            }
            (Action::Fetch { mirror, .. }, Event::Fetched(packed)) => match self.unpack(&packed) {
                Ok(plain) => {
                    self.mirrors.served(mirror);
                    self.fetched += packed.len() as u64;
                    self.take(plain);
                }
                Err(spoiled) => self.not_fetched(mirror, spoiled.into(), now_ms, random),
            },
            (Action::Fetch { mirror, .. }, Event::NotFetched(fault)) => {
                self.not_fetched(mirror, fault, now_ms, random);
            }
            (Action::Begin, Event::Begun) => self.begun = true,
            (Action::Begin, Event::Refused(why)) => self.stage = Stage::Failed(Failure::Begin(why)),
            (Action::Write { bytes, .. }, Event::Written) => {
                self.installed += bytes.len() as u64;
                self.hand = None;
                self.queue.pop();
            }
            (Action::Write { .. }, Event::Refused(why)) => self.stage = Stage::Failed(Failure::Write(why)),
            (Action::Complete, Event::Completed) => self.stage = Stage::Done,
            (Action::Complete, Event::Refused(why)) => self.stage = Stage::Failed(Failure::Complete(why)),
            (waiting, _) => self.waiting = Some(waiting),
        }
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        Progress {
            planned: !matches!(self.stage, Stage::Look(..)),
            sums: self.plan.sums,
            fetched: self.fetched,
            installed: self.installed,
        }
    }

    /// The release.
    pub fn release(&self) -> &Release {
        &self.release
    }

    fn decide(&mut self, now: u64) -> Action {
        loop {
            match &self.stage {
                Stage::Look(slot, image) => {
                    let (slot, image) = (*slot, *image);
                    if let Some(range) = self.unseen(slot, image) {
                        return read(slot, image, range);
                    }
                    self.look_further(slot, image);
                }
                Stage::Fill => match (self.queue.last().copied(), &self.hand) {
                    (None, _) => self.stage = Stage::Full,
                    (Some(_), Some(_)) if !self.begun => return Action::Begin,
                    (Some(step), Some(bytes)) => {
                        let at = self.release.range(step.image, step.index).map_or(0, |range| range.start);
                        return Action::Write { image: step.image, at, bytes: bytes.clone() };
                    }
                    (Some(step), None) => {
                        if let Some(action) = self.get(step, now) {
                            return action;
                        }
                    }
                },
                Stage::Full if self.begun => return Action::Complete,
                Stage::Full => return Action::Begin,
                Stage::Done => return Action::Done,
                Stage::Failed(why) => return Action::Failed { why: why.clone() },
            }
        }
    }

    /// The next chunk of an image that was not looked at yet.
    fn unseen(&self, slot: Slot, image: ImageKind) -> Option<Range<u64>> {
        let (found, bytes) = match slot {
            Slot::Running => (&self.found, self.running.of(image)),
            Slot::Target => (&self.in_target, self.release.image(image).bytes),
        };
        piece(bytes, self.release.chunk_bytes, found.image(image).len())
    }

    /// An image was looked through.
    fn look_further(&mut self, slot: Slot, image: ImageKind) {
        self.stage = match (slot, image) {
            (slot, ImageKind::Fit) => Stage::Look(slot, ImageKind::Root),
            (Slot::Running, ImageKind::Root) => Stage::Look(Slot::Target, ImageKind::Fit),
            (Slot::Target, ImageKind::Root) => {
                self.make_plan();
                let fetch = self.plan.sums.fetch;
                if fetch > 0 && self.mirrors.is_empty() {
                    Stage::Failed(Failure::Nowhere { bytes: fetch })
                } else {
                    Stage::Fill
                }
            }
        };
    }

    fn make_plan(&mut self) {
        self.plan = Plan::new(&self.release, &self.found, &self.in_target);
        self.installed = self.plan.sums.held;
        self.queue =
            self.plan.steps.iter().rev().filter(|step| step.origin != Origin::Held).copied().collect();
        // The first chunk that must be fetched comes first: only with it in hand the slot is touched.
        if let Some(at) = self.queue.iter().rposition(|step| step.origin == Origin::Fetch) {
            let first = self.queue.remove(at);
            self.queue.push(first);
        }
    }

    /// How the next step's bytes are got; `None` when that has just changed.
    fn get(&mut self, step: Step, now: u64) -> Option<Action> {
        let chunk_bytes = self.release.chunk_bytes;
        let read = match step.origin {
            Origin::Held => {
                self.queue.pop();
                return None;
            }
            Origin::Running(image, index) => piece(self.running.of(image), chunk_bytes, index)
                .map(|range| read(Slot::Running, image, range)),
            Origin::Target(image, index) => {
                self.release.range(image, index).map(|range| read(Slot::Target, image, range))
            }
            Origin::Fetch => return Some(self.fetch(step, now)),
        };
        if read.is_none() {
            self.fetch_instead();
        }
        read
    }

    fn fetch(&mut self, step: Step, now: u64) -> Action {
        let chunk = self.release.image(step.image).chunks.get(step.index);
        match (self.mirrors.next(now), chunk) {
            (Next::Ask(mirror), Some(chunk)) => Action::Fetch {
                mirror,
                path: chunk.path(),
                bytes: chunk.1,
                stall_ms: self.limits.stall_ms,
                whole_ms: self.limits.stall_ms + u64::from(chunk.1) * 1000 / SLOWEST,
            },
            (Next::Rest(until_ms), _) => Action::Wait { until_ms },
            (Next::Nobody, _) | (_, None) => {
                let why = Failure::Nowhere { bytes: chunk.map_or(0, |chunk| chunk.1.into()) };
                self.stage = Stage::Failed(why.clone());
                Action::Failed { why }
            }
        }
    }

    /// What a slot holds in this range; `None` when it cannot be read.
    fn read(&mut self, range: &Range<u64>, bytes: Option<Vec<u8>>) {
        let bytes = bytes.filter(|bytes| bytes.len() as u64 == range.end - range.start);
        match self.stage {
            Stage::Look(slot, image) => {
                let found = match slot {
                    Slot::Running => &mut self.found,
                    Slot::Target => &mut self.in_target,
                };
                found.image_mut(image).push(bytes.as_deref().map(chunk::hash));
                // At once, so that the cost is known before anything else happens.
                if self.unseen(slot, image).is_none() {
                    self.look_further(slot, image);
                }
            }
            Stage::Fill => {
                let wanted =
                    self.queue.last().and_then(|step| self.release.image(step.image).chunks.get(step.index));
                match bytes.filter(|bytes| wanted.is_some_and(|chunk| chunk::is(chunk, bytes))) {
                    Some(bytes) => self.take(bytes),
                    // Rotten since it was looked at.
                    None => self.fetch_instead(),
                }
            }
            _ => {}
        }
    }

    /// The next step's bytes are not at hand after all.
    fn fetch_instead(&mut self) {
        let Some(step) = self.queue.last_mut() else { return };
        step.origin = Origin::Fetch;
        if let Some(chunk) = self.release.image(step.image).chunks.get(step.index) {
            self.plan.sums.fetch += u64::from(chunk.1);
        }
    }

    fn unpack(&self, packed: &[u8]) -> Result<Vec<u8>, Spoiled> {
        let step = self.queue.last().ok_or(Spoiled::Packing)?;
        let chunk = self.release.image(step.image).chunks.get(step.index).ok_or(Spoiled::Packing)?;
        let range = self.release.range(step.image, step.index).ok_or(Spoiled::Packing)?;
        let length = usize::try_from(range.end - range.start).map_err(|_| Spoiled::Packing)?;
        chunk::unpack(chunk, length, packed)
    }

    fn take(&mut self, plain: Vec<u8>) {
        self.hand = Some(Arc::new(plain));
        self.tries = 0;
    }

    fn not_fetched(&mut self, mirror: usize, fault: Fault, now: u64, random: u32) {
        let asked = match &fault {
            Fault::Status { retry_after_ms, .. } => *retry_after_ms,
            _ => None,
        };
        self.mirrors.failed(mirror, asked, now, random);
        self.tries += 1;
        if self.tries >= self.limits.tries {
            self.stage = Stage::Failed(Failure::Fetch { tries: self.tries, last: fault });
        }
    }
}

impl Lengths {
    const fn of(self, kind: ImageKind) -> u64 {
        match kind {
            ImageKind::Fit => self.fit,
            ImageKind::Root => self.root,
        }
    }
}

fn read(slot: Slot, image: ImageKind, range: Range<u64>) -> Action {
    match slot {
        Slot::Running => Action::ReadRunning { image, range },
        Slot::Target => Action::ReadTarget { image, range },
    }
}

/// The chunk of this index in an image of so many bytes.
fn piece(bytes: u64, chunk_bytes: u32, index: usize) -> Option<Range<u64>> {
    let chunk_bytes = u64::from(chunk_bytes);
    let start = u64::try_from(index).ok()?.checked_mul(chunk_bytes)?;
    (start < bytes).then(|| start..bytes.min(start.saturating_add(chunk_bytes)))
}
