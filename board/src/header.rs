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
