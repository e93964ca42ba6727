//! What changed and when, for the owner: at most [`MOST`] events, kept over restarts.
//!
//! Invariant: an event about a camera or the tunnel is only told when the change has lasted ([`SETTLED`]); the file is written
//! at most once in [`WRITE_EVERY`], and once at the end.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use model::{CameraId, CameraState};
use setup::desk::Event;

use crate::cloud::{Files, Phase};
use crate::state::{Shared, lock};

/// The file: a JSON list, the oldest event first.
pub(super) const FILE: &str = "events.json";
/// Most events that are kept.
const MOST: usize = 200;
/// What comes and goes in less is not worth a word.
const SETTLED: Duration = Duration::from_secs(5);
/// Shortest time between two writes: 1,440 small writes on the worst of days do not wear flash out.
const WRITE_EVERY: Duration = Duration::from_secs(60);

/// The kept events.
pub(crate) struct Events {
    files: Files,
    inner: Mutex<Inner>,
}

struct Inner {
    events: VecDeque<Event>,
    dirty: bool,
    written: Option<Instant>,
    /// Nothing is written any more: everything is being forgotten.
    closed: bool,
}

impl Events {
    /// Takes up what an earlier run kept; a file that cannot be read is no loss worth a word.
    pub(crate) fn open(files: Files) -> Self {
        let kept = files.read(FILE).ok().flatten();
        let events: VecDeque<Event> =
            kept.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        let inner = Inner { events, dirty: false, written: None, closed: false };
        Self { files, inner: Mutex::new(inner) }
    }

    /// Something has happened, at this many milliseconds since 1970.
    pub(crate) fn add(&self, at_ms: u64, code: &str, camera: Option<CameraId>, sentence: String) {
        let mut inner = lock(&self.inner);
        inner.events.push_back(Event { at_ms, code: code.to_owned(), camera, sentence });
        while inner.events.len() > MOST {
            inner.events.pop_front();
        }
        inner.dirty = true;
    }

    /// Newest first.
    pub(crate) fn list(&self) -> Vec<Event> {
        lock(&self.inner).events.iter().rev().cloned().collect()
    }

    /// Writes what is new, unless that was done a moment ago. `end`: now or never.
    pub(crate) fn keep(&self, end: bool) {
        let mut inner = lock(&self.inner);
        let due = inner.written.is_none_or(|at| at.elapsed() >= WRITE_EVERY);
        if inner.closed || !inner.dirty || !(due || end) {
            return;
        }
        // One that fails is not tried again at once either.
        inner.written = Some(Instant::now());
        let bytes = serde_json::to_vec(&inner.events).unwrap_or_default();
        match self.files.write(FILE, &bytes) {
            Ok(()) => inner.dirty = false,
            Err(error) => tracing::debug!(%error, "cannot keep the list of events ([state] dir)"),
        }
    }

    /// Everything is being forgotten: nothing is written any more.
    pub(crate) fn close(&self) {
        lock(&self.inner).closed = true;
    }
}

/// What was last told of the box, so that only changes are.
#[derive(Default)]
pub(crate) struct Observer {
    cameras: BTreeMap<CameraId, Seen>,
    tunnel: Seen,
    joining: bool,
}

