//! The public link, as an owner sets it up and a viewer watches it: one world, one browser that is never reloaded, and
//! every fault of the way in turn. Each prints the time until the picture moved again.

use std::{
    net::{Ipv4Addr, SocketAddrV4, TcpStream},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, ensure};
use lab::{
    boxd::{Boxd, CameraConfig},
    browser::{self, Open, Page, Watched},
    clips::Numbered,
    clock::Clock,
    cloud::Cloud,
    factory::Factory,
    internet::{Internet, VIDEO},
    simcam::Simcam,
    test_name,
    tls::Authority,
    world::{self, SCRATCH},
};
use nix::sys::signal::Signal;

/// What the camera shows large and small.
const MAIN: Numbered = Numbered { name: "numbered", size: (640, 360), kbit: 2500 };
const SUB: Numbered = Numbered { name: "numbered", size: (320, 180), kbit: 300 };

/// From the owner's claim to the picture, seconds.
const CLAIM_TO_PICTURE: f64 = 15.0;
/// From the camera to the viewer's screen, seconds.
const LATENCY: f64 = 3.0;
/// Until the picture moves again, seconds; and where UDP is gone for good.
const AGAIN: f64 = 15.0;
const AGAIN_OVER_TLS: f64 = 30.0;
/// No network for so long.
const OUTAGE: Duration = Duration::from_secs(60);
/// A link that is back must have moved for so long without standing still, seconds.
const SETTLED: f64 = 4.0;
/// What a player has in its buffer hides a fault for at most so long, seconds.
const BUFFER: f64 = 8.0;
/// How long each poor line is watched, and the share of that by which the picture must have moved on.
const POOR: Duration = Duration::from_secs(15);
const POOR_SHARE: f64 = 0.8;
/// Back to UDP once it works again: the box tries it each minute.
const BACK_TO_UDP: Duration = Duration::from_secs(75);
/// Until the small picture goes out over a line that is too narrow for the large one.
const NARROW: Duration = Duration::from_secs(40);

/// Everything there is.
struct Link {
    factory: Factory,
    internet: Internet,
    cloud: Cloud,
    boxd: Boxd,
    configuration: String,
    cameras: Vec<CameraConfig>,
    simcam: Simcam,
    screen: Open,
    complaints: Vec<String>,
}

#[test]
fn the_public_link_holds() {
    let test = test_name!();
    world::inside(test, || {
        let factory = Factory::new(test, &["box", "gate"])?;
        let internet = Internet::new(test, &[factory.host("box")?])?;
        let authority = Authority::new(&std::path::PathBuf::from(SCRATCH).join("tls"), &[VIDEO])?;
        let sub = SUB.file()?.display().to_string();
        let gate = factory.host("gate")?;
        let simcam =
            Simcam::playing(gate, &MAIN.file()?, &["--sub", &sub, "--sub-fps", "25", "--name", "Gate"])?;
        let cloud = Cloud::start(internet.cloud(), &authority, None)?;
        let cameras = vec![CameraConfig::open("gate", simcam.onvif(0))];
        let configuration = format!("[discovery]\nenabled = false\n\n{}", Cloud::box_config(&authority));
        let mut boxd = Boxd::start(factory.host("box")?, &configuration, &cameras)?;
        boxd.wait_streaming(&["gate".to_owned()], Duration::from_secs(20))?;

        let claimed = Instant::now();
        let joined = cloud.enrol(&mut boxd, "ACME")?;
        let link = cloud.link("gate")?;
        println!(
            "joined {:.1} s after the claim, link after {:.1} s: {}",
            joined.as_secs_f64(),
            claimed.elapsed().as_secs_f64(),
            link.url
        );
        let page = [Page { name: "link".into(), url: link.url.clone() }];
        let screen = browser::open_trusting(internet.viewer(), "chromium", &page, authority.fingerprint())?;
        let took = claimed.elapsed().as_secs_f64();
        println!("from claim to playing: {took:.1} s");

        let mut link = Link {
            factory,
            internet,
            cloud,
            boxd,
            configuration,
            cameras,
            simcam,
            screen,
            complaints: Vec::new(),
        };
        link.hold("from claim to playing", took, CLAIM_TO_PICTURE);
        link.no_way_in()?;
        link.latency()?;
        link.faults()?;

        let Link { cloud, boxd, screen, complaints, .. } = link;
        let watched = screen.close()?;
        boxd.finish()?;
        cloud.check_log()?;
        println!("{}", watched.first().context("no report")?.figures());
        ensure!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
        Ok(())
    });
}

