//! The first 4 KiB of a slot's FIT partition: whether the slot holds a whole system, and which.
//!
//! It is zeroed before the first byte of a new system is written and written after the last was read back, so a slot with a
//! [`Header`] is whole. All of it lies in the first sector, which a medium writes whole or not at all. The FIT begins behind it.
//! It proves nothing about who made the system: the boot loader's signature check does.
//!
//! | bytes | what, little-endian |
//! |---|---|
//! | 0..8 | [`MAGIC`] |
//! | 8..12 | sectors of the FIT, for the boot script |
//! | 12..16 | security version |
//! | 16..24, 24..32 | bytes of the FIT, of the root |
//! | 32..64, 64..96 | SHA-256 of the FIT, of the root |
//! | 96..120, 120..184, 184..188 | version, board (padded with zeros), schema of the data |
//! | 508..512 | CRC-32 (IEEE) of bytes 0..508 |

use crate::block::SECTOR;

/// Bytes before the FIT.
pub const LENGTH: u64 = 4096;
/// How a header begins.
pub const MAGIC: [u8; 8] = *b"SBXSLOT1";

/// What a slot holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The version that people read, at most 24 bytes.
    pub version: String,
    /// The board, at most 64 bytes.
    pub board: String,
    /// The security version.
    pub security: u32,
    /// The schema of the data that it writes.
    pub schema: u32,
    /// Bytes and SHA-256 of the FIT.
    pub fit: (u64, [u8; 32]),
    /// Bytes and SHA-256 of the root file system.
    pub root: (u64, [u8; 32]),
}

/// Bytes of a header that say anything: one sector.
pub const ENCODED: usize = 512;
/// Bytes of the version and of the board's name.
const VERSION: usize = 24;
const BOARD: usize = 64;

/// A header that the form has no room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Too long, or with a zero in it.
    #[error("the {0} has no room in a slot's header")]
    Text(&'static str),
    /// Not whole sectors, nothing at all, or more than 2 TiB.
    #[error("the {0} is not made of whole sectors")]
    Length(&'static str),
}

impl Header {
    /// The first sector of the FIT's partition.
    ///
    /// # Errors
    /// When a text is too long or a length is none that an image has. What is encoded is decoded to the same.
    pub fn encode(&self) -> Result<[u8; ENCODED], HeaderError> {
        let sectors = sectors(self.fit.0).ok_or(HeaderError::Length("FIT"))?;
        sectors_exist(self.root.0).ok_or(HeaderError::Length("root file system"))?;
        let version = padded::<VERSION>(&self.version).ok_or(HeaderError::Text("version"))?;
        let board = padded::<BOARD>(&self.board).ok_or(HeaderError::Text("board's name"))?;
        let mut bytes = Vec::with_capacity(ENCODED);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&sectors.to_le_bytes());
        bytes.extend_from_slice(&self.security.to_le_bytes());
        bytes.extend_from_slice(&self.fit.0.to_le_bytes());
        bytes.extend_from_slice(&self.root.0.to_le_bytes());
        bytes.extend_from_slice(&self.fit.1);
        bytes.extend_from_slice(&self.root.1);
        bytes.extend_from_slice(&version);
        bytes.extend_from_slice(&board);
        bytes.extend_from_slice(&self.schema.to_le_bytes());
        let mut sector = [0; ENCODED];
        let (said, crc) = sector.split_at_mut(ENCODED - 4);
        for (to, from) in said.iter_mut().zip(&bytes) {
            *to = *from;
        }
        crc.copy_from_slice(&crc32fast::hash(said).to_le_bytes());
        Ok(sector)
    }

    /// Reads a sector, or more; `None` if it holds no whole header, which is what a slot without a system has.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let sector: &[u8; ENCODED] = bytes.first_chunk()?;
        let (said, crc) = sector.split_last_chunk::<4>()?;
        if crc32fast::hash(said) != u32::from_le_bytes(*crc) {
            return None;
        }
        let mut rest = said;
        if take::<8>(&mut rest)? != MAGIC {
            return None;
        }
        let fit_sectors = u32::from_le_bytes(take(&mut rest)?);
        let security = u32::from_le_bytes(take(&mut rest)?);
        let fit_bytes = u64::from_le_bytes(take(&mut rest)?);
        let root_bytes = u64::from_le_bytes(take(&mut rest)?);
        if sectors(fit_bytes)? != fit_sectors {
            return None;
        }
        sectors_exist(root_bytes)?;
        Some(Self {
            fit: (fit_bytes, take(&mut rest)?),
            root: (root_bytes, take(&mut rest)?),
            version: text(&take::<VERSION>(&mut rest)?)?,
            board: text(&take::<BOARD>(&mut rest)?)?,
            schema: u32::from_le_bytes(take(&mut rest)?),
            security,
        })
    }
}

/// Sectors of an image, if it is made of whole ones and not empty.
fn sectors(bytes: u64) -> Option<u32> {
    u32::try_from(sectors_exist(bytes)?).ok()
}

