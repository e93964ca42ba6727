//! Tells the store how the cameras without a box are, in the words in which boxes report theirs.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use feed::Feed;
use model::status::{CameraReport, Picture};
use model::{CameraId, CameraState};

use super::Here;
use crate::nodes::is_here;
use crate::status::Status;

/// Between two reports of a camera.
const EVERY: Duration = Duration::from_secs(30);
/// Between two looks. What changes is told with the next one.
const LOOK: Duration = Duration::from_millis(500);
/// Most outages in one report of a camera.
const OUTAGES: usize = 32;

/// Reports for ever.
pub(super) async fn keep(status: Status, here: Here) {
    let store = status.store().clone();
    let mut told: HashMap<CameraId, (&'static str, Instant)> = HashMap::new();
    loop {
        tokio::time::sleep(LOOK).await;
        let directory = store.directory().borrow().clone();
        let mut cameras = here.all();
        // Of a camera that is elsewhere, others tell.
        cameras.retain(|(id, _)| {
            directory.portal().sources.get(id.as_str()).is_some() && is_here(&directory, id.as_str())
        });
        told.retain(|id, _| cameras.iter().any(|(other, _)| other == id));
        let due: Vec<&(CameraId, Feed)> = cameras
            .iter()
            .filter(|(id, feed)| {
                told.get(id).is_none_or(|(word, at)| *word != gist(feed) || at.elapsed() >= EVERY)
            })
            .collect();
        if due.is_empty() {
            continue;
        }
        let measured: Vec<_> = due.iter().map(|(id, feed)| feed.measure(report(id, feed), OUTAGES)).collect();
        let (reports, marks): (Vec<_>, Vec<_>) = measured.into_iter().unzip();
        match store.report_sources(&reports).await {
            Ok(()) => {
                for (((id, feed), mark), report) in due.into_iter().zip(marks).zip(reports) {
                    status.heard_source(id, report);
                    feed.acknowledge(mark);
                    told.insert(id.clone(), (gist(feed), Instant::now()));
                }
            }
            // The store has said so; it is told again with the next look.
            Err(error) => tracing::debug!("{error}"),
        }
    }
}

/// What makes a report worth sending at once. Trouble lasts over the next tries.
fn gist(feed: &Feed) -> &'static str {
    match (feed.trouble(), feed.state()) {
        (Some((trouble, _)), _) => trouble.code(),
        (None, CameraState::Streaming(_)) => "streaming",
        (None, _) => "connecting",
    }
}

fn report(id: &CameraId, feed: &Feed) -> CameraReport {
    let facts = feed.with(|stream| stream.facts());
    let state = match (feed.trouble(), feed.state()) {
        (Some((trouble, _)), CameraState::Connecting) => CameraState::Waiting { trouble, retry_in_ms: 0 },
        (_, state) => state,
    };
    let streams = matches!(state, CameraState::Streaming(_));
    CameraReport {
        id: id.clone(),
        name: String::new(),
        state,
        stream: Picture::Main,
        fps: if streams { facts.fps as f32 } else { 0.0 },
        bit_rate: if streams { facts.bit_rate } else { 0 },
        last_frame_age_ms: None,
        keyframe_age_ms: None,
        latency_ms: None,
        ping_ms: None,
        outages: Vec::new(),
    }
}
