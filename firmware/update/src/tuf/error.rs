//! Why metadata is refused, in sentences that tell an operator which file was wrong and how.

use super::Role;
use crate::assignment::AssignmentError;

/// Why metadata is refused. What was trusted before stays trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TufError {
    /// More bytes than any such file has.
    #[error("the {role} metadata has more than {most} bytes")]
    TooLong {
        /// Of which role.
        role: Role,
        /// The most that is taken.
        most: u64,
    },
    /// No JSON, or not of the form that the specification gives the role.
    #[error("the {role} metadata is unreadable: {why}")]
    Unreadable {
        /// Of which role.
        role: Role,
        /// What is wrong, and where.
        why: String,
    },
    /// The file of another role.
    #[error("the {role} metadata says that it is {found:?}")]
    WrongType {
        /// What was asked for.
        role: Role,
        /// What came.
        found: String,
    },
    /// The same key id twice among the signatures (section 4.2.1).
    #[error("the {role} metadata carries two signatures of the key {key}")]
    SignedTwice {
        /// Of which role.
        role: Role,
        /// The key's id.
        key: String,
    },
    /// Too few of the keys that may sign did.
    #[error("the {role} metadata carries {have} of the {need} signatures that root {root} asks for")]
    Threshold {
        /// Of which role.
        role: Role,
        /// Valid signatures by different keys.
        have: usize,
        /// How many are needed.
        need: u32,
        /// The version of the root that names the keys.
        root: u64,
    },
    /// Another version than the one asked for.
    #[error("the {role} metadata has version {found} where {wanted} was asked for")]
    Version {
        /// Of which role.
        role: Role,
        /// Asked for.
        wanted: u64,
        /// In the file.
        found: u64,
    },
    /// Older than what this box has already seen signed.
    #[error("the {role} metadata of version {found} is older than version {floor}, which this box has seen")]
    Rollback {
        /// Of which role.
        role: Role,
        /// The least that is taken.
        floor: u64,
        /// What was offered.
        found: u64,
    },
    /// A snapshot that no longer lists a file which it listed (section 5.5.5).
    #[error("the snapshot metadata no longer lists {0}")]
    Unlisted(String),
    /// Out of date.
    #[error("the {role} metadata expired on {expired}")]
    Expired {
        /// Of which role.
        role: Role,
        /// The date that it carries.
        expired: String,
    },
    /// Not the file whose length and hash are signed.
    #[error("{what} is not the file that was signed: {why}")]
    Content {
        /// Which file.
        what: String,
        /// Length or hash.
        why: &'static str,
    },
    /// The server has no such file.
    #[error("{0} is not on the server")]
    Missing(String),
    /// The chain of roots goes on for longer than one run follows it; the next run goes on from there.
    #[error("there are more than {0} new roots")]
    TooManyRoots(u32),
    /// The assignment that stands for the clock is not for this box, or not fresh.
    #[error(transparent)]
    Assignment(#[from] AssignmentError),
    /// Something was given after the end.
    #[error("nothing was asked for")]
    NotAsked,
}
