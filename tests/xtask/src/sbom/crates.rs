//! The crates that are linked into `boxd` for ARM, and what its pages bring from npm.
//!
//! Which they are, `cargo tree` says: with the features that this program has, without what only builds or tests it. What they are,
//! `cargo metadata` says, and Cargo.lock has their hashes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use image::toolchain::TARGET;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::step::{cargo, text};

/// The box's program.
pub(super) const PROGRAM: &str = "boxd";
/// How the whole is called, and named within the list.
pub(super) const WHOLE: &str = "streambox";

/// Name and version.
type Id = (String, String);

/// What depends on what.
#[derive(Debug, PartialEq, Eq)]
struct Tree(BTreeMap<Id, BTreeSet<Id>>);

/// A package as cargo knows it.
#[derive(Debug, Deserialize)]
struct Package {
    name: String,
    version: String,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    license: Option<String>,
    #[serde(default)]
    repository: Option<String>,
    /// Where it is from; none: it is one of our rooms.
    source: Option<String>,
    manifest_path: PathBuf,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Lock {
    package: Vec<Locked>,
}

#[derive(Deserialize)]
struct Locked {
    name: String,
    version: String,
    checksum: Option<String>,
}

#[derive(Deserialize)]
struct NpmLock {
    packages: BTreeMap<String, Npm>,
}

#[derive(Deserialize)]
struct Npm {
    #[serde(default)]
    version: String,
    #[serde(default)]
    integrity: String,
    license: Option<String>,
    #[serde(default)]
    dev: bool,
}

/// The list of a workspace.
///
/// # Errors
/// When cargo fails, or a crate that is linked is not in Cargo.lock.
pub(super) fn list(workspace: &Path) -> Result<Value> {
    let tree = text(&mut cargo(&[
        "tree",
        "--locked",
        "--package",
        PROGRAM,
        "--target",
        TARGET,
        "--edges",
        "normal,no-proc-macro",
        "--prefix",
        "depth",
        "--format",
        " {p}",
    ]))?;
    let metadata = text(&mut cargo(&["metadata", "--locked", "--format-version", "1"]))?;
    let Metadata { packages } = serde_json::from_str(&metadata).context("what cargo metadata says")?;
    let lock = fs::read_to_string(workspace.join("Cargo.lock")).context("reading Cargo.lock")?;
    let Lock { package: locked } = toml::from_str(&lock).context("Cargo.lock")?;
    compose(&parse(&tree)?, &packages, &locked, &compiler()?)
}

/// The compiler's version: its standard library is linked, too.
fn compiler() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let said = text(Command::new(rustc).arg("-vV"))?;
    let release = said.lines().find_map(|line| line.strip_prefix("release: "));
    Ok(release.context("rustc does not say its release")?.to_owned())
}

/// Reads what `cargo tree --prefix depth --format ' {p}'` prints: a depth, a name, a version, and whether it was there before.
fn parse(text: &str) -> Result<Tree> {
    let mut edges: BTreeMap<Id, BTreeSet<Id>> = BTreeMap::new();
    let mut above: Vec<Id> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let mut words = line.split(' ');
        let (depth, name, version) = (words.next(), words.next(), words.next());
        let depth: usize = depth.and_then(|depth| depth.parse().ok()).with_context(|| line.to_owned())?;
        let version = version.and_then(|version| version.strip_prefix('v'));
        let (name, version) = name.zip(version).with_context(|| line.to_owned())?;
        let id = (name.to_owned(), version.to_owned());
        edges.entry(id.clone()).or_default();
        above.truncate(depth);
        ensure!(above.len() == depth, "{line}: under nothing");
        if let Some(user) = above.last() {
            edges.entry(user.clone()).or_default().insert(id.clone());
        }
        above.push(id);
    }
    ensure!(!edges.is_empty(), "cargo tree printed nothing");
    Ok(Tree(edges))
}

