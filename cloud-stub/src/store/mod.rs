//! What must survive a restart: boxes, cameras, sessions of enrolment, a few settings; in SQLite or PostgreSQL.
//!
//! Every question to the database ends within seconds, with an answer or an [`Error`] that says what to do. Whatever
//! was answered is on the disk. What hub and gateway need is in the [`Directory`], which outlives the database's
//! troubles; it follows the database within [`POLL`], whichever process has changed it.

mod audit;
mod claim;
mod database;
mod directory;
mod error;
mod fleet;
mod fold;
mod follow;
mod found;
mod invitation;
mod join;
mod link;
mod listen;
mod login;
mod map;
mod member;
mod message;
mod network;
mod node;
mod person;
mod place;
mod portal;
mod reports;
mod rollout;
mod session;
mod setting;
mod share;
mod source;
mod sourced;
#[cfg(test)]
pub(crate) mod stage;
mod status;
mod tenant;
mod world;

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use enrol::name128;
use model::BoxId;
use ring::hmac;
use tokio::sync::{Notify, watch};

pub use audit::{Audit, Audited, By};
pub use claim::{ClaimWords, Claimed};
pub use directory::{BoxRow, BoxState, CameraRow, Directory, Seen, Watched};
pub use error::{Error, Refused};
pub(crate) use fold::Kept;
pub use follow::POLL;
pub use found::Found;
pub use invitation::{Chosen, Invitation};
pub use join::Admitted;
pub use link::{From, Link};
pub use login::{LOGIN_LIFE_MS, NewLogin};
pub use network::{InvalidNetwork, Network};
pub use place::{CameraWords, SiteWords};
pub use portal::{Access, Login, Node, Person, Portal, Role, Share, Site, Source, Table, Tenant, WirePeer};
pub(crate) use rollout::Of;
pub use session::{CODE_LIFE_S, HelloWords, Movement, SessionRow};
pub use share::NewShare;
pub use source::NewSource;
pub use world::{System, World};

use database::Database;
use reports::Pending;

use crate::http::Up;
use crate::nodes::Pulses;

/// What a store must know beside its database.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where boxes get their addresses.
    pub network: Network,
    /// Where the public links begin, without a slash at the end.
    pub url: String,
}

/// The open store; a handle, cheap to clone.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    database: Database,
    options: Options,
    world: Box<dyn World>,
    /// Hashes codes.
    codes: hmac::Key,
    directory: watch::Sender<Arc<Directory>>,
    /// Whoever reads changes: one after the other, so that the picture never goes back.
    reading: tokio::sync::Mutex<()>,
    /// Wakes the follower: this process has changed something.
    nudge: Notify,
    /// Whether the database tells of changes by itself.
    listening: AtomicBool,
    /// Which clouds leave stamps.
    pulses: Mutex<Pulses>,
    /// Who waits for a session to move.
    waiting: Mutex<HashMap<String, Arc<Notify>>>,
    /// Whether the database worked when it was last asked in passing.
    up: Up,
    /// Reports that need not be written at once.
    pending: Mutex<HashMap<BoxId, Pending>>,
    /// When it was last written where a box is found, milliseconds since 1970, and what.
    found: Mutex<HashMap<BoxId, (u64, u64)>>,
}

impl Store {
    /// Opens the database at `url` (`sqlite:PATH` or `postgres://…`), brings its tables up to date and reads the
    /// directory.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn open(url: &str, options: Options, world: impl World) -> Result<Self, Error> {
        let database = Database::open(url).await?;
        if let Err(error) = tenant::adopt(&database, &world).await {
            // The next start does it; until then nobody but an operator sees those boxes in the portal.
            tracing::warn!("{error}");
        }
        let codes = setting::code_key(&database, &world).await?;
        let directory = follow::whole(&database).await?;
        let inner = Inner {
            database,
            options,
            world: Box::new(world),
            codes,
            directory: watch::Sender::new(Arc::new(directory)),
            reading: tokio::sync::Mutex::default(),
            nudge: Notify::new(),
            listening: AtomicBool::default(),
            pulses: Mutex::default(),
            waiting: Mutex::default(),
            up: Up::default(),
            pending: Mutex::default(),
            found: Mutex::default(),
        };
        Ok(Self(Arc::new(inner)))
    }

    /// The boxes and cameras, now and whenever they change.
    pub fn directory(&self) -> watch::Receiver<Arc<Directory>> {
        self.0.directory.subscribe()
    }

    /// The clock, milliseconds since 1970.
    pub fn now_ms(&self) -> u64 {
        self.0.world.now_ms()
    }

    /// Whether the database worked when the follower last asked it.
    pub fn up(&self) -> bool {
        self.0.up.get()
    }

    /// Writes what is pending and closes the database.
    ///
    /// # Errors
    /// When the pending reports cannot be written; nothing else is lost.
    pub async fn close(&self) -> Result<(), Error> {
        let flushed = self.flush().await;
        self.0.database.close().await;
        flushed
    }

    /// Writes something, and shows it in the directory before it answers.
    pub(crate) async fn writing<T>(
        &self,
        doing: &'static str,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let done = self.0.database.within(doing, work).await?;
        self.0.nudge.notify_one();
        // It is written. What cannot be read at once the follower reads.
        let _ = self.refresh().await;
        Ok(done)
    }

    /// A new secret or id: 128 random bits.
    pub(crate) fn secret(&self, doing: &'static str) -> Result<String, Error> {
        self.random(doing).map(name128)
    }

    /// Random bits for a password's hash.
    pub(crate) fn salt(&self) -> Result<[u8; 16], Error> {
        self.random("hash a password")
    }

    /// Where the public links begin, without a slash at the end.
    pub fn base(&self) -> &str {
        &self.0.options.url
    }

    /// Random bytes for a secret.
    ///
    /// # Errors
    /// When the system has none to give.
    pub fn fresh(&self, doing: &'static str) -> Result<[u8; 16], Error> {
        self.random(doing)
    }

    fn random(&self, doing: &'static str) -> Result<[u8; 16], Error> {
        random(&*self.0.world, doing)
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("options", &self.0.options).finish_non_exhaustive()
    }
}

fn random(world: &dyn World, doing: &'static str) -> Result<[u8; 16], Error> {
    let none = || Error::Gone { doing, cause: "the system has no random numbers".to_owned() };
    world.random().ok_or_else(none)
}

/// Nobody leaves a half-made value behind: a poisoned lock is used as it is.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
