//! A board's own data file, `board.toml`: its disk, and where on it each partition lies.
//!
//! The same file makes the image and runs the device, so the two cannot disagree. A [`PartitionMap`] that exists has every
//! partition that a box needs; one that came from [`BoardMap::parse`] has none that overlap, and its two environments cannot
//! be lost together.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::block::SECTOR;
use crate::slot::SlotName;

/// Bytes before the first partition: the GPT's protective MBR, header and 32 sectors of entries (UEFI 2.10, 5.3).
pub const GPT_HEAD: u64 = 34 * SECTOR;
/// Bytes behind the last partition: the GPT's second header and entries (UEFI 2.10, 5.3).
pub const GPT_TAIL: u64 = 33 * SECTOR;
/// A medium may lose the whole of what it erases at once when power fails while it writes a part of that. So the two
/// environments share nothing of this size: 64 KiB, the erase block of common SPI flash (`CONFIG_ENV_SECT_SIZE` in U-Boot's
/// Kconfig, jedec,spi-nor). eMMC and SD cards want more, up to 4 MiB (the SD physical layer specification's allocation unit up
/// to 32 GB), which is what the boards here leave.
pub const ERASE: u64 = 64 * 1024;

/// A part of the disk, in bytes; whole sectors if it came from a checked map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Region {
    /// Its first byte.
    pub at: u64,
    /// Its length.
    pub bytes: u64,
}

impl Region {
    /// The byte behind its last one.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.at.saturating_add(self.bytes)
    }
}

/// The partitions of a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionMap {
    /// By place.
    parts: Vec<(String, Region)>,
    env: [Region; 2],
    id: Region,
    fit: [Region; 2],
    root: [Region; 2],
    data: Region,
}

