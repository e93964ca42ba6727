//! The way to the boxes: one GET at a time over a few kept connections per box, every await with a deadline.
//!
//! A body is taken whole before anybody gets it: a box that dies in the middle costs a viewer nothing but a wait, and never
//! half an object under a good status.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CACHE_CONTROL, HOST};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::directory::{At, Place};
use super::object::{Key, Object};
use super::pieces::{Coming, Pieces};
use super::shelf::{Failure, Room};
use crate::nodes::{self, Seal};

/// A connection to a box.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for T {}

/// How a box's web server is reached: in production a socket inside the tunnel's namespace.
pub type Connector =
    Arc<dyn Fn(At) -> Pin<Box<dyn Future<Output = io::Result<Box<dyn Stream>>> + Send>> + Send + Sync>;

/// How long a box may take, and how much it may send.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Most bytes of one object.
    pub body: u64,
    /// Requests to one box at a time.
    pub per_box: usize,
    /// Bytes on their way from one box: none may take the memory that others need.
    pub bytes_per_box: u64,
    /// For a free place among those.
    pub queue: Duration,
    /// For the connection.
    pub connect: Duration,
    /// From the request to the head of the answer. A box holds a blocking reload for 18 s at most.
    pub head: Duration,
    /// From one piece of a body to the next.
    pub idle: Duration,
    /// For the whole body.
    pub whole: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 32 << 20,
            per_box: 128,
            bytes_per_box: 64 << 20,
            queue: Duration::from_secs(3),
            connect: Duration::from_secs(4),
            head: Duration::from_secs(20),
            idle: Duration::from_secs(5),
            whole: Duration::from_secs(30),
        }
    }
}

/// Kept connections to one box, and to one cloud. Their front doors close idle ones after 10 s.
const KEPT: usize = 8;
const KEPT_OF_CLOUD: usize = 256;
/// Another cloud stands for many boxes: requests to it at a time, and bytes on their way from it.
const PER_CLOUD: usize = 4096;
const BYTES_PER_CLOUD: u64 = 256 << 20;
const KEPT_FOR: Duration = Duration::from_secs(8);
/// A box that nobody asked for this long is forgotten.
const FORGET: Duration = Duration::from_secs(600);
/// A connection that takes longer than this to be free again is not kept.
const FREE_AGAIN: Duration = Duration::from_millis(250);

/// All boxes, and other clouds.
pub(super) struct Upstream {
    connector: Connector,
    limits: Limits,
    boxes: Mutex<HashMap<At, Arc<Line>>>,
    /// What fetches from other clouds have shown of boxes there.
    away: Mutex<HashMap<Place, (Contact, Instant)>>,
    /// For requests to other clouds.
    seal: OnceLock<Seal>,
}

/// The way to one box, or to another cloud.
struct Line {
    places: Semaphore,
    most: u64,
    most_idle: usize,
    kept: Mutex<Kept>,
    /// Bytes of bodies on their way.
    coming: AtomicU64,
    /// When it last answered, and when it last could not be reached; milliseconds since 1970, 0 for never.
    answered_ms: AtomicU64,
    failed_ms: AtomicU64,
}

/// What fetches have shown of a box, milliseconds since 1970; `None` for never.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Contact {
    /// When it last answered.
    pub(super) answered_ms: Option<u64>,
    /// When it last could not be reached.
    pub(super) failed_ms: Option<u64>,
}

impl Contact {
    /// Whether it could not be reached since it last answered.
    pub(super) fn is_lost(self) -> bool {
        self.failed_ms > self.answered_ms
    }
}

struct Kept {
    idle: Vec<(SendRequest<Empty<Bytes>>, Instant)>,
    used: Instant,
}

/// A connection that may carry another request.
pub(super) struct Reusable {
    line: Arc<Line>,
    sender: SendRequest<Empty<Bytes>>,
}

impl Upstream {
    /// Boxes behind this connector.
    pub(super) fn new(connector: Connector, limits: Limits) -> Self {
        Self { connector, limits, boxes: Mutex::default(), away: Mutex::default(), seal: OnceLock::new() }
    }

    /// Seals what is asked of other clouds.
    pub(super) fn seal(&self, seal: Seal) {
        let _ = self.seal.set(seal);
    }

