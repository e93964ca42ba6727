//! What breaks comes back by itself, and disturbs nothing else.

use std::{
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, ensure};
use lab::{
    boxd::{Boxd, CameraConfig},
    browser::{self, Browser, Page},
    cameras::{self, Auth},
    clips::{CLIPS, Clip, Places},
    factory::{Factory, Host},
    judge::record::{Packaging, Recorder, Running},
    test_name, world,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// How long a camera is gone: longer than the player's buffer and several tries of the box.
const OUTAGE: Duration = Duration::from_secs(15);
/// How soon after it answers again the picture must move in a player that was open all the time.
const PICTURE: f64 = 5.0;
/// How long a player that is back with a nearly empty buffer may wait once more, milliseconds.
const REBUFFER_MS: f64 = 2_000.0;
/// Outages at most.
const TRIES: usize = 3;
/// How soon a killed worker must deliver again.
const WORKER: Duration = Duration::from_secs(3);

fn clip(name: &str) -> Result<Clip> {
    CLIPS.into_iter().find(|clip| clip.name == name).with_context(|| format!("no clip {name}"))
}

#[test]
fn what_breaks_comes_back() {
    let test = test_name!();
    world::inside(test, || {
        let factory = Factory::new(test, &["box", "gate", "yard", "viewer"])?;
        let (gate, yard, viewer) = (factory.host("gate")?, factory.host("yard")?, factory.host("viewer")?);
        let gate_clip = [clip("h264-main-aac")?];
        let yard_clips = [clip("h264-bframes-aac")?, clip("h265")?];
        let gate_camera = cameras::gst(gate, &cameras::turns(&gate_clip), Auth::Digest)?;
        let yard_camera = cameras::gst(yard, &cameras::turns(&yard_clips), Auth::Open)?;
        let configs = [
            CameraConfig::open("gate", gate_camera.url(gate_clip[0].name)).with_password(),
            CameraConfig::open("yard", yard_camera.url(yard_clips[0].name)),
            CameraConfig::open("hall", yard_camera.url(yard_clips[1].name)).over_udp(),
        ];
        let ids: Vec<String> = configs.iter().map(|config| config.id.clone()).collect();
        let mut boxd = Boxd::start(factory.host("box")?, "[discovery]\nenabled = false\n", &configs)?;
        boxd.wait_streaming(&ids, Duration::from_secs(20))?;
        thread::sleep(Duration::from_secs(5));

        let folder = viewer.log("recordings").with_extension("");
        std::fs::create_dir_all(&folder)?;
        let mut bystanders = Vec::new();
        for id in ["yard", "hall"] {
            for packaging in [Packaging::Fmp4, Packaging::Ts] {
                bystanders.push(Recorder::start(boxd.site(), id, packaging, &folder)?);
            }
        }
        let bystanders = Running::start(bystanders);
        let mut complaints = killed_worker(&mut boxd)?;
        let (mut found, mut camera) = killed_camera(&boxd, viewer, gate, &gate_clip, gate_camera)?;
        // A neighbour of a virtual machine may have stopped it for a moment: the last outage counts.
        for _ in 1..TRIES {
            if found.is_empty() {
                break;
            }
            println!("complaints, watched again: {}", found.join("; "));
            thread::sleep(Duration::from_secs(5));
            (found, camera) = killed_camera(&boxd, viewer, gate, &gate_clip, camera)?;
        }
        drop(camera);
        complaints.extend(found);
        let bystanders = bystanders.finish()?;
        boxd.finish()?;

        for recording in bystanders {
            let name = recording.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let clip = if name.starts_with("yard") { yard_clips[0] } else { yard_clips[1] };
            let run = Places::of(&clip.file())?.compare(&recording.file)?;
            println!(
                "{name}: {} frames in {:.1} s, {} breaks",
                run.frames,
                recording.seconds,
                run.breaks.len()
            );
            let found = recording.faults.into_iter().chain(run.breaks);
            complaints.extend(found.map(|fault| format!("bystander {name}: {fault}")));
        }
        ensure!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
        std::fs::remove_dir_all(folder)?;
        Ok(())
    });
}

/// Kills the worker of one camera three times.
fn killed_worker(boxd: &mut Boxd) -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    for round in 1..=3 {
        let worker = |boxd: &Boxd| -> Result<u32> {
            let workers = boxd.workers()?;
            let found = workers.into_iter().find(|(id, _)| id == "gate");
            Ok(found.context("the gate has no worker")?.1)
        };
        let old = worker(boxd)?;
        kill(Pid::from_raw(old as i32), Signal::SIGKILL)?;
        // What the dead worker still had in its pipe is not a recovery.
        thread::sleep(Duration::from_millis(100));
        let units =
            |boxd: &Boxd| -> Result<Option<u64>> { Ok(boxd.camera("gate")?["facts"]["units"].as_u64()) };
        let before = units(boxd)?;
        let took = boxd.wait_for(Duration::from_secs(15), "the gate's new worker to deliver", |boxd| {
            Ok(worker(boxd).is_ok_and(|new| new != old) && units(boxd)? > before)
        })? + Duration::from_millis(100);
        println!("worker killed, round {round}: pictures again after {:.2} s", took.as_secs_f64());
        if took > WORKER {
            complaints.push(format!("a killed worker was back after {:.1} s only", took.as_secs_f64()));
        }
        thread::sleep(Duration::from_secs(4));
    }
    Ok(complaints)
}

