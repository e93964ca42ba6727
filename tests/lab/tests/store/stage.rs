//! Both databases, a clock that is set by hand, randomness from a seed, and boxes that can sign.

use std::{
    fs,
    net::Ipv4Addr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use anyhow::{Context, Result, anyhow, ensure};

use cloud_stub::store::{Admitted, Claimed, Error, HelloWords, Options, Refused, Store, World};
use enrol::{Identity, Unsigned, sign_hello, sign_join, verify_hello, verify_join};
use lab::{postgres::Postgres, world};
use model::enrol::{Hello, Join, Session};
use sha2::{Digest, Sha256};
use sqlx::AnyPool;
use tokio::runtime::Runtime;

/// When the tests' clock begins, milliseconds since 1970.
const START_MS: u64 = 1_800_000_000_000;

/// The databases of one scenario.
pub(crate) struct Stage {
    pub(crate) postgres: Postgres,
    pub(crate) runtime: Runtime,
}

/// One database, empty at first.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) url: String,
    pub(crate) name: String,
    clock: Clock,
}

/// A clock that is set by hand, and random bytes that are the same in every run.
#[derive(Clone, Default)]
pub(crate) struct Clock(Arc<(AtomicU64, AtomicU64)>);

impl Clock {
    pub(crate) fn forward_s(&self, seconds: u64) {
        self.0.0.fetch_add(seconds * 1000, Ordering::Relaxed);
    }
}

impl World for Clock {
    fn now_ms(&self) -> u64 {
        START_MS + self.0.0.load(Ordering::Relaxed)
    }

    fn random(&self) -> Option<[u8; 16]> {
        let turn = self.0.1.fetch_add(1, Ordering::Relaxed);
        Sha256::digest(turn.to_be_bytes()).get(..16)?.try_into().ok()
    }
}

impl Stage {
    pub(crate) fn new(test: &str) -> Result<Self> {
        let postgres = Postgres::start(&world::logs(test))?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        Ok(Self { postgres, runtime })
    }

    /// Runs one body on an empty SQLite file and on an empty PostgreSQL database.
    pub(crate) fn each(&self, name: &str, body: impl AsyncFn(Place) -> Result<()>) -> Result<()> {
        for place in [Self::sqlite(name)?, self.postgres(name)?] {
            let start = Instant::now();
            let label = place.name.clone();
            self.runtime.block_on(body(place)).with_context(|| label.clone())?;
            println!("{label}: {:.2} s", start.elapsed().as_secs_f64());
        }
        Ok(())
    }

    pub(crate) fn sqlite(name: &str) -> Result<Place> {
        let folder = PathBuf::from(world::SCRATCH).join("sqlite");
        fs::create_dir_all(&folder)?;
        Ok(Place::new(format!("sqlite:{}", folder.join(name).with_extension("db").display()), "SQLite", name))
    }

    pub(crate) fn postgres(&self, name: &str) -> Result<Place> {
        Ok(Place::new(self.postgres.database(name)?, "PostgreSQL", name))
    }
}

impl Place {
    pub(crate) fn new(url: String, kind: &str, name: &str) -> Self {
        Self { url, name: format!("{name} on {kind}"), clock: Clock::default() }
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// A store as one process opens it; several may be open at once.
    pub(crate) async fn open(&self) -> Result<Store> {
        self.open_with("10.13.0.0/16").await
    }

    /// Does something to the database that no store does; gives how many rows that has changed.
    pub(crate) async fn run(&self, statement: &'static str) -> Result<u64> {
        let pool = AnyPool::connect(&self.url).await?;
        let done = sqlx::query(statement).execute(&pool).await?;
        pool.close().await;
        Ok(done.rows_affected())
    }

    pub(crate) async fn open_with(&self, network: &str) -> Result<Store> {
        let options = Options { network: network.parse()?, url: "https://video.example.org".to_owned() };
        Ok(Store::open(&self.url, options, self.clock.clone()).await?)
    }
}

/// A box, by its number.
pub(crate) struct Member {
    pub(crate) identity: Identity,
    number: u8,
}

impl Member {
    pub(crate) fn new(number: u8) -> Self {
        let seed: [u8; 32] = Sha256::digest([number]).into();
        Self { identity: Identity::from_seed(&seed).expect("32 bytes"), number }
    }

    /// A tunnel key of this box's.
    pub(crate) fn key(&self, turn: u8) -> [u8; 32] {
        Sha256::digest([self.number, turn, 7]).into()
    }

    pub(crate) fn signed_hello(&self, nonce: u8) -> Hello {
        let words = Unsigned {
            tunnel_key: self.key(0),
            version: "1.0".to_owned(),
            cloud: "https://video.example.org".to_owned(),
            nonce: [nonce; 16],
            findable: None,
        };
        sign_hello(&self.identity, words)
    }

    pub(crate) async fn hello(&self, store: &Store, nonce: u8) -> Result<Session, Error> {
        let hello = self.signed_hello(nonce);
        let identity = verify_hello(&hello).expect("a good signature");
        let words =
            HelloWords { box_id: &hello.box_id, identity, version: &hello.version, nonce: &hello.nonce };
        store.hello(words).await
    }

    pub(crate) fn yes(&self, session: &str, owner: &str, turn: u8) -> Join {
        let join = sign_join(&self.identity, session, owner, self.key(turn));
        verify_join(&join, self.identity.public()).expect("a good signature");
        join
    }

    /// The whole way in.
    pub(crate) async fn enrol(&self, store: &Store, owner: &str, nonce: u8) -> Result<(Claimed, Admitted)> {
        let session = self.hello(store, nonce).await?;
        let claimed = store.claim(&session.code.parse()?, owner).await?;
        ensure!(claimed.session == session.session && &claimed.box_id == self.identity.box_id());
        let admitted = store.join(&self.yes(&session.session, owner, nonce)).await?;
        Ok((claimed, admitted))
    }
}

/// The lowest addresses of 10.13.0.0/16 that boxes get.
pub(crate) fn address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(Ipv4Addr::new(10, 13, 1, 0).to_bits() + number)
}

/// The refusal that must come.
pub(crate) fn refusal<T: std::fmt::Debug>(outcome: Result<T, Error>) -> Result<Refused> {
    match outcome {
        Err(Error::Refused(refused)) => Ok(refused),
        other => Err(anyhow!("not refused: {other:?}")),
    }
}
