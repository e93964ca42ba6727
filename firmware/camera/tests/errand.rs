//! One-shot questions to a camera that does what it is told: the stream follows, and nothing else changes.

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

use std::time::Duration;

use camera::errand::{Encoder, Errand, Outcome};
use camera::onvif::PICTURE_BYTES;
use camera::{Source, StreamChoice};
use common::{Listener, Simcam, media, send, source};
use model::{CodecKind, Trouble};

const LOGIN: Option<(&str, &str)> = Some(("admin", "secret-1"));
const WITH_LOGIN: [&str; 4] = ["--user", "admin", "--password", "secret-1"];

fn words<'a>(first: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [first, more].concat()
}

async fn inspected(source: &Source) -> Encoder {
    match send(source, Errand::Inspect).await {
        Ok(Outcome::Encoder(encoder)) => encoder,
        other => panic!("{other:?}"),
    }
}

async fn improved(source: &Source) -> (Encoder, Encoder) {
    match send(source, Errand::Improve).await {
        Ok(Outcome::Improved { before, after }) => (before, after),
        other => panic!("{other:?}"),
    }
}

/// Pictures from one keyframe to the next, as they arrive.
async fn gop(url: &str) -> u32 {
    let mut listener = Listener::of(source(url, LOGIN));
    while !listener.unit().await.random_access {}
    let mut count = 1;
    while !listener.unit().await.random_access {
        count += 1;
    }
    count
}

#[tokio::test]
async fn a_gop_of_six_seconds_becomes_one_of_one_second_by_either_media_service() {
    for media2 in ["media2=on", "media2=off"] {
        let variant = media("gate.h264");
        let more = ["--variant", &variant, "--quirk", media2];
        let camera = Simcam::start("slow.h264", &words(&WITH_LOGIN, &more));
        let source = source(&camera.onvif(), LOGIN);
        let seen = inspected(&source).await;
        assert_eq!(
            (seen.encoding.as_str(), seen.gop, seen.improvable, seen.streamed),
            ("H264", 150, true, true)
        );
        assert_eq!(gop(&camera.stream("main")).await, 150);
        let (before, after) = improved(&source).await;
        assert_eq!((before, after.gop, after.improvable), (seen, 25, false), "{media2}");
        assert_eq!(inspected(&source).await, after, "it is what the camera says afterwards, too");
        assert_eq!(gop(&camera.stream("main")).await, 25, "and what it sends");
        assert_eq!(camera.fact("wrong"), 0);
        // A second time there is nothing to do, and nothing is done.
        let (again, same) = improved(&source).await;
        assert_eq!((&again, &same, camera.fact("changes")), (&after, &after, 1));
    }
}

#[tokio::test]
async fn an_h265_main_stream_becomes_h264_and_the_sub_stream_stays() {
    let (variant, sub) = (media("gate.h264"), media("yard.h264"));
    let more = ["--variant", &variant, "--sub", &sub, "--fps", "10"];
    let camera = Simcam::start("hall.h265", &words(&WITH_LOGIN, &more));
    let auto = source(&camera.onvif(), LOGIN);
    let small = Source { stream: StreamChoice::Sub, ..auto.clone() };
    let sub_before = inspected(&small).await;
    let facts = Listener::of(auto.clone()).streaming().await;
    assert!(
        facts.url.ends_with("/sub") && facts.notes.iter().any(|note| note.contains("H.265")),
        "{facts:?}"
    );

    let (before, after) = improved(&auto).await;
    assert_eq!((before.encoding.as_str(), before.streamed, before.profile.as_str()), ("H265", false, "main"));
    assert_eq!((after.encoding.as_str(), after.gop, after.width), ("H264", 10, 1920));
    assert!(after.bit_rate_kbps <= before.bit_rate_kbps, "{after:?}");
    let facts = Listener::of(auto).streaming().await;
    assert_eq!((facts.url.ends_with("/main"), facts.video), (true, CodecKind::H264));
    assert_eq!(inspected(&small).await, sub_before);
}

