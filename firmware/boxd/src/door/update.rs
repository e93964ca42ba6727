//! `/api/v1/update`: the box's systems, what is under way, and how the last update ended. The set-up page shows the same.

use serde::Serialize;
use update::restart::Wait;

use crate::guard::word::{Ending, Held, Last};
use crate::state::Shared;
use crate::updater::Phase;

/// How the box stands with its updates.
#[derive(Debug, Serialize)]
pub(crate) struct UpdateView {
    /// The program's version.
    pub(crate) version: String,
    /// `single` where there is one system, which does not update itself; `idle`, `looking`, `installing`, `complete` (the next start
    /// runs the new one) or `trial` (the running one is new and has not shown yet that it is well).
    pub(crate) state: &'static str,
    /// The system that runs; null where there is one.
    pub(crate) running: Option<SystemView>,
    /// The system in the other slot; null where there is none.
    pub(crate) other: Option<SystemView>,
    /// What is being installed or waits for a restart; null when nothing does.
    pub(crate) coming: Option<ComingView>,
    /// How the last update ended; null before the first.
    pub(crate) last: Option<LastView>,
    /// How the last look for an update ended; null before the first.
    pub(crate) look: Option<LookView>,
    /// What is waited for before the box restarts into a complete one; null: nothing is complete, or only its owner's word counts.
    pub(crate) wait: Option<WaitView>,
    /// What was found on the USB stick that is plugged in; null without one, or before it was looked at.
    pub(crate) stick: Option<StickView>,
}

/// What the box waits for.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct WaitView {
    /// `owner` (put off), `window` (the site's hours), `time` (nobody has told the time), `viewers` or `cloud`.
    pub(crate) reason: &'static str,
    /// When that ends at the earliest, milliseconds since 1970; null: nobody knows.
    pub(crate) at_ms: Option<u64>,
    /// The same in seconds from now, where no time is known.
    pub(crate) in_s: Option<u64>,
}

/// A stick.
#[derive(Debug, Serialize)]
pub(crate) struct StickView {
    /// Whether its newest release is in place, or nothing on it is newer.
    pub(crate) good: bool,
    /// The version that was found; null when none was.
    pub(crate) version: Option<String>,
    /// In plain English.
    pub(crate) sentence: String,
}

/// What a slot holds.
#[derive(Debug, Serialize)]
pub(crate) struct SystemView {
    /// `a` or `b`.
    pub(crate) slot: String,
    /// Its version; null when nothing whole is there.
    pub(crate) version: Option<String>,
    /// `empty`, `trial`, `good`, `failed` or `unknown`.
    pub(crate) state: String,
}

/// A new system on its way.
#[derive(Debug, Serialize)]
pub(crate) struct ComingView {
    /// Its version.
    pub(crate) version: String,
    /// How much of it is in its place.
    pub(crate) percent: u64,
}

/// How an update ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct LastView {
    /// `committed`, `committed_blind`, `rolled_back`, `doubtful`, `again`, `no_verdict` or `given_up`.
    pub(crate) end: Ending,
    /// A short stable name of why it was not kept; null when it was.
    pub(crate) why: Option<&'static str>,
    /// The same in plain English.
    pub(crate) sentence: String,
    /// The version.
    pub(crate) version: String,
    /// When, milliseconds since 1970 on the box's clock.
    pub(crate) at_ms: u64,
}

/// How a look for an update ended.
#[derive(Debug, Serialize)]
pub(crate) struct LookView {
    /// Whether all is in order.
    pub(crate) good: bool,
    /// In plain English.
    pub(crate) sentence: String,
    /// When, milliseconds since 1970 on the box's clock.
    pub(crate) at_ms: u64,
}

/// How the box stands with its updates now.
pub(crate) fn update_view(shared: &Shared) -> UpdateView {
    let (guard, updater) = (shared.systems().guard(), shared.systems().updater());
    let guard = guard.filter(|guard| guard.running.is_some());
    let updater = updater.unwrap_or_default();
    let state = match (&guard, updater.phase) {
        (None, Phase::Idle) => "single",
        (Some(guard), _) if guard.trial => "trial",
        (Some(_), Phase::Idle) => "idle",
        (_, Phase::Looking) => "looking",
        (_, Phase::Installing) => "installing",
        (_, Phase::Complete) => "complete",
    };
    let guard = guard.unwrap_or_default();
    let percent = updater.percent();
    UpdateView {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        state,
        running: guard.running.map(system),
        other: guard.other.map(system),
        coming: updater.version.map(|version| ComingView { version, percent }),
        last: guard.last.map(last),
        look: updater.last.map(|look| LookView { good: look.good, sentence: look.why, at_ms: look.at_ms }),
        wait: shared.systems().wait().map(wait),
        stick: updater.stick.map(|found| StickView {
            good: found.good,
            version: found.version,
            sentence: found.why,
        }),
    }
}

