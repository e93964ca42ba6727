//! Passwords of cameras, as they are kept: sealed with a key that lies in the table `setting`, beside the hub's. So a copy of
//! the cameras alone tells no password; whoever has the whole database has them, as the cloud itself must.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::Private;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

/// What is sealed here, so that nothing else is taken for it.
const WHAT: &str = "camera password v1";

/// Seals and opens passwords.
pub(super) struct Safe(LessSafeKey);

/// What is kept is no sealed password, or another database's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("its password was sealed with another key: enter it again")]
pub(super) struct Foreign;

impl Safe {
    /// A safe with this key; `None` never happens with a key of this length.
    pub(super) fn new(key: &[u8; 32]) -> Option<Self> {
        UnboundKey::new(&CHACHA20_POLY1305, key).ok().map(|key| Self(LessSafeKey::new(key)))
    }

    /// Seals a password; `random` must never be the same again.
    pub(super) fn seal(&self, password: &Private<String>, random: [u8; 16]) -> Option<String> {
        let nonce: [u8; NONCE_LEN] = *random.first_chunk()?;
        let mut text = password.expose().clone().into_bytes();
        self.0
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(WHAT), &mut text)
            .ok()?;
        Some(STANDARD.encode([&nonce[..], &text].concat()))
    }

    /// Opens it again.
    pub(super) fn open(&self, sealed: &str) -> Result<Private<String>, Foreign> {
        let bytes = STANDARD.decode(sealed).map_err(|_| Foreign)?;
        let (nonce, text) = bytes.split_first_chunk::<NONCE_LEN>().ok_or(Foreign)?;
        let mut text = text.to_vec();
        let opened = self.0.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(WHAT), &mut text);
        let opened = opened.map_err(|_| Foreign)?;
        String::from_utf8(opened.to_vec()).map(Private::new).map_err(|_| Foreign)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_password_is_opened_by_its_own_key_only() {
        let safe = Safe::new(&[1; 32]).unwrap();
        let sealed = safe.seal(&Private::new("geheim".to_owned()), [7; 16]).unwrap();
        assert!(
            !sealed.contains("geheim")
                && sealed != safe.seal(&Private::new("geheim".to_owned()), [8; 16]).unwrap()
        );
        assert_eq!(safe.open(&sealed).unwrap().expose(), "geheim");
        assert_eq!(Safe::new(&[2; 32]).unwrap().open(&sealed).err(), Some(Foreign));
        for broken in ["", "x", &sealed[..8], &sealed.replace(|c: char| c.is_ascii_digit(), "A")] {
            if broken != sealed {
                assert_eq!(safe.open(broken).err(), Some(Foreign), "{broken}");
            }
        }
    }
}
