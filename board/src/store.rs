//! Small state that survives everything but the disk itself, the loss of the data included: the floors, what worked before an update,
//! how the last one ended, how long this system has run well. Who the box is lies with the data.
//!
//! Two copies with a CRC and a number in the `id` partition, half of it for each. A change writes the older copy and flushes, so a cut
//! leaves all of the old state or all of the new one. What [`Store::set`] has reported as done is never lost to a power cut.
//!
//! A copy:
//!
//! | bytes | what, little-endian |
//! |---|---|
//! | 0..8 | [`MAGIC`] |
//! | 8..12 | how many times the store was written before |
//! | 12..16 | bytes of the records |
//! | 16..20 | CRC-32 (IEEE) of bytes 0..16 and of the records |
//! | 20.. | records: bytes of the name (1), of the value (2), the name, the value |

use std::collections::BTreeMap;

use embedded_svc::storage::{RawStorage, StorageBase};

use crate::block::{BlockDevice, DiskError, SECTOR};

/// How a copy begins.
pub const MAGIC: [u8; 8] = *b"SBXSTOR1";
/// Most bytes of a copy.
pub const MOST: usize = 32 * 1024;
/// Most bytes of a name, as in ESP-IDF's NVS, from where embedded_svc's storage comes.
pub const NAME: usize = 15;
/// Bytes before the records.
const HEAD: usize = 20;

/// A name, at most [`NAME`] bytes.
type Name = heapless::String<NAME>;
type Records = BTreeMap<Name, Vec<u8>>;

/// Why something was not kept or found.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk failed.
    #[error("the small state: {0}")]
    Disk(#[from] DiskError),
    /// No name, or a longer one than [`NAME`].
    #[error("{0:?} is no name of 1 to {NAME} bytes")]
    Name(String),
    /// All together would not fit [`MOST`].
    #[error("the small state has no room for {0} bytes more of {1}")]
    Full(usize, String),
    /// The caller's buffer.
    #[error("{1} has {0} bytes, more than there is room for")]
    Buffer(usize, String),
    /// It was written four thousand million times, which no medium survives.
    #[error("the small state counts no further")]
    Spent,
}

/// How well the state is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// Two whole copies, or one on a box that has written only once.
    Well,
    /// One copy is whole, the other is not: a cut, or a medium that wears out.
    Once,
    /// No copy was ever written.
    Blank,
    /// Something was written, and no copy is whole any more.
    Lost,
}

/// The store on a disk of its own, such as a [`Window`](crate::partition::Window) of the `id` partition. It keeps nothing in memory, so
/// several processes may each have one.
#[derive(Debug)]
pub struct Store<D> {
    disk: D,
}

enum Copy {
    Right(u32, Records),
    Blank,
    Broken,
    Unreadable(DiskError),
}

struct Loaded {
    seq: u32,
    records: Records,
    /// Which copy counts.
    copy: Option<usize>,
    kept: Kept,
}

impl<D: BlockDevice> Store<D> {
    /// The store on this disk, which must have room for two copies of [`MOST`] bytes.
    pub const fn new(disk: D) -> Self {
        Self { disk }
    }

    /// How well the state is kept.
    ///
    /// # Errors
    /// When no copy can be read.
    pub fn kept(&self) -> Result<Kept, StoreError> {
        Ok(self.load()?.kept)
    }

    /// What is kept under a name.
    ///
    /// # Errors
    /// When no copy can be read.
    pub fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.load()?.records.remove(&checked(name)?))
    }

    /// Keeps something under a name. When this returns, it survives a power cut. Gives whether anything was written: not if the same
    /// is there already.
    ///
    /// # Errors
    /// When the name is none, there is no room, or the disk fails; then the old state stays.
    pub fn set(&mut self, name: &str, value: &[u8]) -> Result<bool, StoreError> {
        self.revise(name, |_| Some(value.to_vec()))
    }

    /// Changes what is kept under a name, and lets nobody come between looking and writing: for what may only ever grow. `make` is
    /// given what is there and gives what is to be, or `None` to leave it. Gives whether anything was written.
    ///
    /// # Errors
    /// As [`Store::set`].
    pub fn revise(
        &mut self,
        name: &str,
        make: impl FnOnce(Option<&[u8]>) -> Option<Vec<u8>>,
    ) -> Result<bool, StoreError> {
        let name = checked(name)?;
        self.change(|records| {
            let old = records.get(&name);
            let Some(new) = make(old.map(Vec::as_slice)).filter(|new| old != Some(new)) else {
                return Ok(false);
            };
            let bytes = new.len();
            records.insert(name.clone(), new);
            if encoded(records) > MOST {
                return Err(StoreError::Full(bytes, name.as_str().to_owned()));
            }
            Ok(true)
        })
    }

    /// Forgets a name. Gives whether there was one.
    ///
    /// # Errors
    /// As [`Store::set`].
    pub fn forget(&mut self, name: &str) -> Result<bool, StoreError> {
        let name = checked(name)?;
        self.change(|records| Ok(records.remove(&name).is_some()))
    }

    /// Reads, changes and writes under the disk's lock.
    fn change(
        &mut self,
        make: impl FnOnce(&mut Records) -> Result<bool, StoreError>,
    ) -> Result<bool, StoreError> {
        let _lock = self.disk.lock()?;
        let mut now = self.load()?;
        if !make(&mut now.records)? {
            return Ok(false);
        }
        let seq = now.seq.checked_add(1).ok_or(StoreError::Spent)?;
        let place = if now.copy == Some(0) { self.second() } else { 0 };
        self.disk.write(place, &encode(seq, &now.records))?;
        self.disk.flush()?;
        Ok(true)
    }

    /// Where the second copy begins: as far from the first as can be.
    fn second(&self) -> u64 {
        self.disk.bytes() / 2 / SECTOR * SECTOR
    }

    fn load(&self) -> Result<Loaded, StoreError> {
        let blank = |copy: &Copy| matches!(copy, Copy::Blank);
        let (first, second) = (self.copy(0)?, self.copy(self.second())?);
        let whole = |copy: &Copy| matches!(copy, Copy::Right(..));
        let kept = match (&first, &second) {
            (a, b) if whole(a) && (whole(b) || blank(b)) => Kept::Well,
            (a, b) if whole(a) || whole(b) => Kept::Once,
            (a, b) if blank(a) && blank(b) => Kept::Blank,
            _ => Kept::Lost,
        };
        let (copy, seq, records) = match (first, second) {
            (Copy::Right(a, _), Copy::Right(b, records)) if b > a => (Some(1), b, records),
            (Copy::Right(seq, records), _) => (Some(0), seq, records),
            (_, Copy::Right(seq, records)) => (Some(1), seq, records),
            // Not to be taken for an empty store, which would be written over what may be readable the next time.
            (Copy::Unreadable(error), _) | (_, Copy::Unreadable(error)) => return Err(error.into()),
            _ => (None, 0, Records::new()),
        };
        Ok(Loaded { seq, records, copy, kept })
    }

    fn copy(&self, at: u64) -> Result<Copy, DiskError> {
        let mut bytes = vec![0; MOST];
        match self.disk.read(at, &mut bytes) {
            Ok(()) if bytes.iter().all(|byte| *byte == 0) => Ok(Copy::Blank),
            Ok(()) => Ok(decode(&bytes).map_or(Copy::Broken, |(seq, records)| Copy::Right(seq, records))),
            Err(error @ DiskError::Medium(_)) => Ok(Copy::Unreadable(error)),
            Err(error) => Err(error),
        }
    }
}

