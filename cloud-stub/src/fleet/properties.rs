//! What holds whatever happens, in whatever order, and however often it is told.

use std::collections::BTreeMap;

use model::BoxId;
use model::update::{Phase, Report};
use proptest::prelude::*;

use super::sample::box_id;
use super::{Ask, Command, Draft, Event, Happening, PIN, Recorded, Run, Site, Stage, Standing, State, Steer};
use crate::updates::{Asking, Listed};

pub(super) const CAMPAIGNS: [&str; 2] = ["aaaaaaaaaaaaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbbbbbbbbbbbb"];
const VERSIONS: [&str; 3] = ["1.0", "1.1", "1.2"];
const BOXES: u32 = 4;
const MINUTE: u64 = 60_000;

/// All boxes stand at one site.
struct Together;

impl Site for Together {
    fn has(&self, _: &BoxId) -> bool {
        true
    }

    fn boxes(&self) -> usize {
        BOXES as usize
    }

    fn is_open(&self, _: u64) -> bool {
        true
    }
}

fn listed() -> Vec<Listed> {
    let row = |(since, version): (u64, &str)| Listed {
        name: format!("b/{version}.json"),
        board: "b".to_owned(),
        version: version.to_owned(),
        security: since as u32,
        since,
    };
    (1..).zip(VERSIONS).map(row).collect()
}

pub(super) fn draft(version: &str, canaries: u32, bake_s: u64) -> Draft {
    Draft {
        name: "x".to_owned(),
        version: version.to_owned(),
        boards: Vec::new(),
        canaries: (0..canaries).map(box_id).collect(),
        bake_s,
        note: String::new(),
        who: String::new(),
    }
}

fn stage() -> impl Strategy<Value = Stage> {
    prop::sample::select(Stage::ORDER.to_vec())
}

fn event() -> impl Strategy<Value = Event> {
    let (who, why) = (String::new(), "x".to_owned());
    let version = || prop::sample::select(VERSIONS.to_vec()).prop_map(str::to_owned);
    prop_oneof![
        1 => (version(), 0..3_u32).prop_map(|(version, canaries)| Event::Drafted(draft(&version, canaries, 60))),
        1 => stage().prop_map(|stage| Event::Opened { stage }),
        1 => stage().prop_map(|stage| Event::Advanced { stage, who: String::new(), why: String::new() }),
        4 => version().prop_map(|version| Event::Offered { version }),
        1 => version().prop_map(|version| Event::Back { version }),
        1 => version().prop_map(|version| Event::Met { board: "b".to_owned(), version }),
        1 => prop::option::of(version()).prop_map(|version| Event::Pinned { version, who: String::new() }),
        16 => prop::sample::select(vec![
            Event::Started { who: who.clone(), why: why.clone() },
            Event::Paused { who: who.clone(), why: why.clone() },
            Event::Resumed { who: who.clone(), why: why.clone() },
            Event::Withdrawn { who: who.clone(), why: why.clone() },
            Event::Held { why: Some(why.clone()), who: who.clone() },
            Event::Postponed { until_ms: 5, who },
            Event::Done,
            Event::Halted { why: why.clone() },
            Event::Heard,
            Event::Cleared,
            Event::Lapsed,
            Event::Fetching,
            Event::Stuck { why: why.clone() },
            Event::Ready,
            Event::Restarting,
            Event::Stayed,
            Event::Committed { why: why.clone() },
            Event::Failed { why, journal: String::new() },
            Event::Silent,
            Event::Unknown,
        ]),
    ]
}

pub(super) fn happening() -> impl Strategy<Value = Happening> {
    let rare = prop::sample::select(vec![PIN, "", "no such"]);
    let campaign = prop_oneof![4 => prop::sample::select(CAMPAIGNS.to_vec()), 1 => rare];
    (campaign, prop::option::of(0..BOXES), event()).prop_map(|(campaign, number, event)| Happening {
        campaign: campaign.to_owned(),
        box_id: number.map(box_id),
        event,
    })
}

