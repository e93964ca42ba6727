//! The code on a box's label: ten letters and digits, 50 bits, made once with the box's identity and the same ever after. It leads a
//! phone that has scanned the label to the box's page on the LAN, and proves that somebody has stood before the box.
//!
//! The cloud never hears the code from the box, only its [`LabelCode::hash`].

use core::fmt;
use core::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

/// Letters and digits that cannot be taken for each other in print: without I, O, 0 and 1.
const ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
/// Letters and digits of a code.
const LENGTH: usize = 10;

/// Ten letters and digits, shown as `ABCDE-FGH23`. `Debug` keeps it to itself.
#[derive(Clone, PartialEq, Eq)]
pub struct LabelCode([u8; LENGTH]);

/// Why a text is not a [`LabelCode`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a label's code is ten letters and digits like ABCDE-FGH23, without I, O, 0 and 1")]
pub struct InvalidLabel;

impl LabelCode {
    /// A code from random bytes.
    pub fn from_random(random: [u8; 16]) -> Self {
        let mut number = u128::from_be_bytes(random);
        Self([(); LENGTH].map(|()| {
            let letter = ALPHABET.get((number & 31) as usize).copied().unwrap_or(b'A');
            number >>= 5;
            letter
        }))
    }

    /// The letters and digits without a hyphen: what stands in a QR code's address.
    pub fn letters(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// What the cloud is told of it: SHA-256 behind a line that names the purpose, base64.
    pub fn hash(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(b"streambox label 1\n");
        hash.update(self.0);
        STANDARD.encode(hash.finalize())
    }
}

impl FromStr for LabelCode {
    type Err = InvalidLabel;

    /// Takes small letters, spaces and hyphens as people type them.
    fn from_str(text: &str) -> Result<Self, InvalidLabel> {
        let mut letters =
            text.bytes().filter(|byte| !matches!(byte, b' ' | b'-')).map(|byte| byte.to_ascii_uppercase());
        let mut code = [0; LENGTH];
        for place in &mut code {
            *place = letters.next().filter(|letter| ALPHABET.contains(letter)).ok_or(InvalidLabel)?;
        }
        if letters.next().is_some() {
            return Err(InvalidLabel);
        }
        Ok(Self(code))
    }
}

impl fmt::Display for LabelCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = self.letters().split_at(LENGTH / 2);
        write!(f, "{first}-{last}")
    }
}

impl fmt::Debug for LabelCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LabelCode(***)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_printed_can_be_typed(random: [u8; 16]) {
            let code = LabelCode::from_random(random);
            prop_assert_eq!(&code.to_string().parse::<LabelCode>().unwrap(), &code);
            prop_assert_eq!(&code.letters().to_lowercase().parse::<LabelCode>().unwrap(), &code);
            let shown = format!("{code:?}");
            prop_assert!(!shown.contains(code.letters()));
        }

        #[test]
        fn any_text_is_a_code_or_an_error(text: String) {
            if let Ok(code) = text.parse::<LabelCode>() {
                prop_assert_eq!(code.letters().len(), LENGTH);
            }
        }
    }

    #[test]
    fn letters_that_look_alike_are_refused() {
        for bad in
            ["", "ABCDE-FGH2", "ABCDE-FGH234", "ABCDE-FGHI2", "ABCDE-FGHO2", "ABCDE-FGH12", "ABCDE-FGH02"]
        {
            assert_eq!(bad.parse::<LabelCode>(), Err(InvalidLabel), "{bad}");
        }
    }

    #[test]
    fn the_hash_is_the_same_for_boxes_of_every_version() {
        // By `printf 'streambox label 1\nABCDEFGH23' | openssl dgst -sha256 -binary | base64`.
        let code: LabelCode = "ABCDE-FGH23".parse().unwrap();
        assert_eq!(code.hash(), "W2VSKfGdvmDwJCgXjuCiuVwY6INOpFw3Yzz+V06zz1A=");
    }
}
