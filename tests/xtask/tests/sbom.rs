//! The list of what runs on a box is whole, the same each time, and what CycloneDX's own schema takes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::{
    collections::BTreeSet,
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use lab::paths;
use serde_json::{Value, json};

fn sbom(words: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_xtask")).arg("sbom").args(words).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn names(list: &Value) -> BTreeSet<&str> {
    list["components"].as_array().unwrap().iter().filter_map(|part| part["name"].as_str()).collect()
}

/// What the schema's own people say of it; the lab brings their schema.
fn judge(list: &str) -> Result<(), String> {
    let mut judge = Command::new(paths::python())
        .arg(paths::sources().join("judges/parts.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    judge.stdin.take().unwrap().write_all(list.as_bytes()).unwrap();
    let output = judge.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() { Ok(()) } else { Err(said) }
}

#[test]
fn the_list_has_what_is_linked_and_nothing_that_only_builds_or_tests() {
    let text = sbom(&[]);
    assert_eq!(text, sbom(&[]), "the same sources give the same bytes");
    let list: Value = serde_json::from_str(&text).unwrap();
    let names = names(&list);
    for linked in ["boxd", "board", "model", "ring", "tokio", "rustls", "hls.js", "preact", "rust-std"] {
        assert!(names.contains(linked), "{linked} is on the box");
    }
    for absent in ["xtask", "cloud-stub", "proptest", "serde_derive", "cc", "sqlx", "windows-sys", "axum"] {
        assert!(!names.contains(absent), "{absent} is not on the box");
    }
    let strangers: Vec<&Value> =
        list["components"].as_array().unwrap().iter().filter(|part| part["purl"].is_string()).collect();
    assert!(strangers.len() > 100, "{}", strangers.len());
    for part in strangers {
        let licence = part["licenses"][0]["expression"].as_str().unwrap_or_default();
        assert!(!licence.is_empty() && licence != "NOASSERTION", "{part}");
        assert!(part["hashes"][0]["content"].is_string() || part["name"] == "rust-std", "{part}");
    }
    // Each part hangs on another: nothing is in the list without a reason.
    let needed: BTreeSet<&str> = list["dependencies"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|entry| entry["dependsOn"].as_array().unwrap())
        .filter_map(Value::as_str)
        .collect();
    for part in list["components"].as_array().unwrap() {
        assert!(needed.contains(part["bom-ref"].as_str().unwrap()), "{part}");
    }
    assert!(!text.contains(paths::workspace().to_str().unwrap()), "no path of this machine");
}

#[test]
fn cyclonedx_takes_it_alone_and_with_what_buildroot_lists() {
    if let Err(error) = lab::setup::check() {
        eprintln!("skipped, the schema comes with the lab: {error}");
        return;
    }
    judge(&sbom(&[])).unwrap();
    // As utils/generate-cyclonedx of Buildroot 2026.05 writes it.
    let rest = json!({
        "bomFormat": "CycloneDX",
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": { "bom-ref": "buildroot", "name": "buildroot", "type": "firmware", "version": "2026.05.1" },
        },
        "components": [
            {
                "bom-ref": "busybox", "type": "library", "name": "busybox", "version": "1.37.0",
                "licenses": [{ "license": { "id": "GPL-2.0" } }, { "license": { "name": "bzip2-1.0.4" } }],
                "cpe": "cpe:2.3:a:busybox:busybox:1.37.0:*:*:*:*:*:*:*",
            },
            { "bom-ref": "boxd", "type": "library", "name": "boxd" },
        ],
        "dependencies": [
            { "ref": "buildroot", "dependsOn": ["busybox", "boxd"] },
            { "ref": "busybox", "dependsOn": [] },
            { "ref": "boxd", "dependsOn": [] },
        ],
        "vulnerabilities": [
            { "id": "CVE-2025-46394", "affects": [{ "ref": "busybox" }], "analysis": { "state": "in_triage" } },
        ],
    });
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("buildroot.cdx.json");
    fs::write(&file, rest.to_string()).unwrap();
    let both = sbom(&["--buildroot", file.to_str().unwrap()]);
    judge(&both).unwrap();
    let list: Value = serde_json::from_str(&both).unwrap();
    assert!(names(&list).is_superset(&["busybox", "boxd", "ring"].into()));
    // A judge that takes everything would be none.
    assert!(judge(&both.replace("\"firmware\"", "\"hardware\"")).unwrap_err().contains("type"));
}