fn sectors_exist(bytes: u64) -> Option<u64> {
    (bytes > 0 && bytes.is_multiple_of(SECTOR)).then_some(bytes / SECTOR)
}

fn padded<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
    (!text.as_bytes().contains(&0)).then_some(bytes)
}

fn text(padded: &[u8]) -> Option<String> {
    let (said, rest) = padded.split_at(padded.iter().position(|byte| *byte == 0).unwrap_or(padded.len()));
    if rest.iter().any(|byte| *byte != 0) {
        return None;
    }
    Some(std::str::from_utf8(said).ok()?.to_owned())
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(*head)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header() -> Header {
        Header {
            version: "1.2.3".to_owned(),
            board: "qemu-aarch64".to_owned(),
            security: 7,
            schema: 2,
            fit: (0x1200, [0xaa; 32]),
            root: (0x34_5600, [0xbb; 32]),
        }
    }

    #[test]
    fn the_bytes_are_where_the_boot_script_and_older_versions_look_for_them() {
        let sector = header().encode().unwrap();
        let mut expected = b"SBXSLOT1\x09\0\0\0\x07\0\0\0\0\x12\0\0\0\0\0\0\0\x56\x34\0\0\0\0\0".to_vec();
        expected.extend([0xaa; 32]);
        expected.extend([0xbb; 32]);
        expected.extend(b"1.2.3");
        expected.resize(120, 0);
        expected.extend(b"qemu-aarch64");
        expected.resize(184, 0);
        expected.extend([2, 0, 0, 0]);
        expected.resize(508, 0);
        // zlib's crc32 of these bytes.
        expected.extend(CRC_OF_THE_EXAMPLE.to_le_bytes());
        assert_eq!(sector.as_slice(), expected);
        assert_eq!(Header::decode(&sector), Some(header()));
    }

    const CRC_OF_THE_EXAMPLE: u32 = 0x26e2_1ee2;

    #[test]
    fn a_zeroed_torn_or_foreign_sector_is_no_header() {
        assert_eq!(Header::decode(&[0; ENCODED]), None);
        assert_eq!(Header::decode(&[0xff; 4096]), None);
        let sector = header().encode().unwrap();
        assert_eq!(Header::decode(&sector[..511]), None);
        let patched = |at: usize, value: u8| {
            let mut sector = sector;
            sector[at] = value;
            let crc = crc32fast::hash(&sector[..508]);
            sector[508..].copy_from_slice(&crc.to_le_bytes());
            Header::decode(&sector)
        };
        assert!(patched(12, 9).is_some_and(|header| header.security == 9), "the check sum is put right");
        // The form's number, sectors that are not the FIT's, half a sector, text behind the end of the text.
        for (at, value) in [(7, b'2'), (8, 8), (24, 1), (110, b'x')] {
            assert_eq!(patched(at, value), None, "{at}");
        }
    }

    #[test]
    fn what_has_no_room_is_refused_and_names_it() {
        let refused = |change: fn(&mut Header)| {
            let mut header = header();
            change(&mut header);
            header.encode().unwrap_err()
        };
        assert_eq!(refused(|header| header.version = "v".repeat(25)), HeaderError::Text("version"));
        assert_eq!(refused(|header| header.version = "1\0".to_owned()), HeaderError::Text("version"));
        assert_eq!(refused(|header| header.board = "b".repeat(65)), HeaderError::Text("board's name"));
        assert_eq!(refused(|header| header.fit.0 = 100), HeaderError::Length("FIT"));
        assert_eq!(refused(|header| header.fit.0 = 1 << 41), HeaderError::Length("FIT"));
        assert_eq!(refused(|header| header.root.0 = 0), HeaderError::Length("root file system"));
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded_and_a_flipped_bit_is_noticed(
            version in "[^\0]{0,6}", board in "[^\0]{0,16}", security: u32, schema: u32,
            fit in 1u64..=u64::from(u32::MAX), root in 1u64..1 << 50, hashes: [[u8; 32]; 2], bit in 0usize..4096,
        ) {
            let header = Header {
                version, board, security, schema, fit: (fit * 512, hashes[0]), root: (root * 512, hashes[1]),
            };
            let mut sector = header.encode().unwrap();
            prop_assert_eq!(Header::decode(&sector), Some(header));
            sector[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(Header::decode(&sector), None);
        }

        #[test]
        fn no_bytes_panic_even_with_a_right_check_sum(mut bytes in prop::collection::vec(any::<u8>(), 0..600), magic: bool) {
            let _ = Header::decode(&bytes);
            bytes.resize(ENCODED, 0);
            if magic {
                bytes[..8].copy_from_slice(&MAGIC);
            }
            let crc = crc32fast::hash(&bytes[..508]);
            bytes[508..].copy_from_slice(&crc.to_le_bytes());
            if let Some(header) = Header::decode(&bytes) {
                prop_assert_eq!(Header::decode(&header.encode().unwrap()), Some(header));
            }
        }
    }
}
