//! One signed piece of metadata in TUF's form: `{"signed": …, "signatures": […]}`. What is signed are the bytes of OLPC's
//! canonical JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anyhow::{Context, Result, bail, ensure};
use ring::digest::{SHA256, digest};
use ring::signature::{ED25519, UnparsedPublicKey};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::macros::format_description;

use super::{Key, SPEC};

/// How many of the offline keys must sign.
pub(super) const THRESHOLD: u64 = 2;

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // A String takes whatever is written to it.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

pub(super) fn sha256(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

/// TUF's only form of a date.
pub(super) fn date(at: OffsetDateTime) -> Result<String> {
    let form = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    at.to_offset(time::UtcOffset::UTC).format(form).context("writing a date")
}

/// The bytes that a signature covers (http://wiki.laptop.org/go/Canonical_JSON).
pub(super) fn canonical(value: &Value) -> Result<Vec<u8>> {
    update::tuf::canonical(value).map_err(anyhow::Error::msg).context("writing canonical JSON")
}

/// Each key once, whoever names it twice.
pub(super) fn named<'a>(keys: impl IntoIterator<Item = &'a Key>) -> Vec<&'a Key> {
    let by_id: BTreeMap<&str, &Key> = keys.into_iter().map(|key| (key.id(), key)).collect();
    by_id.into_values().collect()
}

/// The whole document, signed by each of the keys.
pub(super) fn sign(signed: &Value, keys: &[&Key]) -> Result<Vec<u8>> {
    let bytes = canonical(signed)?;
    let signatures: Vec<Value> = named(keys.iter().copied())
        .into_iter()
        .map(|key| json!({ "keyid": key.id(), "sig": hex(&key.sign(&bytes)) }))
        .collect();
    let mut document = serde_json::to_vec_pretty(&json!({ "signatures": signatures, "signed": signed }))?;
    document.push(b'\n');
    Ok(document)
}

/// What is said under `signed` of a root that trusts these keys.
pub(super) fn root(version: u64, offline: &[Key], online: &Key, expires: &str) -> Result<Value> {
    let offline = named(offline);
    ensure!(offline.len() as u64 >= THRESHOLD, "a root needs at least {THRESHOLD} different offline keys");
    ensure!(
        offline.iter().all(|key| key.id() != online.id()),
        "the online key lies on a server: it cannot be an offline key, too"
    );
    let keys: Map<String, Value> =
        offline.iter().copied().chain([online]).map(|key| (key.id().to_owned(), key.description())).collect();
    let ids: Vec<&str> = offline.iter().map(|key| key.id()).collect();
    let by_offline = json!({ "keyids": ids, "threshold": THRESHOLD });
    let by_online = json!({ "keyids": [online.id()], "threshold": 1 });
    Ok(json!({
        "_type": "root",
        "spec_version": SPEC,
        "version": version,
        "expires": expires,
        "consistent_snapshot": true,
        "keys": keys,
        "roles": { "root": by_offline, "targets": by_offline, "snapshot": by_online, "timestamp": by_online },
    }))
}

/// Who may speak for a role, as a root says.
pub(super) struct Role {
    pub(super) keys: BTreeMap<String, Vec<u8>>,
    pub(super) threshold: u64,
}

impl Role {
    /// The role of this name in the `signed` part of a root.
    pub(super) fn of(root: &Value, name: &str) -> Result<Self> {
        let role = &root["roles"][name];
        let threshold = role["threshold"].as_u64().filter(|threshold| *threshold > 0);
        let threshold = threshold.with_context(|| format!("the root says nothing of {name}"))?;
        let mut keys = BTreeMap::new();
        for id in role["keyids"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let public = root["keys"][id]["keyval"]["public"].as_str().and_then(unhex);
            keys.insert(id.to_owned(), public.with_context(|| format!("key {id} of the root is none"))?);
        }
        Ok(Self { keys, threshold })
    }

    /// The `signed` part of a document that enough of the role's keys have signed.
    pub(super) fn verified(&self, what: &str, document: &[u8]) -> Result<Value> {
        let document: Value = serde_json::from_slice(document).with_context(|| format!("reading {what}"))?;
        let bytes = canonical(&document["signed"])?;
        let mut good = BTreeSet::new();
        for signature in document["signatures"].as_array().into_iter().flatten() {
            let (Some(id), Some(sig)) =
                (signature["keyid"].as_str(), signature["sig"].as_str().and_then(unhex))
            else {
                continue;
            };
            let key = self.keys.get(id);
            if key.is_some_and(|key| UnparsedPublicKey::new(&ED25519, key).verify(&bytes, &sig).is_ok()) {
                good.insert(id);
            }
        }
        if (good.len() as u64) < self.threshold {
            bail!(
                "{what} is signed by {} of the {} keys that it needs: it is not ours",
                good.len(),
                self.threshold
            );
        }
        Ok(document["signed"].clone())
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|digit| digit.to_digit(16).map(|digit| digit as u8)).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect())
}