    /// Fetches an object: what it is, how long it may be shared, and the connection for [`Reusable::keep`].
    ///
    /// # Errors
    /// What stood in the way.
    pub(super) async fn fetch(
        &self,
        place: &Place,
        key: &Key,
        room: &mut Room,
    ) -> Result<(Object, Duration, Reusable), Failure> {
        let line = self.line(place.at);
        let asked = timeout(self.limits.queue, line.places.acquire()).await;
        let _place = asked.map_err(|_| Failure::Busy)?.map_err(|_| Failure::Busy)?;
        let outcome = self.exchange(&line, place, key, room).await;
        match (place.at, &outcome) {
            (At::Node(_), Ok(_)) => self.note(place, |contact| contact.answered_ms = Some(now_ms())),
            (At::Node(_), Err(Failure::Offline)) => {
                self.note(place, |contact| contact.failed_ms = Some(now_ms()));
            }
            // That another cloud cannot be reached says nothing of its boxes.
            (At::Node(_), Err(_)) => {}
            (_, Ok(_)) => line.answered_ms.store(now_ms(), Ordering::Relaxed),
            (_, Err(Failure::Unreachable)) => line.failed_ms.store(now_ms(), Ordering::Relaxed),
            (_, Err(_)) => {}
        }
        outcome
    }

    fn note(&self, place: &Place, note: impl FnOnce(&mut Contact)) {
        let mut away = lock(&self.away);
        let (contact, used) =
            away.entry(place.clone()).or_insert_with(|| (Contact::default(), Instant::now()));
        note(contact);
        *used = Instant::now();
    }

    /// When the box of this place last answered here, and when it last could not be reached.
    pub(super) fn contact(&self, place: &Place) -> Contact {
        if matches!(place.at, At::Node(_)) {
            return lock(&self.away).get(place).map_or_else(Contact::default, |(contact, _)| *contact);
        }
        let Some(line) = lock(&self.boxes).get(&place.at).cloned() else { return Contact::default() };
        let known = |at: &AtomicU64| Some(at.load(Ordering::Relaxed)).filter(|at| *at != 0);
        Contact { answered_ms: known(&line.answered_ms), failed_ms: known(&line.failed_ms) }
    }

    /// Closes connections that were idle for long and forgets boxes that nobody asks.
    pub(super) fn tidy(&self, now: Instant) {
        lock(&self.away).retain(|_, (_, used)| now - *used < FORGET);
        lock(&self.boxes).retain(|_, line| {
            let mut kept = lock(&line.kept);
            kept.idle.retain(|(sender, since)| !sender.is_closed() && now - *since < KEPT_FOR);
            Arc::strong_count(line) > 1 || !kept.idle.is_empty() || now - kept.used < FORGET
        });
    }

    fn line(&self, at: At) -> Arc<Line> {
        let mut boxes = lock(&self.boxes);
        let limits = match at {
            At::Node(_) => (PER_CLOUD, BYTES_PER_CLOUD, KEPT_OF_CLOUD),
            _ => (self.limits.per_box, self.limits.bytes_per_box, KEPT),
        };
        boxes.entry(at).or_insert_with(|| Arc::new(Line::new(limits))).clone()
    }

    async fn exchange(
        &self,
        line: &Arc<Line>,
        place: &Place,
        key: &Key,
        room: &mut Room,
    ) -> Result<(Object, Duration, Reusable), Failure> {
        if let Some(mut sender) = line.idle() {
            match self.ask(&mut sender, place, key).await {
                Ok(response) => return self.take(response, room, line, sender).await,
                // The box may have closed it while it lay idle: that says nothing of the box. The others are as old.
                Err(Failure::Unreachable) => lock(&line.kept).idle.clear(),
                Err(failure) => return Err(failure),
            }
        }
        let mut sender = self.connect(place.at).await?;
        let response = self.ask(&mut sender, place, key).await?;
        self.take(response, room, line, sender).await
    }

    async fn connect(&self, at: At) -> Result<SendRequest<Empty<Bytes>>, Failure> {
        let shaken = timeout(self.limits.connect, async {
            let stream = (self.connector)(at).await.map_err(|_| Failure::Unreachable)?;
            http1::handshake(TokioIo::new(stream)).await.map_err(|_| Failure::Unreachable)
        });
        let (sender, connection) = shaken.await.map_err(|_| Failure::Unreachable)??;
        // Ends with the connection, which ends with its sender.
        tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok(sender)
    }

