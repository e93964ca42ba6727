//! Rehearsals of the boot script in the real U-Boot: many cases in one run of the machine.
//!
//! The script is the box's own, made for [`Purpose::Rehearsal`]. Around it a driver, in U-Boot's shell as well, puts each case's
//! environments, FITs and reset marker in place, runs the script, and puts what it left into the case's place on the disk.
//! Memory is as the case before left it, as after a reset.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::Path,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use board::{
    boot::{
        Table,
        script::{self, Board, Purpose},
    },
    env,
    map::BoardMap,
    slot::{Reset, SlotName},
};

use crate::{
    fit::{self, Key, Trust},
    qemu::{Machine, Net, Parts, U_BOOT},
};

/// Sectors of a FIT's partition that a variant fills, header and all.
const VARIANT: u64 = 64;
/// Sectors of a case: two environments, then the words of [`Case`].
const CASE: u64 = 65;
const SECTOR: u64 = 512;
/// Memory that the driver uses and the script does not.
const BUFFER: u64 = 0x5900_0000;

/// What a disk and a memory hold before the script runs.
#[derive(Debug, Clone)]
pub struct Case {
    /// Both copies of the environment, at most [`env::BYTES`] each; what is missing is zeros.
    pub env: [Vec<u8>; 2],
    /// Which of the variants lies in A and in B.
    pub fit: [usize; 2],
    /// What the marker says.
    pub reset: Reset,
}

/// What the script did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The slot that it started, or none: recovery.
    pub started: Option<SlotName>,
    /// Both copies of the environment afterwards.
    pub env: [Vec<u8>; 2],
    /// The slot that the reset marker was left at, which is to be so while that slot runs and never else.
    pub marked: Option<SlotName>,
}

/// A board and what its U-Boot trusts.
#[derive(Debug)]
pub struct Stage<'a> {
    /// The map.
    pub map: &'a BoardMap,
    /// The board's `[boot]`.
    pub board: &'a Board,
    /// The table.
    pub table: &'a Table,
    /// Whose FITs are to run.
    pub key: &'a Key,
    /// What there is to put into a slot, header and all: at most 32 KiB each.
    pub variants: &'a [Vec<u8>],
}

