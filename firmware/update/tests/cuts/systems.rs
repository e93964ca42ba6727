//! The systems that come into the slots: tiny images, a chunk or two and a sector each, and the releases made of them.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use board::header::Header;
use board::slots::Image;
use ring::digest::{SHA256, digest};
use update::{Chunk, FORMAT, Release};

const CHUNK: usize = 4096;
/// Bytes of every FIT.
pub(crate) const FIT: usize = CHUNK + 512;
/// Bytes of every root.
pub(crate) const ROOT: usize = 2 * CHUNK + 512;

/// A version of the box's system; its security version is the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Version {
    /// In the other slot when everything begins.
    Ancient,
    /// Runs and is good when everything begins.
    Old,
    /// Is brought.
    New,
    /// Comes after that.
    Next,
}

/// All of a system.
pub(crate) struct System {
    pub(crate) version: Version,
    pub(crate) header: Header,
    pub(crate) fit: Vec<u8>,
    pub(crate) root: Vec<u8>,
    pub(crate) release: Release,
}

pub(crate) static SYSTEMS: LazyLock<[System; 4]> =
    LazyLock::new(|| [Version::Ancient, Version::Old, Version::New, Version::Next].map(System::new));
/// Every chunk as it travels, by its path.
pub(crate) static CHUNKS: LazyLock<BTreeMap<String, Vec<u8>>> = LazyLock::new(|| {
    let images = SYSTEMS.iter().flat_map(|system| [&system.fit, &system.root]);
    images
        .flat_map(|image| image.chunks(CHUNK))
        .map(|plain| (chunk(plain).0.path(), chunk(plain).1))
        .collect()
});
fn chunk(plain: &[u8]) -> (Chunk, Vec<u8>) {
    let packed = zstd::bulk::compress(plain, 1).unwrap();
    (Chunk(hex(plain), packed.len() as u32), packed)
}

fn hex(bytes: &[u8]) -> String {
    hash(bytes)
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from_digit(digit.into(), 16).unwrap())
        .collect()
}

fn hash(bytes: &[u8]) -> [u8; 32] {
    digest(&SHA256, bytes).as_ref().try_into().unwrap()
}

impl System {
    fn new(version: Version) -> Self {
        // Zeros but for the sectors that tell a torn chunk from a whole one. The last chunk of all roots is the same.
        let image = |bytes: usize, mark: u8, last: u8| {
            let mut image = vec![0; bytes];
            for at in (0..bytes - CHUNK).step_by(CHUNK) {
                image[at..at + 512].fill(mark + at.to_le_bytes()[1]);
                image[at + CHUNK - 512..at + CHUNK].fill(mark + at.to_le_bytes()[1]);
            }
            image[bytes - 512..].fill(last);
            image
        };
        let number = version as u8 + 1;
        let (fit, root) = (image(FIT, number, 50 + number), image(ROOT, 100 + number, 99));
        let header = Header {
            version: format!("{version:?}"),
            board: "test".into(),
            security: u32::from(number),
            schema: 1,
            fit: (FIT as u64, hash(&fit)),
            root: (ROOT as u64, hash(&root)),
        };
        let cut = |image: &[u8]| update::Image {
            bytes: image.len() as u64,
            sha256: hex(image),
            chunks: image.chunks(CHUNK).map(|plain| chunk(plain).0).collect(),
        };
        let release = Release {
            format: FORMAT,
            board: "test".into(),
            version: header.version.clone(),
            security: header.security,
            schema: 1,
            chunk_bytes: CHUNK as u32,
            fit: cut(&fit),
            root: cut(&root),
        };
        Self { version, header, fit, root, release }
    }

    pub(crate) fn image(&self, image: Image) -> &[u8] {
        match image {
            Image::Fit => &self.fit,
            Image::Root => &self.root,
        }
    }
}

impl Version {
    pub(crate) fn system(self) -> &'static System {
        &SYSTEMS[self as usize]
    }
}