/// By what a component is named within the list, which is its package URL if others know it.
fn reference(package: &Package) -> String {
    let Package { name, version, source, .. } = package;
    match source {
        Some(_) => format!("pkg:cargo/{name}@{version}"),
        None => format!("{name}@{version}"),
    }
}

fn compose(Tree(edges): &Tree, packages: &[Package], locked: &[Locked], compiler: &str) -> Result<Value> {
    let find = |(name, version): &Id| {
        let found = packages.iter().find(|package| package.name == *name && package.version == *version);
        found.with_context(|| format!("cargo metadata does not know {name} {version}"))
    };
    let std = json!({
        "bom-ref": "rust-std",
        "type": "library",
        "name": "rust-std",
        "version": compiler,
        "description": "Rust's standard library",
        "licenses": licences("MIT OR Apache-2.0"),
        "purl": format!("pkg:generic/rust-std@{compiler}"),
    });
    let mut components = BTreeMap::from([("rust-std".to_owned(), std)]);
    let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut program = None;
    for (id, needs) in edges {
        let package = find(id)?;
        let name = reference(package);
        let needs: Result<Vec<String>> = needs.iter().map(|id| Ok(reference(find(id)?))).collect();
        uses.entry(name.clone()).or_default().extend(needs?);
        if package.source.is_none() {
            for (name, component) in npm(package)? {
                uses.entry(reference(package)).or_default().insert(name.clone());
                components.insert(name, component);
            }
        }
        if package.name == PROGRAM {
            uses.entry(name.clone()).or_default().insert("rust-std".to_owned());
            program = Some(package);
        }
        components.insert(name, component(package, locked)?);
    }
    let program = program.with_context(|| format!("{PROGRAM} is not in its own tree"))?;
    for name in components.keys() {
        uses.entry(name.clone()).or_default();
    }
    uses.insert(WHOLE.to_owned(), BTreeSet::from([reference(program)]));
    Ok(json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "bom-ref": WHOLE,
                "type": "firmware",
                "name": WHOLE,
                "version": program.version,
                "licenses": licences(program.license.as_deref().unwrap_or_default()),
            },
            "lifecycles": [{ "phase": "build" }],
            "tools": { "components": [{ "type": "application", "name": "cargo xtask sbom" }] },
        },
        "components": components.into_values().collect::<Vec<Value>>(),
        "dependencies": dependencies(&uses),
    }))
}

/// The form that the list has dependencies in.
pub(super) fn dependencies(uses: &BTreeMap<String, BTreeSet<String>>) -> Vec<Value> {
    uses.iter().map(|(name, needs)| json!({ "ref": name, "dependsOn": needs })).collect()
}

