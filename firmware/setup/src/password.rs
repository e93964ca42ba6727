//! The owner's password: only its hash is ever kept.
//!
//! Argon2id with 19 MiB, two passes, one lane (OWASP's password storage cheat sheet). Whoever calls does one at a time, so that
//! memory stays bounded; nothing here waits.

use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, Salt, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use model::Private;

/// Fewest characters of a password.
pub const FEWEST: usize = 8;
/// Most bytes of a password: far more than anybody types.
pub const MOST_BYTES: usize = 1024;

/// Why there is no hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Too short.
    #[error("A password has at least {FEWEST} characters.")]
    TooShort,
    /// Too long.
    #[error("A password has at most {MOST_BYTES} bytes.")]
    TooLong,
    /// Argon2 refuses, which these parameters never make it do unless there is no memory.
    #[error("The password could not be worked on: try again.")]
    Failed,
}

/// Whether a new password may be one.
///
/// # Errors
/// [`PasswordError::TooShort`] or [`PasswordError::TooLong`].
pub fn judge(password: &Private<String>) -> Result<(), PasswordError> {
    if password.expose().chars().count() < FEWEST {
        return Err(PasswordError::TooShort);
    }
    if password.expose().len() > MOST_BYTES {
        return Err(PasswordError::TooLong);
    }
    Ok(())
}

/// The hash of a new password as PHC string. `salt` is random.
///
/// # Errors
/// See [`judge`], and [`PasswordError::Failed`].
pub fn hash(password: &Private<String>, salt: [u8; 16]) -> Result<Private<String>, PasswordError> {
    judge(password)?;
    let salt = SaltString::encode_b64(&salt).map_err(|_| PasswordError::Failed)?;
    let hash = argon2()?
        .hash_password(password.expose().as_bytes(), Salt::from(&salt))
        .map_err(|_| PasswordError::Failed)?;
    Ok(Private::new(hash.to_string()))
}

/// Whether it is this password. A hash that cannot be read fits none.
pub fn verify(hash: &Private<String>, password: &Private<String>) -> bool {
    if password.expose().len() > MOST_BYTES {
        return false;
    }
    let (Ok(parsed), Ok(argon2)) = (PasswordHash::new(hash.expose()), argon2()) else { return false };
    argon2.verify_password(password.expose().as_bytes(), &parsed).is_ok()
}

fn argon2() -> Result<Argon2<'static>, PasswordError> {
    let params = Params::new(19 * 1024, 2, 1, None).map_err(|_| PasswordError::Failed)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str) -> Private<String> {
        Private::new(text.to_owned())
    }

    #[test]
    fn only_the_password_itself_fits_and_its_cost_is_in_the_hash() {
        let kept = hash(&word("құпия сөз"), [7; 16]).unwrap();
        assert!(kept.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", kept.expose());
        assert!(verify(&kept, &word("құпия сөз")));
        for wrong in ["құпия сөз ", "Құпия сөз", "", "x"] {
            assert!(!verify(&kept, &word(wrong)), "{wrong}");
        }
        assert!(!verify(&word("not a hash"), &word("құпия сөз")));
        assert_ne!(kept, hash(&word("құпия сөз"), [8; 16]).unwrap(), "the salt counts");
    }

    #[test]
    fn length_is_counted_in_characters() {
        assert_eq!(judge(&word("1234567")), Err(PasswordError::TooShort));
        assert_eq!(judge(&word("құпиясө")), Err(PasswordError::TooShort), "14 bytes, 7 characters");
        assert_eq!(judge(&word("12345678")), Ok(()));
        assert_eq!(judge(&word(&"x".repeat(1025))), Err(PasswordError::TooLong));
    }
}
