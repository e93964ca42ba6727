//! Who the box is: its Ed25519 identity key and its X25519 tunnel key.
//!
//! Both are made once, when the box is first to join a cloud, and kept in the state directory. A key that is there but
//! damaged is never replaced silently: the box would be another one, and its owner would not know why.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use enrol::Identity;
use ring::rand::{SecureRandom as _, SystemRandom};
use tunnel::keys::PrivateKey;
use zeroize::Zeroizing;

use super::files::Files;

/// The seed of the Ed25519 key (RFC 8032), 32 bytes in base64, and a line's end.
const IDENTITY: &str = "identity.key";
/// The X25519 key as `wg genkey` writes it: 32 bytes in base64, and a line's end.
const TUNNEL: &str = "tunnel.key";

/// The box's two keys. Printed, it shows its name only.
#[derive(Debug)]
pub(crate) struct Keys {
    /// Signs for the box; its hash is the box's name.
    pub(crate) identity: Identity,
    /// The box's end of the tunnel.
    pub(crate) tunnel: PrivateKey,
}

/// Why the box has no keys.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    /// A file cannot be read or written.
    #[error(
        "The file {file} cannot be {done}: {error}. See to the directory ([state] dir), then restart the box."
    )]
    Io {
        /// The file.
        file: String,
        /// What was tried.
        done: &'static str,
        /// Why it failed.
        error: std::io::Error,
    },
    /// A file holds something else.
    #[error(
        "The file {file} is damaged: put the right one back from a copy, or delete it (the box is then a new one and \
         must join again), then restart the box."
    )]
    Damaged {
        /// The file.
        file: String,
    },
    /// The kernel gives no random bytes.
    #[error("The system gives no random numbers, so no key can be made.")]
    Random,
}

impl Keys {
    /// The keys in the state directory; made and kept there when it has none.
    ///
    /// # Errors
    /// [`KeyError`].
    pub(crate) fn load(files: &Files) -> Result<Self, KeyError> {
        let seed = key(files, IDENTITY)?;
        let identity = Identity::from_seed(seed.as_slice()).map_err(|_| damaged(files, IDENTITY))?;
        let tunnel = PrivateKey::from_bytes(*key(files, TUNNEL)?);
        Ok(Self { identity, tunnel })
    }
}

/// Fills bytes with random ones.
///
/// # Errors
/// [`KeyError::Random`] when the kernel gives none.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], KeyError> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| KeyError::Random)?;
    Ok(bytes)
}

/// The 32 bytes of one file; new ones when it is not there.
fn key(files: &Files, name: &'static str) -> Result<Zeroizing<[u8; 32]>, KeyError> {
    let io = |done| move |error| KeyError::Io { file: files.path(name).display().to_string(), done, error };
    if let Some(text) = files.read(name).map_err(io("read"))?.map(Zeroizing::new) {
        let bytes = Zeroizing::new(STANDARD.decode(text.trim_ascii()).map_err(|_| damaged(files, name))?);
        return bytes.as_slice().try_into().map(Zeroizing::new).map_err(|_| damaged(files, name));
    }
    let bytes = Zeroizing::new(random::<32>()?);
    let text = Zeroizing::new(STANDARD.encode(bytes.as_slice()) + "\n");
    files.write(name, text.as_bytes()).map_err(io("written"))?;
    Ok(bytes)
}

fn damaged(files: &Files, name: &str) -> KeyError {
    KeyError::Damaged { file: files.path(name).display().to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::files::tests::Scratch;

    #[test]
    fn the_box_stays_itself_over_restarts() {
        let scratch = Scratch::new("identity");
        let first = Keys::load(&scratch.files()).unwrap();
        let again = Keys::load(&scratch.files()).unwrap();
        assert_eq!(first.identity.box_id(), again.identity.box_id());
        assert_eq!(first.tunnel.public(), again.tunnel.public());
        let other = Keys::load(&Scratch::new("identity-other").files()).unwrap();
        assert_ne!(first.identity.box_id(), other.identity.box_id());
        assert_ne!(first.tunnel.public(), other.tunnel.public());
    }

    #[test]
    fn a_damaged_key_is_said_and_never_replaced_or_repeated() {
        let scratch = Scratch::new("identity-damaged");
        let files = scratch.files();
        Keys::load(&files).unwrap();
        for name in [IDENTITY, TUNNEL] {
            let whole = files.read(name).unwrap().unwrap();
            for wrong in [&b""[..], b"\n", b"Y2FuYXJ5", b"canary!"] {
                files.write(name, wrong).unwrap();
                let error = Keys::load(&files).unwrap_err().to_string();
                assert!(error.contains(name) && error.contains("damaged"), "{error}");
                assert!(!error.contains("canary") && !error.contains("Y2Fu"), "{error}");
                assert_eq!(files.read(name).unwrap().unwrap(), wrong);
            }
            files.write(name, &whole).unwrap();
        }
    }

    #[test]
    fn keys_are_never_printed() {
        let scratch = Scratch::new("identity-printed");
        let keys = Keys::load(&scratch.files()).unwrap();
        let printed = format!("{keys:?}");
        for name in [IDENTITY, TUNNEL] {
            let text = String::from_utf8(scratch.files().read(name).unwrap().unwrap()).unwrap();
            assert!(!printed.contains(text.trim()), "{printed}");
        }
    }
}
