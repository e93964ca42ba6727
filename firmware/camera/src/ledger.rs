//! Which passwords a device has refused. Pure: time is an argument.
//!
//! Invariant: a device that refused a login is not shown it again, by ONVIF nor by RTSP, before its time is
//! over. Cameras lock an account after a few failures, even for the right password.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use crate::backoff::refused_delay_ms;
use crate::session::probe::Login;

/// What is known of logins, by device.
#[derive(Debug, Default)]
pub struct Ledger {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    device: String,
    credential: u64,
    accepted: bool,
    refused_until_ms: Option<u64>,
    refusals: u32,
}

/// A login in a form that tells nothing of it; good only within one process.
fn fingerprint(login: &Login) -> u64 {
    let mut hasher = DefaultHasher::new();
    login.user.hash(&mut hasher);
    login.password.expose().hash(&mut hasher);
    hasher.finish()
}

impl Ledger {
    /// Whether the device may be shown this login at `now_ms`.
    pub fn allows(&self, device: &str, login: &Login, now_ms: u64) -> bool {
        self.wait_ms(device, login, now_ms) == 0
    }

    /// Milliseconds until the device may be shown this login again.
    pub fn wait_ms(&self, device: &str, login: &Login, now_ms: u64) -> u64 {
        let credential = fingerprint(login);
        self.entries
            .iter()
            .find(|entry| entry.device == device && entry.credential == credential)
            .and_then(|entry| entry.refused_until_ms)
            .map_or(0, |until| until.saturating_sub(now_ms))
    }

    /// The device accepted the login.
    pub fn accepted(&mut self, device: &str, login: &Login) {
        let entry = self.entry(device, login);
        entry.accepted = true;
        entry.refused_until_ms = None;
        entry.refusals = 0;
    }

    /// The device refused the login.
    pub fn refused(&mut self, device: &str, login: &Login, now_ms: u64) {
        let entry = self.entry(device, login);
        entry.refusals = entry.refusals.saturating_add(1);
        let second_chance = entry.accepted && entry.refusals == 1;
        entry.refused_until_ms = Some(now_ms.saturating_add(refused_delay_ms(second_chance)));
    }

    fn entry(&mut self, device: &str, login: &Login) -> &mut Entry {
        let credential = fingerprint(login);
        let known =
            self.entries.iter().position(|entry| entry.device == device && entry.credential == credential);
        let at = known.unwrap_or_else(|| {
            self.entries.push(Entry {
                device: device.to_owned(),
                credential,
                accepted: false,
                refused_until_ms: None,
                refusals: 0,
            });
            self.entries.len() - 1
        });
        &mut self.entries[at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(password: &str) -> Login {
        Login { user: "admin".into(), password: password.to_owned().into() }
    }

    #[test]
    fn a_refused_password_is_shown_once_in_half_an_hour() {
        let mut ledger = Ledger::default();
        let wrong = login("wrong");
        assert!(ledger.allows("10.0.0.1", &wrong, 0));
        ledger.refused("10.0.0.1", &wrong, 1_000);
        assert!(!ledger.allows("10.0.0.1", &wrong, 1_000 + 29 * 60_000));
        assert!(ledger.allows("10.0.0.1", &wrong, 1_000 + 30 * 60_000));
        assert!(ledger.allows("10.0.0.1", &login("other"), 2_000), "another password may be tried at once");
        assert!(ledger.allows("10.0.0.2", &wrong, 2_000), "and another device");
    }

    #[test]
    fn one_second_chance_for_a_password_that_worked() {
        let mut ledger = Ledger::default();
        let right = login("right");
        ledger.accepted("cam", &right);
        ledger.refused("cam", &right, 0);
        assert_eq!(ledger.wait_ms("cam", &right, 0), 60_000);
        ledger.refused("cam", &right, 60_000);
        assert_eq!(ledger.wait_ms("cam", &right, 60_000), 30 * 60_000);
        ledger.accepted("cam", &right);
        assert!(ledger.allows("cam", &right, 60_001));
    }
}
