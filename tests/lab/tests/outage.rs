//! A camera that is killed and started again at known times: what the cloud tells of it afterwards is right to a second, and
//! its ping to half a minute.

use std::{
    path::PathBuf,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, ensure};
use lab::{
    boxd::{Boxd, CameraConfig},
    cloud::Cloud,
    factory::Factory,
    internet::{Internet, VIDEO},
    member::Member,
    simcam::Simcam,
    test_name,
    tls::Authority,
    world::{self, SCRATCH},
};
use nix::sys::signal::Signal;
use serde_json::Value;

/// How far a told time of a picture may be from the true one, seconds.
const PICTURE: f64 = 1.0;
/// The same for the ping.
const PING: f64 = 30.0;
/// How soon after the first picture the end is told, seconds: with the box's next report.
const TOLD: f64 = 35.0;
/// How long the camera is away. The box tries again after pauses of a minute at most, which are shorter at first.
const AWAY: Duration = Duration::from_secs(35);
/// How long it is there before.
const BEFORE: Duration = Duration::from_secs(32);

#[test]
fn an_outage_is_told_as_it_was() {
    let test = test_name!();
    world::beside(test, || {
        let factory = Factory::new(test, &["box", "gate"])?;
        let internet = Internet::new(test, &[factory.host("box")?])?;
        let authority = Authority::new(&PathBuf::from(SCRATCH).join("tls"), &[VIDEO])?;
        let mut simcam = Simcam::start(factory.host("gate")?, &["--name", "Gate"])?;
        let cloud = Cloud::start(internet.cloud(), &authority, None)?;
        let cameras = [CameraConfig::open("gate", simcam.rtsp(0))];
        let configuration = format!("[discovery]\nenabled = false\n\n{}", Cloud::box_config(&authority));
        let mut boxd = Boxd::start(factory.host("box")?, &configuration, &cameras)?;
        boxd.wait_streaming(&["gate".to_owned()], Duration::from_secs(20))?;
        cloud.enrol(&mut boxd, "ACME")?;
        let link = cloud.link("gate")?;

        let printed =
            cloud.owner(&["person", "add", "owner@example.org", "--tenant", "ACME", "--role", "owner"])?;
        let mut door = cloud.site().open(internet.viewer())?;
        let member = Member::invited(&printed, |path, body| door.post(path, body))?;
        let ask = |path: &str| -> Result<Value> {
            let path = format!("/api/v1/cameras/{}/{path}", link.id);
            let answer = cloud.site().open(internet.viewer())?.ask_with(&path, &member.headers)?;
            ensure!(answer.status == 200, "{path}: {} {}", answer.status, answer.text());
            Ok(serde_json::from_slice(&answer.body)?)
        };

        thread::sleep(BEFORE);
        let before = ask("status")?;
        ensure!(before["state"] == "streaming" && before["ping_ms"].is_u64(), "before: {before}");
        let killed = now()?;
        simcam.process().signal(Signal::SIGKILL)?;
        simcam.process().wait(Duration::from_secs(5))?;
        thread::sleep(AWAY);
        let during = ask("status")?;
        ensure!(during["state"] == "out" && during["ping_ms"].is_null(), "meanwhile: {during}");
        let simcam = Simcam::start(factory.host("gate")?, &["--name", "Gate"])?;
        let end = Instant::now() + Duration::from_secs(60);
        let first = loop {
            if let Some((_, at)) = factory.host("gate")?.within(|| simcam.sent())?.first() {
                break *at as f64 / 1e6;
            }
            ensure!(Instant::now() < end, "the box does not come back to the camera");
            thread::sleep(Duration::from_millis(100));
        };
        let (events, told) = loop {
            let events = ask("events")?;
            let all = events.as_array().context("no list")?;
            if let Some(told) =
                all.iter().find(|event| event["to_ms"].as_f64().is_some_and(|to| to / 1e3 > killed))
            {
                break (events.clone(), told.clone());
            }
            ensure!(now()? < first + TOLD, "the end of the outage is not told: {events}");
            thread::sleep(Duration::from_millis(500));
        };
        println!("told {:.1} s after the first picture", now()? - first);
        let at = |name: &str| told[name].as_f64().unwrap_or(0.0) / 1e3;
        println!(
            "off by {:+.2} s where it began, {:+.2} s where it ended",
            at("from_ms") - killed,
            at("to_ms") - first
        );
        ensure!((at("from_ms") - killed).abs() < PICTURE, "killed at {killed}: {events}");
        ensure!((at("to_ms") - first).abs() < PICTURE, "first picture at {first}: {events}");
        ensure!(told["reason"] == "camera", "{events}");

        let graph = ask("latency")?;
        let points = graph["points"].as_array().context("no points")?;
        for point in points {
            let (time, silent) = (point[0].as_f64().unwrap_or(0.0) / 1e3, point[1].is_null());
            let near = [killed, first].iter().any(|edge| (time - edge).abs() <= PING);
            ensure!(near || silent == (killed < time && time < first), "{point} of {graph}");
        }
        ensure!(points.iter().any(|point| point[1].is_u64()), "no ping was answered: {graph}");
        boxd.finish()?;
        cloud.check_log()
    });
}

/// Seconds since 1970.
fn now() -> Result<f64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64())
}
