//! When a box restarts into a system that waits in the other slot. Pure: time, viewers and wishes come in as arguments.
//!
//! In this order: what the owner said last; the site's window; nobody watches, unless the deadline has passed; and then the
//! cloud is asked afresh, since another box of the site may be at it. A window is a matter of trusted time only: a clock that
//! anybody in the LAN can set opens none. A box that nobody tells the time does not wait for ever, though.

use serde::{Deserialize, Serialize};

/// Nobody has watched for so long, seconds: players ask every few seconds, and one that was reloaded is back by then.
pub const QUIET_S: u64 = 60;
/// A box that nobody has told the time restarts so long after the installation, seconds, whatever its windows.
pub const UNTIMED_S: u64 = 24 * 3600;
/// And so long after it, whoever watches.
pub const UNTIMED_LATE_S: u64 = 48 * 3600;
/// Longest time for which the owner may put a restart off, seconds.
pub const LATER_S: u64 = 24 * 3600;

/// A span of time in which a site's boxes may restart, seconds since 1970; `to` is no longer in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Its begin.
    pub from: u64,
    /// Its end.
    pub to: u64,
}

/// What the owner of the box wants of a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Now, whoever watches.
    Now,
    /// Not for so many seconds more, whatever the deadline says.
    Later(u64),
}

/// What the decision is made by.
#[derive(Debug, Clone, Copy)]
pub struct Moment<'a> {
    /// The site's windows; none: at any time.
    pub windows: &'a [Window],
    /// From when on viewers hold nothing back, seconds since 1970.
    pub deadline: Option<u64>,
    /// Seconds since 1970, as somebody trusted has told it since the start; `None`: nobody has.
    pub trusted: Option<u64>,
    /// Seconds since the system is there, or since this start when it was there before.
    pub waited_s: u64,
    /// Seconds since somebody watched; `None`: nobody has since the start.
    pub quiet_s: Option<u64>,
    /// What the owner wants.
    pub wish: Option<Wish>,
    /// What the cloud has said a moment ago to a fresh question; `None`: it was not asked.
    pub permit: Option<bool>,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Restart.
    Go,
    /// Ask the cloud whether the box may, and decide again.
    Ask,
    /// Wait.
    Wait(Wait),
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "for")]
pub enum Wait {
    /// The owner put it off.
    Owner {
        /// Seconds.
        in_s: u64,
    },
    /// The site's window.
    Window {
        /// When it opens, seconds since 1970; null: the cloud has not said when the next one is.
        at: Option<u64>,
    },
    /// Nobody has told the time, so nobody knows when the window is.
    Time {
        /// It is not waited for longer than that, seconds.
        in_s: u64,
    },
    /// Somebody watches.
    Viewers,
    /// Another box of the site restarts, or the campaign rests.
    Cloud,
}

/// Decides.
pub fn decide(moment: &Moment<'_>) -> Step {
    match moment.wish {
        Some(Wish::Now) => return Step::Go,
        Some(Wish::Later(in_s)) if in_s > 0 => return Step::Wait(Wait::Owner { in_s }),
        Some(Wish::Later(_)) | None => {}
    }
    if let Some(wait) = closed(moment) {
        return Step::Wait(wait);
    }
    let late = match moment.trusted {
        Some(now) => moment.deadline.is_some_and(|deadline| now >= deadline),
        None => moment.waited_s >= UNTIMED_LATE_S,
    };
    if !late && moment.quiet_s.is_some_and(|quiet_s| quiet_s < QUIET_S) {
        return Step::Wait(Wait::Viewers);
    }
    match moment.permit {
        None => Step::Ask,
        Some(true) => Step::Go,
        Some(false) => Step::Wait(Wait::Cloud),
    }
}

