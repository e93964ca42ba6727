//! What attackers try over the public link and from a camera, and what they must get: nothing.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddrV4, TcpStream, UdpSocket},
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use lab::{
    account::Account,
    boxd::{Boxd, CameraConfig},
    cloud::{self, Cloud, Link},
    counters::Counters,
    factory::{Factory, Host},
    http::Response,
    internet::{HUB, Internet, VIDEO, VIEWER_ADDRESS, WEB_ADDRESS},
    simcam::Simcam,
    test_name,
    tls::Authority,
    wireguard::{Peer, ping},
    world::{self, SCRATCH},
};
use serde_json::json;

/// How long liars may go on lying, once the box streams what can be streamed: longer than a second and third try.
const LISTEN: Duration = Duration::from_secs(8);
/// A link that was switched off, or whose box was revoked, is dead after this.
const DEAD: Duration = Duration::from_secs(1);
/// The tunnel of a box that was revoked is dead after this.
const PEER_DEAD: Duration = Duration::from_secs(5);
/// The hub inside the tunnel.
const INNER_HUB: &str = "10.13.0.1";
/// How far the medians of two kinds of 404 may lie apart: a share of the time that either takes, and what no viewer
/// outside could tell from the noise of the way, milliseconds.
const APART: (f64, f64) = (0.2, 0.2);
/// Questions of each kind that the medians are of.
const QUESTIONS: usize = 300;

/// Row 4: a camera sends the box elsewhere, in every field and reply that names an address. Only the address that
/// answered is ever contacted.
#[test]
fn a_camera_cannot_send_the_box_elsewhere() {
    let test = test_name!();
    world::beside(test, || {
        let liars: Vec<String> = (0..7).flat_map(|n| [format!("liar{n}"), format!("sly{n}")]).collect();
        let hosts: Vec<&str> =
            ["box", "bystander"].into_iter().chain(liars.iter().map(String::as_str)).collect();
        let factory = Factory::new(test, &hosts)?;
        let boxx = factory.host("box")?;
        // Without a route nothing would be sent whatever was asked for.
        world::run("ip", &["-n", "box", "route", "add", "default", "dev", "eth0"])?;
        let targets = [
            Ipv4Addr::LOCALHOST,
            boxx.address(),
            Ipv4Addr::new(169, 254, 169, 254),
            Ipv4Addr::new(10, 13, 0, 1),
            Ipv4Addr::new(10, 13, 1, 2),
            factory.host("bystander")?.address(),
            WEB_ADDRESS,
        ];
        let counters = Counters::start(boxx, &targets)?;

        let (mut cameras, mut configs, mut deceived) = (Vec::new(), Vec::new(), Vec::new());
        let mut misled = Vec::new();
        for (n, target) in targets.iter().enumerate() {
            // Found by discovery: its XAddrs, services and stream addresses are the target's.
            let liar = factory.host(&format!("liar{n}"))?;
            let lies = [format!("xaddrs-host={target}"), format!("uri-host={target}")];
            let words = ["--discovery", "--name", liar.name(), "--quirk", &lies[0], "--quirk", &lies[1]];
            cameras.push(Simcam::start(liar, &words)?);

            // Known by its address: three cameras, of which two only redirect.
            let sly = Simcam::start(factory.host(&format!("sly{n}"))?, &["--cameras", "3"])?;
            sly.tell(&format!("at 0 set control=absolute control-host={target} rtp-source={target}"))?;
            sly.tell(&format!("at 1 set redirect=rtsp://{target}:554/main"))?;
            sly.tell(&format!("at 2 set redirect=http://{target}:8000/onvif/device_service"))?;
            configs.push(CameraConfig::open(format!("tcp{n}"), sly.rtsp(0)));
            misled.push(CameraConfig::open(format!("udp{n}"), sly.rtsp(0)).over_udp());
            for camera in [1, 2] {
                configs.push(CameraConfig::open(format!("away{camera}-{n}"), sly.rtsp(camera)));
                configs.push(CameraConfig::open(format!("onvif{camera}-{n}"), sly.onvif(camera)));
            }
            deceived.push(format!("tcp{n}"));
            cameras.push(sly);
        }
        // A box that announces itself answers its own search, which is no contact that a camera brought about.
        let discovery = "[http]\nannounce = false\n\n[discovery]\nsweep = false\nadopt = true\n";
        let mut boxd = Boxd::start(boxx, discovery, &configs)?;
        // A wrong host in a description is common and harmless: the picture comes from the camera itself.
        boxd.wait_streaming(&deceived, Duration::from_secs(30))?;
        let adopted = |boxd: &Boxd| -> Result<usize> {
            let known = |id: &str| configs.iter().any(|config| config.id == id);
            Ok(boxd
                .cameras()?
                .iter()
                .filter(|(id, camera)| !known(id) && camera["state"]["state"] == "streaming")
                .count())
        };
        boxd.wait_for(Duration::from_secs(30), "the liars that were found to stream", |boxd| {
            Ok(adopted(boxd)? == targets.len())
        })?;
        thread::sleep(LISTEN);

        let mut complaints = Vec::new();
        for (id, camera) in boxd.cameras()? {
            let state = &camera["state"];
            println!("{id:<12} {} {}", state["state"], camera["sentence"]);
            if (id.starts_with("away") || id.starts_with("onvif")) && state["state"] == "streaming" {
                complaints.push(format!("{id} streams, from wherever it was sent"));
            }
        }
        for (target, packets) in counters.packets()? {
            println!("{target}: {packets} packets");
            if packets > 0 {
                complaints.push(format!("the box sent {packets} packets to {target}"));
            }
        }
        boxd.finish()?;
        complaints.extend(misled_over_udp(boxx, &counters, &misled, cameras)?);

        // The counters do count, TCP and UDP.
        boxx.within(|| {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
            for target in targets {
                socket.send_to(b"x", (target, 554))?;
                let _ = TcpStream::connect_timeout(
                    &SocketAddrV4::new(target, 554).into(),
                    Duration::from_millis(50),
                );
            }
            Ok(())
        })?;
        for (target, packets) in counters.packets()? {
            ensure!(packets >= 2 || !complaints.is_empty(), "{target}: only {packets} packets were counted");
        }
        ensure!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
        Ok(())
    });
}

