//! A box's way in, over HTTP.

use std::time::{Duration, Instant};

use bytes::Bytes;
use enrol::sign_join;
use http_body_util::Full;
use hyper::{Request, StatusCode};
use model::enrol::{Hello, Joined, Progress, Session};

use crate::stage::{LOG, Stage, hello, member};

const CLOUD: &str = "https://video.example.org";

async fn session(stage: &Stage, number: u8, nonce: u8) -> Session {
    let answer = stage.post("/api/v1/enrol", &hello(&member(number), nonce, CLOUD)).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert_eq!(answer.headers["cache-control"], "no-store");
    serde_json::from_slice(&answer.body).unwrap()
}

#[tokio::test]
async fn a_box_says_hello_waits_is_claimed_and_joins() {
    let stage = Stage::new().await;
    let session = session(&stage, 1, 1).await;
    let path = format!("/api/v1/enrol/{}", session.session);
    let now = stage.get(&path).await.json();
    assert_eq!(now["progress"], "waiting");

    // The long question is answered when the claim comes, not before and not much later.
    let claim = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        stage.store.claim(&session.code.parse().unwrap(), "ACME").await.unwrap();
        Instant::now()
    };
    let question = async {
        let answer = stage.get(&format!("{path}?wait=1")).await;
        (serde_json::from_slice::<Progress>(&answer.body).unwrap(), Instant::now())
    };
    let (claimed, (progress, answered)) = tokio::join!(claim, question);
    assert_eq!(progress, Progress::Claimed { owner: "ACME".to_owned() });
    assert!(answered.saturating_duration_since(claimed) < Duration::from_secs(1));

    let yes = sign_join(&member(1), &session.session, "ACME", [1; 32]);
    let first = stage.post(&format!("{path}/join"), &yes).await;
    let joined: Joined = serde_json::from_slice(&first.body).unwrap();
    assert_eq!((joined.address.to_string().as_str(), joined.owner.as_str()), ("10.13.1.1", "ACME"));
    assert_eq!(joined.url, CLOUD);
    let hub = &joined.hubs[0];
    assert_eq!((hub.public_key.as_str(), hub.inner.to_string().as_str()), ("hubkey", "10.13.0.1"));
    assert_eq!(hub.endpoints, ["video.example.org:51820"]);
    assert_eq!(hub.carrier.as_deref(), Some("wss://video.example.org/tunnel/v1"));
    let again: Joined =
        serde_json::from_slice(&stage.post(&format!("{path}/join"), &yes).await.body).unwrap();
    assert_eq!((again.address, again.hubs), (joined.address, joined.hubs));
    assert_eq!(stage.get(&path).await.json()["progress"], "joined");
}

#[tokio::test]
async fn what_is_not_signed_by_the_box_is_not_believed() {
    let stage = Stage::new().await;
    let mut forged = hello(&member(1), 1, CLOUD);
    forged.version = "2.0".to_owned();
    assert_eq!(stage.post("/api/v1/enrol", &forged).await.status, StatusCode::FORBIDDEN);
    let mut borrowed = hello(&member(1), 1, CLOUD);
    borrowed.box_id = member(2).box_id().clone();
    assert_eq!(stage.post("/api/v1/enrol", &borrowed).await.status, StatusCode::FORBIDDEN);
    let mut malformed = hello(&member(1), 1, CLOUD);
    malformed.identity = "canary".to_owned();
    let answer = stage.post("/api/v1/enrol", &malformed).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(!String::from_utf8_lossy(&answer.body).contains("canary"));

    // A hello to another cloud, passed on by that one.
    for other in ["https://evil.example", "http://video.example.org", "https://video.example.org:444", "x"] {
        let answer = stage.post("/api/v1/enrol", &hello(&member(1), 1, other)).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{other}");
    }
    let extra = stage.post("/api/v1/enrol", &hello(&member(1), 1, "https://video.example.com:8443")).await;
    assert_eq!(extra.status, StatusCode::OK, "a further name of this cloud");

    let session = session(&stage, 1, 2).await;
    stage.store.claim(&session.code.parse().unwrap(), "ACME").await.unwrap();
    let path = format!("/api/v1/enrol/{}/join", session.session);
    let mut bent = sign_join(&member(1), &session.session, "ACME", [1; 32]);
    bent.tunnel_key = sign_join(&member(1), &session.session, "ACME", [2; 32]).tunnel_key;
    assert_eq!(stage.post(&path, &bent).await.status, StatusCode::FORBIDDEN);
    let other = sign_join(&member(2), &session.session, "ACME", [1; 32]);
    assert_eq!(stage.post(&path, &other).await.status, StatusCode::NOT_FOUND);
    let other_owner = sign_join(&member(1), &session.session, "Eve", [1; 32]);
    assert_eq!(stage.post(&path, &other_owner).await.status, StatusCode::CONFLICT);
    assert_eq!(stage.store.directory().borrow().boxes().count(), 0);
}

