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
use crate::{ButtonAt, LightsAt};

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
    /// A partition is named that is not there.
    #[error("{0} names partition.{1}, which is not there")]
    Unknown(&'static str, String),
    /// A slot or what the box writes would be filled by the image's maker.
    #[error("contents.{0}: what is in this partition is not a file of the boot loader's")]
    NotLoader(String),
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
    /// The partition that the old partition table names as well, for a boot ROM that knows no GPT.
    pub mbr: Option<String>,
    /// Where everything is.
    pub partitions: PartitionMap,
    /// What the boot loader brings with it: partition and the file that lies in it from its first byte on.
    pub contents: BTreeMap<String, String>,
    /// What people see and press.
    pub panel: Panel,
}

/// A board's light and button, as `[board]` of the box's own configuration names them. That one has the last word.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Panel {
    /// The light that tells how the box is.
    pub lights: LightsAt,
    /// The button that makes it forget.
    pub button: ButtonAt,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    name: String,
    disk: Disk,
    partition: BTreeMap<String, Region>,
    #[serde(default)]
    contents: BTreeMap<String, String>,
    #[serde(default)]
    panel: Panel,
    /// Read by whoever makes the boot script.
    #[serde(default, rename = "boot")]
    _boot: IgnoredAny,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Disk {
    device: String,
    bytes: u64,
    mbr: Option<String>,
}

