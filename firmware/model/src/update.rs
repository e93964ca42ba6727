//! What a box asks its cloud before it updates itself. The signature over it is the room `enrol`'s; the answer is an
//! assignment, whose form and signature are the room `update`'s.

use serde::{Deserialize, Serialize};

use crate::BoxId;

/// Which release shall I run? Signed, so that nobody can ask in a box's name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Who it is: the name of `identity`.
    #[serde(rename = "box")]
    pub box_id: BoxId,
    /// Its Ed25519 public key, base64.
    pub identity: String,
    /// 32 random bytes, 64 lower-case hexadecimal digits: the answer repeats them, so that an old answer is none.
    pub nonce: String,
    /// Its board.
    pub board: String,
    /// The version that it runs.
    pub version: String,
    /// The lowest security version that it takes.
    pub security: u32,
    /// Ed25519 over all of the above, base64.
    pub signature: String,
}
