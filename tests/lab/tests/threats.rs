//! What attackers try over the public link and from a camera, and what they must get: nothing.

use std::{
    net::{Ipv4Addr, SocketAddrV4, TcpStream, UdpSocket},
    thread,
    time::Duration,
};

use anyhow::{Result, ensure};
use lab::{
    boxd::{Boxd, CameraConfig},
    counters::Counters,
    factory::Factory,
    internet::WEB_ADDRESS,
    simcam::Simcam,
    test_name, world,
};

/// How long liars may go on lying, once the box streams what can be streamed: longer than a second and third try.
const LISTEN: Duration = Duration::from_secs(8);

/// Row 4: a camera sends the box elsewhere, in every field and reply that names an address. Only the address that
/// answered is ever contacted.
#[test]
fn a_camera_cannot_send_the_box_elsewhere() {
    let test = test_name!();
    world::inside(test, || {
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
            configs.push(CameraConfig::open(format!("udp{n}"), sly.rtsp(0)).over_udp());
            for camera in [1, 2] {
                configs.push(CameraConfig::open(format!("away{camera}-{n}"), sly.rtsp(camera)));
                configs.push(CameraConfig::open(format!("onvif{camera}-{n}"), sly.onvif(camera)));
            }
            deceived.push(format!("tcp{n}"));
            cameras.push(sly);
        }
        let discovery = "[discovery]\nsweep = false\nadopt = true\n";
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
