//! Who may watch a camera that not everybody may: judged at once from what stands in memory, without the database.
//!
//! In this order: somebody who is signed in and has a role in the camera's tenant; the secret of a [`share`]; a token
//! ([`jwt`]) of the configured [`issuer`]; the configured decision [`hook`]. Whatever a stranger brings is looked at in the
//! same way whether the camera is there or not; only the hook is asked of cameras alone.

pub mod hook;
pub mod issuer;
pub mod jwt;
mod routes;
pub mod share;

use anyhow::Context as _;

use crate::config;
use crate::gateway::{Admission, Caller, Verdict};
use crate::http::Outgoing;
use crate::people::who;
use crate::store::{Directory, Store};

use hook::{Hook, Said};
use issuer::{Issuer, Opened, Wait};
pub use routes::routes;

/// Judges viewers.
#[derive(Debug)]
pub struct Access {
    store: Store,
    issuer: Option<Issuer>,
    hook: Option<Hook>,
}

impl Access {
    /// Judges as the operator chose. To be called within a runtime.
    ///
    /// # Errors
    /// When the extra roots cannot be read.
    pub fn start(store: Store, config: &config::Access) -> anyhow::Result<Self> {
        let server = |target| Outgoing::new(target, config.ca.as_deref()).context("[access] ca");
        let issuer = match config.jwks.clone() {
            Some(target) => Some(Issuer::start(server(target)?, config.audience.clone())),
            None => None,
        };
        let hook = match config.hook.clone() {
            Some(target) => Some(Hook::new(server(target)?.with_bearer(config.hook_token.clone()))),
            None => None,
        };
        Ok(Self { store, issuer, hook })
    }
}

impl Admission<Directory> for Access {
    fn judge(&self, directory: &Directory, caller: &Caller) -> Verdict {
        let now_ms = self.store.now_ms();
        let link = directory.link(caller.camera.as_str()).filter(|link| link.on);
        let tenant = link.map(|link| link.tenant);
        let who = who(directory, &caller.cookies, now_ms);
        if tenant.is_some_and(|tenant| who.is_some_and(|who| who.role(tenant).is_some())) {
            return Verdict::Yes;
        }
        if let Some(token) = &caller.token {
            if share::opens(directory.portal(), token.expose(), &caller.camera, now_ms) {
                return Verdict::Yes;
            }
            match self.issuer.as_ref().map(|issuer| issuer.open(token.expose(), now_ms)) {
                Some(Opened::Says(claims))
                    if tenant.is_some_and(|tenant| claims.name(caller.camera.as_str(), tenant)) =>
                {
                    return Verdict::Yes;
                }
                Some(Opened::Later(Wait(later))) => return Verdict::Later(later),
                _ => {}
            }
        }
        match (&self.hook, tenant) {
            (Some(hook), Some(tenant)) => match hook.decide(caller, tenant) {
                Said::Made(true) => Verdict::Yes,
                Said::Made(false) => Verdict::No,
                Said::Later(later) => Verdict::Later(later),
            },
            _ => Verdict::No,
        }
    }
}
