//! A phone that has scanned a label finds the box's page, and whoever guesses finds nothing.

use bytes::Bytes;
use enrol::{Identity, LabelCode, Unsigned, sign_hello};
use http_body_util::Full;
use hyper::{Request, StatusCode};
use model::enrol::{Findable, Hello};
use serde_json::json;

use crate::stage::{Answer, LOG, Stage, member};

const PAGES: [&str; 2] = ["http://streambox.local/setup/", "http://192.168.1.5/setup/"];

fn label(number: u8) -> LabelCode {
    LabelCode::from_random([number; 16])
}

fn hello(identity: &Identity, nonce: u8, code: &LabelCode, pages: &[&str]) -> Hello {
    let pages = pages.iter().map(|&page| page.to_owned()).collect();
    let words = Unsigned {
        tunnel_key: [nonce; 32],
        version: "1.0".to_owned(),
        cloud: "https://video.example.org".to_owned(),
        nonce: [nonce; 16],
        findable: Some(Findable { label: code.hash(), pages }),
    };
    sign_hello(identity, words)
}

/// A question from an address of its own.
async fn find(stage: &Stage, from: &str, code: &str) -> Answer {
    let request = Request::post("/api/v1/find").header("host", "video.example.org");
    let request = request.header("content-type", "application/json").header("x-forwarded-for", from);
    stage.ask(request.body(Full::from(Bytes::from(json!({ "code": code }).to_string()))).unwrap()).await
}

#[tokio::test]
async fn a_label_leads_to_the_box_before_it_has_joined() {
    let stage = Stage::new().await;
    let code = label(1);
    assert_eq!(find(&stage, "198.51.100.1", &code.to_string()).await.status, StatusCode::NOT_FOUND);
    let said = stage.post("/api/v1/enrol", &hello(&member(1), 1, &code, &PAGES)).await;
    assert_eq!(said.status, StatusCode::OK, "{said:?}");
    for typed in [code.to_string(), code.letters().to_lowercase(), code.to_string().replace('-', " ")] {
        let found = find(&stage, "198.51.100.1", &typed).await;
        assert_eq!(found.status, StatusCode::OK, "{typed}");
        assert_eq!(found.json()["pages"], json!(PAGES));
        assert!(found.json()["seen_s"].as_u64().unwrap() < 60);
        assert_eq!(found.headers["cache-control"], "no-store");
    }
    // It has moved.
    let moved = ["http://192.168.1.77/setup/"];
    stage.post("/api/v1/enrol", &hello(&member(1), 2, &code, &moved)).await;
    assert_eq!(find(&stage, "198.51.100.1", code.letters()).await.json()["pages"], json!(moved));
    assert!(
        !LOG.text().contains(code.letters()) && !LOG.text().contains(&code.to_string()),
        "a code is no log's"
    );
}

#[tokio::test]
async fn who_has_read_a_label_cannot_lead_its_owner_elsewhere() {
    let stage = Stage::new().await;
    let code = label(2);
    stage.post("/api/v1/enrol", &hello(&member(1), 1, &code, &PAGES)).await;
    let theirs = ["http://192.168.1.66/setup/"];
    stage.post("/api/v1/enrol", &hello(&member(2), 1, &code, &theirs)).await;
    assert_eq!(find(&stage, "198.51.100.2", code.letters()).await.json()["pages"], json!(PAGES));
    // Nor can a box lead out of its network.
    let other = label(3);
    let pages = ["http://evil.example/setup/", "http://203.0.113.1/", PAGES[1], "javascript:alert(1)"];
    stage.post("/api/v1/enrol", &hello(&member(3), 1, &other, &pages)).await;
    assert_eq!(find(&stage, "198.51.100.2", other.letters()).await.json()["pages"], json!([PAGES[1]]));
}

#[tokio::test]
async fn a_stolen_box_is_not_found_any_more_and_looks_like_one_that_never_was() {
    let stage = Stage::new().await;
    let code = label(4);
    let said = stage.post("/api/v1/enrol", &hello(&member(1), 1, &code, &PAGES)).await;
    let session = said.json();
    let letters = session["code"].as_str().unwrap();
    stage.store.claim(&letters.parse().unwrap(), "ACME").await.unwrap();
    let name = session["session"].as_str().unwrap();
    let yes = enrol::sign_join(&member(1), name, "ACME", [1; 32]);
    assert_eq!(stage.post(&format!("/api/v1/enrol/{name}/join"), &yes).await.status, StatusCode::OK);
    assert_eq!(find(&stage, "198.51.100.3", code.letters()).await.status, StatusCode::OK);
    stage.store.revoke_box(member(1).box_id()).await.unwrap();
    let revoked = find(&stage, "198.51.100.3", code.letters()).await;
    let never = find(&stage, "198.51.100.3", label(5).letters()).await;
    let malformed = find(&stage, "198.51.100.3", "I0-1").await;
    assert_eq!(revoked.status, StatusCode::NOT_FOUND);
    assert_eq!((revoked.looks(), malformed.looks()), (never.looks(), never.looks()));
}

#[tokio::test]
async fn codes_cannot_be_guessed() {
    let stage = Stage::new().await;
    let mut heard = 0;
    for _ in 0..40 {
        heard += u32::from(find(&stage, "198.51.100.4", "ABCDE-FGH23").await.status == StatusCode::NOT_FOUND);
    }
    assert!((10..=12).contains(&heard), "{heard} of one address");
    let last = find(&stage, "198.51.100.4", "ABCDE-FGH23").await;
    assert_eq!(last.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(last.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap() <= 60);
    // Four hundred addresses together.
    let mut all = 0;
    for address in 0..400u32 {
        let from = format!("203.0.{}.{}", address / 200, address % 200);
        all += u32::from(find(&stage, &from, "ABCDE-FGH23").await.status == StatusCode::NOT_FOUND);
    }
    assert!(all < 350, "{all} of everybody");
}

#[tokio::test]
async fn the_page_runs_only_its_own_script_and_tells_nobody_where_it_leads() {
    let stage = Stage::new().await;
    let page = stage.get("/find").await;
    let text = String::from_utf8_lossy(&page.body).into_owned();
    assert_eq!(page.status, StatusCode::OK);
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert_eq!(page.headers["referrer-policy"], "no-referrer");
    for file in ["/find/find.js", "/find/find.css"] {
        assert!(text.contains(&format!("\"{file}\"")), "{text}");
        assert_eq!(stage.get(file).await.status, StatusCode::OK);
    }
    assert!(!text.contains("<script>") && !text.contains("style="), "{text}");
    let posted = stage.post("/find", &json!({})).await;
    assert_eq!(posted.status, StatusCode::METHOD_NOT_ALLOWED);
}
