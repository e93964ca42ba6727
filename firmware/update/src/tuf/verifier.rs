//! The client's workflow (TUF 1.0.34, section 5) as a machine without sockets, files or a clock. Its [`State`] holds only
//! bytes whose signatures, versions and expiry it has checked, so it may be saved after each step, whatever came of the step.

use super::metadata::{Snapshot, Timestamp, path};
use super::{Envelope, MOST_ROOTS, Role, Root, TargetInfo, Targets, TufError};
use crate::assignment::{Assignment, Expected};
use crate::floors::Floors;

/// What is kept between runs. All but `root` may be lost, at the price of fetching it again: rollback is told by the floors.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// The newest trusted root; in the beginning the one that came with the box.
    pub root: Vec<u8>,
    /// The newest trusted timestamp.
    pub timestamp: Option<Vec<u8>>,
    /// The newest trusted snapshot.
    pub snapshot: Option<Vec<u8>>,
    /// The newest trusted targets.
    pub targets: Option<Vec<u8>>,
    /// The least that is taken.
    pub floors: Floors,
}

/// What tells the box that it is not being shown the past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Freshness {
    /// The clock, in seconds since 1970, for a box without a cloud. It is never persisted. A clock that is behind the time
    /// floor is wrong, and the floor stands for it.
    Clock(u64),
    /// An assignment over a nonce that this box has just made up. Expiry is judged by the time stated in it, or the time
    /// floor if that is later.
    Assignment {
        /// As it came from the cloud.
        bytes: Vec<u8>,
        /// What it must state.
        expected: Expected,
    },
}

/// A file that the verifier wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// Where it lies below the folder of metadata.
    pub path: String,
    /// Stop reading after this many bytes; more is an error.
    pub most_bytes: u64,
}

/// What a server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The file.
    Bytes(Vec<u8>),
    /// There is no such file (403 or 404). Anything else that keeps a file away is no answer: try again or give up.
    Missing,
}

/// The end: what may be installed.
#[derive(Debug, Clone)]
pub struct Trusted {
    /// The files, by name.
    pub targets: Targets,
    /// The assignment, if one stood for the clock.
    pub assignment: Option<Assignment>,
    consistent: bool,
}

impl Trusted {
    /// A file by its name.
    pub fn target(&self, name: &str) -> Option<&TargetInfo> {
        self.targets.target(name)
    }

    /// Where a file lies below the folder of targets; `None` if its hashes name no such place.
    pub fn path(&self, name: &str, file: &TargetInfo) -> Option<String> {
        path(self.consistent, name, file)
    }
}

/// How far the workflow is. What a later step needs of an earlier one is in it.
#[derive(Debug)]
enum Stage {
    /// The next root is wanted; so many came in this run.
    Root(u32),
    Timestamp,
    Snapshot(Timestamp),
    Targets(Snapshot),
    Done(Box<Trusted>),
    Failed,
}

/// The machine.
#[derive(Debug)]
pub struct Verifier {
    state: State,
    root: Root,
    freshness: Freshness,
    assignment: Option<Assignment>,
    /// What expiry is judged by, in seconds since 1970; known once the last root is.
    now: u64,
    stage: Stage,
}

impl Verifier {
    /// Begins a run from a root that is trusted because it came with the box, or because a run of this verifier said so.
    ///
    /// # Errors
    /// When that root is unreadable or does not carry its own signatures. An expired one is fine (section 5.1).
    pub fn new(state: State, freshness: Freshness) -> Result<Self, TufError> {
        let envelope = Envelope::read(Role::Root, &state.root)?;
        let root = Root::read(&envelope)?;
        root.verify(Role::Root, &envelope)?;
        Ok(Self { state, root, freshness, assignment: None, now: 0, stage: Stage::Root(0) })
    }

    /// What to fetch and [`give`](Self::give) next; nothing after the end or an error.
    pub fn wants(&self) -> Option<Want> {
        let (role, version, listed) = match &self.stage {
            Stage::Root(_) => {
                let path = format!("{}.root.json", self.root.version().checked_add(1)?);
                return Some(Want { path, most_bytes: Role::Root.most_bytes() });
            }
            Stage::Timestamp => (Role::Timestamp, None, None),
            Stage::Snapshot(timestamp) => {
                (Role::Snapshot, Some(timestamp.snapshot.version), timestamp.snapshot.length)
            }
            Stage::Targets(snapshot) => {
                (Role::Targets, Some(snapshot.targets.version), snapshot.targets.length)
            }
            Stage::Done(_) | Stage::Failed => return None,
        };
        let path = match version.filter(|_| self.root.consistent) {
            Some(version) => format!("{version}.{role}.json"),
            None => format!("{role}.json"),
        };
        let most = role.most_bytes();
        Some(Want { path, most_bytes: listed.map_or(most, |length| length.min(most)) })
    }

