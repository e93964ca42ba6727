//! What the uplink does to the connections inside the tunnel, as the kernel counts it (TCP_INFO): how long data was
//! under way, and how much of it was acknowledged.
//!
//! A connection serves one camera after the other; what it did is counted for the camera of its last request. One round
//! trip of each answer is the way's length, not its width, and is not counted.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use model::CameraId;

use crate::kernel::{TcpInfo, tcp_info};
use crate::state::lock;

/// A camera is watched from afar for this long after the last request for it: players ask at least every target
/// duration, and pause to think.
const WATCHED: Duration = Duration::from_secs(15);
/// Nothing acknowledged for this long although something is under way: an outage.
const OUTAGE: Duration = Duration::from_secs(2);
/// Round trips that are forgiven ahead at most: what a connection asks for at once.
const FORGIVEN: u32 = 8;

/// Watches every connection inside the tunnel.
#[derive(Debug, Default)]
pub(crate) struct Meter(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    connections: Vec<Weak<Connection>>,
    flows: BTreeMap<CameraId, Tally>,
    /// When something was last acknowledged, or nothing was under way.
    moved: Option<Instant>,
}

#[derive(Debug)]
struct Tally {
    flow: Flow,
    asked: Instant,
}

/// What was done for one camera since the last look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Flow {
    /// How long data was under way.
    pub(crate) took: Duration,
    /// Bytes that arrived.
    pub(crate) bytes: u64,
}

/// What was seen at one look.
#[derive(Debug, Default)]
pub(crate) struct Look {
    /// Cameras that are watched from afar, and what was done for them.
    pub(crate) watched: BTreeMap<CameraId, Flow>,
    /// Something is under way and nothing arrives.
    pub(crate) outage: bool,
}

/// One connection that is watched until it is dropped.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: OwnedFd,
    counted: Mutex<Counted>,
}

#[derive(Debug, Default)]
struct Counted {
    camera: Option<CameraId>,
    info: TcpInfo,
    forgiven: Duration,
}

impl Meter {
    /// Watches a connection.
    ///
    /// # Errors
    /// When there are no descriptors left.
    pub(crate) fn connection(&self, socket: &impl AsFd) -> std::io::Result<Arc<Connection>> {
        let connection =
            Arc::new(Connection { socket: socket.as_fd().try_clone_to_owned()?, counted: Mutex::default() });
        lock(&self.0).connections.push(Arc::downgrade(&connection));
        Ok(connection)
    }

    /// A request for a camera came by this connection.
    pub(crate) fn asked(&self, connection: &Connection, camera: &CameraId) {
        let mut inner = lock(&self.0);
        inner.settle(connection);
        let mut counted = lock(&connection.counted);
        counted.camera = Some(camera.clone());
        let trip = counted.info.min_rtt;
        counted.forgiven = (counted.forgiven + trip).min(trip * FORGIVEN);
        let now = Instant::now();
        inner
            .flows
            .entry(camera.clone())
            .and_modify(|tally| tally.asked = now)
            .or_insert(Tally { flow: Flow::default(), asked: now });
    }

    /// What was done since the last look.
    pub(crate) fn look(&self) -> Look {
        let mut inner = lock(&self.0);
        let connections: Vec<_> = inner.connections.iter().filter_map(Weak::upgrade).collect();
        inner.connections.retain(|connection| connection.strong_count() > 0);
        let mut under_way = false;
        for connection in &connections {
            under_way |= inner.settle(connection);
        }
        let now = Instant::now();
        if !under_way {
            inner.moved = Some(now);
        }
        let outage = inner.moved.is_some_and(|moved| now.saturating_duration_since(moved) >= OUTAGE);
        inner.flows.retain(|_, tally| now.saturating_duration_since(tally.asked) < WATCHED);
        let watched =
            inner.flows.iter_mut().map(|(id, tally)| (id.clone(), std::mem::take(&mut tally.flow))).collect();
        Look { watched, outage }
    }
}

impl Inner {
    /// Counts what a connection did since it was last counted; whether something is under way on it.
    fn settle(&mut self, connection: &Connection) -> bool {
        // A connection that just broke did nothing more.
        let Ok(info) = tcp_info(connection.socket.as_fd()) else { return false };
        let mut counted = lock(&connection.counted);
        let busy = info.busy.saturating_sub(counted.info.busy);
        let forgiven = counted.forgiven.min(busy);
        counted.forgiven -= forgiven;
        let bytes = info.bytes_acked.saturating_sub(counted.info.bytes_acked);
        if bytes > 0 {
            self.moved = Some(Instant::now());
        }
        counted.info = info;
        if let Some(tally) = counted.camera.as_ref().and_then(|camera| self.flows.get_mut(camera)) {
            tally.flow.took += busy.saturating_sub(forgiven);
            tally.flow.bytes += bytes;
        }
        info.under_way
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let theirs = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (listener.accept().unwrap().0, theirs)
    }

    fn camera(id: &str) -> CameraId {
        CameraId::new(id).unwrap()
    }

    #[test]
    fn what_arrives_is_counted_for_the_camera_that_was_asked_for() {
        let meter = Meter::default();
        let (mut ours, mut theirs) = pair();
        let connection = meter.connection(&ours).unwrap();
        assert!(meter.look().watched.is_empty(), "nobody has asked");
        for (id, len) in [("gate", 50_000), ("hall", 20_000)] {
            meter.asked(&connection, &camera(id));
            ours.write_all(&vec![0; len]).unwrap();
            theirs.read_exact(&mut vec![0; len]).unwrap();
            std::thread::sleep(Duration::from_millis(100));
        }
        let look = meter.look();
        assert!(!look.outage);
        assert_eq!(look.watched[&camera("gate")].bytes, 50_000);
        assert_eq!(look.watched[&camera("hall")].bytes, 20_000);
        assert!(look.watched[&camera("gate")].took < Duration::from_millis(50), "{look:?}");
        assert_eq!(meter.look().watched[&camera("gate")], Flow::default(), "counted once");
    }

    #[test]
    fn a_reader_that_stands_still_is_an_outage_and_time_counts_until_it_goes_on() {
        let meter = Meter::default();
        let (ours, mut theirs) = pair();
        ours.set_nonblocking(true).unwrap();
        let connection = meter.connection(&ours).unwrap();
        meter.asked(&connection, &camera("gate"));
        let mut written = 0;
        let piece = vec![0; 65_536];
        while let Ok(some) = (&ours).write(&piece) {
            written += some;
        }
        // Until the other end's buffers are full, too.
        std::thread::sleep(Duration::from_millis(300));
        meter.look();
        std::thread::sleep(OUTAGE + Duration::from_millis(200));
        let look = meter.look();
        assert!(look.outage);
        assert!(look.watched[&camera("gate")].took >= OUTAGE, "{look:?}");
        theirs.read_exact(&mut vec![0; written]).unwrap();
        std::thread::sleep(Duration::from_millis(100));
        assert!(!meter.look().outage);
        drop(connection);
        meter.look();
        assert!(lock(&meter.0).connections.is_empty(), "nothing is kept of a connection that is gone");
    }
}
