//! One camera's media and state, between the link that fills it and the viewers who ask.
//!
//! The stream is behind one short lock; whoever waits for more of it waits on a counter that grows with every part
//! and every change of format or state, so nobody polls.

#![allow(clippy::disallowed_methods, reason = "the shell's own clock: how long something has been so")]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use camera::DeviceFacts;
use media::{AccessUnit, Format, Mark, Pulse, Stream, UnusableFormat};
use model::status::CameraReport;
use model::{CameraState, Trouble};
use tokio::sync::{Notify, watch};

/// How often it is repeated that somebody watches.
pub const TELL_EVERY: Duration = Duration::from_secs(5);

/// A handle on one camera's media; cheap to clone.
#[derive(Clone)]
pub struct Feed(Arc<Inner>);

struct Inner {
    stream: Mutex<Stream>,
    status: Mutex<Status>,
    pulse: Mutex<Pulse>,
    progress: watch::Sender<u64>,
    received_bytes: AtomicU64,
    closed: AtomicBool,
    viewers: Viewers,
}

/// Somebody watches: told once in [`TELL_EVERY`], however many do.
struct Viewers {
    began: Instant,
    /// The last stretch of [`TELL_EVERY`] that was told; 0: none.
    told: AtomicU64,
    tell: Notify,
}

struct Status {
    state: CameraState,
    since: Instant,
    trouble: Option<(Trouble, Instant)>,
    device: Option<DeviceFacts>,
    lost_units: u64,
    interruptions: u64,
}

impl Feed {
    /// A feed that nothing has arrived on.
    pub fn new(stream: Stream) -> Self {
        let status = Status {
            state: CameraState::Connecting,
            since: Instant::now(),
            trouble: None,
            device: None,
            lost_units: 0,
            interruptions: 0,
        };
        Self(Arc::new(Inner {
            stream: Mutex::new(stream),
            status: Mutex::new(status),
            pulse: Mutex::new(Pulse::new(Instant::now())),
            progress: watch::Sender::new(0),
            received_bytes: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            viewers: Viewers { began: Instant::now(), told: AtomicU64::new(0), tell: Notify::new() },
        }))
    }

    /// The camera is gone: whoever waits for more of it waits no longer.
    pub fn close(&self) {
        self.0.closed.store(true, Ordering::Release);
        self.wake();
    }

    /// Whether the camera is gone.
    pub fn is_closed(&self) -> bool {
        self.0.closed.load(Ordering::Acquire)
    }

    /// What the camera is doing; a waiting camera's `retry_in_ms` is counted down to this moment.
    pub fn state(&self) -> CameraState {
        let status = lock(&self.0.status);
        let mut state = status.state.clone();
        if let CameraState::Waiting { retry_in_ms, .. } = &mut state {
            let passed = u64::try_from(status.since.elapsed().as_millis()).unwrap_or(u64::MAX);
            *retry_in_ms = retry_in_ms.saturating_sub(passed);
        }
        state
    }

    /// How long the camera has been in its state.
    pub fn state_age(&self) -> Duration {
        lock(&self.0.status).since.elapsed()
    }

    /// What stands in the way and for how long something has: unlike the state, it holds over the next try.
    pub fn trouble(&self) -> Option<(Trouble, Duration)> {
        lock(&self.0.status).trouble.as_ref().map(|(trouble, since)| (trouble.clone(), since.elapsed()))
    }

    /// What the camera said of itself, once it did.
    pub fn device(&self) -> Option<DeviceFacts> {
        lock(&self.0.status).device.clone()
    }

    /// Access units right before or inside which packets were lost, since the feed was made.
    pub fn lost_units(&self) -> u64 {
        lock(&self.0.status).lost_units
    }

    /// How often the session with the camera ended, since the feed was made.
    pub fn interruptions(&self) -> u64 {
        lock(&self.0.status).interruptions
    }

    /// Bytes of access units received, since the feed was made.
    pub fn received_bytes(&self) -> u64 {
        self.0.received_bytes.load(Ordering::Relaxed)
    }

    /// Asks the stream something, under its lock.
    pub fn with<T>(&self, ask: impl FnOnce(&mut Stream) -> T) -> T {
        ask(&mut lock(&self.0.stream))
    }

    /// A counter that changes whenever an answer of the stream may have changed.
    pub fn progress(&self) -> watch::Receiver<u64> {
        self.0.progress.subscribe()
    }

    /// Notes that somebody asked for a piece of the stream.
    pub fn watch(&self) {
        let viewers = &self.0.viewers;
        let stretch = viewers.began.elapsed().as_secs() / TELL_EVERY.as_secs() + 1;
        if viewers.told.swap(stretch, Ordering::Relaxed) != stretch {
            viewers.tell.notify_one();
        }
    }

    /// Returns when somebody watches; at most once in [`TELL_EVERY`].
    pub async fn watched(&self) {
        self.0.viewers.tell.notified().await;
    }

    /// Takes one access unit.
    pub fn push(&self, unit: AccessUnit) {
        self.0.received_bytes.fetch_add(unit.data.len() as u64, Ordering::Relaxed);
        if unit.loss {
            lock(&self.0.status).lost_units += 1;
        }
        let now = Instant::now();
        lock(&self.0.pulse).unit(&unit, now);
        let progress = lock(&self.0.stream).push(unit);
        if progress.part_closed {
            lock(&self.0.pulse).part(now, wall_us());
        }
        if progress.part_closed || progress.segment_closed {
            self.wake();
        }
    }

