//! Who may: the first claim, signing in, sessions. No sockets, no clock, no hashing: time and random bytes are arguments, and
//! whoever holds a [`Check`] or a [`Claim`] does the slow work on the password between two calls, without holding the gate.
//!
//! Invariants: a box gets an owner once, in its first minutes and from its own network; at most 30 passwords are checked in a
//! minute; and nothing that a stranger does ends a session or uses up the owner's own share of checks.

use std::net::IpAddr;
use std::time::Duration;

use model::Private;

use crate::known;
use crate::sessions::Sessions;
use crate::throttle::{Share, Throttle};

/// Random bytes for one session and one mark.
pub type Random = [u8; 32];

/// Why somebody may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The box has an owner.
    #[error("This box has an owner already: sign in with the password.")]
    Owned,
    /// Somebody else is claiming it at this moment.
    #[error("Somebody else is setting the password at this moment.")]
    Contended,
    /// The first minutes are over.
    #[error(
        "A password can be set only in the first minutes after the box was switched on: unplug it, plug it in again, and come back."
    )]
    Closed,
    /// Not in the box's own network.
    #[error("A password can be set only from the network that the box is plugged into.")]
    Far,
    /// Nobody has claimed the box yet.
    #[error("This box has no password yet: set one first.")]
    Unowned,
    /// The password is wrong.
    #[error("The password is wrong.")]
    Wrong,
    /// Too many passwords were tried; come again after this time.
    #[error("Too many passwords were tried: wait a little and try again.")]
    Later(Duration),
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visitor<'a> {
    /// The address.
    pub peer: IpAddr,
    /// Whether it is in one of the box's own networks.
    pub near: bool,
    /// The mark of a browser in which the owner has signed in before.
    pub mark: Option<&'a str>,
}

/// The right to claim the box; give it back with [`Gate::claimed`].
#[derive(Debug)]
#[must_use]
pub struct Claim(());

/// The right to check one password; give it back with [`Gate::checked`].
#[derive(Debug)]
#[must_use]
pub struct Check {
    /// What the password must fit.
    pub hash: Private<String>,
    share: Share,
}

/// What a browser keeps after signing in.
#[derive(Debug)]
pub struct Pass {
    /// The session.
    pub session: Private<String>,
    /// The browser's mark.
    pub mark: Private<String>,
}

/// The gate.
#[derive(Debug)]
pub struct Gate {
    /// The hash of the owner's password.
    owner: Option<Private<String>>,
    claiming: bool,
    claim_until: Duration,
    sessions: Sessions,
    throttle: Throttle,
}

impl Gate {
    /// A gate for a box with this owner, if any. Until `claim_until` it can be claimed.
    pub fn new(owner: Option<Private<String>>, claim_until: Duration) -> Self {
        let (sessions, throttle) = (Sessions::default(), Throttle::default());
        Self { owner, claiming: false, claim_until, sessions, throttle }
    }

    /// Whether the box has an owner.
    pub fn owned(&self) -> bool {
        self.owner.is_some()
    }

    /// How long the box can still be claimed by this visitor.
    pub fn claimable(&self, now: Duration, visitor: Visitor<'_>) -> Option<Duration> {
        let left = self.claim_until.checked_sub(now).filter(|left| !left.is_zero())?;
        (self.owner.is_none() && visitor.near).then_some(left)
    }

    /// Lets one visitor claim the box.
    ///
    /// # Errors
    /// [`Refused::Owned`], [`Refused::Contended`], [`Refused::Closed`] or [`Refused::Far`].
    pub fn claim(&mut self, now: Duration, visitor: Visitor<'_>) -> Result<Claim, Refused> {
        if self.owner.is_some() {
            return Err(Refused::Owned);
        }
        if !visitor.near {
            return Err(Refused::Far);
        }
        if now >= self.claim_until {
            return Err(Refused::Closed);
        }
        if self.claiming {
            return Err(Refused::Contended);
        }
        self.claiming = true;
        Ok(Claim(()))
    }

    /// Ends a claim: with the hash that the box keeps from now on, or with `None` when nothing came of it.
    #[allow(clippy::needless_pass_by_value, reason = "a claim ends once")]
    pub fn claimed(
        &mut self,
        now: Duration,
        claim: Claim,
        visitor: Visitor<'_>,
        kept: Option<(Private<String>, Random, Random)>,
    ) -> Option<Pass> {
        let Claim(()) = claim;
        self.claiming = false;
        let (hash, session, mark) = kept?;
        self.owner = Some(hash);
        self.throttle.know(visitor.peer);
        self.pass(now, session, mark)
    }

    /// Lets one password be checked.
    ///
    /// # Errors
    /// [`Refused::Unowned`] or [`Refused::Later`].
    pub fn check(&mut self, now: Duration, visitor: Visitor<'_>) -> Result<Check, Refused> {
        let hash = self.owner.clone().ok_or(Refused::Unowned)?;
        let browser = visitor.mark.is_some_and(|mark| known::holds(&hash, mark));
        let share = self.throttle.begin(now, visitor.peer, browser).map_err(Refused::Later)?;
        Ok(Check { hash, share })
    }

    /// Ends a check.
    ///
    /// # Errors
    /// [`Refused::Wrong`], also when the password was changed in the meantime.
    pub fn checked(&mut self, check: &Check, right: bool) -> Result<(), Refused> {
        self.throttle.done(check.share);
        // Both are hashes, so what comparing them tells is of no use to anybody.
        let current = self.owner.as_ref() == Some(&check.hash);
        if right && current { Ok(()) } else { Err(Refused::Wrong) }
    }

    /// Signs somebody in whose password was right.
    pub fn sign_in(
        &mut self,
        now: Duration,
        visitor: Visitor<'_>,
        session: Random,
        mark: Random,
    ) -> Option<Pass> {
        self.throttle.know(visitor.peer);
        self.pass(now, session, mark)
    }

    /// Whether the session is open; if so, it was used now.
    pub fn signed_in(&mut self, now: Duration, session: Option<&str>) -> bool {
        session.is_some_and(|session| self.sessions.holds(now, session))
    }

    /// Ends a session.
    pub fn sign_out(&mut self, session: &str) {
        self.sessions.close(session);
    }

    /// The box keeps another password from now on. Every session but this one ends, and every mark; this browser's new one.
    pub fn changed(
        &mut self,
        visitor: Visitor<'_>,
        session: &str,
        hash: Private<String>,
        mark: Random,
    ) -> Private<String> {
        self.sessions.close_others(session);
        self.throttle.forget();
        self.throttle.know(visitor.peer);
        let mark = known::mark(&hash, &nonce(mark));
        self.owner = Some(hash);
        Private::new(mark)
    }

    fn pass(&mut self, now: Duration, session: Random, mark: Random) -> Option<Pass> {
        let mark = Private::new(known::mark(self.owner.as_ref()?, &nonce(mark)));
        Some(Pass { session: self.sessions.open(now, session), mark })
    }
}

fn nonce(random: Random) -> [u8; known::NONCE_BYTES] {
    let mut nonce = [0; known::NONCE_BYTES];
    for (to, from) in nonce.iter_mut().zip(random) {
        *to = from;
    }
    nonce
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
