//! Which picture of each camera goes out, so that the uplink carries it. Pure: time, measurements and wishes come in as
//! arguments, changes come out.
//!
//! Invariant: a camera goes to its small picture only while it is watched from afar and the uplink was short for
//! [`JUDGED`], one camera at a time, the fattest first; it comes back only after minutes of room, and each time that
//! this was too early, twice as late. So a line that is too thin for the large picture costs a viewer one bad moment
//! in minutes, then in an hour.
//!
//! What is measured is time: a delivery that takes longer than the media in it lasts can never keep up, whatever the
//! line's nominal speed.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use model::CameraId;
use model::status::Picture;

/// A line that needs more than this share of real time for its deliveries is short: the rest is for repeats and for
/// the control traffic.
const SHORT: f64 = 0.8;
/// Below this share there is room to try the large picture again.
const ROOM: f64 = 0.5;
/// What was delivered within this time is judged, and the line must be short for all of it.
const JUDGED: Duration = Duration::from_secs(3);
/// After a change the line is not judged for this long: the old picture's last objects are still under way, and a new
/// session with a camera takes a second or two.
const SETTLE: Duration = Duration::from_secs(5);
/// From a change to the small picture to the first try of the large one, and at most.
const WAIT: (Duration, Duration) = (Duration::from_secs(120), Duration::from_secs(3600));
/// A large picture that went out this long without trouble was no mistake.
const PROVEN: Duration = Duration::from_secs(600);
/// What travels on the line for a byte of media: HTTP, TCP, WireGuard, UDP and IP headers at an MTU of 1280 bytes.
const OVERHEAD: f64 = 1.1;
/// Back to the large picture only when it fills at most this share of the owner's cap.
const CAP_ROOM: f64 = 0.9;

/// One camera at one look.
#[derive(Debug, Clone)]
pub(crate) struct Watched {
    /// Which.
    pub(crate) id: CameraId,
    /// Somebody watches it from afar.
    pub(crate) afar: bool,
    /// It has a small picture.
    pub(crate) has_small: bool,
    /// Bits per second of what it sends now.
    pub(crate) bit_rate: u64,
    /// Time that deliveries of its media took since the last look.
    pub(crate) took: Duration,
    /// How long the media in them lasts.
    pub(crate) media: Duration,
}

/// What each camera's picture shall be.
#[derive(Debug)]
pub(crate) struct Budget {
    /// Most bits per second that the owner allows.
    cap: Option<u64>,
    cameras: BTreeMap<CameraId, Camera>,
    /// Nothing is judged before.
    settled: Duration,
    short: bool,
}

#[derive(Debug, Default)]
struct Camera {
    picture: Picture,
    /// When each look was, what deliveries took and how long their media lasts.
    looks: VecDeque<(Duration, Duration, Duration)>,
    /// Since when the line has been short for it without a break.
    short_since: Option<Duration>,
    /// When its picture was last changed.
    changed: Duration,
    /// How long the next small picture lasts.
    wait: Option<Duration>,
    /// Bits per second of the large picture, when it last went out.
    large_rate: u64,
}

impl Budget {
    /// A budget without cameras; `cap` in bits per second.
    pub(crate) const fn new(cap: Option<u64>) -> Self {
        Self { cap, cameras: BTreeMap::new(), settled: Duration::ZERO, short: false }
    }

    /// Another cap, from the next look on.
    pub(crate) const fn set_cap(&mut self, cap: Option<u64>) {
        self.cap = cap;
    }

    /// Whether the line carries less than what is watched needs: a small picture goes out, or should.
    pub(crate) const fn short(&self) -> bool {
        self.short
    }

    /// Which picture of a camera is to go out.
    pub(crate) fn picture(&self, id: &CameraId) -> Picture {
        self.cameras.get(id).map_or(Picture::Main, |camera| camera.picture)
    }

    /// Nothing moved on the line at all: that is an outage, not a thin line. What was measured does not count, nor does
    /// what comes right after it.
    pub(crate) fn outage(&mut self, now: Duration) {
        self.settle(now);
    }

