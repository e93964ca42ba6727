//! How long the RTSP port of each camera that this cloud reads itself takes to accept a TCP connection, every half minute,
//! whether pictures come or not: what a box measures of its own cameras.
//!
//! A pulled camera is asked at the address that was judged for its reader, and at no other: what its name means to whoever
//! looks it up here counts for nothing. One behind a peer is asked inside the tunnel, at the [`Far`] end of its pipe.
//! Nothing is sent over the connection, so that no login is seen and no session taken. A camera that sends by itself has
//! nothing that could be asked.

mod rounds;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use feed::Feed;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::peer::Far;
use rounds::Rounds;

/// A port that has not answered by then does not.
const DEADLINE: Duration = Duration::from_secs(5);
/// Connections at a time. Of cameras that answer, a few thousand need a handful; 1,200 that are all dead fill the half minute
/// with their deadlines, and of more than that each is asked less often.
const SEATS: usize = 200;
/// Between two looks at whose turn it is, at least and at most: turns that are closer are taken together.
const LOOK: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// All cameras that are asked; a handle, cheap to clone.
#[derive(Clone)]
pub(super) struct Pings(Arc<Inner>);

struct Inner {
    /// What the rounds' times count from.
    began: Instant,
    all: Mutex<All>,
}

#[derive(Default)]
struct All {
    rounds: Rounds,
    ports: HashMap<u64, Arc<Port>>,
}

/// What is asked of a camera.
pub(super) enum Way {
    /// The address that was judged last, which its reader contacts.
    Judged,
    /// The far end of its pipe.
    Far(Far),
}

/// The port of one camera.
struct Port {
    feed: Feed,
    way: Way,
    judged: Mutex<Option<SocketAddr>>,
}

/// A camera that is asked until this is dropped.
pub(super) struct Asked {
    pings: Pings,
    number: u64,
    port: Arc<Port>,
}

impl Asked {
    /// The camera is at this address, which was judged a moment ago; `None`: nowhere that may be contacted.
    pub(super) fn judged(&self, at: Option<SocketAddr>) {
        *lock(&self.port.judged) = at;
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let mut all = lock(&self.pings.0.all);
        all.rounds.leave(self.number);
        all.ports.remove(&self.number);
    }
}

impl Pings {
    /// Nobody yet.
    pub(super) fn new() -> Self {
        Self(Arc::new(Inner { began: Instant::now(), all: Mutex::default() }))
    }

    /// Asks the port of the camera that fills this feed, at moments that the random bits choose.
    pub(super) fn ask(&self, feed: Feed, way: Way, random: u64) -> Asked {
        let port = Arc::new(Port { feed, way, judged: Mutex::default() });
        let now_ms = self.now_ms();
        let mut all = lock(&self.0.all);
        let number = all.rounds.enter(now_ms, random);
        all.ports.insert(number, port.clone());
        Asked { pings: self.clone(), number, port }
    }

    /// Asks for ever.
    pub(super) async fn keep(self) {
        let mut under_way = JoinSet::new();
        loop {
            while under_way.try_join_next().is_some() {}
            let (ports, next) = self.take(SEATS.saturating_sub(under_way.len()));
            for port in ports {
                under_way.spawn(async move { port.measure().await });
            }
            sleep(next.clamp(LOOK.0, LOOK.1)).await;
        }
    }

    /// Those whose turn it is, and how long until the next one's.
    fn take(&self, seats: usize) -> (Vec<Arc<Port>>, Duration) {
        let now_ms = self.now_ms();
        let mut all = lock(&self.0.all);
        let turn = all.rounds.take(now_ms, seats);
        let ports = turn.iter().filter_map(|number| all.ports.get(number).cloned()).collect();
        let next_ms = all.rounds.next_ms().unwrap_or(u64::MAX).saturating_sub(now_ms);
        (ports, Duration::from_millis(next_ms))
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.0.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Port {
    /// Connects once and notes how long that took.
    async fn measure(&self) {
        let began = Instant::now();
        let answered = timeout(DEADLINE, self.connect()).await.is_ok_and(|stream| stream.is_ok());
        let took = u32::try_from(began.elapsed().as_millis()).unwrap_or(u32::MAX);
        self.feed.pulse(|pulse, _| pulse.set_ping(answered.then_some(took)));
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        match &self.way {
            Way::Far(far) => far.connect().await,
            Way::Judged => {
                let at = *lock(&self.judged);
                TcpStream::connect(at.ok_or(io::ErrorKind::NotFound)?).await
            }
        }
    }
}

/// Nobody leaves a half-made value behind: a poisoned lock is used as it is.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use media::Stream;
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    fn feed() -> Feed {
        Feed::new(Stream::new(media::Options::default(), 0))
    }

    fn ping(asked: &Asked) -> Option<u32> {
        asked.port.feed.pulse(|pulse, _| pulse.ping_ms())
    }

    async fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        (listener, at)
    }

    #[tokio::test]
    async fn a_camera_is_asked_at_the_address_that_was_judged_and_at_no_other() {
        let pings = Pings::new();
        let (listener, at) = listener().await;
        let asked = pings.ask(feed(), Way::Judged, 0);
        asked.port.measure().await;
        assert_eq!(ping(&asked), None, "nothing was judged yet");
        asked.judged(Some(at));
        let keeper = tokio::spawn(pings.clone().keep());
        timeout(Duration::from_secs(5), listener.accept()).await.expect("its turn").unwrap();
        while ping(&asked).is_none() {
            sleep(Duration::from_millis(5)).await;
        }
        keeper.abort();
        asked.judged(None);
        asked.port.measure().await;
        assert_eq!(ping(&asked), None, "it may not be contacted any more");
        let more = timeout(Duration::from_millis(200), listener.accept()).await;
        assert!(more.is_err(), "nor was it");
        asked.judged(Some(at));
        drop(listener);
        asked.port.measure().await;
        assert_eq!(ping(&asked), None, "nobody accepts any more");
        drop(asked);
        assert_eq!((pings.take(9).0.len(), lock(&pings.0.all).ports.len()), (0, 0));
    }

    #[tokio::test]
    async fn a_camera_behind_a_peer_is_asked_at_the_far_end() {
        let pings = Pings::new();
        let (listener, at) = listener().await;
        let SocketAddr::V4(far) = at else { panic!() };
        let asked = pings.ask(feed(), Way::Far(Far::by(far, TcpSocket::new_v4)), 0);
        // The near end, which accepts whatever is behind it.
        asked.judged(Some("127.0.0.1:1".parse().unwrap()));
        asked.port.measure().await;
        assert!(ping(&asked).is_some());
        listener.accept().await.unwrap();
    }
}
