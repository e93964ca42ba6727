//! Media that fail or lie, a full data partition, a lost environment with three power cycles: what the table of faults says of them.

use board::block::{BlockDevice as _, DiskError, SECTOR};
use board::mem_disk::{Fault, Medium, Moment};
use board::slot::{Reset, SlotName, State};
use board::slots::Image;

use super::life::{End, Life, Make, Nature, live};
use super::rig::{BYTES, ENV, Rig, Weak};
use super::systems::Version;

/// An update on a disk with these faults.
fn with(faults: &[Fault]) -> Life {
    let weak = Weak { faults: faults.to_vec(), ..Weak::default() };
    let make = Make { weak, ..Make::real(Nature::Well) };
    live(&make, &make.field(), Reset::Normal)
}

/// The same box once its disk is well again.
fn healed(life: &Life) -> Life {
    live(&Make::real(Nature::Well), &life.rest, Reset::Normal)
}

fn only_whole(life: &Life) -> bool {
    life.starts.iter().all(|(.., whole)| *whole)
}

/// The slot that is written to.
fn target(image: Image) -> std::ops::Range<u64> {
    let make = Make::real(Nature::Well);
    let region = image.region(&make.map, make.running.other());
    region.at..region.at + SECTOR
}

#[test]
fn no_write_error_stops_more_than_the_update_that_met_it() {
    let mut stopped = 0;
    for nth in 1..=12 {
        let life = with(&[Fault::WriteFails(nth)]);
        assert!(only_whole(&life), "{nth}");
        assert!(matches!(life.end, End::Good(Version::Old | Version::New)), "{nth}: {:?}", life.end);
        stopped += usize::from(life.end == End::Good(Version::Old));
        assert_eq!(life.end == End::Good(Version::Old), life.refused.is_some(), "{nth}");
        assert_eq!(healed(&life).end, End::Good(Version::New), "{nth}");
    }
    assert!(stopped >= 6, "{stopped} of the writes belong to the installation");
}

#[test]
fn what_the_target_loses_alters_or_refuses_is_never_started() {
    for image in Image::BOTH {
        let place = target(image);
        let faults: [Fault; 4] = [
            Fault::Forgotten(place.clone()),
            Fault::Flipped(place.clone()),
            Fault::Unwritable(place.clone()),
            Fault::Unreadable(place.clone()),
        ];
        for fault in faults {
            let life = with(std::slice::from_ref(&fault));
            assert_eq!(life.end, End::Good(Version::Old), "{fault:?}");
            assert!(life.refused.is_some(), "nobody was told of {fault:?}");
            assert!(
                life.starts.iter().all(|(version, ..)| *version == Version::Old),
                "{fault:?}: {:?}",
                life.starts
            );
            assert_eq!(healed(&life).end, End::Good(Version::New), "{fault:?}");
        }
    }
}

#[test]
fn what_rots_after_it_was_read_back_makes_the_old_version_run_and_is_given_up() {
    let make = Make::real(Nature::Undecided);
    // Installed, not yet started: the moment in which the boot loader first counts a start.
    let installed = live(&make, &make.field(), Reset::Normal);
    for image in Image::BOTH {
        let rotten = installed.moments.iter().map(Moment::arrived).find_map(|medium| {
            let vars = board::env::load(&Rig::on(medium.clone(), &make.weak), &make.map).unwrap().vars;
            (vars.a.state == State::Trial).then(|| flipped(&medium, target(image).start))
        });
        let life = live(&Make::real(Nature::Well), &rotten.unwrap(), Reset::Normal);
        assert_eq!(life.end, End::Good(Version::Old), "{image:?}");
        assert_eq!(life.vars.a.state, State::Failed, "{image:?}");
        let whole =
            life.starts.iter().filter(|(version, ..)| *version == Version::New).all(|(.., whole)| !whole);
        assert!(whole, "{:?}", life.starts);
    }
}

fn flipped(medium: &Medium, at: u64) -> Medium {
    let mut sector = [0; SECTOR as usize];
    medium.read(at, &mut sector).unwrap();
    sector[100] ^= 1;
    let mut medium = medium.clone();
    medium.write(at, &sector).unwrap();
    medium
}

