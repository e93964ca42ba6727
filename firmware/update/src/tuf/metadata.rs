//! The four kinds of metadata as they are read once their signatures hold. A [`Root`] that exists names all four roles, each
//! with at least one key id and a threshold of at least one, and every date and version in any of them is well formed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use ring::digest::{Context, SHA256, SHA512, digest};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use time::PrimitiveDateTime;
use time::macros::format_description;

use super::keys::{Envelope, Key, Signers, hex};
use super::{Role, TufError};

/// A file that other metadata lists (METAFILES, section 4.4): its version and, where the publisher gives them, length and hashes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct MetaFile {
    pub(crate) version: u64,
    #[serde(default, deserialize_with = "present")]
    pub(crate) length: Option<u64>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) hashes: Option<Hashes>,
}

impl MetaFile {
    /// Whether these are the bytes that were listed.
    pub(crate) fn check(&self, name: &str, bytes: &[u8]) -> Result<(), TufError> {
        let wrong = |why| TufError::Content { what: name.to_owned(), why };
        if self.length.is_some_and(|length| length != bytes.len() as u64) {
            return Err(wrong("its length differs"));
        }
        self.hashes.as_ref().map_or(Ok(()), |hashes| hashes.check(bytes)).map_err(wrong)
    }
}

/// Hashes of one file by algorithm, in hexadecimal digits. All of them must be right: one that this version does not know
/// refuses the file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Hashes(BTreeMap<String, String>);

impl Hashes {
    /// The SHA-256, if the publisher gave it (this project's always does): 64 lower-case hexadecimal digits.
    pub fn sha256(&self) -> Option<&str> {
        self.0.get("sha256").map(String::as_str).filter(|hash| is_hash(hash, 64))
    }

    /// Whether bytes have all of these hashes.
    fn check(&self, bytes: &[u8]) -> Result<(), &'static str> {
        if self.0.is_empty() {
            return Err("it has no hash");
        }
        for (algorithm, wanted) in &self.0 {
            let found = match algorithm.as_str() {
                "sha256" => digest(&SHA256, bytes),
                "sha512" => digest(&SHA512, bytes),
                _ => return Err("its hash is of an unknown kind"),
            };
            if hex(found.as_ref()) != *wanted {
                return Err("its hash differs");
            }
        }
        Ok(())
    }

    /// The hash that stands before a file's name on a server with consistent snapshots (section 6.2).
    fn prefix(&self) -> Option<&str> {
        let sha512 = || self.0.get("sha512").map(String::as_str).filter(|hash| is_hash(hash, 128));
        self.sha256().or_else(sha512)
    }
}

fn is_hash(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// When something expires: seconds since 1970, and the text for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expiry {
    seconds: u64,
    text: String,
}

/// Seconds since 1970 of a date as TUF writes it, `2030-01-31T12:00:00Z` (section 4.2.1); dates before 1970 are 0.
pub(crate) fn seconds(text: &str) -> Option<u64> {
    let form = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    let date = PrimitiveDateTime::parse(text, form).ok().filter(|_| text.len() == 20)?;
    Some(u64::try_from(date.assume_utc().unix_timestamp()).unwrap_or(0))
}

/// What all four kinds have (section 4.3 to 4.6).
#[derive(Debug, Clone)]
pub(crate) struct Common {
    pub(crate) version: u64,
    expires: Expiry,
}

#[derive(Deserialize)]
struct CommonFields {
    #[serde(rename = "_type")]
    kind: String,
    spec_version: String,
    version: u64,
    expires: String,
}

impl Common {
    fn read(role: Role, signed: &Value) -> Result<Self, TufError> {
        let fields: CommonFields = fields(role, signed)?;
        if fields.kind != role.name() {
            return Err(TufError::WrongType { role, found: fields.kind });
        }
        let unreadable = |why: String| TufError::Unreadable { role, why };
        let numbers: Vec<_> = fields.spec_version.split('.').collect();
        let number = |text: &&str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !(2..=3).contains(&numbers.len()) || !numbers.iter().all(number) || numbers.first() != Some(&"1") {
            return Err(unreadable(format!("it follows specification {:?}, not 1.x", fields.spec_version)));
        }
        if fields.version == 0 {
            return Err(unreadable("its version is 0".to_owned()));
        }
        let seconds =
            seconds(&fields.expires).ok_or_else(|| unreadable(format!("{:?} is no date", fields.expires)))?;
        Ok(Self { version: fields.version, expires: Expiry { seconds, text: fields.expires } })
    }

