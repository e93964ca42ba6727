//! What follows from all that has happened: the fold of the events, in their order. There is no other truth, so a cloud that
//! starts anew, or another one on the same database, knows the same.
//!
//! Events that make no sense where they stand (of a campaign that is not there, of a box that was never told) change nothing.

use std::collections::BTreeMap;

use model::BoxId;
use serde::{Deserialize, Serialize};

use super::campaign::{Campaign, Place, Run, Standing};
use super::event::{Event, Happening, PIN, Recorded};

/// What is known of a box whatever the campaign.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Its board, as far as it has said.
    pub board: String,
    /// What it runs, as far as it has said.
    pub version: String,
    /// When it said so, milliseconds since 1970.
    pub met_ms: u64,
    /// The version that a person chose.
    pub pin: Option<String>,
    /// Why a person holds it where it is.
    pub hold: Option<String>,
    /// Before this its owner wants no update, milliseconds since 1970.
    pub postponed_ms: u64,
    /// Where it stands with its pin.
    pub pinned: Option<Place>,
}

/// The fold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    newest: u64,
    campaigns: BTreeMap<String, Campaign>,
    boxes: BTreeMap<BoxId, Known>,
    /// The boxes that may restart or do: few, so that they are looked through for each question.
    moving: BTreeMap<BoxId, Moving>,
}

/// A box that may restart, or does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moving {
    /// In which campaign.
    pub campaign: String,
    /// Since when it may, milliseconds since 1970.
    pub cleared_ms: Option<u64>,
    /// Since when it does, milliseconds since 1970.
    pub restarting_ms: Option<u64>,
    /// Whether it was heard of after its restart.
    pub is_back: bool,
}

impl State {
    /// The last event that is in it; 0: none.
    pub fn newest(&self) -> u64 {
        self.newest
    }

    /// All campaigns by their ids.
    pub fn campaigns(&self) -> &BTreeMap<String, Campaign> {
        &self.campaigns
    }

    /// What is known of a box.
    pub fn known(&self, box_id: &BoxId) -> Option<&Known> {
        self.boxes.get(box_id)
    }

    /// All boxes that anything is known of.
    pub fn boxes(&self) -> &BTreeMap<BoxId, Known> {
        &self.boxes
    }

    /// The boxes that may restart or do.
    pub fn moving(&self) -> &BTreeMap<BoxId, Moving> {
        &self.moving
    }

    /// Where a box stands in a campaign, or with its pin.
    pub fn place(&self, campaign: &str, box_id: &BoxId) -> Option<&Place> {
        if campaign == PIN {
            return self.boxes.get(box_id)?.pinned.as_ref();
        }
        self.campaigns.get(campaign)?.places().get(box_id)
    }

    /// The campaigns that have begun, the last one first.
    pub fn begun(&self) -> Vec<(&str, &Campaign)> {
        let begun = self.campaigns.iter().filter(|(_, campaign)| campaign.run != Run::Draft);
        let mut begun: Vec<_> = begun.map(|(id, campaign)| (id.as_str(), campaign)).collect();
        begun.sort_by_key(|(_, campaign)| std::cmp::Reverse(campaign.begun));
        begun
    }

    /// Takes the next event. One that was taken before changes nothing.
    pub fn apply(&mut self, recorded: &Recorded) {
        if recorded.id <= self.newest {
            return;
        }
        self.newest = recorded.id;
        let Recorded { at_ms, what: Happening { campaign, box_id, event }, .. } = recorded;
        match box_id {
            None => self.apply_to_campaign(campaign, event, *at_ms),
            Some(box_id) if campaign.is_empty() => self.apply_to_box(box_id, event, *at_ms),
            Some(box_id) => {
                self.apply_to_place(campaign, box_id, event, *at_ms);
                self.index(campaign, box_id);
            }
        }
    }

    fn apply_to_campaign(&mut self, id: &str, event: &Event, at_ms: u64) {
        if let Event::Drafted(draft) = event {
            self.campaigns.entry(id.to_owned()).or_insert_with(|| Campaign::new(draft.clone(), at_ms));
            return;
        }
        let newest = self.newest;
        let Some(campaign) = self.campaigns.get_mut(id) else { return };
        let ended = campaign.run == Run::Withdrawn;
        let drafted = campaign.run == Run::Draft;
        match event {
            Event::Started { why, .. } if drafted => {
                campaign.begun = newest;
                campaign.turn(Run::Running, why, at_ms);
            }
            Event::Paused { why, .. } if campaign.run == Run::Running => {
                campaign.turn(Run::Paused, why, at_ms);
            }
            Event::Halted { why } if !ended && !drafted => campaign.turn(Run::Halted, why, at_ms),
            Event::Resumed { why, .. } if matches!(campaign.run, Run::Paused | Run::Halted) => {
                // Who goes on after a halt has judged the failures; a pause is no judgement.
                if campaign.run == Run::Halted {
                    campaign.count_anew();
                }
                campaign.turn(Run::Running, why, at_ms);
            }
            Event::Withdrawn { why, .. } if !ended => campaign.turn(Run::Withdrawn, why, at_ms),
            Event::Advanced { stage, why, .. } if *stage > campaign.stage => {
                campaign.stage = *stage;
                campaign.turn(campaign.run, why, at_ms);
            }
            Event::Opened { stage } if *stage > campaign.stage => {
                campaign.stage = *stage;
                campaign.turn(campaign.run, "", at_ms);
            }
            Event::Done if campaign.run == Run::Running => campaign.turn(Run::Done, "", at_ms),
            _ => {}
        }
    }

