//! Releases to thousands of boxes, ring by ring, and stopped before they do harm.
//!
//! ```text
//! boxes' questions ─┐             ┌─> answers                        a person's command ─┐
//! boxes' reports  ──┼─> [`State`] ┼─> events ─> store: fleet_event ─> every cloud's State │
//! the clock ────────┘   (no IO)   └──────────────────────────────────────────────────────┘
//! ```
//!
//! * [`State`] is the fold of all events, and has no other truth. [`State::decide`], [`State::told`], [`State::tick`] and
//!   [`State::command`] say what happens next; nothing has happened before it is written.
//! * [`Fleet`] writes them down, several clouds on one database as one. [`routes`] and [`console`] are what operators ask, at a
//!   page and at the command line: the same orders.
//! * [`Stage`]: rings, [`Tally`]: when a release has failed, [`Standing`]: how far a box is, [`Window`]: when a site's boxes may
//!   restart.
//!
//! A campaign: draft, then the canaries, 1, 5, 25 and 100 % of the boxes, then done. A person pauses, resumes, advances and
//! withdraws it; the machine halts it, and then only a person with a reason resumes it.

mod campaign;
mod command;
pub mod console;
mod decide;
mod desk;
mod event;
mod fold;
#[cfg(test)]
mod mishaps;
mod orders;
#[cfg(test)]
mod properties;
mod routes;
#[cfg(test)]
mod sample;
#[cfg(test)]
mod scenarios;
#[cfg(test)]
mod simulation;
mod stage;
mod state;
mod table;
mod tally;
mod tick;
mod told;
mod view;
mod window;
#[cfg(test)]
mod world;

pub use campaign::{Campaign, Place, Run, Standing};
pub use command::{Command, POSTPONE_MS, Steer, Unwilling};
pub use decide::{Answer, Ask, Decision, Site};
pub use desk::{Fleet, Note, Told, WORTH_KEEPING};
pub use event::{ALL, Draft, Event, Happening, PIN, Recorded};
pub use orders::{Care, Page, Undone, Words};
pub use routes::routes;
pub use stage::{Stage, bucket};
pub use state::{Known, Moving, State};
pub use tally::{Tally, bound};
pub use window::{Window, is_zone};

/// How long things take, milliseconds.
pub struct Timing;

impl Timing {
    /// How long a box may take to begin with what it was told: a night and a day, for a site with a window of its own.
    pub const DEADLINE: u64 = 36 * 3_600_000;
    /// A box that says nothing for so long after its restart has failed.
    pub const SILENT: u64 = 2 * 3_600_000;
    /// After so long it should have been heard of: a new system asks for its assignment before it is sure of itself.
    pub const OVERDUE: u64 = 10 * 60_000;
    /// A word that a box has said before its restart arrives within this, if at all.
    pub const LATE: u64 = 30_000;
    /// A box that runs a release for so long keeps it: it would have fallen back.
    pub const SETTLED: u64 = 3_600_000;
    /// How long a box that may restart has its site's turn.
    pub const CLEARED: u64 = 15 * 60_000;
    /// How often it is kept that a box has asked. Boxes ask each hour.
    pub const HEARD: u64 = 6 * 3_600_000;
    /// A box that was not heard of for so long is not waited for.
    pub const DAY: u64 = 24 * 3_600_000;
    /// How often a box may say that it is something else.
    pub const MEET: u64 = 10 * 60_000;
    /// How often a box that restarts may say so.
    pub const AGAIN: u64 = 60_000;
}
