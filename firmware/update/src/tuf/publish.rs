//! The other side: how metadata is signed. Whoever publishes and whoever verifies use the same canonical form.

use ring::digest::{SHA256, digest};
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};

use super::json::canonical;
use super::keys::hex;

/// A public key as root metadata lists it under [`key_id`].
pub fn key_entry(public: &[u8]) -> Value {
    json!({"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": hex(public)}})
}

/// The id of a public key: the SHA-256 of its canonical entry (section 4.2.2), in hexadecimal digits.
///
/// # Errors
/// Never for an entry that [`key_entry`] made; else as [`canonical`].
pub fn key_id(entry: &Value) -> Result<String, String> {
    Ok(hex(digest(&SHA256, &canonical(entry)?).as_ref()))
}

/// A document under the signatures of some keys: `{"signatures": […], "signed": …}`.
///
/// # Errors
/// As [`canonical`].
pub fn sign<'a>(signed: &Value, keys: impl IntoIterator<Item = &'a Ed25519KeyPair>) -> Result<Value, String> {
    let message = canonical(signed)?;
    let signatures = keys.into_iter().map(|pair| {
        let id = key_id(&key_entry(pair.public_key().as_ref()))?;
        Ok(json!({"keyid": id, "sig": hex(pair.sign(&message).as_ref())}))
    });
    Ok(json!({"signatures": signatures.collect::<Result<Vec<_>, String>>()?, "signed": signed}))
}
