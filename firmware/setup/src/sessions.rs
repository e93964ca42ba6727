//! Who is signed in. A browser holds 256 random bits; the box keeps only their hash, in memory, so sessions end with the process.

use std::time::Duration;

use model::Private;
use ring::digest::{SHA256, digest};

/// A session that nobody used for this long is over.
pub const IDLE: Duration = Duration::from_secs(12 * 3600);
/// Most sessions; one more ends the one that was unused longest.
pub const MOST: usize = 64;

/// The bytes that a session is made of.
pub(crate) const TOKEN_BYTES: usize = 32;

/// The sessions that are open. Time is what has passed since some fixed moment.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    open: Vec<Session>,
}

#[derive(Debug)]
struct Session {
    hash: [u8; 32],
    used: Duration,
}

impl Sessions {
    /// Opens one; what the browser gets. `random` comes from the system.
    pub(crate) fn open(&mut self, now: Duration, random: [u8; TOKEN_BYTES]) -> Private<String> {
        self.forget(now);
        if self.open.len() >= MOST {
            let oldest = self.open.iter().enumerate().min_by_key(|(_, session)| session.used);
            if let Some((oldest, _)) = oldest {
                self.open.swap_remove(oldest);
            }
        }
        self.open.push(Session { hash: hash(&random), used: now });
        Private::new(hex(&random))
    }

    /// Whether it is open; if so, it was used now.
    pub(crate) fn holds(&mut self, now: Duration, token: &str) -> bool {
        self.forget(now);
        let Some(wanted) = read(token).map(|token| hash(&token)) else { return false };
        let mut found = false;
        // All of them, and all bytes of each: how long it takes tells nothing.
        for session in &mut self.open {
            if same(&session.hash, &wanted) {
                session.used = now;
                found = true;
            }
        }
        found
    }

    /// Ends one.
    pub(crate) fn close(&mut self, token: &str) {
        let Some(wanted) = read(token).map(|token| hash(&token)) else { return };
        self.open.retain(|session| !same(&session.hash, &wanted));
    }

    /// Ends all but one.
    pub(crate) fn close_others(&mut self, token: &str) {
        let Some(kept) = read(token).map(|token| hash(&token)) else { return self.open.clear() };
        self.open.retain(|session| same(&session.hash, &kept));
    }

    fn forget(&mut self, now: Duration) {
        self.open.retain(|session| now.saturating_sub(session.used) < IDLE);
    }
}

fn hash(token: &[u8; TOKEN_BYTES]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, token).as_ref());
    hash
}

/// Compares in constant time.
fn same(one: &[u8; 32], other: &[u8; 32]) -> bool {
    one.iter().zip(other).fold(0, |all, (one, other)| all | (one ^ other)) == 0
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digit = |value: u8| DIGITS.get(usize::from(value)).copied().unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// A token as the browser sends it.
fn read(token: &str) -> Option<[u8; TOKEN_BYTES]> {
    unhex(token)?.try_into().ok()
}

/// What [`hex`] wrote.
pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    // A number of Rust's may begin with a sign.
    if !text.len().is_multiple_of(2) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_session_lives_as_long_as_it_is_used() {
        let mut sessions = Sessions::default();
        let token = sessions.open(Duration::ZERO, [5; 32]);
        assert_eq!(token.expose().len(), 64);
        assert!(sessions.holds(11 * HOUR, token.expose()));
        assert!(sessions.holds(22 * HOUR, token.expose()), "each use prolongs it");
        assert!(!sessions.holds(34 * HOUR, token.expose()));
        assert!(sessions.open.is_empty(), "nothing is kept of it");
    }

    #[test]
    fn only_the_very_bits_open_it_and_they_are_not_kept() {
        let mut sessions = Sessions::default();
        let token = sessions.open(Duration::ZERO, [5; 32]);
        let token = token.expose();
        let off_by_one = format!("{}6", &token[..63]);
        let cut = &token[..62];
        for wrong in ["", "05", &off_by_one, cut, &format!("{token}05"), &"+5".repeat(32), "ы"] {
            assert!(!sessions.holds(Duration::ZERO, wrong), "{wrong}");
        }
        assert!(!format!("{sessions:?}").contains("5, 5, 5, 5"), "{sessions:?}");
        sessions.close(token);
        assert!(!sessions.holds(Duration::ZERO, token));
    }

    #[test]
    fn the_longest_unused_makes_room_and_others_can_be_ended() {
        let mut sessions = Sessions::default();
        let at = |seconds: usize| Duration::from_secs(seconds as u64);
        let tokens: Vec<_> =
            (0..MOST).map(|number| sessions.open(at(number), [number as u8; 32]).expose().clone()).collect();
        assert!(sessions.holds(at(100), &tokens[0]));
        let newest = sessions.open(at(101), [99; 32]).expose().clone();
        assert!(sessions.holds(at(102), &tokens[0]), "it was used lately");
        assert!(!sessions.holds(at(102), &tokens[1]));
        assert_eq!(sessions.open.len(), MOST);
        sessions.close_others(&newest);
        assert!(sessions.holds(at(102), &newest) && !sessions.holds(at(102), &tokens[0]));
        sessions.close_others("none");
        assert!(!sessions.holds(at(102), &newest));
    }
}
