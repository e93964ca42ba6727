//! The keys of whoever signs tokens: kept, read again for a new one, and good while their server is away.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::others::{Server, Signer, jwks};
use crate::stage::Stage;

#[tokio::test]
async fn unknown_keys_let_the_set_be_read_again_every_ten_seconds_at_most() {
    let (first, second) = (Signer::new(1), Signer::new(2));
    let server = Server::start(&jwks(&[&first])).await;
    let stage = Arc::new(Stage::with(&format!("jwks = \"http://{}/keys\"", server.address)).await);
    let gate = stage.gate(1, "ACME").await;
    let claims = json!({ "exp": stage.store.now_ms() / 1000 + 600, "sub": gate.id.as_str() });
    let path = |signer: &Signer| format!("/{}~{}/7.m4s", gate.id, signer.sign(&claims));
    assert_eq!(stage.stranger(&path(&first)).await.status, 200);
    let began = Instant::now();
    for stranger in 10..60 {
        assert_eq!(stage.stranger(&path(&Signer::new(stranger))).await.status, 404);
    }
    assert_eq!(server.asked(), 1, "fifty strangers' keys and not one more question");

    *server.says.lock().unwrap() = jwks(&[&first, &second]);
    let rest = Duration::from_millis(10_100).saturating_sub(began.elapsed());
    tokio::time::sleep(rest).await;
    let crowd: Vec<_> = (0..20)
        .map(|_| {
            let (stage, path) = (stage.clone(), path(&second));
            tokio::spawn(async move { stage.stranger(&path).await.status })
        })
        .collect();
    for viewer in crowd {
        assert_eq!(viewer.await.unwrap(), 200, "the new key is known at once");
    }
    assert_eq!(server.asked(), 2, "by one question for all");

    server.says(500);
    let asked = Instant::now();
    tokio::time::sleep(Duration::from_millis(10_100)).await;
    assert_eq!(stage.stranger(&path(&Signer::new(3))).await.status, 404);
    assert!(asked.elapsed() < Duration::from_secs(14));
    assert_eq!(server.asked(), 3);
    for signer in [&first, &second] {
        assert_eq!(stage.stranger(&path(signer)).await.status, 200, "their server is away, they stay good");
    }
}

#[tokio::test]
async fn without_keys_no_token_is_good_and_nobody_waits_long() {
    for says in
        ["", "{}", "{\"keys\": []}", "{\"keys\": [{\"kty\": \"oct\", \"k\": \"AAAA\", \"kid\": \"key-1\"}]}"]
    {
        let server = Server::start(says).await;
        let stage = Stage::with(&format!("jwks = \"http://{}/keys\"", server.address)).await;
        let gate = stage.gate(1, "ACME").await;
        let claims = json!({ "exp": stage.store.now_ms() / 1000 + 600, "sub": gate.id.as_str() });
        let began = Instant::now();
        let path = format!("/{}~{}/7.m4s", gate.id, Signer::new(1).sign(&claims));
        assert_eq!(stage.stranger(&path).await.status, 404, "{says}");
        assert!(began.elapsed() < Duration::from_secs(4));
    }
}