    /// Takes the format of the access units to come.
    ///
    /// # Errors
    /// When it cannot be packaged; the one before it stays.
    pub fn set_format(&self, format: Format) -> Result<(), UnusableFormat> {
        lock(&self.0.stream).set_format(format)?;
        self.wake();
        Ok(())
    }

    /// Notes that the session with the camera ended: what comes next belongs to another one.
    pub fn interrupt(&self) {
        lock(&self.0.stream).interrupt();
        lock(&self.0.pulse).interrupt();
        lock(&self.0.status).interruptions += 1;
        self.wake();
    }

    /// Notes what the camera is doing.
    pub fn set_state(&self, state: CameraState) {
        let mut status = lock(&self.0.status);
        let now = Instant::now();
        match &state {
            CameraState::Streaming(_) => status.trouble = None,
            CameraState::Waiting { trouble, .. } | CameraState::Stopped { trouble } => {
                let since = status.trouble.as_ref().map_or(now, |(_, since)| *since);
                status.trouble = Some((trouble.clone(), since));
                lock(&self.0.pulse).trouble(trouble.code());
            }
            CameraState::Connecting => {}
        }
        status.state = state;
        status.since = now;
        drop(status);
        self.wake();
    }

    /// Notes that another login or address counts from now on: what stood in the way before does not any more.
    pub fn begin_anew(&self) {
        lock(&self.0.status).trouble = None;
        self.set_state(CameraState::Connecting);
    }

    /// Notes that the worker is gone and comes back in `retry`.
    pub fn worker_died(&self, retry: Duration) {
        let retry_in_ms = u64::try_from(retry.as_millis()).unwrap_or(u64::MAX);
        self.set_state(CameraState::Waiting { trouble: Trouble::WorkerDied, retry_in_ms });
        self.interrupt();
    }

    /// Notes what the camera said of itself.
    pub fn set_device(&self, facts: DeviceFacts) {
        lock(&self.0.status).device = Some(facts);
    }

    /// How its pictures flow.
    pub fn pulse<T>(&self, ask: impl FnOnce(&mut Pulse, Instant) -> T) -> T {
        ask(&mut lock(&self.0.pulse), Instant::now())
    }

    /// Adds to a report what is measured here, with at most `room` outages; more come with the next one. Once the report
    /// has arrived, the mark goes to [`Self::acknowledge`].
    pub fn measure(&self, report: CameraReport, room: usize) -> (CameraReport, Mark) {
        self.pulse(|pulse, now| {
            let (mut outages, mut mark) = pulse.outages(now);
            if outages.len() > room {
                (outages, mark) = (Vec::new(), Mark::default());
            }
            let report = CameraReport {
                last_frame_age_ms: pulse.last_frame_age_ms(now),
                keyframe_age_ms: pulse.keyframe_age_ms(now),
                latency_ms: pulse.latency_ms(now),
                ping_ms: pulse.ping_ms(),
                outages,
                ..report
            };
            (report, mark)
        })
    }

    /// What a report told of outages has been heard.
    pub fn acknowledge(&self, mark: Mark) {
        lock(&self.0.pulse).acknowledge(mark);
    }

    fn wake(&self) {
        self.0.progress.send_modify(|count| *count = count.wrapping_add(1));
    }
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feed").field("state", &self.state()).finish_non_exhaustive()
    }
}

/// No holder leaves a half-made value: a poisoned lock is used as it is.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The clock that stamps arrivals, microseconds since 1970.
fn wall_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_report_tells_of_outages_is_told_until_it_was_heard() {
        let feed = Feed::new(Stream::new(media::Options::default(), 0));
        let began = Instant::now().checked_sub(Duration::from_secs(60)).unwrap();
        feed.pulse(|pulse, _| *pulse = Pulse::new(began));
        feed.set_state(CameraState::Waiting { trouble: Trouble::Closed, retry_in_ms: 0 });
        feed.push(AccessUnit {
            track: media::Track::Video,
            stamp: 0,
            clock_rate: std::num::NonZeroU32::MIN,
            arrival_us: wall_us(),
            random_access: true,
            loss: false,
            data: bytes::Bytes::from_static(b"x"),
        });
        let report: CameraReport = serde_json::from_str(
            r#"{"id":"gate","name":"Gate","state":{"state":"connecting"},"stream":"main","fps":0.0,"bit_rate":0}"#,
        )
        .unwrap();
        assert!(feed.measure(report.clone(), 0).0.outages.is_empty(), "there is no room");
        let (told, mark) = feed.measure(report.clone(), 9);
        assert_eq!((told.outages.len(), told.outages[0].reason.as_str()), (1, "closed"));
        assert!(told.last_frame_age_ms.is_some_and(|age| age < 5_000), "{told:?}");
        feed.acknowledge(mark);
        assert!(feed.measure(report, 9).0.outages.is_empty());
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_crowd_of_viewers_is_told_of_once() {
        let feed = Feed::new(Stream::new(media::Options::default(), 0));
        let told = async || tokio::time::timeout(Duration::from_millis(20), feed.watched()).await.is_ok();
        assert!(!told().await, "nobody watches");
        for _ in 0..1000 {
            feed.watch();
        }
        assert!(told().await);
        for _ in 0..1000 {
            feed.watch();
        }
        assert!(!told().await);
    }
}
