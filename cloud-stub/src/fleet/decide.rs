//! What a box that asks is to have. Pure: whoever calls writes down what has happened, and asks again if somebody else has
//! written something in between.
//!
//! The last campaign that has the box in its ring decides, even while it is stopped: an older one never takes a box back.
//! A person's hold comes before everything, a pin before every campaign. Nothing below the box's security version is
//! ever offered, whoever wants it.

use model::BoxId;

use super::campaign::{Place, Run, Standing};
use super::event::{ALL, Event, Happening, PIN};
use super::state::{Known, Moving, State};
use super::{Tally, Timing};
use crate::updates::{Asking, Choice, Listed, choose};

/// Boxes of a campaign that may always be away at a time.
const AT_ONCE: u32 = 10;
/// Beyond that, one for so many that have decided: a campaign hurries only as fast as it learns.
const PACE: u32 = 4;

/// A question of a box that may ask.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// The box.
    pub box_id: &'a BoxId,
    /// What it is and runs.
    pub asking: Asking<'a>,
    /// What is published.
    pub listed: &'a [Listed],
    /// Whether the newest release is for everyone where no campaign is.
    pub everyone: bool,
}

/// The place where a box stands: its neighbours take turns.
pub trait Site {
    /// Whether another box stands there too.
    fn has(&self, other: &BoxId) -> bool;

    /// How many boxes stand there.
    fn boxes(&self) -> usize;

    /// Whether boxes may restart there at this time, milliseconds since 1970.
    fn is_open(&self, now_ms: u64) -> bool;
}

/// What a box is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The release's name as a target; `None`: stay as you are.
    pub target: Option<String>,
    /// The campaign.
    pub campaign: String,
    /// Whether it may restart into it now.
    pub may_restart: bool,
    /// The last moment to begin with the restart, milliseconds since 1970.
    pub deadline_ms: u64,
}

/// What a box is told, and what has happened by that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What it is told.
    pub answer: Answer,
    /// What is to be written before it is told.
    pub events: Vec<Happening>,
}

/// What the last word on a box is.
enum Verdict<'a> {
    /// Stay.
    Stay,
    /// Have this.
    Have(&'a str, &'a Listed),
}

impl State {
    /// Decides for one box.
    pub fn decide(&self, ask: &Ask<'_>, site: &impl Site, now_ms: u64) -> Decision {
        let mut events = Vec::new();
        self.meet(ask, now_ms, &mut events);
        if let Some(Moving { campaign, restarting_ms: Some(_), .. }) = self.moving().get(ask.box_id)
            && let Some(place) = self.place(campaign, ask.box_id)
        {
            self.came_back(campaign, place, ask, now_ms, &mut events);
            return Decision { answer: self.meanwhile(campaign, place, ask, now_ms), events };
        }
        let answer = match self.verdict(ask, &mut events) {
            Verdict::Stay => Answer::stay("", now_ms),
            Verdict::Have(ALL, _) if self.is_postponed(ask.box_id, now_ms) => Answer::stay("", now_ms),
            Verdict::Have(ALL, listed) => Answer {
                target: Some(listed.name.clone()),
                campaign: ALL.to_owned(),
                may_restart: true,
                deadline_ms: now_ms + Timing::DEADLINE,
            },
            Verdict::Have(campaign, listed) => self.offer(campaign, listed, ask, site, now_ms, &mut events),
        };
        Decision { answer, events }
    }

    /// Whether its owner wants no update yet.
    fn is_postponed(&self, box_id: &BoxId, now_ms: u64) -> bool {
        self.known(box_id).is_some_and(|known| now_ms < known.postponed_ms)
    }

    /// What a box says of itself is kept when it is new; one that says something else each time is not believed each time.
    fn meet(&self, ask: &Ask<'_>, now_ms: u64, events: &mut Vec<Happening>) {
        let Asking { board, version, .. } = ask.asking;
        let same = |known: &Known| known.board == board && known.version == version;
        let known = self.known(ask.box_id);
        let early = known.is_some_and(|known| {
            !known.board.is_empty() && now_ms.saturating_sub(known.met_ms) < Timing::MEET
        });
        if !known.is_some_and(same) && !early {
            let event = Event::Met { board: board.to_owned(), version: version.to_owned() };
            events.push(Happening::of_box(ask.box_id, event));
        }
    }

