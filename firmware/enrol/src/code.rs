//! The code that the owner types: eight letters of an alphabet without `I` and `O`, about 36 bits. It lives 15 minutes
//! and dies after five wrong claims, so that guessing is hopeless.

use core::fmt;
use core::str::FromStr;

/// Letters that cannot be taken for digits or for each other in print.
const ALPHABET: &[u8; 24] = b"ABCDEFGHJKLMNPQRSTUVWXYZ";

/// Eight letters, shown as `ABCD-EFGH`. `Debug` keeps it to itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Code([u8; 8]);

/// Why a text is not a [`Code`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a code is eight letters like ABCD-EFGH, without I and O")]
pub struct InvalidCode;

impl Code {
    /// A code from 16 random bytes. 24^8 codes divide 2^128 evenly enough: the bias is below 2^-90.
    pub fn from_random(random: [u8; 16]) -> Self {
        let mut number = u128::from_be_bytes(random);
        Self([(); 8].map(|()| {
            let letter = ALPHABET.get((number % 24) as usize).copied().unwrap_or(b'A');
            number /= 24;
            letter
        }))
    }

    /// The eight letters without a hyphen: what is hashed and compared.
    pub fn letters(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl FromStr for Code {
    type Err = InvalidCode;

    /// Takes small letters, spaces and hyphens as people type them.
    fn from_str(text: &str) -> Result<Self, InvalidCode> {
        let mut letters =
            text.bytes().filter(|byte| !matches!(byte, b' ' | b'-')).map(|byte| byte.to_ascii_uppercase());
        let mut code = [0; 8];
        for place in &mut code {
            *place = letters.next().filter(|letter| ALPHABET.contains(letter)).ok_or(InvalidCode)?;
        }
        if letters.next().is_some() {
            return Err(InvalidCode);
        }
        Ok(Self(code))
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = self.letters().split_at(4);
        write!(f, "{first}-{last}")
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code(***)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_shown_can_be_typed(random: [u8; 16]) {
            let code = Code::from_random(random);
            prop_assert_eq!(&code.to_string().parse::<Code>().unwrap(), &code);
            prop_assert_eq!(&code.to_string().to_lowercase().replace('-', " ").parse::<Code>().unwrap(), &code);
            let shown = format!("{code:?}");
            prop_assert!(!shown.contains(code.letters()));
        }

        #[test]
        fn any_text_is_a_code_or_an_error(text: String) {
            if let Ok(code) = text.parse::<Code>() {
                prop_assert_eq!(code.letters().len(), 8);
            }
        }
    }

    #[test]
    fn letters_that_look_alike_are_refused() {
        for bad in ["", "ABCD-EFG", "ABCD-EFGHJ", "ABCD-EFGI", "ABCD-EFGO", "ABCD-EFG1", "АBCD-EFGH"] {
            assert_eq!(bad.parse::<Code>(), Err(InvalidCode), "{bad}");
        }
    }
}
