//! A real Chromium on the player page: from the page's load to the first decoded frame, and how far behind the camera the
//! picture runs.

use anyhow::{Context, Result};
use lab::browser::{Browser, Page, play_here};

use crate::row::{Row, median};
use crate::stage::Stage;

/// Loads that each figure is the median of.
const LOADS: usize = 5;
/// Seconds that each load plays.
const PLAY_S: u64 = 8;

/// Measures with one warm 1080p camera.
pub(crate) fn run(stage: &Stage) -> Result<Vec<Row>> {
    let _camera = stage.start_cameras(1, &[])?;
    let _boxd = stage.start_box(1)?;
    stage.wait_streaming(1)?;
    std::thread::sleep(std::time::Duration::from_secs(5));
    let page = Page { name: "cam0".into(), url: stage.site().url("/cam0/?player=hlsjs") };
    let (mut first, mut behind) = (Vec::new(), Vec::new());
    for _ in 0..LOADS {
        let watched = play_here(Browser::Chromium, std::slice::from_ref(&page), PLAY_S)?;
        let watched = watched.first().context("the browser told nothing")?;
        anyhow::ensure!(watched.playing, "no picture: {watched:?}");
        first.push(watched.first_frame_ms);
        behind.push(watched.stats["latency"].as_f64().context("the page tells no latency")?);
    }
    Ok(vec![
        Row::alone(
            "first picture in Chromium, page load to first decoded frame, warm camera",
            median(&mut first),
            "ms",
        ),
        Row::alone("end to end in Chromium with hls.js, camera to screen", median(&mut behind), "s"),
    ])
}
