//! Every codec from three servers by other people: each frame that the camera sent comes out once, in both
//! packagings, in streams that no judge has a word against.

use std::{
    collections::HashMap,
    path::Path,
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow, ensure};
use lab::{
    boxd::{Boxd, CameraConfig},
    cameras::{self, Auth},
    clips::{CLIPS, Clip, FRAMES_PER_SECOND, Places},
    factory::Factory,
    judge::{
        record::{Packaging, Recorder, Recording, Running},
        tools,
    },
    test_name, world,
};

/// Longer than two turns of a clip, so that a seam is inside.
const RECORD_SECONDS: u64 = 20;

#[test]
fn every_frame_comes_out_once() {
    let test = test_name!();
    world::inside(test, || {
        let factory = Factory::new(test, &["box", "gst", "vlc", "relay", "viewer"])?;
        let gst = cameras::gst(factory.host("gst")?, &cameras::turns(&CLIPS), Auth::Digest)?;
        let vlc = cameras::vlc(factory.host("vlc")?, &cameras::long(&CLIPS))?;
        let relay = cameras::relay(factory.host("relay")?, &cameras::long(&CLIPS))?;

        let mut configs = Vec::new();
        let mut clips = HashMap::new();
        for clip in CLIPS {
            let mut add = |server: &str, config: CameraConfig| {
                let id = format!("{server}-{}", clip.name);
                clips.insert(id.clone(), clip);
                configs.push(CameraConfig { id, ..config });
            };
            add("gst", CameraConfig::open("", gst.url(clip.name)).with_password());
            add("vlc", CameraConfig::open("", vlc.url(clip.name)).over_udp());
            add("relay", CameraConfig::open("", relay.url(clip.name)).over_udp());
        }
        let ids: Vec<String> = configs.iter().map(|config| config.id.clone()).collect();
        let mut boxd = Boxd::start(factory.host("box")?, "[discovery]\nenabled = false\n", &configs)?;
        let (ids, mut complaints) = boxd.streaming(&ids, Duration::from_secs(30))?;

        let viewer = factory.host("viewer")?;
        let folder = viewer.log("recordings").with_extension("");
        std::fs::create_dir_all(&folder)?;
        let mut recorders = Vec::new();
        for id in &ids {
            for packaging in [Packaging::Fmp4, Packaging::Ts] {
                recorders.push(Recorder::start(boxd.site(), id, packaging, &folder)?);
            }
        }
        let running = Running::start(recorders);
        thread::sleep(Duration::from_secs(RECORD_SECONDS));
        let recordings = running.finish()?;

        complaints.extend(live_players(&boxd, viewer, &mut |line| println!("{line}"))?);
        boxd.check_log()?;
        boxd.finish()?;
        drop((gst, vlc, relay));

        complaints.extend(judge(recordings, &clips)?);
        complaints.extend(tools::playlist_faults(viewer, &folder.join("playlists"), "playlists")?);
        ensure!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
        std::fs::remove_dir_all(folder)?;
        Ok(())
    });
}

/// Players that follow the live playlist by themselves.
fn live_players(
    boxd: &Boxd,
    viewer: &lab::factory::Host,
    say: &mut impl FnMut(String),
) -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    for id in ["gst-h264-bframes-aac", "gst-h265-bframes", "vlc-h264-main-aac", "relay-h265-aac"] {
        for list in ["index.m3u8", "ts/index.m3u8"] {
            let url = boxd.site().url(&format!("/{id}/{list}"));
            let (found, warnings) = tools::ffprobe_live(viewer, &url, &format!("ffprobe-{id}"))?;
            let streams = found["streams"].as_array().map_or(0, Vec::len);
            if streams != if id.ends_with("aac") { 2 } else { 1 } {
                complaints.push(format!("{id}/{list}: ffprobe finds {streams} streams"));
            }
            complaints.extend(warnings.into_iter().map(|line| format!("{id}/{list}: ffprobe: {line}")));
        }
    }
    let url = boxd.site().url("/gst-h264-main-aac/index.m3u8");
    let frames = tools::gstreamer_frames(viewer, &url, 12, "gstreamer")?;
    say(format!("GStreamer showed {frames} frames in 12 s"));
    if (frames as f64) < 6.0 * FRAMES_PER_SECOND {
        complaints.push(format!("GStreamer showed {frames} frames in 12 s"));
    }
    Ok(complaints)
}