impl Link {
    /// Each fault in turn.
    fn faults(&mut self) -> Result<()> {
        self.fault("new ports at the NAT", AGAIN, |link| link.internet.rebind())?;
        self.fault("new address of the NAT", AGAIN, |link| link.internet.move_nat())?;
        self.fault("cloud restarted", AGAIN, |link| link.cloud.restart(Signal::SIGTERM))?;
        self.fault("hub killed and started", AGAIN, |link| link.cloud.restart(Signal::SIGKILL))?;
        self.fault("another address in DNS", AGAIN, |link| link.internet.move_hub())?;
        self.internet.cut(true)?;
        thread::sleep(OUTAGE);
        let away = self.look()?;
        println!("while there is no network the page says {:?}", away.notice);
        self.fault("60 s without a network, since its return", AGAIN, |link| link.internet.cut(false))?;

        self.fault("no UDP any more", AGAIN_OVER_TLS, |link| link.internet.block_udp(true))?;
        let via = self.via()?;
        if via != "tls" {
            self.complaints.push(format!("without UDP the box says that it goes by {via}"));
        }
        self.internet.block_udp(false)?;
        self.poor_lines()?;
        let freed = Instant::now();
        let back = self.boxd.wait_for(BACK_TO_UDP, "UDP again", |boxd| Ok(tunnel(boxd)?["via"] == "udp"));
        match back {
            Ok(_) => println!(
                "back on UDP at most {:.0} s after it worked again",
                freed.elapsed().as_secs_f64() + 30.0
            ),
            Err(error) => self.complaints.push(format!("{error:#}")),
        }
        self.narrow_line()?;

        self.fault("new address of the box", AGAIN, |link| {
            let address = Ipv4Addr::new(10, 77, 0, 101);
            link.factory.readdress("box", address)?;
            link.boxd.moved(address);
            Ok(())
        })?;
        self.fault("box restarted in 1970", AGAIN, Self::wake_in_1970)
    }

    /// Does something and waits until the picture moves again.
    fn fault(&mut self, what: &str, limit: f64, bring: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let start = now_ms()?;
        let before = self.look()?.position;
        bring(self)?;
        let (outcome, still) = loop {
            let seen = self.look()?;
            let now = now_ms()?;
            let passed = (now - start) / 1000.0;
            let back =
                seen.stalls.iter().map(|stall| stall.at).filter(|at| *at > start).fold(start, f64::max);
            let still = seen.stall_ms > 500.0;
            if !still && passed > BUFFER && (now - back) / 1000.0 > SETTLED && seen.position > before {
                break (Some((back - start) / 1000.0), String::new());
            }
            if passed > limit + BUFFER + SETTLED {
                break (None, format!("notice {:?}, {}", seen.notice, seen.stats));
            }
            thread::sleep(Duration::from_millis(200));
        };
        match outcome {
            Some(0.0) => println!("{what}: the picture never stood still"),
            Some(took) => {
                println!("{what}: the picture moves again after {took:.1} s");
                self.hold(what, took, limit);
            }
            None => {
                let tunnel = tunnel(&self.boxd).unwrap_or_default();
                println!("{what}: NO PICTURE; {still}; tunnel {tunnel}");
                self.complaints.push(format!("{what}: no picture; {still}; tunnel {tunnel}"));
            }
        }
        Ok(())
    }

    /// Lossy lines: the picture goes on.
    fn poor_lines(&mut self) -> Result<()> {
        for percent in [1, 5] {
            self.internet.lose(percent)?;
            let before = self.look()?;
            thread::sleep(POOR);
            let after = self.look()?;
            let moved = after.position - before.position;
            let longest = stood(&before, &after);
            println!(
                "{percent} % loss: {moved:.1} s of media in {:.0} s, longest stall {longest:.1} s",
                POOR.as_secs_f64()
            );
            if moved < POOR.as_secs_f64() * POOR_SHARE {
                self.complaints.push(format!("{percent} % loss: only {moved:.1} s of media"));
            }
        }
        self.internet.lose(0)
    }

