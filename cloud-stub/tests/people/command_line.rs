//! People from the command line: the operator's way in, and the way back in.

use std::process::{Command, Output};

use cloud_stub::store::Role;
use hyper::StatusCode;
use serde_json::json;

use crate::stage::{Browser, PASSWORD, Stage};

fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_operator_comes_in_by_a_printed_link() {
    let stage = Stage::new().await;
    let config = stage.config_file();
    let cloud = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cloud"));
        command.arg("--config").arg(&config).args(words);
        said(&command.output().unwrap())
    };
    assert_eq!(cloud(&["person", "list"]).1, "nobody has joined yet\n");
    let (code, out, error) = cloud(&["person", "add", "Op@example.org", "--operator"]);
    assert_eq!(code, Some(0), "{error}");
    let secret = out.lines().next().unwrap().strip_prefix("https://video.example.org/#invitation/").unwrap();
    let path = format!("/api/v1/invitations/{secret}");
    let words = json!({ "name": "Op", "password": PASSWORD, "language": "en" });
    let me = stage.post(&Browser::new(), &path, &words).await.ok();
    assert_eq!((&me["person"]["operator"], &me["tenants"]), (&json!(true), &json!([])));
    let operator = stage.sign_in("op@example.org", PASSWORD).await;
    let owner = cloud(&["person", "add", "aida@example.org", "--tenant", "ACME", "--role", "owner"]);
    assert_eq!(owner.0, Some(0), "{owner:?}");
    stage.person("other@example.org", Some(("Dala", Role::Viewer))).await;
    assert_eq!(
        cloud(&["person", "list"]).1,
        "op@example.org  \"Op\"  operator\nother@example.org  \"other@example.org\"  viewer of \"Dala\"\n"
    );
    let (code, _, error) = cloud(&["person", "remove", "nobody@example.org"]);
    assert!(code == Some(1) && error.contains("cloud person list"), "{error}");
    assert_eq!(cloud(&["person", "remove", "OP@example.org"]).0, Some(0));
    // The server that runs follows within a second.
    let mut directory = stage.store.directory();
    let gone = directory.wait_for(|directory| !directory.portal().people.iter().any(|(_, row)| row.operator));
    tokio::time::timeout(std::time::Duration::from_secs(1), gone).await.unwrap().unwrap();
    assert_eq!(stage.get(&operator, "/api/v1/me").await.status, StatusCode::UNAUTHORIZED);
}
