//! From what travelled to what is written: a chunk is bounded before it is unpacked and compared before it is believed.

use ring::digest::{SHA256, digest};

use crate::plan::Hash;
use crate::release::Chunk;

/// Why bytes are not the chunk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Spoiled {
    /// Fewer or more than the signed length.
    #[error("{got} bytes came instead of {wanted}")]
    Length {
        /// As signed.
        wanted: u32,
        /// As came.
        got: usize,
    },
    /// No zstd frame, or one of more than the chunk's length.
    #[error("they cannot be unpacked into a chunk of this length")]
    Packing,
    /// Other bytes than were signed.
    #[error("they are not the bytes that were signed")]
    Hash,
}

/// SHA-256.
pub(crate) fn hash(bytes: &[u8]) -> Hash {
    let mut hash = Hash::default();
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}

/// Whether these are the chunk's plain bytes.
pub(crate) fn is(chunk: &Chunk, plain: &[u8]) -> bool {
    chunk.hash() == Some(hash(plain))
}

/// The plain bytes of a chunk of `length` bytes. Never more memory than that, whatever the frame says of itself.
pub(crate) fn unpack(chunk: &Chunk, length: usize, packed: &[u8]) -> Result<Vec<u8>, Spoiled> {
    if usize::try_from(chunk.1) != Ok(packed.len()) {
        return Err(Spoiled::Length { wanted: chunk.1, got: packed.len() });
    }
    let plain = zstd::bulk::decompress(packed, length).map_err(|_| Spoiled::Packing)?;
    if plain.len() != length {
        return Err(Spoiled::Packing);
    }
    if is(chunk, &plain) { Ok(plain) } else { Err(Spoiled::Hash) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(plain: &[u8]) -> (Chunk, Vec<u8>) {
        let packed = zstd::bulk::compress(plain, 3).unwrap();
        let digits = hash(plain).iter().fold(String::new(), |digits, byte| digits + &format!("{byte:02x}"));
        (Chunk(digits, packed.len() as u32), packed)
    }

    #[test]
    fn only_the_signed_bytes_come_out() {
        let plain = vec![7; 4096];
        let (good, packed) = chunk(&plain);
        assert_eq!(unpack(&good, 4096, &packed), Ok(plain));
        assert_eq!(
            unpack(&good, 4096, &packed[1..]),
            Err(Spoiled::Length { wanted: packed.len() as u32, got: packed.len() - 1 })
        );
        let (other, packed) = chunk(&[8; 4096]);
        assert_eq!(unpack(&Chunk(good.0.clone(), other.1), 4096, &packed), Err(Spoiled::Hash));
        let html = b"<html>Please log in</html>".to_vec();
        assert_eq!(unpack(&Chunk(good.0, html.len() as u32), 4096, &html), Err(Spoiled::Packing));
    }

    #[test]
    fn a_zip_bomb_stops_at_the_chunks_length() {
        // 256 MiB of zeros in some 8 KiB, under a length and even a hash that fit.
        let (bomb, packed) = chunk(&vec![0; 256 << 20]);
        assert!(packed.len() < 64 << 10, "{}", packed.len());
        assert_eq!(unpack(&bomb, 65_536, &packed), Err(Spoiled::Packing));
    }
}
