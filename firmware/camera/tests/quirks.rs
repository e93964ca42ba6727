//! CAMERAS.md, quirks 5 to 13, 17 and 19: each with a camera that has it, each ending as written there. Quirks 1 to 4 are
//! in the rooms that listen to the LAN; the whole list once more, through the page, in the lab.
//!
//! | quirk | test |
//! |---|---|
//! | 5 | `quirk_05_whichever_probe_a_camera_answers_it_is_found`; on a real LAN: boxd `lan/scenario.rs` |
//! | 6 | `quirk_06_addresses_of_another_lan_are_not_followed` |
//! | 7 | `quirk_07_a_clock_180_days_off_costs_no_login` |
//! | 8 | `quirk_08_a_lock_out_is_never_our_doing_and_is_shown_with_its_end` |
//! | 9 | `quirk_09_sha_256_and_two_challenges_cost_no_login` |
//! | 10 | `quirk_10_without_onvif_the_makers_paths_are_tried_one_by_one` |
//! | 11 | `quirk_11_passwords_of_any_letters_work_everywhere_and_are_never_told` |
//! | 12 | `quirk_12_a_camera_without_udp_is_asked_for_tcp` |
//! | 13 | `quirk_13_parameter_sets_come_from_the_pictures_where_the_description_has_none` |
//! | 17 | `quirk_17_an_h264_sub_stream_stands_in_for_h265_and_that_is_said` |
//! | 19 | `quirk_19_a_second_session_waits_and_disturbs_nobody` |

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    missing_docs,
    reason = "the camera's own sockets and clock"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "clippy.toml exempts only what stands under cfg(test)"
)]

mod common;

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::time::Duration;

use camera::errand::{Errand, Outcome};
use camera::ledger::{Account, Credential, Ledger, Verdict};
use camera::{Event, Source, Transport, vendor};
use common::{Listener, Simcam, inside, media, on_runtime, send, source};
use discovery::wsd::{self, Wanted};
use model::{CameraState, CodecKind, Trouble};

const LOGIN: Option<(&str, &str)> = Some(("admin", "secret-1"));
const WITH_LOGIN: [&str; 4] = ["--user", "admin", "--password", "secret-1"];
const HOST: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// The addresses of ONVIF devices that answer both probes, as the box sends them.
fn probed() -> Vec<String> {
    let socket = UdpSocket::bind((HOST, 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(700))).unwrap();
    for wanted in [Wanted::Device, Wanted::Transmitter] {
        socket.send_to(&wsd::probe(wanted, [wanted as u8; 16]), "239.255.255.250:3702").unwrap();
    }
    let mut found = Vec::new();
    let mut buffer = vec![0; 65_536];
    while let Ok((len, from)) = socket.recv_from(&mut buffer) {
        for answer in wsd::read(&buffer[..len], from.ip()).unwrap_or_default() {
            found.extend(answer.onvif.iter().map(ToString::to_string));
        }
    }
    found
}

#[test]
fn quirk_05_whichever_probe_a_camera_answers_it_is_found() {
    if !inside() {
        return;
    }
    let camera = Simcam::at(HOST, 554, 8000, "gate.h264", &["--discovery"]);
    for probe in ["device", "transmitter", "both"] {
        camera.tell(&format!("set probe={probe}"));
        let found = probed();
        assert!(found.contains(&camera.onvif()), "probe={probe}: {found:?}");
    }
    camera.tell("set probe=none");
    assert_eq!(probed(), Vec::<String>::new());
    // What answers no probe answers RTSP, on the port that the sweep asks.
    let mut stream = std::net::TcpStream::connect((HOST, discovery::rtsp::PORTS[0])).unwrap();
    stream.write_all(&discovery::rtsp::options(camera.rtsp)).unwrap();
    let mut got = Vec::new();
    while !discovery::rtsp::is_enough(&got) {
        let mut chunk = [0; 512];
        let len = stream.read(&mut chunk).unwrap();
        got.extend_from_slice(&chunk[..len]);
    }
    assert!(discovery::rtsp::read(&got, IpAddr::V4(HOST), 554).is_ok());
}

