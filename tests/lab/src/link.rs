//! A public link with all that it takes: a camera, a box behind two NATs, a cloud, and a viewer's browser that is never
//! reloaded. Scenarios bring faults and see how long the picture stands still.
//!
//! What a scenario holds against the link is gathered, so that one run tells all of it.

use std::{
    net::{Ipv4Addr, SocketAddrV4, TcpStream},
    path::PathBuf,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::{
    boxd::{Boxd, CameraConfig},
    browser::{self, Open, Page, Watched},
    clips::Numbered,
    clock::Clock,
    cloud::Cloud,
    factory::Factory,
    internet::{Internet, VIDEO},
    simcam::Simcam,
    tls::Authority,
    world::SCRATCH,
};

/// What the camera shows large and small.
pub const MAIN: Numbered = Numbered { name: "numbered", size: (640, 360), kbit: 2500 };
/// The small picture.
pub const SUB: Numbered = Numbered { name: "numbered", size: (320, 180), kbit: 300 };

/// A link that is back must have moved for so long without standing still, seconds.
const SETTLED: f64 = 4.0;
/// What a player has in its buffer hides a fault for at most so long, seconds.
const BUFFER: f64 = 8.0;
/// The box's addresses, one after the other.
const BOX_ADDRESSES: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 77, 0, 1), Ipv4Addr::new(10, 77, 0, 101)];

/// Everything there is.
#[derive(Debug)]
pub struct Link {
    /// The camera's LAN.
    pub factory: Factory,
    /// The way to the viewer.
    pub internet: Internet,
    /// The cloud.
    pub cloud: Cloud,
    /// The box.
    pub boxd: Boxd,
    configuration: String,
    cameras: Vec<CameraConfig>,
    simcam: Simcam,
    screen: Open,
    complaints: Vec<String>,
    claim_to_picture: f64,
}

/// What came of a fault.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Outcome {
    /// The viewer noticed nothing.
    Unseen,
    /// The picture moved again after so many seconds.
    Again(f64),
    /// It did not, in time.
    Never,
}

impl Link {
    /// Builds it all, brings the box into the cloud as an owner does, and opens the link in a browser.
    ///
    /// # Errors
    /// When something does not come about.
    pub fn start(test: &str) -> Result<Self> {
        Self::start_with(test, |internet, authority| Cloud::start(internet.cloud(), authority, None))
    }

    /// The same with a cloud that is started otherwise.
    ///
    /// # Errors
    /// As [`Link::start`].
    pub fn start_with(
        test: &str,
        cloud: impl FnOnce(&Internet, &Authority) -> Result<Cloud>,
    ) -> Result<Self> {
        let factory = Factory::new(test, &["box", "gate"])?;
        let internet = Internet::new(test, &[factory.host("box")?])?;
        let authority = Authority::new(&PathBuf::from(SCRATCH).join("tls"), &[VIDEO])?;
        let sub = SUB.file()?.display().to_string();
        let words = ["--sub", &sub, "--sub-fps", "25", "--name", "Gate"];
        let simcam = Simcam::playing(factory.host("gate")?, &MAIN.file()?, &words)?;
        let cloud = cloud(&internet, &authority)?;
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
        let page = [Page { name: "link".into(), url: link.url }];
        let screen = browser::open_trusting(internet.viewer(), "chromium", &page, authority.fingerprint())?;
        let claim_to_picture = claimed.elapsed().as_secs_f64();
        Ok(Self {
            factory,
            internet,
            cloud,
            boxd,
            configuration,
            cameras,
            simcam,
            screen,
            complaints: Vec::new(),
            claim_to_picture,
        })
    }

    /// Seconds from the owner's claim to the picture on the viewer's screen.
    pub const fn claim_to_picture(&self) -> f64 {
        self.claim_to_picture
    }

    /// Ends it. What was held against it, and errors in logs, fail the scenario.
    ///
    /// # Errors
    /// With all complaints.
    pub fn finish(self) -> Result<()> {
        let Self { cloud, boxd, screen, complaints, .. } = self;
        let watched = screen.close()?;
        boxd.finish()?;
        cloud.check_log()?;
        println!("{}", watched.first().context("no report")?.figures());
        ensure!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
        Ok(())
    }

    /// Holds something against the link.
    pub fn complain(&mut self, complaint: String) {
        println!("COMPLAINT: {complaint}");
        self.complaints.push(complaint);
    }

    /// Holds it against the link when something took more than `limit` seconds.
    pub fn hold(&mut self, what: &str, took: f64, limit: f64) {
        if took > limit {
            self.complain(format!("{what}: {took:.1} s, more than {limit}"));
        }
    }

