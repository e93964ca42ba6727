//! What a release is made of, as its signed description says. A [`Release`] that exists is consistent: the chunks of each
//! image add up to its length, and nothing in it is larger than a box takes.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// The only form of description there is.
pub const FORMAT: u32 = 1;
/// Bytes of a chunk: a power of two between these.
const CHUNK: Range<u32> = 4 * 1024..1024 * 1024 + 1;
/// Most bytes that both images have together.
const MOST: u64 = 1 << 31;
/// Most bytes that a compressed chunk has beyond its plain ones (zstd's bound for what cannot be compressed, RFC 8878).
const OVERHEAD: u32 = 1024;

/// Which image of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageKind {
    /// The FIT: kernel, device tree, initial RAM disk, signed together.
    Fit,
    /// The read-only root file system, with its dm-verity tree behind it.
    Root,
}

/// One image: its length, its hash, its chunks in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// Length in bytes; a multiple of 512.
    pub bytes: u64,
    /// SHA-256 of the whole, 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// The pieces, each [`Release::chunk_bytes`] long but the last.
    pub chunks: Vec<Chunk>,
}

/// A piece of an image: the SHA-256 of its plain bytes as hexadecimal digits, and the bytes of its zstd frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk(pub String, pub u32);

/// The description of a release: a TUF target, so its own hash and length are signed offline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// [`FORMAT`].
    pub format: u32,
    /// The board that it is for, as its folder under `board/boards` is called.
    pub board: String,
    /// The version that people read, at most 24 bytes.
    pub version: String,
    /// The security version: a box never takes one below its floor.
    pub security: u32,
    /// The schema of the data that this release writes.
    pub schema: u32,
    /// Bytes of a chunk.
    pub chunk_bytes: u32,
    /// Kernel and what belongs to it.
    pub fit: Image,
    /// The root file system.
    pub root: Image,
}

/// Why a description is refused. None of it is about signatures: whoever signed this made a mistake.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseError {
    /// No JSON of this form.
    #[error("the description of the release is unreadable: {0}")]
    Unreadable(String),
    /// A form that this version does not know.
    #[error("the release is described in format {0}, which this version does not know")]
    Format(u32),
    /// A field with a value that no release has.
    #[error("the description of the release contradicts itself: {0}")]
    Inconsistent(&'static str),
}

impl Chunk {
    /// Where the chunk lies below the folder or address of the releases: `chunks/ab/abcd….zst`.
    pub fn path(&self) -> String {
        format!("chunks/{}/{}.zst", self.0.get(..2).unwrap_or_default(), self.0)
    }
}

impl Release {
    /// Reads a description.
    ///
    /// # Errors
    /// When it is no description or contradicts itself.
    pub fn parse(json: &[u8]) -> Result<Self, ReleaseError> {
        let release: Self =
            serde_json::from_slice(json).map_err(|error| ReleaseError::Unreadable(error.to_string()))?;
        release.check()?;
        Ok(release)
    }

    /// One of the images.
    pub fn image(&self, kind: ImageKind) -> &Image {
        match kind {
            ImageKind::Fit => &self.fit,
            ImageKind::Root => &self.root,
        }
    }

    /// Where in its image a chunk lies, in bytes; `None` for one that is not there.
    pub fn range(&self, kind: ImageKind, index: usize) -> Option<Range<u64>> {
        let image = self.image(kind);
        let start = u64::try_from(index).ok()?.checked_mul(u64::from(self.chunk_bytes))?;
        (start < image.bytes).then(|| start..image.bytes.min(start + u64::from(self.chunk_bytes)))
    }

    pub(crate) fn check(&self) -> Result<(), ReleaseError> {
        if self.format != FORMAT {
            return Err(ReleaseError::Format(self.format));
        }
        let wrong = ReleaseError::Inconsistent;
        if !CHUNK.contains(&self.chunk_bytes) || !self.chunk_bytes.is_power_of_two() {
            return Err(wrong("chunk_bytes"));
        }
        if self.version.is_empty()
            || self.version.len() > 24
            || self.board.is_empty()
            || self.board.len() > 64
        {
            return Err(wrong("version or board"));
        }
        if self.fit.bytes.checked_add(self.root.bytes).is_none_or(|sum| sum > MOST) {
            return Err(wrong("bytes"));
        }
        for image in [&self.fit, &self.root] {
            let chunks = image.bytes.div_ceil(u64::from(self.chunk_bytes));
            if image.bytes == 0 || image.bytes % 512 != 0 || chunks != image.chunks.len() as u64 {
                return Err(wrong("the number of chunks"));
            }
            let hashes = image.chunks.iter().map(|chunk| &chunk.0).chain([&image.sha256]);
            if !hashes.into_iter().all(|hash| is_hash(hash)) {
                return Err(wrong("a hash"));
            }
            if image.chunks.iter().any(|chunk| chunk.1 == 0 || chunk.1 > self.chunk_bytes + OVERHEAD) {
                return Err(wrong("the length of a chunk"));
            }
        }
        Ok(())
    }
}

fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