#[tokio::test]
async fn what_a_camera_cannot_or_will_not_do_is_said_with_the_way_out() {
    let sub = media("gate.h264");
    let camera = Simcam::start("hall.h265", &["--sub", &sub]);
    let device = source(&camera.onvif(), None);
    let trouble = send(&device, Errand::Improve).await.unwrap_err();
    assert_eq!(trouble, Trouble::NoH264 { other: Some("sub".into()) });
    assert!(trouble.to_string().contains("choose that one"), "{trouble}");
    let only = Simcam::start("hall.h265", &[]);
    let trouble = send(&source(&only.onvif(), None), Errand::Improve).await.unwrap_err();
    assert_eq!(trouble, Trouble::NoH264 { other: None });

    let variant = media("gate.h264");
    for obedience in ["encoder=refused", "encoder=ignored"] {
        let camera = Simcam::start("slow.h264", &["--variant", &variant, "--quirk", obedience]);
        let trouble = send(&source(&camera.onvif(), None), Errand::Improve).await.unwrap_err();
        assert!(matches!(trouble, Trouble::Refused { .. }), "{obedience}: {trouble:?}");
        assert!(trouble.to_string().contains("own menu"), "{trouble}");
        assert_eq!(camera.fact("changes"), 0);
    }
}

#[tokio::test]
async fn the_encoder_of_a_stream_is_found_by_its_rtsp_address() {
    let sub = media("gate.h264");
    // ONVIF stands on one of its usual ports only where nobody else has it.
    let host = std::net::Ipv4Addr::new(127, 0, 0, 41);
    let camera = Simcam::at(host, 8554, 8899, "yard.h264", &["--fps", "15", "--sub", &sub]);
    let seen = inspected(&source(&camera.stream("sub"), None)).await;
    assert_eq!((seen.profile.as_str(), seen.width, seen.streamed), ("sub", 640, true));
    let seen = inspected(&source(&camera.stream("main"), None)).await;
    assert_eq!((seen.profile.as_str(), seen.gop, seen.fps), ("main", 30, 15.0));
}

#[tokio::test]
async fn a_still_picture_comes_with_every_login() {
    for scheme in ["basic", "md5", "sha256", "sha256,md5", "md5,basic"] {
        let camera = Simcam::start("gate.h264", &words(&WITH_LOGIN, &["--auth", scheme]));
        let Ok(Outcome::Snapshot { jpeg }) = send(&source(&camera.onvif(), LOGIN), Errand::Snapshot).await
        else {
            panic!("a picture by {scheme}");
        };
        assert_eq!(jpeg, std::fs::read(media("gate.jpg")).unwrap(), "{scheme}");
        assert_eq!(camera.fact("wrong"), 0, "{scheme}");
    }
}

