//! Our list and Buildroot's become one: its packages stand beside our crates, its package of our program is our program. What it
//! needs to build the image, and does not put into it, is left out.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::crates::{PROGRAM, WHOLE, dependencies};

/// Puts what `theirs` has into `ours`, under our root.
///
/// # Errors
/// When theirs is no CycloneDX 1.6, or two things have one name.
pub(super) fn merge(mut ours: Value, mut theirs: Value) -> Result<Value> {
    let is = (theirs["bomFormat"].as_str(), theirs["specVersion"].as_str());
    ensure!(is == (Some("CycloneDX"), Some("1.6")), "this is no CycloneDX 1.6 but {is:?}");
    let program =
        named(&ours, |component| component["name"] == PROGRAM).context("our list has no program")?;
    let root = theirs["metadata"]["component"]["bom-ref"].as_str().unwrap_or_default().to_owned();
    // Their package of our program is the one thing that both know; the whole is theirs in other words, too.
    let mut ours_of: BTreeMap<String, String> = BTreeMap::from([(root, WHOLE.to_owned())]);
    if let Some(name) = named(&theirs, |component| component["name"] == PROGRAM) {
        ours_of.insert(name, program);
    }
    let translate = |name: &str| ours_of.get(name).cloned().unwrap_or_else(|| name.to_owned());

    let mut components: BTreeMap<String, Value> = BTreeMap::new();
    let mut left_out: BTreeSet<String> = BTreeSet::new();
    for component in taken(&mut ours, "components").into_iter().chain(taken(&mut theirs, "components")) {
        let name = component["bom-ref"].as_str().context("a component without bom-ref")?.to_owned();
        if ours_of.contains_key(&name) {
            continue;
        }
        if builds(&component) {
            left_out.insert(name);
            continue;
        }
        ensure!(components.insert(name.clone(), component).is_none(), "{name} is in both lists");
    }
    let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for entry in taken(&mut ours, "dependencies").iter().chain(&taken(&mut theirs, "dependencies")) {
        let name = translate(entry["ref"].as_str().context("a dependency without ref")?);
        if left_out.contains(&name) {
            continue;
        }
        let needs = entry["dependsOn"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let needs = needs.map(translate).filter(|need| *need != name && !left_out.contains(need));
        uses.entry(name.clone()).or_default().extend(needs);
    }
    // What nobody needs is there because the image has it.
    let needed: BTreeSet<String> = uses.values().flatten().cloned().collect();
    let loose = components.keys().filter(|name| !needed.contains(*name)).cloned().collect::<Vec<_>>();
    uses.entry(WHOLE.to_owned()).or_default().extend(loose);
    let known = |name: &String| name == WHOLE || components.contains_key(name);
    for (name, needs) in &uses {
        let unknown = std::iter::once(name).chain(needs).find(|name| !known(name));
        ensure!(unknown.is_none(), "{} is named and not listed", unknown.map_or("", String::as_str));
    }
    ours["dependencies"] = json!(dependencies(&uses));
    ours["components"] = components.into_values().collect();
    let mut vulnerabilities = taken(&mut theirs, "vulnerabilities");
    for vulnerability in &mut vulnerabilities {
        if let Some(affects) = vulnerability["affects"].as_array_mut() {
            affects.retain(|part| part["ref"].as_str().is_none_or(|name| !left_out.contains(name)));
        }
    }
    vulnerabilities.retain(|vulnerability| vulnerability["affects"] != json!([]));
    if !vulnerabilities.is_empty() {
        vulnerabilities.sort_by_key(|vulnerability| vulnerability["id"].to_string());
        ours["vulnerabilities"] = vulnerabilities.into();
    }
    Ok(ours)
}

/// Whether this is a tool of Buildroot's that runs where the image is made.
fn builds(component: &Value) -> bool {
    let properties = component["properties"].as_array().into_iter().flatten();
    properties.into_iter().any(|property| property["name"] == "BR_TYPE" && property["value"] == "host")
}

/// The name within the list of the first component that is so.
fn named(list: &Value, is: impl Fn(&Value) -> bool) -> Option<String> {
    let found = list["components"].as_array()?.iter().find(|component| is(component))?;
    found["bom-ref"].as_str().map(str::to_owned)
}

/// The entries of a list, which has none then.
fn taken(list: &mut Value, key: &str) -> Vec<Value> {
    match list.get_mut(key).map(Value::take) {
        Some(Value::Array(entries)) => entries,
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours() -> Value {
        json!({
            "components": [{ "bom-ref": "boxd@1", "name": "boxd" }, { "bom-ref": "pkg:cargo/a@1", "name": "a" }],
            "dependencies": [
                { "ref": "boxd@1", "dependsOn": ["pkg:cargo/a@1"] },
                { "ref": WHOLE, "dependsOn": ["boxd@1"] },
            ],
        })
    }

    fn theirs() -> Value {
        json!({
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "metadata": { "component": { "bom-ref": "buildroot", "name": "buildroot" } },
            "components": [
                { "bom-ref": "musl", "name": "musl" },
                { "bom-ref": "boxd", "name": "boxd", "version": "local" },
                { "bom-ref": "busybox", "name": "busybox", "properties": [{ "name": "BR_TYPE", "value": "target" }] },
                { "bom-ref": "host-m4", "name": "m4", "properties": [{ "name": "BR_TYPE", "value": "host" }] },
            ],
            "dependencies": [
                { "ref": "buildroot", "dependsOn": ["boxd", "busybox"] },
                { "ref": "boxd", "dependsOn": ["musl"] },
                { "ref": "busybox", "dependsOn": ["host-m4"] },
                { "ref": "host-m4", "dependsOn": [] },
            ],
            "vulnerabilities": [
                { "id": "CVE-2", "affects": [{ "ref": "busybox" }, { "ref": "host-m4" }] },
                { "id": "CVE-1", "affects": [{ "ref": "musl" }] },
                { "id": "CVE-0", "affects": [{ "ref": "host-m4" }] },
            ],
        })
    }

    #[test]
    fn their_package_of_our_program_is_our_program_and_tools_that_only_build_are_left_out() {
        let list = merge(ours(), theirs()).unwrap();
        let names: Vec<_> = list["components"].as_array().unwrap().iter().map(|c| &c["bom-ref"]).collect();
        assert_eq!(names, ["boxd@1", "busybox", "musl", "pkg:cargo/a@1"]);
        assert_eq!(
            list["dependencies"],
            json!([
                { "ref": "boxd@1", "dependsOn": ["musl", "pkg:cargo/a@1"] },
                { "ref": "busybox", "dependsOn": [] },
                { "ref": "streambox", "dependsOn": ["boxd@1", "busybox"] },
            ])
        );
        assert_eq!(
            list["vulnerabilities"],
            json!([
                { "id": "CVE-1", "affects": [{ "ref": "musl" }] },
                { "id": "CVE-2", "affects": [{ "ref": "busybox" }] },
            ])
        );
    }

    #[test]
    fn what_is_no_list_or_names_what_is_not_listed_is_refused() {
        let refused = |theirs: Value| merge(ours(), theirs).unwrap_err().to_string();
        let mut old = theirs();
        old["specVersion"] = json!("1.5");
        assert!(refused(old).contains("1.5"));
        let mut lost = theirs();
        lost["dependencies"][2]["dependsOn"] = json!(["glibc"]);
        assert!(refused(lost).contains("glibc is named and not listed"));
        let mut twice = theirs();
        twice["components"][0]["bom-ref"] = json!("pkg:cargo/a@1");
        assert!(refused(twice).contains("in both lists"));
    }
}
