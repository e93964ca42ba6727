//! What a box asks its cloud before it updates itself, and what it tells of its update. The signatures over both are the
//! room `enrol`'s; the answer to a question is an assignment, whose form and signature are the room `update`'s.

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

/// Most bytes of [`Report::campaign`].
pub const CAMPAIGN: usize = 64;
/// Most bytes of [`Report::why`].
pub const WHY: usize = 500;
/// Most bytes of [`Report::journal`].
pub const JOURNAL: usize = 8 << 10;

/// How far my update is. Signed, so that nobody can tell it in a box's name; told again until the cloud has answered, so
/// one may come twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Who it is: the name of `identity`.
    #[serde(rename = "box")]
    pub box_id: BoxId,
    /// Its Ed25519 public key, base64.
    pub identity: String,
    /// The campaign of the assignment that it follows; empty: none, a release from a folder or a stick. At most
    /// [`CAMPAIGN`] bytes.
    pub campaign: String,
    /// The version that it is about.
    pub version: String,
    /// The version that runs now; empty when the box cannot tell.
    pub running: String,
    /// How far it is.
    pub phase: Phase,
    /// Why, in plain English; empty when there is nothing to say. At most [`WHY`] bytes.
    pub why: String,
    /// The last lines of the box's journal, without secrets; empty when there are none. At most [`JOURNAL`] bytes.
    pub journal: String,
    /// When it came to this, milliseconds since 1970 on the box's clock.
    pub at_ms: u64,
    /// Ed25519 over all of the above, base64.
    pub signature: String,
}

/// How far an update is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It is being brought into the other slot.
    Fetching,
    /// It is there; the next start runs it.
    Ready,
    /// The box restarts into it now.
    Restarting,
    /// It runs and stays.
    Committed,
    /// It does not run: it could not be installed, or was given up.
    Failed,
}

impl Phase {
    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fetching => "fetching",
            Self::Ready => "ready",
            Self::Restarting => "restarting",
            Self::Committed => "committed",
            Self::Failed => "failed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_has_one_name() {
        for phase in [Phase::Fetching, Phase::Ready, Phase::Restarting, Phase::Committed, Phase::Failed] {
            assert_eq!(serde_json::to_value(phase).unwrap(), phase.name());
        }
    }
}
