//! Which logins a device has refused. Pure: time is an argument, and a login comes as a keyed fingerprint that tells nothing
//! of it.
//!
//! Invariant: a device that refused a login is not shown it again, by ONVIF, RTSP or HTTP, by whichever of its pictures,
//! before its time is over; and while nobody knows whether a login is right, one connection at a time shows it. Cameras
//! lock an account after a few failures, even for the right password, so sixteen channels of a recorder must not find out
//! at once.

use serde::{Deserialize, Serialize};

use crate::backoff::refused_delay_ms;

/// A login was right a moment ago: for this long nobody waits for another's outcome, milliseconds.
const FRESH_MS: u64 = 5_000;
/// Most refusals that are remembered; beyond, the one that ends first goes.
const MOST: usize = 1024;

/// A login in a form that tells nothing of it: a keyed hash of user name and password, made by whoever has the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Credential(pub [u8; 16]);

/// A login at a device: what is counted together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Account {
    /// The device's host, whatever the port and protocol.
    pub device: String,
    /// The login.
    pub credential: Credential,
}

/// Whether a login may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Now.
    Go,
    /// Somebody else is showing it: wait for what comes of that.
    Busy,
    /// The device refused it.
    Refused {
        /// Milliseconds until it may be shown again.
        wait_ms: u64,
    },
}

/// What is known of logins, by device.
#[derive(Debug, Default)]
pub struct Ledger {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    account: Account,
    /// The last time that it was right.
    accepted_ms: Option<u64>,
    refused_until_ms: Option<u64>,
    refusals: u32,
    /// The device said that it is locked.
    locked: bool,
    /// Somebody is showing it.
    shown: bool,
}

/// A refusal to be kept over a restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// [`Account::device`].
    pub device: String,
    /// [`Account::credential`].
    pub credential: Credential,
    /// Milliseconds that were left when this was written.
    pub left_ms: u64,
}

impl Ledger {
    /// Whether the device may be shown this login at `now_ms`.
    pub fn verdict(&self, account: &Account, now_ms: u64) -> Verdict {
        let Some(entry) = self.find(account) else { return Verdict::Go };
        let wait_ms = entry.refused_until_ms.map_or(0, |until| until.saturating_sub(now_ms));
        let fresh = entry.accepted_ms.is_some_and(|at| now_ms.saturating_sub(at) < FRESH_MS);
        match (wait_ms, entry.shown && !fresh) {
            (0, false) => Verdict::Go,
            (0, true) => Verdict::Busy,
            (wait_ms, _) => Verdict::Refused { wait_ms },
        }
    }

    /// Notes that somebody shows it now, if that is allowed. After [`Verdict::Go`] one of [`Self::accepted`],
    /// [`Self::refused`] and [`Self::unknown`] must follow.
    pub fn show(&mut self, account: &Account, now_ms: u64) -> Verdict {
        let verdict = self.verdict(account, now_ms);
        if verdict == Verdict::Go {
            self.entry(account).shown = true;
        }
        verdict
    }

    /// The device accepted the login.
    pub fn accepted(&mut self, account: &Account, now_ms: u64) {
        let entry = self.entry(account);
        entry.shown = false;
        entry.accepted_ms = Some(now_ms);
        entry.refused_until_ms = None;
        entry.refusals = 0;
    }

    /// The device refused the login: it is not shown again for half an hour, or for `at_least_ms` if the device said so
    /// much. A login that was right before gets one second chance after a minute: a restarting camera may refuse what it
    /// accepts then.
    pub fn refused(&mut self, account: &Account, now_ms: u64, at_least_ms: u64) {
        let entry = self.entry(account);
        entry.shown = false;
        entry.refusals = entry.refusals.saturating_add(1);
        let second_chance = entry.accepted_ms.is_some() && entry.refusals == 1;
        let wait = refused_delay_ms(second_chance).max(at_least_ms);
        entry.refused_until_ms = Some(now_ms.saturating_add(wait));
        entry.locked = at_least_ms > 0;
    }