#[tokio::test]
async fn a_box_in_doubt_learns_how_it_stands_and_begins_nothing() {
    let stage = Stage::new().await;
    let doubt = async |nonce| {
        let answer = stage.post("/api/v1/enrol/standing", &hello(&member(1), nonce, CLOUD)).await;
        (answer.status, answer.json()["member"].as_bool())
    };
    assert_eq!(doubt(1).await, (StatusCode::OK, Some(false)), "nobody knows it");
    let first = session(&stage, 1, 2).await;
    stage.store.claim(&first.code.parse().unwrap(), "ACME").await.unwrap();
    let join = format!("/api/v1/enrol/{}/join", first.session);
    let yes = sign_join(&member(1), &first.session, "ACME", [1; 32]);
    assert_eq!(stage.post(&join, &yes).await.status, StatusCode::OK);
    assert_eq!(doubt(1).await, (StatusCode::OK, Some(true)));
    assert_eq!(doubt(3).await, (StatusCode::OK, Some(false)), "a tunnel with another key is dead");
    let forged = Hello { version: "9".into(), ..hello(&member(1), 4, CLOUD) };
    let answer = stage.post("/api/v1/enrol/standing", &forged).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN, "for itself alone");
    let elsewhere = hello(&member(1), 5, "https://other.example.org");
    assert_eq!(stage.post("/api/v1/enrol/standing", &elsewhere).await.status, StatusCode::FORBIDDEN);
    stage.store.release_box(member(1).box_id()).await.unwrap();
    assert_eq!(doubt(1).await, (StatusCode::OK, Some(false)), "given away");
    let second = session(&stage, 1, 7).await;
    assert_ne!(second.code, first.code, "whoever has it may claim it");
    stage.store.revoke_box(member(1).box_id()).await.unwrap();
    assert_eq!(doubt(8).await, (StatusCode::GONE, None));
}

#[tokio::test]
async fn a_revoked_box_is_gone_whatever_it_asks() {
    let stage = Stage::new().await;
    let first = session(&stage, 1, 1).await;
    stage.store.claim(&first.code.parse().unwrap(), "ACME").await.unwrap();
    let yes = sign_join(&member(1), &first.session, "ACME", [1; 32]);
    let join = format!("/api/v1/enrol/{}/join", first.session);
    assert_eq!(stage.post(&join, &yes).await.status, StatusCode::OK);
    stage.store.revoke_box(member(1).box_id()).await.unwrap();
    assert_eq!(stage.post("/api/v1/enrol", &hello(&member(1), 2, CLOUD)).await.status, StatusCode::GONE);
    assert_eq!(stage.get(&format!("/api/v1/enrol/{}", first.session)).await.status, StatusCode::GONE);
    assert_eq!(stage.post(&join, &yes).await.status, StatusCode::GONE);
    // The peer leaves the directory by itself.
    let mut directory = stage.store.directory();
    let gone = directory.wait_for(|directory| directory.peers().count() == 0);
    tokio::time::timeout(Duration::from_secs(1), gone).await.unwrap().unwrap();
}

#[tokio::test]
async fn an_address_that_says_hello_all_the_time_is_told_to_wait() {
    let stage = Stage::new().await;
    let ask = |from: &'static str| {
        let request = Request::post("/api/v1/enrol").header("host", "video.example.org");
        let request = request.header("content-type", "application/json").header("x-forwarded-for", from);
        stage.ask(request.body(Full::from(Bytes::from_static(b"{}"))).unwrap())
    };
    let mut answers = Vec::new();
    for _ in 0..70 {
        answers.push(ask("198.51.100.7").await);
    }
    let heard = answers.iter().filter(|answer| answer.status == StatusCode::BAD_REQUEST).count();
    assert!((60..=62).contains(&heard), "{heard}");
    let last = answers.last().unwrap();
    assert_eq!(
        (last.status, last.headers["retry-after"].to_str().unwrap()),
        (StatusCode::TOO_MANY_REQUESTS, "1")
    );
    assert_eq!(ask("198.51.100.8").await.status, StatusCode::BAD_REQUEST, "others are heard");
}

#[tokio::test]
async fn no_code_and_no_session_is_ever_logged() {
    let stage = Stage::new().await;
    let session = session(&stage, 7, 1).await;
    let mut wrong = session.code.replace('-', "");
    wrong.replace_range(4.., "ZZZZ");
    stage.store.claim(&wrong.parse().unwrap(), "ACME").await.unwrap_err();
    stage.store.claim(&session.code.parse().unwrap(), "ACME").await.unwrap();
    let yes = sign_join(&member(7), &session.session, "ACME", [7; 32]);
    let path = format!("/api/v1/enrol/{}/join", session.session);
    assert_eq!(stage.post(&path, &yes).await.status, StatusCode::OK);
    let log = LOG.text();
    // The log does hold what the operator needs.
    assert!(log.contains(member(7).box_id().as_str()) && log.contains("a box has joined"), "{log}");
    let letters = session.code.replace('-', "");
    for secret in [&session.code, &letters, &wrong, &session.session, &yes.signature] {
        assert!(!log.contains(secret.as_str()), "{secret} is in the log");
    }
}
