//! Ten thousand boxes, one release, and chance: each seed is another fleet and another run of luck. Boxes ask each hour, fetch,
//! wait for their site's turn and window, stay while somebody watches, restart, and then keep the release, fall back from it, or
//! are never heard of again. Answers are lost, and a person stops everything for some hours.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use model::BoxId;
use model::update::{Phase, Report};

use super::sample::box_id;
use super::{Ask, Command, Draft, Event, Happening, Recorded, Run, Site, Stage, Standing, State, Steer};
use crate::updates::{Asking, Listed};

const BOXES: u32 = 10_000;
const CAMPAIGN: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaa";
const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
/// 22 November 2026, milliseconds since 1970.
const BEGIN: u64 = 1_795_305_600_000;

/// The share of permissions that a box does not use: somebody watches.
const WATCHED: f64 = 0.2;
/// The share of answers that never arrive when a box says that it restarts.
const LOST: f64 = 0.03;

/// Chance that a seed decides (xorshift64*, G. Marsaglia).
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % end
    }

    fn is(&mut self, share: f64) -> bool {
        (self.below(1 << 53) as f64) < share * 2f64.powi(53)
    }
}

/// What the release does to boxes, shares of all.
#[derive(Debug, Clone, Copy)]
struct Release {
    bricks: f64,
    falls_back: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Keeps,
    FallsBack,
    Bricks,
}

#[derive(Debug, Clone)]
struct Unit {
    id: BoxId,
    site: usize,
    fate: Fate,
    bucket: f64,
    begun: bool,
    told: bool,
    runs: &'static str,
    restarts: u32,
    /// It has said that it restarts, has not heard that this was taken, and could not say so yet.
    lost: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Act {
    Ask,
    Tell(u8),
    Tick,
    Steer(bool),
}

const PHASES: [Phase; 5] =
    [Phase::Fetching, Phase::Ready, Phase::Restarting, Phase::Committed, Phase::Failed];

struct Places {
    of: HashMap<BoxId, usize>,
    sizes: Vec<usize>,
}

/// A site as the fleet asks for it: nights only for two of three.
struct Here<'a>(&'a Places, usize);

impl Site for Here<'_> {
    fn has(&self, other: &BoxId) -> bool {
        self.0.of.get(other) == Some(&self.1)
    }

    fn boxes(&self) -> usize {
        self.0.sizes[self.1]
    }

    fn is_open(&self, now_ms: u64) -> bool {
        self.1.is_multiple_of(3) || (2 * HOUR..5 * HOUR).contains(&(now_ms % (24 * HOUR)))
    }
}

struct World {
    chance: Chance,
    now: u64,
    state: State,
    log: Vec<Recorded>,
    boxes: Vec<Unit>,
    places: Places,
    listed: Vec<Listed>,
    due: BinaryHeap<Reverse<(u64, Act, u32)>>,
    /// Most boxes of one site that were away at a time, beyond its limit.
    crowded: usize,
    /// Whether a person stops each ring for some hours.
    pauses: bool,
}