/// Partitions that the box itself fills: nothing of a boot loader's can be there.
const OWN: [&str; 8] = ["env1", "env2", "id", "fit_a", "root_a", "fit_b", "root_b", "data"];

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
        for name in document.contents.keys() {
            if OWN.contains(&name.as_str()) {
                return Err(MapError::NotLoader(name.clone()));
            }
        }
        let named = document.disk.mbr.iter().map(|name| ("disk.mbr", name));
        let filled = document.contents.keys().map(|name| ("contents", name));
        for (key, name) in named.chain(filled) {
            if partitions.partition(name).is_none() {
                return Err(MapError::Unknown(key, name.clone()));
            }
        }
        Ok(Self {
            name: document.name,
            device: document.disk.device,
            disk_bytes: document.disk.bytes,
            mbr: document.disk.mbr,
            partitions,
            contents: document.contents,
            panel: document.panel,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const QEMU: &str = include_str!("../boards/qemu-aarch64/board.toml");

    #[test]
    fn partitions_are_found_by_name_by_slot_and_in_the_order_of_their_places() {
        let map = BoardMap::parse(QEMU).unwrap().partitions;
        let names: Vec<&str> = map.partitions().map(|(name, _)| name).collect();
        assert_eq!(names, ["env1", "env2", "id", "fit_a", "root_a", "fit_b", "root_b", "data"]);
        assert_eq!(map.partition("fit_b"), Some(map.fit(SlotName::B)));
        assert_eq!(map.partition("root_a"), Some(map.root(SlotName::A)));
        assert_eq!(map.partition("env2"), Some(map.env()[1]));
        assert_eq!((map.partition("id"), map.partition("data")), (Some(map.id()), Some(map.data())));
        assert_eq!(map.partition("root_c"), None);
    }

    #[test]
    fn what_could_lose_a_box_is_refused_and_names_the_key() {
        let line = |name: &str| QEMU.lines().find(|line| line.starts_with(&format!("{name} = "))).unwrap();
        let refused = |name: &str, text: &str| {
            let changed = QEMU.replace(line(name), text);
            assert_ne!(changed, QEMU);
            BoardMap::parse(&changed).unwrap_err().to_string()
        };
        for (name, text, words) in [
            ("env2", "", "no partition.env2"),
            (
                "env2",
                "env2 = { at = 0x400000, bytes = 0x400000 }",
                "partition.env1 and partition.env2 overlap",
            ),
            ("env2", "env2 = { at = 0x804000, bytes = 0x10000 }", "multiples of 65536"),
            ("env2", "env2 = { at = 0x800000, bytes = 0x4000 }", "multiples of 65536"),
            ("fit_a", "fit_a = { at = 0x1400000, bytes = 0x4000001 }", "partition.fit_a: at and bytes"),
            ("fit_a", "fit_a = { at = 0x1400100, bytes = 0x400 }", "partition.fit_a: at and bytes"),
            ("fit_a", "fit_a = { at = 0x1400000, bytes = 0 }", "partition.fit_a: at and bytes"),
            ("fit_b", "fit_b = { at = 0xd400000, bytes = 0x1000 }", "partition.fit_b is smaller"),
            (
                "fit_a",
                "fit_a = { at = 0x1400000, bytes = 0x4000200 }",
                "partition.fit_a and partition.root_a overlap",
            ),
            ("id", "id = { at = 0xc00000, bytes = 0x10000 }", "partition.id is smaller"),
            ("env1", "env1 = { at = 0, bytes = 0x10000 }", "partition.env1 leaves"),
            ("data", "data = { at = 0x19400000, bytes = 0x7c00000 }", "partition.data leaves"),
            ("data", "data = { at = 0x19400000, bytes = 0x7ffffffffffffe00 }", "partition.data leaves"),
            ("data", "data = { at = 0x19400000 }", "bytes"),
            ("data", "data = { at = 0x19400000, bytes = 512, size = 1 }", "size"),
            ("device", "", "device"),
            ("device", "device = \"/dev/vda\"\nmbr = \"boot\"", "disk.mbr names partition.boot"),
        ] {
            let error = refused(name, text);
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn the_loaders_files_lie_in_partitions_of_their_own() {
        let with = |more: &str| BoardMap::parse(&format!("{QEMU}\n{more}\n"));
        let refused = |more: &str| with(more).unwrap_err().to_string();
        assert!(refused("[contents]\nloader = \"u-boot.bin\"").contains("contents names partition.loader"));
        assert!(refused("[contents]\nfit_a = \"u-boot.bin\"").contains("contents.fit_a"));
        let loader = "loader = { at = 0x8000, bytes = 0x8000 }";
        let text = QEMU.replace("[partition]\n", &format!("[partition]\n{loader}\n"));
        let map = BoardMap::parse(&(text + "\n[contents]\nloader = \"u-boot.bin\"\n")).unwrap();
        assert_eq!(map.contents, BTreeMap::from([("loader".to_owned(), "u-boot.bin".to_owned())]));
    }

    #[test]
    fn a_board_without_light_and_button_has_none_and_others_are_read_as_in_the_boxs_configuration() {
        assert_eq!(BoardMap::parse(QEMU).unwrap().panel, Panel::default());
        let with = |more: &str| BoardMap::parse(&format!("{QEMU}\n[panel]\n{more}\n"));
        let panel = with("lights = \"sysfs:ACT\"\nbutton = \"evdev:event0\"").unwrap().panel;
        assert_eq!(panel.lights, LightsAt::Sysfs("ACT".to_owned()));
        assert_eq!(panel.button, ButtonAt::Evdev("event0".to_owned()));
        for (wrong, words) in [("lights = \"ACT\"", "sysfs:NAME"), ("switch = \"pipe\"", "switch")] {
            let error = with(wrong).unwrap_err().to_string();
            assert!(error.contains(words), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_test_may_have_any_map_that_has_everything() {
        let one = Region { at: 7, bytes: 9 };
        let names = ["env1", "env2", "id", "fit_a", "root_a", "fit_b", "root_b", "data"];
        let map = PartitionMap::new(names.map(|name| (name.to_owned(), one))).unwrap();
        assert_eq!(map.env(), [one, one]);
        let without = PartitionMap::new(names.into_iter().skip(1).map(|name| (name.to_owned(), one)));
        assert_eq!(without, Err(MapError::Missing("env1")));
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_keeps_everything_apart_and_on_the_disk(
            numbers in prop::collection::vec((0u64..64, 0u64..20), 8), bytes in 0u64..80, odd in 0u64..3,
        ) {
            let names = ["env1", "env2", "id", "fit_a", "root_a", "fit_b", "root_b", "data"];
            let lines = names.iter().zip(&numbers).map(|(name, (at, bytes))| {
                format!("{name} = {{ at = {}, bytes = {} }}\n", at * ERASE + odd / 2, bytes * ERASE)
            });
            let head = format!("name = 'x'\n[disk]\ndevice = 'd'\nbytes = {}\n[partition]\n", bytes * ERASE + 33 * 512);
            let text = head + &lines.collect::<String>();
            if let Ok(map) = BoardMap::parse(&text) {
                let parts: Vec<Region> = map.partitions.partitions().map(|(_, region)| region).collect();
                for (index, part) in parts.iter().enumerate() {
                    prop_assert!(part.end() <= bytes * ERASE && part.at >= GPT_HEAD);
                    for other in &parts[index + 1..] {
                        prop_assert!(part.end() <= other.at || other.end() <= part.at);
                    }
                }
            }
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,200}", at: i64, bytes: i64) {
            let _ = BoardMap::parse(&text);
            let _ = BoardMap::parse(&QEMU.replace("0x0140_0000", &at.to_string()).replace("0x0800_0000", &bytes.to_string()));
        }
    }
}
