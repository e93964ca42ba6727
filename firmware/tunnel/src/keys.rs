//! WireGuard's keys. A private or preshared key is never printed and is wiped when dropped.

use core::fmt;
use core::str::FromStr;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use x25519_dalek::StaticSecret;
use zeroize::Zeroizing;

/// Bytes of every key (X25519, WireGuard paper section 5).
pub const KEY_BYTES: usize = 32;

/// A text that is no key.
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
#[error("a key is 32 bytes in base64: 44 characters, the last one `=`")]
pub struct InvalidKey;

/// Our own secret (X25519).
#[derive(Clone)]
pub struct PrivateKey(Zeroizing<[u8; KEY_BYTES]>);

/// A peer's name: the public half of its key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey([u8; KEY_BYTES]);

/// A secret that two peers share beside their keys (WireGuard paper section 5.2).
#[derive(Clone)]
pub struct PresharedKey(Zeroizing<[u8; KEY_BYTES]>);

fn decode(text: &str) -> Result<Zeroizing<[u8; KEY_BYTES]>, InvalidKey> {
    // The decoder asks for room for whole groups of three bytes.
    let mut bytes = Zeroizing::new([0; KEY_BYTES + 1]);
    match STANDARD.decode_slice(text.trim(), bytes.as_mut_slice()) {
        Ok(KEY_BYTES) => {
            let mut key = Zeroizing::new([0; KEY_BYTES]);
            key.iter_mut().zip(bytes.iter()).for_each(|(to, from)| *to = *from);
            Ok(key)
        }
        _ => Err(InvalidKey),
    }
}

impl PrivateKey {
    /// From random bytes; X25519 clamps them where it uses them.
    pub fn from_bytes(bytes: [u8; KEY_BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// From the text that `wg genkey` prints.
    ///
    /// # Errors
    /// When it is not 32 bytes in base64.
    pub fn from_base64(text: &str) -> Result<Self, InvalidKey> {
        decode(text).map(Self)
    }

    /// As `wg genkey` would print it: for a key file of mode 0600, nothing else.
    pub fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(self.0.as_slice()))
    }

    /// The half that others may know.
    pub fn public(&self) -> PublicKey {
        PublicKey(x25519_dalek::PublicKey::from(&self.secret()).to_bytes())
    }

    pub(crate) fn secret(&self) -> StaticSecret {
        StaticSecret::from(*self.0)
    }
}

impl PublicKey {
    /// From the bytes of a message.
    pub const fn from_bytes(bytes: [u8; KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// The bytes of a message.
    pub const fn as_bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }
}

impl PresharedKey {
    /// From random bytes.
    pub fn from_bytes(bytes: [u8; KEY_BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// From the text that `wg genpsk` prints.
    ///
    /// # Errors
    /// When it is not 32 bytes in base64.
    pub fn from_base64(text: &str) -> Result<Self, InvalidKey> {
        decode(text).map(Self)
    }

    pub(crate) fn bytes(&self) -> [u8; KEY_BYTES] {
        *self.0
    }
}

impl PartialEq for PresharedKey {
    /// In constant time.
    fn eq(&self, other: &Self) -> bool {
        self.0.iter().zip(other.0.iter()).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
    }
}

impl Eq for PresharedKey {}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(***)")
    }
}

impl fmt::Debug for PresharedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PresharedKey(***)")
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl FromStr for PublicKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        decode(text).map(|key| Self(*key))
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by `wg genkey | tee /dev/stderr | wg pubkey`.
    const PRIVATE: &str = "qFyO+I3SP2NzN1UyY8WeaCgOoeITp2Gkv9Uuy45vOFM=";
    const PUBLIC: &str = "hX0Px4dSbqqf+r8Ea8KaGTB7enbiQzaoESs4bQXXDCY=";

    #[test]
    fn keys_are_those_of_wg() {
        let private = PrivateKey::from_base64(&format!("{PRIVATE}\n")).unwrap();
        assert_eq!(private.public().to_string(), PUBLIC);
        assert_eq!(PUBLIC.parse(), Ok(private.public()));
        assert_eq!(private.to_base64().as_str(), PRIVATE);
        let json = serde_json::to_string(&private.public()).unwrap();
        assert_eq!(json, format!("\"{PUBLIC}\""));
        assert_eq!(serde_json::from_str::<PublicKey>(&json).unwrap(), private.public());
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for text in ["", "AAAA", &PUBLIC[1..], &format!("{PUBLIC}A"), &"A".repeat(44), &"=".repeat(44)] {
            assert_eq!(text.parse::<PublicKey>(), Err(InvalidKey), "{text}");
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        let private = PrivateKey::from_base64(PRIVATE).unwrap();
        let shared = PresharedKey::from_base64(PRIVATE).unwrap();
        let printed = format!("{private:?} {shared:?}");
        assert_eq!(printed, "PrivateKey(***) PresharedKey(***)");
        assert_eq!(shared, PresharedKey::from_base64(PRIVATE).unwrap());
        assert_ne!(shared, PresharedKey::from_bytes([7; 32]));
    }
}