    /// A box that restarts is heard of: what it runs tells how it went, if it never says so itself.
    fn came_back(
        &self,
        campaign: &str,
        place: &Place,
        ask: &Ask<'_>,
        now_ms: u64,
        events: &mut Vec<Happening>,
    ) {
        let version = ask.asking.version;
        let mut push = |event| events.push(Happening::of(campaign, ask.box_id, event));
        let runs_it = self.target_of(campaign, ask.box_id) == Some(version);
        if runs_it && now_ms.saturating_sub(place.since_ms) >= Timing::SETTLED {
            push(Event::Committed { why: "it runs it, and has not said so".to_owned() });
        } else if place.back.as_deref() != Some(version)
            && (place.back.is_none() || now_ms.saturating_sub(place.heard_ms) >= Timing::AGAIN)
        {
            push(Event::Back { version: version.to_owned() });
        }
    }

    /// What a box that is held to restart is told: what it tries is not touched. But if it runs another version, then it may be
    /// that it never went: it has still to have the release, and then says that it is ready. One that has fallen back knows
    /// that it does not try it again.
    fn meanwhile(&self, campaign: &str, place: &Place, ask: &Ask<'_>, now_ms: u64) -> Answer {
        let stay = Answer::stay(campaign, now_ms);
        match self.verdict(ask, &mut Vec::new()) {
            Verdict::Have(id, listed) if id == campaign => Answer {
                target: Some(listed.name.clone()),
                deadline_ms: (place.offered_ms + Timing::DEADLINE).max(now_ms),
                ..stay
            },
            _ => stay,
        }
    }

    /// The version that a campaign, or a pin, brings to a box.
    pub(super) fn target_of(&self, campaign: &str, box_id: &BoxId) -> Option<&str> {
        if campaign == PIN {
            return self.known(box_id)?.pin.as_deref();
        }
        Some(self.campaigns().get(campaign)?.draft.version.as_str())
    }

    fn verdict<'a>(&'a self, ask: &Ask<'a>, events: &mut Vec<Happening>) -> Verdict<'a> {
        let Asking { board, version, security } = ask.asking;
        let of =
            |wanted: &str| ask.listed.iter().find(|listed| listed.board == board && listed.version == wanted);
        let known = self.known(ask.box_id);
        if known.is_some_and(|known| known.hold.is_some()) {
            return Verdict::Stay;
        }
        if let Some((known, pin)) = known.and_then(|known| Some((known, known.pin.as_deref()?))) {
            if known.pinned.as_ref().is_some_and(|place| place.reached() == Standing::Silent) {
                events.extend(returned(PIN, ask, pin));
            }
            match of(pin) {
                _ if pin == version => return Verdict::Stay,
                None => return Verdict::Stay,
                Some(listed) if listed.security >= security => return Verdict::Have(PIN, listed),
                // Below the floor it is not obeyed.
                Some(_) => {}
            }
        }
        let mut led = false;
        for (id, campaign) in self.begun() {
            let place = campaign.places().get(ask.box_id);
            if place.is_some_and(|place| place.reached() == Standing::Committed) {
                return Verdict::Stay;
            }
            let Some(listed) = of(&campaign.draft.version) else { continue };
            if campaign.run == Run::Withdrawn || !campaign.fits(board) {
                continue;
            }
            led = true;
            if !campaign.has(id, ask.box_id) {
                continue;
            }
            if let Some(place) = place.filter(|place| place.reached().is_decided()) {
                if place.reached() == Standing::Silent {
                    events.extend(returned(id, ask, &campaign.draft.version));
                }
                return Verdict::Stay;
            }
            if version == listed.version {
                if place.is_some_and(|place| place.standing() != Standing::Superseded) {
                    // It has got there without a word: by a stick, or its words were lost.
                    events.push(Happening::of(id, ask.box_id, Event::Restarting));
                    let back = Event::Back { version: version.to_owned() };
                    events.push(Happening::of(id, ask.box_id, back));
                }
                return Verdict::Stay;
            }
            if !campaign.run.offers() || listed.security < security {
                return Verdict::Stay;
            }
            // It was made after the campaign was through, with what was published since.
            let newer = of(version).is_some_and(|runs| runs.since > listed.since);
            if campaign.run == Run::Done && place.is_none() && newer {
                return Verdict::Stay;
            }
            return Verdict::Have(id, listed);
        }
        match choose(ask.listed, ask.asking) {
            Choice::Take(listed) if ask.everyone && !led => Verdict::Have(ALL, listed),
            _ => Verdict::Stay,
        }
    }

