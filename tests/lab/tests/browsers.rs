//! Chromium and Firefox play every H.264 stream from three servers for a minute, without a stall.
//!
//! Each engine of Chromium's plays each clip, Firefox every other one; together they play each clip from several servers. With
//! `STREAMBOX_BROWSERS=all`, as `cargo xtask soak` sets it, each engine plays each clip from each server.

use std::time::Duration;

use anyhow::{Result, ensure};
use lab::{
    boxd::{Boxd, CameraConfig},
    browser::{self, Browser, Page, TRIES},
    cameras::{self, Auth},
    clips::{CLIPS, Clip, FRAMES_PER_SECOND},
    factory::{Factory, Host},
    load::Load,
    test_name, world,
};

/// How long each page is watched.
const SECONDS: u64 = 60;
/// Share of the frames that a browser must have counted.
const FRAMES: f64 = 0.95;
/// How far the picture may lag behind the camera in hls.js, seconds.
const LATENCY: f64 = 2.0;

#[test]
fn chromium_plays_with_hlsjs_for_a_minute() {
    every_stream(test_name!(), 0, Browser::Chromium, "hlsjs", 6);
}

#[test]
fn chromium_plays_natively_for_a_minute() {
    every_stream(test_name!(), 1, Browser::Chromium, "native", 9);
}

#[test]
fn firefox_plays_with_hlsjs_for_a_minute() {
    every_stream(test_name!(), 2, Browser::Firefox, "hlsjs", 3);
}

const SERVERS: [&str; 3] = ["gst", "vlc", "relay"];

/// Which server's stream of the `clip`-th clip an engine plays: another one for each engine and from clip to clip.
fn server(clip: usize, engine: usize) -> &'static str {
    SERVERS[(clip + engine) % SERVERS.len()]
}

/// Plays every stream, as many `side_by_side` as two cores show with time to spare.
fn every_stream(test: &str, turn: usize, browser: Browser, engine: &str, side_by_side: usize) {
    let all = std::env::var_os("STREAMBOX_BROWSERS").is_some_and(|which| which == "all");
    world::inside(test, || {
        let clips: Vec<Clip> = CLIPS.into_iter().filter(|clip| clip.h264).collect();
        let factory = Factory::new(test, &["box", "gst", "vlc", "relay", "viewer"])?;
        let gst = cameras::gst(factory.host("gst")?, &cameras::turns(&clips), Auth::Basic)?;
        let vlc = cameras::vlc(factory.host("vlc")?, &cameras::long(&clips))?;
        let relay = cameras::relay(factory.host("relay")?, &cameras::long(&clips))?;
        let mut configs = Vec::new();
        // Firefox shows three at a time only, a minute each.
        let every = if all || browser == Browser::Chromium { 1 } else { 2 };
        for (at, clip) in clips.iter().enumerate().step_by(every) {
            for name in SERVERS.into_iter().filter(|name| all || *name == server(at, turn)) {
                let id = format!("{name}-{}", clip.name);
                configs.push(match name {
                    "gst" => CameraConfig::open(id, gst.url(clip.name)).with_password(),
                    "vlc" => CameraConfig::open(id, vlc.url(clip.name)).over_udp(),
                    _ => CameraConfig::open(id, relay.url(clip.name)).over_udp(),
                });
            }
        }
        let ids: Vec<String> = configs.iter().map(|config| config.id.clone()).collect();
        let mut boxd = Boxd::start(factory.host("box")?, "[discovery]\nenabled = false\n", &configs)?;
        let (ids, mut complaints) = boxd.streaming(&ids, Duration::from_secs(30))?;
        std::thread::sleep(Duration::from_secs(5));

        let viewer = factory.host("viewer")?;
        for (round, ids) in ids.chunks(side_by_side).enumerate() {
            let mut found = Vec::new();
            for attempt in 1..=TRIES {
                let load = Load::now()?;
                found = watch(&boxd, viewer, browser, engine, round, ids)?;
                boxd.check_log()?;
                let foreign = load.foreign_cores()?;
                println!("  other programs on this machine kept {foreign:.2} cores busy meanwhile");
                if found.is_empty() || attempt == TRIES {
                    break;
                }
                println!("  complaints, watched again: {}", found.join("; "));
            }
            complaints.extend(found);
        }
        boxd.finish()?;
        ensure!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
        Ok(())
    });
}

fn watch(
    boxd: &Boxd,
    viewer: &Host,
    browser: Browser,
    engine: &str,
    round: usize,
    ids: &[String],
) -> Result<Vec<String>> {
    let pages: Vec<Page> = ids
        .iter()
        .map(|id| Page { name: id.clone(), url: boxd.site().url(&format!("/{id}/?player={engine}")) })
        .collect();
    let log = format!("{browser:?}-{engine}-{round}").to_lowercase();
    let watched = browser::play(viewer, browser, &log, &pages, SECONDS)?;
    println!("{browser:?} with {engine}, {} pages side by side:", pages.len());
    let mut complaints = Vec::new();
    if watched.len() != pages.len() {
        complaints.push(format!("{browser:?} reported on {} of {} pages", watched.len(), pages.len()));
    }
    for page in watched {
        println!("  {}", page.figures());
        let mut found = page.complaints(FRAMES_PER_SECOND, FRAMES);
        if page.playing && page.seconds < SECONDS as f64 {
            found.push(format!("{}: watched for {:.0} s only", page.name, page.seconds));
        }
        if engine == "hlsjs" && page.stats["latency"].as_f64().is_none_or(|latency| latency > LATENCY) {
            found.push(format!("{}: {} s behind the camera", page.name, page.stats["latency"]));
        }
        if page.stats["engine"] != engine {
            found.push(format!("{}: played by {}", page.name, page.stats["engine"]));
        }
        complaints.extend(found.into_iter().map(|complaint| format!("{browser:?} {engine}: {complaint}")));
    }
    Ok(complaints)
}
