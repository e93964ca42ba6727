//! Why a new system was not kept. Each reason has a stable short code, by which the page finds its own words, and an English
//! sentence.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What the new system could not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// It never got as far as saying anything: its kernel or its start hung or crashed, as often as it was tried.
    NoVerdict,
    /// It stopped telling how it is.
    Silent,
    /// It ended by itself again and again.
    Dies,
    /// Its set-up page does not answer.
    Page,
    /// It cannot write its data.
    Data,
    /// Less than half of the cameras came back.
    Cameras,
    /// The tunnel did not come back.
    Tunnel,
    /// The cloud no longer takes its reports.
    Cloud,
    /// It cannot update itself: no fresh word about updates was fetched and verified.
    Update,
    /// All was well at times, but never for long enough.
    Flapping,
    /// Nobody knows what worked before, and there was no network to prove anything.
    Unproven,
}

impl Why {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::NoVerdict,
        Self::Silent,
        Self::Dies,
        Self::Page,
        Self::Data,
        Self::Cameras,
        Self::Tunnel,
        Self::Cloud,
        Self::Update,
        Self::Flapping,
        Self::Unproven,
    ];

    /// Whether the world outside may be to blame, so that the old system looks for itself.
    pub const fn outside(self) -> bool {
        matches!(self, Self::Cameras | Self::Tunnel | Self::Cloud | Self::Update | Self::Unproven)
    }

    /// Its stable name.
    pub const fn code(self) -> &'static str {
        match self {
            Self::NoVerdict => "no_verdict",
            Self::Silent => "silent",
            Self::Dies => "dies",
            Self::Page => "page",
            Self::Data => "data",
            Self::Cameras => "cameras",
            Self::Tunnel => "tunnel",
            Self::Cloud => "cloud",
            Self::Update => "update",
            Self::Flapping => "flapping",
            Self::Unproven => "unproven",
        }
    }

    /// The reason of a code.
    pub fn of(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|why| why.code() == code)
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoVerdict => "it did not come up as often as it was tried",
            Self::Silent => "it stopped telling how it is",
            Self::Dies => "its main program ended again and again",
            Self::Page => "its set-up page did not answer",
            Self::Data => "it could not write its data",
            Self::Cameras => "less than half of the cameras came back",
            Self::Tunnel => "the tunnel to the cloud did not come back",
            Self::Cloud => "the cloud did not take its reports",
            Self::Update => "it could not ask for updates itself",
            Self::Flapping => "it was well at times, but never for long enough",
            Self::Unproven => "there was no network to prove that it works",
        })
    }
}
