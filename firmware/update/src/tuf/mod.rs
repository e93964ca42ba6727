//! A verifier of TUF 1.0 metadata (The Update Framework Specification, version 1.0.34) for a box: Ed25519 only, no sockets,
//! no files, no clock.
//!
//! A [`Verifier`] says what it wants next, is given it, and in the end is a [`Trusted`] list of what may be installed:
//!
//! ```ignore
//! let mut verifier = Verifier::new(state, Freshness::Clock(now))?;
//! while let Some(want) = verifier.wants() {
//!     let answer = fetch(&want.path, want.most_bytes)?;   // Missing is for 403 and 404 only
//!     let step = verifier.give(answer);
//!     save(verifier.state());                             // whatever came of it: only what was verified is in there
//!     step?;
//! }
//! let trusted = verifier.trusted();
//! ```
//!
//! What it holds to, by section of the specification: roots N, N+1, … each signed by the keys of both (5.3); expiry judged
//! after the last of them (5.3.10); floors and files under rotated online keys forgotten (5.3.11); timestamp, snapshot and
//! targets each signed by their role, of the version and, where given, the length and hashes that were listed, never older than seen, not expired
//! (5.4 to 5.6); different public keys counted, not signatures (4.2.1); sizes bounded before anything is read.
//! Delegations are under the signature but never followed (5.6.7): a box trusts no one but the four roles. Keys of other
//! kinds than Ed25519 may stand in a root and never count.
//!
//! Freshness comes from one of two places ([`Freshness`]): from a clock, or from an [assignment](crate::assignment) that the
//! timestamp role signed over this box's nonce. Then no clock is asked at all.

mod error;
mod json;
mod keys;
mod metadata;
mod publish;
mod verifier;

pub use error::TufError;
pub use json::canonical;
pub(crate) use keys::Envelope;
pub(crate) use metadata::seconds;
pub use metadata::{Hashes, Root, TargetInfo, Targets};
pub use publish::{key_entry, key_id, sign};
pub use verifier::{Answer, Freshness, State, Trusted, Verifier, Want};

/// Most roots that one run goes through. The next run goes on from there.
pub const MOST_ROOTS: u32 = 256;

/// Whose metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Names everybody's keys, its own too.
    Root,
    /// Names the newest snapshot.
    Timestamp,
    /// Names the versions that belong together.
    Snapshot,
    /// Names what may be installed.
    Targets,
    /// Not of the specification: says which target one box is to have, signed by the timestamp role.
    Assignment,
}

impl Role {
    /// As `_type` says it, and file names begin.
    pub fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Timestamp => "timestamp",
            Self::Snapshot => "snapshot",
            Self::Targets => "targets",
            Self::Assignment => "assignment",
        }
    }

    /// Most bytes of its metadata. A release adds a few hundred bytes to the targets; nothing else here grows.
    pub fn most_bytes(self) -> u64 {
        match self {
            Self::Root => 512 * 1024,
            Self::Timestamp | Self::Assignment => 16 * 1024,
            Self::Snapshot => 2 * 1024 * 1024,
            Self::Targets => 5 * 1024 * 1024,
        }
    }
}
