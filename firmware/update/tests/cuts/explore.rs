//! Cuts the power at every operation of every life, with everything that can be left on the medium, as often in a row as is asked.
//! What was seen before is not tried again.

use std::collections::{HashMap, HashSet};

use board::env;
use board::mem_disk::{Medium, Moment};
use board::slot::{Reset, SlotName, State};

use super::life::{End, Life, Make, Nature, floor, live};
use super::rig::{ENV, Rig, torn_within};
use super::systems::Version;

/// What is tried.
#[derive(Clone)]
pub(crate) struct Search {
    pub(crate) make: Make,
    /// Cuts in a row.
    pub(crate) cuts: usize,
    /// At one of them both environments are lost besides.
    pub(crate) erase: bool,
    /// The medium tears within a sector, too.
    pub(crate) tears: bool,
    /// So many of the cuts may be the watchdog's: nothing is lost but the boot loader counts.
    pub(crate) crashes: usize,
    /// How often the environment is written does not matter.
    pub(crate) wears: bool,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Searched {
    /// Moments at which the power was cut.
    pub(crate) cuts: usize,
    /// What was left on the medium by them: so many media.
    pub(crate) left: usize,
    /// So many different ones, each of which was lived from.
    pub(crate) media: usize,
    pub(crate) violation: Option<String>,
}

/// Where a life begins.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Point {
    medium: Medium,
    erased: bool,
    crashes: usize,
    reset: Reset,
}

impl Search {
    pub(crate) fn of(make: Make, cuts: usize) -> Self {
        Self { make, cuts, erase: false, tears: false, crashes: 0, wears: false }
    }

    pub(crate) fn run(&self) -> Searched {
        let mut searched = Searched::default();
        let mut known = Known::default();
        let start = Point { medium: self.make.field(), erased: false, crashes: 0, reset: Reset::Normal };
        let mut seen = HashSet::from([start.clone()]);
        let life = |point: &Point, cut: usize, known: &mut Known, searched: &mut Searched| {
            searched.media += 1;
            let life = live(&self.make, &point.medium, point.reset);
            if let Some(words) = known.wrong(self, point, &life, cut == 0) {
                let lost = if point.erased { ", the environment lost" } else { "" };
                let starts = life.starts.iter().map(|(version, state, _)| format!("{version:?} {state:?}"));
                let starts = starts.collect::<Vec<_>>().join(", ");
                searched.violation = Some(format!("after {cut} cuts{lost}: {words} (starts: {starts})"));
            }
            life.moments
        };
        let moments = life(&start, 0, &mut known, &mut searched);
        if searched.violation.is_some() {
            return searched;
        }
        let mut level = vec![(start, moments)];
        for cut in 1..=self.cuts {
            let mut next = Vec::new();
            for (point, moments) in level {
                for moment in &moments {
                    searched.cuts += 1;
                    for after in self.after(&point, moment) {
                        searched.left += 1;
                        if !seen.insert(after.clone()) {
                            continue;
                        }
                        let moments = life(&after, cut, &mut known, &mut searched);
                        if searched.violation.is_some() {
                            return searched;
                        }
                        next.push((after, moments));
                    }
                }
            }
            level = next;
        }
        searched
    }

    /// Everything that a cut at this moment can lead to.
    fn after<'a>(&'a self, point: &'a Point, moment: &'a Moment) -> impl Iterator<Item = Point> + 'a {
        let torn = if self.tears { torn_within(moment) } else { Vec::new() };
        let cut = move |medium: Medium| Point { medium, reset: Reset::Normal, ..point.clone() };
        // Whichever slot ran.
        let crashed = if point.crashes < self.crashes { &SlotName::BOTH[..] } else { &[] };
        let crash = crashed.iter().map(|slot| Point {
            medium: moment.arrived(),
            reset: Reset::Crash(*slot),
            crashes: point.crashes + 1,
            erased: point.erased,
        });
        let survivors = moment.survivors().chain(torn).map(cut);
        survivors.chain(crash).flat_map(move |point| {
            let lost = (self.erase && !point.erased).then(|| {
                let mut medium = point.medium.clone();
                medium.write(ENV.start, &vec![0; (ENV.end - ENV.start) as usize]).unwrap();
                Point { medium, erased: true, ..point.clone() }
            });
            std::iter::once(point).chain(lost)
        })
    }
}

