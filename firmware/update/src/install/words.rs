//! What an installer asks for, what it is told, and why it gives up.

use std::ops::Range;
use std::sync::Arc;

use super::chunk::Spoiled;
use crate::release::ImageKind;

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Read these bytes of an image of the running slot.
    ReadRunning {
        /// Which image.
        image: ImageKind,
        /// Which bytes of it.
        range: Range<u64>,
    },
    /// Read these bytes of an image of the target slot.
    ReadTarget {
        /// Which image.
        image: ImageKind,
        /// Which bytes of it.
        range: Range<u64>,
    },
    /// Fetch a file from a mirror.
    Fetch {
        /// Which mirror, from 0.
        mirror: usize,
        /// The file below the mirror's address or folder.
        path: String,
        /// Its signed length: not a byte more is read.
        bytes: u32,
        /// Give up when nothing arrives for so long, milliseconds.
        stall_ms: u64,
        /// Give up when it is not whole after so long, milliseconds.
        whole_ms: u64,
    },
    /// Take from the target slot that it holds a system: from now on it is written.
    Begin,
    /// Write into an image of the target slot.
    Write {
        /// Which image.
        image: ImageKind,
        /// Where in it, bytes.
        at: u64,
        /// What.
        bytes: Arc<Vec<u8>>,
    },
    /// Everything is written: read it back, and make the slot the one that is tried next.
    Complete,
    /// Nothing before this moment.
    Wait {
        /// In the installer's milliseconds.
        until_ms: u64,
    },
    /// The slot is complete.
    Done,
    /// Given up. What is in the target slot stays there for the next try.
    Failed {
        /// Why.
        why: Failure,
    },
}

/// What became of an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// What was read, all of it.
    Read(Vec<u8>),
    /// It cannot be read.
    Unreadable,
    /// What was fetched.
    Fetched(Vec<u8>),
    /// It was not fetched.
    NotFetched(Fault),
    /// The target slot holds no system any more, and that would survive a power cut.
    Begun,
    /// It is written.
    Written,
    /// The slot was read back and is tried next.
    Completed,
    /// Begin, Write or Complete did not work: why.
    Refused(String),
}

/// Why a file was not fetched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Nobody answers, or the file cannot be opened.
    #[error("{0}")]
    Unreachable(String),
    /// An answer other than 200.
    #[error("it answers with status {code}")]
    Status {
        /// The status (RFC 9110, 15).
        code: u16,
        /// When it wants to be asked again, milliseconds from now.
        retry_after_ms: Option<u64>,
    },
    /// It announces another length than the signed one.
    #[error("it offers {offered} bytes")]
    Length {
        /// Content-Length.
        offered: u64,
    },
    /// Nothing arrived for the stall limit.
    #[error("it stopped sending")]
    Stalled,
    /// Not whole at its deadline.
    #[error("it sends too slowly")]
    Late,
    /// The connection ended early.
    #[error("the connection broke off")]
    Broken,
    /// It came whole and is not the chunk.
    #[error("{0}")]
    Spoiled(#[from] Spoiled),
}

/// Why an installation was given up. Displayed, a sentence for the owner.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The description contradicts itself.
    #[error("{0}")]
    Description(#[from] crate::release::ReleaseError),
    /// The slot is too small.
    #[error("the release needs {needed} bytes for its {image:?} image, and the slot has {room}")]
    NoRoom {
        /// Which image.
        image: ImageKind,
        /// Its length.
        needed: u64,
        /// The partition's.
        room: u64,
    },
    /// Pieces are missing, and nobody has them.
    #[error("{bytes} bytes are missing and there is nowhere to fetch them from")]
    Nowhere {
        /// As they would travel.
        bytes: u64,
    },
    /// One chunk could not be had.
    #[error("a piece of the release could not be fetched in {tries} tries; the last time: {last}")]
    Fetch {
        /// How often it was tried.
        tries: u32,
        /// Why not, the last time.
        last: Fault,
    },
    /// The target slot could not be opened for writing.
    #[error("the other slot cannot be prepared: {0}")]
    Begin(String),
    /// The target slot could not be written.
    #[error("the other slot cannot be written: {0}")]
    Write(String),
    /// The target slot is not what was written, or could not be made the next one.
    #[error("the other slot cannot be completed: {0}")]
    Complete(String),
}