/// One thing that changes.
#[derive(Default)]
struct Seen {
    told: Option<&'static str>,
    /// What it is now, when that is something else, and since when.
    now: Option<(&'static str, Duration)>,
}

impl Seen {
    /// Notes what it is at this time of any clock; the word once it has lasted.
    fn look(&mut self, word: &'static str, at: Duration) -> Option<&'static str> {
        if self.told == Some(word) {
            self.now = None;
            return None;
        }
        let since = match self.now {
            Some((before, since)) if before == word => since,
            _ => {
                self.now = Some((word, at));
                at
            }
        };
        if at.saturating_sub(since) < SETTLED {
            return None;
        }
        self.now = None;
        self.told = Some(word);
        Some(word)
    }
}

impl Observer {
    /// Looks at the box; call it about once a second. `at` is the time of a clock that does not jump, `now_ms` the box's,
    /// milliseconds since 1970.
    pub(crate) fn look(&mut self, shared: &Shared, events: &Events, at: Duration, now_ms: u64) {
        let cameras = shared.cameras();
        self.cameras.retain(|id, _| cameras.iter().any(|camera| camera.id() == id));
        for camera in cameras {
            let live = matches!(camera.feed().state(), CameraState::Streaming(_));
            let trouble = camera.feed().trouble().filter(|_| !live);
            let word = match (&trouble, live) {
                (_, true) => "live",
                (Some((trouble, _)), _) => trouble.code(),
                (None, _) => continue,
            };
            let Some(_) = self.cameras.entry(camera.id().clone()).or_default().look(word, at) else {
                continue;
            };
            let name = camera.name().unwrap_or_else(|| camera.id().to_string());
            let id = Some(camera.id().clone());
            match trouble {
                None => events.add(now_ms, "camera_live", id, format!("{name} shows its picture.")),
                Some((trouble, _)) => {
                    events.add(now_ms, "camera_trouble", id, format!("{name}: {trouble}"));
                }
            }
        }
        let status = shared.cloud().status();
        match &status.phase {
            Phase::Code { .. } | Phase::Claimed(_) | Phase::Joining { .. } => self.joining = true,
            Phase::Joined { owner } if std::mem::take(&mut self.joining) => {
                events.add(now_ms, "joined", None, format!("The box has joined {owner}."));
            }
            _ => {}
        }
        let Some(tunnel) = status.tunnel else { return };
        let word = if tunnel.up { "tunnel_up" } else { "tunnel_down" };
        // A tunnel that is coming up for the first time was never down.
        if !tunnel.up && self.tunnel.told.is_none() {
            return;
        }
        if let Some(word) = self.tunnel.look(word, at) {
            let sentence = match word {
                "tunnel_up" => "The public links work.".to_owned(),
                _ => tunnel.obstacle.unwrap_or_else(|| "The public links do not work.".to_owned()),
            };
            events.add(now_ms, word, None, sentence);
        }
    }
}

#[cfg(test)]
mod tests {
    use media::Stream;
    use model::Trouble;

    use super::*;
    use crate::cloud::Cloud;
    use crate::cloud::files_tests::Scratch;
    use feed::Feed;

    #[test]
    fn the_newest_two_hundred_stay_over_a_restart_with_few_writes() {
        let scratch = Scratch::new("events");
        let events = Events::open(scratch.files());
        for at in 0..300 {
            events.add(at, "camera_live", None, "x".into());
            events.keep(false);
        }
        let written: Vec<Event> =
            serde_json::from_slice(&scratch.files().read(FILE).unwrap().unwrap()).unwrap();
        assert_eq!(written.len(), 1, "written once, then not again within a minute");
        events.keep(true);
        let again = Events::open(scratch.files()).list();
        assert_eq!((again.len(), again[0].at_ms, again[199].at_ms), (200, 299, 100));
        events.close();
        events.add(1, "x", None, "y".into());
        events.keep(true);
        assert_eq!(Events::open(scratch.files()).list().len(), 200);
        assert_eq!(Events::open(scratch.files()).list()[0].at_ms, 299, "nothing is written after the end");
    }

    #[test]
    fn a_camera_that_comes_and_goes_in_a_moment_is_not_worth_a_word() {
        let scratch = Scratch::new("events-flap");
        let shared = Shared::new(Cloud::new(None, None));
        let feed = Feed::new(Stream::new(media::Options::default(), 1));
        let camera = shared.add(CameraId::new("gate").unwrap(), None, feed).unwrap();
        let (events, mut observer) = (Events::open(scratch.files()), Observer::default());
        let mut at = 0;
        let mut pass = |seconds: u64, trouble: Trouble| {
            camera.feed().set_state(CameraState::Waiting { trouble, retry_in_ms: 1 });
            for _ in 0..seconds {
                at += 1;
                observer.look(&shared, &events, Duration::from_secs(at), at);
            }
        };
        pass(4, Trouble::Closed);
        pass(3, Trouble::Busy);
        pass(4, Trouble::Closed);
        assert!(events.list().is_empty(), "nothing has lasted");
        pass(60, Trouble::Closed);
        pass(2, Trouble::Busy);
        pass(60, Trouble::Closed);
        let told = events.list();
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(
            (told[0].code.as_str(), told[0].camera.as_ref().unwrap().as_str()),
            ("camera_trouble", "gate")
        );
    }
}