/// How far all boxes are, and all campaigns.
fn reached(state: &State) -> (BTreeMap<(String, BoxId), Standing>, BTreeMap<String, Stage>) {
    let campaigns = state.campaigns().iter();
    let boxes = campaigns.clone().flat_map(|(id, campaign)| {
        let places = campaign.places().iter();
        places.map(|(box_id, place)| ((id.clone(), box_id.clone()), place.reached()))
    });
    (boxes.collect(), campaigns.map(|(id, campaign)| (id.clone(), campaign.stage)).collect())
}

/// Whether a box only moves on, or has not restarted after all.
fn goes_on(before: Standing, after: Standing) -> bool {
    after >= before || (before, after) == (Standing::Restarting, Standing::Ready)
}

/// What must hold for every fold.
fn is_sound(state: &State) {
    for (id, campaign) in state.campaigns() {
        let decided = campaign.places().values().filter(|place| place.reached().is_decided()).count();
        assert!(campaign.tally.decided() as usize <= decided, "{id}: a box counts twice");
        assert!(campaign.begun > 0 || matches!(campaign.run, Run::Draft | Run::Withdrawn), "{id}");
    }
    for (box_id, moving) in state.moving() {
        let place = state.place(&moving.campaign, box_id).unwrap();
        assert!(!place.reached().is_decided(), "{box_id} has its turn for ever");
    }
}

proptest! {
    #[test]
    fn events_in_any_order_never_take_anything_back(
        events in prop::collection::vec((happening(), 1..3_u64, 0..3_u64), 1..60),
    ) {
        let (mut state, mut id, mut now, mut log) = (State::default(), 0, 0, Vec::new());
        for campaign in CAMPAIGNS {
            id += 1;
            let what = Happening::of_campaign(campaign, Event::Drafted(draft("1.1", 2, 60)));
            log.push(Recorded { id, at_ms: now, what });
            state.apply(&log[log.len() - 1]);
        }
        for (what, step, minutes) in events {
            // A step of one is the next event; others leave a gap, as a damaged table would.
            id += step;
            now += minutes * MINUTE;
            let before = reached(&state);
            let recorded = Recorded { id, at_ms: now, what };
            state.apply(&recorded);
            log.push(recorded.clone());
            let once = state.clone();
            state.apply(&recorded);
            prop_assert_eq!(&state, &once, "an event is taken once");
            for old in &log {
                state.apply(old);
            }
            prop_assert_eq!(&state, &once, "nor are older ones taken again");
            let after = reached(&state);
            prop_assert!(before.0.iter().all(|(key, standing)| goes_on(*standing, after.0[key])));
            prop_assert!(before.1.iter().all(|(key, stage)| after.1[key] >= *stage));
            is_sound(&state);
        }
        let mut replayed = State::default();
        for recorded in &log {
            replayed.apply(recorded);
        }
        prop_assert_eq!(replayed, state);
    }
}

/// What somebody does.
#[derive(Debug, Clone)]
enum Deed {
    Ask { number: u32, version: usize, security: u32, everyone: bool },
    Tell { number: u32, campaign: usize, version: usize, phase: Phase },
    Command(Command),
    Wait,
}

fn deed() -> impl Strategy<Value = Deed> {
    let phases = [Phase::Fetching, Phase::Ready, Phase::Restarting, Phase::Committed, Phase::Failed];
    let steers = [Steer::Start, Steer::Pause, Steer::Resume, Steer::Advance, Steer::Withdraw];
    let campaign = || prop::sample::select(CAMPAIGNS.to_vec()).prop_map(str::to_owned);
    let version = || prop::option::of(prop::sample::select(VERSIONS.to_vec()).prop_map(str::to_owned));
    let steer = (campaign(), prop::sample::select(steers.to_vec()))
        .prop_map(|(campaign, how)| Command::Steer { campaign, how, reason: "x".to_owned() });
    let write =
        (campaign(), 1..3_usize, 0..3_u32, 0..100_u64).prop_map(|(campaign, version, canaries, bake)| {
            Command::Draft { campaign, draft: draft(VERSIONS[version], canaries, bake) }
        });
    let pin =
        (0..BOXES, version()).prop_map(|(number, version)| Command::Pin { box_id: box_id(number), version });
    let hold = (0..BOXES, any::<bool>()).prop_map(|(number, on)| Command::Hold {
        box_id: box_id(number),
        reason: on.then(|| "x".to_owned()),
    });
    prop_oneof![
        6 => (0..BOXES, 0..3_usize, 0..4_u32, any::<bool>()).prop_map(|(number, version, security, everyone)| {
            Deed::Ask { number, version, security, everyone }
        }),
        6 => (0..BOXES, 0..3_usize, 0..3_usize, prop::sample::select(phases.to_vec())).prop_map(
            |(number, campaign, version, phase)| Deed::Tell { number, campaign, version, phase }
        ),
        3 => steer.prop_map(Deed::Command),
        2 => write.prop_map(Deed::Command),
        1 => pin.prop_map(Deed::Command),
        1 => hold.prop_map(Deed::Command),
        3 => Just(Deed::Wait),
    ]
}

