//! Releases over HTTP: the folder's files, and what a box is told to have.

use std::fs;
use std::time::Duration;

use cloud_stub::store::BoxState;
use cloud_stub::updates;
use enrol::{Asked, sign_join, sign_question};
use hyper::StatusCode;
use model::enrol::Session;
use model::update::Question;
use serde_json::Value;
use time::{Duration as Span, OffsetDateTime};
use update::Release;
use update::tuf::Trusted;

use crate::shop::Shop;
use crate::stage::{Stage, hello, member};

const PATH: &str = "/api/v1/updates/assignment";

/// What a box makes of the cloud's answer to its question.
async fn verified(shop: &Shop, stage: &Stage, asked: &Question, answer: &[u8]) -> Trusted {
    shop.verified(asked, answer, async |path| stage.get(&path).await.found()).await
}

fn question(number: u8, board: &str, version: &str, security: u32) -> Question {
    let asked = Asked { board: board.to_owned(), version: version.to_owned(), security, nonce: [number; 32] };
    sign_question(&member(number), asked)
}

#[tokio::test]
async fn a_box_is_told_the_newest_release_in_words_that_it_believes() {
    let shop = Shop::new();
    let stage = Stage::with_updates(shop.config()).await;
    let unknown = stage.post(PATH, &question(1, "b", "1.0", 1)).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND, "nothing is published yet");

    shop.publish("1.0", 1);
    shop.publish("1.1", 1);
    let asked = question(1, "b", "1.0", 1);
    let answer = stage.post(PATH, &asked).await;
    assert_eq!(
        (answer.status, &answer.headers["cache-control"]),
        (StatusCode::OK, &"no-store".parse().unwrap())
    );
    let trusted = verified(&shop, &stage, &asked, &answer.body).await;
    let said = trusted.assignment.clone().unwrap();
    assert_eq!(said.target.as_deref(), Some("b/1.1.json"));
    let file = trusted.target("b/1.1.json").unwrap();
    let described =
        stage.get(&format!("/updates/targets/{}", trusted.path("b/1.1.json", file).unwrap())).await;
    let release = Release::parse(&described.body).unwrap();
    let chunk = &release.root.chunks[0];
    assert_eq!(stage.get(&format!("/updates/{}", chunk.path())).await.body.len(), chunk.1 as usize);
    let now = OffsetDateTime::now_utc();
    let issued = OffsetDateTime::from_unix_timestamp(said.issued as i64).unwrap();
    assert!((now - issued).abs() < Span::minutes(1), "{issued}");
    assert!(said.deadline > said.issued);

    let told = async |asked: &Question| stage.post(PATH, asked).await.json()["signed"]["target"].clone();
    assert_eq!(told(&question(1, "b", "1.1", 1)).await, Value::Null, "it has the newest");
    assert_eq!(told(&question(1, "b", "1.0", 2)).await, Value::Null, "it has had security version 2");
    shop.publish("0.9", 2);
    assert_eq!(told(&question(1, "b", "1.0", 2)).await, "b/0.9.json", "newest is what came last");

    let other = stage.post(PATH, &question(1, "c", "1.0", 1)).await;
    assert_eq!(other.status, StatusCode::NOT_FOUND);
    assert!(other.json()["error"].as_str().unwrap().contains("board"), "{other:?}");
    let listed = updates::list(Some(&shop.config())).unwrap();
    assert_eq!(listed.lines().count(), 3, "{listed}");
    assert!(listed.lines().last().unwrap().contains("0.9") && listed.ends_with("newest\n"), "{listed}");
}