#[test]
fn quirk_06_addresses_of_another_lan_are_not_followed() {
    // In a network of its own: a box that did follow would reach nobody.
    if !inside() {
        return;
    }
    on_runtime(async {
        for (services, streams) in [("127.0.1.1", "192.0.2.7"), ("192.0.2.7", "127.0.1.1")] {
            let camera = Simcam::start("gate.h264", &WITH_LOGIN);
            camera.tell(&format!("set xaddrs-host={services} uri-host={streams}"));
            let device = source(&camera.onvif(), LOGIN);
            let facts = Listener::of(device.clone()).streaming().await;
            assert_eq!(facts.url, camera.stream("main"));
            assert!(matches!(send(&device, Errand::Snapshot).await, Ok(Outcome::Snapshot { .. })));
        }
    });
}

#[tokio::test]
async fn quirk_07_a_clock_180_days_off_costs_no_login() {
    for days in [180, -180] {
        let camera = Simcam::start("gate.h264", &WITH_LOGIN);
        camera.tell(&format!("set clock-offset={} onvif-auth=token", days * 86_400));
        let mut listener = Listener::of(source(&camera.onvif(), LOGIN));
        let facts = loop {
            if let Event::Facts(facts) = listener.event().await {
                break facts;
            }
        };
        let off = facts.clock_offset_s.unwrap() - days * 86_400;
        assert!(off.abs() <= 5, "{off}");
        listener.streaming().await;
        assert_eq!(camera.fact("wrong"), 0, "success at the first try");
    }
}

#[test]
fn quirk_08_a_lock_out_is_never_our_doing_and_is_shown_with_its_end() {
    if !inside() {
        return;
    }
    on_runtime(async {
        let more = [&WITH_LOGIN[..], &["--quirk", "lockout=5", "--quirk", "lockout-told=on"]].concat();
        let camera = Simcam::at(HOST, 554, 80, "gate.h264", &more);
        // One wrong password, tried by stream, ONVIF and HTTP in turn, as the box asks its ledger.
        let mut ledger = Ledger::default();
        let account = Account { device: HOST.to_string(), credential: Credential([1; 16]) };
        let wrong = Some(("admin", "wrong"));
        let mut asked = 0;
        for round in 0..3 {
            for url in [camera.onvif(), camera.stream("main"), HOST.to_string()] {
                if ledger.show(&account, round) == Verdict::Go {
                    asked += 1;
                    let mut listener = Listener::of(source(&url, wrong));
                    assert_eq!(listener.trouble().await, (Trouble::WrongPassword, true), "{url}");
                    // Nor does it try again by itself.
                    assert!(listener.unit_within(Duration::from_secs(2)).await.is_none());
                    ledger.refused(&account, round, 0);
                }
            }
            for errand in [Errand::Inspect, Errand::Improve, Errand::Snapshot, Errand::Channels] {
                if ledger.show(&account, round) == Verdict::Go {
                    asked += 1;
                    assert_eq!(
                        send(&source(&camera.onvif(), wrong), errand).await,
                        Err(Trouble::WrongPassword)
                    );
                    ledger.refused(&account, round, 0);
                }
            }
        }
        assert_eq!((asked, camera.fact("wrong")), (1, 1), "at most one failure per credential and device");
        // The right password still works everywhere: nothing is locked.
        assert!(send(&source(&camera.onvif(), LOGIN), Errand::Inspect).await.is_ok());
        Listener::of(source(&camera.stream("main"), LOGIN)).streaming().await;

        // Somebody else locks it. The right password is refused as well, and the box knows until when.
        for attempt in 0..5 {
            let url = if attempt % 2 == 0 { camera.onvif() } else { HOST.to_string() };
            let guess = format!("guess-{attempt}");
            let _ = send(&source(&url, Some(("admin", &guess))), Errand::Inspect).await;
        }
        let before = camera.fact("wrong");
        let device = source(&camera.onvif(), LOGIN);
        for errand in [Errand::Inspect, Errand::Snapshot] {
            let trouble = send(&device, errand).await.unwrap_err();
            let Trouble::Locked { seconds } = trouble else { panic!("{trouble:?}") };
            assert!((1_700..=1_800).contains(&seconds), "{seconds}");
            assert!(trouble.to_string().contains("30 min"), "{trouble}");
        }
        let (trouble, stopped) = Listener::of(device).trouble().await;
        assert!(matches!(trouble, Trouble::Locked { .. }) && stopped, "{trouble:?}");
        assert_eq!(camera.fact("wrong"), before + 3, "one login for each that asked");
    });
}

