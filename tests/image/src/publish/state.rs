//! What a folder of releases says now, as far as its signatures go. It begins with `timestamp.json`: what nothing refers to,
//! because a publisher was interrupted, is not there.

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value, json};

use super::Key;
use super::document::{Role, sha256};
use super::folder::Folder;

/// The versions of the four kinds of metadata; 0 for what is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Versions {
    pub(super) root: u64,
    pub(super) targets: u64,
    pub(super) snapshot: u64,
    pub(super) timestamp: u64,
}

pub(super) struct State {
    pub(super) versions: Versions,
    /// The newest root's `signed`.
    root: Value,
    /// What is published, by name.
    pub(super) targets: Map<String, Value>,
    /// Whether the folder has no root yet.
    pub(super) fresh: bool,
}

impl State {
    pub(super) fn read(folder: &Folder, first_root: &[u8]) -> Result<Self> {
        let mut versions = Versions::default();
        let first: Value = serde_json::from_slice(first_root).context("reading the first root")?;
        let mut root = Role::of(&first["signed"], "root")?.verified("the first root", first_root)?;
        let fresh = match folder.read_if_there("metadata/1.root.json")? {
            Some(there) => {
                ensure!(there == first_root, "metadata/1.root.json is the root of other keys");
                false
            }
            None => true,
        };
        loop {
            versions.root += 1;
            ensure!(
                version(&root)? == versions.root,
                "root {} says that it is another version",
                versions.root
            );
            let name = format!("metadata/{}.root.json", versions.root + 1);
            let Some(next) = folder.read_if_there(&name)? else { break };
            Role::of(&root, "root")?.verified(&name, &next)?;
            let next_root: Value =
                serde_json::from_slice(&next).with_context(|| format!("reading {name}"))?;
            root = Role::of(&next_root["signed"], "root")?.verified(&name, &next)?;
        }
        let mut state = Self { versions, root, targets: Map::new(), fresh };
        let Some(timestamp) = folder.read_if_there("metadata/timestamp.json")? else { return Ok(state) };
        let timestamp = Role::of(&state.root, "timestamp")?.verified("timestamp.json", &timestamp)?;
        state.versions.timestamp = version(&timestamp)?;
        let (snapshot, at) = state.follow(folder, "snapshot", &timestamp)?;
        state.versions.snapshot = at;
        let (targets, at) = state.follow(folder, "targets", &snapshot)?;
        state.versions.targets = at;
        state.targets.clone_from(targets["targets"].as_object().context("the targets are no list")?);
        Ok(state)
    }

    /// The metadata of a kind that `by` refers to.
    fn follow(&self, folder: &Folder, kind: &str, by: &Value) -> Result<(Value, u64)> {
        let meta = &by["meta"][format!("{kind}.json")];
        let at = version(meta)?;
        let name = format!("metadata/{at}.{kind}.json");
        let bytes = folder.read(&name)?;
        ensure!(meta["hashes"]["sha256"] == json!(sha256(&bytes)), "{name} is not what was signed");
        let signed = Role::of(&self.root, kind)?.verified(&name, &bytes)?;
        ensure!(version(&signed)? == at, "{name} says that it is another version");
        Ok((signed, at))
    }

    /// Whether these keys may sign for a role.
    pub(super) fn enough(&self, role: &str, keys: &[Key]) -> Result<()> {
        let Role { keys: known, threshold } = Role::of(&self.root, role)?;
        let ours = super::document::named(keys);
        let good = ours.iter().filter(|key| known.contains_key(key.id())).count() as u64;
        if good < threshold {
            bail!(
                "{role} metadata needs {threshold} different keys of root {}; {good} were given",
                self.versions.root
            );
        }
        Ok(())
    }
}

fn version(signed: &Value) -> Result<u64> {
    signed["version"].as_u64().context("metadata without a version")
}
