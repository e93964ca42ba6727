//! The disk of a box under test: memory that records every moment, with the weaknesses that a variant brings.

use board::block::{BlockDevice, DiskError, SECTOR};
use board::env;
use board::map::{PartitionMap, Region};
use board::mem_disk::{Fault, Medium, MemDisk, Moment};

const KIB: u64 = 1024;
/// The whole disk.
pub(crate) const BYTES: u64 = 256 * KIB;

/// A map with room for images of a few chunks. `one_env`: both environments in the same place.
pub(crate) fn map(one_env: bool) -> PartitionMap {
    let regions = [
        ("env1", 0, 16),
        ("env2", if one_env { 0 } else { 16 }, 16),
        ("id", 32, 128),
        ("fit_a", 160, 12),
        ("root_a", 172, 12),
        ("fit_b", 184, 12),
        ("root_b", 196, 12),
        ("data", 208, 4),
    ];
    let region =
        |(name, at, bytes): (&str, u64, u64)| (name.to_owned(), Region { at: at * KIB, bytes: bytes * KIB });
    PartitionMap::new(regions.map(region)).unwrap()
}

/// Both environments.
pub(crate) const ENV: std::ops::Range<u64> = 0..32 * KIB;

/// How the disk is weaker than a disk may be.
#[derive(Debug, Clone, Default)]
pub(crate) struct Weak {
    /// A flush promises and does nothing.
    pub(crate) no_flush: bool,
    /// Whatever an environment's CRC is, it is right.
    pub(crate) no_crc: bool,
    pub(crate) faults: Vec<Fault>,
}

#[derive(Debug)]
pub(crate) struct Rig {
    disk: MemDisk,
    weak: Weak,
}

impl Rig {
    pub(crate) fn on(medium: Medium, weak: &Weak) -> Self {
        let mut disk = MemDisk::on(medium);
        disk.record();
        weak.faults.iter().cloned().for_each(|fault| disk.add(fault));
        Self { disk, weak: weak.clone() }
    }

    pub(crate) fn moments(&self) -> &[Moment] {
        self.disk.moments()
    }

    pub(crate) fn env_writes(&self) -> usize {
        self.disk.writes_in(&ENV)
    }

    /// Everything that was written, safe or not.
    pub(crate) fn content(&self) -> Medium {
        self.disk.moment().arrived()
    }
}

impl BlockDevice for Rig {
    fn bytes(&self) -> u64 {
        self.disk.bytes()
    }

    fn read(&self, at: u64, into: &mut [u8]) -> Result<(), DiskError> {
        self.disk.read(at, into)?;
        if self.weak.no_crc && ENV.contains(&at) && into.len() == env::BYTES {
            let crc = crc32fast::hash(&into[4..]).to_le_bytes();
            into[..4].copy_from_slice(&crc);
        }
        Ok(())
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.disk.write(at, bytes)
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        if self.weak.no_flush { Ok(()) } else { self.disk.flush() }
    }
}

/// What media that tear within a sector leave of an interrupted write of the environment, besides: its first bytes are the new ones.
pub(crate) fn torn_within(moment: &Moment) -> Vec<Medium> {
    let [write] = moment.unflushed.as_slice() else { return Vec::new() };
    if !ENV.contains(&write.at) {
        return Vec::new();
    }
    let mut old = [0; SECTOR as usize];
    moment.medium.read(write.at, &mut old).unwrap();
    (1..112)
        .map(|bytes| {
            let mut sector = old;
            sector[..bytes].copy_from_slice(&write.bytes[..bytes]);
            let mut medium = moment.medium.clone();
            medium.write(write.at, &sector).unwrap();
            medium
        })
        .collect()
}
