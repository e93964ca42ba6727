//! A disk as it leaves the factory: the partitions of the board's map, a system in slot A, an environment that calls it good.

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::Write as _,
    os::unix::fs::FileExt,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use board::{
    block::SECTOR,
    boot::Table,
    env::Env,
    header,
    map::{BoardMap, PartitionMap, Region},
    slot::{Record, SlotName, State, Vars},
};

/// What a slot is filled with.
#[derive(Debug, Clone, Copy)]
pub struct Slot<'a> {
    /// The first sector of the FIT's partition.
    pub header: &'a [u8],
    /// The FIT.
    pub fit: &'a Path,
    /// The root with its hash tree.
    pub root: &'a Path,
}

/// Writes a disk to `into` with a system in slot A that is known to be good, and nothing in B.
///
/// # Errors
/// When something has no room, or sfdisk fails.
pub fn write(board: &BoardMap, system: Slot<'_>, into: &Path) -> Result<()> {
    let map = &board.partitions;
    let disk = File::create(into).with_context(|| format!("making {}", into.display()))?;
    disk.set_len(board.disk_bytes)?;
    partition(map, into)?;
    fill(&disk, map, SlotName::A, system)?;
    let [place, _] = map.env();
    Ok(disk.write_all_at(&env()?, place.at)?)
}

/// The boot environment of a disk with a system in slot A that is known to be good, and nothing in B.
///
/// # Errors
/// When the boot table is not sound.
pub fn env() -> Result<Vec<u8>> {
    let nothing = Record { state: State::Empty, tries: 0, rounds: 0 };
    let vars = Vars { first: SlotName::A, a: nothing, b: nothing };
    let vars = Table::ours()?.commit(&vars, SlotName::A).unwrap_or(vars);
    Ok(Env { seq: 1, vars }.encode())
}

/// The identifier of the disk (0) and of its partitions, which are always the same: the same board gives the same table.
#[must_use]
pub fn guid(number: usize) -> String {
    format!("00000000-0000-4000-8000-{number:012x}")
}

/// Fills a slot of a disk, the header last.
///
/// # Errors
/// When something has no room.
pub fn fill(disk: &File, map: &PartitionMap, slot: SlotName, system: Slot<'_>) -> Result<()> {
    let fit = map.fit(slot);
    let behind = Region { at: fit.at + header::LENGTH, bytes: fit.bytes.saturating_sub(header::LENGTH) };
    copy(disk, behind, system.fit)?;
    copy(disk, map.root(slot), system.root)?;
    Ok(disk.write_all_at(system.header, fit.at)?)
}

fn copy(disk: &File, region: Region, from: &Path) -> Result<()> {
    let bytes = fs::read(from).with_context(|| format!("reading {}", from.display()))?;
    let room = region.bytes;
    ensure!(bytes.len() as u64 <= room, "{}: {} bytes do not fit into {room}", from.display(), bytes.len());
    Ok(disk.write_all_at(&bytes, region.at)?)
}

/// Writes the partition table.
fn partition(map: &PartitionMap, disk: &Path) -> Result<()> {
    let mut script = format!("label: gpt\nlabel-id: {}\nunit: sectors\nfirst-lba: 34\n", guid(0));
    for (number, (name, region)) in (1..).zip(map.partitions()) {
        writeln!(
            script,
            "start={}, size={}, type=linux, name={name}, uuid={}",
            region.at / SECTOR,
            region.bytes / SECTOR,
            guid(number)
        )?;
    }
    let mut command = Command::new("/sbin/sfdisk");
    command.args(["--quiet", "--no-reread", "--no-tell-kernel", "--wipe", "never"]).arg(disk);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("starting sfdisk; `cargo xtask image` installs it")?;
    child.stdin.take().context("no pipe")?.write_all(script.as_bytes())?;
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "sfdisk ended with {}: {said}\n{script}", output.status);
    Ok(())
}
