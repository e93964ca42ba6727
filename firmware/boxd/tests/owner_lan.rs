//! A hostile LAN before the owner has picked a camera, and after (THREATS.md, row 5): a box in a network namespace, and at the
//! other end of its cable somebody who is 5,000 cameras, one of them real. Who is shown a login is counted there.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a test of a process from outside")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may fail the test")]

#[allow(dead_code, reason = "each test file needs a part of it")]
mod page;

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Uid, gettid};
use page::{PASSWORD, TestBox};
use serde_json::{Value, json};

/// Set where the test runs inside its namespaces.
const INSIDE: &str = "STREAMBOX_OWNER_LAN";
const GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 255, 250);
const REAL: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 7);
const ENDPOINT: &str = "00000000-0000-4000-8000-00000000aaaa";
const OTHER: &str = "00000000-0000-4000-8000-00000000bbbb";
/// Answers to one probe; the box asks twice every half minute, so 5,000 arrive in a minute and a half.
const FAKES: u32 = 1_250;

/// Where a login was shown, and how many fake answers were sent.
static SHOWN: Mutex<Vec<IpAddr>> = Mutex::new(Vec::new());
static SENT: AtomicUsize = AtomicUsize::new(0);
/// Somebody else is at the camera's address.
static SWAPPED: AtomicBool = AtomicBool::new(false);

#[test]
fn five_thousand_fake_cameras_get_no_login_and_no_more_than_their_share_of_the_list() {
    in_namespaces(flooded);
}

#[test]
fn a_camera_that_another_device_takes_the_place_of_asks_and_gets_no_login_before() {
    in_namespaces(swapped);
}

/// Runs the running test anew where it is root over an empty network.
fn in_namespaces(test: fn()) {
    if std::env::var_os(INSIDE).is_some() {
        return test();
    }
    let user: &[&str] = if Uid::effective().is_root() { &[] } else { &["-r"] };
    let allowed = Command::new("unshare").args(user).args(["-mpfn", "--kill-child", "ip", "link"]).output();
    if !allowed.as_ref().is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: needs root or user namespaces, and iproute2: {allowed:?}");
        return;
    }
    let status = Command::new("unshare")
        .args(user)
        .args(["-mpfn", "--mount-proc", "--kill-child"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "--test-threads=1"])
        .arg(std::thread::current().name().unwrap())
        .env(INSIDE, "1")
        .status()
        .unwrap();
    assert!(status.success());
}

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status().unwrap();
    assert!(status.success(), "ip {arguments}");
}

/// The other end of the cable, in a network of its own: every address of 10.9.128.0/17, and the real camera's.
fn factory(fakes: u32) {
    ip("link set lo up");
    ip("link add lan0 type veth peer name far0");
    let (there, ready) = (mpsc::channel(), mpsc::channel());
    std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        there.0.send(gettid()).unwrap();
        ready.1.recv().unwrap();
        ip("link set lo up");
        ip(&format!("addr add {REAL}/16 dev far0"));
        ip("link set far0 up");
        ip("route add local 10.9.128.0/17 dev lo");
        ip("route add 224.0.0.0/4 dev far0");
        for port in [80, 554] {
            let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap();
            std::thread::spawn(move || answer_everybody(&listener));
        }
        answer_probes(fakes);
    });
    ip(&format!("link set far0 netns {}", there.1.recv().unwrap()));
    ready.0.send(()).unwrap();
    ip("addr add 10.9.0.1/16 dev lan0");
    ip("link set lan0 up");
}