#[tokio::test]
async fn quirk_09_sha_256_and_two_challenges_cost_no_login() {
    for schemes in ["sha256", "sha256,md5", "md5,sha256", "basic,sha256"] {
        let more = [&WITH_LOGIN[..], &["--auth", schemes, "--quirk", "onvif-auth=http"]].concat();
        let camera = Simcam::start("gate.h264", &more);
        let device = source(&camera.onvif(), LOGIN);
        Listener::of(device.clone()).streaming().await;
        assert!(send(&device, Errand::Inspect).await.is_ok(), "{schemes}");
        assert!(send(&device, Errand::Snapshot).await.is_ok(), "{schemes}");
        assert_eq!(camera.fact("wrong"), 0, "{schemes}");
    }
}

#[test]
fn quirk_10_without_onvif_the_makers_paths_are_tried_one_by_one() {
    if !inside() {
        return;
    }
    on_runtime(async {
        // The second family of the table; the first gets 404.
        let more = [&WITH_LOGIN[..], &["--path", "/cam/realmonitor", "--quirk", "onvif=off"]].concat();
        let camera = Simcam::at(HOST, 554, 80, "gate.h264", &more);
        let device = source(&HOST.to_string(), LOGIN);
        let mut listener = Listener::of(device.clone());
        assert_eq!(listener.trouble().await, (Trouble::NoSuchStream, false), "one path per attempt");
        let facts = listener.streaming().await;
        assert!(facts.url.contains("/cam/realmonitor"), "{facts:?}");
        assert_eq!(camera.fact("wrong"), 0);
        for errand in [Errand::Inspect, Errand::Improve, Errand::Snapshot, Errand::Channels] {
            assert_eq!(send(&device, errand).await, Err(Trouble::OnvifOff));
            assert_eq!(send(&source(&camera.onvif(), LOGIN), errand).await, Err(Trouble::OnvifOff));
        }
        assert_eq!(
            vendor::menu("HIKVISION DS-2CD2143"),
            Some("Configuration > Network > Advanced Settings > Integration Protocol > Enable ONVIF")
        );
    });
}

#[tokio::test]
async fn quirk_11_passwords_of_any_letters_work_everywhere_and_are_never_told() {
    for password in ["p@ss:/#%1", "100%@home", "пароль/қала:9", "a b\"c\\d&<>'"] {
        for (auth, schemes) in [("token", "md5"), ("http", "md5"), ("http", "sha256"), ("any", "basic")] {
            let camera = Simcam::start(
                "gate.h264",
                &["--user", "оператор", "--password", password, "--auth", schemes],
            );
            camera.tell(&format!("set onvif-auth={auth}"));
            let device = source(&camera.onvif(), Some(("оператор", password)));
            let mut listener = Listener::of(device.clone());
            listener.streaming().await;
            let outcome = send(&device, Errand::Inspect).await;
            assert!(outcome.is_ok(), "{password} {auth} {schemes}: {outcome:?}");
            let picture = send(&device, Errand::Snapshot).await;
            assert!(picture.is_ok(), "{password} {auth} {schemes}: {picture:?}");
            assert_eq!(camera.fact("wrong"), 0, "{password} {auth} {schemes}");
            let other = source(&camera.onvif(), Some(("other", password)));
            let refused = send(&other, Errand::Inspect).await;
            assert_eq!(refused, Err(Trouble::WrongPassword), "a wrong user");
            let said = format!("{} {outcome:?} {refused:?} {device:?}", listener.said);
            assert!(!said.contains(password), "{said}");
        }
    }
}

