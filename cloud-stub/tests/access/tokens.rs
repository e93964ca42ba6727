//! Tokens of somebody else's (JWT), in the path or in the header.

use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

use crate::others::{Server, Signer, jwks};
use crate::stage::{Browser, Stage};

#[tokio::test]
async fn a_token_lets_in_by_the_path_or_the_header_as_long_as_it_is_good() {
    let signer = Signer::new(1);
    let server = Server::start(&jwks(&[&signer])).await;
    let stage = Arc::new(Stage::with(&format!("jwks = \"http://{}/keys\"", server.address)).await);
    let gate = stage.gate(1, "ACME").await;
    let yard = stage.gate(2, "Yards").await;
    let now_s = stage.store.now_ms() / 1000;
    let camera = gate.id.as_str();
    for claims in [
        json!({ "exp": now_s + 60, "sub": camera }),
        json!({ "exp": now_s + 60, "camera": [yard.id.as_str(), camera] }),
        json!({ "exp": now_s + 60, "tenant": gate.tenant }),
    ] {
        let token = signer.sign(&claims);
        let link = format!("/{camera}~{token}");
        for name in ["", "status", "qr.svg", "index.m3u8", "7.m4s", "ts/7.ts"] {
            let answer = stage.stranger(&format!("{link}/{name}")).await;
            assert_eq!(answer.status, 200, "{claims} {name}");
            assert_eq!(answer.headers["cache-control"], "private, no-store");
        }
        let bearer = format!("Bearer {token}");
        let answer = stage.with_headers(&format!("/{camera}/live.m3u8"), &[("authorization", &bearer)]).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.headers["vary"], "cookie, authorization");
        assert_eq!(answer.headers["access-control-allow-origin"], "*");
    }
    assert_eq!(server.asked(), 1, "the keys are kept");

    // A viewer who waits when the token ends sees nothing more.
    let token = signer.sign(&json!({ "exp": now_s + 60, "sub": camera }));
    let waits = stage.waits(&Browser::new(), &format!("/{camera}~{token}"));
    stage.asked("/live.m3u8?_HLS_msn=9").await;
    stage.forward_ms(60_000);
    let began = std::time::Instant::now();
    let (answer, at) = waits.await.unwrap();
    assert_eq!(answer.status, 404);
    assert!(at - began < Duration::from_secs(1), "{:?}", at - began);
}
