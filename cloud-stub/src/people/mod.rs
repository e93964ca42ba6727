//! People: who a request comes from, and what they may do.
//!
//! * [`who`] reads the cookie and asks the [`Directory`](crate::store::Directory) alone: no database, no time lost.
//! * [`Who`] as an argument of a handler is somebody who is signed in; for a request that changes something it is also
//!   certain that their own page has sent it. It needs [`Gate`] as an extension of the router.
//! * [`People`]: signing in, invitations, tenants and their people.

mod failure;
mod gate;
mod invitation;
mod members;
mod passwords;
mod refusal;
mod session;
mod turnstile;
mod who;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, patch, post};

pub use failure::{Answer, Failure};
pub use gate::Gate;
pub use passwords::{PasswordError, Passwords};
pub use refusal::Refusal;
pub use turnstile::Turnstile;
pub use who::{Who, fingerprint, who};

use crate::store::Store;

/// Tries to sign in from one address: an office behind one router, each mistyping now and then.
const OF_ADDRESS: (u32, u32) = (20, 20);
/// Tries at one account, from wherever: at most 16 in its first minute, 9,000 in a day.
const OF_ACCOUNT: (u32, u32) = (10, 6);

/// Signing in, invitations, tenants and their people.
#[derive(Debug)]
pub struct People {
    store: Store,
    passwords: Passwords,
    tries: Turnstile,
}

impl People {
    /// The people of this store.
    pub fn new(store: Store) -> Self {
        Self { store, passwords: Passwords::default(), tries: Turnstile::new(OF_ADDRESS, OF_ACCOUNT) }
    }

    /// What is under `/api/v1` for that. Needs [`Gate`] as an extension.
    pub fn routes(self) -> Router {
        Router::new()
            .route("/api/v1/session", post(session::sign_in).delete(session::sign_out))
            .route("/api/v1/me", get(session::me).patch(session::change_me))
            .route("/api/v1/invitations/{secret}", get(invitation::look).post(invitation::accept))
            .route("/api/v1/tenants", get(members::tenants).post(members::add_tenant))
            .route("/api/v1/tenants/{tenant}/people", get(members::list).post(members::invite))
            .route("/api/v1/tenants/{tenant}/people/{person}", patch(members::change).delete(members::remove))
            .route("/api/v1/tenants/{tenant}/audit", get(members::audit))
            .with_state(Arc::new(self))
    }
}
