//! Encoders send their pictures here by RTMP: `rtmp://HOST/live/KEY`.
//!
//! ```text
//! encoder ─▶ Door: a seat ─▶ connection: rtmp::Session ─▶ Keys: whose key? ─▶ Places: one at a time ─▶ rtmp::Tracks ─▶ Feed
//! ```
//!
//! * A stranger costs a seat, a socket and less than 64 KiB, for 10 s at most; where seats are short, whoever holds most
//!   strangers' loses one. Nothing is read into memory that lasts before there is something to read.
//! * A right key and a wrong one are looked up the same way and answered at once. Whoever has tried [`TRIES`] wrong ones is refused
//!   for a while, whatever the key.
//! * One encoder per camera. Another one with the same key is refused while the first sends; once the first has been silent for
//!   [`places::GIVES_WAY`] it takes its place: an encoder that was restarted need not wait until its old connection is given up.
//! * Clouds that share a database do so for all of them: an encoder is refused while another cloud that lives has one of the same
//!   camera that streams ([`crate::nodes::streams_elsewhere`]); else it is let in by whichever cloud it reaches, which
//!   [claims](Claims) the camera.
//! * A publishing ends within a second when its key is replaced, its camera is switched off or deleted, or its camera is
//!   another cloud's from then on; and after [`SILENCE`] without a picture.

mod connection;
mod keys;
mod numbers;
mod places;

use std::hash::{BuildHasher as _, RandomState};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use door::{Limits, Seats};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::config::Camera;
use crate::http::Bucket;
use crate::ingest::{Claims, Here};
use crate::store::Directory;
use connection::Connection;
use keys::Keys;
pub use keys::settings_of;
use numbers::{Numbers, Refused};
use places::Places;

/// Most connections in all.
const SEATS: usize = 4096;
/// Most of one address: a factory's encoders behind one.
const SEATS_PER_PEER: usize = 256;
/// Handshake, commands and a right key must be there after this.
const PATIENCE: Duration = Duration::from_secs(10);
/// A publisher without a picture for so long is closed.
const SILENCE: Duration = Duration::from_secs(10);
/// What is sent must be taken after this.
const SEND: Duration = Duration::from_secs(5);
/// Wrong keys of one address at once, and in a minute for ever. An encoder with an old key that asks each second shuts out no
/// neighbour, and a key has 64 random bits at least.
const TRIES: u32 = 60;
/// Pause after the system had no descriptor for a connection.
const BREATH: Duration = Duration::from_millis(100);

/// Where encoders come in.
pub struct Door {
    seats: Seats,
    keys: Keys,
    places: Places,
    here: Here,
    claims: Claims,
    directory: watch::Receiver<Arc<Directory>>,
    tries: Bucket,
    numbers: Numbers,
    /// As the streams' address is shown.
    url: String,
    random: RandomState,
}

impl Door {
    /// A door to the cameras of the configuration and of the directory; `url` is its address from outside, without a key.
    pub fn new(
        cameras: &[Camera],
        directory: watch::Receiver<Arc<Directory>>,
        here: Here,
        claims: Claims,
        url: String,
    ) -> Self {
        let limits = Limits { seats: SEATS, seats_per_peer: SEATS_PER_PEER, ..Limits::default() };
        Self {
            seats: Seats::new(limits),
            keys: Keys::new(cameras),
            places: Places::default(),
            here,
            claims,
            directory,
            tries: Bucket::new(TRIES, TRIES),
            numbers: Numbers::default(),
            url,
            random: RandomState::new(),
        }
    }

    /// Puts what is counted into a registry, as `rtmp_…`.
    pub fn register(&self, registry: &mut Registry) {
        self.numbers.register(registry);
    }

    /// Takes connections until it is stopped.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, mut stopped: watch::Receiver<bool>) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = stopped.wait_for(|stopped| *stopped) => return,
            };
            match accepted {
                Ok((stream, peer)) => self.open(stream, peer, &stopped),
                Err(_) => tokio::time::sleep(BREATH).await,
            }
        }
    }

    fn open(
        self: &Arc<Self>,
        stream: tokio::net::TcpStream,
        peer: SocketAddr,
        stopped: &watch::Receiver<bool>,
    ) {
        self.numbers.connections.inc();
        let Some(seat) = self.seats.take(peer.ip()) else {
            self.numbers.refused(Refused::Crowded);
            return;
        };
        let seed = self.random.hash_one(peer);
        let connection = Connection::new(self.clone(), stream, peer.ip(), seed);
        // Its memory lasts as long as the connection, and no longer.
        drop(tokio::spawn(Box::pin(connection.run(seat, stopped.clone()))));
    }
}

/// Microseconds since 1970.
fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
