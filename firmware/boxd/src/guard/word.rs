//! What the box and its guard tell each other: one JSON object in each datagram of a socket pair, so that no message can be cut
//! in two and nobody waits for the other to read. What the other end does not know is left out, so that neither end of a new
//! version stops an old one; both are the same program today.

use serde::{Deserialize, Serialize};
use update::health::{Facts, Why};

/// Most bytes of a message.
pub(crate) const MOST: usize = 4096;
/// The environment variable that holds the number of the box's descriptor.
pub(crate) const VARIABLE: &str = "STREAMBOX_GUARD_FD";

/// What the guard tells the box, for its pages.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Status {
    /// What runs; `None` on a board with one system only.
    pub(crate) running: Option<Held>,
    /// What is in the other slot.
    pub(crate) other: Option<Held>,
    /// Whether the running system is on trial.
    pub(crate) trial: bool,
    /// How the last update ended.
    pub(crate) last: Option<Last>,
}

/// What a slot holds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Held {
    /// `a` or `b`.
    pub(crate) slot: String,
    /// The version that people read; `None`: nothing whole.
    pub(crate) version: Option<String>,
    /// `empty`, `trial`, `good`, `failed` or `unknown`.
    pub(crate) state: String,
}

/// How an update ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Last {
    /// The end.
    pub(crate) end: Ending,
    /// Why it was not kept.
    #[serde(default)]
    pub(crate) why: Option<Why>,
    /// The version.
    pub(crate) version: String,
    /// Which system exactly: the first 16 digits of the SHA-256 of its root.
    pub(crate) system: String,
    /// When, by the box's clock, seconds since 1970.
    pub(crate) at_s: u64,
}

/// The ways in which an update ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ending {
    /// The new system stays.
    Committed,
    /// It stays although there was no network to prove it.
    CommittedBlind,
    /// It was given up.
    RolledBack,
    /// It was given up, but the old one has the same trouble: it is tried again, once.
    Doubtful,
    /// It is tried once more after [`Ending::Doubtful`].
    Again,
    /// It ended without a verdict: it is tried again, a few times.
    NoVerdict,
    /// It is not tried again: the old system can do what it could not, or it was tried often enough.
    GivenUp,
}

/// Reads a fact; `None` for anything else.
pub(crate) fn facts(message: &[u8]) -> Option<Facts> {
    serde_json::from_slice(message).ok()
}

/// Reads what the guard says; `None` for anything else.
pub(crate) fn status(message: &[u8]) -> Option<Status> {
    serde_json::from_slice(message).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_as_written_and_rubbish_is_none() {
        let told = Facts { page_answers: true, delivering: 3, ..Facts::default() };
        assert_eq!(facts(&serde_json::to_vec(&told).unwrap()), Some(told));
        // Of a box of another version: what it does not say is not so.
        assert_eq!(facts(br#"{"page_answers":true,"delivering":3,"weather":"fine"}"#), Some(told));
        for rubbish in [&b""[..], b"{", b"7", b"{\"delivering\":-1}", &[0xff; 4096]] {
            assert_eq!(facts(rubbish), None, "{rubbish:?}");
        }
        let last = r#"{"end":"rolled_back","why":"tunnel","version":"2","system":"ab","at_s":5}"#;
        let last: Last = serde_json::from_str(last).unwrap();
        assert_eq!((last.end, last.why), (Ending::RolledBack, Some(Why::Tunnel)));
        let held = Held { slot: "a".into(), version: Some("9".repeat(24)), state: "unknown".into() };
        let last = Last { version: "9".repeat(24), at_s: u64::MAX, ..last };
        let status = Status { running: Some(held.clone()), other: Some(held), trial: true, last: Some(last) };
        let written = serde_json::to_vec(&status).unwrap();
        assert!(written.len() < MOST / 4);
        assert_eq!(super::status(&written), Some(status));
    }
}