    /// Sends the request and takes the answer's head.
    async fn ask(
        &self,
        sender: &mut SendRequest<Empty<Bytes>>,
        place: &Place,
        key: &Key,
    ) -> Result<Response<Incoming>, Failure> {
        let path = format!("/{}/{}{}", place.camera, key.object, key.query());
        let mut request = Request::get(&path).header(HOST, place.at.to_string());
        if let (At::Node(_), Some(seal)) = (place.at, self.seal.get()) {
            request = request.header(nodes::HEADER, seal.sign("GET", &path, now_ms()));
        }
        let request = request.body(Empty::new()).map_err(|_| Failure::Broken)?;
        match timeout(self.limits.head, sender.send_request(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) if error.is_parse() => Err(Failure::Broken),
            Ok(Err(_)) => Err(Failure::Unreachable),
            Err(_) => Err(Failure::Late),
        }
    }

    async fn take(
        &self,
        response: Response<Incoming>,
        room: &mut Room,
        line: &Arc<Line>,
        sender: SendRequest<Empty<Bytes>>,
    ) -> Result<(Object, Duration, Reusable), Failure> {
        let (head, body) = response.into_parts();
        // A box always says how long a body is. Without it, one that was cut short could not be told from a whole one.
        let length = body.size_hint().exact().ok_or(Failure::Broken)?;
        if length > self.limits.body {
            return Err(Failure::TooLarge);
        }
        let _share = Share::take(line, length).ok_or(Failure::Busy)?;
        if !room.grow(length) {
            return Err(Failure::Busy);
        }
        let pieces =
            timeout(self.limits.whole, self.whole(body, length)).await.map_err(|_| Failure::Late)??;
        let (object, stay) = match head.status {
            StatusCode::OK => {
                let cache = head.headers.get(CACHE_CONTROL).and_then(|value| value.to_str().ok());
                Object::media(pieces, cache)
            }
            StatusCode::NOT_FOUND => (Object::Missing, Object::no_stays()),
            StatusCode::BAD_REQUEST => (Object::Malformed, Object::no_stays()),
            StatusCode::SERVICE_UNAVAILABLE => (Object::Unready, Object::no_stays()),
            StatusCode::BAD_GATEWAY => return Err(Failure::Offline),
            _ => return Err(Failure::Broken),
        };
        Ok((object, stay, Reusable { line: line.clone(), sender }))
    }

    /// The whole body.
    async fn whole(&self, mut body: Incoming, length: u64) -> Result<Pieces, Failure> {
        let mut coming = Coming::new(length);
        while let Some(frame) = timeout(self.limits.idle, body.frame()).await.map_err(|_| Failure::Late)? {
            let frame = frame.map_err(|_| Failure::Broken)?;
            if let Some(data) = frame.data_ref() {
                coming.push(data);
            }
        }
        Ok(coming.finish())
    }
}

impl Line {
    /// So many requests at a time, bytes on their way, and idle connections.
    fn new((places, bytes, idle): (usize, u64, usize)) -> Self {
        Self {
            places: Semaphore::new(places),
            most: bytes,
            most_idle: idle,
            kept: Mutex::new(Kept { idle: Vec::new(), used: Instant::now() }),
            coming: AtomicU64::new(0),
            answered_ms: AtomicU64::new(0),
            failed_ms: AtomicU64::new(0),
        }
    }

    /// The connection that was used last, if one is idle.
    fn idle(&self) -> Option<SendRequest<Empty<Bytes>>> {
        let mut kept = lock(&self.kept);
        kept.used = Instant::now();
        while let Some((sender, since)) = kept.idle.pop() {
            if sender.is_ready() && since.elapsed() < KEPT_FOR {
                return Some(sender);
            }
        }
        None
    }
}

/// A box's bytes on their way, given back when dropped.
struct Share<'a>(&'a Line, u64);

impl<'a> Share<'a> {
    fn take(line: &'a Line, bytes: u64) -> Option<Self> {
        let more = |coming: u64| coming.checked_add(bytes).filter(|coming| *coming <= line.most);
        line.coming.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Self(line, bytes))
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.0.coming.fetch_sub(self.1, Ordering::Relaxed);
    }
}

impl Reusable {
    /// Keeps the connection for the next request.
    pub(super) async fn keep(mut self) {
        if let Ok(Ok(())) = timeout(FREE_AGAIN, self.sender.ready()).await {
            let mut kept = lock(&self.line.kept);
            if kept.idle.len() < self.line.most_idle {
                kept.idle.push((self.sender, Instant::now()));
            }
        }
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// No holder of these locks leaves a half-made value.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Milliseconds since 1970.
pub(super) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