    fn offer(
        &self,
        campaign: &str,
        listed: &Listed,
        ask: &Ask<'_>,
        site: &impl Site,
        now_ms: u64,
        events: &mut Vec<Happening>,
    ) -> Answer {
        let postponed = self.is_postponed(ask.box_id, now_ms);
        let place = self.place(campaign, ask.box_id);
        let place = place.filter(|place| place.standing() != Standing::Superseded);
        let mut answer = Answer {
            target: Some(listed.name.clone()),
            campaign: campaign.to_owned(),
            may_restart: false,
            deadline_ms: now_ms + Timing::DEADLINE,
        };
        let mut push = |event| events.push(Happening::of(campaign, ask.box_id, event));
        let Some(place) = place else {
            if postponed {
                return Answer::stay("", now_ms);
            }
            push(Event::Offered { version: listed.version.clone() });
            return answer;
        };
        answer.deadline_ms = (place.offered_ms + Timing::DEADLINE).max(now_ms);
        if now_ms.saturating_sub(place.heard_ms) >= Timing::HEARD {
            push(Event::Heard);
        }
        if place.reached() != Standing::Ready {
            return answer;
        }
        let may = !postponed && site.is_open(now_ms) && self.dares(campaign, ask.box_id, now_ms);
        match place.cleared_ms {
            Some(at) if may && now_ms.saturating_sub(at) < Timing::CLEARED => answer.may_restart = true,
            _ if may && self.is_free(ask.box_id, site, now_ms) => {
                push(Event::Cleared);
                answer.may_restart = true;
            }
            Some(_) => push(Event::Lapsed),
            None => {}
        }
        answer
    }

    /// Whether it is a box's turn at its site: one, or a tenth of its boxes, may be away at a time.
    fn is_free(&self, box_id: &BoxId, site: &impl Site, now_ms: u64) -> bool {
        let others =
            self.moving().iter().filter(|(other, moving)| *other != box_id && moving.is_away(now_ms));
        let away = others.filter(|(other, _)| site.has(other)).count();
        away == 0 || away < site.boxes() / 10
    }

    /// Whether a campaign lets one more box restart: not while so many are overdue after theirs that it would be halted if
    /// they stayed away, and never so many at a time that a night is enough to lose them all.
    fn dares(&self, id: &str, box_id: &BoxId, now_ms: u64) -> bool {
        let Some(campaign) = self.campaigns().get(id) else { return true };
        let others = self.moving().iter().filter(|(other, moving)| *other != box_id && moving.campaign == id);
        let (mut away, mut overdue) = (0, 0);
        for (_, moving) in others.filter(|(_, moving)| moving.is_away(now_ms)) {
            away += 1;
            overdue += u32::from(moving.is_overdue(now_ms));
        }
        let Tally { silent, .. } = campaign.tally;
        let feared = Tally { silent: silent.saturating_add(overdue), ..campaign.tally };
        away < AT_ONCE.max(campaign.tally.decided() / PACE) && feared.too_many().is_none()
    }
}

impl Moving {
    /// Whether it has its turn.
    pub(super) fn is_away(&self, now_ms: u64) -> bool {
        let cleared = self.cleared_ms.is_some_and(|at| now_ms.saturating_sub(at) < Timing::CLEARED);
        cleared || self.restarting_ms.is_some()
    }

    /// Whether it should have been heard of by now.
    fn is_overdue(&self, now_ms: u64) -> bool {
        let overdue = |at| now_ms.saturating_sub(at) >= Timing::OVERDUE;
        !self.is_back && self.restarting_ms.is_some_and(overdue)
    }
}

/// One that was given up as silent is heard of again.
fn returned(campaign: &str, ask: &Ask<'_>, target: &str) -> Vec<Happening> {
    let version = ask.asking.version;
    let events = if version == target {
        vec![Event::Committed { why: "it was heard of late, and runs it".to_owned() }]
    } else {
        let why = format!("it was heard of late, and runs {version}");
        // What it runs is known all the same.
        vec![Event::Failed { why, journal: String::new() }, Event::Back { version: version.to_owned() }]
    };
    events.into_iter().map(|event| Happening::of(campaign, ask.box_id, event)).collect()
}

impl Answer {
    /// What may be told when nobody can write down what would happen by it.
    #[must_use]
    pub fn without(self, events: &[Happening]) -> Self {
        let offered = events.iter().any(|what| matches!(what.event, Event::Offered { .. }));
        let cleared = events.iter().any(|what| matches!(what.event, Event::Cleared));
        Self {
            target: self.target.filter(|_| !offered),
            may_restart: self.may_restart && !offered && !cleared,
            ..self
        }
    }

    fn stay(campaign: &str, now_ms: u64) -> Self {
        Self {
            target: None,
            campaign: campaign.to_owned(),
            may_restart: false,
            deadline_ms: now_ms + Timing::DEADLINE,
        }
    }
}
