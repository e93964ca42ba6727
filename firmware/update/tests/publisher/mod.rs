//! A publisher of releases for tests: three offline keys of which two sign root and targets, one online key for snapshot and
//! timestamp. Its documents are open, so that a test can make it say anything and sign it properly.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::format_collect,
    clippy::indexing_slicing,
    missing_docs,
    dead_code,
    unreachable_pub,
    reason = "a test fails by panicking; each file of tests uses a part of this"
)]

use std::collections::BTreeMap;

use ring::digest::{SHA256, digest};
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};
use update::tuf::{Answer, Freshness, Role, State, Trusted, TufError, Verifier, key_entry, key_id, sign};

/// What a server holds, by path below its folder of metadata; targets by their names.
pub type Files = BTreeMap<String, Vec<u8>>;

/// Noon of 2026-06-01 in seconds since 1970: when these tests play.
pub const NOW: u64 = 1_780_315_200;
/// A day in seconds.
pub const DAY: u64 = 86_400;
/// The board that the releases are for.
pub const BOARD: &str = "qemu-aarch64";

pub struct Publisher {
    /// The `signed` part of each role's metadata.
    pub documents: BTreeMap<Role, Value>,
    /// Which keys sign for each role.
    pub signers: BTreeMap<Role, Vec<u8>>,
    pub files: Files,
}

/// A key that a number stands for.
pub fn key(number: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[number; 32]).unwrap()
}