    /// Takes what was wanted.
    ///
    /// # Errors
    /// When it is refused. The run is over then; [`state`](Self::state) holds what was verified before.
    pub fn give(&mut self, answer: Answer) -> Result<(), TufError> {
        let missing = self.wants().map(|want| want.path).ok_or(TufError::NotAsked)?;
        let stage = std::mem::replace(&mut self.stage, Stage::Failed);
        let bytes = match answer {
            Answer::Bytes(bytes) => bytes,
            Answer::Missing if matches!(stage, Stage::Root(_)) => return self.enter(),
            Answer::Missing => return Err(TufError::Missing(missing)),
        };
        match stage {
            Stage::Root(count) => self.take_root(bytes, count),
            Stage::Timestamp => self.take_timestamp(bytes),
            Stage::Snapshot(timestamp) => self.take_snapshot(&timestamp, bytes),
            Stage::Targets(snapshot) => self.take_targets(&snapshot, bytes),
            Stage::Done(_) | Stage::Failed => Err(TufError::NotAsked),
        }
    }

    /// What may be saved at any time.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The newest root so far.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// What may be installed, once nothing is wanted any more.
    pub fn trusted(&self) -> Option<&Trusted> {
        match &self.stage {
            Stage::Done(trusted) => Some(trusted),
            _ => None,
        }
    }

    /// Section 5.3.4 to 5.3.8: signed by the keys of the root before it and by its own, and of the next version.
    fn take_root(&mut self, bytes: Vec<u8>, count: u32) -> Result<(), TufError> {
        let envelope = Envelope::read(Role::Root, &bytes)?;
        self.root.verify(Role::Root, &envelope)?;
        let root = Root::read(&envelope)?;
        root.verify(Role::Root, &envelope)?;
        let wanted = self.root.version().saturating_add(1);
        same_version(Role::Root, wanted, root.version())?;
        self.root = root;
        self.state.root = bytes;
        if count + 1 >= MOST_ROOTS {
            return Err(TufError::TooManyRoots(MOST_ROOTS));
        }
        self.stage = Stage::Root(count + 1);
        Ok(())
    }

    /// Section 5.3.10 and 5.3.11, after the last root: what time it is, whose floors are void.
    fn enter(&mut self) -> Result<(), TufError> {
        let floors = &mut self.state.floors;
        not_older(Role::Root, floors.root, self.root.version())?;
        floors.enter(self.root.version(), self.root.online());
        self.now = match &self.freshness {
            Freshness::Clock(now) => floors.time.max(*now),
            Freshness::Assignment { bytes, expected } => {
                let assignment = Assignment::verify(bytes, &self.root, expected)?;
                floors.time = floors.time.max(assignment.issued);
                self.assignment = Some(assignment);
                floors.time
            }
        };
        self.root.common.current(Role::Root, self.now)?;
        self.stage = Stage::Timestamp;
        Ok(())
    }

    /// The timestamp of the run before, unless its signer was rotated away.
    fn kept_timestamp(&self) -> Option<Timestamp> {
        let envelope = self.kept(Role::Timestamp, self.state.timestamp.as_deref()?)?;
        Timestamp::read(&envelope).ok()
    }

    fn kept_snapshot(&self) -> Option<Snapshot> {
        let envelope = self.kept(Role::Snapshot, self.state.snapshot.as_deref()?)?;
        Snapshot::read(&envelope).ok()
    }

    /// What was kept is read like a stranger's: the disk is not trusted, and keys may have been rotated since.
    fn kept(&self, role: Role, bytes: &[u8]) -> Option<Envelope> {
        let envelope = Envelope::read(role, bytes).ok()?;
        self.root.verify(role, &envelope).ok()?;
        Some(envelope)
    }

