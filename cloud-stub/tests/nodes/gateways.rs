//! Any gateway answers any viewer: what one cloud asks of another, and what nobody else gets there.

use std::sync::atomic::Ordering;

use cloud_stub::nodes::{LIFE_MS, Seal};
use cloud_stub::store::{System, World as _};

use crate::stage::{KEY, Stage, report};

#[tokio::test]
async fn an_object_is_fetched_from_the_box_once_whichever_cloud_its_viewers_ask() {
    let stage = Stage::new().await;
    let gate = &stage.links[0];
    for name in ["7.m4s", "live.m3u8?_HLS_msn=9&_HLS_part=1"] {
        let path = format!("/{gate}/{name}");
        let viewers: Vec<_> = (0..100).flat_map(|_| [stage.a.later(&path), stage.b.later(&path)]).collect();
        let mut first = None;
        for viewer in viewers {
            let got = viewer.await.unwrap();
            assert_eq!(got.status, 200, "{name}");
            assert_eq!(first.get_or_insert(got.clone()), &got, "{name}: everybody gets the same");
        }
        assert_eq!(stage.fetched(&format!("/gate/{name}")), 1);
    }
    let segment = stage.a.get(&format!("/{gate}/7.m4s")).await;
    assert_eq!((segment.body.len(), segment.cache.as_str()), (100_000, "public, max-age=60, immutable"));
    assert_eq!(stage.a.get(&format!("/{gate}/404.m4s")).await.status, 404);
    assert_eq!(stage.a.get(&format!("/{gate}/")).await.status, 200, "the page is the asked cloud's own");
}

#[tokio::test]
async fn nothing_is_passed_on_twice() {
    let stage = Stage::new().await;
    let path = format!("/{}/7.m4s", stage.links[0]);
    // The box has moved to A, and A alone knows it not yet.
    stage.a.store.report(stage.address, &report()).await.unwrap();
    stage.b.store.refresh().await.unwrap();
    let got = stage.a.get(&path).await;
    assert_eq!(got.status, 503);
    assert_eq!(stage.a.asked_others.load(Ordering::Relaxed), 1);
    assert_eq!(stage.b.asked_others.load(Ordering::Relaxed), 0, "B does not ask A in turn");
}

#[tokio::test]
async fn a_box_that_is_away_is_told_from_a_cloud_that_is() {
    let stage = Stage::new().await;
    let heard = stage.b.store.now_ms();
    let path = format!("/{}/7.m4s", stage.links[0]);
    stage.b.reaches.store(false, Ordering::Relaxed);
    let got = stage.a.get(&path).await;
    assert_eq!((got.status, got.json()["offline_since_ms"].as_u64()), (503, Some(heard)));
    assert_eq!(stage.b.knock("GET", &path, Some(seal(&path, 0))).await, 502);

    // The other cloud's door is shut: that says nothing of the box.
    let mut port = stage.b.node.clone();
    port.url = "http://127.0.0.1:1".to_owned();
    stage.b.store.come_in(&stage.b.id, &port).await.unwrap();
    stage.a.store.refresh().await.unwrap();
    let yard = stage.a.get(&format!("/{}/7.m4s", stage.links[1])).await;
    assert_eq!((yard.status, yard.json()["offline_since_ms"].is_null()), (503, true));
}

fn seal(path: &str, ago_ms: u64) -> String {
    Seal::new(&KEY).sign("GET", path, System.now_ms() - ago_ms)
}

#[tokio::test]
async fn nobody_without_a_fresh_seal_finds_anything_between_clouds() {
    let stage = Stage::new().await;
    let path = format!("/{}/7.m4s", stage.links[0]);
    let b = &stage.b;
    assert_eq!(b.knock("GET", &path, Some(seal(&path, 0))).await, 200);
    assert_eq!(b.knock("GET", &path, None).await, 404);
    assert_eq!(b.knock("GET", &path, Some(String::new())).await, 404);
    assert_eq!(b.knock("GET", &path, Some(seal(&path, LIFE_MS + 2000))).await, 404, "too old");
    assert_eq!(b.knock("GET", &path, Some(seal("/other/7.m4s", 0))).await, 404, "of another path");
    let other = Seal::new(&[1; 32]).sign("GET", &path, System.now_ms());
    assert_eq!(b.knock("GET", &path, Some(other)).await, 404, "by another key");
    assert_eq!(b.knock("POST", &path, Some(Seal::new(&KEY).sign("POST", &path, System.now_ms()))).await, 404);
    for elsewhere in ["/", "/healthz", "/metrics", "/api/v1/openapi.json", "/tunnel/v1", "/assets/player.js"]
    {
        assert_eq!(b.knock("GET", elsewhere, Some(seal(elsewhere, 0))).await, 404, "{elsewhere}");
    }
    let page = format!("/{}/", stage.links[0]);
    assert_eq!(b.knock("GET", &page, Some(seal(&page, 0))).await, 404, "only objects");
}