#[tokio::test]
async fn nobody_asks_in_a_boxs_name_and_a_revoked_box_is_told_so() {
    let shop = Shop::new();
    shop.publish("1.0", 1);
    let stage = Stage::with_updates(shop.config()).await;
    let forged = Question { security: 0, ..question(1, "b", "0.9", 1) };
    assert_eq!(stage.post(PATH, &forged).await.status, StatusCode::FORBIDDEN);
    let malformed = Question { nonce: "x".to_owned(), ..question(1, "b", "0.9", 1) };
    assert_eq!(stage.post(PATH, &malformed).await.status, StatusCode::BAD_REQUEST);

    let answer = stage.post("/api/v1/enrol", &hello(&member(1), 1, "https://video.example.org")).await;
    let session: Session = serde_json::from_slice(&answer.body).unwrap();
    stage.store.claim(&session.code.parse().unwrap(), "ACME").await.unwrap();
    let yes = sign_join(&member(1), &session.session, "ACME", [1; 32]);
    let path = format!("/api/v1/enrol/{}/join", session.session);
    assert_eq!(stage.post(&path, &yes).await.status, StatusCode::OK);
    assert_eq!(stage.post(PATH, &question(1, "b", "0.9", 1)).await.status, StatusCode::OK);
    stage.store.revoke_box(member(1).box_id()).await.unwrap();
    let mut directory = stage.store.directory();
    let revoked = directory.wait_for(|directory| {
        directory.by_id(member(1).box_id()).is_some_and(|row| row.state == BoxState::Revoked)
    });
    tokio::time::timeout(Duration::from_secs(5), revoked).await.unwrap().unwrap();
    assert_eq!(stage.post(PATH, &question(1, "b", "0.9", 1)).await.status, StatusCode::GONE);
    assert_eq!(stage.post(PATH, &question(2, "b", "0.9", 1)).await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_folder_is_served_as_it_is_and_nothing_beside_it() {
    let shop = Shop::new();
    shop.publish("1.0", 1);
    let stage = Stage::with_updates(shop.config()).await;
    let mut open = vec![shop.config().dir];
    let mut names = Vec::new();
    while let Some(folder) = open.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() { open.push(path) } else { names.push(path) }
        }
    }
    assert_eq!(names.len(), 6, "four of metadata, a description, a chunk: {names:?}");
    for path in names {
        let name = path.strip_prefix(shop.config().dir).unwrap().display().to_string();
        let answer = stage.get(&format!("/updates/{name}")).await;
        assert_eq!(
            (answer.status, &answer.body[..]),
            (StatusCode::OK, &fs::read(&path).unwrap()[..]),
            "{name}"
        );
        let caching = answer.headers["cache-control"].to_str().unwrap();
        let wanted = if name.ends_with("timestamp.json") { "no-cache" } else { "immutable" };
        assert!(caching.contains(wanted), "{name}: {caching}");
    }

    fs::write(shop.config().dir.join("metadata/2.root.json.part"), "half").unwrap();
    fs::write(shop.config().dir.join("secret.json"), "secret").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", shop.config().dir.join("metadata/link.json")).unwrap();
    let missing = stage.get("/updates/metadata/9.root.json").await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    for path in [
        "metadata/2.root.json.part",
        "secret.json",
        "metadata/link.json",
        "metadata",
        "",
        "../keys/1.root.json",
        "metadata/../../keys/1.root.json",
        "metadata/%2e%2e/%2e%2e/keys/1.root.json",
        "targets/..%2f..%2fkeys/1.root.json",
        "chunks/../../keys/online.pem",
        "metadata//timestamp.json",
    ] {
        let answer = stage.get(&format!("/updates/{path}")).await;
        assert_eq!(answer.looks(), missing.looks(), "{path}");
    }
}

#[tokio::test]
async fn a_cloud_without_releases_has_none_of_it_and_a_broken_folder_is_said_to_pass() {
    let stage = Stage::new().await;
    let missing = stage.get("/nothing").await.looks();
    assert_eq!(stage.get("/updates/metadata/timestamp.json").await.looks(), missing);
    assert_eq!(stage.post(PATH, &question(1, "b", "1", 1)).await.status, StatusCode::NOT_FOUND);
    assert!(updates::list(None).unwrap_err().to_string().contains("[updates]"));

    let shop = Shop::new();
    shop.publish("1.0", 1);
    let stage = Stage::with_updates(shop.config()).await;
    fs::write(shop.config().dir.join("metadata/1.snapshot.json"), "{").unwrap();
    let answer = stage.post(PATH, &question(1, "b", "0.9", 1)).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers.contains_key("retry-after"));
}
