//! A camera behind a PC that has nothing of ours but the file that its owner was given: WireGuard's own tools, and wireguard-go.
//! It plays in Chromium from the same kind of link as every other.

use std::{
    fs,
    net::Ipv4Addr,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use lab::{
    browser::{self, Browser, Page},
    factory::{Factory, Host},
    http::Site,
    member::Member,
    paths,
    process::{self, Process},
    simcam::Simcam,
    test_name, wireguard, world,
};
use serde_json::{Value, json};

/// The cloud's port.
const PORT: u16 = 8443;
/// The hub's address inside the tunnel.
const HUB: &str = "10.13.0.1";
/// How soon a camera that goes must be unreachable.
const GONE: Duration = Duration::from_secs(5);
/// A camera is asked every half minute, and its report comes as often.
const PINGED: Duration = Duration::from_secs(75);
/// How long its page is watched, the camera's frames per second, and the share of them that the browser must have counted.
const WATCHED_S: u64 = 20;
const FRAMES: (f64, f64) = (25.0, 0.95);

/// The cloud, and somebody who owns a tenant there.
struct Portal {
    site: Site,
    member: Member,
    _cloud: Process,
}

impl Portal {
    fn open(host: &Host) -> Result<Self> {
        let site = Site::new(host.address(), PORT);
        let folder = Path::new(world::SCRATCH).join("cloud");
        fs::create_dir_all(&folder)?;
        let config = folder.join("cloud.toml");
        let lines = format!(
            "[http]\nlisten = \"0.0.0.0:{PORT}\"\nurl = \"{}\"\n[hub]\nendpoint = \"{}:51820\"\n[store]\nurl = \"sqlite:{}\"\n",
            site.url(""),
            host.address(),
            folder.join("cloud.db").display()
        );
        fs::write(&config, lines)?;
        let cloud = |words: &[&str]| -> Result<_> {
            let mut command = host.command(paths::binary("cloud")?);
            command.arg("--config").arg(&config).args(words);
            Ok(command)
        };
        let process = host.spawn("cloud", cloud(&[])?)?;
        wait("the cloud", Duration::from_secs(30), || site.get("/healthz").is_ok())?;
        let words = ["person", "add", "owner@example.org", "--tenant", "ACME", "--role", "owner"];
        let said = host.output("cloud-owner", cloud(&words)?, Duration::from_secs(20))?;
        let member = Member::invited(&said, |path, body| site.post(path, body))?;
        Ok(Self { site, member, _cloud: process })
    }

    fn ask(&self, path: &str) -> Result<Value> {
        let answer = self.site.ask_with(path, &self.member.headers, GONE)?;
        ensure!(answer.status == 200, "{path}: {} {}", answer.status, answer.text());
        Ok(serde_json::from_slice(&answer.body)?)
    }

    fn send(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        let answer = self.site.send_with(method, path, &self.member.headers, body)?;
        ensure!(answer.status == 200, "{method} {path}: {} {}", answer.status, answer.text());
        Ok(serde_json::from_slice(&answer.body)?)
    }

    /// A camera behind a peer, which everybody may watch: its id and its owner's file.
    fn add(&self, title: &str, target: Ipv4Addr) -> Result<(String, String)> {
        let words =
            json!({ "title": title, "source": { "kind": "peer", "target": target, "path": "/main" } });
        let made = self.send("POST", &format!("/api/v1/tenants/{}/cameras", self.member.tenant), &words)?;
        let (id, file) = (text(&made["id"])?, text(&made["peer"]["config"])?);
        ensure!(text(&made["peer"]["qr"])?.contains("<svg"), "no code");
        self.send("PATCH", &format!("/api/v1/cameras/{id}"), &json!({ "access": "public" }))?;
        let again = self.site.ask_with(&format!("/api/v1/cameras/{id}"), &self.member.headers, GONE)?;
        ensure!(again.status == 200 && !again.text().contains("PrivateKey"), "told twice: {}", again.text());
        Ok((id, file))
    }
}

fn text(value: &Value) -> Result<String> {
    Ok(value.as_str().with_context(|| format!("no text: {value}"))?.to_owned())
}

fn wait(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) -> Result<Duration> {
    let began = Instant::now();
    while !condition() {
        ensure!(began.elapsed() < limit, "{what}: not within {limit:?}");
        thread::sleep(Duration::from_millis(100));
    }
    Ok(began.elapsed())
}

/// A short command on a host; whether it worked.
fn works(host: &Host, program: &str, words: &[&str]) -> bool {
    let mut command = host.command(program);
    command.args(words);
    process::output(command, &host.log(program), Duration::from_secs(15)).is_ok()
}

#[test]
fn a_camera_behind_somebody_elses_wireguard_plays_from_its_link() {
    let test = test_name!();
    world::beside(test, || {
        let factory = Factory::new(test, &["cloud", "pc", "camera", "other"])?;
        let [cloud, pc, camera, other] = ["cloud", "pc", "camera", "other"].map(|name| factory.host(name));
        let (cloud, pc, camera, other) = (cloud?, pc?, camera?, other?);
        let simcam = Simcam::start(camera, &[])?;
        let portal = Portal::open(cloud)?;
        let (id, file) = portal.add("Gate", camera.address())?;
        let path = wireguard::quick_up(pc, &file)?;
        let began = Instant::now();
        let playlist = format!("/{id}/live.m3u8");
        wait("a picture", Duration::from_secs(40), || portal.site.get(&playlist).is_ok())?;
        println!("peer: from wg-quick to a playlist with pictures: {:.1} s", began.elapsed().as_secs_f64());

        let mut probe = other.command("ffprobe");
        probe.args(["-v", "error", "-select_streams", "v", "-read_intervals", "%+#30", "-count_packets"]);
        probe.args(["-show_entries", "stream=codec_name,nb_read_packets", "-of", "csv=p=0"]);
        probe.arg(portal.site.url(&format!("/{id}/index.m3u8")));
        let seen = other.output("ffprobe", probe, Duration::from_secs(30))?;
        ensure!(seen.lines().any(|line| line.starts_with("h264,") && !line.ends_with(",0")), "{seen}");
        let page =
            Page { name: "behind a peer".to_owned(), url: portal.site.url(&format!("/{id}/?player=hlsjs")) };
        let complaints = browser::play_well(other, Browser::Chromium, &[page], WATCHED_S, FRAMES)?;
        ensure!(complaints.is_empty(), "{}", complaints.join("\n"));
        ensure!(
            established(camera, pc)? && !established(camera, cloud)?,
            "the camera is to see the PC alone"
        );

        // Its port is asked through the tunnel every half minute, and the next report tells how it answers.
        let status = format!("/api/v1/cameras/{id}/status");
        let answers = |wanted: bool| portal.ask(&status).is_ok_and(|now| now["ping_ms"].is_u64() == wanted);
        wait("a ping", PINGED, || answers(true))?;
        println!("peer: ping: {} ms", portal.ask(&status)?["ping_ms"]);

        // The peer reaches nothing: not the hub, and not the other peer, nor does that one.
        let (_, second) = portal.add("Yard", camera.address())?;
        let second_path = wireguard::quick_up(other, &second)?;
        for (host, them) in [(pc, "10.13.1.2"), (other, "10.13.1.1")] {
            let route = ["route", "replace", "10.13.0.0/16", "dev", host.name()];
            ensure!(works(host, "ip", &route), "no route on {}", host.name());
            ensure!(works(
                host,
                "wg",
                &["set", host.name(), "peer", &hub_key(&file)?, "allowed-ips", "10.13.0.0/16"]
            ));
            for to in [HUB, them] {
                ensure!(!works(host, "ping", &["-c", "2", "-W", "1", to]), "{} pings {to}", host.name());
                let url = format!("http://{to}/");
                ensure!(!works(host, "curl", &["-m", "2", &url]), "{} reaches {url}", host.name());
                let url = format!("telnet://{to}:554");
                ensure!(!works(host, "curl", &["-m", "2", &url]), "{} reaches {url}", host.name());
            }
        }
        ensure!(portal.site.get(&playlist).is_ok(), "it plays on");

        // Whatever else the hub may want of the PC's network, the file does not let it.
        let rules = list(pc)?;
        ensure!(rules.contains("dnat to") && rules.matches("drop").count() == 2, "{rules}");

        // The near end of the way still accepts when there is no camera: it is not what is asked.
        drop(simcam);
        wait("no ping", PINGED, || answers(false))?;

        portal.send("DELETE", &format!("/api/v1/cameras/{id}"), &json!({}))?;
        let gone = wait("the camera's end", GONE, || {
            portal.site.ask(&playlist, Duration::from_secs(2)).is_ok_and(|answer| answer.status == 404)
        })?;
        let before = received(pc)?;
        thread::sleep(Duration::from_secs(3));
        ensure!(received(pc)? == before, "the hub still speaks to the peer");
        println!("peer: deleted to unreachable: {:.1} s", gone.as_secs_f64());
        for (host, path) in [(pc, &path), (other, &second_path)] {
            ensure!(works(host, "wg-quick", &["down", path]), "wg-quick down on {}", host.name());
            let left = list(host)?;
            ensure!(!left.contains("streambox"), "left behind: {left}");
            let watch = format!("/run/streambox_{}.pid", host.name());
            ensure!(!Path::new(&watch).exists(), "{watch} is left behind");
        }
        Ok(())
    });
}

fn list(host: &Host) -> Result<String> {
    let mut nft = host.command("nft");
    nft.args(["list", "ruleset"]);
    host.output("nft", nft, Duration::from_secs(5))
}

/// Bytes that WireGuard on a host has received.
fn received(host: &Host) -> Result<String> {
    let mut command = host.command("wg");
    command.args(["show", host.name(), "transfer"]);
    let said = host.output("wg-transfer", command, Duration::from_secs(5))?;
    Ok(said.split_whitespace().nth(1).context("no peer")?.to_owned())
}

/// Whether the camera has a connection with this host.
fn established(camera: &Host, with: &Host) -> Result<bool> {
    let mut sockets = camera.command("ss");
    sockets.args(["-Htn", "state", "established", "sport", "=", ":554"]);
    let sockets = camera.output("ss", sockets, Duration::from_secs(5))?;
    Ok(sockets.contains(&with.address().to_string()))
}

fn hub_key(file: &str) -> Result<String> {
    let line = file.lines().find_map(|line| line.strip_prefix("PublicKey = "));
    Ok(line.context("no key of the hub")?.to_owned())
}