/// Why the site's window is closed; `None`: it is open.
fn closed(moment: &Moment<'_>) -> Option<Wait> {
    if moment.windows.is_empty() {
        return None;
    }
    let Some(now) = moment.trusted else {
        let in_s = UNTIMED_S.saturating_sub(moment.waited_s);
        return (in_s > 0).then_some(Wait::Time { in_s });
    };
    if moment.windows.iter().any(|window| (window.from..window.to).contains(&now)) {
        return None;
    }
    let at = moment.windows.iter().map(|window| window.from).filter(|from| *from > now).min();
    Some(Wait::Window { at })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NIGHT: [Window; 2] = [Window { from: 1_000, to: 2_000 }, Window { from: 5_000, to: 6_000 }];
    /// At noon of a site without a window that nobody has ever watched.
    const NOON: Moment<'_> = Moment {
        windows: &[],
        deadline: Some(9_000),
        trusted: Some(3_000),
        waited_s: 10,
        quiet_s: None,
        wish: None,
        permit: Some(true),
    };

    #[test]
    fn a_box_restarts_in_its_window_when_nobody_watches_and_the_cloud_lets_it() {
        let window = |trusted| Moment { windows: &NIGHT, trusted, ..NOON };
        let wait = Step::Wait;
        let table: [(&str, Moment<'_>, Step); 28] = [
            ("no window, nobody watches", NOON, Step::Go),
            ("not asked yet", Moment { permit: None, ..NOON }, Step::Ask),
            ("another box of the site is at it", Moment { permit: Some(false), ..NOON }, wait(Wait::Cloud)),
            ("before the first window", window(Some(999)), wait(Wait::Window { at: Some(1_000) })),
            ("its first second", window(Some(1_000)), Step::Go),
            ("its last second", window(Some(1_999)), Step::Go),
            ("its end", window(Some(2_000)), wait(Wait::Window { at: Some(5_000) })),
            ("the next night", window(Some(5_500)), Step::Go),
            ("after the last one", window(Some(6_000)), wait(Wait::Window { at: None })),
            ("the deadline opens no window", window(Some(9_500)), wait(Wait::Window { at: None })),
            ("in the window, not asked", Moment { permit: None, ..window(Some(1_500)) }, Step::Ask),
            ("nobody knows the time", window(None), wait(Wait::Time { in_s: UNTIMED_S - 10 })),
            (
                "nor for a day",
                Moment { waited_s: UNTIMED_S - 1, ..window(None) },
                wait(Wait::Time { in_s: 1 }),
            ),
            ("a day is enough", Moment { waited_s: UNTIMED_S, ..window(None) }, Step::Go),
            ("without a window no time is needed", Moment { trusted: None, ..NOON }, Step::Go),
            ("somebody watches", Moment { quiet_s: Some(0), ..NOON }, wait(Wait::Viewers)),
            ("somebody did a minute ago", Moment { quiet_s: Some(59), ..NOON }, wait(Wait::Viewers)),
            ("and is gone", Moment { quiet_s: Some(60), ..NOON }, Step::Go),
            (
                "watched in the window",
                Moment { quiet_s: Some(0), ..window(Some(1_500)) },
                wait(Wait::Viewers),
            ),
            (
                "a second before the deadline",
                Moment { quiet_s: Some(0), trusted: Some(8_999), ..NOON },
                wait(Wait::Viewers),
            ),
            ("at the deadline", Moment { quiet_s: Some(0), trusted: Some(9_000), ..NOON }, Step::Go),
            (
                "no deadline",
                Moment { quiet_s: Some(0), deadline: None, trusted: Some(u64::MAX), ..NOON },
                wait(Wait::Viewers),
            ),
            (
                "watched, and nobody knows the time",
                Moment { quiet_s: Some(0), waited_s: UNTIMED_S, ..window(None) },
                wait(Wait::Viewers),
            ),
            (
                "watched for two days",
                Moment { quiet_s: Some(0), waited_s: UNTIMED_LATE_S, ..window(None) },
                Step::Go,
            ),
            (
                "the owner wants it now",
                Moment { wish: Some(Wish::Now), quiet_s: Some(0), permit: None, ..window(Some(3_000)) },
                Step::Go,
            ),
            (
                "the owner wants it later, whatever the deadline",
                Moment { wish: Some(Wish::Later(7)), trusted: Some(9_500), ..NOON },
                wait(Wait::Owner { in_s: 7 }),
            ),
            ("later has come", Moment { wish: Some(Wish::Later(0)), ..NOON }, Step::Go),
            (
                "later has come in no window",
                Moment { wish: Some(Wish::Later(0)), ..window(Some(3_000)) },
                wait(Wait::Window { at: Some(5_000) }),
            ),
        ];
        for (case, moment, step) in table {
            assert_eq!(decide(&moment), step, "{case}");
        }
    }

    #[test]
    fn what_is_waited_for_has_a_name() {
        let told = serde_json::to_value(Wait::Window { at: Some(5) }).unwrap();
        assert_eq!(told, serde_json::json!({"for": "window", "at": 5}));
        assert_eq!(serde_json::to_value(Wait::Viewers).unwrap(), serde_json::json!({"for": "viewers"}));
    }
}
