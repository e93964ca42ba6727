//! A few boxes, a clock that is moved and what was published: where [`super::scenarios`] play.

use model::BoxId;
use model::update::{Phase, Report};

use super::sample::box_id;
use super::{
    Answer, Ask, Command, Draft, Happening, Recorded, Site, Stage, Standing, State, Steer, Unwilling,
};
use crate::updates::{Asking, Listed};

pub(super) const HOUR: u64 = 3_600_000;
pub(super) const MINUTE: u64 = 60_000;

/// Where all boxes stand, or each alone.
pub(super) struct At<'a>(pub(super) &'a World);

impl Site for At<'_> {
    fn has(&self, _: &BoxId) -> bool {
        self.0.site_size > 1
    }

    fn boxes(&self) -> usize {
        self.0.site_size
    }

    fn is_open(&self, _: u64) -> bool {
        self.0.open
    }
}

pub(super) struct World {
    pub(super) state: State,
    pub(super) now: u64,
    pub(super) listed: Vec<Listed>,
    pub(super) site_size: usize,
    pub(super) open: bool,
    /// Boxes that are revoked, or were not heard of for long.
    pub(super) gone: Vec<BoxId>,
}

/// 1.0, 1.1 and 1.2 for the board b; the security version is 1, 1 and 2.
pub(super) fn world() -> World {
    let row = |version: &str, security, since| Listed {
        name: format!("b/{version}.json"),
        board: "b".to_owned(),
        version: version.to_owned(),
        security,
        since,
    };
    World {
        state: State::default(),
        now: 1_800_000_000_000,
        listed: vec![row("1.0", 1, 1), row("1.1", 1, 2), row("1.2", 2, 3)],
        site_size: 1,
        open: true,
        gone: Vec::new(),
    }
}

impl World {
    pub(super) fn happen(&mut self, events: Vec<Happening>) {
        for what in events {
            let recorded = Recorded { id: self.state.newest() + 1, at_ms: self.now, what };
            self.state.apply(&recorded);
        }
    }

    pub(super) fn command(&mut self, command: Command) -> Result<(), Unwilling> {
        let events = self.state.command(command, "anna", self.now)?;
        self.happen(events);
        Ok(())
    }

    pub(super) fn steer(&mut self, campaign: &str, how: Steer, reason: &str) -> Result<(), Unwilling> {
        self.command(Command::Steer { campaign: campaign.to_owned(), how, reason: reason.to_owned() })
    }

    /// A campaign that has begun; these boxes go first.
    pub(super) fn campaign(&mut self, id: &str, version: &str, canaries: &[u32]) {
        let draft = Draft {
            name: id.to_owned(),
            version: version.to_owned(),
            boards: vec!["b".to_owned()],
            canaries: canaries.iter().copied().map(box_id).collect(),
            bake_s: 24 * 3600,
            note: String::new(),
            who: String::new(),
        };
        self.command(Command::Draft { campaign: id.to_owned(), draft }).unwrap();
        self.steer(id, Steer::Start, "").unwrap();
    }

    /// The same, open to all.
    pub(super) fn campaign_for_all(&mut self, id: &str, version: &str) {
        self.campaign(id, version, &[]);
        while self.steer(id, Steer::Advance, "hurry").is_ok() {}
        assert_eq!(self.state.campaigns()[id].stage, Stage::All);
    }

    pub(super) fn ask_with(&mut self, number: u32, version: &str, security: u32, everyone: bool) -> Answer {
        let id = box_id(number);
        let asking = Asking { board: "b", version, security };
        let ask = Ask { box_id: &id, asking, listed: &self.listed, everyone };
        let decision = self.state.decide(&ask, &At(self), self.now);
        self.happen(decision.events);
        decision.answer
    }

    pub(super) fn ask(&mut self, number: u32, version: &str) -> Answer {
        self.ask_with(number, version, 1, false)
    }

    pub(super) fn target(&mut self, number: u32, version: &str) -> Option<String> {
        self.ask(number, version).target
    }

    pub(super) fn report(&self, campaign: &str, number: u32, phase: Phase) -> Report {
        let version = self.state.campaigns().get(campaign).map_or("1.0", |campaign| &campaign.draft.version);
        Report {
            box_id: box_id(number),
            identity: String::new(),
            campaign: campaign.to_owned(),
            version: version.to_owned(),
            running: "1.0".to_owned(),
            phase,
            why: "the tunnel never came up".to_owned(),
            journal: "last words".to_owned(),
            at_ms: 0,
            signature: String::new(),
        }
    }

    pub(super) fn tell(&mut self, campaign: &str, number: u32, phase: Phase) {
        let events = self.state.told(&self.report(campaign, number, phase), self.now);
        self.happen(events);
    }

    /// It fetches, and something stands in its way; gives what was written down.
    pub(super) fn stick(&mut self, campaign: &str, number: u32, why: &str) -> Vec<Happening> {
        let report = self.report(campaign, number, Phase::Fetching);
        let events = self.state.told(&Report { why: why.to_owned(), ..report }, self.now);
        self.happen(events.clone());
        events
    }

    pub(super) fn later(&mut self, ms: u64) {
        self.now += ms;
        let events = self.state.tick(self.now, |box_id| !self.gone.contains(box_id));
        self.happen(events);
    }

    pub(super) fn standing(&self, campaign: &str, number: u32) -> Option<Standing> {
        Some(self.state.place(campaign, &box_id(number))?.standing())
    }

    /// Everything is fetched, and the box is about to restart.
    pub(super) fn restart(&mut self, campaign: &str, number: u32) {
        assert!(self.ask(number, "1.0").target.is_some());
        self.tell(campaign, number, Phase::Ready);
        assert!(self.ask(number, "1.0").may_restart);
        self.tell(campaign, number, Phase::Restarting);
    }
}