/// Over UDP, a camera names another sender of its RTP and another host for the end of the session, and leaves: the pictures
/// come from the camera itself, and nobody else hears of the box.
fn misled_over_udp(
    boxx: &Host,
    counters: &Counters,
    configs: &[CameraConfig],
    cameras: Vec<Simcam>,
) -> Result<Vec<String>> {
    let before = counters.packets()?;
    let mut boxd = Boxd::start(boxx, "[http]\nannounce = false\n\n[discovery]\nenabled = false\n", configs)?;
    let ids: Vec<String> = configs.iter().map(|config| config.id.clone()).collect();
    boxd.wait_streaming(&ids, Duration::from_secs(20))?;
    // Sessions that break without an answer are the ones whose end is told over and over.
    drop(cameras);
    thread::sleep(LISTEN);
    let mut complaints = Vec::new();
    for ((target, before), (_, after)) in before.into_iter().zip(counters.packets()?) {
        println!("{target}: {} packets to a host that a camera named, over UDP", after - before);
        if after != before {
            complaints.push(format!("over UDP, the box sent {} packets to {target}", after - before));
        }
    }
    boxd.finish()?;
    Ok(complaints)
}

/// Rows 16 and 18: a tenant with the keys of a real box, and a viewer who guesses.
#[test]
fn a_tenant_and_a_viewer_get_nothing() {
    let test = test_name!();
    world::inside(test, || {
        let factory = Factory::new(test, &["box", "mallory", "gate", "yard"])?;
        let (boxx, mallory) = (factory.host("box")?, factory.host("mallory")?);
        let internet = Internet::new(test, &[boxx, mallory])?;
        let authority = Authority::new(&PathBuf::from(SCRATCH).join("tls"), &[VIDEO])?;
        let cloud = Cloud::start(internet.cloud(), &authority, None)?;
        let configuration = format!("[discovery]\nenabled = false\n\n{}", Cloud::box_config(&authority));
        let (mut simcams, mut boxes) = (Vec::new(), Vec::new());
        for (host, camera, owner) in [(boxx, "gate", "ACME"), (mallory, "yard", "Mallory")] {
            let simcam = Simcam::start(factory.host(camera)?, &[])?;
            let config = CameraConfig::open(camera, simcam.rtsp(0));
            let mut boxd = Boxd::start(host, &configuration, &[config])?;
            boxd.wait_streaming(&[camera.to_owned()], Duration::from_secs(20))?;
            cloud.enrol(&mut boxd, owner)?;
            simcams.push(simcam);
            boxes.push(boxd);
        }
        let (gate, yard) = (cloud.link("gate")?, cloud.link("yard")?);
        let viewer = internet.viewer();
        for link in [&gate, &yard] {
            until(Duration::from_secs(15), &format!("{} plays", link.url), || {
                Ok(status(&cloud, viewer, link, "index.m3u8")? == 200)
            })?;
        }
        let mut evil = boxes.pop().context("no box")?;
        let honest = boxes.pop().context("no box")?;
        let inner = |boxd: &Boxd| -> Result<String> {
            let view = boxd.site().json("/api/v1/join")?;
            Ok(view["tunnel"]["address"]
                .as_str()
                .context("no inner address")?
                .trim_end_matches("/32")
                .to_owned())
        };
        let (victim, own) = (inner(&honest)?, inner(&evil)?);
        let evil_id = Account::open(evil.site(), cloud::PASSWORD)?.json("/api/v1/join")?["box_id"]
            .as_str()
            .context("no box id")?
            .to_owned();
        evil.process().stop(Duration::from_secs(5))?;
        evil.check_log()?;

        let mut complaints = enumeration(&cloud, viewer, &gate)?;
        let tunnel = take_over(mallory, &own)?;
        complaints.extend(tenant(&cloud, mallory, &tunnel, &victim)?);
        complaints.extend(revocation(&cloud, &internet, mallory, &yard, &evil_id)?);
        ensure!(status(&cloud, viewer, &gate, "index.m3u8")? == 200, "the honest box suffered");
        drop(tunnel);

        // a reset keeps who the box is, and that one is refused for good
        fs::remove_file(Boxd::state_dir(mallory).join("cloud.json"))?;
        let mut evil = Boxd::start(mallory, &configuration, &[])?;
        evil.wait_for(Duration::from_secs(20), "the word of a revoked box that it is out", |boxd| {
            Ok(boxd.site().json("/api/v1/join")?["state"] == "stopped")
        })?;
        println!("the revoked box says: {}", evil.site().json("/api/v1/join")?["sentence"]);
        honest.finish()?;
        cloud.check_log()?;
        ensure!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
        Ok(())
    });
}

