//! Links that are switched off, boxes that are revoked, boxes that go away.

use std::time::{Duration, Instant};

use cloud_stub::gateway::{At, Limits, Place};
use hyper::Method;
use std::net::Ipv4Addr;

use crate::stage::{BOX, GATE, Got, Stage, YARD, found, id, ordinary, start_box, until};

/// A random id that nobody was given.
const NOBODY: &str = "nobodyaaaaaaaaaaaaaaaaaaaa";

#[tokio::test]
async fn every_no_is_the_same() {
    let (port, fetches) = start_box(ordinary).await;
    let stage = Stage::before(port);
    assert_eq!(stage.get(&format!("/{GATE}/7.m4s")).await.status, 200);
    stage.change(|links| drop(links.0.remove(&id(GATE))));
    let before = fetches.all().len();
    let nothing = stage.get(&format!("/{NOBODY}/")).await;
    assert_eq!((nothing.status, nothing.header("cache-control")), (404, "no-store"));
    for link in [GATE, NOBODY, "gate", "x", "UPPER", "a%2fb", "", "assets"] {
        for rest in [
            "",
            "/",
            "/7.m4s",
            "/live.m3u8",
            "/live.m3u8?_HLS_msn=x",
            "/status",
            "/qr.svg",
            "/../x",
            "/api/v1/cameras",
        ] {
            let got = stage.get(&format!("/{link}{rest}")).await;
            assert_eq!(got, nothing, "/{link}{rest}");
            let got = stage.ask(Method::HEAD, &format!("/{link}{rest}"), &[]).await;
            assert_eq!(got, nothing, "HEAD /{link}{rest}");
        }
    }
    // On a link that works: what is not there looks the same.
    for rest in [
        "404.m4s",
        "api/v1/cameras",
        "healthz",
        "..",
        "7.m4s/",
        "/7.m4s",
        "live.m3u8%3f",
        "status/",
        "gate/7.m4s",
    ] {
        assert_eq!(stage.get(&format!("/{YARD}/{rest}")).await, nothing, "{rest}");
    }
    assert_eq!(fetches.all()[before..], ["/yard/404.m4s"], "nothing but HLS names ever goes to a box");
}

#[tokio::test]
async fn a_link_that_is_switched_off_is_dead_at_once_and_leaves_nothing_behind() {
    let (port, fetches) = start_box(ordinary).await;
    let stage = Stage::before(port);
    for path in [format!("/{GATE}/7.m4s"), format!("/{GATE}/8.m4s"), format!("/{YARD}/7.m4s")] {
        assert_eq!(stage.get(&path).await.status, 200);
    }
    assert_eq!(stage.gateway.kept().1, 3);
    let blocked = stage.later(&format!("/{GATE}/live.m3u8?_HLS_msn=77"));
    until("the reload waits", || fetches.all().len() == 4).await;

    let off = Instant::now();
    stage.change(|links| drop(links.0.remove(&id(GATE))));
    assert_eq!(stage.get(&format!("/{GATE}/7.m4s")).await.status, 404, "at the next request");
    let ended = blocked.await.unwrap();
    assert_eq!(ended.status, 404, "a request that waits ends");
    assert!(off.elapsed() < Duration::from_secs(1), "{:?}", off.elapsed());
    assert_eq!(stage.gateway.kept().1, 1, "only the other camera's segment is kept");
    assert_eq!(stage.get(&format!("/{YARD}/7.m4s")).await.status, 200);

    // On again: fetched anew.
    stage.change(|links| *links = links.clone().with(GATE, BOX, "gate"));
    assert_eq!(stage.get(&format!("/{GATE}/7.m4s")).await.status, 200);
    assert_eq!(fetches.of("/gate/7.m4s"), 2);
}

#[tokio::test]
async fn a_link_that_leads_to_another_camera_now_shows_nothing_of_the_one_before() {
    let (port, _) = start_box(|path| async move { found(crate::stage::IMMUTABLE, path) }).await;
    let stage = Stage::before(port);
    let link = format!("/{GATE}/7.m4s");
    assert_eq!(stage.get(&link).await.body, "/gate/7.m4s");
    stage.change(|links| {
        links.0.get_mut(&id(GATE)).unwrap().0 = Place { at: At::Box(BOX), camera: id("yard") }
    });
    assert_eq!(stage.get(&link).await.body, "/yard/7.m4s");
}

#[tokio::test]
async fn a_link_that_is_switched_off_during_its_fetch_gives_nothing_even_so() {
    let (port, fetches) = start_box(ordinary).await;
    let stage = Stage::before(port);
    let coming = stage.later(&format!("/{GATE}/8.m4s"));
    until("it is on its way", || fetches.all().len() == 1).await;
    stage.change(|links| drop(links.0.remove(&id(GATE))));
    assert_eq!(coming.await.unwrap().status, 404);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(stage.gateway.kept().1, 0);
}

fn offline_since(got: &Got) -> Option<u64> {
    assert_eq!((got.status, got.header("retry-after"), got.header("cache-control")), (503, "1", "no-store"));
    got.json()["offline_since_ms"].as_u64()
}

#[tokio::test]
async fn a_box_that_is_away_is_said_to_be_and_plays_again_by_itself() {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let stage = Stage::before(port);
    let heard = 1_700_000_000_000;
    stage.change(|links| links.0.get_mut(&id(GATE)).unwrap().1.heard_ms = Some(heard));
    assert_eq!(offline_since(&stage.get(&format!("/{GATE}/live.m3u8")).await), Some(heard));
    let status = stage.get(&format!("/{GATE}/status")).await.json();
    assert_eq!((&status["since_ms"], &status["state"]["state"]), (&heard.into(), &"offline".into()));
    assert!(status["sentence"].as_str().unwrap().contains("offline"), "{status}");
    let page = stage.get(&format!("/{GATE}/")).await;
    let page = std::str::from_utf8(&page.body).unwrap();
    assert!(page.contains("site is offline"), "said before any script runs: {page}");

    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n#EXTM3U";
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, answer).await;
            tokio::spawn(async move {
                let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
            });
        }
    });
    assert_eq!(stage.get(&format!("/{GATE}/live.m3u8")).await.status, 200);
    let status = stage.get(&format!("/{GATE}/status")).await.json();
    assert_eq!(status["sentence"], serde_json::Value::Null, "{status}");
}

#[tokio::test]
async fn a_camera_that_sends_nothing_is_not_an_absent_box() {
    let (port, _) = start_box(ordinary).await;
    let stage = Stage::with(port, 1 << 20, Limits::default());
    assert_eq!(offline_since(&stage.get(&format!("/{GATE}/503.m4s")).await), None);
}
