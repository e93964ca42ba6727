use embedded_svc::io::{ErrorKind, Write as _};
use embedded_svc::ota::{Ota, OtaUpdate as _, SlotState};
use ring::digest;

use super::*;
use crate::boot::{Start, boot};
use crate::mem_disk::{Fault, MemDisk};
use crate::slot::{Record, Reset};

const KIB: u64 = 1024;

fn map() -> PartitionMap {
    let regions = [
        ("env1", 0, 64),
        ("env2", 64, 64),
        ("id", 128, 128),
        ("fit_a", 256, 104),
        ("root_a", 360, 200),
        ("fit_b", 560, 104),
        ("root_b", 664, 200),
        ("data", 864, 4),
    ];
    let region =
        |(name, at, bytes): (&str, u64, u64)| (name.to_owned(), Region { at: at * KIB, bytes: bytes * KIB });
    PartitionMap::new(regions.map(region)).unwrap()
}

/// A system: its header and its images.
#[derive(Clone)]
struct System {
    header: Header,
    fit: Vec<u8>,
    root: Vec<u8>,
}

impl System {
    /// One of 97.5 KiB and 130 KiB, so that neither ends with a piece.
    fn new(version: &str) -> Self {
        let image = |seed: u64, bytes: u64| -> Vec<u8> {
            let mix = |at: u64| (at ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()[6];
            (0..bytes).map(mix).collect()
        };
        let seed = version.bytes().map(u64::from).sum::<u64>() << 32;
        let (fit, root) = (image(seed, 195 * 512), image(seed + 1, 130 * KIB));
        let hash = |image: &[u8]| digest::digest(&SHA256, image).as_ref().try_into().unwrap();
        let header = Header {
            version: version.to_owned(),
            board: "qemu-aarch64".to_owned(),
            security: 7,
            schema: 2,
            fit: (fit.len() as u64, hash(&fit)),
            root: (root.len() as u64, hash(&root)),
        };
        Self { header, fit, root }
    }

    fn image(&self, image: Image) -> &[u8] {
        match image {
            Image::Fit => &self.fit,
            Image::Root => &self.root,
        }
    }
}

const fn good() -> Record {
    Record { state: State::Good, tries: 3, rounds: 0 }
}

const EMPTY: Record = Record { state: State::Empty, tries: 0, rounds: 0 };

/// A box that runs version 1 from slot A, as it left the factory.
fn factory() -> Slots<MemDisk> {
    let mut disk = MemDisk::new(868 * KIB);
    let one = System::new("1");
    for image in Image::BOTH {
        disk.write(image.region(&map(), SlotName::A).at, one.image(image)).unwrap();
    }
    disk.write(map().fit(SlotName::A).at, &one.header.encode().unwrap()).unwrap();
    env::save(&mut disk, &map(), &Vars { first: SlotName::A, a: good(), b: EMPTY }).unwrap();
    // Nothing counted, nothing in the cache.
    disk.flush().unwrap();
    Slots::new(MemDisk::on(disk.moment().medium.clone()), map(), SlotName::A).unwrap()
}

fn write(update: &mut Update<'_, MemDisk>, system: &System) -> Result<(), SlotError> {
    for image in Image::BOTH {
        for (at, piece) in (0..).step_by(4096).zip(system.image(image).chunks(4096)) {
            update.write_at(image, at, piece)?;
        }
    }
    Ok(())
}

fn install(slots: &mut Slots<MemDisk>, system: &System) -> Result<(), SlotError> {
    let mut update = slots.install(system.header.clone())?;
    write(&mut update, system)?;
    update.finish()?.activate()
}

fn held(slots: &Slots<MemDisk>, slot: SlotName, system: &System) -> bool {
    let whole =
        |image: Image| slots.hash(slot, image, &system.header).unwrap() == image.sha256(&system.header);
    slots.header(slot).unwrap().as_ref() == Some(&system.header) && Image::BOTH.into_iter().all(whole)
}

/// Writes of the environment so far.
fn env_writes(disk: &MemDisk) -> usize {
    disk.writes_in(&(0..128 * KIB))
}

#[test]
fn an_installed_system_is_whole_in_the_other_slot_tried_first_and_the_running_one_untouched() {
    let mut slots = factory();
    let two = System::new("2");
    install(&mut slots, &two).unwrap();
    assert!(held(&slots, SlotName::B, &two));
    assert!(held(&slots, SlotName::A, &System::new("1")));
    let vars = slots.vars().unwrap().vars;
    assert_eq!(vars.first, SlotName::B);
    assert_eq!(vars.b, Record { state: State::Trial, tries: 2, rounds: 0 });
    let running = map().fit(SlotName::A).at..map().root(SlotName::A).end();
    assert_eq!(slots.disk().writes_in(&running), 0);
}

#[test]
fn an_update_writes_the_environment_four_times_with_the_boot_scripts_and_a_clean_start_never() {
    let mut slots = factory();
    slots.mirror().unwrap();
    let before = env_writes(slots.disk());
    install(&mut slots, &System::new("2")).unwrap();
    assert_eq!(env_writes(slots.disk()) - before, 2);
    let mut disk = slots.into_disk();
    let start = |disk: &mut MemDisk| {
        let vars = env::load(disk, &map()).unwrap().vars;
        let save = |vars: &Vars| assert!(env::save(disk, &map(), vars).unwrap());
        boot(&Table::ours().unwrap(), vars, Reset::Normal, |_| true, save)
    };
    assert_eq!(start(&mut disk), Start::Slot(SlotName::B));
    let mut slots = Slots::new(disk, map(), SlotName::B).unwrap();
    slots.commit().unwrap();
    assert_eq!(env_writes(slots.disk()) - before, 4);
    let mut disk = slots.into_disk();
    for _ in 0..3 {
        assert_eq!(start(&mut disk), Start::Slot(SlotName::B));
        let mut slots = Slots::new(&mut disk, map(), SlotName::B).unwrap();
        slots.settle().unwrap();
        slots.commit().unwrap();
    }
    assert_eq!(env_writes(&disk) - before, 4);
}

#[test]
fn nothing_is_written_before_the_first_chunk_and_what_was_there_can_be_read() {
    let mut slots = factory();
    install(&mut slots, &System::new("2")).unwrap();
    let before = slots.disk().operations();
    let three = System::new("3");
    let update = slots.install(three.header.clone()).unwrap();
    let mut found = [0; 512];
    update.read_target(Image::Root, 512, &mut found).unwrap();
    assert_eq!(found, System::new("2").root[512..1024]);
    update.read_running(Image::Fit, 1024, &mut found).unwrap();
    assert_eq!(found, System::new("1").fit[1024..1536]);
    drop(update);
    assert_eq!(slots.disk().operations(), before);
    let two = System::new("2");
    assert!(held(&slots, SlotName::B, &two));
}

#[test]
fn after_the_first_chunk_and_until_the_last_step_nobody_starts_the_slot() {
    let mut slots = factory();
    install(&mut slots, &System::new("2")).unwrap();
    let three = System::new("3");
    let mut update = slots.install(three.header.clone()).unwrap();
    update.write_at(Image::Root, 4096, &three.root[4096..8192]).unwrap();
    drop(update);
    assert_eq!(slots.header(SlotName::B).unwrap(), None);
    assert_eq!(slots.vars().unwrap().vars.b, EMPTY);
    // Begun again, what was written is there, and the environment is not written for nothing.
    let before = env_writes(slots.disk());
    let mut update = slots.install(three.header.clone()).unwrap();
    update.begin().unwrap();
    let mut found = vec![0; 4096];
    update.read_target(Image::Root, 4096, &mut found).unwrap();
    assert_eq!(found, three.root[4096..8192]);
    write(&mut update, &three).unwrap();
    let finished = update.finish().unwrap();
    drop(finished);
    assert_eq!(env_writes(slots.disk()), before);
    assert_eq!(slots.vars().unwrap().vars.b, EMPTY, "whole, and not yet to be started");
}

#[test]
fn a_system_that_is_not_good_installs_nothing() {
    for state in [State::Trial, State::Unknown, State::Failed, State::Empty] {
        let mut slots = factory();
        let vars = Vars { a: Record { state, ..good() }, ..slots.vars().unwrap().vars };
        env::save(&mut slots.disk, &map(), &vars).unwrap();
        let before = slots.disk().operations();
        let error = install(&mut slots, &System::new("2")).unwrap_err();
        assert!(matches!(error, SlotError::NotGood(SlotName::A)), "{error}");
        assert_eq!(slots.disk().operations(), before);
    }
}

#[test]
fn what_does_not_fit_or_lies_outside_is_refused_before_anything_is_written() {
    let mut slots = factory();
    let two = System::new("2");
    let with = |bytes, root| Header { fit: (bytes, [0; 32]), root: (root, [0; 32]), ..two.header.clone() };
    assert!(slots.install(with(100 * KIB, 200 * KIB)).is_ok());
    for (header, image) in
        [(with(100 * KIB + 512, 512), Image::Fit), (with(512, 200 * KIB + 512), Image::Root)]
    {
        let error = slots.install(header).map(drop).unwrap_err();
        assert!(matches!(error, SlotError::Large { image: large, .. } if large == image), "{error}");
    }
    assert!(slots.install(with(100, 512)).is_err());
    let mut update = slots.install(two.header.clone()).unwrap();
    for (image, at, length) in
        [(Image::Fit, 195 * 512, 512), (Image::Root, 130 * KIB, 512), (Image::Root, u64::MAX - 511, 512)]
    {
        let error = update.write_at(image, at, &vec![0; length]).unwrap_err();
        assert!(matches!(error, SlotError::Outside { .. }), "{error}");
        assert!(update.read_target(image, at.saturating_add(100 * KIB), &mut vec![0; length]).is_err());
    }
    drop(update);
    assert_eq!(slots.disk().operations(), 0);
}

#[test]
fn wrong_bytes_a_lying_disk_and_a_missing_chunk_are_found_when_it_is_read_back() {
    let two = System::new("2");
    let root = map().root(SlotName::B).at;
    let fit = map().fit(SlotName::B).at;
    let mut wrong = two.clone();
    wrong.root[70_000] ^= 1;
    let cases: [(&System, Option<Fault>, Image); 4] = [
        (&wrong, None, Image::Root),
        (&two, Some(Fault::Flipped(root + 9000..root + 9001)), Image::Root),
        (&two, Some(Fault::Forgotten(root + 8192..root + 8193)), Image::Root),
        (&two, Some(Fault::Flipped(fit + 5000..fit + 5001)), Image::Fit),
    ];
    for (system, fault, image) in cases {
        let mut slots = factory();
        slots.disk.faults(fault);
        let error =
            install(&mut slots, &System { header: two.header.clone(), ..system.clone() }).unwrap_err();
        assert!(matches!(error, SlotError::Corrupt(SlotName::B, found) if found == image), "{error}");
        assert_eq!(slots.header(SlotName::B).unwrap(), None);
        assert_eq!(slots.vars().unwrap().vars.b, EMPTY);
    }
}

impl MemDisk {
    fn faults(&mut self, fault: Option<Fault>) {
        if let Some(fault) = fault {
            self.add(fault);
        }
    }
}

#[test]
fn a_disk_that_refuses_leaves_the_running_system_first() {
    let (root, fit) = (map().root(SlotName::B).at, map().fit(SlotName::B).at);
    for fault in [Fault::Unwritable(root..root + 1), Fault::Unwritable(fit..fit + 1), Fault::FlushFails] {
        let mut slots = factory();
        slots.disk.add(fault.clone());
        assert!(install(&mut slots, &System::new("2")).is_err(), "{fault:?}");
        let now = slots.get_boot_slot().unwrap();
        assert_eq!(now.label.as_str(), "a", "{fault:?}");
    }
}

#[test]
fn a_stream_of_any_pieces_is_the_same_update() {
    let two = System::new("2");
    let stream = [two.fit.clone(), two.root.clone()].concat();
    for piece in [1000, 64 * 1024, stream.len()] {
        let mut slots = factory();
        slots.announce(two.header.clone());
        let mut update = slots.initiate_update().unwrap();
        for bytes in stream.chunks(piece) {
            update.write_all(bytes).unwrap();
        }
        assert!(update.write(b"more").unwrap_err().to_string().contains("Root"));
        update.complete().unwrap();
        assert!(held(&slots, SlotName::B, &two), "{piece}");
    }
    let mut slots = factory();
    slots.announce(two.header);
    let mut update = slots.initiate_update().unwrap();
    update.write_all(&stream[..100_000]).unwrap();
    assert!(matches!(update.finish().map(drop).unwrap_err(), SlotError::Incomplete(100_000, _)));
}

#[test]
fn a_stream_goes_on_after_a_write_that_failed() {
    let two = System::new("2");
    let stream = [two.fit.clone(), two.root.clone()].concat();
    let mut slots = factory();
    // Begin and header, then the first piece.
    slots.disk.add(Fault::WriteFails(3));
    let mut update = slots.install(two.header.clone()).unwrap();
    let mut rest = &stream[..];
    let mut failures = 0;
    while !rest.is_empty() {
        match update.write(&rest[..rest.len().min(3000)]) {
            Ok(taken) => rest = &rest[taken..],
            Err(_) => failures += 1,
        }
        assert!(failures < 3, "it goes on");
    }
    update.finish().unwrap().activate().unwrap();
    assert_eq!(failures, 1);
    assert!(held(&slots, SlotName::B, &two));
}

#[test]
fn embedded_svc_sees_the_slots_as_they_are() {
    let mut slots = factory();
    let two = System::new("2");
    assert!(matches!(slots.initiate_update().map(drop).unwrap_err(), SlotError::Unannounced));
    let (running, target) = (slots.get_running_slot().unwrap(), slots.get_update_slot().unwrap());
    assert_eq!((running.label.as_str(), running.state), ("a", SlotState::Valid));
    let info = running.firmware.unwrap();
    assert_eq!(info.version.as_str(), "1");
    assert_eq!(info.signature.unwrap().as_slice(), System::new("1").header.root.1);
    assert_eq!((target.label.as_str(), target.state, target.firmware), ("b", SlotState::Invalid, None));
    install(&mut slots, &two).unwrap();
    let next = slots.get_boot_slot().unwrap();
    assert_eq!((next.label.as_str(), next.state), ("b", SlotState::Unverified));
    let mut slots = Slots::new(slots.into_disk(), map(), SlotName::B).unwrap();
    slots.mark_running_slot_valid().unwrap();
    assert_eq!(slots.get_running_slot().unwrap().state, SlotState::Valid);
    assert!(!slots.is_factory_reset_supported().unwrap());
    let error = slots.factory_reset().unwrap_err();
    assert_eq!(embedded_svc::io::Error::kind(&error), ErrorKind::Unsupported);
    let error = slots.mark_running_slot_invalid_and_reboot();
    assert!(matches!(error, SlotError::Restart(SlotName::B)), "{error}");
    assert_eq!(slots.get_running_slot().unwrap().state, SlotState::Invalid);
    assert_eq!(slots.get_boot_slot().unwrap().label.as_str(), "a");
}

#[test]
fn after_a_good_week_both_slots_hold_the_running_system_and_it_stays_first() {
    let mut slots = factory();
    assert!(slots.mirror().unwrap());
    let one = System::new("1");
    assert!(held(&slots, SlotName::B, &one));
    assert_eq!(slots.vars().unwrap().vars, Vars { first: SlotName::A, a: good(), b: good() });
    let before = slots.disk().operations();
    assert!(!slots.mirror().unwrap(), "nothing to do the second time");
    assert_eq!(slots.disk().operations(), before);
}

#[test]
fn an_update_that_waits_to_be_tried_is_not_mirrored_over() {
    let mut slots = factory();
    let two = System::new("2");
    install(&mut slots, &two).unwrap();
    assert!(!slots.mirror().unwrap());
    assert!(held(&slots, SlotName::B, &two));
}

#[test]
fn a_running_system_with_a_bad_block_does_not_cost_the_other_one() {
    let mut slots = factory();
    slots.mirror().unwrap();
    let mut other = System::new("1").header;
    other.version = "0".to_owned();
    let at = map().fit(SlotName::B).at;
    slots.disk.write(at, &other.encode().unwrap()).unwrap();
    let before = slots.disk().operations();
    let root = map().root(SlotName::A).at;
    slots.disk.add(Fault::Flipped(root + 512..root + 513));
    let error = slots.mirror().unwrap_err();
    assert!(matches!(error, SlotError::Corrupt(SlotName::A, Image::Root)), "{error}");
    assert_eq!(slots.disk().operations(), before);
}

#[test]
fn a_trial_that_never_came_to_a_verdict_is_settled_by_the_good_system() {
    let mut slots = factory();
    install(&mut slots, &System::new("2")).unwrap();
    let spent =
        Vars { first: SlotName::B, a: good(), b: Record { state: State::Trial, tries: 0, rounds: 2 } };
    env::save(&mut slots.disk, &map(), &spent).unwrap();
    assert_eq!(slots.settle().unwrap().b.state, State::Failed);
    let writes = env_writes(slots.disk());
    slots.settle().unwrap();
    assert_eq!(env_writes(slots.disk()), writes);
}

#[test]
fn a_system_that_failed_is_tried_again_only_if_it_is_whole_and_a_good_one_runs() {
    let mut slots = factory();
    install(&mut slots, &System::new("2")).unwrap();
    let failed = Record { state: State::Failed, tries: 0, rounds: 0 };
    let vars = Vars { first: SlotName::A, a: good(), b: failed };
    let before = Vars { a: Record { state: State::Unknown, ..good() }, ..vars };
    env::save(&mut slots.disk, &map(), &before).unwrap();
    assert_eq!(slots.try_again().unwrap(), before);
    env::save(&mut slots.disk, &map(), &vars).unwrap();
    let again = slots.try_again().unwrap();
    assert_eq!((again.first, again.b), (SlotName::B, Record { state: State::Trial, tries: 2, rounds: 0 }));
    env::save(&mut slots.disk, &map(), &vars).unwrap();
    slots.disk.write(map().fit(SlotName::B).at, &[0; 512]).unwrap();
    assert_eq!(slots.try_again().unwrap(), vars);
}

#[test]
fn a_slot_whose_header_cannot_be_read_holds_nothing_and_takes_the_next_system() {
    let mut slots = factory();
    let header = map().fit(SlotName::B).at;
    slots.disk.add(Fault::Unreadable(header..header + 1));
    assert_eq!(slots.header(SlotName::B).unwrap(), None);
    assert_eq!(slots.header(SlotName::A).unwrap(), Some(System::new("1").header));
    let two = System::new("2");
    install(&mut slots, &two).unwrap();
    slots.disk.heal();
    assert!(held(&slots, SlotName::B, &two));
    let behind = header + header::ENCODED as u64..header + header::LENGTH;
    assert_eq!(
        slots.disk.writes_in(&behind),
        1,
        "a whole page was written, which the kernel need not read before"
    );
    // What is no fault of the medium is still told.
    slots.disk.cut_at(1);
    assert!(slots.disk.flush().is_err());
    assert!(matches!(slots.header(SlotName::B), Err(SlotError::Disk(DiskError::Cut))));
}

#[test]
fn a_system_that_is_withdrawn_is_not_tried_and_its_images_stay() {
    let mut slots = factory();
    let two = System::new("2");
    install(&mut slots, &two).unwrap();
    let writes = env_writes(slots.disk());
    let withdrawn = Vars { first: SlotName::A, a: good(), b: EMPTY };
    assert_eq!(slots.withdraw().unwrap(), withdrawn);
    assert_eq!(slots.withdraw().unwrap(), withdrawn);
    assert_eq!(env_writes(slots.disk()) - writes, 1);
    assert!(held(&slots, SlotName::B, &two));
    // What was tried, and what runs on trial itself, is not taken back.
    let trial = |tries| Record { state: State::Trial, tries, rounds: 1 };
    let unknown = Record { state: State::Unknown, ..good() };
    for (a, b) in [(good(), trial(0)), (good(), good()), (trial(1), trial(2)), (unknown, trial(2))] {
        let vars = Vars { first: SlotName::B, a, b };
        env::save(&mut slots.disk, &map(), &vars).unwrap();
        assert_eq!(slots.withdraw().unwrap(), vars);
    }
}

#[test]
fn wrong_orders_are_run_as_they_are_written() {
    const HEADER_FIRST: &[Step] = &[Step::Header, Step::Flush, Step::Data, Step::Activate];
    let mut slots = factory().with_sequence(HEADER_FIRST);
    let two = System::new("2");
    let mut update = slots.install(two.header.clone()).unwrap();
    update.begin().unwrap();
    drop(update);
    assert_eq!(slots.header(SlotName::B).unwrap(), Some(two.header), "whole, it says, with nothing in it");
}

#[test]
fn a_power_cut_costs_at_most_a_quarter_of_a_mebibyte_of_what_was_written() {
    let mut slots = factory();
    let two = System::new("2");
    let mut update = slots.install(two.header.clone()).unwrap();
    update.begin().unwrap();
    drop(update);
    let begun = slots.disk().flushes();
    let mut update = slots.install(two.header.clone()).unwrap();
    for _ in 0..16 {
        update.write_at(Image::Root, 0, &two.root[..128 * 1024]).unwrap();
    }
    drop(update);
    // Beginning again flushes what it flushed before, and two mebibytes make eight more.
    let again = slots.disk().flushes() - begun;
    let mut update = slots.install(two.header.clone()).unwrap();
    update.begin().unwrap();
    drop(update);
    let beginning = slots.disk().flushes() - begun - again;
    assert_eq!(again - beginning, 8);
}
