//! What has happened, in the words that are kept. The table is only ever added to: an event that was written stays as it was
//! read, so words are added here and none is ever changed.

use model::BoxId;
use serde::{Deserialize, Serialize};

use super::Stage;

/// The campaign of a box that was pinned to a version: none that anybody runs.
pub const PIN: &str = "pin";
/// The campaign of a cloud where the newest release is for everyone.
pub const ALL: &str = "all";

/// Something that has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// One more than the one before.
    pub id: u64,
    /// When, milliseconds since 1970 by the cloud's clock.
    pub at_ms: u64,
    /// What.
    pub what: Happening,
}

/// What has happened, and to what, before it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happening {
    /// The campaign's id, [`PIN`], or empty.
    pub campaign: String,
    /// The box.
    pub box_id: Option<BoxId>,
    /// What.
    pub event: Event,
}

impl Happening {
    /// Something that concerns a campaign as a whole.
    pub fn of_campaign(campaign: &str, event: Event) -> Self {
        Self { campaign: campaign.to_owned(), box_id: None, event }
    }

    /// Something that concerns a box, whatever the campaign.
    pub fn of_box(box_id: &BoxId, event: Event) -> Self {
        Self { campaign: String::new(), box_id: Some(box_id.clone()), event }
    }

    /// Something that concerns a box in a campaign.
    pub fn of(campaign: &str, box_id: &BoxId, event: Event) -> Self {
        Self { campaign: campaign.to_owned(), box_id: Some(box_id.clone()), event }
    }
}

/// The words. `who` is a person's id, empty for the command line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Event {
    /// A campaign was written down.
    Drafted(Draft),
    /// It began.
    Started {
        /// Who began it.
        who: String,
        /// Why.
        why: String,
    },
    /// A person stopped it for a while.
    Paused {
        /// Who.
        who: String,
        /// Why.
        why: String,
    },
    /// A person let it go on; what was counted before does not count any more.
    Resumed {
        /// Who.
        who: String,
        /// Why.
        why: String,
    },
    /// A person ended it for good.
    Withdrawn {
        /// Who.
        who: String,
        /// Why.
        why: String,
    },
    /// A person opened the next ring before its time.
    Advanced {
        /// The ring.
        stage: Stage,
        /// Who.
        who: String,
        /// Why.
        why: String,
    },
    /// The next ring was opened.
    Opened {
        /// The ring.
        stage: Stage,
    },
    /// All rings are through.
    Done,
    /// The machine stopped it.
    Halted {
        /// Why.
        why: String,
    },
    /// A box says what it is and runs, for the first time or anew.
    Met {
        /// Its board.
        board: String,
        /// What it runs.
        version: String,
    },
    /// A person chose a box's version, or none.
    Pinned {
        /// The version.
        version: Option<String>,
        /// Who.
        who: String,
    },
    /// A person holds a box where it is, or lets it go.
    Held {
        /// Why; `None`: not held any more.
        why: Option<String>,
        /// Who.
        who: String,
    },
    /// Its owner wants no update before this.
    Postponed {
        /// Milliseconds since 1970.
        until_ms: u64,
        /// Who.
        who: String,
    },
    /// A box was told the release.
    Offered {
        /// Its version.
        version: String,
    },
    /// A box that was told it has asked again: kept a few times a day.
    Heard,
    /// A box may restart, and has its site's turn.
    Cleared,
    /// It did not, and the turn is the site's again.
    Lapsed,
    /// It fetches.
    Fetching,
    /// Something stands in the way of what it fetches; it tries again.
    Stuck {
        /// What.
        why: String,
    },
    /// It has everything.
    Ready,
    /// It restarts.
    Restarting,
    /// It has not restarted after all: that the cloud had heard it never arrived there.
    Stayed,
    /// It was heard of after its restart, and ran this.
    Back {
        /// The version.
        version: String,
    },
    /// It keeps the release.
    Committed {
        /// More about it.
        why: String,
    },
    /// It does not.
    Failed {
        /// Why.
        why: String,
        /// The end of its journal.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        journal: String,
    },
    /// It was not heard of after its restart.
    Silent,
    /// What a later version of this program has written.
    #[serde(other)]
    Unknown,
}

/// A campaign as a person wrote it down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    /// What people call it.
    pub name: String,
    /// The version that it brings.
    pub version: String,
    /// The boards that it is for; empty: all.
    pub boards: Vec<String>,
    /// The boxes that go first.
    pub canaries: Vec<BoxId>,
    /// How long a ring is watched before the next one is opened, seconds.
    pub bake_s: u64,
    /// More about it.
    pub note: String,
    /// Who wrote it.
    pub who: String,
}
