//! A campaign, and where each box stands in it.
//!
//! Invariant: a box only ever moves on in a campaign ([`Standing`] grows), whatever is told twice, late or in another order,
//! except that one that could not know that it may go is ready again, a few times ([`Place::may_stay`]); and the tally counts
//! each box once, under what it came to.

use std::collections::{BTreeMap, BTreeSet};

use model::BoxId;
use serde::{Deserialize, Serialize};

use super::event::Draft;
use super::state::Moving;
use super::{Stage, Tally, Timing};

/// How often a box may say that it has not restarted after all. One whose restarts and stays never end has failed.
const STAYS: u8 = 5;
/// So many things that stand in one box's way are written down in a campaign.
const REASONS: u8 = 20;

/// How far a box is with a release. The later word wins: one that was given up as silent may still come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It was told.
    Offered,
    /// It fetches.
    Fetching,
    /// It has everything.
    Ready,
    /// It restarts.
    Restarting,
    /// It was not heard of after its restart.
    Silent,
    /// It does not keep it.
    Failed,
    /// It keeps it.
    Committed,
    /// Another campaign has taken it over.
    Superseded,
}

impl Standing {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Offered,
        Self::Fetching,
        Self::Ready,
        Self::Restarting,
        Self::Silent,
        Self::Failed,
        Self::Committed,
        Self::Superseded,
    ];

    /// Its word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Offered => "offered",
            Self::Fetching => "fetching",
            Self::Ready => "ready",
            Self::Restarting => "restarting",
            Self::Silent => "silent",
            Self::Failed => "failed",
            Self::Committed => "committed",
            Self::Superseded => "superseded",
        }
    }

    /// Whether it has come to an end.
    pub fn is_decided(self) -> bool {
        self >= Self::Silent
    }
}

/// Where a box stands in a campaign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    standing: Standing,
    /// Whether another campaign has taken the box over before it had decided.
    superseded: bool,
    /// Since when it stands there, milliseconds since 1970.
    pub since_ms: u64,
    /// When it was first told, milliseconds since 1970.
    pub offered_ms: u64,
    /// When it was last heard of, to a few hours, milliseconds since 1970.
    pub heard_ms: u64,
    /// Since when it may restart, if it may, milliseconds since 1970.
    pub cleared_ms: Option<u64>,
    /// What it ran when it was heard of after its restart.
    pub back: Option<String>,
    /// Why it stands there.
    pub why: String,
    /// In which count of the campaign it is.
    counted: Option<u32>,
    /// How often it has not restarted after all.
    stays: u8,
    /// How often it has said what stands in its way.
    reasons: u8,
}

impl Place {
    /// That of a box that is told now.
    pub(super) fn new(now_ms: u64) -> Self {
        Self {
            standing: Standing::Offered,
            superseded: false,
            since_ms: now_ms,
            offered_ms: now_ms,
            heard_ms: now_ms,
            cleared_ms: None,
            back: None,
            why: String::new(),
            counted: None,
            stays: 0,
            reasons: 0,
        }
    }

    /// Where it stands.
    pub fn standing(&self) -> Standing {
        if self.superseded && !self.standing.is_decided() { Standing::Superseded } else { self.standing }
    }

    /// How far it is, whoever has taken it over.
    pub(super) fn reached(&self) -> Standing {
        self.standing
    }

    /// How it moves, if it has its site's turn.
    pub(super) fn moving(&self, campaign: &str) -> Option<Moving> {
        let restarting_ms = (self.standing == Standing::Restarting).then_some(self.since_ms);
        let cleared_ms = self.cleared_ms.filter(|_| !self.standing.is_decided());
        (restarting_ms.is_some() || cleared_ms.is_some()).then(|| Moving {
            campaign: campaign.to_owned(),
            cleared_ms,
            restarting_ms,
            is_back: self.back.is_some(),
        })
    }

    /// Moves on, if this is further than it is.
    pub(super) fn reach(&mut self, standing: Standing, why: &str, now_ms: u64) {
        self.heard_ms = self.heard_ms.max(now_ms);
        if standing > self.standing {
            self.standing = standing;
            self.since_ms = now_ms;
            why.clone_into(&mut self.why);
            if standing.is_decided() {
                self.cleared_ms = None;
            }
        }
    }

    /// Whether what stands in its way is news.
    pub(super) fn is_stuck_anew(&self, why: &str) -> bool {
        self.standing <= Standing::Fetching && self.reasons < REASONS && !why.is_empty() && self.why != why
    }

    /// Something stands in the way of what it fetches.
    pub(super) fn stick(&mut self, why: &str, now_ms: u64) {
        self.heard_ms = self.heard_ms.max(now_ms);
        if self.standing == Standing::Fetching && self.reasons < REASONS {
            self.reasons += 1;
            why.clone_into(&mut self.why);
        }
    }

    /// Whether one that is held to restart, and runs this, may say that it has not gone.
    pub(super) fn may_stay(&self, running: &str, now_ms: u64) -> bool {
        let held = self.standing == Standing::Restarting && self.stays < STAYS;
        held && match self.back.as_deref() {
            Some(back) => back == running,
            None => now_ms.saturating_sub(self.since_ms) >= Timing::LATE,
        }
    }

