//! Cameras by other people's software are found by every protocol, and what is found can be played.

use std::{thread, time::Duration};

use anyhow::{Context, Result, ensure};
use lab::{
    boxd::Boxd,
    browser::{self, Browser, Page},
    cameras::{self, Auth},
    clips::{CLIPS, media},
    factory::Factory,
    test_name, world,
};
use serde_json::Value;

/// How soon a device that answers is on the list.
const FOUND: Duration = Duration::from_secs(20);

#[test]
fn cameras_are_found_and_adopted() {
    let test = test_name!();
    world::beside(test, || {
        let factory = Factory::new(test, &["box", "onvif", "mdns", "upnp", "plain", "viewer"])?;
        let host = |name: &str| factory.host(name);
        let _onvif = cameras::ipycam(host("onvif")?, &CLIPS[2])?;
        let mdns_stream = cameras::gst(host("mdns")?, &[("live", CLIPS[0].file())], Auth::Open)?;
        let _mdns = cameras::avahi(host("mdns")?, 554, "live")?;
        let _upnp = cameras::ssdp(host("upnp")?)?;
        let _plain = cameras::gst(host("plain")?, &[("live", media("mjpeg.mov"))], Auth::Open)?;

        let mut boxd = Boxd::start(host("box")?, "[discovery]\nadopt = true\n", &[])?;
        let mut complaints = Vec::new();
        for (name, source) in
            [("onvif", "ws_discovery"), ("mdns", "mdns"), ("upnp", "ssdp"), ("plain", "rtsp_sweep")]
        {
            let address = host(name)?.address().to_string();
            let found = boxd.wait_for(FOUND, &format!("{name} by {source}"), |boxd| {
                Ok(device(boxd, &address)?.is_some_and(|device| has(&device["sources"], source)))
            });
            match found {
                Ok(took) => println!("{name} is found by {source} after {:.1} s more", took.as_secs_f64()),
                Err(error) => {
                    complaints.push(format!("{error:#}").lines().next().unwrap_or_default().to_owned());
                }
            }
        }
        // One device is one line, however many protocols speak of it.
        let devices = boxd.site().json("/api/v1/devices")?;
        let count = devices.as_array().map_or(0, Vec::len);
        if count != 4 {
            complaints.push(format!("{count} devices are listed, not 4"));
        }
        complaints.extend(adopted(&mut boxd, &host("onvif")?.address().to_string(), host("viewer")?)?);
        let mdns = device(&boxd, &host("mdns")?.address().to_string())?.unwrap_or_default();
        // Port 554 is RTSP's own and goes without saying.
        let announced = mdns_stream.url("live").replace(":554/", "/");
        if !mdns["rtsp"].to_string().contains(&announced) {
            complaints.push(format!("the stream announced by mDNS is not known: {}", mdns["rtsp"]));
        }
        boxd.check_log()?;
        boxd.finish()?;
        ensure!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
        Ok(())
    });
}

/// The independent ONVIF device is resolved to its stream by itself and plays in a browser.
fn adopted(boxd: &mut Boxd, address: &str, viewer: &lab::factory::Host) -> Result<Vec<String>> {
    let camera = |boxd: &Boxd| -> Result<Option<String>> {
        let device = device(boxd, address)?.unwrap_or_default();
        Ok(device["camera"].as_str().map(str::to_owned))
    };
    boxd.wait_for(
        Duration::from_secs(20),
        "the ONVIF device's adoption",
        |boxd| Ok(camera(boxd)?.is_some()),
    )?;
    let id = camera(boxd)?.context("adopted and gone")?;
    boxd.wait_streaming(std::slice::from_ref(&id), Duration::from_secs(30))?;
    println!("adopted as {id}: {}", boxd.camera(&id)?["state"]);
    thread::sleep(Duration::from_secs(4));
    let page = Page { name: id.clone(), url: boxd.site().url(&format!("/{id}/")) };
    let watched = browser::play(viewer, Browser::Chromium, "chromium", &[page], 8)?;
    let mut complaints = Vec::new();
    for page in watched {
        println!("{}", page.figures());
        if !page.playing || page.media_seconds < 6.0 {
            complaints.push(format!("{id} does not play: {}", page.figures()));
        }
    }
    Ok(complaints)
}

fn device(boxd: &Boxd, address: &str) -> Result<Option<Value>> {
    let devices = boxd.site().json("/api/v1/devices")?;
    Ok(devices
        .as_array()
        .and_then(|all| all.iter().find(|device| has(&device["addresses"], address)).cloned()))
}

fn has(list: &Value, word: &str) -> bool {
    list.as_array().is_some_and(|list| list.iter().any(|value| value == word))
}
