//! Row 17 of the threats: every route of the API's description, asked by nobody, by another tenant's owner, by those who
//! are something less in the tenant, and with ids of things that are not theirs.
//!
//! Each route says in the description who may ask (`x-who`); a route without it fails here, and so does one that the
//! program has and the description has not.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use cloud_stub::store::Role;
use hyper::StatusCode;
use serde_json::{Value, json};

use crate::stage::{Answer, Browser, Stage};

const OPENAPI: &str = include_str!("../../src/http/openapi.json");

/// What is asked: method, path as it is described, who may ask.
struct Route {
    method: String,
    path: String,
    who: String,
    /// Whether it must be asked with more than its path.
    needs_more: bool,
}

/// Every route under `/api/v1` that is for people.
fn routes() -> Vec<Route> {
    let description: Value = serde_json::from_str(OPENAPI).unwrap();
    let mut routes = Vec::new();
    for (path, item) in description["paths"].as_object().unwrap() {
        for (method, route) in item.as_object().unwrap().iter().filter(|(method, _)| *method != "parameters")
        {
            let who = route["x-who"].as_str().unwrap_or_else(|| panic!("{method} {path} has no x-who"));
            let known =
                ["anyone", "box", "signed-in", "viewer", "installer", "owner", "operator"].contains(&who);
            assert!(known, "{method} {path}: {who}");
            let (method, path, who) = (method.to_uppercase(), path.clone(), who.to_owned());
            let asked = [&item["parameters"], &route["parameters"]];
            let mut asked = asked.into_iter().filter_map(Value::as_array).flatten();
            let needs_more = asked.any(|asked| asked["in"] == "query" && asked["required"] == true);
            routes.push(Route { method, path, who, needs_more });
        }
    }
    routes
}

/// A tenant with one of everything, by the names that the description has for its ids.
async fn things(stage: &Stage, owner: &Browser) -> Vec<(&'static str, String)> {
    let (box_id, camera) = stage.box_of(1, "ACME").await;
    let tenant = stage.tenant("ACME");
    let site = json!({ "name": "Mill" });
    let site = stage.post(owner, &format!("/api/v1/tenants/{tenant}/sites"), &site).await.ok();
    let share = json!({ "kind": "link", "label": "Police" });
    let share = stage.post(owner, &format!("/api/v1/cameras/{camera}/shares"), &share).await.ok();
    let session = stage.code(2, 2).await;
    stage.store.claim(&session.code.parse().unwrap(), "ACME").await.unwrap();
    let directory = stage.store.directory().borrow().clone();
    let mut people = directory.portal().people.iter();
    let person = people.find(|(_, person)| person.email == "v@example.org").unwrap().0.to_owned();
    vec![
        ("tenant", tenant),
        ("box", box_id),
        ("camera", camera),
        ("site", site["id"].as_str().unwrap().to_owned()),
        ("share", share["id"].as_str().unwrap().to_owned()),
        ("session", session.session),
        ("person", person),
        ("secret", "a".repeat(26)),
        ("campaign", "c".repeat(26)),
    ]
}

/// A path with ids in it.
fn filled(path: &str, things: &[(&'static str, String)]) -> String {
    let mut filled = path.to_owned();
    for (name, id) in things {
        filled = filled.replace(&format!("{{{name}}}"), id);
    }
    assert!(!filled.contains('{'), "{path} has a parameter that this test has no id for");
    filled
}

#[tokio::test]
async fn every_route_is_closed_to_whom_it_is_not_for() {
    let stage = Stage::new().await;
    let owner = stage.person("o@example.org", Some(("ACME", Role::Owner))).await;
    let installer = stage.person("i@example.org", Some(("ACME", Role::Installer))).await;
    let viewer = stage.person("v@example.org", Some(("ACME", Role::Viewer))).await;
    let stranger = stage.person("s@example.org", Some(("Other", Role::Owner))).await;
    let things = things(&stage, &owner).await;
    let nothing: Vec<_> = things.iter().map(|(name, _)| (*name, "b".repeat(26))).collect();
    let missing = stage.get(&stranger, "/api/v1/there/is/no/such/thing").await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    let nobody = Browser::new();
    stage.store.refresh().await.unwrap();
    let version = stage.store.directory().borrow().version();
    let mut walked = 0;
    for Route { method, path, who, needs_more } in routes() {
        if who == "anyone" || who == "box" {
            continue;
        }
        let good = |status| status == StatusCode::OK || (needs_more && status == StatusCode::BAD_REQUEST);
        walked += 1;
        let own = filled(&path, &things);
        let ask = async |browser: &Browser, path: &str| -> Answer {
            // Words that fit nowhere: who may not ask is told so whatever they say.
            let body = json!({ "no such word": true });
            stage.ask(browser, &method, path, (method != "GET").then_some(&body)).await
        };
        let name = format!("{method} {path}");
        assert_eq!(ask(&nobody, &own).await.status, StatusCode::UNAUTHORIZED, "{name}: nobody");
        if method != "GET" {
            let forged = Browser { csrf: String::new(), ..owner.clone() };
            assert_eq!(ask(&forged, &own).await.status, StatusCode::FORBIDDEN, "{name}: without x-csrf");
        }
        if who == "signed-in" {
            continue;
        }
        if who == "operator" {
            for browser in [&stranger, &owner] {
                let status = ask(browser, &own).await.status;
                assert!([StatusCode::NOT_FOUND, StatusCode::FORBIDDEN].contains(&status), "{name}: {status}");
            }
            continue;
        }
        assert_eq!(ask(&stranger, &own).await.looks(), missing.looks(), "{name}: another tenant's owner");
        assert_eq!(ask(&owner, &filled(&path, &nothing)).await.looks(), missing.looks(), "{name}: nothing");
        let may = |role: &str| match who.as_str() {
            "viewer" => true,
            "installer" => role != "viewer",
            _ => false,
        };
        for (role, browser) in [("viewer", &viewer), ("installer", &installer)] {
            if !may(role) {
                assert_eq!(ask(browser, &own).await.status, StatusCode::FORBIDDEN, "{name}: {role}");
            } else if method == "GET" {
                let answer = ask(browser, &own).await;
                assert!(good(answer.status), "{name}: {role} {answer:?}");
            }
        }
        if method == "GET" {
            let answer = ask(&owner, &own).await;
            assert!(good(answer.status), "{name}: owner {answer:?}");
        }
    }
    assert!(walked >= 25, "{walked}");
    stage.store.refresh().await.unwrap();
    assert_eq!(stage.store.directory().borrow().version(), version, "nothing was changed");
}

/// The routes that the source has, as it is written.
fn written(folder: &Path, into: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            written(&path, into);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let parts = text.split("\"/api/v1/").skip(1);
            into.extend(parts.map(|part| format!("/api/v1/{}", part.split('"').next().unwrap())));
        }
    }
}

#[test]
fn every_route_is_described() {
    let description: Value = serde_json::from_str(OPENAPI).unwrap();
    let described: BTreeSet<String> = description["paths"]
        .as_object()
        .unwrap()
        .keys()
        .filter(|path| path.starts_with("/api/"))
        .cloned()
        .collect();
    let mut source = BTreeSet::new();
    written(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut source);
    source.remove("/api/v1/openapi.json");
    assert!(source.len() > 20, "{source:?}");
    let missing: Vec<_> = source.symmetric_difference(&described).collect();
    assert!(missing.is_empty(), "only in one of program and description: {missing:?}");
}