/// Row 18: what is not there, what is off and what never was are the same to a viewer, and off means now.
fn enumeration(cloud: &Cloud, viewer: &Host, gate: &Link) -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    let page = cloud.site().get(viewer, &format!("/{}/", gate.id))?;
    ensure!(page.text().contains("<video"), "the link has no player");
    let playlist = cloud.site().get(viewer, &format!("/{}/live.m3u8", gate.id))?.text();
    let segment = playlist
        .lines()
        .rfind(|line| line.contains(".m4s") && !line.starts_with('#'))
        .context("no segment")?;
    let names =
        ["", "index.m3u8", "live.m3u8", "init.mp4", segment, "status.json", "qr.svg", "ts/index.m3u8"];

    cloud.owner(&["camera", "off", &gate.id])?;
    let off = Instant::now();
    let mut died = Duration::ZERO;
    for name in names {
        let took = until(Duration::from_secs(10), &format!("{name:?} of a link that is off ends"), || {
            Ok(status(cloud, viewer, gate, name)? == 404)
        })?;
        died = died.max(took.max(off.elapsed()));
    }
    println!("a link that was switched off is dead after {:.2} s, in all its parts", died.as_secs_f64());
    if died > DEAD {
        complaints.push(format!("a link that is off lived on for {died:?}"));
    }

    // one letter of a real id changed, an id of nobody's, a box's own id, no id at all
    let near = format!(
        "{}{}",
        if gate.id.starts_with('a') { 'b' } else { 'a' },
        gate.id.get(1..).unwrap_or_default()
    );
    let nobody = "a234567bcdefghijklmnopqrst".to_owned();
    for name in names {
        let gone = bare(&cloud.site().ask(viewer, &format!("/{}/{name}", gate.id))?);
        for id in [&near, &nobody, &"gate".to_owned(), &"no-such-thing".to_owned()] {
            let other = bare(&cloud.site().ask(viewer, &format!("/{id}/{name}"))?);
            if other != gone {
                complaints
                    .push(format!("{id}/{name} can be told from a link that is off: {other:?}, {gone:?}"));
            }
        }
    }

    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    let mut connection = cloud.site().open(viewer)?;
    for _ in 0..QUESTIONS {
        for (id, times) in [&gate.id, &near, &nobody].into_iter().zip(&mut times) {
            let start = Instant::now();
            let answer = connection.ask(&format!("/{id}/index.m3u8"))?;
            times.push(start.elapsed().as_secs_f64() * 1000.0);
            ensure!(answer.status == 404, "{id} answers {}", answer.status);
        }
    }
    let medians = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times.get(times.len() / 2).copied().unwrap_or_default()
    });
    let [of_off, of_near, of_nobody] = medians;
    println!("404 takes {of_off:.3} ms for a link that is off, {of_near:.3} and {of_nobody:.3} ms for none");
    for other in [of_near, of_nobody] {
        if (other - of_off).abs() > (other * APART.0).max(APART.1) {
            complaints.push(format!(
                "the time tells a link that is off ({of_off:.3} ms) from none ({other:.3} ms)"
            ));
        }
    }

    cloud.owner(&["camera", "on", &gate.id])?;
    let on = until(Duration::from_secs(10), "a link that is on again plays", || {
        Ok(status(cloud, viewer, gate, "index.m3u8")? == 200)
    })?;
    println!("switched on again, it plays after {:.2} s", on.as_secs_f64());
    Ok(complaints)
}