fn component(package: &Package, locked: &[Locked]) -> Result<Value> {
    let Package { name, version, description, license, repository, source, .. } = package;
    let mut component = json!({
        "bom-ref": reference(package),
        "type": if name == PROGRAM { "application" } else { "library" },
        "name": name,
        "version": version,
    });
    let license = license.as_deref().with_context(|| format!("{name} {version} names no licence"))?;
    component["licenses"] = licences(license);
    if let Some(description) = description {
        component["description"] = json!(description.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    if source.is_some() {
        let found = locked.iter().find(|locked| locked.name == *name && locked.version == *version);
        let hash = found.and_then(|locked| locked.checksum.as_deref());
        let hash = hash.with_context(|| format!("Cargo.lock has no hash of {name} {version}"))?;
        component["purl"] = json!(reference(package));
        component["hashes"] = json!([{ "alg": "SHA-256", "content": hash }]);
        if let Some(repository) = repository {
            component["externalReferences"] = json!([{ "type": "vcs", "url": repository }]);
        }
    }
    Ok(component)
}

/// What a room's pages bring from npm, by its lock file.
fn npm(room: &Package) -> Result<Vec<(String, Value)>> {
    let file = room.manifest_path.with_file_name("web").join("package-lock.json");
    let Ok(text) = fs::read_to_string(&file) else { return Ok(Vec::new()) };
    let lock: NpmLock = serde_json::from_str(&text).with_context(|| file.display().to_string())?;
    let shipped = lock.packages.into_iter().filter(|(_, npm)| !npm.dev);
    let named =
        shipped.filter_map(|(path, npm)| Some((path.rsplit_once("node_modules/")?.1.to_owned(), npm)));
    named
        .map(|(name, Npm { version, integrity, license, .. })| {
            let hash = integrity.strip_prefix("sha512-").and_then(|hash| STANDARD.decode(hash).ok());
            let hash = hash.with_context(|| format!("{}: no hash of {name}", file.display()))?;
            // A scope's @ would read as the version's (package-url/purl-spec).
            let purl = format!("pkg:npm/{}@{version}", name.replace('@', "%40"));
            let component = json!({
                "bom-ref": purl,
                "type": "library",
                "name": name,
                "version": version,
                "purl": purl,
                "licenses": licences(license.as_deref().unwrap_or("NOASSERTION")),
                "hashes": [{ "alg": "SHA-512", "content": hex(&hash) }],
            });
            Ok((purl, component))
        })
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// An SPDX expression. Old manifests have a slash for OR.
fn licences(expression: &str) -> Value {
    json!([{ "expression": expression.split('/').map(str::trim).collect::<Vec<_>>().join(" OR ") }])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> Id {
        (name.to_owned(), "1.0.0".to_owned())
    }

    fn package(name: &str, source: Option<&str>) -> Package {
        Package {
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            description: Some("Lines\n  and spaces".to_owned()),
            license: Some("MIT/Apache-2.0".to_owned()),
            repository: None,
            source: source.map(str::to_owned),
            manifest_path: format!("/absent/{name}/Cargo.toml").into(),
        }
    }

    fn hash(name: &str) -> Locked {
        let checksum = Some("0".repeat(64));
        Locked { name: name.to_owned(), version: "1.0.0".to_owned(), checksum }
    }

    #[test]
    fn a_tree_is_read_with_what_was_shown_before() {
        let Tree(edges) =
            parse("0 boxd v1.0.0 (/here)\n1 a v1.0.0\n2 c v1.0.0\n1 b v1.0.0\n2 c v1.0.0 (*)\n").unwrap();
        let needs = |name: &str| edges[&id(name)].iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>();
        assert_eq!(
            (needs("boxd"), needs("a"), needs("b"), needs("c")),
            (vec!["a", "b"], vec!["c"], vec!["c"], vec![])
        );
        for wrong in ["", "0 boxd", "x boxd v1.0.0", "0 boxd 1.0.0", "1 boxd v1.0.0"] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn strangers_have_a_hash_and_a_package_url_and_our_rooms_have_neither() {
        let tree = parse("0 boxd v1.0.0 (/here)\n1 other v1.0.0\n").unwrap();
        let packages = [package("boxd", None), package("other", Some("registry+crates.io"))];
        let list = compose(&tree, &packages, &[hash("other")], "1.2.3").unwrap();
        let [boxd, other, std] = list["components"].as_array().unwrap().as_slice() else { panic!("{list}") };
        assert_eq!(
            (&boxd["type"], &boxd["purl"], &boxd["hashes"]),
            (&json!("application"), &Value::Null, &Value::Null)
        );
        assert_eq!(other["purl"], "pkg:cargo/other@1.0.0");
        assert_eq!(other["hashes"][0]["content"], "0".repeat(64));
        assert_eq!(other["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert_eq!(other["description"], "Lines and spaces");
        assert_eq!(std["version"], "1.2.3");
        let needs = &list["dependencies"][0];
        assert_eq!(
            (&needs["ref"], &needs["dependsOn"]),
            (&json!("boxd@1.0.0"), &json!(["pkg:cargo/other@1.0.0", "rust-std"]))
        );
        let unhashed = compose(&tree, &packages, &[], "1.2.3").unwrap_err().to_string();
        assert!(unhashed.contains("Cargo.lock has no hash of other"), "{unhashed}");
    }
}
