//! Shares: links and tokens for one camera, made by its owner, until they are taken back or over.
//!
//! A share's secret is 128 random bits and is shown once. Its id is half of the secret's hash, so the share of a secret is
//! found without a list of secrets, and neither the id nor the hash that is kept leads back to it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use enrol::name128;
use model::CameraId;
use sha2::{Digest as _, Sha256};

use crate::store::Portal;

/// Characters of a secret.
const LENGTH: usize = 26;

/// The id and the kept hash of a secret.
pub fn marks(secret: &str) -> (String, String) {
    let digest: [u8; 32] = Sha256::digest(secret).into();
    let mut half = [0; 16];
    half.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    (name128(half), STANDARD.encode(digest))
}

/// Whether this is the secret of a share of this camera that holds at this time, milliseconds since 1970.
pub fn opens(portal: &Portal, secret: &str, camera: &CameraId, now_ms: u64) -> bool {
    if secret.len() != LENGTH {
        return false;
    }
    let (id, hash) = marks(secret);
    portal.shares.get(&id).is_some_and(|share| {
        share.secret == hash
            && share.public_id == *camera
            && share.expires_ms.is_none_or(|expires_ms| now_ms < expires_ms)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Share;

    #[test]
    fn a_secret_opens_its_own_camera_until_its_share_is_over_or_gone() {
        let secret = name128([9; 16]);
        let (id, hash) = marks(&secret);
        let (gate, yard) = (CameraId::new("gate").unwrap(), CameraId::new("yard").unwrap());
        let share = Share {
            public_id: gate.clone(),
            kind: "link".into(),
            label: String::new(),
            secret: hash,
            made_by: String::new(),
            made_ms: 1,
            expires_ms: Some(100),
        };
        let mut portal = Portal::default();
        assert!(!opens(&portal, &secret, &gate, 1));
        portal.shares.put(&id, Some(share.clone()));
        assert!(opens(&portal, &secret, &gate, 99) && !opens(&portal, &secret, &gate, 100));
        assert!(!opens(&portal, &secret, &yard, 1));
        for wrong in [&id, &secret.to_uppercase(), &secret[..25], "", &name128([8; 16])] {
            assert!(!opens(&portal, wrong, &gate, 1), "{wrong}");
        }
        // Half of a hash is not the hash.
        portal.shares.put(&id, Some(Share { secret: marks("other").1, expires_ms: None, ..share }));
        assert!(!opens(&portal, &secret, &gate, 1));
    }
}