    /// 1 Mbit/s: the small picture goes out, the status says so, and it plays.
    fn narrow_line(&mut self) -> Result<()> {
        self.internet.uplink(Some(1000))?;
        let narrowed = Instant::now();
        let short = self.boxd.wait_for(NARROW, "the word that the uplink is short", |boxd| {
            Ok(boxd.site().json("/api/v1/join")?["uplink"]["short"] == true)
        });
        match short {
            Ok(took) => println!("1 Mbit/s: the status says so after {:.1} s", took.as_secs_f64()),
            Err(error) => self.complaints.push(format!("1 Mbit/s: {error:#}")),
        }
        while narrowed.elapsed() < NARROW && self.look()?.width != SUB.size.0 {
            thread::sleep(Duration::from_millis(200));
        }
        thread::sleep(Duration::from_secs(5));
        let before = self.look()?;
        thread::sleep(POOR);
        let after = self.look()?;
        let (moved, longest) = (after.position - before.position, stood(&before, &after));
        println!(
            "1 Mbit/s: {moved:.1} s of media in {:.0} s, longest stall {longest:.1} s, {} pixels wide; notice {:?}",
            POOR.as_secs_f64(),
            after.width,
            after.notice,
        );
        if moved < POOR.as_secs_f64() * POOR_SHARE || after.width != SUB.size.0 {
            let width = after.width;
            self.complaints.push(format!("1 Mbit/s: only {moved:.1} s of media, {width} pixels wide"));
        }
        self.internet.uplink(None)
    }

    /// The power goes; the clock has no battery and starts in 1970.
    fn wake_in_1970(&mut self) -> Result<()> {
        let clock = Clock::showing("box", Duration::from_secs(30))?;
        self.boxd.process().signal(Signal::SIGKILL)?;
        self.boxd.process().wait(Duration::from_secs(5))?;
        let host = self.factory.host("box")?;
        self.boxd =
            Boxd::start_with(host, &self.configuration, &self.cameras, |command| clock.give(command))?;
        let ahead = clock.ahead()?;
        println!("the box that woke in 1970 set its clock to {ahead:+.0} s of the truth");
        if ahead < -86_400.0 * 366.0 {
            self.complaints.push("the box goes on in 1970".to_owned());
        }
        Ok(())
    }

    /// Nobody outside reaches the box, even if the routers of the world knew the way.
    fn no_way_in(&mut self) -> Result<()> {
        self.internet.lead_to_factory()?;
        let to = SocketAddrV4::new(self.factory.host("box")?.address(), 8080).into();
        for outsider in [self.internet.viewer(), self.internet.cloud()] {
            let reached = outsider.within(|| Ok(TcpStream::connect_timeout(&to, Duration::from_secs(2))?));
            if reached.is_ok() {
                self.complaints.push(format!("{} reaches the box itself", outsider.name()));
            }
        }
        Ok(())
    }

    /// From the moment the camera sent a frame to the moment its number is on the viewer's screen.
    fn latency(&mut self) -> Result<()> {
        thread::sleep(Duration::from_secs(8));
        let mut all = Vec::new();
        for _ in 0..20 {
            let seen = self.look()?.number.context("no picture to read a number from")?;
            let shown = |frame: u64| frame % Numbered::FRAMES == u64::from(seen.value);
            let sent = self.simcam.sent()?;
            let sent = sent.iter().rev().find(|(frame, at)| shown(*frame) && *at as f64 / 1000.0 < seen.at);
            let (_, at) = sent.with_context(|| format!("the camera never sent number {}", seen.value))?;
            all.push((seen.at - *at as f64 / 1000.0) / 1000.0);
            thread::sleep(Duration::from_millis(150));
        }
        all.sort_by(f64::total_cmp);
        let (median, worst) = (all[all.len() / 2], all[all.len() - 1]);
        let told = self.look()?.stats["latency"].clone();
        println!("camera to screen: median {median:.2} s, worst {worst:.2} s; the player says {told} s");
        self.hold("camera to screen", median, LATENCY);
        Ok(())
    }

    fn via(&self) -> Result<String> {
        Ok(tunnel(&self.boxd)?["via"].as_str().unwrap_or_default().to_owned())
    }

    fn look(&mut self) -> Result<Watched> {
        self.screen.look()?.into_iter().next().context("the browser tells nothing")
    }

    fn hold(&mut self, what: &str, took: f64, limit: f64) {
        if took > limit {
            self.complaints.push(format!("{what}: {took:.1} s, more than {limit}"));
        }
    }
}

/// What the box says of its tunnel.
fn tunnel(boxd: &Boxd) -> Result<serde_json::Value> {
    Ok(boxd.site().json("/api/v1/join")?["tunnel"].clone())
}

/// The longest time that the picture stood still between two looks, seconds.
fn stood(before: &Watched, after: &Watched) -> f64 {
    let new = after.stalls.iter().skip(before.stalls.len());
    new.map(|stall| stall.ms).chain([after.stall_ms]).fold(0.0, f64::max) / 1000.0
}

fn now_ms() -> Result<f64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64() * 1000.0)
}
