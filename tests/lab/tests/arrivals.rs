//! Cameras without a box that come by themselves, two clouds on one PostgreSQL with nginx before them: an encoder sends to
//! whichever it reaches, a WireGuard peer talks to one of both hubs. Viewers are led there; when that cloud dies, encoder and
//! peer go over to the other, and the picture with them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, ensure};
use cloud_stub::{
    nodes,
    store::{Directory, Node},
};
use lab::{
    browser::{self, Open, Page},
    clips::Clip,
    cloud::Cloud,
    factory::{Factory, Host},
    internet::{HUB, Internet, VIDEO, WEB_ADDRESS},
    member::Member,
    postgres::Postgres,
    process::Process,
    proxy,
    simcam::Simcam,
    test_name,
    tls::{Authority, SecureSite},
    wireguard,
    world::{self, SCRATCH},
};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// From the death of an encoder's cloud to its picture again, seconds: 12 until the other one lets it in, its tries between,
/// and a player's buffer.
const ENCODER: f64 = 25.0;
/// The same of a peer: its watch gives a hub up after 25 s.
const PEER: f64 = 45.0;
/// With B-frames and sound: what encoders send.
const CLIP: Clip = Clip { name: "h264-bframes-aac", h264: true, sound: true };
/// How long a picture must have moved to be back, seconds.
const SETTLED: f64 = 3.0;

struct Stage {
    clouds: [Cloud; 2],
    site: SecureSite,
    member: Member,
    authority: Authority,
    postgres: Postgres,
    _nginx: Process,
    internet: Internet,
    factory: Factory,
}

impl Stage {
    /// The first of the hosts in the factory has a way out.
    fn new(test: &str, hosts: &[&str]) -> Result<Self> {
        let factory = Factory::new(test, hosts)?;
        let first = hosts.first().context("no host")?;
        let internet = Internet::new(test, &[factory.host(first)?])?;
        let authority = Authority::new(&PathBuf::from(SCRATCH).join("tls"), &[VIDEO])?;
        let postgres = Postgres::start(&world::logs(test))?;
        let database = postgres.database("clouds")?;
        let site = authority.site(VIDEO, WEB_ADDRESS, 443)?;
        let cloud = |number| proxy::cloud(number, internet.cloud(), site.clone(), &database);
        let mut clouds = [cloud(0)?, cloud(1)?];
        let nginx = proxy::start(internet.cloud(), &authority)?;
        for cloud in &mut clouds {
            cloud.process().wait_for("2 clouds share the database", Duration::from_secs(20))?;
        }
        let words = ["person", "add", "owner@example.org", "--tenant", "ACME", "--role", "owner"];
        let said = clouds[0].owner(&words)?;
        let member = Member::invited(&said, |path, body| site.open(internet.viewer())?.post(path, body))?;
        Ok(Self { clouds, site, member, authority, postgres, _nginx: nginx, internet, factory })
    }

    fn send(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        let mut connection = self.site.open(self.internet.viewer())?;
        let answer = connection.send_with(method, path, &self.member.headers, body)?;
        ensure!(answer.status == 200, "{method} {path}: {} {}", answer.status, answer.text());
        Ok(serde_json::from_slice(&answer.body)?)
    }

    /// A camera that everybody may watch; gives its id and what its owner is told once.
    fn add(&self, source: &Value) -> Result<(String, Value)> {
        let words = json!({ "title": "Yard", "source": source });
        let made = self.send("POST", &format!("/api/v1/tenants/{}/cameras", self.member.tenant), &words)?;
        let id = text(&made["id"])?;
        self.send("PATCH", &format!("/api/v1/cameras/{id}"), &json!({ "access": "public" }))?;
        Ok((id, made))
    }

    /// Opens its page as a viewer does; gives it once it shows a picture.
    fn watch(&self, id: &str) -> Result<Open> {
        let page = [Page { name: "link".into(), url: self.site.url(&format!("/{id}/?player=hlsjs")) }];
        browser::open_trusting(self.internet.viewer(), "chromium", &page, self.authority.fingerprint())
    }

