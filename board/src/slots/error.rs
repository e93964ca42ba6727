//! Why something about a slot was not done.

use embedded_svc::io;

use super::Image;
use crate::block::DiskError;
use crate::boot::TableError;
use crate::env::EnvError;
use crate::header::HeaderError;
use crate::slot::SlotName;

/// Why. Each leaves the running slot as it was.
#[derive(Debug, thiserror::Error)]
pub enum SlotError {
    /// The disk failed.
    #[error("a slot on the disk: {0}")]
    Disk(#[from] DiskError),
    /// The environment could not be written.
    #[error(transparent)]
    Env(#[from] EnvError),
    /// The table is unreadable.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The header has no room for what it is to say.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// Only a healthy system may overwrite the other one.
    #[error("slot {0} runs and has not shown yet that it is healthy; nothing is installed from it")]
    NotGood(SlotName),
    /// Two at once would write over each other.
    #[error("somebody else is writing to slot {0}; it is free when that has ended")]
    Busy(SlotName),
    /// It does not fit.
    #[error("{image:?} of {bytes} bytes does not fit its partition, which has room for {room}")]
    Large {
        /// Which one.
        image: Image,
        /// Its length.
        bytes: u64,
        /// What the partition takes.
        room: u64,
    },
    /// Outside the image, as the header says how long it is.
    #[error("bytes {at} to {end} are not of the {image:?} image")]
    Outside {
        /// Which one.
        image: Image,
        /// First byte.
        at: u64,
        /// Byte behind the last.
        end: u64,
    },
    /// The disk does not give back what was to be there.
    #[error("the {1:?} image in slot {0} does not have the hash that it was released with")]
    Corrupt(SlotName, Image),
    /// There is no system in a slot that should have one.
    #[error("slot {0} has no header")]
    NoSystem(SlotName),
    /// The stream ended before both images were written.
    #[error("the update ended after {0} of {1} bytes")]
    Incomplete(u64, u64),
    /// `initiate_update` without [`Slots::announce`](super::Slots::announce).
    #[error("nobody has said which system is to be installed")]
    Unannounced,
    /// There is no third system to go back to.
    #[error("this box has no factory system; its settings are reset by its button")]
    NoFactory,
    /// The slot was marked; whoever asked must restart the box now.
    #[error("slot {0} is marked as failed; the box is to be restarted")]
    Restart(SlotName),
}

impl io::Error for SlotError {
    fn kind(&self) -> io::ErrorKind {
        match self {
            Self::Disk(DiskError::Medium(error)) | Self::Env(EnvError::Disk(DiskError::Medium(error))) => {
                error.kind().into()
            }
            Self::Disk(DiskError::Range { .. }) | Self::Outside { .. } | Self::Header(_) => {
                io::ErrorKind::InvalidInput
            }
            Self::Large { .. } => io::ErrorKind::OutOfMemory,
            Self::Corrupt(..) => io::ErrorKind::InvalidData,
            Self::NoFactory => io::ErrorKind::Unsupported,
            _ => io::ErrorKind::Other,
        }
    }
}
