//! The decision hook of the operator's.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cloud_stub::store::Access;
use serde_json::json;

use crate::others::{SILENT, Server};
use crate::stage::{Browser, Gate, Stage};

async fn stage() -> (Arc<Stage>, Gate, Server) {
    let server = Server::start("").await;
    let lines = format!("hook = \"http://{}/decide\"\nhook_token = \"hook-key\"", server.address);
    let stage = Arc::new(Stage::with(&lines).await);
    let gate = stage.gate(1, "ACME").await;
    (stage, gate, server)
}

#[tokio::test]
async fn the_hook_is_told_who_wants_what_and_200_lets_in() {
    let (stage, gate, server) = stage().await;
    let viewer = Browser { from: "198.51.100.7".into(), ..Browser::new() };
    let answer = stage.get(&viewer, &format!("/{}~opaque.token/live.m3u8?_HLS_skip=YES", gate.id)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["cache-control"], "private, no-store");
    let heard = server.heard.lock().unwrap().clone();
    let question = json!({
        "camera": gate.id.as_str(), "tenant": gate.tenant, "token": "opaque.token",
        "address": "198.51.100.7", "path": format!("/{}/live.m3u8", gate.id)
    });
    assert_eq!(heard, [("Bearer hook-key".to_owned(), question)]);

    // Whoever has another right, and whoever asks for what is not there, is nothing for the hook.
    stage.get(&gate.owner, &format!("/{}/live.m3u8", gate.id)).await.ok_body();
    stage.get(&viewer, "/aaaaaaaaaaaaaaaaaaaaaaaaaa~opaque/live.m3u8").await;
    stage.set_access(&gate, Access::Public).await;
    stage.get(&viewer, &format!("/{}/live.m3u8", gate.id)).await.ok_body();
    assert_eq!(server.asked(), 1);
    for status in [201, 204, 301, 401, 403, 500] {
        stage.set_access(&gate, Access::Private).await;
        server.says(status);
        let refused = stage.stranger(&format!("/{}~status-{status}/7.m4s", gate.id)).await;
        assert_eq!(refused.status, 404, "{status}");
    }
}

#[tokio::test]
async fn a_decision_is_asked_for_once_and_kept_for_a_second() {
    let (stage, gate, server) = stage().await;
    let viewer = Browser::new();
    let crowd: Vec<_> = (0..50)
        .map(|_| {
            let (stage, viewer, path) = (stage.clone(), viewer.clone(), format!("/{}~t/7.m4s", gate.id));
            tokio::spawn(async move { stage.get(&viewer, &path).await.status })
        })
        .collect();
    let began = Instant::now();
    for one in crowd {
        assert_eq!(one.await.unwrap(), 200);
    }
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(server.asked(), 1, "one question for all who ask the same");
    // Neither another token nor another address shares it.
    assert_eq!(stage.get(&viewer, &format!("/{}~u/7.m4s", gate.id)).await.status, 200);
    assert_eq!(stage.get(&Browser::new(), &format!("/{}~t/7.m4s", gate.id)).await.status, 200);
    assert_eq!(server.asked(), 3);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    server.says(403);
    assert_eq!(stage.get(&viewer, &format!("/{}~t/7.m4s", gate.id)).await.status, 404);
    assert_eq!(server.asked(), 4);
}

#[tokio::test]
async fn a_viewer_who_waits_is_gone_soon_after_the_hooks_no() {
    let (stage, gate, server) = stage().await;
    let waits = stage.waits(&Browser::new(), &format!("/{}~t", gate.id));
    stage.asked("/live.m3u8?_HLS_msn=9").await;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert!(!waits.is_finished() && (2..=4).contains(&server.asked()), "{}", server.asked());
    server.says(403);
    let began = Instant::now();
    let (answer, at) = waits.await.unwrap();
    assert_eq!(answer.status, 404);
    // A second of the last yes, the next look, the hook's own time.
    assert!(at - began < Duration::from_millis(1700), "{:?}", at - began);
}

#[tokio::test]
async fn a_hook_that_is_away_lets_nobody_in_and_holds_nobody_up() {
    let (stage, gate, server) = stage().await;
    server.says(SILENT);
    let began = Instant::now();
    assert_eq!(stage.stranger(&format!("/{}/7.m4s", gate.id)).await.status, 404);
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    let crowd: Vec<_> = (0..200)
        .map(|_| {
            let (stage, path) = (stage.clone(), format!("/{}/7.m4s", gate.id));
            tokio::spawn(async move { stage.stranger(&path).await.status })
        })
        .collect();
    let began = Instant::now();
    stage.get(&gate.owner, &format!("/{}/7.m4s", gate.id)).await.ok_body();
    assert!(began.elapsed() < Duration::from_secs(1), "a member does not wait for it");
    assert!(server.asked() <= 33, "32 at a time: {}", server.asked());
    for stranger in crowd {
        assert_eq!(stranger.await.unwrap(), 404);
    }
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}
