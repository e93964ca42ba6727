//! The boot environment on the disk: two blocks, each whole by its CRC, of which the newest right one counts.
//!
//! A writer never touches the copy that counts: it writes the other one with the next `seq`, then flushes. So a cut at any
//! moment leaves the old state or the new one. Boot script and running system write so both.
//!
//! A block is what U-Boot's `env export -c -s 0x4000` writes and `env import -c ADDRESS 0x4000` reads (doc/usage/cmd/env.rst), and
//! Debian's `mkenvimage` and `fw_printenv`: CRC-32 (IEEE) of all that follows it, little-endian as the boards are; then
//! `name=value` lines, each ended by a NUL, the last one by two; then padding. It has exactly the [`NAMES`].

use crate::block::{BlockDevice, DiskError};
use crate::map::{PartitionMap, Region};
use crate::slot::{Record, SlotName, State, Vars};

/// Bytes of a copy, its CRC among them.
pub const BYTES: usize = 0x4000;
/// Bytes of the CRC.
const CRC: usize = 4;
/// Every variable that there is: the boot script imports these and no other, so that nothing else on the disk can change what
/// it does. Numbers are hexadecimal, as U-Boot's `setexpr` writes them.
pub const NAMES: [&str; 8] =
    ["seq", "order", "a_state", "a_tries", "a_rounds", "b_state", "b_tries", "b_rounds"];

/// One copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Env {
    /// How many times the environment was written before.
    pub seq: u32,
    /// What it says.
    pub vars: Vars,
}

impl Env {
    /// The block, [`BYTES`] long.
    pub fn encode(&self) -> Vec<u8> {
        let Vars { first, a, b } = self.vars;
        let record = |slot: SlotName, Record { state, tries, rounds }: Record| {
            let (state, tries, rounds) = (state.letter(), tries.min(15), rounds.min(15));
            format!("{slot}_state={state}\0{slot}_tries={tries:x}\0{slot}_rounds={rounds:x}\0")
        };
        let mut text = format!("seq={:08x}\0order={first}{}\0", self.seq, first.other());
        text += &record(SlotName::A, a);
        text += &record(SlotName::B, b);
        let mut data = text.into_bytes();
        data.resize(BYTES - CRC, 0);
        let mut block = crc32fast::hash(&data).to_le_bytes().to_vec();
        block.append(&mut data);
        block
    }

    /// Reads a block; `None` if it is not whole or has no `seq`. A slot's field that is missing or says what nobody writes is as
    /// in [`Vars::LOST`].
    pub fn decode(block: &[u8]) -> Option<Self> {
        let (crc, data) = block.get(..BYTES)?.split_first_chunk::<CRC>()?;
        if crc32fast::hash(data) != u32::from_le_bytes(*crc) {
            return None;
        }
        let mut seq = None;
        let mut vars = Vars::LOST;
        for line in data.split(|byte| *byte == 0).take_while(|line| !line.is_empty()) {
            let Some((name, value)) = std::str::from_utf8(line).ok().and_then(|line| line.split_once('='))
            else {
                continue;
            };
            match (name, value) {
                ("seq", _) => seq = hex(value),
                ("order", "ba") => vars.first = SlotName::B,
                ("order", _) => vars.first = SlotName::A,
                _ => slot_field(&mut vars, name, value),
            }
        }
        Some(Self { seq: seq?, vars })
    }
}

fn slot_field(vars: &mut Vars, name: &str, value: &str) {
    let Some((slot, field)) = name.split_once('_') else { return };
    let Some(slot) = SlotName::of(slot) else { return };
    let lost = Vars::LOST.of(slot);
    let record = vars.of_mut(slot);
    let digit = || hex(value).and_then(|value| u8::try_from(value).ok()).filter(|value| *value <= 15);
    match field {
        "state" => record.state = State::of(value),
        "tries" => record.tries = digit().unwrap_or(lost.tries),
        "rounds" => record.rounds = digit().unwrap_or(lost.rounds),
        _ => {}
    }
}

/// One to eight hexadecimal digits.
fn hex(value: &str) -> Option<u32> {
    let digits = value.bytes().all(|byte| byte.is_ascii_hexdigit());
    u32::from_str_radix(value, 16).ok().filter(|_| digits && value.len() <= 8)
}

