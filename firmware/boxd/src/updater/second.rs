//! A second copy of a system that has run well for seven days: then the other slot holds the same, and a sector that goes bad, or the
//! next update, costs no more than that copy.
//!
//! Running time is counted in the small state, six hours at a time, so that a box that is switched off at night gets there, too.
//! Another system begins anew. A slot whose system waits to be tried, or has failed, is left alone: that a version failed here is
//! known by its being there.

use std::time::Duration;

use board::block::BlockDevice;
use board::slot::State;
use board::slots::Slots;
use board::store::Store;

/// The name of the count in the small state: the first bytes of the root's hash, then how many [`STEP`]s.
const COUNT: &str = "good-time";
/// Bytes that tell one system from the next.
const SYSTEM: usize = 8;
/// So much is counted at a time: each costs a write.
const STEP: Duration = Duration::from_secs(6 * 3600);
/// Seven days.
const ENOUGH: u8 = 28;

/// Counts from the start of its process.
#[derive(Debug, Default)]
pub(super) struct Second {
    /// How much of the running time has been counted.
    counted: Duration,
}

impl Second {
    /// Counts, `ran` being how long the process runs, and makes the copy when it is time. Gives whether it was made now.
    ///
    /// # Errors
    /// When the disk fails, or the running system is not what it was when it was released; then nothing was written.
    pub(super) fn look(
        &mut self,
        slots: &mut Slots<impl BlockDevice>,
        store: &mut Store<impl BlockDevice>,
        ran: Duration,
    ) -> anyhow::Result<bool> {
        let vars = slots.vars()?.vars;
        let Some(header) = slots.header(slots.running())? else { return Ok(false) };
        if vars.of(slots.running()).state != State::Good {
            self.counted = ran;
            return Ok(false);
        }
        let steps = ran.saturating_sub(self.counted).as_secs() / STEP.as_secs();
        let steps = u8::try_from(steps).unwrap_or(ENOUGH).min(ENOUGH);
        let system = header.root.1.get(..SYSTEM).unwrap_or_default();
        let mut total = 0;
        store.revise(COUNT, |kept| {
            let before = kept.and_then(|kept| kept.strip_prefix(system)).and_then(|count| count.first());
            total = before.copied().unwrap_or(0).saturating_add(steps).min(ENOUGH);
            Some([system, &[total]].concat())
        })?;
        self.counted += STEP * u32::from(steps);
        let free = !matches!(vars.of(slots.target()).state, State::Trial | State::Failed);
        Ok(total == ENOUGH && free && slots.mirror()?)
    }
}

#[cfg(test)]
mod tests {
    use board::env;
    use board::header::Header;
    use board::map::{PartitionMap, Region};
    use board::mem_disk::MemDisk;
    use board::slot::{Record, SlotName, Vars};
    use board::slots::Image;
    use ring::digest::{SHA256, digest};

    use super::*;

    const PART: u64 = 64 * 1024;
    const HOUR: Duration = Duration::from_secs(3600);

    fn map() -> PartitionMap {
        let names = ["env1", "env2", "id", "fit_a", "root_a", "fit_b", "root_b", "data"];
        let place =
            |(index, name): (usize, &str)| (name.to_owned(), Region { at: index as u64 * PART, bytes: PART });
        PartitionMap::new(names.into_iter().enumerate().map(place)).unwrap()
    }

    /// A box whose slot A is good and holds a system, and whose slot B is in this state.
    fn slots(version: &str, other: State) -> Slots<MemDisk> {
        let mut disk = MemDisk::new(8 * PART);
        let image = [version.len() as u8; 512];
        let hashed = (512, digest(&SHA256, &image).as_ref().try_into().unwrap());
        let header = Header {
            version: version.to_owned(),
            board: "test".to_owned(),
            security: 1,
            schema: 1,
            fit: hashed,
            root: hashed,
        };
        for kind in Image::BOTH {
            disk.write(kind.region(&map(), SlotName::A).at, &image).unwrap();
        }
        disk.write(map().fit(SlotName::A).at, &header.encode().unwrap()).unwrap();
        let a = Record { state: State::Good, tries: 3, rounds: 0 };
        let b = Record { state: other, tries: 0, rounds: 0 };
        env::save(&mut disk, &map(), &Vars { first: SlotName::A, a, b }).unwrap();
        Slots::new(disk, map(), SlotName::A).unwrap()
    }

    fn store() -> Store<MemDisk> {
        Store::new(MemDisk::new(2 * PART))
    }

    #[test]
    fn the_copy_is_made_once_after_seven_days_in_all_however_often_the_box_was_switched_off() {
        let (mut slots, mut store) = (slots("1", State::Empty), store());
        for day in 0..14 {
            // Twelve hours a day, and a bit that is not counted.
            let mut second = Second::default();
            for hour in 0..=12 {
                let made = second.look(&mut slots, &mut store, HOUR * hour).unwrap();
                assert_eq!(made, (day, hour) == (13, 12), "day {day}, hour {hour}");
            }
        }
        assert_eq!(slots.header(SlotName::B).unwrap(), slots.header(SlotName::A).unwrap());
        assert_eq!(slots.vars().unwrap().vars.b.state, State::Good);
        let writes = slots.disk().operations();
        assert!(!Second::default().look(&mut slots, &mut store, HOUR * 1000).unwrap());
        assert_eq!(slots.disk().operations(), writes);
    }

    #[test]
    fn another_system_begins_anew() {
        let mut store = store();
        assert!(!Second::default().look(&mut slots("1", State::Good), &mut store, HOUR * 167).unwrap());
        let mut second = Second::default();
        assert!(!second.look(&mut slots("two", State::Good), &mut store, HOUR * 6).unwrap());
        assert!(second.look(&mut slots("two", State::Good), &mut store, HOUR * 168).unwrap());
    }

    #[test]
    fn a_system_that_waits_or_has_failed_is_left_where_it_is() {
        for state in [State::Trial, State::Failed] {
            let mut slots = slots("1", state);
            let before = slots.disk().operations();
            assert!(!Second::default().look(&mut slots, &mut store(), HOUR * 1000).unwrap());
            assert_eq!(slots.disk().operations(), before, "{state:?}");
        }
    }
}