/// The keys of a real box in the hands of somebody who writes his own packets.
fn take_over(mallory: &Host, own: &str) -> Result<Peer> {
    let state = Boxd::state_dir(mallory);
    let key = fs::read_to_string(state.join("tunnel.key"))?;
    let joined: serde_json::Value = serde_json::from_slice(&fs::read(state.join("cloud.json"))?)?;
    let text = joined.to_string();
    let hub = text.split("\"public_key\":\"").nth(1).and_then(|rest| rest.split('"').next());
    let tunnel = Peer::start(mallory, "wg0", key.trim(), &format!("{own}/32"), None)?;
    let web = format!("{WEB_ADDRESS}/32");
    let viewer = format!("{VIEWER_ADDRESS}/32");
    let inside = ["10.13.0.0/16", web.as_str(), viewer.as_str(), "100.64.0.0/24"];
    tunnel.add(hub.context("no hub")?, Some(&format!("{HUB}:51820")), &inside, 5)?;
    // wireguard-go's stamps are 27 s behind ours: leap seconds are of no interest to it, and the hub takes no older stamp
    until(Duration::from_secs(45), "the tenant's own tunnel stands", || {
        Ok(ping(mallory, &[], INNER_HUB, 1, Duration::from_millis(200))?.answered == 1
            || ask(mallory, own, &format!("http://{INNER_HUB}/"))?.is_some())
    })?;
    Ok(tunnel)
}

