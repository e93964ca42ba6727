//! The mark of a browser in which the owner has signed in before: a cookie that opens nothing, but has its own share of password
//! checks, so that nobody who floods the page with guesses keeps the owner out (OWASP, "device cookies").
//!
//! It is signed with the password's hash: it outlives restarts without being kept anywhere, and ends with the password.

use model::Private;
use ring::hmac::{HMAC_SHA256, Key, sign, verify};

use crate::sessions::{hex, unhex};

/// Bytes that tell marks apart.
pub(crate) const NONCE_BYTES: usize = 16;

/// A new mark. `nonce` is random.
pub(crate) fn mark(hash: &Private<String>, nonce: &[u8; NONCE_BYTES]) -> String {
    let nonce = hex(nonce);
    let signature = hex(sign(&key(hash), nonce.as_bytes()).as_ref());
    format!("{nonce}.{signature}")
}

/// Whether this box made it for this password.
pub(crate) fn holds(hash: &Private<String>, mark: &str) -> bool {
    let Some((nonce, signature)) = mark.split_once('.') else { return false };
    let signature = unhex(signature);
    nonce.len() == 2 * NONCE_BYTES
        && signature.is_some_and(|bytes| verify(&key(hash), nonce.as_bytes(), &bytes).is_ok())
}

fn key(hash: &Private<String>) -> Key {
    Key::new(HMAC_SHA256, format!("browser {}", hash.expose()).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_marks_of_this_box_and_password_count() {
        let hash = Private::new("$argon2id$one".to_owned());
        let mark = mark(&hash, &[1; 16]);
        assert!(holds(&hash, &mark));
        assert!(!holds(&Private::new("$argon2id$two".to_owned()), &mark), "another password ends it");
        let forged = mark.replace("01", "02");
        for wrong in ["", ".", &mark[..97 - 2], &forged, "ы.ы", &format!("{mark}00")] {
            assert!(!holds(&hash, wrong), "{wrong}");
        }
    }
}
