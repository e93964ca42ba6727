//! An installation with everything that goes wrong on the way: THREATS.md row 13, and the download rows of the fault table of
//! UPDATES.md. Each ends as written there.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod world;

use update::ImageKind;
use update::install::{Action, Event, Failure, Fault, Spoiled};
use world::{End, Images, World, always, bytes, counts, fault, first, good, release};

/// Version 1 runs; version 2 differs from it in one chunk of its FIT and three of its root.
fn versions() -> (Images, Images) {
    let old = Images { fit: bytes(1, 4), root: bytes(2, 60) };
    let mut new = old.clone();
    new.fit[5000] ^= 1;
    for at in [10 * 4096 + 7, 30 * 4096, 59 * 4096 + 4095] {
        new.root[at] ^= 0x55;
    }
    (old, new)
}

fn world() -> (World, update::Release, Images) {
    let (old, new) = versions();
    let (release, files) = release(&new);
    (World::new(old, Images::blank_like(&new), &files), release, new)
}

#[test]
fn only_what_changed_is_fetched_and_the_cost_is_known_before_the_first_byte() {
    let (mut world, release, new) = world();
    let mut installer = world.installer(&release);
    while !installer.progress().planned {
        assert_eq!(world.drive(&mut installer, 1), End::Cut);
    }
    let sums = installer.progress().sums;
    assert_eq!(world.log.fetched_bytes, 0);
    assert_eq!((sums.missing, sums.copied, sums.held, sums.whole), (4 * 4096, 60 * 4096, 0, 64 * 4096));
    assert!(sums.fetch * 100 < sums.fetch_whole * 7, "{sums:?}");
    assert_eq!(world.drive(&mut installer, usize::MAX), End::Done);
    assert_eq!(world.target, new);
    assert_eq!(world.log.fetched_bytes, sums.fetch, "as announced");
    assert_eq!((world.log.asked.len(), world.log.begun, world.log.completed), (4, 1, 1));
    assert_eq!((installer.progress().fetched, installer.progress().installed), (sums.fetch, sums.whole));
}

#[test]
fn a_chunk_that_moved_is_found_and_one_that_comes_twice_is_fetched_once() {
    let old = Images { fit: bytes(1, 1), root: bytes(2, 8) };
    let mut root = bytes(9, 1);
    root.extend_from_slice(&old.root[..7 * 4096]);
    root.extend(bytes(9, 1));
    root.extend(&bytes(3, 1)[..512]);
    let new = Images { fit: bytes(9, 1), root };
    let (release, files) = release(&new);
    let mut world = World::new(old, Images::blank_like(&new), &files);
    assert_eq!(world.run(&release), End::Done);
    assert_eq!(world.target, new);
    assert_eq!(world.log.asked.len(), 2, "the new chunk once, the short one once: {:?}", world.log.asked);
}

#[test]
fn without_anything_at_hand_everything_is_fetched_once() {
    let (old, new) = versions();
    let (release, files) = release(&new);
    let mut world = World::new(Images::default(), old, &files);
    world.target = Images::blank_like(&new);
    assert_eq!(world.run(&release), End::Done);
    assert_eq!(world.target, new);
    assert_eq!(world.log.fetched_bytes, files.values().map(|file| file.len() as u64).sum::<u64>());
    assert!(counts(&world.log).values().all(|count| *count == 1));
}

#[test]
fn a_folder_with_the_same_release_again_needs_no_mirror_at_all() {
    let (_, new) = versions();
    let (release, files) = release(&new);
    let mut world = World::new(new.clone(), Images::blank_like(&new), &files);
    world.mirrors.clear();
    assert_eq!(world.run(&release), End::Done);
    assert_eq!((world.target, world.log.asked.len()), (new, 0));
}

#[test]
fn missing_pieces_without_a_mirror_are_said_and_the_slot_stays() {
    let (mut world, release, _) = world();
    world.mirrors.clear();
    assert!(matches!(world.run(&release), End::Failed(Failure::Nowhere { bytes }) if bytes > 0));
    assert_eq!(world.log.begun, 0);
}

