//! One connection: a stranger until its key is found, then the encoder of one camera. It holds no buffer while it
//! waits, and whatever it does ends with itself.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use door::Seat;
use feed::Feed;
use model::{CameraState, Private, Trouble};
use rtmp::{Event, Fault, Session, Tracks};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep_until, timeout};

use super::keys::{Found, Keys};
use super::numbers::Refused;
use super::places::Place;
use super::{Door, PATIENCE, SEND, SILENCE, now_us};
use crate::ingest::Claim;
use crate::nodes::streams_elsewhere;
use crate::store::Directory;

/// Bytes that are read at once, on the stack.
const READ: usize = 16 << 10;
/// Reads before others have their turn.
const TURN: usize = 8;

/// What is said to whoever has no right key, whatever is wrong with it.
const NO_KEY: &str = "There is no such stream key, or it was replaced.";
const BUSY: &str = "Another encoder sends with this key.";

/// A connection.
pub(super) struct Connection {
    door: Arc<Door>,
    stream: TcpStream,
    peer: IpAddr,
    session: Session,
    publish: Option<Box<Publish>>,
    /// The encoder has said that it is done.
    done: bool,
    /// When it is closed unless something comes: a key, a picture, its end.
    due: Instant,
}

/// What an encoder with a right key sends.
struct Publish {
    found: Found,
    place: Place,
    /// Until it is written down that the camera is here.
    _claim: Option<Claim>,
    feed: Feed,
    tracks: Tracks,
    /// A picture came.
    seen: bool,
}

/// Why a connection ends.
#[derive(Debug)]
enum End {
    /// The encoder is done, or gone.
    Left,
    /// The cloud stops.
    Stopping,
    /// It is not let in.
    Refused(Refused),
    /// It broke the protocol.
    Fault(Fault),
    /// Its pictures cannot be passed on.
    Trouble(Trouble),
    /// It was silent for too long.
    Silent,
    /// Somebody else has its place, or its camera is at another cloud now.
    Replaced,
    /// Its key counts no more.
    TakenBack,
}

impl From<Fault> for End {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Connection {
    pub(super) fn new(door: Arc<Door>, stream: TcpStream, peer: IpAddr, seed: u64) -> Self {
        door.numbers.open.inc();
        let (session, due) = (Session::new(seed), Instant::now() + PATIENCE);
        Self { door, stream, peer, session, publish: None, done: false, due }
    }

    /// Serves it to its end.
    pub(super) async fn run(mut self, seat: Seat, mut stopped: watch::Receiver<bool>) {
        seat.rest();
        let mut directory = self.door.directory.clone();
        let end = loop {
            let publish = self.publish.as_deref();
            let ready = tokio::select! {
                ready = self.stream.readable() => ready,
                () = sleep_until(self.due.into()) => {
                    break if publish.is_some() {
                        End::Silent
                    } else if self.done {
                        End::Left
                    } else {
                        End::Refused(Refused::Late)
                    };
                }
                () = seat.lost(), if publish.is_none() => break End::Refused(Refused::Crowded),
                () = lost(publish) => break End::Replaced,
                changed = directory.changed(), if publish.is_some() => {
                    let now = directory.borrow_and_update();
                    if changed.is_err() || publish.is_some_and(|publish| !Keys::holds(&now, &publish.found)) {
                        break End::TakenBack;
                    }
                    continue;
                }
                _ = stopped.wait_for(|stopped| *stopped) => break End::Stopping,
            };
            if ready.is_err() {
                break End::Left;
            }
            let stranger = publish.is_none();
            let outcome = self.read();
            // Whoever is refused is told so.
            if let Err(end) = self.send().await {
                break outcome.err().unwrap_or(end);
            }
            if let Err(end) = outcome {
                break end;
            }
            if stranger && self.publish.is_some() {
                seat.work();
            }
        };
        self.leave(&end);
        // Without this, what was said last would be lost with what was not read.
        let _ = timeout(Duration::from_millis(200), self.stream.shutdown()).await;
    }

    /// Reads what has come, as far as it is this connection's turn.
    fn read(&mut self) -> Result<(), End> {
        let mut buffer = [0; READ];
        for _ in 0..TURN {
            match self.stream.try_read(&mut buffer) {
                Ok(0) => return Err(End::Left),
                Ok(length) => self.take(buffer.get(..length).unwrap_or_default())?,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(_) => return Err(End::Left),
            }
        }
        Ok(())
    }

    fn take(&mut self, mut input: &[u8]) -> Result<(), End> {
        self.door.numbers.received.inc_by(input.len() as u64);
        while let Some(event) = self.session.next(&mut input)? {
            match event {
                Event::Publish(key) => self.admit(&key)?,
                Event::Video { timestamp, body } => {
                    self.media(|tracks, now_us| tracks.video(timestamp, &body, now_us))?;
                }
                Event::Audio { timestamp, body } => {
                    self.media(|tracks, now_us| tracks.audio(timestamp, &body, now_us))?;
                }
                Event::End => {
                    self.done = true;
                    self.due = Instant::now() + SEND;
                    self.leave(&End::Left);
                }
            }
        }
        Ok(())
    }