/// One copy, as it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Whole.
    Right(Env),
    /// Its CRC is wrong: never written, or cut off while it was.
    Broken,
    /// The medium does not give it.
    Unreadable,
}

/// The environment, as the disk has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loaded {
    /// What counts; [`Vars::LOST`] if no copy is right.
    pub vars: Vars,
    /// Its number; 0 if no copy is right.
    pub seq: u32,
    /// Which copy counts: 0 is `env1`.
    pub copy: Option<usize>,
    /// What was found in each.
    pub found: [Found; 2],
}

impl Loaded {
    /// What is wrong with the environment, in words. One broken copy is what a cut leaves, and mends itself with the next write.
    pub fn trouble(&self) -> Option<&'static str> {
        match (self.copy, self.found) {
            (None, _) => {
                Some("both copies of the boot environment are lost; the slots are tried by their signatures")
            }
            (_, [Found::Unreadable, _] | [_, Found::Unreadable]) => {
                Some("the disk does not give one copy of the boot environment")
            }
            (_, [Found::Broken, _] | [_, Found::Broken]) => {
                Some("one copy of the boot environment is broken")
            }
            _ => None,
        }
    }
}

/// Why the environment was not written.
#[derive(Debug, thiserror::Error)]
pub enum EnvError {
    /// The disk failed.
    #[error("the boot environment: {0}")]
    Disk(#[from] DiskError),
    /// It was written four thousand million times, which no medium survives: what is there is no environment of ours.
    #[error("the boot environment counts no further")]
    Spent,
}

/// Reads both copies.
///
/// # Errors
/// When the map does not fit the disk. A copy that the medium does not give is no error: the other one may be right.
pub fn load(disk: &impl BlockDevice, map: &PartitionMap) -> Result<Loaded, DiskError> {
    let [first, second] = map.env();
    let found = [one(disk, first)?, one(disk, second)?];
    let newest = match found {
        [Found::Right(a), Found::Right(b)] => Some(if b.seq > a.seq { (1, b) } else { (0, a) }),
        [Found::Right(a), _] => Some((0, a)),
        [_, Found::Right(b)] => Some((1, b)),
        _ => None,
    };
    Ok(Loaded {
        vars: newest.map_or(Vars::LOST, |(_, env)| env.vars),
        seq: newest.map_or(0, |(_, env)| env.seq),
        copy: newest.map(|(copy, _)| copy),
        found,
    })
}

fn one(disk: &impl BlockDevice, region: Region) -> Result<Found, DiskError> {
    let mut block = vec![0; BYTES];
    match disk.read(region.at, &mut block) {
        Ok(()) => Ok(Env::decode(&block).map_or(Found::Broken, Found::Right)),
        Err(DiskError::Medium(_)) => Ok(Found::Unreadable),
        Err(error) => Err(error),
    }
}

/// Writes the copy that does not count, and flushes; nothing if the disk says the same already. Gives whether it wrote.
///
/// Who changes what he has read calls [`change`] instead, which lets nobody come between.
///
/// # Errors
/// When the disk fails; then the old state still counts.
pub fn save(disk: &mut impl BlockDevice, map: &PartitionMap, vars: &Vars) -> Result<bool, EnvError> {
    let now = load(disk, map)?;
    if now.vars == *vars {
        return Ok(false);
    }
    let seq = now.seq.checked_add(1).ok_or(EnvError::Spent)?;
    let [first, second] = map.env();
    let region = if now.copy == Some(0) { second } else { first };
    disk.write(region.at, &Env { seq, vars: *vars }.encode())?;
    disk.flush()?;
    Ok(true)
}

/// Reads, changes and writes under the disk's lock. `make` gives what is to be, or `None` to leave everything as it is. Gives what
/// then counts.
///
/// # Errors
/// As [`save`].
pub fn change(
    disk: &mut impl BlockDevice,
    map: &PartitionMap,
    make: impl FnOnce(&Vars) -> Option<Vars>,
) -> Result<Vars, EnvError> {
    let _lock = disk.lock()?;
    let now = load(disk, map)?.vars;
    let Some(then) = make(&now) else { return Ok(now) };
    save(disk, map, &then)?;
    Ok(then)
}

#[cfg(test)]
mod tests;