/// Row 16: from its box to other boxes, to gateway internals, with addresses that are not its own.
fn tenant(cloud: &Cloud, mallory: &Host, tunnel: &Peer, victim: &str) -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    let mut nothing = |what: String, got: bool| {
        println!("{}: {what}", if got { "ANSWERED" } else { "no answer" });
        if got {
            complaints.push(format!("answered: {what}"));
        }
    };
    // other boxes and the world behind the hub
    let (web, viewer) = (WEB_ADDRESS.to_string(), VIEWER_ADDRESS.to_string());
    for target in [victim, "10.13.1.200", "10.13.255.255", "100.64.0.1", &web, &viewer] {
        let pings = ping(mallory, &["-I", "wg0"], target, 3, Duration::from_millis(100))?;
        nothing(format!("ping to {target}"), pings.answered > 0);
        for port in [80, 443, 8080, 554] {
            let got = knock(mallory, target, port)?;
            nothing(format!("TCP to {target}:{port}"), got);
        }
    }
    // the hub's own ports: only the box's status is taken
    let ports: Vec<u16> = (1..256)
        .chain([443, 554, 3306, 5432, 6379, 8000, 8080, 8443, 9000, 9090, 51820])
        .filter(|port| *port != 80)
        .collect();
    let open = scan(mallory, INNER_HUB, &ports)?;
    nothing(format!("ports of the hub beside 80: {open:?}"), !open.is_empty());
    for path in ["/", "/healthz", "/metrics", "/api/v1/openapi.json", "/gate/index.m3u8"] {
        let got = ask(mallory, "wg0", &format!("http://{INNER_HUB}{path}"))?;
        nothing(format!("GET {path} at the hub: {got:?}"), got == Some(200));
    }
    // somebody else's address
    let report = json!({
        "version": "0", "uptime_s": 1, "time_ms": 1,
        "cameras": [{
            "id": "spoofed", "name": "Spoofed", "state": { "state": "connecting" },
            "stream": "main", "fps": 0.0, "bit_rate": 0,
        }],
        "uplink": { "via": "udp", "sent_bit_rate": 0, "short": false, "cap_bit_rate": null },
    })
    .to_string();
    for source in [victim, INNER_HUB, "10.13.1.77", "198.51.100.77"] {
        // one address that the hub has itself cannot be asked from
        tunnel.pretend(&format!("{source}/32"))?;
        let target = if source == INNER_HUB { victim } else { INNER_HUB };
        let pings = ping(mallory, &["-I", source], target, 3, Duration::from_millis(100))?;
        nothing(format!("ping from {source} to {target}"), pings.answered > 0);
        let got = post(mallory, source, &format!("http://{target}/box/v1/status"), &report)?;
        nothing(format!("a report in the name of {source}: {got:?}"), got.is_some());
        world::run("ip", &["-n", "mallory", "address", "delete", &format!("{source}/32"), "dev", "wg0"])?;
    }
    let known = cloud.links()?;
    nothing("a camera of another box's".to_owned(), known.iter().any(|link| link.line.contains("spoofed")));
    // in its own name it is heard: the nothing above is not a broken tunnel's
    let heard = post(mallory, "wg0", &format!("http://{INNER_HUB}/box/v1/status"), &report)?;
    ensure!(heard == Some(200), "the tenant's own report was answered with {heard:?}");
    Ok(complaints)
}

