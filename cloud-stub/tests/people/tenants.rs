//! Tenants and who may do what in them.

use cloud_stub::store::Role;
use hyper::StatusCode;
use serde_json::json;

use crate::stage::{Browser, PASSWORD, Stage};

#[tokio::test]
async fn an_owner_invites_changes_and_removes_people_and_it_is_noted() {
    let stage = Stage::new().await;
    let owner = stage.person("owner@example.org", Some(("ACME", Role::Owner))).await;
    let tenant = stage.tenant("ACME");
    let people = format!("/api/v1/tenants/{tenant}/people");
    let invited = stage.post(&owner, &people, &json!({ "email": "New@example.org", "role": "viewer" })).await;
    let url = invited.ok()["invitation"].as_str().unwrap().to_owned();
    assert!(url.starts_with("https://video.example.org/#invitation/"), "{url}");
    let listed = stage.get(&owner, &people).await.ok();
    assert_eq!(listed[0]["email"], "owner@example.org");
    assert_eq!((&listed[1]["email"], &listed[1]["active"]), (&json!("new@example.org"), &json!(false)));
    let path = format!("/api/v1/invitations/{}", url.rsplit('/').next().unwrap());
    let me = stage.post(&Browser::new(), &path, &json!({ "name": "New", "password": PASSWORD })).await.ok();
    let id = me["person"]["id"].as_str().unwrap().to_owned();
    let new = stage.sign_in("new@example.org", PASSWORD).await;
    assert_eq!(stage.get(&new, &people).await.status, StatusCode::FORBIDDEN);

    let one = format!("{people}/{id}");
    stage.patch(&owner, &one, &json!({ "role": "owner" })).await.ok();
    stage.get(&new, &people).await.ok();
    // The last owner stays.
    let own = stage.get(&owner, "/api/v1/me").await.ok()["person"]["id"].as_str().unwrap().to_owned();
    stage.delete(&new, &format!("{people}/{own}")).await.ok();
    assert_eq!(stage.get(&owner, "/api/v1/me").await.status, StatusCode::UNAUTHORIZED, "signed out");
    assert_eq!(stage.delete(&new, &one).await.status, StatusCode::CONFLICT);
    assert_eq!(stage.patch(&new, &one, &json!({ "role": "viewer" })).await.status, StatusCode::CONFLICT);

    stage.post(&new, &people, &json!({ "email": "third@example.org", "role": "installer" })).await.ok();
    stage.delete(&new, &format!("{people}/third@example.org")).await.ok();
    assert_eq!(
        stage.delete(&new, &format!("{people}/third@example.org")).await.status,
        StatusCode::NOT_FOUND
    );
    let log = stage.get(&new, &format!("/api/v1/tenants/{tenant}/audit")).await.ok();
    let done: Vec<_> = log.as_array().unwrap().iter().map(|entry| entry["what"].clone()).collect();
    let expected = [
        "person.uninvite",
        "person.invite",
        "person.remove",
        "person.role",
        "person.join",
        "person.invite",
        "person.join",
        "person.invite",
    ];
    assert_eq!(json!(done), json!(expected));
    assert_eq!(log[0]["person"], "new@example.org");
    assert_eq!(log[0]["address"], new.from);

    // In parts, each entry once.
    let (mut part, mut whole) = (String::new(), Vec::new());
    loop {
        let page = stage.get(&new, &format!("/api/v1/tenants/{tenant}/audit?limit=3{part}")).await.ok();
        let Some(last) = page.as_array().unwrap().last() else { break };
        part = format!("&before={}-{}", last["at_ms"], last["id"].as_str().unwrap());
        whole.extend(page.as_array().unwrap().clone());
    }
    assert_eq!(json!(whole), log);
}

#[tokio::test]
async fn only_operators_make_tenants_and_see_them_all() {
    let stage = Stage::new().await;
    let operator = stage.person("op@example.org", None).await;
    let owner = stage.person("owner@example.org", Some(("ACME", Role::Owner))).await;
    let made = stage.post(&operator, "/api/v1/tenants", &json!({ "name": " Dala " })).await.ok();
    assert_eq!(made["name"], "Dala");
    let again = stage.post(&operator, "/api/v1/tenants", &json!({ "name": "Dala" })).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    let refused = stage.post(&owner, "/api/v1/tenants", &json!({ "name": "Mine" })).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let names = async |browser| {
        let list = stage.get(browser, "/api/v1/tenants").await.ok();
        list.as_array().unwrap().iter().map(|tenant| tenant["name"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(&operator).await, ["ACME", "Dala"]);
    assert_eq!(names(&owner).await, ["ACME"]);
    assert_eq!(stage.get(&operator, "/api/v1/me").await.ok()["person"]["operator"], true);
    let found = stage.get(&operator, "/api/v1/tenants?query=dal").await.ok();
    assert_eq!(found.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn whose_inviter_is_gone_is_not_let_in() {
    let stage = Stage::new().await;
    let first = stage.person("first@example.org", Some(("ACME", Role::Owner))).await;
    let second = stage.person("second@example.org", Some(("ACME", Role::Owner))).await;
    let people = format!("/api/v1/tenants/{}/people", stage.tenant("ACME"));
    let invited = stage.post(&first, &people, &json!({ "email": "x@example.org", "role": "owner" })).await;
    let url = invited.ok()["invitation"].as_str().unwrap().to_owned();
    let own = stage.get(&first, "/api/v1/me").await.ok()["person"]["id"].as_str().unwrap().to_owned();
    stage.delete(&second, &format!("{people}/{own}")).await.ok();
    let path = format!("/api/v1/invitations/{}", url.rsplit('/').next().unwrap());
    let taken = stage.post(&Browser::new(), &path, &json!({ "name": "X", "password": PASSWORD })).await;
    assert_eq!(taken.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn owners_of_boxes_have_a_tenant() {
    let stage = Stage::new().await;
    let (id, camera) = stage.box_of(1, "Old & Sons").await;
    let directory = stage.store.directory().borrow().clone();
    let link = directory.link(&camera).unwrap();
    assert_eq!((link.tenant, link.title(), link.on), (stage.tenant("Old & Sons").as_str(), "Gate", true));
    stage.store.release_box(&id.parse().unwrap()).await.unwrap();
    stage.store.refresh().await.unwrap();
    assert!(stage.store.directory().borrow().link(&camera).is_none());
    assert!(stage.store.directory().borrow().link(&"a".repeat(26)).is_none());
}
