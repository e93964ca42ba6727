//! Looks at the uplink twice a second, and tells a camera to send its small picture, or its large one again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use model::status::Picture;

use super::budget::{Budget, Watched};
use super::meter::Meter;
use super::view::Counters;
use crate::state::{Camera, Shared};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);
/// A small picture that has been in trouble for this long is no help.
const PATIENCE: Duration = Duration::from_secs(8);
/// It is believed in again after this.
const AGAIN: Duration = Duration::from_secs(600);

/// What the owner reads on a camera whose small picture goes out.
pub(crate) const SHORT: &str = "The uplink is short: the small picture goes out.";

/// Keeps the cameras' pictures fit for the uplink, for ever.
pub(crate) async fn keep(shared: &Shared, meter: &Arc<Meter>) {
    let began = Instant::now();
    let mut budget = Budget::new(shared.cloud().cap());
    let mut tick = tokio::time::interval(LOOK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut broken: Vec<(model::CameraId, Instant)> = Vec::new();
    loop {
        tick.tick().await;
        // The owner may have changed it a moment ago.
        budget.set_cap(shared.cloud().cap());
        let now = began.elapsed();
        let look = meter.look();
        if look.outage {
            budget.outage(now);
            continue;
        }
        broken.retain(|(_, since)| since.elapsed() < AGAIN);
        let cameras: Vec<Watched> = shared
            .cameras()
            .iter()
            .map(|camera| {
                if camera.picture() == Picture::Sub
                    && camera.feed().trouble().is_some_and(|(_, age)| age >= PATIENCE)
                    && !broken.iter().any(|(id, _)| id == camera.id())
                {
                    broken.push((camera.id().clone(), Instant::now()));
                }
                let has_small = camera.has_small() && !broken.iter().any(|(id, _)| id == camera.id());
                let bit_rate = camera.feed().with(|stream| stream.facts()).bit_rate;
                let flow = look.watched.get(camera.id()).copied();
                let bytes = flow.map_or(0, |flow| flow.bytes);
                let media = if bit_rate == 0 { 0.0 } else { bytes as f64 * 8.0 / bit_rate as f64 };
                Watched {
                    id: camera.id().clone(),
                    afar: flow.is_some(),
                    has_small,
                    bit_rate,
                    took: flow.map_or(Duration::ZERO, |flow| flow.took),
                    media: Duration::from_secs_f64(media.min(3600.0)),
                }
            })
            .collect();
        if let Some((id, picture)) = budget.look(now, &cameras)
            && let Some(camera) = shared.camera(id.as_str())
        {
            change(shared, &camera, picture);
        }
        shared.cloud().update(|status| status.uplink.short = budget.short());
    }
}

fn change(shared: &Shared, camera: &Camera, picture: Picture) {
    match picture {
        Picture::Sub => tracing::warn!(camera = %camera.id(), "{SHORT}"),
        Picture::Main => tracing::info!(camera = %camera.id(), "the large picture goes out again"),
    }
    camera.set_picture(picture);
    Counters::add(&shared.cloud().counters().picture_changes, 1);
}