impl Stage<'_> {
    /// Runs the script for each case, in this order, in one machine with its files in `folder`.
    ///
    /// # Errors
    /// When a tool fails, or the machine has not come to the end in `within`.
    pub fn rehearse(&self, cases: &[Case], folder: &Path, within: Duration) -> Result<Vec<Outcome>> {
        fs::create_dir_all(folder)?;
        let (disk_path, tree) = (folder.join("disk.img"), folder.join("u-boot.dtb"));
        let variants_at = self.map.disk_bytes;
        let cases_at = variants_at + self.variants.len() as u64 * VARIANT * SECTOR;
        let disk = File::options().read(true).write(true).create(true).truncate(true).open(&disk_path)?;
        disk.set_len(cases_at + cases.len() as u64 * CASE * SECTOR)?;
        for (index, variant) in self.variants.iter().enumerate() {
            ensure!(variant.len() as u64 <= VARIANT * SECTOR, "variant {index} is too long");
            disk.write_all_at(variant, variants_at + index as u64 * VARIANT * SECTOR)?;
        }
        for (index, case) in cases.iter().enumerate() {
            let at = cases_at + index as u64 * CASE * SECTOR;
            for (copy, block) in (0..).zip(&case.env) {
                ensure!(block.len() <= env::BYTES, "an environment of case {index} is too long");
                disk.write_all_at(block, at + copy * env::BYTES as u64)?;
            }
            let [a, b] = case.fit.map(|variant| variants_at / SECTOR + variant as u64 * VARIANT);
            let marker = match case.reset {
                Reset::Crash(slot) => script::marker(slot),
                Reset::Normal => 0,
            };
            let words = [u32::try_from(a)?, u32::try_from(b)?, marker];
            let words: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            disk.write_all_at(&words, at + 2 * env::BYTES as u64)?;
        }
        let text = script::script(self.table, self.map, self.board, Purpose::Rehearsal)
            + &self.driver(cases_at / SECTOR, cases.len());
        fit::tree(Trust { key: Some(self.key), script: Some(&text), marker: self.board.marker }, &tree)?;
        let mut machine = Machine::start(&Parts {
            disk: disk_path,
            tree: Some(tree),
            boot_loader: U_BOOT.into(),
            net: Net::None,
            memory: Vec::new(),
            log: folder.join("u-boot.log"),
        })?;
        machine.console.expect("All cases are done", within)?;
        machine.ended(Duration::from_secs(10))?;
        (0..cases.len()).map(|index| outcome(&disk, cases_at + index as u64 * CASE * SECTOR)).collect()
    }

    fn driver(&self, cases_at: u64, count: usize) -> String {
        let Board { prepare, read, write, marker, .. } = self.board;
        let partitions = &self.map.partitions;
        let [env1, env2] = partitions.env().map(|region| region.at / SECTOR);
        let [fit_a, fit_b] = SlotName::BOTH.map(|slot| partitions.fit(slot).at / SECTOR);
        let copy = env::BYTES as u64;
        let (second, words, fit) = (BUFFER + copy, BUFFER + 2 * copy, BUFFER + 0x10_0000);
        let (length, count) = (copy / SECTOR, count as u64);
        format!(
            "{prepare}\nsetenv number 0; setenv place {cases_at:x}\n\
             while itest ${{number}} < {count:x}; do\n\
             echo Case ${{number}}\n\
             {read} {BUFFER:x} ${{place}} {CASE:x}\n\
             {write} {BUFFER:x} {env1:x} {length:x}\n\
             {write} {second:x} {env2:x} {length:x}\n\
             setexpr.l variant *{words:x}\n\
             if test \"${{variant}}\" != \"${{in_a}}\"; then\n\
             {read} {fit:x} ${{variant}} {VARIANT:x}\n\
             {write} {fit:x} {fit_a:x} {VARIANT:x}\n\
             setenv in_a ${{variant}}; fi\n\
             setexpr.l variant *{:x}\n\
             if test \"${{variant}}\" != \"${{in_b}}\"; then\n\
             {read} {fit:x} ${{variant}} {VARIANT:x}\n\
             {write} {fit:x} {fit_b:x} {VARIANT:x}\n\
             setenv in_b ${{variant}}; fi\n\
             setexpr.l mark *{:x}\n\
             mw.l {marker:x} ${{mark}}\n\
             run main\n\
             {read} {BUFFER:x} {env1:x} {length:x}\n\
             {read} {second:x} {env2:x} {length:x}\n\
             setexpr.l mark *{marker:x}\n\
             mw.l {:x} ${{mark}}\n\
             mw.l {words:x} 0\n\
             if test \"${{started}}\" = a; then mw.l {words:x} 1; fi\n\
             if test \"${{started}}\" = b; then mw.l {words:x} 2; fi\n\
             if test \"${{started}}\" = none; then mw.l {words:x} 3; fi\n\
             {write} {BUFFER:x} ${{place}} {CASE:x}\n\
             setexpr place ${{place}} + {CASE:x}; setexpr number ${{number}} + 1\n\
             done\n\
             echo All cases are done\n\
             poweroff\n",
            words + 4,
            words + 8,
            words + 4,
        )
    }
}

fn outcome(disk: &File, at: u64) -> Result<Outcome> {
    let read = |at: u64, length: usize| -> Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        disk.read_exact_at(&mut bytes, at)?;
        Ok(bytes)
    };
    let copy = env::BYTES as u64;
    let words = read(at + 2 * copy, 8)?;
    let (started, mark) = words.split_first_chunk::<4>().context("words")?;
    let started = match u32::from_le_bytes(*started) {
        1 => Some(SlotName::A),
        2 => Some(SlotName::B),
        3 => None,
        other => bail!("the script ended with neither a slot nor recovery ({other})"),
    };
    Ok(Outcome {
        started,
        env: [read(at, env::BYTES)?, read(at + copy, env::BYTES)?],
        marked: SlotName::BOTH.into_iter().find(|slot| mark == script::marker(*slot).to_le_bytes()),
    })
}
