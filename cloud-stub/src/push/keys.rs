//! Whose stream key it is. Keys are known by their SHA-256 only, and a key is looked for by that: how long it takes tells
//! nothing of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::{CameraId, Private};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::config::{Camera, From};
use crate::store::{Directory, Source};

/// The kind of a source that is pushed.
const PUSH: &str = "push";

/// SHA-256 of a key.
pub(super) type Hash = [u8; 32];

/// Settings of a source of the kind `push`.
#[derive(Serialize, Deserialize)]
struct Settings {
    /// SHA-256 of the key, base64.
    key_sha256: String,
}

/// The settings of a source of the kind `push` that is sent with this key, as JSON.
pub fn settings_of(key: &Private<String>) -> String {
    let settings = Settings { key_sha256: STANDARD.encode(hash(key)) };
    serde_json::to_string(&settings).unwrap_or_default()
}

/// SHA-256 of a key.
pub(super) fn hash(key: &Private<String>) -> Hash {
    Sha256::digest(key.expose().as_bytes()).into()
}

/// The keys of all cameras that are pushed.
pub(super) struct Keys {
    /// Those of the configuration, which never change.
    fixed: HashMap<Hash, CameraId>,
    index: Mutex<Index>,
}

/// The sources of a directory by their keys. What has not changed is not read again.
#[derive(Default)]
struct Index {
    version: Option<u64>,
    cameras: HashMap<Hash, CameraId>,
    read: HashMap<CameraId, (Arc<Source>, Option<Hash>)>,
}

/// A camera and the key that it was found by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) camera: CameraId,
    /// A camera of the configuration, which everybody may watch.
    pub(super) open: bool,
    hash: Hash,
}

impl Keys {
    pub(super) fn new(cameras: &[Camera]) -> Self {
        let fixed = cameras.iter().filter_map(|camera| match &camera.from {
            From::Push(key) => Some((hash(key), camera.id.clone())),
            _ => None,
        });
        Self { fixed: fixed.collect(), index: Mutex::default() }
    }

    /// The camera of a key, if it may be sent now.
    pub(super) fn find(&self, directory: &Directory, key: &Private<String>) -> Option<Found> {
        let hash = hash(key);
        let mut index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        index.follow(directory);
        let (fixed, source) = (self.fixed.get(&hash), index.cameras.get(&hash));
        let camera = fixed.or(source)?.clone();
        Some(Found { camera, open: fixed.is_some(), hash })
    }

    /// Whether a camera still has the key that it was found by.
    pub(super) fn holds(directory: &Directory, found: &Found) -> bool {
        let source = || directory.portal().sources.get(found.camera.as_str());
        found.open || source().and_then(|source| key_of(source)) == Some(found.hash)
    }
}

impl Index {
    fn follow(&mut self, directory: &Directory) {
        if self.version == Some(directory.version()) {
            return;
        }
        let mut before = std::mem::take(&mut self.read);
        self.cameras.clear();
        for (id, source) in directory.portal().sources.iter().filter(|(_, source)| source.kind == PUSH) {
            let Ok(id) = CameraId::new(id) else { continue };
            let known = before.remove(&id).filter(|(known, _)| Arc::ptr_eq(known, source));
            let (source, hash) = known.unwrap_or_else(|| (source.clone(), key_of(source)));
            if let Some(hash) = hash {
                self.cameras.insert(hash, id.clone());
            }
            self.read.insert(id, (source, hash));
        }
        self.version = Some(directory.version());
    }
}

/// The hash of a source's key; `None` while it takes nothing.
fn key_of(source: &Source) -> Option<Hash> {
    if !source.on || source.kind != PUSH {
        return None;
    }
    let settings: Settings = serde_json::from_str(source.settings.expose()).ok()?;
    STANDARD.decode(settings.key_sha256).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use crate::store::{Access, Portal};

    use super::*;

    fn key(text: &str) -> Private<String> {
        Private::new(text.to_owned())
    }

    fn source(settings: &str, on: bool) -> Source {
        Source {
            tenant: "t".into(),
            site: String::new(),
            title: "Yard".into(),
            kind: PUSH.into(),
            settings: Private::new(settings.to_owned()),
            on,
            access: Access::Public,
            node: String::new(),
            report: String::new(),
            since_ms: 0,
        }
    }

    fn directory(version: u64, sources: &[(&str, Source)]) -> Directory {
        let mut portal = Portal::default();
        for (id, source) in sources {
            portal.sources.put(id, Some(source.clone()));
        }
        let mut directory = Directory::default();
        directory.set_portal(portal);
        directory.set_version(version);
        directory
    }

    #[test]
    fn a_key_leads_to_its_camera_until_it_is_replaced_or_switched_off() {
        let id = CameraId::new("gate").unwrap();
        let keys = Keys::new(&[Camera { id, from: From::Push(key("of the configuration")) }]);
        let first = directory(1, &[("yard", source(&settings_of(&key("old")), true))]);
        let yard = keys.find(&first, &key("old")).unwrap();
        assert_eq!((yard.camera.as_str(), yard.open), ("yard", false));
        let gate = keys.find(&first, &key("of the configuration")).unwrap();
        assert_eq!((gate.camera.as_str(), gate.open), ("gate", true));
        assert!(Keys::holds(&first, &yard) && Keys::holds(&first, &gate));
        assert_eq!(keys.find(&first, &key("new")), None);
        assert_eq!(keys.find(&first, &key("")), None);

        let replaced = directory(2, &[("yard", source(&settings_of(&key("new")), true))]);
        assert!(!Keys::holds(&replaced, &yard) && keys.find(&replaced, &key("old")).is_none());
        assert!(keys.find(&replaced, &key("new")).is_some());
        let off = directory(3, &[("yard", source(&settings_of(&key("old")), false))]);
        assert!(!Keys::holds(&off, &yard) && keys.find(&off, &key("old")).is_none());
        let gone = directory(4, &[]);
        assert!(!Keys::holds(&gone, &yard) && keys.find(&gone, &key("old")).is_none());
        assert!(Keys::holds(&gone, &gate), "the configuration's stays");
        let pulled = Source { kind: "pull".into(), ..source(&settings_of(&key("old")), true) };
        assert_eq!(keys.find(&directory(5, &[("yard", pulled)]), &key("old")), None);
        assert_eq!(keys.find(&directory(6, &[("yard", source("{}", true))]), &key("")), None);
    }

    #[test]
    fn the_settings_hold_no_key() {
        let settings = settings_of(&key("geheim"));
        assert_eq!(settings, "{\"key_sha256\":\"rdsPXngmyFfXN20b2bwzwMVEeQourJYUSoryKxKYyUA=\"}");
    }
}