    /// Section 5.4. A timestamp of the version that is kept already changes nothing, whatever it says (5.4.3).
    fn take_timestamp(&mut self, bytes: Vec<u8>) -> Result<(), TufError> {
        let envelope = Envelope::read(Role::Timestamp, &bytes)?;
        self.root.verify(Role::Timestamp, &envelope)?;
        let mut timestamp = Timestamp::read(&envelope)?;
        let mut kept = false;
        if let Some(old) = self.kept_timestamp() {
            not_older(Role::Timestamp, old.common.version, timestamp.common.version)?;
            kept = old.common.version == timestamp.common.version;
            if kept {
                timestamp = old;
            } else {
                not_older(Role::Snapshot, old.snapshot.version, timestamp.snapshot.version)?;
            }
        }
        not_older(Role::Timestamp, self.state.floors.timestamp, timestamp.common.version)?;
        not_older(Role::Snapshot, self.state.floors.snapshot, timestamp.snapshot.version)?;
        timestamp.common.current(Role::Timestamp, self.now)?;
        if !kept {
            self.state.timestamp = Some(bytes);
        }
        self.state.floors.timestamp = timestamp.common.version;
        self.state.floors.snapshot = timestamp.snapshot.version;
        match self.state.snapshot.clone() {
            // Not fetched again when it is the very one.
            Some(bytes) if self.is_current(&timestamp, &bytes) => self.take_snapshot(&timestamp, bytes),
            _ => {
                self.stage = Stage::Snapshot(timestamp);
                Ok(())
            }
        }
    }

    fn is_current(&self, timestamp: &Timestamp, bytes: &[u8]) -> bool {
        let current = || {
            let snapshot = Snapshot::read(&self.kept(Role::Snapshot, bytes)?).ok()?;
            (snapshot.common.version == timestamp.snapshot.version).then_some(())?;
            snapshot.common.current(Role::Snapshot, self.now).ok()?;
            timestamp.snapshot.check("snapshot.json", bytes).ok()
        };
        current().is_some()
    }

    /// Section 5.5.
    fn take_snapshot(&mut self, timestamp: &Timestamp, bytes: Vec<u8>) -> Result<(), TufError> {
        timestamp.snapshot.check("snapshot.json", &bytes)?;
        let envelope = Envelope::read(Role::Snapshot, &bytes)?;
        self.root.verify(Role::Snapshot, &envelope)?;
        let snapshot = Snapshot::read(&envelope)?;
        same_version(Role::Snapshot, timestamp.snapshot.version, snapshot.common.version)?;
        if let Some(old) = self.kept_snapshot() {
            for (name, file) in &old.listed {
                let now = snapshot.listed.get(name).ok_or_else(|| TufError::Unlisted(name.clone()))?;
                not_older(Role::Targets, file.version, now.version)?;
            }
        }
        not_older(Role::Targets, self.state.floors.targets, snapshot.targets.version)?;
        snapshot.common.current(Role::Snapshot, self.now)?;
        self.state.snapshot = Some(bytes);
        self.state.floors.targets = snapshot.targets.version;
        if let Some(bytes) = self.state.targets.clone() {
            // Not fetched again when it is the very one.
            if self.take_targets(&snapshot, bytes).is_ok() {
                return Ok(());
            }
        }
        self.stage = Stage::Targets(snapshot);
        Ok(())
    }

    /// Section 5.6.
    fn take_targets(&mut self, snapshot: &Snapshot, bytes: Vec<u8>) -> Result<(), TufError> {
        snapshot.targets.check("targets.json", &bytes)?;
        let envelope = Envelope::read(Role::Targets, &bytes)?;
        self.root.verify(Role::Targets, &envelope)?;
        let targets = Targets::read(&envelope)?;
        same_version(Role::Targets, snapshot.targets.version, targets.version())?;
        targets.common.current(Role::Targets, self.now)?;
        self.state.targets = Some(bytes);
        let assignment = self.assignment.take();
        self.stage = Stage::Done(Box::new(Trusted { targets, assignment, consistent: self.root.consistent }));
        Ok(())
    }
}

fn same_version(role: Role, wanted: u64, found: u64) -> Result<(), TufError> {
    if found == wanted { Ok(()) } else { Err(TufError::Version { role, wanted, found }) }
}

fn not_older(role: Role, floor: u64, found: u64) -> Result<(), TufError> {
    if found >= floor { Ok(()) } else { Err(TufError::Rollback { role, floor, found }) }
}