    /// The device said neither: it did not answer, or needed no login.
    pub fn unknown(&mut self, account: &Account) {
        if let Some(at) = self.place(account) {
            self.entries[at].shown = false;
        }
    }

    /// Whether a refusal is a lock-out rather than a wrong password: the device says so, or the login was right before.
    pub fn worked(&self, account: &Account) -> bool {
        self.find(account).is_some_and(|entry| entry.locked || entry.accepted_ms.is_some())
    }

    /// What a restart must not forget.
    pub fn refusals(&self, now_ms: u64) -> Vec<Refusal> {
        let left = |entry: &Entry| entry.refused_until_ms.map_or(0, |until| until.saturating_sub(now_ms));
        self.entries
            .iter()
            .filter(|entry| left(entry) > 0)
            .map(|entry| Refusal {
                device: entry.account.device.clone(),
                credential: entry.account.credential,
                left_ms: left(entry),
            })
            .collect()
    }

    /// Takes up what an earlier run kept, `passed_ms` after it was written.
    pub fn restore(&mut self, refusals: Vec<Refusal>, passed_ms: u64, now_ms: u64) {
        for refusal in refusals {
            // No device locks for longer than a day; a file that says so is damaged.
            let left = refusal.left_ms.min(86_400_000).saturating_sub(passed_ms);
            if left > 0 {
                let entry = self.entry(&Account { device: refusal.device, credential: refusal.credential });
                entry.refusals = 1;
                entry.refused_until_ms = Some(now_ms.saturating_add(left));
            }
        }
    }

