//! A factory with two LANs in namespaces of their own: the test starts itself again inside `unshare`, where it is
//! root over an empty network.

use std::{
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket},
    process::Command,
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use model::{Device, DeviceKey, Source};
use nix::{
    sched::{CloneFlags, unshare},
    unistd::{Uid, gettid},
};
use tokio::time::{Instant, sleep, timeout};

use super::{Lan, Options, start};

/// Set where the test runs inside its namespaces.
const INSIDE: &str = "STREAMBOX_LAN_SCENARIO";
const HIKVISION: &str = include_str!("../../../fuzz/corpus/discovery_answer/wsd-hikvision.xml");

const HELLO: &str = include_str!("../../../fuzz/corpus/discovery_answer/wsd-axis-hello.xml");
const RESOLVE_MATCH: &str = include_str!("../../../fuzz/corpus/discovery_answer/wsd-resolve-match.xml");
const BYE: &str = include_str!("../../../fuzz/corpus/discovery_answer/wsd-bye.xml");
const DESCRIPTION: &str = include_str!("../../../fuzz/corpus/discovery_answer/ssdp-description.xml");
const GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 255, 250);

/// Connections to a place that is only ever named by others.
static LURED: AtomicUsize = AtomicUsize::new(0);

#[test]
fn cameras_are_found_on_every_interface() {
    if std::env::var_os(INSIDE).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        return runtime.block_on(factory());
    }
    let user: &[&str] = if Uid::effective().is_root() { &[] } else { &["-r"] };
    let allowed = Command::new("unshare").args(user).args(["-mpfn", "--kill-child", "ip", "link"]).output();
    if !allowed.as_ref().is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: needs root or user namespaces, and iproute2: {allowed:?}");
        return;
    }
    let status = Command::new("unshare")
        .args(user)
        .args(["-mpfn", "--kill-child"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "--test-threads=1"])
        .arg(thread::current().name().unwrap())
        .env(INSIDE, "1")
        .status()
        .unwrap();
    assert!(status.success());
}

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status().unwrap();
    assert!(status.success(), "ip {arguments}");
}

/// Runs a camera on a thread in a network of its own, at the far end of the veth `near`.
fn camera(near: &str, box_address: &str, camera_address: &str, live: impl FnOnce() + Send + 'static) {
    let far = format!("{near}c");
    ip(&format!("link add {near} type veth peer name {far}"));
    let (there, ready) = (mpsc::channel(), mpsc::channel());
    let camera_address = camera_address.to_owned();
    let name = far.clone();
    thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        there.0.send(gettid()).unwrap();
        ready.1.recv().unwrap();
        ip(&format!("addr add {camera_address} dev {name}"));
        ip(&format!("link set {name} up"));
        ip("link set lo up");
        ip(&format!("route add 224.0.0.0/4 dev {name}"));
        live();
    });
    ip(&format!("link set {far} netns {}", there.1.recv().unwrap()));
    ready.0.send(()).unwrap();
    ip(&format!("addr add {box_address} dev {near}"));
    ip(&format!("link set {near} up"));
}

fn group(port: u16) -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap();
    socket.join_multicast_v4(&GROUP, &Ipv4Addr::UNSPECIFIED).unwrap();
    socket
}

/// Answers only probes for `dn:NetworkVideoTransmitter`, with an address on a foreign host.
fn answers_one_probe() {
    thread::spawn(|| {
        for _lured in TcpListener::bind("0.0.0.0:4949").unwrap().incoming() {
            LURED.fetch_add(1, Ordering::Relaxed);
        }
    });
    let socket = group(3702);
    let mut buffer = [0; 4096];
    loop {
        let (length, from) = socket.recv_from(&mut buffer).unwrap();
        if String::from_utf8_lossy(&buffer[..length]).contains("NetworkVideoTransmitter") {
            let answer = HIKVISION.replace("http://192.168.1.64/", "http://127.0.1.1:8000/");
            socket.send_to(answer.as_bytes(), from).unwrap();
        }
    }
}

/// Answers no probe; says Hello without an address until it is asked for one, answers that, and says Bye a little
/// later.
fn says_hello_and_bye() {
    let socket = group(3702);
    socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let mut buffer = [0; 4096];
    loop {
        socket.send_to(HELLO.as_bytes(), (GROUP, 3702)).unwrap();
        let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
        let request = String::from_utf8_lossy(&buffer[..length]);
        if request.contains("Resolve>") && request.contains("urn:uuid:5581ad80-95b0-11e0-b883-accc8e251272") {
            socket.send_to(RESOLVE_MATCH.as_bytes(), from).unwrap();
            break;
        }
    }
    thread::sleep(Duration::from_secs(1));
    socket.send_to(BYE.as_bytes(), (GROUP, 3702)).unwrap();
}

