//! A box's identity: an Ed25519 key (RFC 8032) that is made once and survives a factory reset.

use model::BoxId;
use ring::signature::{Ed25519KeyPair, KeyPair as _};

use crate::name::box_id;

/// A box's Ed25519 key pair. Never printed; the caller keeps the 32 bytes of its seed.
pub struct Identity {
    pair: Ed25519KeyPair,
    public: [u8; 32],
    id: BoxId,
}

/// The bytes are no Ed25519 seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the identity key must be 32 bytes")]
pub struct InvalidIdentity;

impl Identity {
    /// The identity of a seed: 32 random bytes, kept secret.
    ///
    /// # Errors
    /// [`InvalidIdentity`] when it has another length.
    pub fn from_seed(seed: &[u8]) -> Result<Self, InvalidIdentity> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| InvalidIdentity)?;
        let public: [u8; 32] = pair.public_key().as_ref().try_into().map_err(|_| InvalidIdentity)?;
        let id = box_id(&public).ok_or(InvalidIdentity)?;
        Ok(Self { pair, public, id })
    }

    /// The public key, 32 bytes.
    pub fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// The box's name.
    pub fn box_id(&self) -> &BoxId {
        &self.id
    }

    /// 64 bytes over `message`.
    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }
}

impl core::fmt::Debug for Identity {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Identity").field("id", &self.id).finish_non_exhaustive()
    }
}