impl World {
    fn new(seed: u64, release: Release) -> Self {
        let mut chance = Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let mut places = Places { of: HashMap::new(), sizes: vec![0; 3000] };
        let mut boxes = Vec::new();
        for number in 0..BOXES {
            let id = box_id(number);
            // A few sites have many boxes.
            let site = if chance.is(0.1) { chance.below(20) } else { chance.below(3000) } as usize;
            places.of.insert(id.clone(), site);
            places.sizes[site] += 1;
            let fate = match chance.is(release.bricks) {
                true => Fate::Bricks,
                false if chance.is(release.falls_back) => Fate::FallsBack,
                false => Fate::Keeps,
            };
            let bucket = super::bucket(CAMPAIGN, &id);
            let (begun, told, lost) = (false, false, false);
            boxes.push(Unit { id, site, fate, bucket, begun, told, runs: "1.0", restarts: 0, lost });
        }
        let listed = |version: &str, since| Listed {
            name: format!("b/{version}.json"),
            board: "b".to_owned(),
            version: version.to_owned(),
            security: 1,
            since,
        };
        let mut world = Self {
            chance,
            now: BEGIN,
            state: State::default(),
            log: Vec::new(),
            boxes,
            places,
            listed: vec![listed("1.0", 1), listed("1.1", 2)],
            due: BinaryHeap::new(),
            crowded: 0,
            pauses: false,
        };
        let canaries: Vec<BoxId> = (0..10).map(|turn| world.boxes[turn * 17].id.clone()).collect();
        let draft = Draft {
            name: "1.1".to_owned(),
            version: "1.1".to_owned(),
            boards: Vec::new(),
            canaries,
            bake_s: 24 * 3600,
            note: String::new(),
            who: String::new(),
        };
        let campaign = CAMPAIGN.to_owned();
        world.command(Command::Draft { campaign: campaign.clone(), draft });
        world.command(Command::Steer { campaign, how: Steer::Start, reason: String::new() });
        world.due.push(Reverse((world.now, Act::Tick, 0)));
        world
    }

    fn command(&mut self, command: Command) {
        let events = self.state.command(command, "operator", self.now).unwrap();
        self.happen(events);
    }

    fn happen(&mut self, events: Vec<Happening>) {
        for what in events {
            let opens =
                matches!(what.event, Event::Started { .. } | Event::Opened { .. } | Event::Resumed { .. });
            let recorded = Recorded { id: self.state.newest() + 1, at_ms: self.now, what };
            self.state.apply(&recorded);
            self.log.push(recorded);
            let pauses =
                self.pauses && matches!(self.log[self.log.len() - 1].what.event, Event::Opened { .. });
            if opens {
                self.wake();
            }
            if pauses {
                let pause = self.now + 2 * HOUR + self.chance.below(3 * HOUR);
                let resume = pause + 3 * HOUR + self.chance.below(3 * HOUR);
                self.due.extend(
                    [(pause, true), (resume, false)].map(|(at, on)| Reverse((at, Act::Steer(on), 0))),
                );
            }
        }
    }

    /// The boxes of the ring ask within the hour; what the others ask changes nothing.
    fn wake(&mut self) {
        let campaign = &self.state.campaigns()[CAMPAIGN];
        let share = match campaign.stage {
            Stage::Canary => 0.0,
            Stage::One => 0.01,
            Stage::Five => 0.05,
            Stage::Quarter => 0.25,
            Stage::All => 1.1,
        };
        for number in 0..BOXES {
            let unit = &mut self.boxes[number as usize];
            if !unit.begun && (unit.bucket < share || campaign.canaries().contains(&unit.id)) {
                unit.begun = true;
                let at = self.now + self.chance.below(HOUR);
                self.due.push(Reverse((at, Act::Ask, number)));
            }
        }
    }

    fn ask(&mut self, number: u32) {
        let unit = self.boxes[number as usize].clone();
        let asking = Asking { board: "b", version: unit.runs, security: 1 };
        let ask = Ask { box_id: &unit.id, asking, listed: &self.listed, everyone: false };
        let site = Here(&self.places, unit.site);
        let decision = self.state.decide(&ask, &site, self.now);
        self.happen(decision.events);
        let later = |world: &mut Self, ms, act| world.due.push(Reverse((world.now + ms, act, number)));
        if unit.runs == "1.1" {
            return;
        }
        if decision.answer.target.is_none() {
            if self.state.campaigns()[CAMPAIGN].run != Run::Halted {
                let wait = HOUR + self.chance.below(10 * MINUTE);
                later(self, wait, Act::Ask);
            }
            return;
        }
        if unit.lost {
            self.boxes[number as usize].lost = false;
            self.tell(number, Phase::Ready);
        }
        if !unit.told {
            self.boxes[number as usize].told = true;
            let fetched = 5 * MINUTE + self.chance.below(HOUR);
            later(self, MINUTE, Act::Tell(0));
            later(self, fetched, Act::Tell(1));
            later(self, fetched + MINUTE, Act::Ask);
        } else if decision.answer.may_restart && self.chance.is(WATCHED) {
            later(self, HOUR, Act::Ask);
        } else if decision.answer.may_restart && self.chance.is(LOST) {
            self.tell(number, Phase::Restarting);
            self.boxes[number as usize].lost = true;
            later(self, 2 * MINUTE, Act::Ask);
        } else if decision.answer.may_restart {
            self.restart(number);
        } else {
            let wait = 15 * MINUTE + self.chance.below(10 * MINUTE);
            later(self, wait, Act::Ask);
        }
    }