    /// Does something, waits until the picture moves again, and prints how long it stood; `limit` in seconds.
    ///
    /// # Errors
    /// When the fault cannot be brought or the browser does not answer.
    pub fn fault(
        &mut self,
        what: &str,
        limit: f64,
        bring: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<Outcome> {
        let start = now_ms()?;
        let before = self.look()?.frames;
        bring(self).with_context(|| what.to_owned())?;
        loop {
            let seen = self.look()?;
            let now = now_ms()?;
            let passed = (now - start) / 1000.0;
            let back =
                seen.stalls.iter().map(|stall| stall.at).filter(|at| *at > start).fold(start, f64::max);
            // the media time begins anew with a stream that does
            let moves = seen.stall_ms < 500.0 && seen.frames > before;
            if moves && passed > BUFFER && (now - back) / 1000.0 > SETTLED {
                let took = (back - start) / 1000.0;
                if took == 0.0 {
                    println!("{what}: the picture never stood still");
                    return Ok(Outcome::Unseen);
                }
                println!("{what}: the picture moves again after {took:.1} s");
                self.hold(what, took, limit);
                return Ok(Outcome::Again(took));
            }
            if passed > limit + BUFFER + SETTLED {
                let tunnel = self.tunnel().unwrap_or_default();
                let notice = seen.notice.unwrap_or_default();
                self.complain(format!("{what}: no picture; {notice:?}, {}; tunnel {tunnel}", seen.stats));
                return Ok(Outcome::Never);
            }
            thread::sleep(Duration::from_millis(200));
        }
    }

    /// Watches a poor line for a while: the picture must move on for this share of the time at least.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub fn watch(&mut self, what: &str, time: Duration, share: f64) -> Result<Watched> {
        let before = self.look()?;
        thread::sleep(time);
        let after = self.look()?;
        let moved = (after.frames - before.frames) / Numbered::FRAMES_PER_SECOND;
        let new = after.stalls.iter().skip(before.stalls.len());
        let longest = new.map(|stall| stall.ms).chain([after.stall_ms]).fold(0.0, f64::max) / 1000.0;
        println!(
            "{what}: frames of {moved:.1} s in {:.0} s, longest stall {longest:.1} s, {} pixels wide, notice {:?}",
            time.as_secs_f64(),
            after.width,
            after.notice,
        );
        if moved < time.as_secs_f64() * share {
            self.complain(format!("{what}: only frames of {moved:.1} s in {:.0} s", time.as_secs_f64()));
        }
        Ok(after)
    }

    /// The box gets another address on its LAN.
    ///
    /// # Errors
    /// When iproute2 fails.
    pub fn move_box(&mut self) -> Result<()> {
        let [first, second] = BOX_ADDRESSES;
        let address = if self.factory.host("box")?.address() == first { second } else { first };
        self.factory.readdress("box", address)?;
        self.boxd.moved(address);
        Ok(())
    }

    /// The power goes and comes back; with a clock, the box starts by that one.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn restart_box(&mut self, clock: Option<&Clock>) -> Result<()> {
        self.boxd.process().signal(Signal::SIGKILL)?;
        self.boxd.process().wait(Duration::from_secs(5))?;
        let host = self.factory.host("box")?;
        self.boxd = Boxd::start_with(host, &self.configuration, &self.cameras, |command| {
            if let Some(clock) = clock {
                clock.give(command);
            }
        })?;
        Ok(())
    }

    /// Whether any of these hosts outside reaches the box itself, even if the routers of the world knew the way.
    ///
    /// # Errors
    /// When iproute2 fails.
    pub fn no_way_in(&mut self) -> Result<()> {
        self.internet.lead_to_factory()?;
        let to = SocketAddrV4::new(self.factory.host("box")?.address(), 8080).into();
        for outsider in [self.internet.viewer().clone(), self.internet.cloud().clone()] {
            let reached = outsider.within(|| Ok(TcpStream::connect_timeout(&to, Duration::from_secs(2))?));
            if reached.is_ok() {
                self.complain(format!("{} reaches the box itself", outsider.name()));
            }
        }
        Ok(())
    }

    /// From the moment the camera sent a frame to the moment its number is on the viewer's screen: median and worst of
    /// several, seconds.
    ///
    /// # Errors
    /// When the picture carries no number that the camera has sent.
    pub fn latency(&mut self) -> Result<(f64, f64)> {
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
        Ok((*all.get(all.len() / 2).context("no sample")?, *all.last().context("no sample")?))
    }

    /// What the viewer sees now.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub fn look(&mut self) -> Result<Watched> {
        self.screen.look()?.into_iter().next().context("the browser tells nothing")
    }

    /// What the box says of its tunnel.
    ///
    /// # Errors
    /// When the box does not answer.
    pub fn tunnel(&self) -> Result<Value> {
        Ok(self.boxd.site().json("/api/v1/join")?["tunnel"].clone())
    }

    /// Resident memory of the box's main process and of the cloud, MiB.
    ///
    /// # Errors
    /// When /proc is not readable.
    pub fn memory(&mut self) -> Result<(f64, f64)> {
        Ok((resident(self.boxd.process().pid())?, resident(self.cloud.process().pid())?))
    }
}

fn resident(pid: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<f64>()? / 1024.0)
}

fn now_ms() -> Result<f64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64() * 1000.0)
}
