//! Many cameras, no viewer: processor time per camera-second and memory, beside ffmpeg and GStreamer doing the same to
//! the same cameras.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;

use crate::process::Measured;
use crate::row::{Row, median};
use crate::stage::{Stage, camera_url};

/// Windows that each figure is the median of.
const WINDOWS: u32 = 5;
/// Length of one window, seconds.
const WINDOW_S: u32 = 6;
/// From the first picture until the 10 s window of access units is full, and until workers that nobody watches rest (20 s).
const WARM_UP: Duration = Duration::from_secs(25);
/// How often a viewer is simulated: more seldom than a worker goes back to rest.
const LOOK: Duration = Duration::from_secs(4);

/// Measures `cameras` of 1080p, 25 fps, 4 Mbit/s.
pub(crate) fn run(stage: &Stage, cameras: u32) -> Result<Vec<Row>> {
    let _simulated = stage.start_cameras(cameras, &[])?;
    let boxd = stage.start_box(cameras)?;
    stage.wait_streaming(cameras)?;
    eprintln!("crowd: {cameras} cameras stream; filling the window");
    sleep(WARM_UP);
    let mut rows = Vec::new();
    let alone = windows(cameras, &[&boxd]);
    rows.push(Row::alone(
        &format!("cpu, {cameras} cameras, no viewer, box alone"),
        median(&mut alone[0].clone()),
        CPU,
    ));
    rows.push(Row::alone(
        &format!("memory (PSS), {cameras} cameras, 10 s window"),
        boxd.pss_mib() / f64::from(cameras),
        "MiB per camera",
    ));
    let watched = watched(stage, cameras, &boxd)?;
    rows.push(Row::alone(&format!("cpu, {cameras} cameras, all kept awake as by a viewer"), watched, CPU));
    sleep(WARM_UP);

    let scratch = stage.dir("peers")?;
    let peers = [
        ("ffmpeg -c copy -f hls", start_each(stage, cameras, &scratch, ffmpeg)?),
        ("gstreamer hlssink2", start_each(stage, cameras, &scratch, gstreamer)?),
    ];
    eprintln!("crowd: box, ffmpeg and GStreamer side by side");
    sleep(WARM_UP);
    let all = windows(cameras, &[&boxd, &peers[0].1, &peers[1].1]);
    for (index, (peer, process)) in peers.iter().enumerate() {
        let mut ratios: Vec<f64> =
            all[0].iter().zip(&all[index + 1]).map(|(ours, theirs)| ours / theirs).collect();
        let what = format!("cpu, {cameras} cameras, no viewer, side by side");
        rows.push(Row::beside(&what, median(&mut all[0].clone()), CPU, peer, median(&mut ratios)));
        rows.push(Row::alone(
            &format!("cpu of {peer}, side by side"),
            median(&mut all[index + 1].clone()),
            CPU,
        ));
        let (ours, theirs) = (boxd.pss_mib(), process.pss_mib());
        let what = format!("memory (PSS), {cameras} cameras, side by side");
        rows.push(Row::beside(&what, ours / f64::from(cameras), "MiB per camera", peer, ours / theirs));
    }
    Ok(rows)
}

const CPU: &str = "ms per camera-second";

/// What the box costs while each camera is asked for one playlist now and then: what viewers cost before their bytes.
fn watched(stage: &Stage, cameras: u32, boxd: &Measured) -> Result<f64> {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let viewer = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                for camera in 0..cameras {
                    stage.site().get(&format!("/cam{camera}/live.m3u8"))?;
                }
                sleep(LOOK);
            }
            anyhow::Ok(())
        });
        sleep(LOOK * 2);
        let mut values = windows(cameras, &[boxd]).swap_remove(0);
        over.store(true, Ordering::Relaxed);
        viewer.join().map_err(|_| anyhow::anyhow!("the viewer stopped"))??;
        Ok(median(&mut values))
    })
}

/// Milliseconds of processor time per camera-second, one value per window, for each process at the same time.
fn windows(cameras: u32, processes: &[&Measured]) -> Vec<Vec<f64>> {
    let mut values = vec![Vec::new(); processes.len()];
    for _ in 0..WINDOWS {
        let before: Vec<f64> = processes.iter().map(|process| process.cpu_ms()).collect();
        sleep(Duration::from_secs(WINDOW_S.into()));
        for ((process, before), values) in processes.iter().zip(before).zip(&mut values) {
            values.push((process.cpu_ms() - before) / f64::from(cameras * WINDOW_S));
        }
    }
    values
}

/// One process a camera, all children of one shell, writing to memory.
fn start_each(
    stage: &Stage,
    cameras: u32,
    scratch: &Path,
    one: fn(&str, &Path) -> String,
) -> Result<Measured> {
    let mut script = Vec::new();
    for index in 0..cameras {
        let dir = scratch.join(index.to_string());
        std::fs::create_dir_all(&dir)?;
        script.push(one(&camera_url(index), &dir));
    }
    let script = format!("{} & wait", script.join(" & "));
    Measured::start(Command::new("sh").arg("-c").arg(script), &stage.log("peers"))
}

fn ffmpeg(url: &str, dir: &Path) -> String {
    format!(
        "ffmpeg -nostdin -v error -rtsp_transport tcp -i {url} -c copy -f hls -hls_time 2 -hls_list_size 5 -hls_flags delete_segments {}/f.m3u8",
        dir.display()
    )
}

fn gstreamer(url: &str, dir: &Path) -> String {
    let dir = dir.display();
    format!(
        "gst-launch-1.0 -q rtspsrc location={url} protocols=tcp ! rtph264depay ! h264parse ! hlssink2 target-duration=2 max-files=5 playlist-length=5 location={dir}/g%05d.ts playlist-location={dir}/g.m3u8"
    )
}
