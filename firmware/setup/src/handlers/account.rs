//! The owner's account: first claim, signing in and out, another password, factory reset.

use model::Private;
use serde::Deserialize;

use super::{Answer, Ask, Cookie, Desk, Fault, Language, Nothing, Page, Request, World, lock};
use crate::gate::{Pass, Refused};
use crate::password::{self, PasswordError};
use crate::sessions;

/// How long a browser keeps its mark, seconds: a year.
const MARK_S: u64 = 365 * 24 * 3600;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Claim {
    password: Private<String>,
    language: Option<Language>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    password: Private<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewPassword {
    old: Private<String>,
    new: Private<String>,
}

impl From<PasswordError> for Fault {
    fn from(error: PasswordError) -> Self {
        let (status, code) = match error {
            PasswordError::TooShort => (400, "password_too_short"),
            PasswordError::TooLong => (400, "password_too_long"),
            PasswordError::Failed => (503, "busy"),
        };
        Self::new(status, code, error.to_string())
    }
}

impl<D: Desk, W: World> Page<D, W> {
    /// The first password makes its giver the owner.
    pub(super) fn claim(&self, request: &Request<'_>) -> Result<Answer, Fault> {
        let Claim { password, language } = request.json()?;
        password::judge(&password)?;
        let (salt, session, mark) = (self.random()?, self.random()?, self.random()?);
        let claim = lock(&self.gate).claim(self.world.now(), request.visitor())?;
        let kept = self.hashed(&password, salt).and_then(|hash| {
            self.done(Ask::SetPassword { hash: hash.expose().clone() })?;
            Ok(hash)
        });
        let (kept, failed) = match kept {
            Ok(hash) => (Some((hash, session, mark)), None),
            Err(fault) => (None, Some(fault)),
        };
        let pass = lock(&self.gate).claimed(self.world.now(), claim, request.visitor(), kept);
        let Some(pass) = pass else { return Err(failed.unwrap_or_else(Fault::unexpected)) };
        if let Some(language) = language {
            // The box has its owner by now; a language that is not kept is asked for again.
            if self.done(Ask::SetSite { language: Some(language), name: None }).is_ok() {
                lock(&self.site).language = Some(language);
            }
        }
        Ok(passed(request, &pass))
    }

    pub(super) fn login(&self, request: &Request<'_>) -> Result<Answer, Fault> {
        let Given { password } = request.json()?;
        let (session, mark) = (self.random()?, self.random()?);
        self.check(request, &password)?;
        let pass = lock(&self.gate).sign_in(self.world.now(), request.visitor(), session, mark);
        let pass = pass.ok_or(Refused::Unowned)?;
        // Only for the list of what happened.
        let _ = self.desk.ask(Ask::SignedIn { peer: request.peer() });
        Ok(passed(request, &pass))
    }

    pub(super) fn logout(&self, request: &Request<'_>) -> Result<Answer, Fault> {
        let Nothing {} = request.json()?;
        lock(&self.gate).sign_out(request.cookie(Cookie::Session).unwrap_or_default());
        let gone = Cookie::Session.line(request.secure(), "", 0);
        Ok(Answer::done().with("set-cookie", gone))
    }

    pub(super) fn change_password(&self, request: &Request<'_>) -> Result<Answer, Fault> {
        let NewPassword { old, new } = request.json()?;
        password::judge(&new)?;
        let (salt, mark) = (self.random()?, self.random()?);
        self.check(request, &old)?;
        let hash = self.hashed(&new, salt)?;
        self.done(Ask::SetPassword { hash: hash.expose().clone() })?;
        let session = request.cookie(Cookie::Session).unwrap_or_default();
        let mark = lock(&self.gate).changed(request.visitor(), session, hash, mark);
        Ok(Answer::done().with("set-cookie", Cookie::Mark.line(request.secure(), mark.expose(), MARK_S)))
    }

    pub(super) fn reset(&self, request: &Request<'_>) -> Result<Answer, Fault> {
        let Given { password } = request.json()?;
        self.check(request, &password)?;
        self.done(Ask::FactoryReset)
    }

    /// Whether it is the owner's password, as far as another check may be made now.
    fn check(&self, request: &Request<'_>, password: &Private<String>) -> Result<(), Fault> {
        let check = lock(&self.gate).check(self.world.now(), request.visitor())?;
        let right = {
            let _one_at_a_time = lock(&self.kiln);
            password::verify(&check.hash, password)
        };
        lock(&self.gate).checked(&check, right)?;
        Ok(())
    }

    fn hashed(&self, password: &Private<String>, salt: [u8; 32]) -> Result<Private<String>, Fault> {
        let _one_at_a_time = lock(&self.kiln);
        let mut half = [0; 16];
        for (to, from) in half.iter_mut().zip(salt) {
            *to = from;
        }
        Ok(password::hash(password, half)?)
    }
}

/// What a session's cookie looks like.
pub(super) fn session_line(request: &Request<'_>, session: &str) -> String {
    Cookie::Session.line(request.secure(), session, sessions::IDLE.as_secs())
}

fn passed(request: &Request<'_>, pass: &Pass) -> Answer {
    Answer::done()
        .with("set-cookie", session_line(request, pass.session.expose()))
        .with("set-cookie", Cookie::Mark.line(request.secure(), pass.mark.expose(), MARK_S))
}