    fn find(&self, account: &Account) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.account == *account)
    }

    fn place(&self, account: &Account) -> Option<usize> {
        self.entries.iter().position(|entry| entry.account == *account)
    }

    fn entry(&mut self, account: &Account) -> &mut Entry {
        let at = self.place(account).unwrap_or_else(|| {
            if self.entries.len() >= MOST {
                let spare = self.entries.iter().enumerate().filter(|(_, entry)| !entry.shown);
                let first =
                    spare.min_by_key(|(_, entry)| entry.refused_until_ms.unwrap_or(0)).map(|(at, _)| at);
                self.entries.swap_remove(first.unwrap_or(0));
            }
            self.entries.push(Entry {
                account: account.clone(),
                accepted_ms: None,
                refused_until_ms: None,
                refusals: 0,
                locked: false,
                shown: false,
            });
            self.entries.len() - 1
        });
        &mut self.entries[at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HALF_HOUR: u64 = 30 * 60_000;

    fn account(device: &str, login: u8) -> Account {
        Account { device: device.into(), credential: Credential([login; 16]) }
    }

    fn wait(ledger: &Ledger, account: &Account, now: u64) -> u64 {
        match ledger.verdict(account, now) {
            Verdict::Refused { wait_ms } => wait_ms,
            _ => 0,
        }
    }

    #[test]
    fn a_refused_password_is_shown_once_in_half_an_hour() {
        let mut ledger = Ledger::default();
        let wrong = account("10.0.0.1", 1);
        assert_eq!(ledger.show(&wrong, 0), Verdict::Go);
        ledger.refused(&wrong, 1_000, 0);
        assert_eq!(wait(&ledger, &wrong, 1_000), HALF_HOUR);
        assert_eq!(ledger.show(&wrong, 1_000 + HALF_HOUR - 1), Verdict::Refused { wait_ms: 1 });
        assert_eq!(ledger.show(&wrong, 1_000 + HALF_HOUR), Verdict::Go);
        assert_eq!(ledger.show(&account("10.0.0.1", 2), 2_000), Verdict::Go, "another password at once");
        assert_eq!(ledger.show(&account("10.0.0.2", 1), 2_000), Verdict::Go, "and another device");
    }

    #[test]
    fn one_second_chance_for_a_password_that_worked() {
        let mut ledger = Ledger::default();
        let right = account("cam", 1);
        ledger.accepted(&right, 0);
        ledger.refused(&right, 0, 0);
        assert_eq!(wait(&ledger, &right, 0), 60_000);
        assert!(ledger.worked(&right));
        ledger.refused(&right, 60_000, 0);
        assert_eq!(wait(&ledger, &right, 60_000), HALF_HOUR);
        ledger.accepted(&right, 60_001);
        assert_eq!(ledger.verdict(&right, 60_001), Verdict::Go);
    }

    #[test]
    fn a_device_that_says_so_is_locked() {
        let mut ledger = Ledger::default();
        let login = account("cam", 1);
        ledger.refused(&login, 0, 0);
        assert!(!ledger.worked(&login), "a wrong password");
        ledger.refused(&login, HALF_HOUR, 2 * HALF_HOUR);
        assert!(ledger.worked(&login));
        assert_eq!(wait(&ledger, &login, HALF_HOUR), 2 * HALF_HOUR);
    }

    #[test]
    fn sixteen_channels_of_a_recorder_show_a_wrong_password_once() {
        let mut ledger = Ledger::default();
        let login = account("recorder", 1);
        let verdicts: Vec<_> = (0..16).map(|_| ledger.show(&login, 0)).collect();
        assert_eq!(verdicts.iter().filter(|verdict| **verdict == Verdict::Go).count(), 1);
        assert!(verdicts[1..].iter().all(|verdict| *verdict == Verdict::Busy));
        ledger.refused(&login, 10, 0);
        assert!(wait(&ledger, &login, 10) > 0);
    }

    #[test]
    fn once_a_password_is_right_nobody_queues_and_later_one_goes_first_again() {
        let mut ledger = Ledger::default();
        let login = account("recorder", 1);
        assert_eq!(ledger.show(&login, 0), Verdict::Go);
        ledger.accepted(&login, 100);
        assert_eq!(ledger.show(&login, 200), Verdict::Go);
        assert_eq!(ledger.show(&login, 200), Verdict::Go, "it was right a moment ago");
        ledger.unknown(&login);
        // The password was changed meanwhile, and all channels come back.
        assert_eq!(ledger.show(&login, 3_600_000), Verdict::Go);
        assert_eq!(ledger.show(&login, 3_600_000), Verdict::Busy);
        ledger.unknown(&login);
        assert_eq!(ledger.show(&login, 3_600_000), Verdict::Go, "who had no answer holds up nobody");
    }

    #[test]
    fn a_restart_forgets_no_refusal_and_no_minute_of_it() {
        let mut ledger = Ledger::default();
        let wrong = account("10.0.0.1", 1);
        ledger.refused(&wrong, 0, 0);
        ledger.refused(&account("10.0.0.2", 1), 0, 2 * HALF_HOUR);
        ledger.accepted(&account("10.0.0.3", 1), 0);
        let kept = ledger.refusals(60_000);
        assert_eq!(kept.len(), 2);
        let mut again = Ledger::default();
        again.restore(kept.clone(), 60_000, 5);
        assert_eq!(wait(&again, &wrong, 5), HALF_HOUR - 120_000);
        let mut late = Ledger::default();
        late.restore(kept, HALF_HOUR, 5);
        assert_eq!(late.verdict(&wrong, 5), Verdict::Go);
        assert!(wait(&late, &account("10.0.0.2", 1), 5) > 0);
    }

    proptest! {
        #[test]
        fn never_two_failures_of_one_login_within_a_minute_and_bounded(
            steps in proptest::collection::vec((0_u8..3, 0_u8..3, 0_u8..3, 0_u64..40_000), 1..200)
        ) {
            let mut ledger = Ledger::default();
            let mut last = std::collections::BTreeMap::<(u8, u8), u64>::new();
            let mut now = 0;
            for (device, login, outcome, passed) in steps {
                now += passed;
                let account = account(&format!("d{device}"), login);
                if ledger.show(&account, now) != Verdict::Go { continue }
                match outcome {
                    0 => ledger.accepted(&account, now),
                    1 => {
                        if let Some(before) = last.insert((device, login), now) {
                            prop_assert!(now - before >= 60_000);
                        }
                        ledger.refused(&account, now, 0);
                    }
                    _ => ledger.unknown(&account),
                }
            }
        }
    }
}