    /// Which cloud has the camera, as the database says.
    fn at(&self) -> Result<usize> {
        let query = "SELECT node.url FROM source JOIN node ON node.id = source.node";
        let url = self.postgres.sql("clouds", query)?.trim().to_owned();
        [0, 1].into_iter().find(|number| proxy::inner(*number) == url).with_context(|| format!("at {url:?}"))
    }

    /// Kills a cloud and waits until the picture moves again; gives the seconds that took. Then it is started again.
    fn kill(&mut self, number: usize, screen: &mut Open, limit: f64) -> Result<f64> {
        let frames = look(screen)?.frames;
        let died = now_ms()?;
        self.clouds[number].process().signal(Signal::SIGKILL)?;
        self.clouds[number].process().wait(Duration::from_secs(5))?;
        let took = loop {
            let (seen, now) = (look(screen)?, now_ms()?);
            let back = seen.stalls.iter().map(|stall| stall.at).fold(died, f64::max);
            let moves = seen.stall_ms < 500.0 && seen.frames > frames && back > died;
            if moves && now - back > SETTLED * 1000.0 {
                break (back - died) / 1000.0;
            }
            let (notice, passed) = (seen.notice.unwrap_or_default(), (now - died) / 1000.0);
            ensure!(passed < limit + 10.0, "no picture after {passed:.0} s: {notice:?}, {}", seen.stats);
            thread::sleep(Duration::from_millis(200));
        };
        ensure!(took < limit, "{took:.1} s");
        self.clouds[number].start_again()?;
        Ok(took)
    }

    fn finish(self) -> Result<()> {
        self.clouds.iter().try_for_each(Cloud::check_log)
    }
}

fn look(screen: &mut Open) -> Result<browser::Watched> {
    screen.look()?.into_iter().next().context("the browser tells nothing")
}

fn now_ms() -> Result<f64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64() * 1000.0)
}

fn text(value: &Value) -> Result<String> {
    Ok(value.as_str().with_context(|| format!("no text: {value}"))?.to_owned())
}

/// Which cloud takes a camera in that has come to none.
fn chosen(id: &str) -> usize {
    let ids = [0, 1].map(|number| nodes::id_of(&proxy::inner(number)));
    let mut directory = Directory::default();
    let mut portal = directory.portal().clone();
    for id in &ids {
        portal.nodes.put(id, Some(Node { url: String::new(), endpoint: String::new() }));
    }
    directory.set_portal(portal);
    directory.set_here(&ids[0]);
    directory.set_alive(BTreeSet::from(ids.clone()));
    usize::from(nodes::holder(&directory, id) == Some(ids[1].as_str()))
}

/// ffmpeg as people run it: again and again, at the next cloud each time.
fn encoder(host: &Host, first: usize, key: &str) -> Result<Process> {
    let [a, b] = [first, 1 - first].map(|number| proxy::RTMP_PORTS[number]);
    let script = format!(
        "while :; do for port in {a} {b}; do ffmpeg -nostdin -v error -re -i {} -c copy -f flv \
         rtmp://{HUB}:$port/live/{key}; sleep 0.5; done; done",
        CLIP.long_file().display()
    );
    let mut command = host.command("sh");
    command.args(["-c", &script]);
    host.spawn("encoder", command)
}

