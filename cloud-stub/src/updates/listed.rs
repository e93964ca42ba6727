//! What is published, read from the folder's metadata: the timestamp names the snapshot, that the targets. Whether it is
//! signed is for the boxes to judge.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use super::choice::Listed;

/// The releases in a folder; none in one that nothing was published in.
pub(super) fn read(folder: &Path) -> Result<Vec<Listed>> {
    let metadata = folder.join("metadata");
    if !folder.is_dir() {
        anyhow::bail!("{} ([updates] dir) is no folder", folder.display());
    }
    if !metadata.join("timestamp.json").exists() {
        return Ok(Vec::new());
    }
    let timestamp = signed(&metadata.join("timestamp.json"))?;
    let snapshot =
        signed(&metadata.join(format!("{}.snapshot.json", version(&timestamp, "snapshot.json")?)))?;
    let targets = signed(&metadata.join(format!("{}.targets.json", version(&snapshot, "targets.json")?)))?;
    let targets = targets["targets"].as_object().context("the targets are no list")?;
    Ok(targets.iter().filter_map(|(name, target)| listed(name, &target["custom"])).collect())
}

/// `None` for what is no release.
fn listed(name: &str, custom: &Value) -> Option<Listed> {
    Some(Listed {
        name: name.to_owned(),
        board: custom["board"].as_str()?.to_owned(),
        version: custom["version"].as_str()?.to_owned(),
        security: custom["security"].as_u64()?.try_into().ok()?,
        since: custom["since"].as_u64()?,
    })
}

fn signed(path: &Path) -> Result<Value> {
    let named = || format!("reading {}", path.display());
    let bytes = fs::read(path).with_context(named)?;
    let mut document: Value = serde_json::from_slice(&bytes).with_context(named)?;
    Ok(document["signed"].take())
}

fn version(of: &Value, name: &str) -> Result<u64> {
    of["meta"][name]["version"].as_u64().with_context(|| format!("nothing says which {name} is the newest"))
}