/// HTTP and RTSP that want a login, at every address.
fn answer_everybody(listener: &TcpListener) {
    for mut stream in listener.incoming().flatten() {
        std::thread::spawn(move || {
            let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
            let mut chunk = [0; 8192];
            while let Ok(len @ 1..) = stream.read(&mut chunk) {
                let request = String::from_utf8_lossy(&chunk[..len]).into_owned();
                if ["Authorization:", "authorization:", "PasswordDigest", "UsernameToken"]
                    .iter()
                    .any(|sign| request.contains(sign))
                {
                    SHOWN.lock().unwrap().push(stream.local_addr().unwrap().ip());
                }
                let cseq = request.lines().find_map(|line| line.strip_prefix("CSeq: ")).unwrap_or("1");
                let protocol = if request.contains("RTSP/1.0") { "RTSP/1.0" } else { "HTTP/1.1" };
                let answer = format!(
                    "{protocol} 401 Unauthorized\r\nCSeq: {cseq}\r\nWWW-Authenticate: Digest realm=\"x\", nonce=\"n\"\r\n\
                     Content-Length: 0\r\n\r\n"
                );
                if stream.write_all(answer.as_bytes()).is_err() {
                    return;
                }
            }
        });
    }
}

fn answer(endpoint: &str, name: &str, address: Ipv4Addr) -> String {
    format!(
        "<?xml version=\"1.0\"?><e:Envelope xmlns:e=\"http://www.w3.org/2003/05/soap-envelope\" \
         xmlns:w=\"http://schemas.xmlsoap.org/ws/2004/08/addressing\" xmlns:d=\"http://schemas.xmlsoap.org/ws/2005/04/discovery\" \
         xmlns:dn=\"http://www.onvif.org/ver10/network/wsdl\"><e:Header><w:Action>http://schemas.xmlsoap.org/ws/2005/04/discovery/ProbeMatches\
         </w:Action></e:Header><e:Body><d:ProbeMatches><d:ProbeMatch><w:EndpointReference><w:Address>urn:uuid:{endpoint}</w:Address>\
         </w:EndpointReference><d:Types>dn:NetworkVideoTransmitter</d:Types><d:Scopes>onvif://www.onvif.org/name/{name}</d:Scopes>\
         <d:XAddrs>http://{address}/onvif/device_service</d:XAddrs></d:ProbeMatch></d:ProbeMatches></e:Body></e:Envelope>"
    )
}

