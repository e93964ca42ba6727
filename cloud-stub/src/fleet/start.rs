//! What the start of a cloud costs: all that has ever happened is read and folded.
//!
//!     cargo test --release -p cloud-stub --lib -- --ignored --nocapture a_million_events

use std::time::Instant;

use super::fold::FORMAT;
use super::sample::{Scratch, box_id};
use super::{Draft, Event, Fleet, Happening, Stage};

const BOXES: u32 = 10_000;
const CAMPAIGNS: u32 = 10;
/// Events that are written at a time.
const BATCH: usize = 5_000;

/// Everything that happens when ten releases reach every box, one after the other.
fn history() -> impl Iterator<Item = Happening> {
    let met = |number| {
        let event = Event::Met { board: "qemu-aarch64".to_owned(), version: "1.0".to_owned() };
        Happening::of_box(&box_id(number), event)
    };
    (0..BOXES).map(met).chain((0..CAMPAIGNS).flat_map(campaign))
}

fn campaign(number: u32) -> impl Iterator<Item = Happening> {
    let id = format!("{number:a>26}");
    let version = format!("1.{number}");
    let draft = Draft {
        name: format!("Release {version}"),
        version: version.clone(),
        boards: Vec::new(),
        canaries: (0..10).map(box_id).collect(),
        bake_s: 3600,
        note: String::new(),
        who: String::new(),
    };
    let start = Event::Started { who: String::new(), why: String::new() };
    let begin = [Event::Drafted(draft), start, Event::Opened { stage: Stage::All }];
    let of_boxes = move |id: &str| {
        let id = id.to_owned();
        let version = version.clone();
        // Some hundred at a time are on their way.
        (0..BOXES / 100).flat_map(move |hundred| {
            let words = [
                Event::Offered { version: version.clone() },
                Event::Fetching,
                Event::Heard,
                Event::Ready,
                Event::Heard,
                Event::Cleared,
                Event::Restarting,
                Event::Heard,
                Event::Back { version: version.clone() },
                Event::Committed { why: String::new() },
            ];
            let id = id.clone();
            words.into_iter().flat_map(move |event| {
                let id = id.clone();
                (0..100).map(move |one| Happening::of(&id, &box_id(100 * hundred + one), event.clone()))
            })
        })
    };
    let begin = begin.map(|event| Happening::of_campaign(&id, event));
    let end = [Happening::of_campaign(&id, Event::Done)];
    begin.into_iter().chain(of_boxes(&id)).chain(end)
}

/// Bytes that this process holds.
fn held() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[tokio::test]
#[ignore = "takes a minute: it measures"]
async fn a_million_events_are_read_and_folded() {
    let scratch = Scratch::new();
    let seconds = |began: Instant| began.elapsed().as_secs_f64();
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);

    let store = scratch.open().await;
    let began = Instant::now();
    let mut written = 0;
    let mut events = history().peekable();
    while events.peek().is_some() {
        let batch: Vec<Happening> = events.by_ref().take(BATCH).collect();
        assert!(store.add_fleet_events(written, &batch, None).await.unwrap());
        written += batch.len() as u64;
    }
    println!("{written} events are written in {:.1} s", seconds(began));

    let began = Instant::now();
    let mut newest = 0;
    while newest < written {
        newest = store.fleet_events(newest).await.unwrap().last().unwrap().id;
    }
    println!("reading alone takes {:.2} s", seconds(began));

    let before = held();
    let began = Instant::now();
    let fleet = Fleet::new(store.clone(), None);
    assert_eq!(fleet.known().await.unwrap().newest(), written);
    println!("read and folded in {:.2} s; {:.0} MiB more are held", seconds(began), mib(held() - before));

    let began = Instant::now();
    fleet.keep_fold(1).await.unwrap();
    let (kept, _) = store.fleet_fold(FORMAT).await.unwrap();
    let bytes: usize = kept.iter().flat_map(|kept| &kept.parts).map(String::len).sum();
    println!("kept in {:.2} s: {:.1} MiB", seconds(began), mib(bytes as u64));

    let began = Instant::now();
    let next = Fleet::new(store.clone(), None);
    assert_eq!(next.known().await.unwrap().newest(), written);
    println!("begun with what is kept in {:.2} s", seconds(began));
    let revived = next.known().await.unwrap().clone();
    assert_eq!(revived, *fleet.known().await.unwrap());
    store.close().await.unwrap();
}
