//! Row 22: no secret is ever in a log, in the figures, or readable in the database.

use cloud_stub::store::Access;
use serde_json::json;

use crate::others::{Server, Signer, jwks};
use crate::stage::{Browser, LOG, Stage};

#[tokio::test]
async fn no_secret_and_no_token_is_ever_logged_counted_or_kept() {
    let signer = Signer::new(77);
    let keys = Server::start(&jwks(&[&signer])).await;
    let hook = Server::start("").await;
    hook.says(403);
    let lines = format!(
        "jwks = \"http://{}/canary-keys-path\"\nhook = \"http://{}/canary-hook-path\"\nhook_token = \"canary-hook-token\"",
        keys.address, hook.address
    );
    let stage = Stage::with(&lines).await;
    let gate = stage.gate(1, "ACME").await;
    let (id, link) = stage.share(&gate, &json!({ "kind": "link", "label": "Guard" })).await;
    let secret = link.split_once('~').unwrap().1.to_owned();
    let exp = stage.store.now_ms() / 1000 + 600;
    let token = signer.sign(&json!({ "exp": exp, "sub": gate.id.as_str() }));
    let camera = &gate.id;
    let paths = [
        format!("{link}/"),
        format!("{link}/7.m4s"),
        format!("{link}/live.m3u8?_HLS_msn=x"),
        format!("/{camera}/?token={secret}"),
        format!("/{camera}~{token}/7.m4s"),
        format!("/{camera}/?token={token}"),
        format!("/{camera}~canary-opaque-token/7.m4s"),
        format!("/{camera}~canary%00nonsense/7.m4s"),
        "/aaaaaaaaaaaaaaaaaaaaaaaaaa~canary-stranger/7.m4s".to_owned(),
    ];
    for path in &paths {
        stage.stranger(path).await;
        stage
            .with_headers(
                path,
                &[("authorization", "Bearer canary-bearer"), ("cookie", "streambox=canary-cookie")],
            )
            .await;
    }
    // What the servers say when they are away is logged, too.
    hook.says(0);
    stage.stranger(&format!("/{camera}~canary-late/7.m4s")).await;
    stage.set_access(&gate, Access::Public).await;
    stage.stranger(&format!("{link}/7.m4s")).await;
    stage.take_back(&gate, &id).await;

    let kept = String::from_utf8_lossy(&stage.dump()).into_owned();
    assert!(kept.contains("Guard") && !kept.contains(&secret), "the database has its hash alone");
    let figures = stage.get(&Browser::new(), "/metrics").await;
    let figures = String::from_utf8_lossy(&figures.body).into_owned();
    assert!(figures.contains("cloud_gateway_answers_total"), "{figures}");
    let signature = token.rsplit('.').next().unwrap();
    let log = LOG.text();
    assert!(log.contains("[access] hook"), "what is wrong with the hook is said");
    for canary in ["canary", secret.as_str(), signature, gate.owner.cookie.as_str(), "hook-key"] {
        assert!(!figures.contains(canary), "the figures: {canary}");
        let line = log.lines().find(|line| line.contains(canary));
        assert_eq!(line, None, "the log: {canary}");
    }
}