    /// It is ready as before its restart, and has no turn.
    pub(super) fn stay(&mut self, now_ms: u64) {
        self.heard_ms = self.heard_ms.max(now_ms);
        if self.standing == Standing::Restarting && self.stays < STAYS {
            self.stays += 1;
            self.standing = Standing::Ready;
            self.since_ms = now_ms;
            self.cleared_ms = None;
            self.back = None;
        }
    }

    /// Another campaign takes the box.
    pub(super) fn supersede(&mut self) {
        if !self.standing.is_decided() && self.standing != Standing::Restarting {
            self.superseded = true;
            self.cleared_ms = None;
        }
    }

    /// It is told again.
    pub(super) fn offer(&mut self, now_ms: u64) {
        self.heard_ms = self.heard_ms.max(now_ms);
        if self.superseded {
            self.superseded = false;
            self.offered_ms = now_ms;
        }
    }
}

/// Whether a campaign goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Run {
    /// Nobody has begun it.
    Draft,
    /// It goes on.
    Running,
    /// A person has stopped it for a while.
    Paused,
    /// The machine has stopped it.
    Halted,
    /// A person has ended it.
    Withdrawn,
    /// All rings are through. Boxes that come later still get it.
    Done,
}

impl Run {
    /// Its word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Halted => "halted",
            Self::Withdrawn => "withdrawn",
            Self::Done => "done",
        }
    }

    /// Whether boxes are told its release.
    pub fn offers(self) -> bool {
        matches!(self, Self::Running | Self::Done)
    }
}

/// A campaign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Campaign {
    /// As it was written down.
    pub draft: Draft,
    /// Whether it goes on.
    pub run: Run,
    /// The ring that is open.
    pub stage: Stage,
    /// Since when both are so, milliseconds since 1970.
    pub since_ms: u64,
    /// When it was written down, milliseconds since 1970.
    pub drafted_ms: u64,
    /// The event that began it: later campaigns have larger ones; 0 before.
    pub begun: u64,
    /// Why it was last stopped, resumed or moved on.
    pub reason: String,
    /// Boxes that have decided since a person last let it go on.
    pub tally: Tally,
    canaries: BTreeSet<BoxId>,
    epoch: u32,
    places: BTreeMap<BoxId, Place>,
}

impl Campaign {
    pub(super) fn new(draft: Draft, now_ms: u64) -> Self {
        let canaries: BTreeSet<BoxId> = draft.canaries.iter().cloned().collect();
        let stage = if canaries.is_empty() { Stage::One } else { Stage::Canary };
        Self {
            draft,
            run: Run::Draft,
            stage,
            since_ms: now_ms,
            drafted_ms: now_ms,
            begun: 0,
            reason: String::new(),
            tally: Tally::default(),
            canaries,
            epoch: 0,
            places: BTreeMap::new(),
        }
    }

    /// Where the boxes stand that were told.
    pub fn places(&self) -> &BTreeMap<BoxId, Place> {
        &self.places
    }

    /// Whether it is for this board.
    pub fn fits(&self, board: &str) -> bool {
        self.draft.boards.is_empty() || self.draft.boards.iter().any(|own| own == board)
    }

    /// Whether a box is in the ring that is open. `id` is the campaign's own.
    pub fn has(&self, id: &str, box_id: &BoxId) -> bool {
        self.canaries.contains(box_id) || self.stage.has(id, box_id)
    }

    /// Boxes that were named to go first.
    pub fn canaries(&self) -> &BTreeSet<BoxId> {
        &self.canaries
    }

    /// Changes a box's place, and counts it anew.
    pub(super) fn with(&mut self, box_id: &BoxId, change: impl FnOnce(&mut Place)) {
        let Some(place) = self.places.get_mut(box_id) else { return };
        let before = place.standing;
        change(place);
        if place.standing == before || !place.standing.is_decided() {
            return;
        }
        if place.counted == Some(self.epoch) {
            count(&mut self.tally, before, |number| number.saturating_sub(1));
        }
        place.counted = Some(self.epoch);
        count(&mut self.tally, place.standing, |number| number.saturating_add(1));
    }

    /// A box is told.
    pub(super) fn offer(&mut self, box_id: &BoxId, now_ms: u64) {
        let place = self.places.entry(box_id.clone()).or_insert_with(|| Place::new(now_ms));
        place.offer(now_ms);
    }

    /// What was counted does not count any more.
    pub(super) fn count_anew(&mut self) {
        self.epoch = self.epoch.saturating_add(1);
        self.tally = Tally::default();
    }
}

/// What the tally would be if a box moved on.
pub(super) fn moved(campaign: &Campaign, box_id: &BoxId, to: Standing) -> Tally {
    let mut tally = campaign.tally;
    let Some(place) = campaign.places.get(box_id) else { return tally };
    if to > place.standing {
        if place.counted == Some(campaign.epoch) {
            count(&mut tally, place.standing, |number| number.saturating_sub(1));
        }
        count(&mut tally, to, |number| number.saturating_add(1));
    }
    tally
}

fn count(tally: &mut Tally, standing: Standing, change: impl Fn(u32) -> u32) {
    let number = match standing {
        Standing::Committed => &mut tally.committed,
        Standing::Failed => &mut tally.failed,
        Standing::Silent => &mut tally.silent,
        _ => return,
    };
    *number = change(*number);
}