/// Why a board's file is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MapError {
    /// No TOML of this form; the message names the line and the key.
    #[error("the board's file: {0}")]
    Unreadable(String),
    /// A partition that every box needs is not there.
    #[error("the board's file has no partition.{0}")]
    Missing(&'static str),
    /// Not whole sectors, or empty.
    #[error("partition.{0}: at and bytes must be multiples of {SECTOR}, and bytes not 0")]
    Unaligned(String),
    /// It reaches into the partition table or past the disk's end.
    #[error("partition.{0} leaves the part of the disk that partitions may have: {1} to {2}")]
    Outside(String, u64, u64),
    /// Two partitions have a byte in common.
    #[error("partition.{0} and partition.{1} overlap")]
    Overlap(String, String),
    /// One interrupted write could take both environments.
    #[error("partition.env1 and partition.env2 must begin at multiples of {ERASE} and be at least as long")]
    EnvTogether,
    /// Too small for what is kept there.
    #[error("partition.{0} is smaller than {1} bytes")]
    Small(&'static str, u64),
}

impl PartitionMap {
    /// A map of these regions, taken as they are: nothing but their presence is checked. [`BoardMap::parse`] checks the rest;
    /// this is for maps that a test makes, sound ones and others.
    ///
    /// # Errors
    /// When a partition that every box needs is not among them.
    pub fn new(regions: impl IntoIterator<Item = (String, Region)>) -> Result<Self, MapError> {
        let mut parts: Vec<(String, Region)> = regions.into_iter().collect();
        parts.sort_by_key(|(_, region)| region.at);
        let find = |name: &'static str| {
            let found = parts.iter().find(|(other, _)| other == name);
            found.map(|(_, region)| *region).ok_or(MapError::Missing(name))
        };
        Ok(Self {
            env: [find("env1")?, find("env2")?],
            id: find("id")?,
            fit: [find("fit_a")?, find("fit_b")?],
            root: [find("root_a")?, find("root_b")?],
            data: find("data")?,
            parts,
        })
    }

    /// The partition of this name.
    #[must_use]
    pub fn partition(&self, name: &str) -> Option<Region> {
        self.parts.iter().find(|(other, _)| other == name).map(|(_, region)| *region)
    }

    /// All partitions by their place on the disk; the first one is the partition table's number 1.
    pub fn partitions(&self) -> impl Iterator<Item = (&str, Region)> {
        self.parts.iter().map(|(name, region)| (name.as_str(), *region))
    }

    /// The two copies of the boot environment.
    #[must_use]
    pub const fn env(&self) -> [Region; 2] {
        self.env
    }

    /// Small state that survives everything.
    #[must_use]
    pub const fn id(&self) -> Region {
        self.id
    }

    /// A slot's header and FIT.
    #[must_use]
    pub const fn fit(&self, slot: SlotName) -> Region {
        let [a, b] = self.fit;
        match slot {
            SlotName::A => a,
            SlotName::B => b,
        }
    }

    /// A slot's root file system.
    #[must_use]
    pub const fn root(&self, slot: SlotName) -> Region {
        let [a, b] = self.root;
        match slot {
            SlotName::A => a,
            SlotName::B => b,
        }
    }

    /// What the box records and remembers.
    #[must_use]
    pub const fn data(&self) -> Region {
        self.data
    }

    /// Everything about a map that could lose a box.
    fn check(&self, disk: u64) -> Result<(), MapError> {
        let most = disk.saturating_sub(GPT_TAIL);
        for (name, region) in &self.parts {
            if region.bytes == 0 || !region.at.is_multiple_of(SECTOR) || !region.bytes.is_multiple_of(SECTOR)
            {
                return Err(MapError::Unaligned(name.clone()));
            }
            if region.at < GPT_HEAD || region.end() > most {
                return Err(MapError::Outside(name.clone(), GPT_HEAD, most));
            }
        }
        for pair in self.parts.windows(2) {
            if let [(before, region), (behind, next)] = pair
                && region.end() > next.at
            {
                return Err(MapError::Overlap(before.clone(), behind.clone()));
            }
        }
        if self.env.iter().any(|env| !env.at.is_multiple_of(ERASE) || env.bytes < ERASE) {
            return Err(MapError::EnvTogether);
        }
        if self.id.bytes < 2 * ERASE {
            return Err(MapError::Small("id", 2 * ERASE));
        }
        let fit = crate::header::LENGTH + SECTOR;
        match self.fit {
            [a, _] if a.bytes < fit => Err(MapError::Small("fit_a", fit)),
            [_, b] if b.bytes < fit => Err(MapError::Small("fit_b", fit)),
            _ => Ok(()),
        }
    }
}

/// A board, as its data file describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoardMap {
    /// What releases for it call it: the name of its folder.
    pub name: String,
    /// The disk's node on the device, such as `/dev/vda`. Everything but `data` is read and written through it, never
    /// through a partition's own node: the kernel caches the two apart.
    pub device: String,
    /// Length of the smallest disk that this board comes with, bytes.
    pub disk_bytes: u64,
    /// Where everything is.
    pub partitions: PartitionMap,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    name: String,
    disk: Disk,
    partition: BTreeMap<String, Region>,
    /// Read by whoever makes the boot script.
    #[serde(default, rename = "boot")]
    _boot: IgnoredAny,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Disk {
    device: String,
    bytes: u64,
}

impl BoardMap {
    /// Reads a `board.toml` and checks it: partitions are whole sectors, within the disk, apart from each other; the two
    /// environments lie in erase blocks of their own.
    ///
    /// # Errors
    /// Names the key that is wrong.
    pub fn parse(text: &str) -> Result<Self, MapError> {
        let document: Document =
            toml::from_str(text).map_err(|error| MapError::Unreadable(error.to_string()))?;
        let partitions = PartitionMap::new(document.partition)?;
        partitions.check(document.disk.bytes)?;
        Ok(Self {
            name: document.name,
            device: document.disk.device,
            disk_bytes: document.disk.bytes,
            partitions,
        })
    }
}