    /// Refuses what has expired at `now`, seconds since 1970.
    pub(crate) fn current(&self, role: Role, now: u64) -> Result<(), TufError> {
        if now >= self.expires.seconds {
            return Err(TufError::Expired { role, expired: self.expires.text.clone() });
        }
        Ok(())
    }
}

fn fields<'de, T: Deserialize<'de>>(role: Role, signed: &'de Value) -> Result<T, TufError> {
    T::deserialize(signed).map_err(|error| TufError::Unreadable { role, why: error.to_string() })
}

/// A field that may be absent is not `null` when it is there.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// Root metadata: who may sign what (section 4.3).
#[derive(Debug, Clone)]
pub struct Root {
    pub(crate) common: Common,
    /// Whether versions and hashes stand before file names (section 6.2).
    pub(crate) consistent: bool,
    itself: Signers,
    timestamp: Signers,
    snapshot: Signers,
    targets: Signers,
}

#[derive(Deserialize)]
struct RootFields {
    #[serde(default, deserialize_with = "present")]
    consistent_snapshot: Option<bool>,
    keys: BTreeMap<String, Key>,
    roles: BTreeMap<String, RoleFields>,
}

#[derive(Deserialize)]
struct RoleFields {
    keyids: Vec<String>,
    threshold: u32,
}

impl Root {
    pub(crate) fn read(envelope: &Envelope) -> Result<Self, TufError> {
        let role = Role::Root;
        let common = Common::read(role, &envelope.signed)?;
        let mut fields: RootFields = fields(role, &envelope.signed)?;
        let unreadable = |why: String| TufError::Unreadable { role, why };
        let mut signers = |name: &str| {
            let RoleFields { keyids, threshold } =
                fields.roles.remove(name).ok_or_else(|| unreadable(format!("it has no role {name}")))?;
            let distinct: BTreeSet<_> = keyids.iter().collect();
            if threshold == 0 || distinct.len() != keyids.len() {
                return Err(unreadable(format!("the role {name} has no threshold, or a key id twice")));
            }
            // An id without a key is nobody.
            let keys = keyids.into_iter().filter_map(|id| fields.keys.get(&id).cloned().map(|key| (id, key)));
            Ok(Signers::new(threshold, keys.collect()))
        };
        let (itself, timestamp) = (signers("root")?, signers("timestamp")?);
        let (snapshot, targets) = (signers("snapshot")?, signers("targets")?);
        if let Some(name) = fields.roles.keys().next() {
            return Err(unreadable(format!("it has a role {name:?}")));
        }
        let consistent = fields.consistent_snapshot.unwrap_or(false);
        Ok(Self { common, consistent, itself, timestamp, snapshot, targets })
    }

    /// Its version.
    pub fn version(&self) -> u64 {
        self.common.version
    }

    /// Who signs for a role. Assignments are signed by whoever signs timestamps.
    pub(crate) fn signers(&self, role: Role) -> &Signers {
        match role {
            Role::Root => &self.itself,
            Role::Timestamp | Role::Assignment => &self.timestamp,
            Role::Snapshot => &self.snapshot,
            Role::Targets => &self.targets,
        }
    }

    /// Whether enough of a role's keys have signed.
    pub(crate) fn verify(&self, role: Role, envelope: &Envelope) -> Result<(), TufError> {
        self.signers(role).agree(role, self.version(), envelope)
    }

    /// What stands for the keys that sign online. It changes when one of them is rotated, which ends the reign of the floors
    /// that they signed (section 5.3.11).
    pub(crate) fn online(&self) -> [u8; 32] {
        let mut context = Context::new(&SHA256);
        for role in [Role::Timestamp, Role::Snapshot] {
            for key in self.signers(role).distinct() {
                context.update(key.line().as_bytes());
            }
            context.update(b"\n");
        }
        let mut out = [0; 32];
        out.copy_from_slice(context.finish().as_ref());
        out
    }
}

/// Timestamp metadata: which snapshot is the newest (section 4.6).
#[derive(Debug, Clone)]
pub(crate) struct Timestamp {
    pub(crate) common: Common,
    pub(crate) snapshot: MetaFile,
}

