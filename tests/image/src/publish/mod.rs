//! Releases as a folder of static files: chunks, descriptions and TUF metadata that any web server can serve.
//!
//! * [`keys`]: the Ed25519 keys and the first root, made once.
//! * [`Publisher::publish`] adds a release, [`Publisher::refresh`] renews what expires soon, [`Publisher::rotate`] gives the
//!   folder other keys.
//!
//! The same files, keys and time give the same bytes. Every file appears whole, by rename, and nothing refers to a file that is
//! not there yet: `timestamp.json` comes last, and until then the folder is what it was. What is in the folder is believed
//! only as far as its signatures go, so that nobody who can write to it can have something signed.

mod cut;
mod document;
mod folder;
pub mod keys;
mod state;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};
use update::{FORMAT, ImageKind, Release};

use cut::Cutter;
use document::{date, named, sign};
use folder::Folder;
pub use keys::Key;
use state::State;

/// Bytes of a chunk unless told otherwise: small enough that a change costs little, large enough that its line in the
/// description (70 bytes) stays below a thousandth.
pub const CHUNK: u32 = 64 << 10;
/// What a chunk may have.
const CHUNKS: RangeInclusive<u32> = 4096..=1 << 20;
/// The version of the TUF specification that the metadata follows.
const SPEC: &str = "1.0.31";

/// For how long each kind of metadata is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expiry {
    /// Root and targets, signed offline and therefore seldom.
    pub offline: Duration,
    /// The list of metadata.
    pub snapshot: Duration,
    /// The newest word: how long a box without a cloud may be kept from news.
    pub timestamp: Duration,
}

impl Default for Expiry {
    fn default() -> Self {
        Self { offline: Duration::days(365), snapshot: Duration::days(30), timestamp: Duration::days(7) }
    }
}

/// What a release is made of and how it is called.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The FIT; padded with zeros to whole sectors.
    pub fit: PathBuf,
    /// The root file system with its dm-verity tree; padded likewise.
    pub root: PathBuf,
    /// The board that it is for.
    pub board: String,
    /// The version that people read.
    pub version: String,
    /// The security version.
    pub security: u32,
    /// The schema of the data.
    pub schema: u32,
    /// Bytes of a chunk.
    pub chunk: u32,
}

impl Draft {
    /// Of the first security version and data schema, cut as usual.
    pub fn first(fit: impl Into<PathBuf>, root: impl Into<PathBuf>, board: &str, version: &str) -> Self {
        Self {
            fit: fit.into(),
            root: root.into(),
            board: board.to_owned(),
            version: version.to_owned(),
            security: 1,
            schema: 1,
            chunk: CHUNK,
        }
    }
}

/// What came of publishing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The target's name, `BOARD/VERSION.json`.
    pub target: String,
    /// The description.
    pub release: Release,
    /// Bytes of all its different chunks, compressed: what a box without any of them fetches.
    pub download: u64,
    /// Those of them that no release in the folder had before.
    pub new: u64,
    /// The version of the targets metadata.
    pub metadata: u64,
}

/// Whoever writes into a folder of releases.
pub struct Publisher<'a> {
    /// The folder; made when it is not there.
    pub folder: &'a Path,
    /// The first root, which the folder's chain of roots begins with.
    pub first_root: &'a [u8],
    /// Signs snapshot and timestamp.
    pub online: &'a Key,
    /// When it is.
    pub now: OffsetDateTime,
    /// For how long its words are good.
    pub expiry: Expiry,
    /// Hears how many chunks are done, and of how many.
    pub progress: &'a (dyn Fn(usize, usize) + Sync),
}