fn wait(wait: Wait) -> WaitView {
    let view = |reason, at_ms, in_s| WaitView { reason, at_ms, in_s };
    match wait {
        Wait::Owner { in_s } => view("owner", None, Some(in_s)),
        Wait::Window { at } => view("window", at.map(|at| at.saturating_mul(1000)), None),
        Wait::Time { in_s } => view("time", None, Some(in_s)),
        Wait::Viewers => view("viewers", None, None),
        Wait::Cloud => view("cloud", None, None),
    }
}

fn system(held: Held) -> SystemView {
    SystemView { slot: held.slot, version: held.version, state: held.state }
}

/// How an update ended, in words.
pub(crate) fn last(last: Last) -> LastView {
    let version = &last.version;
    let then = match last.end {
        Ending::Committed => format!("Version {version} runs and is well."),
        Ending::CommittedBlind => {
            format!("Version {version} runs; there was no network to prove that it can update itself.")
        }
        Ending::RolledBack => format!("Version {version} was given up, the one before it runs."),
        Ending::Doubtful => {
            format!(
                "Version {version} was given up, but the one before it has the same trouble: it is tried again."
            )
        }
        Ending::Again => format!("Version {version} is tried once more."),
        Ending::NoVerdict => {
            format!("Version {version} did not show that it is well: it is tried again later.")
        }
        Ending::GivenUp => format!("Version {version} was given up for good, the one before it runs."),
    };
    let sentence = match last.why {
        Some(why) => format!("{then} The reason: {why}."),
        None => then,
    };
    LastView {
        end: last.end,
        why: last.why.map(update::health::Why::code),
        sentence,
        version: last.version,
        at_ms: last.at_s.saturating_mul(1000),
    }
}

#[cfg(test)]
mod tests {
    use update::health::Why;

    use super::*;
    use crate::cloud::Cloud;
    use crate::guard::word::Status;
    use crate::updater;

    #[test]
    fn the_owner_sees_what_runs_what_comes_and_how_the_last_update_ended() {
        let shared = Shared::new(Cloud::new(None, None));
        let view = serde_json::to_value(update_view(&shared)).unwrap();
        assert_eq!((&view["state"], &view["last"]), (&"single".into(), &serde_json::Value::Null));

        let held = |slot: &str, version: &str, state: &str| Held {
            slot: slot.into(),
            version: Some(version.into()),
            state: state.into(),
        };
        let ended = Last {
            end: Ending::RolledBack,
            why: Some(Why::Tunnel),
            version: "2".into(),
            system: String::new(),
            at_s: 9,
        };
        shared.systems().set_guard(Status {
            running: Some(held("a", "1", "good")),
            other: Some(held("b", "2", "failed")),
            trial: false,
            last: Some(ended),
        });
        let view = serde_json::to_value(update_view(&shared)).unwrap();
        assert_eq!(view["state"], "idle");
        assert_eq!((&view["running"]["version"], &view["other"]["state"]), (&"1".into(), &"failed".into()));
        assert_eq!((&view["last"]["end"], &view["last"]["why"]), (&"rolled_back".into(), &"tunnel".into()));
        let sentence = view["last"]["sentence"].as_str().unwrap();
        assert_eq!(
            sentence,
            "Version 2 was given up, the one before it runs. The reason: the tunnel to the cloud did not come back."
        );

        shared.systems().set_updater(updater::Status {
            phase: Phase::Installing,
            version: Some("3".into()),
            bytes: updater::Bytes { whole: 200, installed: 50, ..updater::Bytes::default() },
            ..updater::Status::default()
        });
        let view = serde_json::to_value(update_view(&shared)).unwrap();
        assert_eq!(view["state"], "installing");
        assert_eq!((&view["coming"]["version"], &view["coming"]["percent"]), (&"3".into(), &25.into()));

        assert_eq!(view["wait"], serde_json::Value::Null);
        shared.systems().set_wait(Some(Wait::Window { at: Some(1_795_000_000) }));
        let view = serde_json::to_value(update_view(&shared)).unwrap();
        let wait = serde_json::json!({"reason": "window", "at_ms": 1_795_000_000_000_u64, "in_s": null});
        assert_eq!(view["wait"], wait);
    }
}
