//! What is known of updates: said by the process that fetches them, kept for the next start, shown by page and command line.

use serde::{Deserialize, Serialize};
use update::install::Progress;

use super::orders::Orders;
use crate::cloud::Files;

/// Where it is kept, below the state directory.
const FILE: &str = "update/status.json";

/// What the updater is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Phase {
    /// Nothing until the next look.
    #[default]
    Idle,
    /// Looking for an update.
    Looking,
    /// Bringing one into the other slot.
    Installing,
    /// It is there, and the next start runs it.
    Complete,
}

/// How far an installation is, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Bytes {
    /// Both images.
    pub(crate) whole: u64,
    /// Of them in their place.
    pub(crate) installed: u64,
    /// What has to be fetched, compressed.
    pub(crate) to_fetch: u64,
    /// Of that, what was fetched.
    pub(crate) fetched: u64,
    /// What would have to be fetched if nothing were at hand.
    pub(crate) download: u64,
}

/// How something ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// The version that it was about; `None`: none was found.
    pub(crate) version: Option<String>,
    /// Whether the version is in the other slot, or nothing had to be done.
    pub(crate) good: bool,
    /// A sentence.
    pub(crate) why: String,
    /// When, milliseconds since 1970 on the box's clock.
    pub(crate) at_ms: u64,
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Status {
    /// What is being done.
    pub(crate) phase: Phase,
    /// The version that is being installed or waits for a restart.
    pub(crate) version: Option<String>,
    /// How far it is.
    pub(crate) bytes: Bytes,
    /// The process that says this has fetched and verified, since it was started, what says which release to run: it could
    /// update itself.
    pub(crate) verified: bool,
    /// How the last look or installation ended.
    pub(crate) last: Option<Outcome>,
    /// What was ordered of the version that waits for a restart; `None`: nobody has, somebody brought it by hand.
    pub(crate) orders: Option<Orders>,
    /// How many looks have ended in this process, and how many of them were answered.
    pub(crate) looks: Looks,
    /// What came of [`Word::Leave`](super::word::Word::Leave); `None`: it was not said.
    pub(crate) leave: Option<bool>,
    /// What was found on the stick that is plugged in; `None` without one, or before it was looked at.
    pub(crate) stick: Option<Outcome>,
}

/// Looks of one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Looks {
    /// That have ended.
    pub(crate) ended: u64,
    /// That found what they asked for.
    pub(crate) answered: u64,
}

impl Status {
    /// What was kept; nothing when there is nothing, or nothing readable.
    pub(crate) fn kept(files: &Files) -> Self {
        let kept = files.read(FILE).ok().flatten();
        kept.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// Keeps it.
    ///
    /// # Errors
    /// When the state directory cannot be written; an update goes on without.
    pub(crate) fn keep(&self, files: &Files) -> std::io::Result<()> {
        let kept = Self { orders: None, looks: Looks::default(), leave: None, stick: None, ..self.clone() };
        files.write(FILE, &serde_json::to_vec(&kept)?)
    }

    /// Per cent of the images that are in their place.
    pub(crate) fn percent(&self) -> u64 {
        (self.bytes.installed * 100).checked_div(self.bytes.whole).unwrap_or(0)
    }
}

impl From<Progress> for Bytes {
    fn from(progress: Progress) -> Self {
        Self {
            whole: progress.sums.whole,
            installed: progress.installed,
            to_fetch: progress.sums.fetch,
            fetched: progress.fetched,
            download: progress.sums.fetch_whole,
        }
    }
}
