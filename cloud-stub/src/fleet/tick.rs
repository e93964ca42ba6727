//! What follows from time alone: a box that is not heard of has failed, and a ring that has held is followed by the next.

use std::collections::BTreeMap;

use model::BoxId;

use super::Timing;
use super::campaign::{Campaign, Place, Run, Standing};
use super::event::{Event, Happening, PIN};
use super::state::{Moving, State};

/// The share of a ring that must have decided before the next one is opened.
const ENOUGH: f64 = 0.9;

impl State {
    /// What is due. `is_there` tells which boxes are active and were heard of within [`Timing::DAY`], as far as anybody knows: no
    /// ring waits for the others, unless they were named to go first.
    pub fn tick(&self, now_ms: u64, is_there: impl Fn(&BoxId) -> bool) -> Vec<Happening> {
        let mut events = Vec::new();
        let mut decided: BTreeMap<&str, Vec<(&BoxId, Standing)>> = BTreeMap::new();
        for (box_id, Moving { campaign, .. }) in self.moving() {
            let Some(place) = self.place(campaign, box_id) else { continue };
            let Some((standing, event)) = self.overdue(campaign, box_id, place, now_ms) else { continue };
            events.push(Happening::of(campaign, box_id, event));
            if standing.is_decided() {
                decided.entry(campaign).or_default().push((box_id, standing));
            }
        }
        for (campaign, decided) in decided.iter().filter(|(campaign, _)| **campaign != PIN) {
            events.extend(self.halting(campaign, decided.iter().copied()));
        }
        for (id, campaign) in self.campaigns() {
            // Whoever has decided just now is counted the next time.
            if campaign.run == Run::Running && !decided.contains_key(id.as_str()) {
                events.extend(self.next_ring(id, campaign, now_ms, &is_there));
            }
        }
        events
    }

    /// What has become of a box that was let restart and has not said how it went. One that has not said that it goes has not
    /// gone: it had viewers, or no power, or is held; only its turn is over.
    fn overdue(
        &self,
        campaign: &str,
        box_id: &BoxId,
        place: &Place,
        now_ms: u64,
    ) -> Option<(Standing, Event)> {
        let is_over = |since| now_ms.saturating_sub(since) >= Timing::SILENT;
        if place.reached() != Standing::Restarting {
            return is_over(place.cleared_ms?).then_some((Standing::Ready, Event::Lapsed));
        }
        if !is_over(place.since_ms) {
            return None;
        }
        Some(match &place.back {
            Some(version) if self.target_of(campaign, box_id) == Some(version) => {
                let why = "it runs it, and has not said so".to_owned();
                (Standing::Committed, Event::Committed { why })
            }
            Some(version) => {
                let why = format!("it came back with {version}, and has not said why");
                (Standing::Failed, Event::Failed { why, journal: String::new() })
            }
            None => (Standing::Silent, Event::Silent),
        })
    }

    /// Opens the next ring once this one has held for long enough.
    fn next_ring(
        &self,
        id: &str,
        campaign: &Campaign,
        now_ms: u64,
        is_there: &impl Fn(&BoxId) -> bool,
    ) -> Option<Happening> {
        let bake_ms = campaign.draft.bake_s.saturating_mul(1000);
        let is_baked = now_ms.saturating_sub(campaign.since_ms) >= bake_ms;
        if !is_baked || !self.has_held(id, campaign, now_ms, is_there) {
            return None;
        }
        let event = match (campaign.tally.too_many_to_go_on(), campaign.stage.next()) {
            (Some(why), _) => Event::Halted { why },
            (None, Some(stage)) => Event::Opened { stage },
            (None, None) => Event::Done,
        };
        Some(Happening::of_campaign(id, event))
    }

    /// Whether enough of the boxes that were told and are there have decided, and one of them since a person has let it go on:
    /// unless there is nobody left who could.
    fn has_held(
        &self,
        id: &str,
        campaign: &Campaign,
        now_ms: u64,
        is_there: &impl Fn(&BoxId) -> bool,
    ) -> bool {
        let (mut decided, mut open) = (0_u32, 0_u32);
        for place in campaign.places().values() {
            match place.standing() {
                Standing::Superseded => {}
                standing if standing.is_decided() => decided += 1,
                _ if now_ms.saturating_sub(place.heard_ms) < Timing::DAY => open += 1,
                _ => {}
            }
        }
        if campaign.tally.decided() == 0 && (open > 0 || self.somebody_waits(id, campaign, is_there)) {
            return false;
        }
        f64::from(decided) >= ENOUGH * f64::from(decided + open)
    }

    /// Whether there is a box in the ring that is to have the release and has not decided.
    fn somebody_waits(&self, id: &str, campaign: &Campaign, is_there: &impl Fn(&BoxId) -> bool) -> bool {
        // A canary that has never asked is waited for.
        let unmet = campaign.canaries().iter().any(|box_id| self.known(box_id).is_none());
        unmet
            || self.boxes().iter().any(|(box_id, known)| {
                let place = campaign.places().get(box_id);
                campaign.has(id, box_id)
                    && (campaign.canaries().contains(box_id) || is_there(box_id))
                    && !place.is_some_and(|place| place.reached().is_decided())
                    && campaign.fits(&known.board)
                    && known.version != campaign.draft.version
                    && known.hold.is_none()
                    && known.pin.is_none()
            })
    }
}
