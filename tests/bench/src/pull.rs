//! Cameras without a box, pulled by the cloud: processor time per camera-second and memory per camera. No viewer, 1080p, 25
//! fps, 4 Mbit/s, each camera at a port of its own.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;

use crate::process::Measured;
use crate::row::{Row, median};
use crate::stage::{Stage, camera_url, free_port, release};

/// Windows that each figure is the median of, and the length of one, seconds.
const WINDOWS: u32 = 5;
const WINDOW_S: u32 = 6;
/// From the first picture until the 10 s window of access units is full.
const WARM_UP: Duration = Duration::from_secs(20);
/// What MediaMTX costs for the same, as given by an earlier measurement, not measured here: milliseconds of processor time
/// per camera-second, MiB per camera.
const MEDIAMTX: (f64, f64) = (2.7, 30.0);
const GIVEN: &str = "MediaMTX, as given: 2.7 ms per camera-second, 30 MiB per camera";

/// Measures `cameras`.
pub(crate) fn run(stage: &Stage, cameras: u32) -> Result<Vec<Row>> {
    let _simulated = stage.start_cameras(cameras, &[])?;
    let folder = stage.dir("cloud")?;
    let (web, hub) = (free_port()?, free_port()?);
    let mut list = String::new();
    for index in 0..cameras {
        writeln!(list, "[[camera]]\nid = \"cam{index}\"\nurl = \"{}\"", camera_url(index))?;
    }
    let text = format!(
        "[http]\nlisten = \"127.0.0.1:{web}\"\n[hub]\nlisten = \"127.0.0.1:{hub}\"\n[store]\nurl = \"sqlite:{}\"\n\
         [pull]\nallow_private = true\n{list}",
        folder.join("cloud.db").display()
    );
    let file = folder.join("cloud.toml");
    fs::write(&file, text)?;
    let log = stage.log("cloud");
    let cloud = Measured::start(Command::new(release("cloud")).arg("--config").arg(file), &log)?;
    stage.until("every camera streams", Duration::from_secs(120), || {
        let said = fs::read_to_string(&log).unwrap_or_default();
        Ok(said.matches(" streaming").count() >= cameras as usize)
    })?;
    eprintln!("pull: {cameras} cameras stream; filling the window");
    sleep(WARM_UP);
    let mut windows: Vec<f64> = (0..WINDOWS)
        .map(|_| {
            let before = cloud.cpu_ms();
            sleep(Duration::from_secs(WINDOW_S.into()));
            (cloud.cpu_ms() - before) / f64::from(WINDOW_S) / f64::from(cameras)
        })
        .collect();
    let (cpu, memory) = (median(&mut windows), cloud.pss_mib() / f64::from(cameras));
    let what = |figure: &str| format!("{figure}, {cameras} cameras pulled by the cloud, no viewer");
    Ok(vec![
        Row::beside(&what("cpu"), cpu, "ms per camera-second", GIVEN, cpu / MEDIAMTX.0),
        Row::beside(&what("memory (PSS)"), memory, "MiB per camera", GIVEN, memory / MEDIAMTX.1),
    ])
}
