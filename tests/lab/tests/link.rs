//! The public link, as an owner sets it up and a viewer watches it: one world, one browser that is never reloaded, and
//! every fault of the way in turn. Each prints the time until the picture moved again.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;
use lab::{
    clock::Clock,
    link::{Link, SUB},
    test_name, world,
};
use nix::sys::signal::Signal;

/// From the owner's claim to the picture, seconds.
const CLAIM_TO_PICTURE: f64 = 15.0;
/// From the camera to the viewer's screen, seconds.
const LATENCY: f64 = 3.0;
/// Until the picture moves again, seconds; and where UDP is gone for good.
const AGAIN: f64 = 15.0;
const AGAIN_OVER_TLS: f64 = 30.0;
/// No network for so long.
const OUTAGE: Duration = Duration::from_secs(60);
/// How long each poor line is watched, and the share of that by which the picture must have moved on.
const POOR: Duration = Duration::from_secs(15);
const SHARE: f64 = 0.8;
/// Back to UDP once it works again: the box tries it each minute.
const BACK_TO_UDP: Duration = Duration::from_secs(75);
/// Until the small picture goes out over a line that is too narrow for the large one.
const NARROW: Duration = Duration::from_secs(40);
/// The box's clock may be set ahead of what an earlier run may have used (WireGuard's stamps must not go back), seconds.
const AHEAD: f64 = 900.0;

#[test]
fn the_public_link_holds() {
    let test = test_name!();
    world::beside(test, || {
        let mut link = Link::start(test)?;
        let took = link.claim_to_picture();
        println!("from claim to playing: {took:.1} s");
        link.hold("from claim to playing", took, CLAIM_TO_PICTURE);
        link.no_way_in()?;
        thread::sleep(Duration::from_secs(8));
        let (median, worst) = link.latency()?;
        let told = link.look()?.stats["latency"].clone();
        println!("camera to screen: median {median:.2} s, worst {worst:.2} s; the player says {told} s");
        link.hold("camera to screen", median, LATENCY);

        link.fault("new ports at the NAT", AGAIN, |link| link.internet.rebind())?;
        link.fault("new address of the NAT", AGAIN, |link| link.internet.move_nat())?;
        link.fault("cloud restarted", AGAIN, |link| link.cloud.restart(Signal::SIGTERM))?;
        link.fault("hub killed and started", AGAIN, |link| link.cloud.restart(Signal::SIGKILL))?;
        link.fault("another address in DNS", AGAIN, |link| link.internet.move_hub())?;
        link.internet.cut(true)?;
        thread::sleep(OUTAGE);
        println!("while there is no network the page says {:?}", link.look()?.notice);
        link.fault("60 s without a network, since its return", AGAIN, |link| link.internet.cut(false))?;
        without_udp(&mut link)?;
        narrow_line(&mut link)?;
        link.fault("new address of the box", AGAIN, Link::move_box)?;
        wake_in_1970(&mut link)?;
        link.finish()
    });
}

/// UDP is dropped for good: TLS, also over lossy lines; and back when it works again.
fn without_udp(link: &mut Link) -> Result<()> {
    link.fault("no UDP any more", AGAIN_OVER_TLS, |link| link.internet.block_udp(true))?;
    let via = link.tunnel()?["via"].clone();
    if via != "tls" {
        link.complain(format!("without UDP the box says that it goes by {via}"));
    }
    link.internet.block_udp(false)?;
    let freed = Instant::now();
    let back = link.boxd.wait_for(BACK_TO_UDP, "UDP again", |boxd| {
        Ok(boxd.site().json("/api/v1/join")?["tunnel"]["via"] == "udp")
    });
    match back {
        Ok(_) => println!("back on UDP {:.0} s after it worked again", freed.elapsed().as_secs_f64()),
        Err(error) => link.complain(format!("{error:#}")),
    }
    for percent in [1, 5] {
        link.internet.lose(percent)?;
        link.watch(&format!("{percent} % loss"), POOR, SHARE)?;
    }
    link.internet.lose(0)
}

/// 1 Mbit/s: the small picture goes out, the status says so, and it plays.
fn narrow_line(link: &mut Link) -> Result<()> {
    link.internet.uplink(Some(1000))?;
    let narrowed = Instant::now();
    let short = link.boxd.wait_for(NARROW, "the word that the uplink is short", |boxd| {
        Ok(boxd.site().json("/api/v1/join")?["uplink"]["short"] == true)
    });
    match short {
        Ok(took) => println!("1 Mbit/s: the status says so after {:.1} s", took.as_secs_f64()),
        Err(error) => link.complain(format!("1 Mbit/s: {error:#}")),
    }
    while narrowed.elapsed() < NARROW && link.look()?.width != SUB.size.0 {
        thread::sleep(Duration::from_millis(200));
    }
    println!("1 Mbit/s: the small picture is on the screen after {:.1} s", narrowed.elapsed().as_secs_f64());
    thread::sleep(Duration::from_secs(5));
    let watched = link.watch("1 Mbit/s", POOR, SHARE)?;
    if watched.width != SUB.size.0 {
        link.complain(format!("1 Mbit/s: the picture is {} pixels wide", watched.width));
    }
    link.internet.uplink(None)
}

/// The power goes; the clock has no battery and starts in 1970.
fn wake_in_1970(link: &mut Link) -> Result<()> {
    let clock = Clock::showing("box", Duration::from_secs(30))?;
    link.fault("box restarted in 1970", AGAIN, |link| link.restart_box(Some(&clock)))?;
    let ahead = clock.ahead()?;
    println!("the box that woke in 1970 has set its clock to {ahead:+.0} s of the truth");
    if ahead.abs() > AHEAD {
        link.complain(format!("the box's clock is {ahead} s ahead of the truth"));
    }
    Ok(())
}