/// Decodes and inspects every recording, on as many threads as there are cores.
fn judge(recordings: Vec<Recording>, clips: &HashMap<String, Clip>) -> Result<Vec<String>> {
    let mut places = HashMap::new();
    for clip in CLIPS {
        places.insert(clip.name, Places::of(&clip.file())?);
    }
    let start = Instant::now();
    let queue = Mutex::new(recordings);
    let complaints = Mutex::new(Vec::new());
    let worker = || -> Result<()> {
        loop {
            let Some(recording) = queue.lock().ok().and_then(|mut queue| queue.pop()) else { return Ok(()) };
            let id = recording.file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let found = inspect(&recording, &places[clips[&id].name], clips[&id])?;
            if let Ok(mut complaints) = complaints.lock() {
                complaints.extend(found);
            }
        }
    };
    let cores = thread::available_parallelism().map_or(2, usize::from);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(worker)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| anyhow!("a judge panicked"))?)
    })?;
    println!("judged in {:.0} s", start.elapsed().as_secs_f64());
    Ok(complaints.into_inner().unwrap_or_default())
}

fn inspect(recording: &Recording, places: &Places, clip: Clip) -> Result<Vec<String>> {
    let file: &Path = &recording.file;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let mut complaints = recording.faults.clone();
    let run = places.compare(file)?;
    // Each second of playlist is that many frames, decoded once each, in order.
    let expected = recording.seconds * FRAMES_PER_SECOND;
    if (run.frames as f64 - expected).abs() > 2.0 || recording.seconds < RECORD_SECONDS as f64 * 0.8 {
        complaints.push(format!("{} frames in {:.1} s", run.frames, recording.seconds));
    }
    complaints.extend(run.breaks.iter().take(5).cloned());
    let crowded = tools::crowded_pictures(file, FRAMES_PER_SECOND)?;
    if crowded > 0 {
        complaints.push(format!("{crowded} pictures are shown together with another"));
    }
    complaints.extend(tools::ffprobe_warnings(file)?.into_iter().map(|line| format!("ffprobe: {line}")));
    complaints
        .extend(tools::ffmpeg_warnings(file)?.into_iter().take(5).map(|line| format!("ffmpeg: {line}")));
    let mut figures = String::new();
    if let Some(fmp4) = &recording.fmp4 {
        complaints.extend(fmp4.faults.iter().cloned());
        let tracks = 1 + usize::from(clip.sound);
        if fmp4.samples.len() != tracks {
            complaints.push(format!("{} tracks with samples, not {tracks}", fmp4.samples.len()));
        }
        figures = format!("{} fragments", fmp4.fragments);
    }
    if let Some(ts) = &recording.ts {
        complaints.extend(ts.faults.iter().cloned());
        if ts.continuity_errors > 0 {
            complaints.push(format!("{} continuity errors", ts.continuity_errors));
        }
        if ts.pcr_gap_ms > 100.0 || ts.pcrs == 0 {
            complaints.push(format!("{} clock references, up to {:.1} ms apart", ts.pcrs, ts.pcr_gap_ms));
        }
        let tracks = 1 + usize::from(clip.sound);
        if ts.units.len() != tracks {
            complaints.push(format!("{} elementary streams, not {tracks}", ts.units.len()));
        }
        complaints
            .extend(tools::tshark_faults(file)?.into_iter().take(5).map(|line| format!("tshark: {line}")));
        figures = format!("{} continuity errors, PCR <= {:.1} ms", ts.continuity_errors, ts.pcr_gap_ms);
    }
    println!(
        "{name:<32} {:>4} frames in {:>5.1} s, {} breaks, {figures}",
        run.frames,
        recording.seconds,
        run.breaks.len()
    );
    Ok(complaints.into_iter().map(|complaint| format!("{name}: {complaint}")).collect())
}