#[test]
fn a_bad_block_in_the_running_system_starts_the_other_slot() {
    let make = Make::real(Nature::Well);
    for image in Image::BOTH {
        let place = image.region(&make.map, make.running).at;
        for fault in [Fault::Unreadable(place..place + 1), Fault::Flipped(place..place + 1)] {
            let life = with(std::slice::from_ref(&fault));
            assert_eq!(life.end, End::Good(Version::Ancient), "{fault:?}: {:?}", life.starts);
            // The slot with the bad block is the one that an update would go to; it is told, not started.
            assert!(life.refused.is_some(), "{fault:?}");
        }
    }
}

#[test]
fn an_update_needs_no_room_in_the_data_partition_and_writes_nowhere_else_either() {
    let make = Make::real(Nature::Well);
    let map = &make.map;
    let elsewhere = [map.data().at..BYTES, map.fit(make.running).at..map.root(make.running).end()];
    let full = elsewhere.map(Fault::Unwritable);
    let life = with(&full);
    assert_eq!(life.end, End::Good(Version::New));
    assert_eq!(life.refused, None);
}

#[test]
fn a_commit_persists_no_time_whatever_the_clock_says() {
    let make = Make::real(Nature::Well);
    let life = live(&make, &make.field(), Reset::Normal);
    assert_eq!(super::life::floors(&Rig::on(life.rest, &make.weak), make.map.id()).unwrap().time, 0);
    assert_eq!(life.floor, Version::New.system().header.security);
}

/// Three times the power goes as soon as the boot loader writes; the fourth start is let be.
fn cycled(make: &Make, mut medium: Medium) -> Life {
    for _ in 0..3 {
        medium = live(make, &medium, Reset::Normal).moments.first().map_or(medium, Moment::arrived);
    }
    live(make, &medium, Reset::Normal)
}

#[test]
fn three_power_cycles_and_an_erased_environment_start_only_what_is_signed() {
    for running in SlotName::BOTH {
        let make = Make { running, ..Make::real(Nature::Well) };
        let updated = live(&make, &make.field(), Reset::Normal).rest;
        for filler in [0x00, 0xff] {
            let mut erased = updated.clone();
            erased.write(ENV.start, &vec![filler; (ENV.end - ENV.start) as usize]).unwrap();
            let life = cycled(&make, erased.clone());
            assert!(only_whole(&life));
            assert_eq!(life.end, End::Good(Version::New), "{running} {filler:#x}: {:?}", life.starts);
            // An old image in one slot, with a bit changed: not signed, not started, wherever it is.
            for slot in SlotName::BOTH {
                let at = Image::Fit.region(&make.map, slot).at;
                let life = cycled(&make, flipped(&erased, at));
                assert!(
                    only_whole(&life) && !matches!(life.end, End::Nothing | End::Restless),
                    "{:?}",
                    life.starts
                );
            }
            let both = SlotName::BOTH.map(|slot| Image::Fit.region(&make.map, slot).at);
            let unsigned = both.into_iter().fold(erased, |medium, at| flipped(&medium, at));
            let life = cycled(&make, unsigned);
            assert_eq!((life.end, life.starts.len()), (End::Nothing, 0), "nothing unsigned is ever started");
        }
        // Without the loss, power cycles change nothing at all.
        let life = cycled(&make, updated);
        assert!(life.moments.is_empty());
        assert_eq!(life.end, End::Good(Version::New));
    }
}

#[test]
fn a_cut_disk_says_so_to_all_that_use_it() {
    let make = Make::real(Nature::Well);
    let mut disk = board::mem_disk::MemDisk::on(make.field());
    disk.cut_at(1);
    let vars = board::env::load(&disk, &make.map).unwrap().vars;
    let vars = make.table.fail(&vars, SlotName::B).unwrap();
    let cut = board::env::save(&mut disk, &make.map, &vars);
    assert!(matches!(cut, Err(board::env::EnvError::Disk(DiskError::Cut))), "{cut:?}");
    assert!(matches!(disk.flush(), Err(DiskError::Cut)));
}