fn checked(name: &str) -> Result<Name, StoreError> {
    let fits = Name::try_from(name).ok().filter(|name| !name.is_empty());
    fits.ok_or_else(|| StoreError::Name(name.to_owned()))
}

/// Bytes that a copy of these records has.
fn encoded(records: &Records) -> usize {
    HEAD + records.iter().map(|(name, value)| 3 + name.len() + value.len()).sum::<usize>()
}

fn encode(seq: u32, records: &Records) -> Vec<u8> {
    let mut said = Vec::new();
    for (name, value) in records {
        said.push(name.len() as u8);
        said.extend_from_slice(&(value.len() as u16).to_le_bytes());
        said.extend_from_slice(name.as_bytes());
        said.extend_from_slice(value);
    }
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&seq.to_le_bytes());
    bytes.extend_from_slice(&(said.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&crc(&bytes, &said).to_le_bytes());
    bytes.append(&mut said);
    bytes.resize(bytes.len().next_multiple_of(SECTOR as usize), 0);
    bytes
}

/// Reads a copy; `None` if it is not whole.
fn decode(bytes: &[u8]) -> Option<(u32, Records)> {
    let (head, rest) = bytes.split_first_chunk::<16>()?;
    let (right, rest) = rest.split_first_chunk::<4>()?;
    let [m @ .., s0, s1, s2, s3, l0, l1, l2, l3] = *head;
    let length = u32::from_le_bytes([l0, l1, l2, l3]);
    let mut said = rest.get(..usize::try_from(length).ok()?)?;
    if m != MAGIC || crc(head, said) != u32::from_le_bytes(*right) {
        return None;
    }
    let mut records = Records::new();
    while let Some(([name, v0, v1], rest)) = said.split_first_chunk() {
        let (name, rest) = rest.split_at_checked(usize::from(*name))?;
        let (value, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes([*v0, *v1])))?;
        records.insert(Name::try_from(std::str::from_utf8(name).ok()?).ok()?, value.to_vec());
        said = rest;
    }
    said.is_empty().then_some((u32::from_le_bytes([s0, s1, s2, s3]), records))
}

fn crc(head: &[u8], said: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(head);
    hasher.update(said);
    hasher.finalize()
}

impl<D: BlockDevice> StorageBase for Store<D> {
    type Error = StoreError;

    fn contains(&self, name: &str) -> Result<bool, StoreError> {
        Ok(self.get(name)?.is_some())
    }

    fn remove(&mut self, name: &str) -> Result<bool, StoreError> {
        self.forget(name)
    }
}

impl<D: BlockDevice> RawStorage for Store<D> {
    fn len(&self, name: &str) -> Result<Option<usize>, StoreError> {
        Ok(self.get(name)?.map(|value| value.len()))
    }

    fn get_raw<'a>(&self, name: &str, buf: &'a mut [u8]) -> Result<Option<&'a [u8]>, StoreError> {
        let Some(value) = self.get(name)? else { return Ok(None) };
        let into = buf.get_mut(..value.len());
        let into = into.ok_or_else(|| StoreError::Buffer(value.len(), name.to_owned()))?;
        into.copy_from_slice(&value);
        Ok(Some(into))
    }

    fn set_raw(&mut self, name: &str, buf: &[u8]) -> Result<bool, StoreError> {
        self.set(name, buf)
    }
}

#[cfg(test)]
mod tests;
