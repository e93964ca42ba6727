//! A store for tests: an empty SQLite file, a clock that is set by hand, and boxes that are each a number.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use enrol::{Identity, Unsigned, sign_hello, sign_join, verify_hello};
use model::status::{CameraReport, Report};
use model::{BoxId, CameraId, CameraState};
use serde_json::json;

use super::{HelloWords, Options, Store, System, World};

const URL: &str = "https://video.example.org";

/// A clock that is set by hand, milliseconds since 1970.
#[derive(Clone)]
pub(crate) struct Clock(Arc<AtomicU64>);

impl Clock {
    pub(crate) fn forward_ms(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }
}

impl World for Clock {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn random(&self) -> Option<[u8; 16]> {
        System.random()
    }
}

/// A store and its file, which goes when the test does.
pub(crate) struct Stage {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    folder: PathBuf,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        static TURN: AtomicU32 = AtomicU32::new(0);
        let turn = TURN.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("cloud-store-{}-{turn}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let clock = Clock(Arc::new(AtomicU64::new(1_800_000_000_000)));
        Self { store: open(&folder, &clock).await, clock, folder }
    }

    /// The store as another process opens it.
    pub(crate) async fn another(&self) -> Store {
        open(&self.folder, &self.clock).await
    }

    /// Does with the database what no store does.
    pub(crate) async fn sql(&self, words: &str) {
        sqlx::query(words).execute(self.store.0.database.pool()).await.unwrap();
    }

    /// What a question that is answered by a number is answered.
    pub(crate) async fn number(&self, question: &str) -> i64 {
        sqlx::query_scalar(question).fetch_one(self.store.0.database.pool()).await.unwrap()
    }

    /// A box of ACME's joins; gives its id and its address inside the tunnel.
    pub(crate) async fn join(&self, number: u8) -> (BoxId, Ipv4Addr) {
        let identity = Identity::from_seed(&[number; 32]).unwrap();
        let words = Unsigned {
            tunnel_key: [number; 32],
            version: "1.0".to_owned(),
            cloud: URL.to_owned(),
            nonce: [number; 16],
            findable: None,
        };
        let hello = sign_hello(&identity, words);
        let words = HelloWords {
            box_id: identity.box_id(),
            identity: verify_hello(&hello).unwrap(),
            version: "1.0",
            nonce: &hello.nonce,
        };
        let session = self.store.hello(words).await.unwrap();
        self.store.claim(&session.code.parse().unwrap(), "ACME").await.unwrap();
        let yes = sign_join(&identity, &session.session, "ACME", [number; 32]);
        let admitted = self.store.join(&yes).await.unwrap();
        self.store.refresh().await.unwrap();
        (identity.box_id().clone(), admitted.address)
    }

    /// A box of this store with one camera that has been reported: its id, its address and the camera's public id.
    pub(crate) async fn with_camera(&self, number: u8) -> (BoxId, Ipv4Addr, CameraId) {
        let (id, from) = self.join(number).await;
        let answer = self.store.report(from, &report(&[camera("gate")])).await.unwrap();
        self.store.refresh().await.unwrap();
        (id, from, answer.cameras[0].public_id.clone())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

async fn open(folder: &std::path::Path, clock: &Clock) -> Store {
    let url = format!("sqlite:{}", folder.join("cloud.db").display());
    let options = Options { network: "10.13.0.0/16".parse().unwrap(), url: URL.to_owned() };
    Store::open(&url, options, clock.clone()).await.unwrap()
}

/// A camera that has no picture yet.
pub(crate) fn camera(id: &str) -> CameraReport {
    let camera = json!({
        "id": id, "name": id, "state": CameraState::Connecting, "stream": "main", "fps": 25.0, "bit_rate": 4_000_000,
    });
    serde_json::from_value(camera).unwrap()
}

/// A box's report of these cameras.
pub(crate) fn report(cameras: &[CameraReport]) -> Report {
    let report = json!({
        "version": "1.0", "uptime_s": 1, "time_ms": 1, "cameras": cameras,
        "uplink": { "via": "udp", "sent_bit_rate": 0, "short": false, "cap_bit_rate": null },
    });
    serde_json::from_value(report).unwrap()
}