/// A box that is revoked: its link is dead within a second, its tunnel within five.
fn revocation(
    cloud: &Cloud,
    internet: &Internet,
    mallory: &Host,
    yard: &Link,
    box_id: &str,
) -> Result<Vec<String>> {
    let report = |limit: &str| {
        let mut curl = mallory.command("curl");
        curl.args(["-s", "-o", "/dev/null", "-m", limit, "-w", "%{http_code}"]);
        curl.arg(format!("http://{INNER_HUB}/box/v1/status"));
        mallory.output("curl", curl, Duration::from_secs(5)).is_ok_and(|code| code.trim() != "000")
    };
    ensure!(report("2"), "the tenant's tunnel does not answer before the revocation");
    cloud.owner(&["revoke", box_id])?;
    let revoked = Instant::now();
    let dead = until(Duration::from_secs(10), "the link of a revoked box ends", || {
        Ok(status(cloud, internet.viewer(), yard, "index.m3u8")? == 404)
    })?;
    // the last answer counts; a second of silence is the end
    let (mut last, end) = (Duration::ZERO, Duration::from_secs(12));
    while revoked.elapsed() < end && revoked.elapsed() < last + Duration::from_secs(4) {
        if report("0.5") {
            last = revoked.elapsed();
        }
    }
    println!(
        "a revoked box: link dead after {:.2} s, last answer in its tunnel after {:.2} s",
        dead.as_secs_f64(),
        last.as_secs_f64()
    );
    let mut complaints = Vec::new();
    if dead > DEAD {
        complaints.push(format!("the link of a revoked box lived on for {dead:?}"));
    }
    if last > PEER_DEAD {
        complaints.push(format!("the tunnel of a revoked box lived on for {last:?}"));
    }
    Ok(complaints)
}

/// Waits for a condition and gives the time it took.
fn until(limit: Duration, what: &str, mut condition: impl FnMut() -> Result<bool>) -> Result<Duration> {
    let start = Instant::now();
    while !condition().with_context(|| what.to_owned())? {
        ensure!(start.elapsed() < limit, "{what}: not within {limit:?}");
        thread::sleep(Duration::from_millis(20));
    }
    Ok(start.elapsed())
}

/// The status of a part of a link.
fn status(cloud: &Cloud, viewer: &Host, link: &Link, name: &str) -> Result<u16> {
    Ok(cloud.site().ask(viewer, &format!("/{}/{name}", link.id))?.status)
}

/// An answer without what says when it was given.
fn bare(response: &Response) -> (u16, Vec<(String, String)>, String) {
    let headers = response.headers.iter().filter(|(name, _)| name != "date").cloned().collect();
    (response.status, headers, response.text())
}

/// Whether a TCP connection comes about.
fn knock(from: &Host, to: &str, port: u16) -> Result<bool> {
    let to = SocketAddrV4::new(to.parse()?, port).into();
    Ok(from.within(|| Ok(TcpStream::connect_timeout(&to, Duration::from_millis(200))?)).is_ok())
}

/// Which of these ports take a TCP connection.
fn scan(from: &Host, to: &str, ports: &[u16]) -> Result<Vec<u16>> {
    let to: Ipv4Addr = to.parse()?;
    from.within(|| {
        thread::scope(|scope| {
            let part = |ports: &[u16]| -> Vec<u16> {
                let open = |port: &u16| {
                    let to = SocketAddrV4::new(to, *port).into();
                    TcpStream::connect_timeout(&to, Duration::from_millis(300)).is_ok()
                };
                ports.iter().copied().filter(open).collect()
            };
            let parts: Vec<_> = ports.chunks(16).map(|ports| scope.spawn(move || part(ports))).collect();
            Ok(parts.into_iter().flat_map(|part| part.join().unwrap_or_default()).collect())
        })
    })
}

/// The status of a GET from an interface or address, if there is an answer.
fn ask(from: &Host, source: &str, url: &str) -> Result<Option<u16>> {
    curl(from, &["--interface", source, url])
}

/// The same of a POST of JSON.
fn post(from: &Host, source: &str, url: &str, body: &str) -> Result<Option<u16>> {
    curl(from, &["--interface", source, "-H", "content-type: application/json", "--data", body, url])
}

fn curl(from: &Host, words: &[&str]) -> Result<Option<u16>> {
    let mut command = from.command("sh");
    command.args(["-c", "curl -s -o /dev/null -m 1.5 -w '%{http_code}' \"$@\"; true", "sh"]).args(words);
    let code = from.output("curl", command, Duration::from_secs(5))?;
    Ok(code.trim().parse().ok().filter(|&code| code != 0))
}
