//! Rights that are taken back while somebody watches: gone within a second, and nobody else notices.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cloud_stub::store::{Access, By, CameraWords, Role};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::stage::{Answer, Browser, Gate, LARGE, Stage};

const RELOAD: &str = "/live.m3u8?_HLS_msn=9";

/// Two viewers wait for the same part; one loses the right by `change`, the other one stays.
async fn loses(
    stage: &Arc<Stage>,
    loser: JoinHandle<(Answer, Instant)>,
    stays: JoinHandle<(Answer, Instant)>,
    change: impl Future<Output = ()>,
) {
    stage.asked(RELOAD).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert!(!loser.is_finished() && !stays.is_finished(), "both wait");
    let began = Instant::now();
    change.await;
    let (lost, at) =
        tokio::time::timeout(Duration::from_secs(3), loser).await.expect("it still waits").unwrap();
    let never = stage.stranger("/aaaaaaaaaaaaaaaaaaaaaaaaaa/live.m3u8").await;
    assert_eq!(lost.looks(), never.looks());
    assert!(at - began < Duration::from_secs(1), "{:?}", at - began);
    assert!(!stays.is_finished(), "whoever has another right waits on");
    stage.goes_on.send_replace(true);
    let (kept, _) = stays.await.unwrap();
    assert_eq!((kept.status.as_u16(), kept.body.as_ref()), (200, &b"#EXTM3U 9"[..]));
    assert_eq!(kept.headers["cache-control"], "private, no-store");
    let reloads = stage.fetches.lock().unwrap().iter().filter(|fetch| fetch.ends_with(RELOAD)).count();
    assert_eq!(reloads, 1, "nothing began anew");
}

async fn stage() -> (Arc<Stage>, Gate, String) {
    let stage = Arc::new(Stage::new().await);
    let gate = stage.gate(1, "ACME").await;
    let (_, other) = stage.share(&gate, &json!({ "kind": "link", "label": "stays" })).await;
    (stage, gate, other)
}

#[tokio::test]
async fn a_share_that_is_taken_back() {
    let (stage, gate, other) = stage().await;
    let (id, link) = stage.share(&gate, &json!({ "kind": "link" })).await;
    let (loser, stays) = (stage.waits(&Browser::new(), &link), stage.waits(&Browser::new(), &other));
    loses(&stage, loser, stays, stage.take_back(&gate, &id)).await;
    for name in ["", "7.m4s", "live.m3u8", "status"] {
        assert_eq!(stage.stranger(&format!("{link}/{name}")).await.status, 404, "{name}");
        assert_eq!(stage.stranger(&format!("{other}/{name}")).await.status, 200, "{name}");
    }
}

#[tokio::test]
async fn a_share_that_is_over() {
    let (stage, gate, other) = stage().await;
    let until = stage.store.now_ms() + 60_000;
    let (_, link) = stage.share(&gate, &json!({ "kind": "link", "expires_ms": until })).await;
    let (loser, stays) = (stage.waits(&Browser::new(), &link), stage.waits(&Browser::new(), &other));
    loses(&stage, loser, stays, async { stage.forward_ms(60_000) }).await;
    assert_eq!(stage.stranger(&format!("{link}/7.m4s")).await.status, 404);
}

#[tokio::test]
async fn a_camera_that_is_public_no_more() {
    let (stage, gate, other) = stage().await;
    stage.set_access(&gate, Access::Public).await;
    let link = format!("/{}", gate.id);
    let (loser, stays) = (stage.waits(&Browser::new(), &link), stage.waits(&Browser::new(), &other));
    // A member who watches by the public link stays, too.
    let member = stage.waits(&gate.owner, &link);
    loses(&stage, loser, stays, Box::pin(stage.set_access(&gate, Access::Private))).await;
    let (kept, _) = member.await.unwrap();
    assert_eq!(
        (kept.status.as_u16(), kept.headers["cache-control"].to_str().unwrap()),
        (200, "private, no-store")
    );
}

#[tokio::test]
async fn a_person_who_is_nothing_in_the_tenant_any_more() {
    let (stage, gate, other) = stage().await;
    let viewer = stage.person("viewer@acme.example", Some(("ACME", Role::Viewer))).await;
    let link = format!("/{}", gate.id);
    let (loser, stays) = (stage.waits(&viewer, &link), stage.waits(&Browser::new(), &other));
    let id = {
        let directory = stage.store.directory().borrow().clone();
        let mut people = directory.portal().people.iter();
        people.find(|(_, person)| person.email == "viewer@acme.example").unwrap().0.to_owned()
    };
    let remove = async {
        stage.delete(&gate.owner, &format!("/api/v1/tenants/{}/people/{id}", gate.tenant)).await.ok();
    };
    loses(&stage, loser, stays, remove).await;
    assert_eq!(stage.get(&viewer, &format!("{link}/7.m4s")).await.status, 404);
}

#[tokio::test]
async fn a_person_who_signs_out() {
    let (stage, gate, other) = stage().await;
    let viewer = stage.person("viewer@acme.example", Some(("ACME", Role::Viewer))).await;
    let link = format!("/{}", gate.id);
    let (loser, stays) = (stage.waits(&viewer, &link), stage.waits(&Browser::new(), &other));
    let out = async {
        stage.delete(&viewer, "/api/v1/session").await.ok();
    };
    loses(&stage, loser, stays, out).await;
}

#[tokio::test]
async fn a_link_that_is_switched_off_ends_for_all() {
    let (stage, gate, other) = stage().await;
    let (member, shared) =
        (stage.waits(&gate.owner, &format!("/{}", gate.id)), stage.waits(&Browser::new(), &other));
    stage.asked(RELOAD).await;
    let began = Instant::now();
    let words = CameraWords { on: Some(false), ..CameraWords::default() };
    stage.store.change_camera(&gate.id, &gate.tenant, &words, By::COMMAND_LINE).await.unwrap();
    for viewer in [member, shared] {
        let (answer, at) = viewer.await.unwrap();
        assert_eq!(answer.status, 404);
        assert!(at - began < Duration::from_secs(1), "{:?}", at - began);
    }
}

#[tokio::test]
async fn a_large_segment_breaks_off_for_whoever_may_not_have_it_any_more() {
    let (stage, gate, other) = stage().await;
    let (id, link) = stage.share(&gate, &json!({ "kind": "link" })).await;
    let pause = async {
        stage.take_back(&gate, &id).await;
        tokio::time::sleep(Duration::from_millis(700)).await;
    };
    let got = stage.slowly(&link, pause).await;
    assert!(got < LARGE, "what lies in the sockets comes, but not all of {LARGE} bytes: {got}");
    let got = stage.slowly(&other, tokio::time::sleep(Duration::from_millis(700))).await;
    assert!(got > LARGE, "{got} bytes with the head");

    stage.set_access(&gate, Access::Public).await;
    let pause = async {
        stage.set_access(&gate, Access::Private).await;
        tokio::time::sleep(Duration::from_millis(700)).await;
    };
    let got = stage.slowly(&format!("/{}", gate.id), Box::pin(pause)).await;
    assert!(got < LARGE, "the public ends, too: {got}");
}
