//! The house stands as the README draws it: dependencies point one way, the pure rooms stay pure, each dependency
//! has one version, stated once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// What each room may use of the other rooms, for normal dependencies. Tests may use anything.
const MAY_USE: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("discovery", &["model"]),
    ("media", &["model"]),
    ("rtmp", &["model", "media"]),
    ("enrol", &["model"]),
    ("tunnel", &["model"]),
    ("update", &["model"]),
    ("settings", &[]),
    ("setup", &["model", "assets"]),
    ("board", &["model"]),
    ("door", &["model"]),
    ("assets", &[]),
    ("player", &["model", "assets"]),
    ("camera", &["model", "media"]),
    ("sandbox", &[]),
    ("feed", &["model", "media", "camera", "door"]),
    (
        "boxd",
        &[
            "model",
            "discovery",
            "media",
            "camera",
            "feed",
            "sandbox",
            "enrol",
            "tunnel",
            "update",
            "settings",
            "door",
            "player",
            "setup",
            "board",
        ],
    ),
    (
        "cloud-stub",
        &[
            "model", "media", "rtmp", "camera", "feed", "sandbox", "enrol", "tunnel", "update", "settings",
            "door", "player", "assets",
        ],
    ),
    ("fuzz", &["model", "discovery", "media", "rtmp", "camera", "enrol", "tunnel", "update", "board"]),
    ("simcam", &[]),
    ("lab", &["simcam", "model", "enrol"]),
    ("imaging", &["board"]),
    ("image", &["lab", "board", "imaging", "update"]),
    ("bench", &["lab", "simcam", "image", "model", "enrol", "tunnel", "cloud-stub"]),
    ("xtask", &["lab", "simcam", "image", "board", "update"]),
];

/// Rooms that name no socket, file, clock or runtime, and crates that would bring one.
const PURE: &[&str] = &["model", "discovery", "media", "rtmp", "enrol", "update"];
const IMPURE: &[&str] =
    &["tokio", "hyper", "hyper-util", "nix", "socket2", "retina", "rustls", "mio", "async-io", "mdns-sd"];

fn metadata() -> Value {
    let out = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .output()
        .expect("cargo runs");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).expect("cargo metadata is JSON")
}

fn texts<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn members(metadata: &Value) -> Vec<&Value> {
    let ids: BTreeSet<&str> =
        metadata["workspace_members"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|package| ids.contains(texts(package, "id")))
        .collect()
}

fn normal_dependencies(package: &Value) -> impl Iterator<Item = &str> {
    package["dependencies"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|dependency| dependency["kind"].is_null())
        .map(|dependency| texts(dependency, "name"))
}

#[test]
fn dependencies_point_one_way() {
    let metadata = metadata();
    let members = members(&metadata);
    let rooms: BTreeSet<&str> = members.iter().map(|package| texts(package, "name")).collect();
    let allowed: BTreeMap<&str, &[&str]> = MAY_USE.iter().copied().collect();
    assert_eq!(
        rooms,
        allowed.keys().copied().collect(),
        "a room was added or removed: draw it in MAY_USE and in the README"
    );
    for package in members {
        let name = texts(package, "name");
        for used in normal_dependencies(package).filter(|used| rooms.contains(used)) {
            assert!(allowed[name].contains(&used), "{name} must not use {used}");
        }
    }
}

#[test]
fn pure_rooms_bring_no_runtime() {
    let metadata = metadata();
    let nodes: BTreeMap<&str, &Value> = metadata["resolve"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| (texts(node, "id"), node))
        .collect();
    let names: BTreeMap<&str, &str> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| (texts(package, "id"), texts(package, "name")))
        .collect();
    for package in members(&metadata).into_iter().filter(|package| PURE.contains(&texts(package, "name"))) {
        let mut open = vec![texts(package, "id")];
        let mut seen = BTreeSet::new();
        while let Some(id) = open.pop() {
            if !seen.insert(id) {
                continue;
            }
            assert!(!IMPURE.contains(&names[id]), "{} brings {}", texts(package, "name"), names[id]);
            let normal =
                nodes[id]["deps"].as_array().unwrap().iter().filter(|dep| {
                    dep["dep_kinds"].as_array().unwrap().iter().any(|kind| kind["kind"].is_null())
                });
            open.extend(normal.map(|dep| texts(dep, "pkg")));
        }
        assert!(seen.len() > 1, "the walk found the dependencies of {}", texts(package, "name"));
    }
}

#[test]
fn versions_are_stated_once() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    for package in members(&metadata()) {
        let manifest = std::fs::read_to_string(texts(package, "manifest_path")).unwrap();
        let mut in_dependencies = false;
        for line in manifest.lines() {
            if line.starts_with('[') {
                in_dependencies = line.contains("dependencies");
            } else if in_dependencies && line.contains('=') {
                assert!(
                    line.contains("workspace"),
                    "{}: `{line}`: state the version in the workspace's Cargo.toml",
                    texts(package, "name")
                );
            }
        }
    }
    let top: BTreeSet<String> = Command::new("git")
        .args(["ls-tree", "--name-only", "HEAD"])
        .current_dir(root)
        .output()
        .map(|out| String::from_utf8_lossy(&out.stdout).lines().map(str::to_owned).collect())
        .unwrap_or_default();
    let known =
        ["Cargo.toml", "Cargo.lock", "README.md", "firmware", "board", "buildroot", "cloud-stub", "tests"];
    for name in top.iter().filter(|name| !name.starts_with('.')) {
        assert!(known.contains(&name.as_str()), "{name} does not belong at the top level");
    }
}
