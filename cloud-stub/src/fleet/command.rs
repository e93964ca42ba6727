//! What people tell a campaign or a box, and when that is possible.

use model::BoxId;

use super::campaign::{Campaign, Run};
use super::event::{Draft, Event, Happening};
use super::state::State;

/// Longest name, characters.
const NAME: usize = 100;
/// Longest note or reason, characters.
const NOTE: usize = 1000;
/// Longest version or board, bytes.
const WORD: usize = 64;
/// Most canaries.
const CANARIES: usize = 1000;
/// Most boards.
const BOARDS: usize = 50;
/// Most campaigns that are kept.
const CAMPAIGNS: usize = 2000;
/// Longest time that a ring is watched, seconds.
const BAKE_S: u64 = 30 * 24 * 3600;
/// Longest time that a box can be spared, milliseconds.
pub const POSTPONE_MS: u64 = 168 * 3_600_000;

/// What a person wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Write down a campaign under this new id.
    Draft {
        /// The id.
        campaign: String,
        /// What.
        draft: Draft,
    },
    /// Something with a campaign that is there.
    Steer {
        /// Its id.
        campaign: String,
        /// What.
        how: Steer,
        /// Why.
        reason: String,
    },
    /// Keep a box at a version, or no longer.
    Pin {
        /// The box.
        box_id: BoxId,
        /// The version.
        version: Option<String>,
    },
    /// Keep a box as it is, or no longer.
    Hold {
        /// The box.
        box_id: BoxId,
        /// Why.
        reason: Option<String>,
    },
    /// Leave a box alone for a while.
    Postpone {
        /// The box.
        box_id: BoxId,
        /// Until when, milliseconds since 1970.
        until_ms: u64,
    },
}

/// What can be done with a campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Steer {
    /// Begin.
    Start,
    /// Stop for a while.
    Pause,
    /// Go on.
    Resume,
    /// Open the next ring now.
    Advance,
    /// End.
    Withdraw,
}

impl Steer {
    /// Its word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Advance => "advance",
            Self::Withdraw => "withdraw",
        }
    }
}

/// Why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unwilling {
    /// No such campaign.
    #[error("there is no such campaign")]
    NotThere,
    /// Not as it stands.
    #[error("{0}")]
    NotNow(&'static str),
    /// Not in these words.
    #[error("{0}")]
    Unfit(&'static str),
}

impl State {
    /// What happens by a person's command.
    ///
    /// # Errors
    /// [`Unwilling`], and nothing happens.
    pub fn command(&self, command: Command, who: &str, now_ms: u64) -> Result<Vec<Happening>, Unwilling> {
        let who = who.to_owned();
        let of_box = |box_id: &BoxId, event| Ok(vec![Happening::of_box(box_id, event)]);
        match command {
            Command::Draft { campaign, draft } => {
                if self.campaigns().len() >= CAMPAIGNS || self.campaigns().contains_key(&campaign) {
                    return Err(Unwilling::NotNow("There are too many campaigns."));
                }
                let event = Event::Drafted(Draft { who, ..checked(draft)? });
                Ok(vec![Happening::of_campaign(&campaign, event)])
            }
            Command::Steer { campaign, how, reason } => {
                let found = self.campaigns().get(&campaign).ok_or(Unwilling::NotThere)?;
                let event = found.steered(how, who, &reason)?;
                Ok(vec![Happening::of_campaign(&campaign, event)])
            }
            Command::Pin { box_id, version } => {
                if version.as_ref().is_some_and(|version| !is_word(version)) {
                    return Err(Unwilling::Unfit("A version has 1 to 64 signs."));
                }
                of_box(&box_id, Event::Pinned { version, who })
            }
            Command::Hold { box_id, reason } => {
                let why = reason.map(|reason| said(&reason)).transpose()?;
                of_box(&box_id, Event::Held { why, who })
            }
            Command::Postpone { box_id, until_ms } => {
                if until_ms > now_ms + POSTPONE_MS {
                    return Err(Unwilling::Unfit("An update can be postponed by 168 hours at most."));
                }
                of_box(&box_id, Event::Postponed { until_ms, who })
            }
        }
    }
}

impl Campaign {
    fn steered(&self, how: Steer, who: String, reason: &str) -> Result<Event, Unwilling> {
        // Whoever begins it has said why in its note.
        let why = if how == Steer::Start && reason.trim().is_empty() { String::new() } else { said(reason)? };
        match (how, self.run) {
            (Steer::Start, Run::Draft) => Ok(Event::Started { who, why }),
            (Steer::Start, _) => Err(Unwilling::NotNow("It has begun already.")),
            (Steer::Pause, Run::Running) => Ok(Event::Paused { who, why }),
            (Steer::Resume, Run::Paused | Run::Halted) => Ok(Event::Resumed { who, why }),
            (Steer::Resume, _) => Err(Unwilling::NotNow("It is not stopped.")),
            (Steer::Advance, Run::Running) => {
                let stage = self.stage.next().ok_or(Unwilling::NotNow("It is open to all already."))?;
                Ok(Event::Advanced { stage, who, why })
            }
            (Steer::Pause | Steer::Advance, _) => Err(Unwilling::NotNow("It does not run.")),
            (Steer::Withdraw, Run::Withdrawn) => Err(Unwilling::NotNow("It is withdrawn already.")),
            (Steer::Withdraw, _) => Ok(Event::Withdrawn { who, why }),
        }
    }
}

fn checked(draft: Draft) -> Result<Draft, Unwilling> {
    let name = draft.name.trim().to_owned();
    if !(1..=NAME).contains(&name.chars().count()) || name.chars().any(char::is_control) {
        return Err(Unwilling::Unfit("A name has 1 to 100 letters."));
    }
    if !is_word(&draft.version) || !draft.boards.iter().all(|board| is_word(board)) {
        return Err(Unwilling::Unfit("A version or a board has 1 to 64 signs."));
    }
    if draft.boards.len() > BOARDS || draft.canaries.len() > CANARIES {
        return Err(Unwilling::Unfit("A campaign names at most 50 boards and 1000 boxes to go first."));
    }
    if draft.bake_s > BAKE_S {
        return Err(Unwilling::Unfit("A ring is watched for 30 days at most."));
    }
    if draft.note.chars().count() > NOTE {
        return Err(Unwilling::Unfit("A note has at most 1000 letters."));
    }
    Ok(Draft { name, ..draft })
}

fn is_word(text: &str) -> bool {
    (1..=WORD).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// A reason that was given.
fn said(reason: &str) -> Result<String, Unwilling> {
    let reason = reason.trim();
    if (1..=NOTE).contains(&reason.chars().count()) {
        Ok(reason.to_owned())
    } else {
        Err(Unwilling::Unfit("Say why, in 1 to 1000 letters."))
    }
}
