//! Which chunk comes from where, and what that costs: known before the first byte is fetched.
//!
//! A chunk that lies in its place in the target slot stays there. Else the running slot is looked through, the same place
//! first; else the target slot's other places; else it is fetched, from a folder or over HTTP.

use std::collections::HashMap;

use crate::release::{Chunk, ImageKind, Release};

/// SHA-256 of a chunk's plain bytes.
pub type Hash = [u8; 32];

/// What the chunks of a slot were found to be, image by image in order; `None` where the slot cannot be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Of the FIT.
    pub fit: Vec<Option<Hash>>,
    /// Of the root.
    pub root: Vec<Option<Hash>>,
}

/// Where a chunk comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It is in its place already.
    Held,
    /// The running slot has it: in which image, as which chunk.
    Running(ImageKind, usize),
    /// The target slot has it in another place, or will have it by then, since the release says the same bytes twice.
    Target(ImageKind, usize),
    /// It must be fetched.
    Fetch,
}

/// One chunk of the release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Of which image.
    pub image: ImageKind,
    /// Which one, from 0.
    pub index: usize,
    /// Where it comes from.
    pub origin: Origin,
}

/// What an installation costs, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sums {
    /// Both images.
    pub whole: u64,
    /// In their place already.
    pub held: u64,
    /// To be copied from the running slot, or from further in front.
    pub copied: u64,
    /// To be fetched, as plain bytes.
    pub missing: u64,
    /// To be fetched, as they travel: compressed.
    pub fetch: u64,
    /// What would travel if nothing were at hand.
    pub fetch_whole: u64,
}

/// Every chunk of a release, in order, with where it comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// FIT first, then root.
    pub steps: Vec<Step>,
    /// What it costs.
    pub sums: Sums,
}

/// Both images, in the order in which they are installed.
pub(crate) const IMAGES: [ImageKind; 2] = [ImageKind::Fit, ImageKind::Root];

impl Found {
    /// One image's chunks.
    pub fn image(&self, kind: ImageKind) -> &[Option<Hash>] {
        match kind {
            ImageKind::Fit => &self.fit,
            ImageKind::Root => &self.root,
        }
    }

    /// The same to be added to.
    pub fn image_mut(&mut self, kind: ImageKind) -> &mut Vec<Option<Hash>> {
        match kind {
            ImageKind::Fit => &mut self.fit,
            ImageKind::Root => &mut self.root,
        }
    }

    fn at(&self, kind: ImageKind, index: usize) -> Option<Hash> {
        self.image(kind).get(index).copied().flatten()
    }
}

impl Chunk {
    /// The hash as bytes; `None` for one that is no hash, which [`Release::parse`] lets no release have.
    pub fn hash(&self) -> Option<Hash> {
        let text = self.0.as_bytes();
        let mut hash = Hash::default();
        if text.len() != 2 * hash.len() {
            return None;
        }
        for (byte, digits) in hash.iter_mut().zip(text.chunks_exact(2)) {
            *byte = u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?;
        }
        Some(hash)
    }
}

impl Plan {
    /// The plan for a release, from what the running and the target slot hold in steps of its `chunk_bytes`.
    pub fn new(release: &Release, running: &Found, target: &Found) -> Self {
        let mut places = HashMap::new();
        for kind in IMAGES {
            for (index, hash) in running.image(kind).iter().enumerate() {
                if let Some(hash) = hash {
                    places.entry(*hash).or_insert((kind, index));
                }
            }
        }
        let mut plan = Self::default();
        // What lies in its place stays there, so it can be copied from at any time.
        let mut there: HashMap<Hash, (ImageKind, usize)> = HashMap::new();
        for image in IMAGES {
            for (index, chunk) in release.image(image).chunks.iter().enumerate() {
                if let Some(hash) = target.at(image, index).filter(|hash| chunk.hash() == Some(*hash)) {
                    there.entry(hash).or_insert((image, index));
                }
            }
        }
        for image in IMAGES {
            for (index, chunk) in release.image(image).chunks.iter().enumerate() {
                let length =
                    release.range(image, index).map_or(0, |range| range.end.saturating_sub(range.start));
                let hash = chunk.hash();
                let origin = origin(hash, (image, index), running, target, &places, &there);
                if let Some(hash) = hash {
                    there.entry(hash).or_insert((image, index));
                }
                plan.sums.add(origin, length, chunk.1.into());
                plan.steps.push(Step { image, index, origin });
            }
        }
        plan
    }
}

fn origin(
    hash: Option<Hash>,
    place: (ImageKind, usize),
    running: &Found,
    target: &Found,
    places: &HashMap<Hash, (ImageKind, usize)>,
    there: &HashMap<Hash, (ImageKind, usize)>,
) -> Origin {
    let Some(hash) = hash else { return Origin::Fetch };
    if target.at(place.0, place.1) == Some(hash) {
        return Origin::Held;
    }
    if running.at(place.0, place.1) == Some(hash) {
        return Origin::Running(place.0, place.1);
    }
    if let Some((kind, index)) = places.get(&hash) {
        return Origin::Running(*kind, *index);
    }
    there.get(&hash).map_or(Origin::Fetch, |(kind, index)| Origin::Target(*kind, *index))
}

impl Sums {
    fn add(&mut self, origin: Origin, plain: u64, compressed: u64) {
        self.whole += plain;
        self.fetch_whole += compressed;
        match origin {
            Origin::Held => self.held += plain,
            Origin::Running(..) | Origin::Target(..) => self.copied += plain,
            Origin::Fetch => {
                self.missing += plain;
                self.fetch += compressed;
            }
        }
    }
}