    fn apply_to_box(&mut self, box_id: &BoxId, event: &Event, at_ms: u64) {
        let known = self.boxes.entry(box_id.clone()).or_default();
        match event {
            Event::Met { board, version } => {
                board.clone_into(&mut known.board);
                version.clone_into(&mut known.version);
                known.met_ms = at_ms;
            }
            Event::Pinned { version, .. } if known.pin != *version => {
                known.pin.clone_from(version);
                known.pinned = None;
                self.index(PIN, box_id);
            }
            Event::Held { why, .. } => known.hold.clone_from(why),
            Event::Postponed { until_ms, .. } => known.postponed_ms = *until_ms,
            _ => {}
        }
    }

    fn apply_to_place(&mut self, campaign: &str, box_id: &BoxId, event: &Event, at_ms: u64) {
        if let Event::Offered { .. } = event {
            let known = self.campaigns.contains_key(campaign) || campaign == PIN;
            for (_, other) in self.campaigns.iter_mut().filter(|(id, _)| known && *id != campaign) {
                other.with(box_id, Place::supersede);
            }
            if campaign == PIN {
                let known = self.boxes.entry(box_id.clone()).or_default();
                known.pinned.get_or_insert_with(|| Place::new(at_ms)).offer(at_ms);
            } else if let Some(campaign) = self.campaigns.get_mut(campaign) {
                campaign.offer(box_id, at_ms);
            }
            return;
        }
        let change = |place: &mut Place| match event {
            Event::Heard => place.heard_ms = place.heard_ms.max(at_ms),
            Event::Cleared if place.reached() == Standing::Ready => place.cleared_ms = Some(at_ms),
            Event::Lapsed if place.reached() == Standing::Ready => place.cleared_ms = None,
            Event::Fetching => place.reach(Standing::Fetching, "", at_ms),
            Event::Stuck { why } => place.stick(why, at_ms),
            Event::Ready => place.reach(Standing::Ready, "", at_ms),
            Event::Restarting => place.reach(Standing::Restarting, "", at_ms),
            Event::Stayed => place.stay(at_ms),
            Event::Back { version } => {
                place.back = Some(version.clone());
                place.heard_ms = place.heard_ms.max(at_ms);
            }
            Event::Committed { why } => place.reach(Standing::Committed, why, at_ms),
            Event::Failed { why, .. } => place.reach(Standing::Failed, why, at_ms),
            Event::Silent => place.reach(Standing::Silent, "not heard of after its restart", at_ms),
            _ => {}
        };
        let standing = |state: &Self| state.place(campaign, box_id).map(Place::standing);
        let before = standing(self);
        if campaign != PIN {
            if let Some(campaign) = self.campaigns.get_mut(campaign) {
                campaign.with(box_id, change);
            }
        } else if let Some(place) = self.boxes.get_mut(box_id).and_then(|known| known.pinned.as_mut()) {
            change(place);
        }
        // What it runs is known from that, too, and not only from its next word of itself; after a failure not before it is back.
        let after = standing(self).filter(|after| Some(*after) != before);
        let runs = match (event, after) {
            (Event::Back { version }, _) => Some(version.clone()),
            (_, Some(Standing::Committed)) => self.target_of(campaign, box_id).map(ToOwned::to_owned),
            (_, Some(Standing::Failed)) => Some(String::new()),
            _ => None,
        };
        if let (Some(version), Some(known)) = (runs, self.boxes.get_mut(box_id)) {
            known.version = version;
        }
    }

    /// Learns anew whether a box has its site's turn.
    fn index(&mut self, campaign: &str, box_id: &BoxId) {
        let here = self.place(campaign, box_id).and_then(|place| place.moving(campaign));
        let moving = here.or_else(|| {
            let mut places =
                self.campaigns.iter().map(|(id, campaign)| (id.as_str(), campaign.places().get(box_id)));
            let elsewhere = places.find_map(|(id, place)| place?.moving(id));
            elsewhere.or_else(|| self.place(PIN, box_id)?.moving(PIN))
        });
        match moving {
            Some(moving) => self.moving.insert(box_id.clone(), moving),
            None => self.moving.remove(box_id),
        };
    }
}

impl Campaign {
    /// Goes on, stops or ends.
    fn turn(&mut self, run: Run, why: &str, at_ms: u64) {
        self.run = run;
        self.since_ms = at_ms;
        why.clone_into(&mut self.reason);
    }
}
