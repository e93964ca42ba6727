//! 128 bits as 26 characters: base32 (RFC 4648 section 6) in small letters without padding. Such a name is a valid
//! [`model::CameraId`] and [`model::BoxId`].

use model::BoxId;
use sha2::{Digest as _, Sha256};

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// The name of 128 bits: 26 characters of `a-z` and `2-7`; the last one holds three bits.
pub fn name128(bits: [u8; 16]) -> String {
    let number = u128::from_be_bytes(bits);
    (0..BoxId::LENGTH)
        .map(|place| {
            let shift = 123_i32 - 5 * place as i32;
            let five = if shift >= 0 { number >> shift } else { number << -shift };
            char::from(ALPHABET.get((five & 31) as usize).copied().unwrap_or(b'a'))
        })
        .collect()
}

/// The name of the box that has this identity: the first 128 bits of the SHA-256 of its Ed25519 public key.
pub fn box_id(identity: &[u8; 32]) -> Option<BoxId> {
    let hash = Sha256::digest(identity);
    let bits: [u8; 16] = hash.get(..16)?.try_into().ok()?;
    BoxId::new(&name128(bits)).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_base32() {
        // RFC 4648 section 10 has no 16 byte vector; coreutils' base32 says these.
        assert_eq!(name128(*b"foobarfoobarfoob"), "mzxw6ytbojtg633cmfzgm33pmi");
        assert_eq!(name128([0; 16]), "a".repeat(26));
        assert_eq!(name128([0xff; 16]), "7777777777777777777777777".to_owned() + "4");
    }

    proptest! {
        #[test]
        fn every_name_is_an_id(bits: [u8; 16], other: [u8; 16]) {
            let name = name128(bits);
            prop_assert!(BoxId::new(&name).is_ok());
            prop_assert!(model::CameraId::new(&name).is_ok());
            prop_assert_eq!(bits == other, name == name128(other));
        }
    }
}