#[test]
fn an_encoder_goes_over_to_the_other_cloud_and_its_viewers_follow() {
    let test = test_name!();
    world::beside(test, || {
        let mut stage = Stage::new(test, &["encoder"])?;
        let (id, made) = stage.add(&json!({ "kind": "push" }))?;
        // To the one that nothing would lead viewers to but the encoder itself.
        let first = 1 - chosen(&id);
        let sends = Instant::now();
        let sender = stage.factory.host("encoder")?.clone();
        let mut encoder = encoder(&sender, first, &text(&made["push"]["key"])?)?;
        let mut screen = stage.watch(&id)?;
        println!("from the encoder's start to a picture: {:.1} s", sends.elapsed().as_secs_f64());
        ensure!(stage.at()? == first, "the camera is at cloud {}", stage.at()?);
        for number in [0, 1] {
            let mut curl = stage.internet.cloud().command("curl");
            curl.args(["--silent", "--fail", "--max-time", "5"]);
            curl.arg(proxy::direct(number, &format!("/{id}/live.m3u8")));
            stage.internet.cloud().output("curl", curl, Duration::from_secs(6))?;
        }

        for killed in [first, 1 - first] {
            let took = stage.kill(killed, &mut screen, ENCODER)?;
            println!("the cloud killed that has the encoder: the picture moves again after {took:.1} s");
            ensure!(stage.at()? == 1 - killed, "the camera is at cloud {}", stage.at()?);
            // The dead one comes back and takes nothing away.
            thread::sleep(Duration::from_secs(4));
            ensure!(stage.at()? == 1 - killed && encoder.runs(), "{}", encoder.said());
        }
        let watched = screen.close()?;
        println!("{}", watched.first().context("no report")?.figures());
        stage.finish()
    });
}

#[test]
fn a_peer_goes_over_to_the_other_hub_and_its_camera_with_it() {
    let test = test_name!();
    world::beside(test, || {
        let mut stage = Stage::new(test, &["pc", "camera"])?;
        let (pc, camera) = (stage.factory.host("pc")?.clone(), stage.factory.host("camera")?.clone());
        let _simcam = Simcam::start(&camera, &[])?;
        let (id, made) =
            stage.add(&json!({ "kind": "peer", "target": camera.address(), "path": "/main" }))?;
        let starts = Instant::now();
        let path = wireguard::quick_up(&pc, &text(&made["peer"]["config"])?)?;
        let mut screen = stage.watch(&id)?;
        println!("from wg-quick to a picture: {:.1} s", starts.elapsed().as_secs_f64());
        let first = talks_to(&pc)?;
        ensure!(first == chosen(&id), "the file's first endpoint is that of the cloud that waits");

        let took = stage.kill(first, &mut screen, PEER)?;
        println!("the cloud killed whose hub has the peer: the picture moves again after {took:.1} s");
        ensure!((talks_to(&pc)?, stage.at()?) == (1 - first, 1 - first), "the camera is at {}", stage.at()?);
        // The first choice lives again. Nothing goes back to it.
        let frames = look(&mut screen)?.frames;
        thread::sleep(Duration::from_secs(12));
        ensure!(
            stage.at()? == 1 - first && look(&mut screen)?.frames > frames,
            "the camera is at {}",
            stage.at()?
        );
        screen.close()?;

        let watch = Path::new("/run/streambox_pc.pid");
        let process = PathBuf::from("/proc").join(std::fs::read_to_string(watch)?.trim()).join("cmdline");
        // Of one that has ended and that nobody has waited for, it is empty.
        let runs = || std::fs::read(&process).is_ok_and(|words| !words.is_empty());
        ensure!(runs(), "nobody watches");
        let mut down = pc.command("wg-quick");
        down.args(["down", &path]);
        pc.output("wg-quick-down", down, Duration::from_secs(15))?;
        thread::sleep(Duration::from_millis(200));
        ensure!(!watch.exists() && !runs(), "left behind");
        stage.finish()
    });
}

/// Which cloud's hub WireGuard on this host talks to.
fn talks_to(host: &Host) -> Result<usize> {
    let mut command = host.command("wg");
    command.args(["show", host.name(), "endpoints"]);
    let said = host.output("wg-endpoints", command, Duration::from_secs(5))?;
    let port: u16 =
        said.trim().rsplit(':').next().and_then(|port| port.parse().ok()).context("no endpoint")?;
    proxy::HUB_PORTS.iter().position(|known| *known == port).with_context(|| said.clone())
}
