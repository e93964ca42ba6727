//! What follows from a box's own word: it moves on, and the campaign stops when too many have failed.

use model::update::{Phase, Report};

use super::campaign::{Run, Standing, moved};
use super::event::{Event, Happening, PIN};
use super::state::State;

/// Longest reason that is kept, bytes.
const WHY: usize = model::update::WHY;
/// Longest version that is kept, bytes.
const VERSION: usize = 64;

impl State {
    /// What a report says that is new. One that was told before, or that is about something else, says nothing.
    pub fn told(&self, report: &Report, now_ms: u64) -> Vec<Happening> {
        let (campaign, box_id) = (report.campaign.as_str(), &report.box_id);
        let Some(place) = self.place(campaign, box_id) else { return Vec::new() };
        if self.target_of(campaign, box_id) != Some(report.version.as_str()) {
            return Vec::new();
        }
        let why = || cut(&report.why, WHY);
        let (standing, event) = match report.phase {
            Phase::Fetching => (Standing::Fetching, Event::Fetching),
            Phase::Ready => (Standing::Ready, Event::Ready),
            Phase::Restarting => (Standing::Restarting, Event::Restarting),
            Phase::Committed => (Standing::Committed, Event::Committed { why: why() }),
            Phase::Failed => {
                let journal = cut(&report.journal, model::update::JOURNAL);
                (Standing::Failed, Event::Failed { why: why(), journal })
            }
        };
        let stays = standing == Standing::Ready && report.running != report.version;
        if stays && place.may_stay(&report.running, now_ms) {
            return vec![Happening::of(campaign, box_id, Event::Stayed)];
        }
        let stuck = (standing == Standing::Fetching && place.is_stuck_anew(&why()))
            .then(|| Happening::of(campaign, box_id, Event::Stuck { why: why() }));
        if standing <= place.reached() {
            return stuck.into_iter().collect();
        }
        let mut events = vec![Happening::of(campaign, box_id, event)];
        events.extend(stuck);
        if standing == Standing::Failed {
            let version = cut(&report.running, VERSION);
            events.push(Happening::of(campaign, box_id, Event::Back { version }));
        }
        if standing.is_decided() && campaign != PIN {
            events.extend(self.halting(campaign, [(box_id, standing)]));
        }
        events
    }

    /// Whether a campaign must stop once these boxes have come to this.
    pub(super) fn halting<'a>(
        &self,
        id: &str,
        decided: impl IntoIterator<Item = (&'a model::BoxId, Standing)>,
    ) -> Option<Happening> {
        let campaign = self.campaigns().get(id)?;
        if !matches!(campaign.run, Run::Running | Run::Paused | Run::Done) {
            return None;
        }
        let mut tally = campaign.tally;
        for (box_id, standing) in decided {
            let with = moved(campaign, box_id, standing);
            let add = |sum: u32, with: u32, before: u32| (sum + with).saturating_sub(before);
            tally.committed = add(tally.committed, with.committed, campaign.tally.committed);
            tally.failed = add(tally.failed, with.failed, campaign.tally.failed);
            tally.silent = add(tally.silent, with.silent, campaign.tally.silent);
        }
        let why = tally.too_many()?;
        Some(Happening::of_campaign(id, Event::Halted { why }))
    }
}

/// The beginning of a text, whole letters.
fn cut(text: &str, most: usize) -> String {
    let end = (0..=most.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    text.get(..end.unwrap_or(0)).unwrap_or_default().to_owned()
}