    fn restart(&mut self, number: u32) {
        self.tell(number, Phase::Restarting);
        let unit = &mut self.boxes[number as usize];
        unit.restarts += 1;
        let (site, fate) = (unit.site, unit.fate);
        let moving = self.state.moving().iter();
        let here =
            moving.filter(|(id, moving)| self.places.of.get(*id) == Some(&site) && moving.is_away(self.now));
        let away = here.count();
        self.crowded = self.crowded.max(away.saturating_sub((self.places.sizes[site] / 10).max(1)));
        let later: &[(u64, Act)] = match fate {
            Fate::Keeps => &[(2 * MINUTE, Act::Ask), (8 * MINUTE, Act::Tell(3))],
            Fate::FallsBack => &[(12 * MINUTE, Act::Tell(4)), (14 * MINUTE, Act::Ask)],
            Fate::Bricks => &[],
        };
        if fate == Fate::Keeps {
            self.boxes[number as usize].runs = "1.1";
        }
        self.due.extend(later.iter().map(|(ms, act)| Reverse((self.now + ms, *act, number))));
    }

    fn tell(&mut self, number: u32, phase: Phase) {
        let unit = &self.boxes[number as usize];
        let report = Report {
            box_id: unit.id.clone(),
            identity: String::new(),
            campaign: CAMPAIGN.to_owned(),
            version: "1.1".to_owned(),
            running: unit.runs.to_owned(),
            phase,
            why: "no tunnel".to_owned(),
            journal: String::new(),
            at_ms: self.now,
            signature: String::new(),
        };
        let events = self.state.told(&report, self.now);
        self.happen(events);
    }

    /// Runs until the campaign has ended or stopped, or for so many days.
    fn run(&mut self, days: u64) {
        while let Some(Reverse((at, act, number))) = self.due.pop() {
            self.now = at;
            match act {
                Act::Ask => self.ask(number),
                Act::Tell(phase) => self.tell(number, PHASES[usize::from(phase)]),
                Act::Steer(pause) => {
                    let how = if pause { Steer::Pause } else { Steer::Resume };
                    let (campaign, reason) = (CAMPAIGN.to_owned(), "a holiday".to_owned());
                    // The machine may have been faster.
                    let steer = Command::Steer { campaign, how, reason };
                    let events = self.state.command(steer, "operator", self.now).unwrap_or_default();
                    self.happen(events);
                }
                Act::Tick => {
                    let events = self.state.tick(self.now, |_| true);
                    self.happen(events);
                    self.due.push(Reverse((self.now + 5 * MINUTE, Act::Tick, 0)));
                }
            }
            let run = self.state.campaigns()[CAMPAIGN].run;
            if matches!(run, Run::Done | Run::Halted) || self.now > BEGIN + days * 24 * HOUR {
                break;
            }
        }
    }

    /// The share of the fleet that has ever started the release.
    fn share(&self) -> f64 {
        self.boxes.iter().filter(|unit| unit.restarts > 0).count() as f64 / f64::from(BOXES)
    }

    /// How many boxes would keep the release, could say all that they had to, and count as failed all the same.
    fn wronged(&self) -> usize {
        let places = self.state.campaigns()[CAMPAIGN].places();
        let failed = |unit: &&Unit| {
            places
                .get(&unit.id)
                .is_some_and(|place| matches!(place.standing(), Standing::Failed | Standing::Silent))
        };
        let good = self.boxes.iter().filter(|unit| unit.fate == Fate::Keeps && !unit.lost);
        good.filter(failed).count()
    }