fn answer_probes(fakes: u32) {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 3702)).unwrap();
    socket.join_multicast_v4(&GROUP, &REAL).unwrap();
    let mut buffer = [0; 4096];
    loop {
        let (length, from) = socket.recv_from(&mut buffer).unwrap();
        if !String::from_utf8_lossy(&buffer[..length]).contains("Probe") {
            continue;
        }
        let endpoint = if SWAPPED.load(Ordering::SeqCst) { OTHER } else { ENDPOINT };
        send(REAL, &answer(endpoint, "Gate", REAL), from);
        for number in 0..fakes {
            let [.., high, low] = (number + 0x8000).to_be_bytes();
            let address = Ipv4Addr::new(10, 9, high, low);
            // One in a hundred calls itself what the real one is called, one claims to be it.
            let name = if number % 100 == 0 { "Gate".to_owned() } else { format!("fake-{number}") };
            let endpoint = match number {
                7 => ENDPOINT.to_owned(),
                _ => format!("00000000-0000-4000-9000-{:012x}", u64::from(number)),
            };
            send(address, &answer(&endpoint, &name, REAL), from);
            SENT.fetch_add(1, Ordering::SeqCst);
            if number % 16 == 0 {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    }
}

fn send(own: Ipv4Addr, text: &str, to: SocketAddr) {
    let socket = UdpSocket::bind((own, 0)).unwrap();
    let _ = socket.send_to(text.as_bytes(), to);
}

fn claimed(running: &TestBox) -> String {
    let mut cookies = None;
    wait("its page's process", 20, || {
        let got = running.claim(PASSWORD);
        cookies = (got.status == 200).then(|| got.cookies());
        cookies.is_some()
    });
    cookies.unwrap()
}

fn overview(running: &TestBox, owner: &str) -> Value {
    let got = running.get("/api/v1/setup/overview", owner);
    assert_eq!(got.status, 200, "{got:?}");
    got.json()
}

fn device(overview: &Value, key: &str) -> Value {
    let devices = overview["devices"].as_array().unwrap();
    devices.iter().find(|device| device["key"] == key).cloned().unwrap_or(Value::Null)
}

fn shown() -> BTreeSet<IpAddr> {
    SHOWN.lock().unwrap().iter().copied().collect()
}

fn flooded() {
    factory(FAKES);
    let running = TestBox::start_searching("hostile-lan");
    let owner = claimed(&running);
    wait("the real camera", 20, || device(&overview(&running, &owner), ENDPOINT) != Value::Null);
    wait("the flood", 110, || SENT.load(Ordering::SeqCst) >= 5_000);
    let seen = overview(&running, &owner);
    let count = seen["devices"].as_array().unwrap().len();
    assert!((100..=256).contains(&count), "{count} devices are listed");
    let real = device(&seen, ENDPOINT);
    assert_eq!(
        real["addresses"][0],
        REAL.to_string(),
        "who borrows its name does not take its place: {real}"
    );
    assert_eq!(shown(), BTreeSet::new(), "nobody is shown a login before the owner picks");
    assert_eq!(running.get("/healthz", "").status, 200);
    pick(&running, &owner);
    wait("the login at the camera", 20, || !shown().is_empty());
    assert_eq!(shown(), BTreeSet::from([IpAddr::V4(REAL)]));
}

fn swapped() {
    factory(0);
    let running = TestBox::start_searching("swapped-lan");
    let owner = claimed(&running);
    wait("the camera", 20, || device(&overview(&running, &owner), ENDPOINT) != Value::Null);
    let id = pick(&running, &owner);
    wait("the login at the camera", 20, || !shown().is_empty());

    // Somebody else takes its address: nothing more is shown there, and the page asks.
    SWAPPED.store(true, Ordering::SeqCst);
    let first = || {
        let all = overview(&running, &owner);
        let cameras = all["cameras"].as_array().unwrap().clone();
        let row = cameras.into_iter().find(|camera| camera["id"] == id.as_str()).unwrap();
        row["obstacles"][0]["code"].clone()
    };
    wait("the question", 60, || first() == "changed_device");
    let all = overview(&running, &owner);
    assert_eq!(device(&all, OTHER)["obstacles"][0]["code"], "changed_device", "{all}");
    let before = SHOWN.lock().unwrap().len();
    let login = json!({"login": {"user": "admin", "password": "canary-another"}}).to_string();
    let refused = running.post(&format!("cameras/{id}"), &owner, &login);
    assert_eq!(refused.json()["code"], "changed_device", "{refused:?}");
    let snapshot = running.get(&format!("/api/v1/setup/cameras/{id}/snapshot.jpg"), &owner);
    assert_eq!(snapshot.json()["code"], "changed_device", "{snapshot:?}");
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(SHOWN.lock().unwrap().len(), before, "nobody is shown a login before the owner picks again");

    // It is back, and the refusal of before still counts.
    SWAPPED.store(false, Ordering::SeqCst);
    wait("the camera again", 60, || first() == "wrong_password");
    assert_eq!(SHOWN.lock().unwrap().len(), before);
}

/// The owner picks the camera, with a wrong password; its id.
fn pick(running: &TestBox, owner: &str) -> String {
    let body = json!({
        "picks": [{ "device": ENDPOINT }],
        "login": {"user": "admin", "password": "canary-camera"},
    });
    let added = running.post("cameras", owner, &body.to_string());
    added.json()["outcomes"][0]["Ok"].as_str().unwrap_or_else(|| panic!("{added:?}")).to_owned()
}

fn wait(what: &str, seconds: u64, mut there: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !there() {
        assert!(start.elapsed() < Duration::from_secs(seconds), "never showed {what}");
        std::thread::sleep(Duration::from_millis(200));
    }
}