    /// Looks at the line; call it about twice a second. At most one camera changes its picture at a time.
    pub(crate) fn look(&mut self, now: Duration, cameras: &[Watched]) -> Option<(CameraId, Picture)> {
        for watched in cameras {
            self.cameras.entry(watched.id.clone()).or_default().note(now, watched);
        }
        let over_cap = self.cap.is_some_and(|cap| Self::demand(cameras) > cap as f64);
        let thin = cameras.iter().any(|watched| watched.afar && self.is_short(now, &watched.id));
        let reduced = cameras.iter().any(|watched| self.picture(&watched.id) == Picture::Sub);
        self.short = over_cap || thin || reduced;
        if now < self.settled {
            return None;
        }
        let change = if over_cap || thin {
            let short = |watched: &&Watched| over_cap || self.is_short(now, &watched.id);
            let fattest = cameras
                .iter()
                .filter(|watched| watched.afar && watched.has_small)
                .filter(|watched| self.picture(&watched.id) == Picture::Main)
                .filter(short)
                .max_by_key(|watched| watched.bit_rate)?;
            (fattest.id.clone(), Picture::Sub)
        } else {
            let thinnest = cameras
                .iter()
                .filter(|watched| self.may_grow(now, watched, cameras))
                .min_by_key(|watched| self.cameras.get(&watched.id).map_or(0, |camera| camera.large_rate))?;
            (thinnest.id.clone(), Picture::Main)
        };
        self.change(now, &change.0, change.1);
        Some(change)
    }

    fn change(&mut self, now: Duration, id: &CameraId, picture: Picture) {
        let camera = self.cameras.entry(id.clone()).or_default();
        if picture == Picture::Sub {
            let early = camera.wait.is_some() && now.saturating_sub(camera.changed) < PROVEN;
            let wait = camera.wait.filter(|_| early).map_or(WAIT.0, |wait| (wait * 2).min(WAIT.1));
            camera.wait = Some(wait);
        }
        camera.picture = picture;
        camera.changed = now;
        self.short = true;
        self.settle(now);
    }

    fn settle(&mut self, now: Duration) {
        self.settled = now.saturating_add(SETTLE);
        for camera in self.cameras.values_mut() {
            camera.looks.clear();
            camera.short_since = None;
        }
    }

    /// Bits per second on the line that the watched cameras need as they are.
    fn demand(cameras: &[Watched]) -> f64 {
        let afar = cameras.iter().filter(|watched| watched.afar);
        afar.map(|watched| watched.bit_rate as f64 * OVERHEAD).sum()
    }

    fn is_short(&self, now: Duration, id: &CameraId) -> bool {
        self.cameras
            .get(id)
            .and_then(|camera| camera.short_since)
            .is_some_and(|since| now.saturating_sub(since) >= JUDGED)
    }

    /// Whether this camera's large picture may be tried again.
    fn may_grow(&self, now: Duration, watched: &Watched, all: &[Watched]) -> bool {
        let Some(camera) = self.cameras.get(&watched.id) else { return false };
        if camera.picture == Picture::Main {
            return false;
        }
        // A small picture that the camera no longer has cannot go out.
        if !watched.has_small {
            return true;
        }
        if now.saturating_sub(camera.changed) < camera.wait.unwrap_or(WAIT.0) {
            return false;
        }
        let fits = self.cap.is_none_or(|cap| {
            let own = if watched.afar { watched.bit_rate as f64 * OVERHEAD } else { 0.0 };
            let grown = Self::demand(all) - own + camera.large_rate as f64 * OVERHEAD;
            grown <= cap as f64 * CAP_ROOM
        });
        let room = all.iter().filter(|other| other.afar).all(|other| {
            self.cameras.get(&other.id).and_then(Camera::share).is_none_or(|share| share < ROOM)
        });
        fits && room
    }
}

impl Camera {
    fn note(&mut self, now: Duration, watched: &Watched) {
        if self.picture == Picture::Main && watched.bit_rate > 0 {
            self.large_rate = watched.bit_rate;
        }
        if !watched.afar {
            self.looks.clear();
            self.short_since = None;
            return;
        }
        self.looks.push_back((now, watched.took, watched.media));
        while self.looks.front().is_some_and(|(at, ..)| now.saturating_sub(*at) > JUDGED) {
            self.looks.pop_front();
        }
        match self.share() {
            Some(share) if share > SHORT => {
                self.short_since.get_or_insert(now);
            }
            _ => self.short_since = None,
        }
    }

    /// The share of real time that deliveries took lately; `None` when nothing was delivered.
    fn share(&self) -> Option<f64> {
        let took: Duration = self.looks.iter().map(|(_, took, _)| *took).sum();
        let media: Duration = self.looks.iter().map(|(.., media)| *media).sum();
        (!media.is_zero()).then(|| took.as_secs_f64() / media.as_secs_f64())
    }
}

#[cfg(test)]
#[path = "budget_tests.rs"]
mod tests;