impl Publisher<'_> {
    /// Adds a release; the ones that are there stay. Publishing the same again only renews the metadata.
    ///
    /// # Errors
    /// When a file cannot be read or written, the keys are not enough, the folder's metadata is not signed by them, or another
    /// release has the same name.
    pub fn publish(&self, draft: &Draft, offline: &[Key]) -> Result<Published> {
        let folder = Folder::open(self.folder)?;
        let mut state = State::read(&folder, self.first_root)?;
        state.enough("targets", offline)?;
        state.enough("timestamp", std::slice::from_ref(self.online))?;
        ensure!(
            CHUNKS.contains(&draft.chunk) && draft.chunk.is_power_of_two(),
            "chunks of {} bytes: not a power of two from {} to {}",
            draft.chunk,
            CHUNKS.start(),
            CHUNKS.end()
        );
        let cutter = Cutter { folder: &folder, chunk: draft.chunk, progress: self.progress };
        let fit = cutter.cut(&draft.fit)?;
        let root = cutter.cut(&draft.root)?;
        let release = Release {
            format: FORMAT,
            board: draft.board.clone(),
            version: draft.version.clone(),
            security: draft.security,
            schema: draft.schema,
            chunk_bytes: draft.chunk,
            fit: fit.image,
            root: root.image,
        };
        let description = serde_json::to_vec(&release)?;
        // What a box would refuse is refused here.
        Release::parse(&description)?;
        let target = format!("{}/{}.json", draft.board, draft.version);
        ensure!(
            is_name(&draft.board) && is_name(&draft.version),
            "{target}: board and version are letters, digits, . _ + -"
        );
        let sha256 = document::sha256(&description);
        let known = state.targets.get(&target);
        if let Some(known) = known {
            ensure!(
                known["hashes"]["sha256"] == json!(sha256),
                "{target} is published already, with other content: what was signed once stays; give it another version"
            );
        }
        let metadata = state.versions.targets + 1;
        let since = known.map_or(json!(metadata), |known| known["custom"]["since"].clone());
        state.targets.insert(
            target.clone(),
            json!({
                "length": description.len(),
                "hashes": { "sha256": sha256 },
                "custom": { "board": draft.board, "version": draft.version, "security": draft.security, "since": since },
            }),
        );
        folder.write(&format!("targets/{}/{sha256}.{}.json", draft.board, draft.version), &description)?;
        let targets = self.targets(&state, &offline.iter().collect::<Vec<_>>())?;
        folder.write(&format!("metadata/{metadata}.targets.json"), &targets)?;
        if state.fresh {
            folder.write("metadata/1.root.json", self.first_root)?;
        }
        self.announce(&folder, &state, Some((metadata, &targets)), &[self.online])?;
        let mut lengths = BTreeMap::new();
        for kind in [ImageKind::Fit, ImageKind::Root] {
            lengths.extend(release.image(kind).chunks.iter().map(|chunk| (&chunk.0, u64::from(chunk.1))));
        }
        let download = lengths.values().sum();
        Ok(Published { download, new: fit.new + root.new, target, metadata, release })
    }

    /// Signs snapshot and timestamp anew, with the online key only.
    ///
    /// # Errors
    /// As [`Publisher::publish`], and when nothing is published yet.
    pub fn refresh(&self) -> Result<()> {
        let folder = Folder::open(self.folder)?;
        let state = State::read(&folder, self.first_root)?;
        ensure!(state.versions.timestamp > 0, "{} holds no release yet", self.folder.display());
        state.enough("timestamp", std::slice::from_ref(self.online))?;
        self.announce(&folder, &state, None, &[self.online])
    }

    /// Gives the folder a root with other keys, `new` offline and `new_online`, signed by enough of the `old` ones and of the new.
    /// All metadata is signed by both first, and the root that makes the change comes last: whichever root a box
    /// knows, everything that it finds is signed for it.
    ///
    /// # Errors
    /// As [`Publisher::publish`].
    pub fn rotate(&self, old: &[Key], new: &[Key], new_online: &Key) -> Result<u64> {
        let folder = Folder::open(self.folder)?;
        let state = State::read(&folder, self.first_root)?;
        ensure!(state.versions.timestamp > 0, "{} holds no release yet", self.folder.display());
        state.enough("root", old)?;
        state.enough("timestamp", std::slice::from_ref(self.online))?;
        let version = state.versions.root + 1;
        let both = named(old.iter().chain(new));
        let expires = date(self.now + self.expiry.offline)?;
        let root = sign(&document::root(version, new, new_online, &expires)?, &both)?;
        let next = state.versions.targets + 1;
        let targets = self.targets(&state, &both)?;
        folder.write(&format!("metadata/{next}.targets.json"), &targets)?;
        self.announce(&folder, &state, Some((next, &targets)), &named([self.online, new_online]))?;
        folder.write(&format!("metadata/{version}.root.json"), &root)?;
        Ok(version)
    }

    fn targets(&self, state: &State, keys: &[&Key]) -> Result<Vec<u8>> {
        let signed = json!({
            "_type": "targets",
            "spec_version": SPEC,
            "version": state.versions.targets + 1,
            "expires": date(self.now + self.expiry.offline)?,
            "targets": Value::Object(state.targets.clone()),
        });
        sign(&signed, keys)
    }

    /// Snapshot, then timestamp: from its rename on the folder is the new one.
    fn announce(
        &self,
        folder: &Folder,
        state: &State,
        targets: Option<(u64, &[u8])>,
        keys: &[&Key],
    ) -> Result<()> {
        let of = |version: u64, bytes: &[u8]| json!({ "version": version, "length": bytes.len(), "hashes": { "sha256": document::sha256(bytes) } });
        let listed = if let Some((version, bytes)) = targets {
            of(version, bytes)
        } else {
            let version = state.versions.targets;
            of(version, &folder.read(&format!("metadata/{version}.targets.json"))?)
        };
        let version = state.versions.snapshot + 1;
        let snapshot = json!({
            "_type": "snapshot",
            "spec_version": SPEC,
            "version": version,
            "expires": date(self.now + self.expiry.snapshot)?,
            "meta": { "targets.json": listed },
        });
        let snapshot = sign(&snapshot, keys)?;
        folder.write(&format!("metadata/{version}.snapshot.json"), &snapshot)?;
        let timestamp = json!({
            "_type": "timestamp",
            "spec_version": SPEC,
            "version": state.versions.timestamp + 1,
            "expires": date(self.now + self.expiry.timestamp)?,
            "meta": { "snapshot.json": of(version, &snapshot) },
        });
        folder.write("metadata/timestamp.json", &sign(&timestamp, keys)?).context("announcing the release")
    }
}

/// Whether it can be part of a file's name and of an address as it is.
fn is_name(text: &str) -> bool {
    !text.starts_with('.')
        && !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte))
}

#[cfg(test)]
mod tests;