fn happen(state: &mut State, events: Vec<Happening>, now: u64) {
    for what in events {
        let before = reached(state);
        state.apply(&Recorded { id: state.newest() + 1, at_ms: now, what });
        let after = reached(state);
        assert!(before.0.iter().all(|(key, standing)| goes_on(*standing, after.0[key])));
        is_sound(state);
    }
}

proptest! {
    #[test]
    fn whatever_boxes_and_people_do_nothing_is_decided_twice_and_nothing_forbidden_offered(
        deeds in prop::collection::vec((deed(), 0..200_u64), 1..80),
    ) {
        let listed = listed();
        let (mut state, mut now) = (State::default(), 1_800_000_000_000);
        for (deed, minutes) in deeds {
            now += minutes * MINUTE;
            match deed {
                Deed::Ask { number, version, security, everyone } => {
                    let id = box_id(number);
                    let asking = Asking { board: "b", version: VERSIONS[version], security };
                    let ask = Ask { box_id: &id, asking, listed: &listed, everyone };
                    let first = state.decide(&ask, &Together, now);
                    happen(&mut state, first.events, now);
                    let again = state.decide(&ask, &Together, now);
                    prop_assert_eq!(&again.events, &[], "what is decided is decided");
                    let same = (&again.answer.target, again.answer.may_restart);
                    prop_assert_eq!(same, (&first.answer.target, first.answer.may_restart));
                    let answer = first.answer;
                    prop_assert!(answer.target.is_some() || !answer.may_restart);
                    prop_assert!(answer.deadline_ms >= now);
                    if let Some(target) = &answer.target {
                        let row = listed.iter().find(|row| row.name == *target).unwrap();
                        prop_assert!(row.security >= security, "below the floor");
                        prop_assert!(state.known(&id).is_none_or(|known| known.hold.is_none()), "held");
                        let run = state.campaigns().get(&answer.campaign).map(|campaign| campaign.run);
                        prop_assert!(run.is_none_or(Run::offers), "{run:?}");
                    }
                    let away = state.moving().values().filter(|moving| moving.restarting_ms.is_some());
                    prop_assert!(!answer.may_restart || answer.campaign == super::ALL || away.count() == 0);
                }
                Deed::Tell { number, campaign, version, phase } => {
                    let report = Report {
                        box_id: box_id(number),
                        identity: String::new(),
                        campaign: [CAMPAIGNS[0], CAMPAIGNS[1], PIN][campaign].to_owned(),
                        version: VERSIONS[version].to_owned(),
                        running: VERSIONS[0].to_owned(),
                        phase,
                        why: "é".repeat(400),
                        journal: String::new(),
                        at_ms: 0,
                        signature: String::new(),
                    };
                    let events = state.told(&report, now);
                    happen(&mut state, events, now);
                    prop_assert_eq!(state.told(&report, now), vec![], "a report is taken once");
                }
                Deed::Command(command) => {
                    if let Ok(events) = state.command(command, "o", now) {
                        happen(&mut state, events, now);
                    }
                }
                Deed::Wait => {
                    let events = state.tick(now, |_| true);
                    happen(&mut state, events, now);
                }
            }
        }
    }
}