    /// Lets a publisher in whose key is right.
    fn admit(&mut self, key: &Private<String>) -> Result<(), End> {
        let door = self.door.clone();
        let now = Instant::now();
        let directory = door.directory.borrow().clone();
        let found = door.keys.find(&directory, key);
        if door.tries.is_spent(self.peer, now) {
            self.session.refuse(NO_KEY);
            return Err(End::Refused(Refused::Tries));
        }
        let Some(found) = found else {
            let _ = door.tries.take(self.peer, now);
            self.session.refuse(NO_KEY);
            return Err(End::Refused(Refused::Key));
        };
        let free = found.open || !streams_elsewhere(&directory, found.camera.as_str());
        let Some((place, replaced)) = free.then(|| door.places.take(&found.camera, now)).flatten() else {
            self.session.refuse(BUSY);
            return Err(End::Refused(Refused::Busy));
        };
        // Before there is a feed: one that nobody claims is closed.
        let claim = is_news(&directory, &found).then(|| door.claims.claim(&found.camera));
        let feed = door.here.feed_or_new(&found.camera, found.open);
        if replaced {
            feed.interrupt();
        }
        tracing::info!(camera = %found.camera, "an encoder sends");
        door.numbers.publishers.inc();
        self.session.accept();
        self.due = now + SILENCE;
        let tracks = Tracks::new();
        self.publish = Some(Box::new(Publish { found, place, _claim: claim, feed, tracks, seen: false }));
        Ok(())
    }

    /// Hands over what a message gave.
    fn media(
        &mut self,
        take: impl FnOnce(&mut Tracks, i64) -> Result<rtmp::Taken, Trouble>,
    ) -> Result<(), End> {
        let Some(publish) = self.publish.as_deref_mut() else { return Ok(()) };
        let silent = publish.tracks.silent().map(str::to_owned);
        let taken = take(&mut publish.tracks, now_us()).map_err(End::Trouble)?;
        if publish.feed.is_closed() {
            let holds = Keys::holds(&self.door.directory.borrow(), &publish.found);
            return Err(if holds { End::Replaced } else { End::TakenBack });
        }
        let news = taken.format.is_some();
        if let Some(format) = taken.format {
            let unusable = |error: media::UnusableFormat| Trouble::Protocol { detail: error.to_string() };
            publish.feed.set_format(format).map_err(|error| End::Trouble(unusable(error)))?;
        }
        if (news || silent.as_deref() != publish.tracks.silent())
            && let Some(facts) = publish.tracks.facts(&self.door.url)
        {
            publish.feed.set_state(CameraState::Streaming(facts));
        }
        let Some(unit) = taken.unit else { return Ok(()) };
        if unit.track == media::Track::Video {
            let now = Instant::now();
            if !publish.place.picture(now) {
                return Err(End::Replaced);
            }
            publish.seen = true;
            self.due = now + SILENCE;
            self.door.numbers.pictures.inc();
        }
        publish.feed.push(unit);
        Ok(())
    }

    /// Sends what the session has to say.
    async fn send(&mut self) -> Result<(), End> {
        let output = self.session.output();
        if output.is_empty() {
            return Ok(());
        }
        match timeout(SEND, self.stream.write_all(&output)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Left),
            Err(_) => Err(End::Refused(Refused::Late)),
        }
    }

    /// Counts the end, and tells the camera's viewers what stands in the way.
    fn leave(&mut self, end: &End) {
        let numbers = &self.door.numbers;
        let publish = self.publish.take();
        let (why, trouble) = match end {
            End::Left | End::Stopping => (None, Trouble::Closed),
            End::Refused(why) => (Some(*why), Trouble::Closed),
            End::Fault(Fault::TooLarge { most }) => {
                (Some(Refused::Broken), Trouble::TooLarge { what: format!("more than {most} bytes") })
            }
            End::Fault(fault) => (Some(Refused::Broken), Trouble::Protocol { detail: fault.to_string() }),
            End::Trouble(trouble) => (Some(Refused::Unusable), trouble.clone()),
            End::Silent if publish.as_ref().is_some_and(|publish| !publish.seen) => {
                (Some(Refused::Silent), Trouble::NoVideo)
            }
            End::Silent => (Some(Refused::Silent), Trouble::Stalled { seconds: SILENCE.as_secs() as u32 }),
            End::Replaced => (Some(Refused::Replaced), Trouble::Closed),
            End::TakenBack => (Some(Refused::TakenBack), Trouble::Closed),
        };
        if let Some(why) = why {
            numbers.refused(why);
        }
        let Some(publish) = publish else { return };
        numbers.publishers.dec();
        tracing::info!(camera = %publish.found.camera, why = trouble.code(), "the encoder's connection ended");
        // Whoever has the place now says what becomes of the camera.
        if !matches!(end, End::Replaced) {
            publish.feed.interrupt();
            publish.feed.set_state(CameraState::Waiting { trouble, retry_in_ms: 0 });
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.door.numbers.open.dec();
    }
}

/// Whether clouds share the database, and it does not say that this camera is at this one.
fn is_news(directory: &Directory, found: &Found) -> bool {
    let source = directory.portal().sources.get(found.camera.as_str()).filter(|_| !found.open);
    !directory.here().is_empty() && source.is_some_and(|source| source.node != directory.here())
}

/// Returns when the place of a publisher is lost; never for a stranger.
async fn lost(publish: Option<&Publish>) {
    match publish {
        Some(publish) => publish.place.lost().await,
        None => std::future::pending().await,
    }
}