#[tokio::test]
async fn what_is_no_picture_is_not_shown() {
    let folder = std::env::temp_dir().join(format!("streambox-errand-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let page = folder.join("page.jpg");
    std::fs::write(&page, "<html><script>alert(1)</script>").unwrap();
    let large = folder.join("large.jpg");
    std::fs::write(&large, [&[0xff, 0xd8, 0xff][..], &vec![0; PICTURE_BYTES]].concat()).unwrap();
    let page = Simcam::start("gate.h264", &["--snapshot", page.to_str().unwrap()]);
    assert_eq!(send(&source(&page.onvif(), None), Errand::Snapshot).await, Err(Trouble::NoSnapshot));
    let large = Simcam::start("gate.h264", &["--snapshot", large.to_str().unwrap()]);
    let trouble = send(&source(&large.onvif(), None), Errand::Snapshot).await.unwrap_err();
    assert!(matches!(trouble, Trouble::TooLarge { .. }), "{trouble:?}");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn a_picture_outlives_the_way_to_the_page() {
    let outcome = Outcome::Snapshot { jpeg: vec![0xff, 0xd8, 0xff, 0, 1].into() };
    let text = serde_json::to_string(&outcome).unwrap();
    assert_eq!(serde_json::from_str::<Outcome>(&text).unwrap(), outcome);
    let long = format!("{{\"outcome\":\"snapshot\",\"jpeg\":\"{}\"}}", "AAAA".repeat(PICTURE_BYTES / 3 + 2));
    assert!(serde_json::from_str::<Outcome>(&long).is_err(), "not over the limit, whoever says so");
}

#[tokio::test]
async fn a_recorders_channels_are_cameras_of_their_own() {
    let sub = media("gate.h264");
    let more = ["--channels", "4", "--channel-names", "Gate,Yard,Hall,Roof", "--sub", &sub];
    let recorder = Simcam::start("yard.h264", &words(&WITH_LOGIN, &more));
    let device = source(&recorder.onvif(), LOGIN);
    let Ok(Outcome::Channels { channels }) = send(&device, Errand::Channels).await else {
        panic!("channels")
    };
    let names: Vec<&str> = channels.iter().map(|channel| channel.name.as_str()).collect();
    assert_eq!(names, ["Gate", "Yard", "Hall", "Roof"]);
    let third = Source { channel: Some(channels[2].token.clone()), ..device.clone() };
    assert!(Listener::of(third.clone()).streaming().await.url.ends_with("/ch3/main"));
    let small = third.small_picture().unwrap();
    assert!(Listener::of(small).streaming().await.url.ends_with("/ch3/sub"));
    // What crosses to the worker's process is still that channel.
    let frame = camera::wire::encode_source(&third).unwrap();
    let header = camera::wire::Header::decode(&frame.header).unwrap();
    assert_eq!(camera::wire::decode_source(&header, &frame.body).unwrap().channel, third.channel);
    let gone = Source { channel: Some("source-9".into()), ..device };
    assert_eq!(Listener::of(gone).trouble().await.0, Trouble::NoSuchStream);
}

#[tokio::test]
async fn improving_one_channel_leaves_the_others_alone() {
    let variant = media("gate.h264");
    let recorder = Simcam::start("slow.h264", &["--channels", "3", "--variant", &variant]);
    let of = |number: usize| Source {
        channel: Some(format!("source-{number}")),
        ..source(&recorder.onvif(), None)
    };
    let (before, after) = improved(&of(2)).await;
    assert_eq!((before.profile.as_str(), before.gop, after.gop), ("ch2-main", 150, 25));
    assert_eq!((inspected(&of(1)).await.gop, inspected(&of(3)).await.gop), (150, 150));
}

#[tokio::test]
async fn a_login_for_onvif_alone_is_refused_for_pictures_once() {
    let more = ["--onvif-user", "onvif", "--onvif-password", "other-2"];
    let camera = Simcam::start("gate.h264", &words(&WITH_LOGIN, &more));
    let onvif = source(&camera.onvif(), Some(("onvif", "other-2")));
    assert_eq!(inspected(&onvif).await.encoding, "H264");
    assert_eq!(camera.fact("wrong"), 0);
    assert_eq!(send(&onvif, Errand::Snapshot).await, Err(Trouble::WrongPassword));
    assert_eq!(camera.fact("wrong"), 1);
}

#[tokio::test]
async fn a_wrong_password_is_refused_once_per_errand_however_the_camera_asks() {
    for auth in ["any", "token", "http"] {
        let quirk = format!("onvif-auth={auth}");
        for errand in [Errand::Inspect, Errand::Improve, Errand::Snapshot, Errand::Channels] {
            let camera = Simcam::start("gate.h264", &words(&WITH_LOGIN, &["--quirk", &quirk]));
            let wrong = source(&camera.onvif(), Some(("admin", "canary")));
            assert_eq!(send(&wrong, errand).await, Err(Trouble::WrongPassword));
            assert_eq!(camera.fact("wrong"), 1, "{auth} {errand:?}");
            let none = source(&camera.onvif(), None);
            assert_eq!(send(&none, errand).await, Err(Trouble::PasswordNeeded));
            assert_eq!(camera.fact("wrong"), 1, "{auth} {errand:?}");
        }
    }
}

#[tokio::test]
async fn a_camera_without_a_password_of_its_own_is_shown_none() {
    let camera = Simcam::start("gate.h264", &words(&WITH_LOGIN, &["--quirk", "activated=off"]));
    let device = source(&camera.onvif(), LOGIN);
    for errand in [Errand::Inspect, Errand::Improve, Errand::Snapshot, Errand::Channels] {
        assert_eq!(send(&device, errand).await, Err(Trouble::NotActivated));
    }
    assert_eq!(Listener::of(device).trouble().await, (Trouble::NotActivated, false));
    assert_eq!((camera.fact("wrong"), camera.fact("right")), (0, 0), "no login was tried");
    assert!(camera.fact("requests") > 0);
}

#[tokio::test]
async fn an_errand_to_nobody_ends_in_time() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/onvif/device_service", silent.local_addr().unwrap());
    let ended =
        tokio::time::timeout(Duration::from_secs(20), send(&source(&url, None), Errand::Inspect)).await;
    assert!(matches!(ended.expect("in time"), Err(Trouble::Unreachable { .. })));
}
