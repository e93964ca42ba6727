//! Who may sign, and whether enough of them did. A [`Signers`] counts public keys, not signatures and not key ids: a key that
//! signs twice, or stands under two ids, counts once.

use std::collections::{BTreeMap, BTreeSet};

use ring::signature::{ED25519, UnparsedPublicKey};
use serde::Deserialize;
use serde_json::Value;

use super::{Role, TufError, json};

/// A document and its signatures, not verified yet.
#[derive(Debug)]
pub(crate) struct Envelope {
    pub(crate) signed: Value,
    /// What signatures are made over. Fields that nobody here knows are in it.
    message: Vec<u8>,
    /// By key id.
    signatures: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Signature {
    keyid: String,
    sig: String,
}

impl Envelope {
    /// Reads `{"signed": …, "signatures": [{"keyid": …, "sig": …}, …]}` (section 4.2.1).
    pub(crate) fn read(role: Role, bytes: &[u8]) -> Result<Self, TufError> {
        let most = role.most_bytes();
        if bytes.len() as u64 > most {
            return Err(TufError::TooLong { role, most });
        }
        let unreadable = |why| TufError::Unreadable { role, why };
        let mut document = json::read(bytes).map_err(unreadable)?;
        let missing = |name| TufError::Unreadable { role, why: format!("it has no {name:?}") };
        let list = document.get("signatures").ok_or_else(|| missing("signatures"))?;
        let list = Vec::<Signature>::deserialize(list)
            .map_err(|error| unreadable(format!("signatures: {error}")))?;
        let signed = document.get_mut("signed").map(Value::take).ok_or_else(|| missing("signed"))?;
        let mut signatures = BTreeMap::new();
        for Signature { keyid, sig } in list {
            if signatures.contains_key(&keyid) {
                return Err(TufError::SignedTwice { role, key: keyid });
            }
            signatures.insert(keyid, sig);
        }
        let message = json::canonical(&signed).map_err(unreadable)?;
        Ok(Self { signed, message, signatures })
    }
}

/// A public key as root metadata lists it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(crate) struct Key {
    keytype: String,
    scheme: String,
    keyval: KeyValue,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
struct KeyValue {
    public: String,
}

impl Key {
    /// One line that tells this key from any other; persisted as part of a hash, so it never changes.
    pub(crate) fn line(&self) -> String {
        format!("{} {} {}\n", self.keytype, self.scheme, self.keyval.public)
    }

    /// The 32 bytes of an Ed25519 key; `None` for any other kind, which never counts here, but does not spoil a root either.
    fn ed25519(&self) -> Option<[u8; 32]> {
        if self.keytype != "ed25519" || self.scheme != "ed25519" {
            return None;
        }
        unhex(&self.keyval.public)?.try_into().ok()
    }
}

/// The keys of one role and how many of them must sign.
#[derive(Debug, Clone)]
pub(crate) struct Signers {
    threshold: u32,
    keys: Vec<(String, Key)>,
}

impl Signers {
    /// `keys` come under ids that differ; `threshold` is at least 1.
    pub(crate) fn new(threshold: u32, keys: Vec<(String, Key)>) -> Self {
        Self { threshold, keys }
    }

    /// The keys themselves, without ids, each once.
    pub(crate) fn distinct(&self) -> BTreeSet<&Key> {
        self.keys.iter().map(|(_, key)| key).collect()
    }

    /// How many different keys have signed; stops counting at the threshold.
    pub(crate) fn count(&self, envelope: &Envelope) -> usize {
        let mut signed = BTreeSet::new();
        for (id, key) in &self.keys {
            let Some((public, signature)) = key.ed25519().zip(envelope.signatures.get(id)) else { continue };
            let Some(signature) = unhex(signature) else { continue };
            if !signed.contains(&public)
                && UnparsedPublicKey::new(&ED25519, public).verify(&envelope.message, &signature).is_ok()
            {
                signed.insert(public);
                if signed.len() >= self.threshold as usize {
                    break;
                }
            }
        }
        signed.len()
    }

    /// Whether enough different keys have signed.
    pub(crate) fn agree(&self, role: Role, root: u64, envelope: &Envelope) -> Result<(), TufError> {
        let have = self.count(envelope);
        if have < self.threshold as usize {
            return Err(TufError::Threshold { role, have, need: self.threshold, root });
        }
        Ok(())
    }
}

/// Bytes from hexadecimal digits of either case.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    pairs.iter().map(|[high, low]| Some((digit(*high)? * 16 + digit(*low)?) as u8)).collect()
}

/// Hexadecimal digits in lower case.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // a String takes everything
        text
    })
}