#[test]
fn the_slot_is_untouched_until_the_first_good_chunk_is_in_hand() {
    let html = b"<!doctype html><title>Welcome to the guest network</title>".to_vec();
    let faults = [
        fault(Fault::Unreachable("no route to host".into())),
        fault(Fault::Status { code: 500, retry_after_ms: None }),
        fault(Fault::Status { code: 404, retry_after_ms: None }),
        fault(Fault::Status { code: 429, retry_after_ms: Some(120_000) }),
        fault(Fault::Length { offered: u64::MAX }),
        fault(Fault::Stalled),
        fault(Fault::Late),
        fault(Fault::Broken),
        Event::Fetched(html),
        Event::Fetched(Vec::new()),
    ];
    for answer in faults {
        let (mut world, release, _) = world();
        world.mirrors = vec![always(answer.clone())];
        let before = world.target.clone();
        let End::Failed(Failure::Fetch { tries, last }) = world.run(&release) else { panic!("{answer:?}") };
        assert_eq!((tries, world.log.asked.len(), world.log.begun, world.log.writes), (12, 12, 0, 0));
        assert_eq!(world.target, before);
        assert!(!last.to_string().is_empty());
        assert_eq!(world.log.waits.len(), 11, "it waits between two tries");
    }
}

/// What a mirror makes of a file.
type Wrong = Box<dyn Fn(&[u8]) -> Event>;

#[test]
fn each_fault_is_fetched_again_from_the_other_mirror_and_the_image_is_right() {
    // Row 13: endless and slow bodies and a zip bomb stop at their limits, and the other mirror serves.
    let bomb = zstd::bulk::compress(&vec![0; 64 << 20], 19).unwrap();
    let faults: Vec<Wrong> = vec![
        Box::new(|_| fault(Fault::Late)),
        Box::new(|_| fault(Fault::Stalled)),
        Box::new(|_| fault(Fault::Length { offered: 1 << 40 })),
        Box::new(|_| fault(Fault::Broken)),
        Box::new(|_| fault(Fault::Status { code: 500, retry_after_ms: None })),
        Box::new(move |file| {
            Event::Fetched(bomb.iter().chain([&0; 4096]).take(file.len()).copied().collect())
        }),
        Box::new(|file| Event::Fetched(file[..file.len() - 1].to_vec())),
        Box::new(|file| {
            let mut wrong = file.to_vec();
            wrong[file.len() / 2] ^= 1;
            Event::Fetched(wrong)
        }),
        Box::new(|file| {
            Event::Fetched(b"<html>".iter().chain([&b' '; 8192]).take(file.len()).copied().collect())
        }),
    ];
    for wrong in faults {
        let (mut world, release, new) = world();
        let asked = wrong(&[7; 3000]);
        world.mirrors = vec![Box::new(move |_, file| wrong(file)), good()];
        assert_eq!(world.run(&release), End::Done, "{asked:?}");
        assert_eq!(world.target, new);
        assert_eq!(world.log.asked[0].0, 0);
        // The bad one is left alone from then on, since the other one serves.
        assert_eq!(world.log.asked.iter().filter(|(mirror, ..)| *mirror == 0).count(), 1, "{asked:?}");
        assert_eq!(world.log.waits, [0u64; 0], "there is no waiting while a mirror is awake");
    }
}

#[test]
fn a_file_of_another_release_under_the_right_name_is_refused() {
    let (mut world, release, new) = world();
    let (_, others) = self::release(&Images { fit: bytes(50, 4), root: bytes(51, 60) });
    let mut others = others.into_values().collect::<Vec<_>>().into_iter().cycle();
    let mix = move |_: &str, file: &[u8]| {
        let other = others.next().unwrap();
        Event::Fetched(other[..other.len().min(file.len())].to_vec())
    };
    world.mirrors = vec![Box::new(mix), good()];
    assert_eq!(world.run(&release), End::Done);
    assert_eq!(world.target, new);
}

#[test]
fn pauses_grow_with_jitter_and_retry_after_is_honoured_up_to_an_hour() {
    let busy = |seconds: u64| fault(Fault::Status { code: 429, retry_after_ms: Some(seconds * 1000) });
    let (mut world, release, new) = world();
    world.mirrors = vec![first(vec![busy(120), busy(86_400), fault(Fault::Broken)])];
    assert_eq!(world.run(&release), End::Done);
    assert_eq!(world.target, new);
    assert_eq!(world.log.waits, [120_000, 3_600_000, 4_000]);

    let (mut world, release, _) = self::world();
    world.mirrors = vec![always(fault(Fault::Broken))];
    let mut installer = world.installer(&release);
    let mut waits = Vec::new();
    loop {
        match installer.next(world.now) {
            Action::Wait { until_ms } => {
                waits.push(until_ms - world.now);
                world.now = until_ms;
            }
            Action::Failed { .. } => break,
            action => {
                let event = world.answer(action);
                installer.event(event, world.now, 0);
            }
        }
    }
    assert_eq!(waits[..4], [500, 1_000, 2_000, 4_000], "half of what a box with other random bits waits");
}