impl Timestamp {
    pub(crate) fn read(envelope: &Envelope) -> Result<Self, TufError> {
        let role = Role::Timestamp;
        let common = Common::read(role, &envelope.signed)?;
        let mut listed = listed(role, &envelope.signed)?;
        let unreadable = |why: String| TufError::Unreadable { role, why };
        let snapshot = listed.remove("snapshot.json");
        let snapshot = snapshot.ok_or_else(|| unreadable("it lists no snapshot.json".to_owned()))?;
        if let Some(name) = listed.keys().next() {
            return Err(unreadable(format!("it lists {name}, and may list nothing but snapshot.json")));
        }
        Ok(Self { common, snapshot })
    }
}

/// Snapshot metadata: which versions of the targets metadata belong together (section 4.4).
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    pub(crate) common: Common,
    /// By file name. Delegated roles are listed, too: none may disappear.
    pub(crate) listed: BTreeMap<String, MetaFile>,
    pub(crate) targets: MetaFile,
}

impl Snapshot {
    pub(crate) fn read(envelope: &Envelope) -> Result<Self, TufError> {
        let role = Role::Snapshot;
        let common = Common::read(role, &envelope.signed)?;
        let listed = listed(role, &envelope.signed)?;
        let missing = || TufError::Unreadable { role, why: "it lists no targets.json".to_owned() };
        let targets = listed.get("targets.json").cloned().ok_or_else(missing)?;
        Ok(Self { common, listed, targets })
    }
}

fn listed(role: Role, signed: &Value) -> Result<BTreeMap<String, MetaFile>, TufError> {
    #[derive(Deserialize)]
    struct Meta {
        meta: BTreeMap<String, MetaFile>,
    }
    let Meta { meta } = fields(role, signed)?;
    for (name, file) in &meta {
        if file.version == 0 || file.hashes.as_ref().is_some_and(|hashes| hashes.0.is_empty()) {
            let why = format!("{name} is listed without a version or with no hash");
            return Err(TufError::Unreadable { role, why });
        }
    }
    Ok(meta)
}

/// Targets metadata: the files that may be installed (section 4.5). Delegations in it are signed, and not followed.
#[derive(Debug, Clone)]
pub struct Targets {
    pub(crate) common: Common,
    files: BTreeMap<String, TargetInfo>,
}

/// One file that may be installed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TargetInfo {
    /// Its bytes.
    pub length: u64,
    /// Its hashes.
    pub hashes: Hashes,
    /// What the publisher says about it beyond the specification; `Null` when that is nothing.
    #[serde(default)]
    pub custom: Value,
}

impl TargetInfo {
    /// Whether these are the bytes that were signed.
    ///
    /// # Errors
    /// [`TufError::Content`] when length or hash differ.
    pub fn check(&self, name: &str, bytes: &[u8]) -> Result<(), TufError> {
        let wrong = |why| TufError::Content { what: name.to_owned(), why };
        if bytes.len() as u64 != self.length {
            return Err(wrong("its length differs"));
        }
        self.hashes.check(bytes).map_err(wrong)
    }
}

impl Targets {
    pub(crate) fn read(envelope: &Envelope) -> Result<Self, TufError> {
        #[derive(Deserialize)]
        struct Fields {
            targets: BTreeMap<String, TargetInfo>,
        }
        let common = Common::read(Role::Targets, &envelope.signed)?;
        let Fields { targets: files } = fields(Role::Targets, &envelope.signed)?;
        if let Some(name) = files.iter().find(|(_, file)| file.hashes.0.is_empty()).map(|(name, _)| name) {
            let why = format!("{name} has no hash");
            return Err(TufError::Unreadable { role: Role::Targets, why });
        }
        Ok(Self { common, files })
    }

    /// A file by the name that the publisher gave it, such as `qemu-aarch64/1.4.0.json`.
    pub fn target(&self, name: &str) -> Option<&TargetInfo> {
        self.files.get(name)
    }

    /// All names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// Its version.
    pub fn version(&self) -> u64 {
        self.common.version
    }
}

/// Where a target lies below the folder of targets (section 6.2): `a/b.json` is `a/<hash>.b.json` with consistent snapshots.
pub(crate) fn path(consistent: bool, name: &str, file: &TargetInfo) -> Option<String> {
    if !consistent {
        return Some(name.to_owned());
    }
    let hash = file.hashes.prefix()?;
    let (folder, last) = name.rsplit_once('/').map_or(("", name), |(folder, last)| (folder, last));
    let slash = if folder.is_empty() { "" } else { "/" };
    Some(format!("{folder}{slash}{hash}.{last}"))
}

impl fmt::Display for Role {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(self.name())
    }
}