/// Kills a camera and starts it again while three players watch it.
fn killed_camera(
    boxd: &Boxd,
    viewer: &Host,
    gate: &Host,
    clips: &[Clip],
    camera: cameras::Camera,
) -> Result<(Vec<String>, cameras::Camera)> {
    let page = |engine: &str| Page {
        name: engine.to_owned(),
        url: boxd.site().url(&format!("/gate/?player={engine}")),
    };
    let chromium = browser::open(viewer, Browser::Chromium, "chromium", &[page("hlsjs"), page("native")])?;
    let firefox = browser::open(viewer, Browser::Firefox, "firefox", &[page("hlsjs")])?;
    thread::sleep(Duration::from_secs(3));

    drop(camera);
    thread::sleep(OUTAGE);
    let said = boxd.camera("gate")?;
    println!("while it is gone: {}", said["sentence"]);
    let camera = cameras::gst(gate, &cameras::turns(clips), Auth::Digest)?;
    let answered = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as f64;
    thread::sleep(Duration::from_secs(15));

    let mut complaints = Vec::new();
    if said["sentence"].as_str().is_none_or(str::is_empty) {
        complaints.push(format!("a camera that is gone is said to be {}", said["state"]));
    }
    for (browser, open) in [(Browser::Chromium, chromium), (Browser::Firefox, firefox)] {
        for page in open.close()? {
            let name = format!("{browser:?} {}", page.name);
            // The stall that the outage made ends with the first picture after the answer.
            let limit = answered + PICTURE * 1000.0;
            let (during, later): (Vec<_>, Vec<_>) =
                page.stalls.iter().partition(|stall| stall.at - stall.ms < limit);
            let moved = during.iter().map(|stall| stall.at).fold(f64::MIN, f64::max);
            let stood: Vec<String> = page
                .stalls
                .iter()
                .map(|stall| {
                    format!("{:.1} s until {:+.2} s", stall.ms / 1000.0, (stall.at - answered) / 1000.0)
                })
                .collect();
            println!("{name}: after the camera answered, stood still {}", stood.join(", "));
            // A browser's own player may hold more than the whole outage in its buffer, and never stand still.
            let never_stood = during.is_empty() && page.name.contains("native");
            if !page.playing || during.is_empty() && !never_stood || moved > limit {
                let took = (moved - answered) / 1000.0;
                complaints
                    .push(format!("{name}: moves {took:.1} s after the camera answers, {}", page.figures()));
            }
            for stall in later.into_iter().filter(|stall| stall.ms > REBUFFER_MS) {
                complaints
                    .push(format!("{name}: back, then stood still again for {:.1} s", stall.ms / 1000.0));
            }
            if !page.stats["playing"].as_bool().unwrap_or(false) {
                complaints.push(format!("{name}: does not play at the end: {}", page.stats));
            }
        }
    }
    Ok((complaints, camera))
}