/// Its id and its entry in a root.
pub fn entry(number: u8) -> (String, Value) {
    let entry = key_entry(key(number).public_key().as_ref());
    (key_id(&entry).unwrap(), entry)
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn hash(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

impl Publisher {
    /// Has published root 1 and empty targets, everything in version 1.
    pub fn new() -> Self {
        let head = |role: Role, expires: &str| json!({"_type": role.name(), "spec_version": "1.0.34", "version": 1, "expires": expires});
        let mut root = head(Role::Root, "2027-06-01T12:00:00Z");
        root["consistent_snapshot"] = json!(true);
        root["keys"] = json!({});
        root["roles"] = json!({});
        let mut targets = head(Role::Targets, "2026-12-01T12:00:00Z");
        targets["targets"] = json!({});
        let mut snapshot = head(Role::Snapshot, "2026-06-15T12:00:00Z");
        snapshot["meta"] = json!({});
        let mut timestamp = head(Role::Timestamp, "2026-06-08T12:00:00Z");
        timestamp["meta"] = json!({});
        let documents = BTreeMap::from([
            (Role::Root, root),
            (Role::Targets, targets),
            (Role::Snapshot, snapshot),
            (Role::Timestamp, timestamp),
        ]);
        let mut publisher = Self { documents, signers: BTreeMap::new(), files: Files::new() };
        for (role, keys, threshold) in [
            (Role::Root, &[1, 2, 3][..], 2),
            (Role::Targets, &[1, 2, 3], 2),
            (Role::Snapshot, &[9], 1),
            (Role::Timestamp, &[9], 1),
        ] {
            publisher.appoint(role, keys, threshold);
        }
        // Two of three are enough, and the third stays in its safe.
        publisher.signers.insert(Role::Root, vec![1, 2]);
        publisher.signers.insert(Role::Targets, vec![1, 2]);
        for role in [Role::Root, Role::Targets, Role::Snapshot, Role::Timestamp] {
            publisher.publish(role);
        }
        publisher
    }

    pub fn document(&mut self, role: Role) -> &mut Value {
        self.documents.get_mut(&role).unwrap()
    }

    /// Enters the keys of a role into the root's document and lets them sign from now on. Does not publish.
    pub fn appoint(&mut self, role: Role, keys: &[u8], threshold: u32) {
        let root = self.document(Role::Root);
        let mut ids = Vec::new();
        for number in keys {
            let (id, entry) = entry(*number);
            root["keys"][&id] = entry;
            ids.push(id);
        }
        root["roles"][role.name()] = json!({"keyids": ids, "threshold": threshold});
        self.signers.insert(role, keys.to_vec());
    }

    /// The document of a role under its signatures.
    pub fn signed(&self, role: Role) -> Value {
        let keys: Vec<_> = self.signers[&role].iter().map(|number| key(*number)).collect();
        sign(&self.documents[&role], &keys).unwrap()
    }

    /// Signs a role's document as it is, puts it on the server and lists it in the document above.
    pub fn publish(&mut self, role: Role) {
        let bytes = self.signed(role).to_string().into_bytes();
        self.put(role, bytes);
    }

    /// Puts bytes on the server as a role's metadata and lists them in the document above.
    pub fn put(&mut self, role: Role, bytes: Vec<u8>) {
        let version = self.documents[&role]["version"].clone();
        let listed = json!({"version": version, "length": bytes.len(), "hashes": {"sha256": hash(&bytes)}});
        let path = match role {
            Role::Timestamp => "timestamp.json".to_owned(),
            _ => format!("{version}.{role}.json"),
        };
        self.files.insert(path, bytes);
        match role {
            Role::Targets => self.document(Role::Snapshot)["meta"]["targets.json"] = listed,
            Role::Snapshot => self.document(Role::Timestamp)["meta"]["snapshot.json"] = listed,
            _ => {}
        }
    }

    /// The next version of some roles, in this order.
    pub fn next(&mut self, roles: &[Role]) {
        for role in roles {
            let version = self.document(*role)["version"].as_u64().unwrap_or_default();
            self.document(*role)["version"] = json!(version.saturating_add(1));
            self.publish(*role);
        }
    }

    /// The next version of all but the root.
    pub fn next_all(&mut self) {
        self.next(&[Role::Targets, Role::Snapshot, Role::Timestamp]);
    }

    /// Adds a release and publishes; gives the target's name. Its description is on the server under that name.
    pub fn release(&mut self, version: &str, security: u32) -> String {
        let name = format!("{BOARD}/{version}.json");
        let image =
            json!({"bytes": 512, "sha256": hash(version.as_bytes()), "chunks": [[hash(b"chunk"), 100]]});
        let description = json!({
            "format": 1, "board": BOARD, "version": version, "security": security, "schema": 1,
            "chunk_bytes": 65536, "fit": image, "root": image,
        })
        .to_string()
        .into_bytes();
        self.document(Role::Targets)["targets"][&name] =
            json!({"length": description.len(), "hashes": {"sha256": hash(&description)}});
        self.files.insert(name.clone(), description);
        self.next_all();
        name
    }

    /// An assignment to [`BOX`] over [`NONCE`], signed as the timestamp role's keys are now.
    pub fn assign(target: Option<&str>) -> Value {
        json!({
            "_type": "assignment", "spec_version": "1.0", "box": BOX, "nonce": nonce(), "target": target,
            "deadline": "2026-06-02T12:00:00Z", "campaign": "spring", "issued": "2026-06-01T12:00:00Z",
        })
    }

    /// An assignment's bytes under the signatures of some keys.
    pub fn seal(assignment: &Value, keys: &[u8]) -> Vec<u8> {
        let keys: Vec<_> = keys.iter().map(|number| key(*number)).collect();
        sign(assignment, &keys).unwrap().to_string().into_bytes()
    }

    /// A box that knows root 1 and has never fetched anything.
    pub fn new_box(&self) -> State {
        State { root: self.files["1.root.json"].clone(), ..State::default() }
    }
}

/// The box of these tests.
pub const BOX: &str = "abcdefgh234567ab";

/// What it has just asked with.
pub fn nonce() -> String {
    "5a".repeat(32)
}

/// One run of a box against a server: its state afterwards, and what came of it.
pub fn run(state: &State, files: &Files, freshness: Freshness) -> (State, Result<Trusted, TufError>) {
    let mut verifier = match Verifier::new(state.clone(), freshness) {
        Ok(verifier) => verifier,
        Err(error) => return (state.clone(), Err(error)),
    };
    while let Some(want) = verifier.wants() {
        let answer = match files.get(&want.path) {
            // A reader stops one byte after the most that is wanted.
            Some(bytes) => {
                let most = usize::try_from(want.most_bytes).unwrap() + 1;
                Answer::Bytes(bytes[..bytes.len().min(most)].to_vec())
            }
            None => Answer::Missing,
        };
        if let Err(error) = verifier.give(answer) {
            assert!(verifier.wants().is_none() && verifier.trusted().is_none(), "a refusal is the end");
            return (verifier.state().clone(), Err(error));
        }
    }
    (verifier.state().clone(), Ok(verifier.trusted().unwrap().clone()))
}

/// [`run`] by a clock that is right.
pub fn run_now(state: &State, files: &Files) -> (State, Result<Trusted, TufError>) {
    run(state, files, Freshness::Clock(NOW))
}

/// What an operator reads when a run is refused.
pub fn refusal(state: &State, files: &Files) -> String {
    match run_now(state, files) {
        (_, Err(error)) => error.to_string(),
        (_, Ok(_)) => panic!("nothing was refused"),
    }
}
