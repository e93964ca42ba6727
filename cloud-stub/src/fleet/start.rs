//! What the start of a cloud costs: all that has ever happened is read and folded.
//!
//!     cargo test --release -p cloud-stub --lib -- --ignored --nocapture a_million_events

use std::time::Instant;

use super::sample::box_id;
use super::{Draft, Event, Fleet, Happening, Stage};
use crate::store::{Options, Store, System};

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
    let folder = std::env::temp_dir().join(format!("cloud-start-{}", std::process::id()));
    let url = format!("sqlite:{}", folder.join("cloud.db").display());
    let options =
        || Options { network: "10.13.0.0/16".parse().unwrap(), url: "https://x.example".to_owned() };
    let store = Store::open(&url, options(), System).await.unwrap();
    let began = Instant::now();
    let mut basis = 0;
    let mut events = history().peekable();
    while events.peek().is_some() {
        let batch: Vec<Happening> = events.by_ref().take(BATCH).collect();
        assert!(store.add_fleet_events(basis, &batch, None).await.unwrap());
        basis += batch.len() as u64;
    }
    store.close().await.unwrap();
    println!("{basis} events written in {:.1} s", began.elapsed().as_secs_f64());

    let before = held();
    let began = Instant::now();
    let store = Store::open(&url, options(), System).await.unwrap();
    let fleet = Fleet::new(store.clone(), None);
    let state = fleet.known().await.unwrap().clone();
    let whole = began.elapsed().as_secs_f64();
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    println!("read and folded in {whole:.2} s; {:.0} MiB more are held", mib(held() - before));
    assert_eq!((state.newest(), state.boxes().len()), (basis, BOXES as usize));

    let began = Instant::now();
    let mut newest = 0;
    while newest < basis {
        newest = store.fleet_events(newest).await.unwrap().last().unwrap().id;
    }
    println!("of which reading takes {:.2} s", began.elapsed().as_secs_f64());
    store.close().await.unwrap();
    std::fs::remove_dir_all(folder).unwrap();
}