/// SSDP: one answer with the description on its own host, one that lures to another; and the description.
fn describes_itself() {
    thread::spawn(|| {
        for stream in TcpListener::bind("0.0.0.0:80").unwrap().incoming() {
            let mut stream = stream.unwrap();
            let _request = stream.read(&mut [0; 1024]).unwrap();
            stream.write_all(format!("HTTP/1.1 200 OK\r\n\r\n{DESCRIPTION}").as_bytes()).unwrap();
        }
    });
    let socket = group(1900);
    let mut buffer = [0; 4096];
    loop {
        let (_, from) = socket.recv_from(&mut buffer).unwrap();
        for location in ["http://10.1.0.7:4949/desc.xml", "http://10.2.0.9/desc.xml"] {
            let answer = format!(
                "HTTP/1.1 200 OK\r\nST: upnp:rootdevice\r\nSERVER: Linux UPnP/1.0\r\nLOCATION: {location}\r\n\r\n"
            );
            socket.send_to(answer.as_bytes(), from).unwrap();
        }
    }
}

/// Knows no ONVIF; describes itself by SSDP, and answers RTSP with 401 to who sends no credential.
fn is_silent() {
    thread::spawn(describes_itself);
    let listener = TcpListener::bind("0.0.0.0:8554").unwrap();
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        let mut request = [0; 1024];
        let length = stream.read(&mut request).unwrap();
        let request = String::from_utf8_lossy(&request[..length]);
        assert!(request.starts_with("OPTIONS ") && !request.contains("uthorization"), "{request}");
        stream
            .write_all(b"RTSP/1.0 401 Unauthorized\r\nCSeq: 1\r\nServer: Dahua Rtsp Server\r\n\r\n")
            .unwrap();
    }
}

async fn until(lan: &Lan, seconds: u64, what: &str, holds: impl Fn(&[Device]) -> bool) {
    let mut changes = lan.changes();
    let deadline = Instant::now() + Duration::from_secs(seconds);
    while !holds(&lan.devices()) {
        let left = deadline.saturating_duration_since(Instant::now());
        let changed = timeout(left, changes.changed()).await;
        assert!(changed.is_ok(), "not within {seconds} s: {what}; known: {:#?}", lan.devices());
    }
}

async fn factory() {
    ip("link set lo up");
    camera("lan0", "10.1.0.1/24", "10.1.0.7/24", answers_one_probe);
    camera("lan1", "10.2.0.1/26", "10.2.0.9/26", is_silent);
    // The default route leads elsewhere than both.
    ip("link add up0 type veth peer name up0c");
    ip("addr add 203.0.113.1/30 dev up0");
    ip("link set up0 up");
    ip("link set up0c up");
    ip("route add default via 203.0.113.2");

    let lan = start(Options { sweep: true, ..Options::default() });
    let camera_address = |last: [u8; 4]| IpAddr::from(last);
    until(&lan, 15, "both cameras", |devices| {
        let reached = |device: &&Device| !device.onvif.is_empty() || !device.rtsp.is_empty();
        devices.iter().filter(reached).count() == 2
    })
    .await;
    let devices = lan.devices();

    let announced = devices
        .iter()
        .find(|d| d.addresses == [camera_address([10, 1, 0, 7])])
        .expect("the one that answers");
    assert_eq!(announced.key, DeviceKey::Endpoint("cea94000-fb96-11b3-8260-686dbc5cb15d".into()));
    assert_eq!(announced.interfaces, ["lan0"]);
    assert_eq!(announced.sources, [Source::WsDiscovery]);
    assert!(
        announced.onvif.iter().all(|fact| fact.value.starts_with("http://10.1.0.7")),
        "{:?}",
        announced.onvif
    );
    assert!(announced.onvif.iter().any(|fact| fact.value == "http://10.1.0.7:8000/onvif/device_service"));

    let silent =
        devices.iter().find(|d| d.addresses == [camera_address([10, 2, 0, 9])]).expect("the silent one");
    assert_eq!(silent.interfaces, ["lan1"]);
    assert_eq!(
        silent.rtsp.iter().map(|fact| fact.value.as_str()).collect::<Vec<_>>(),
        ["rtsp://10.2.0.9:8554/"]
    );
    until(&lan, 5, "the description of the silent one", |devices| {
        devices.iter().any(|device| device.name.as_ref().is_some_and(|name| name.value == "Gate - IPC-B140H"))
    })
    .await;
    assert_eq!(LURED.load(Ordering::Relaxed), 0, "only the address that answered is ever contacted");

    // An interface that comes later is looked at too; a device without an address is asked for it; Bye ends it.
    camera("lan2", "10.3.0.1/29", "10.3.0.3/29", says_hello_and_bye);
    until(&lan, 15, "the address of the camera that said Hello", |devices| {
        devices.iter().any(|device| {
            device.interfaces == ["lan2"]
                && device.onvif.iter().any(|fact| fact.value == "http://10.3.0.3/onvif/device_service")
        })
    })
    .await;
    until(&lan, 15, "the end of the camera that said Bye", |devices| devices.len() == 2).await;

    // All tasks stop with it: nobody is left to hold the sockets.
    assert!(udp_sockets() >= 6, "the count sees discovery's sockets");
    let mut changes = lan.changes();
    drop(lan);
    timeout(Duration::from_secs(2), async { while changes.changed().await.is_ok() {} })
        .await
        .expect("it has ended");
    sleep(Duration::from_millis(100)).await;
    assert_eq!(udp_sockets(), 0);
}

/// UDP sockets of this network, by the kernel's own list.
fn udp_sockets() -> usize {
    std::fs::read_to_string("/proc/thread-self/net/udp").unwrap().lines().count() - 1
}
