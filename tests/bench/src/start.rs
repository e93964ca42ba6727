//! The start of a cloud: all that has ever happened to updates is read and folded, or what was kept of that and the rest.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, ensure};
use cloud_stub::fleet::{self, Draft, Event, Fleet, Happening};
use cloud_stub::store::{Options, Store, System};
use model::BoxId;

use crate::row::{Row, median};

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
    let begin = [Event::Drafted(draft), start, Event::Opened { stage: fleet::Stage::All }];
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

/// The box of a number.
fn box_id(number: u32) -> BoxId {
    let id = enrol::name128(u128::from(number).to_be_bytes());
    BoxId::new(&id).unwrap_or_else(|_| unreachable!("26 letters of its alphabet"))
}

/// A folder that goes with its value.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Seconds from opening the fleet to knowing everything; the median of five.
async fn starts(store: &Store, newest: u64) -> Result<f64> {
    let mut took = Vec::new();
    for _ in 0..5 {
        let began = Instant::now();
        let fleet = Fleet::new(store.clone(), None);
        ensure!(fleet.known().await?.newest() == newest, "it does not know everything");
        took.push(began.elapsed().as_secs_f64());
    }
    Ok(median(&mut took))
}

/// Ten releases that have reached 10,000 boxes: read whole, then from what is kept.
pub(crate) fn run() -> Result<Vec<Row>> {
    tokio::runtime::Runtime::new()?.block_on(measure())
}

async fn measure() -> Result<Vec<Row>> {
    let folder = Folder(PathBuf::from(format!("/dev/shm/streambox-start-{}", std::process::id())));
    fs::create_dir_all(&folder.0)?;
    let options = Options { network: "10.13.0.0/16".parse()?, url: "http://127.0.0.1".to_owned() };
    let store =
        Store::open(&format!("sqlite:{}", folder.0.join("cloud.db").display()), options, System).await?;
    let mut written = 0;
    let mut events = history().peekable();
    while events.peek().is_some() {
        let batch: Vec<Happening> = events.by_ref().take(BATCH).collect();
        ensure!(store.add_fleet_events(written, &batch, None).await?, "somebody else writes");
        written += batch.len() as u64;
    }
    eprintln!("start: {written} events are written");
    let whole = starts(&store, written).await?;
    let fleet = Fleet::new(store.clone(), None);
    drop(fleet.known().await?);
    fleet.keep_fold(1).await?;
    let kept = starts(&store, written).await?;
    store.close().await?;
    Ok(vec![
        Row::alone("start of a cloud, a million events of updates read whole", whole, "s"),
        Row::alone("the same from what is kept of them", kept, "s"),
    ])
}