#[test]
fn a_cut_at_any_step_is_resumed_and_nothing_is_fetched_twice() {
    let (mut whole, release, new) = world();
    assert_eq!(whole.run(&release), End::Done);
    let full_cost = whole.log.fetched_bytes;
    let mut cut_at = 1;
    loop {
        let (mut world, release, _) = world();
        let mut installer = world.installer(&release);
        let end = world.drive(&mut installer, cut_at);
        drop(installer);
        if end == End::Done {
            assert!(cut_at > 200, "{cut_at}");
            return;
        }
        let asked = world.log.asked.len();
        assert_eq!(world.run(&release), End::Done, "cut after {cut_at}");
        assert_eq!(world.target, new, "cut after {cut_at}");
        // At most the chunk that was in hand is asked for again.
        let again = world.log.fetched_bytes;
        let most = full_cost + u64::from(release.chunk_bytes) + 1024;
        assert!(again <= most, "cut after {cut_at}: {again} of {full_cost} bytes, {asked} asked before");
        cut_at += 1;
    }
}

#[test]
fn what_the_running_slot_cannot_read_comes_over_http() {
    let (mut world, release, new) = world();
    world.rotten = vec![(ImageKind::Root, 20 * 4096), (ImageKind::Fit, 0)];
    assert_eq!(world.run(&release), End::Done);
    assert_eq!(world.target, new);
    assert_eq!(world.log.asked.len(), 4 + 2);
}

#[test]
fn what_rots_between_the_two_looks_is_noticed_and_fetched() {
    let (mut world, release, new) = world();
    let mut installer = world.installer(&release);
    while !installer.progress().planned {
        world.drive(&mut installer, 1);
    }
    world.running.root[20 * 4096 + 1] ^= 0x80;
    world.rotten = vec![(ImageKind::Root, 40 * 4096)];
    assert_eq!(world.drive(&mut installer, usize::MAX), End::Done);
    assert_eq!(world.target, new);
    assert_eq!(world.log.asked.len(), 4 + 2);
    let progress = installer.progress();
    assert_eq!(progress.fetched, progress.sums.fetch, "what it costs in the end is said, too");
}

#[test]
fn a_write_error_is_the_end_with_words_and_without_complete() {
    for write in [1, 2, 64] {
        let (mut world, release, _) = world();
        world.write_fails_at = Some(write);
        let end = world.run(&release);
        assert_eq!(end, End::Failed(Failure::Write("Input/output error".into())));
        let End::Failed(why) = end else { unreachable!() };
        assert_eq!(why.to_string(), "the other slot cannot be written: Input/output error");
        assert_eq!((world.log.completed, world.log.begun), (0, 1));
    }
}

#[test]
fn a_slot_that_reads_back_wrong_is_not_done() {
    let (mut world, release, _) = world();
    let mut installer = world.installer(&release);
    loop {
        let action = installer.next(0);
        match action {
            Action::Complete => installer.event(Event::Refused("the root reads back wrong".into()), 0, 0),
            Action::Failed { why } => {
                assert_eq!(why.to_string(), "the other slot cannot be completed: the root reads back wrong");
                return;
            }
            Action::Done => panic!("it is not done"),
            action => {
                let event = world.answer(action);
                installer.event(event, 0, 0);
            }
        }
    }
}

#[test]
fn a_release_that_is_too_large_or_contradicts_itself_is_refused_at_once() {
    let (mut world, mut release, new) = world();
    world.target.root.truncate(59 * 4096);
    let End::Failed(Failure::NoRoom { image: ImageKind::Root, needed, room }) = world.run(&release) else {
        panic!("there is no room")
    };
    assert_eq!((needed, room), (60 * 4096, 59 * 4096));
    world.target = Images::blank_like(&new);
    release.root.chunks.pop();
    assert!(matches!(world.run(&release), End::Failed(Failure::Description(_))));
    assert_eq!((world.log.begun, world.log.asked.len()), (0, 0));
}

#[test]
fn an_answer_says_how_it_is_spoiled() {
    let (mut world, release, _) = world();
    world.mirrors = vec![Box::new(|_, file| Event::Fetched(file[1..].to_vec()))];
    let End::Failed(Failure::Fetch { last: Fault::Spoiled(Spoiled::Length { wanted, got }), .. }) =
        world.run(&release)
    else {
        panic!("it must fail")
    };
    assert_eq!(wanted as usize, got + 1);
}