#[tokio::test]
async fn quirk_12_a_camera_without_udp_is_asked_for_tcp() {
    let camera = Simcam::start("gate.h264", &["--quirk", "udp=off"]);
    let wanted = Source { transport: Transport::Udp, ..source(&camera.stream("main"), None) };
    let mut listener = Listener::of(wanted);
    let facts = listener.streaming().await;
    assert!(facts.notes.iter().any(|note| note.contains("TCP")), "{facts:?}");
    listener.unit().await;
}

#[tokio::test]
async fn quirk_13_parameter_sets_come_from_the_pictures_where_the_description_has_none() {
    async fn format(camera: &Simcam) -> media::Format {
        let mut listener = Listener::of(source(&camera.stream("main"), None));
        let format = loop {
            match listener.event().await {
                Event::Format(format) => break format,
                Event::Unit(_) => panic!("a picture before anybody knows what it is"),
                _ => {}
            }
        };
        listener.unit().await;
        format
    }
    for clip in ["gate.h264", "hall.h265"] {
        let camera = Simcam::start(clip, &[]);
        let right = format(&camera).await;
        for sprop in ["missing", "empty-pps", "invalid"] {
            camera.tell(&format!("set sprop={sprop}"));
            assert_eq!(format(&camera).await, right, "{clip} {sprop}");
        }
    }
}

#[tokio::test]
async fn quirk_17_an_h264_sub_stream_stands_in_for_h265_and_that_is_said() {
    let sub = media("gate.h264");
    let camera = Simcam::start("hall.h265", &["--fps", "10", "--sub", &sub, "--sub-fps", "25"]);
    let facts = Listener::of(source(&camera.onvif(), None)).streaming().await;
    assert_eq!((facts.url.as_str(), facts.video), (camera.stream("sub").as_str(), CodecKind::H264));
    assert!(
        facts.notes.iter().any(|note| note.contains("H.265") && note.contains("sub-stream")),
        "{facts:?}"
    );
    // The page asks how the other one could play.
    let Ok(Outcome::Encoder(main)) = send(&source(&camera.onvif(), None), Errand::Inspect).await else {
        panic!("an encoder");
    };
    assert_eq!((main.encoding.as_str(), main.streamed, main.improvable), ("H265", false, false));
}

#[tokio::test]
async fn quirk_19_a_second_session_waits_and_disturbs_nobody() {
    let camera = Simcam::start("gate.h264", &["--quirk", "sessions=1"]);
    let mut first = Listener::of(source(&camera.stream("main"), None));
    first.streaming().await;
    let mut second = Listener::of(source(&camera.stream("main"), None));
    let mut waits = Vec::new();
    while waits.len() < 4 {
        if let Event::State(CameraState::Waiting { trouble, retry_in_ms }) = second.event().await {
            assert_eq!(trouble, Trouble::Busy);
            assert!(trouble.to_string().contains("no free connection"), "{trouble}");
            waits.push(retry_in_ms);
        }
    }
    assert!(waits[3] >= 4_000 && waits[0] <= 1_000, "it backs off: {waits:?}");
    // The first one played on all the while.
    assert_eq!(camera.fact("sessions"), 1);
    assert!(!first.said.contains("Interrupted"));
    let mut pictures = 0;
    while first.unit_within(Duration::from_millis(500)).await.is_some() && pictures < 400 {
        pictures += 1;
    }
    assert!(pictures > 100, "{pictures}");
    assert!(!first.said.contains("Interrupted") && !first.said.contains("Waiting"), "{}", first.said);
    // When it leaves, the other one comes in.
    drop(first);
    second.streaming().await;
}
