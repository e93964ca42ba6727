//! Cuts the power at every operation of every life, with everything that can be left on the medium, as often in a row as is asked.
//! Media that were seen before are not tried again.

use std::collections::{HashMap, HashSet};

use board::mem_disk::Medium;
use board::slot::State;

use super::life::{End, Life, Make, Nature, Version, floor, live};
use super::rig::{ENV, torn_within};

/// What is tried.
pub(crate) struct Search {
    pub(crate) make: Make,
    /// Cuts in a row.
    pub(crate) cuts: usize,
    /// At one of them both environments are lost besides.
    pub(crate) erase: bool,
    /// The medium tears within a sector, too.
    pub(crate) tears: bool,
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

impl Search {
    pub(crate) fn of(make: Make, cuts: usize) -> Self {
        Self { make, cuts, erase: false, tears: false }
    }

    pub(crate) fn run(&self) -> Searched {
        let mut searched = Searched::default();
        let mut known = Known::default();
        let start = self.make.field();
        let mut seen = HashSet::from([(start.clone(), false)]);
        let mut level = vec![(start, false)];
        for cut in 0..=self.cuts {
            let mut next = Vec::new();
            for (medium, erased) in level {
                searched.media += 1;
                let life = live(&self.make, &medium);
                let first = cut == 0;
                if let Some(words) = known.wrong(&self.make, &medium, &life, erased, first) {
                    let lost = if erased { ", the environment lost" } else { "" };
                    searched.violation =
                        Some(format!("after {cut} cuts{lost}: {words}; starts: {:?}", life.starts));
                    return searched;
                }
                if cut == self.cuts {
                    continue;
                }
                for moment in &life.moments {
                    searched.cuts += 1;
                    let torn = if self.tears { torn_within(moment) } else { Vec::new() };
                    for survivor in moment.survivors().chain(torn) {
                        searched.left += 1;
                        if self.erase && !erased {
                            let mut lost = survivor.clone();
                            lost.write(ENV.start, &vec![0; (ENV.end - ENV.start) as usize]).unwrap();
                            if seen.insert((lost.clone(), true)) {
                                next.push((lost, true));
                            }
                        }
                        if seen.insert((survivor.clone(), erased)) {
                            next.push((survivor, erased));
                        }
                    }
                }
            }
            level = next;
        }
        searched
    }
}

/// What was found out about media on which a life rests.
#[derive(Default)]
struct Known(HashMap<Medium, Option<String>>);

impl Known {
    /// What a life breaks of what is promised.
    fn wrong(
        &mut self,
        make: &Make,
        medium: &Medium,
        life: &Life,
        erased: bool,
        first: bool,
    ) -> Option<String> {
        let before = floor(&super::rig::Rig::on(medium.clone(), &make.weak), make.map.id());
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
        if !erased && life.starts.iter().any(|(version, ..)| *version == Version::Ancient) {
            return Some("an older system than the good one was started".into());
        }
        if let Some(why) = &life.refused {
            return Some(format!("an installation did not work: {why}"));
        }
        if first && life.env_writes > 4 && make.nature == Nature::Well {
            return Some(format!("{} writes of the environment for one update", life.env_writes));
        }
        let tried = life
            .starts
            .iter()
            .filter(|(version, state, _)| *version == make.brought && *state == State::Trial);
        let most = match make.nature {
            Nature::Unwell => 1,
            Nature::Crashes | Nature::Undecided => usize::from(make.table.rounds * make.table.tries.trial),
            Nature::Well | Nature::Late => usize::MAX,
        };
        let tried = tried.count();
        if tried > most {
            return Some(format!("a bad system was tried {tried} times"));
        }
        match life.end {
            End::Good(version) if make.nature.stays() => {
                if version != make.brought {
                    return Some(format!(
                        "the good new version was not kept: {version:?} runs, {others:?} is said of the other slot"
                    ));
                }
                if life.floor != make.brought.system().header.security {
                    return Some(format!("{version:?} is committed and the floor is {}", life.floor));
                }
            }
            End::Good(Version::Old) if others.state == State::Failed => {}
            // The environment was lost: nobody knows any more what was tried and failed. Whatever runs is signed and whole.
            End::Good(Version::Ancient) | End::Makeshift(..) if erased => return None,
            ref end => return Some(format!("it ended as {end:?}, {others:?} is said of the other slot")),
        }
        let after = || {
            if !live(make, &life.rest).moments.is_empty() {
                return Some("a clean start writes".to_owned());
            }
            let next = Make { brought: Version::Next, nature: Nature::Well, ..make.clone() };
            let end = live(&next, &life.rest).end;
            (end != End::Good(Version::Next)).then(|| format!("the next update ended as {end:?}"))
        };
        self.0.entry(life.rest.clone()).or_insert_with(after).clone()
    }
}