    fn replayed(&self) -> State {
        let mut state = State::default();
        for recorded in &self.log {
            state.apply(recorded);
        }
        state
    }
}

/// How many seeds; the long run takes more.
fn seeds(usual: u64) -> std::ops::Range<u64> {
    let most = std::env::var("FLEET_SEEDS").ok().and_then(|text| text.parse().ok());
    1..most.unwrap_or(usual) + 1
}

#[test]
fn a_release_that_bricks_three_in_a_hundred_is_halted_before_five_in_a_hundred_have_it() {
    let mut shares = Vec::new();
    for seed in seeds(100) {
        let mut world = World::new(seed, Release { bricks: 0.03, falls_back: 0.003 });
        world.run(30);
        let campaign = &world.state.campaigns()[CAMPAIGN];
        assert_eq!(campaign.run, Run::Halted, "seed {seed}");
        assert!(!campaign.reason.is_empty());
        assert!(world.share() < 0.05, "seed {seed}: {:.2} % have it", 100.0 * world.share());
        assert_eq!(world.crowded, 0, "seed {seed}: a site has lost too many at a time");
        assert_eq!(world.wronged(), 0, "seed {seed}: good boxes count as failed");
        assert_eq!(world.replayed(), world.state, "seed {seed}");
        shares.push(100.0 * world.share());
    }
    shares.sort_by(f64::total_cmp);
    let all: Vec<String> = shares.iter().map(|share| format!("{share:.2}")).collect();
    println!("halted when so many per cent of 10,000 boxes had started it: {}", all.join(" "));
}

#[test]
fn a_clean_release_reaches_everybody_and_so_does_one_with_ordinary_failures() {
    let mut stopped = 0;
    let kinds = [Release { bricks: 0.0, falls_back: 0.0 }, Release { bricks: 0.0003, falls_back: 0.0027 }];
    let seeds = seeds(1);
    let tries = seeds.end - seeds.start;
    for (seed, release) in seeds.flat_map(|seed| kinds.map(|release| (seed, release))) {
        let mut world = World::new(seed, release);
        // Each pause begins a new count, and in a small one ordinary failures may be too many.
        world.pauses = release.falls_back <= 0.0;
        world.run(30);
        if world.state.campaigns()[CAMPAIGN].run == Run::Halted && release.falls_back > 0.0 {
            // Luck that bad is rare, and then a person looks at it.
            stopped += 1;
            let (campaign, reason) = (CAMPAIGN.to_owned(), "two power cuts".to_owned());
            world.command(Command::Steer { campaign, how: Steer::Resume, reason });
            world.run(30);
        }
        let campaign = &world.state.campaigns()[CAMPAIGN];
        assert_eq!(
            (campaign.run, campaign.stage),
            (Run::Done, Stage::All),
            "seed {seed}: {}",
            campaign.reason
        );
        let expected = 1.0 - release.bricks - release.falls_back;
        let runs = world.boxes.iter().filter(|unit| unit.runs == "1.1").count() as f64 / f64::from(BOXES);
        // Done is said when nine of ten have decided; the others follow.
        assert!(runs > 0.9 * expected, "seed {seed}: {runs}");
        assert!(world.boxes.iter().all(|unit| unit.restarts <= 1), "seed {seed}: none is updated twice");
        assert_eq!(world.crowded, 0, "seed {seed}: a site has lost too many at a time");
        assert_eq!(world.wronged(), 0, "seed {seed}: good boxes count as failed");
        assert_eq!(world.replayed(), world.state, "seed {seed}");
        let days = (world.now - BEGIN) as f64 / (24.0 * HOUR as f64);
        println!("seed {seed}: {:.1} % run it after {days:.1} days", 100.0 * runs);
    }
    assert!(stopped * 10 <= tries, "{stopped} of {tries} were stopped by chance");
}