/// Whether the medium says that what was brought is withdrawn, or not yet there, while the old system is good.
fn gone(make: &Make, point: &Point) -> bool {
    let vars = env::load(&Rig::on(point.medium.clone(), &make.weak), &make.map).unwrap().vars;
    let (old, new) = (vars.of(make.running), vars.of(make.running.other()));
    make.withdrawn && old.state == State::Good && new.state == State::Empty
}

/// What was found out about media on which a life rests.
#[derive(Default)]
struct Known(HashMap<Medium, Option<String>>);

impl Known {
    /// What a life breaks of what is promised.
    fn wrong(&mut self, search: &Search, point: &Point, life: &Life, first: bool) -> Option<String> {
        let make = &search.make;
        let before = floor(&Rig::on(point.medium.clone(), &make.weak), make.map.id());
        let others = life.vars.of(make.running.other());
        if before.is_none_or(|before| life.floor < before) {
            return Some(format!("the floor fell from {before:?} to {}", life.floor));
        }
        if life.starts.iter().any(|(.., whole)| !whole) {
            return Some("a system that is not whole was started".into());
        }
        if life.starts.iter().any(|(_, state, _)| *state == State::Failed) {
            return Some("a system was started again after it had failed".into());
        }
        if !point.erased && life.starts.iter().any(|(version, ..)| *version == Version::Ancient) {
            return Some("an older system than the good one was started".into());
        }
        if let Some(why) = &life.refused {
            return Some(format!("an installation did not work: {why}"));
        }
        if !search.wears && first && life.env_writes > 4 && make.nature == Nature::Well {
            return Some(format!("{} writes of the environment for one update", life.env_writes));
        }
        let most = match make.nature {
            Nature::Unwell => 1,
            Nature::Crashes | Nature::Undecided => usize::from(make.table.rounds * make.table.tries.trial),
            Nature::Well | Nature::Late => usize::MAX,
        };
        let on_trial = |(version, state, _): &&(Version, State, bool)| {
            *version == make.brought && *state == State::Trial
        };
        let tried = life.starts.iter().filter(on_trial).count();
        if tried > most {
            return Some(format!("a bad system was tried {tried} times"));
        }
        if gone(make, point) && life.starts.iter().any(|(version, ..)| *version == make.brought) {
            return Some("a system was started after it was withdrawn".into());
        }
        match life.end {
            End::Good(Version::Old) if make.withdrawn && others.state == State::Empty => {}
            End::Good(version) if make.nature.stays() => {
                if version != make.brought {
                    return Some(format!(
                        "the good new version was not kept, {version:?} runs; the other slot: {others:?}"
                    ));
                }
                if life.floor != make.brought.system().header.security {
                    return Some(format!("{version:?} is committed and the floor is {}", life.floor));
                }
            }
            End::Good(Version::Old) if others.state == State::Failed => {}
            // The environment was lost: nobody knows any more what was tried and failed. Whatever runs is signed and whole.
            End::Good(Version::Ancient) | End::Makeshift(..) if point.erased => return None,
            ref end => return Some(format!("it ended as {end:?}; the other slot: {others:?}")),
        }
        let after = || {
            if !search.wears && !live(make, &life.rest, Reset::Normal).moments.is_empty() {
                return Some("a clean start writes".to_owned());
            }
            let next =
                Make { brought: Version::Next, nature: Nature::Well, withdrawn: false, ..make.clone() };
            let end = live(&next, &life.rest, Reset::Normal).end;
            (end != End::Good(Version::Next)).then(|| format!("the next update ended as {end:?}"))
        };
        self.0.entry(life.rest.clone()).or_insert_with(after).clone()
    }
}
