//! How a camera's pictures flow: when the last one came, how late they are, and when there were none.
//!
//! An outage is a stretch between two pictures that is longer than [`LEAST`], and than four usual ones. It begins at the
//! last picture before it, whenever it is noticed, and ends at the first one after. What nobody has acknowledged is kept,
//! the newest [`KEPT`].

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use model::status::Outage;

use crate::unit::{AccessUnit, Track};

/// The shortest outage: a session that is opened anew at once is none.
const LEAST: Duration = Duration::from_secs(3);
/// Cameras that send seldom are given this many of their usual intervals.
const USUAL: u32 = 4;
/// Ended outages that are kept until somebody has heard of them.
const KEPT: usize = 64;
/// Most of them that are told at once: a report has its bounds.
const TOLD: usize = 8;
/// Latency is the mean of one to two of these.
const STRETCH: Duration = Duration::from_secs(30);
/// A picture that seems later than this came before the clock was set; it says nothing.
const ABSURD_US: i64 = 60_000_000;

/// The pulse of one camera.
#[derive(Debug)]
pub struct Pulse {
    began: Instant,
    picture: Option<Instant>,
    keyframe: Option<Instant>,
    /// The usual time between two pictures.
    usual: Duration,
    /// What stood in the way last, since the last picture.
    reason: &'static str,
    past: VecDeque<Past>,
    /// How many outages have ended so far.
    ended: u64,
    waiting: Sum,
    now: Sum,
    before: Sum,
    stretch: Instant,
    ping: Option<u32>,
}

#[derive(Debug)]
struct Past {
    number: u64,
    from: Instant,
    to: Instant,
    reason: &'static str,
}

#[derive(Debug, Default, Clone, Copy)]
struct Sum {
    count: i64,
    us: i64,
}

/// How far outages were told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mark(u64);

impl Pulse {
    /// A camera without pictures so far.
    pub fn new(now: Instant) -> Self {
        Self {
            began: now,
            picture: None,
            keyframe: None,
            usual: Duration::ZERO,
            reason: "",
            past: VecDeque::new(),
            ended: 0,
            waiting: Sum::default(),
            now: Sum::default(),
            before: Sum::default(),
            stretch: now,
            ping: None,
        }
    }

    /// Notes an access unit that came: before the stream takes it.
    pub fn unit(&mut self, unit: &AccessUnit, now: Instant) {
        if unit.track != Track::Video {
            return;
        }
        let from = self.picture.unwrap_or(self.began);
        let gap = now.saturating_duration_since(from);
        if gap >= self.least() {
            self.ended += 1;
            self.past.push_back(Past { number: self.ended, from, to: now, reason: self.reason });
            if self.past.len() > KEPT {
                self.past.pop_front();
            }
        } else if self.picture.is_some() {
            self.usual = (self.usual * 7 + gap) / 8;
        }
        self.reason = "";
        self.picture = Some(now);
        if unit.random_access {
            self.keyframe = Some(now);
        }
        self.waiting.count += 1;
        self.waiting.us = self.waiting.us.saturating_add(unit.arrival_us);
    }

    /// Notes that a part was closed, at `wall_us` microseconds since 1970 by the clock that stamps arrivals: all that came
    /// so far can be fetched.
    pub fn part(&mut self, now: Instant, wall_us: i64) {
        let Sum { count, us } = std::mem::take(&mut self.waiting);
        let late = wall_us.saturating_mul(count).saturating_sub(us);
        if now.saturating_duration_since(self.stretch) >= STRETCH {
            self.before = std::mem::take(&mut self.now);
            self.stretch = now;
        }
        if (0..ABSURD_US.saturating_mul(count.max(1))).contains(&late) {
            self.now.count += count;
            self.now.us = self.now.us.saturating_add(late);
        }
    }

    /// Notes that the session ended: what is open is closed without having been waited for.
    pub fn interrupt(&mut self) {
        self.waiting = Sum::default();
    }

    /// Notes what stands in the way: [`model::Trouble::code`].
    pub fn trouble(&mut self, code: &'static str) {
        self.reason = code;
    }

    /// Notes how long the camera's port took to accept a connection, milliseconds; `None`: it did not.
    pub fn set_ping(&mut self, ping_ms: Option<u32>) {
        self.ping = ping_ms;
    }

    /// Milliseconds of the last ping; `None`: it failed, or there was none.
    pub fn ping_ms(&self) -> Option<u32> {
        self.ping
    }

    /// Milliseconds since the last picture.
    pub fn last_frame_age_ms(&self, now: Instant) -> Option<u64> {
        self.picture.map(|at| age_ms(at, now))
    }

    /// Milliseconds since the last keyframe.
    pub fn keyframe_age_ms(&self, now: Instant) -> Option<u64> {
        self.keyframe.map(|at| age_ms(at, now))
    }

    /// From a picture's last packet to the end of its part, the mean over the pictures of the last half to full minute,
    /// milliseconds; `None` when none came.
    pub fn latency_ms(&self, now: Instant) -> Option<u32> {
        let age = now.saturating_duration_since(self.stretch);
        let of = |sum: Sum, most: u32| if age < STRETCH * most { sum } else { Sum::default() };
        let (new, old) = (of(self.now, 2), of(self.before, 1));
        let count = new.count + old.count;
        (count > 0).then(|| u32::try_from((new.us + old.us) / count / 1000).unwrap_or(u32::MAX))
    }

    /// Whether there is no picture at this time.
    pub fn is_out(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.picture.unwrap_or(self.began)) >= self.least()
    }

    /// Outages that nobody has acknowledged yet, oldest first, at most eight, and the one that lasts. The mark
    /// acknowledges the ended ones among them.
    pub fn outages(&self, now: Instant) -> (Vec<Outage>, Mark) {
        let told = self.past.iter().take(TOLD);
        let mark = told.clone().next_back().map_or(Mark::default(), |past| Mark(past.number));
        let mut outages: Vec<Outage> = told
            .map(|past| Outage {
                from_age_ms: age_ms(past.from, now),
                to_age_ms: Some(age_ms(past.to, now)),
                reason: past.reason.to_owned(),
            })
            .collect();
        if self.is_out(now) {
            outages.push(Outage {
                from_age_ms: age_ms(self.picture.unwrap_or(self.began), now),
                to_age_ms: None,
                reason: self.reason.to_owned(),
            });
        }
        (outages, mark)
    }

    /// Forgets what was told.
    pub fn acknowledge(&mut self, mark: Mark) {
        self.past.retain(|past| past.number > mark.0);
    }

    fn least(&self) -> Duration {
        LEAST.max(self.usual * USUAL)
    }
}

fn age_ms(at: Instant, now: Instant) -> u64 {
    u64::try_from(now.saturating_duration_since(at).as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests begin somewhere")]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    struct Camera {
        zero: Instant,
        pulse: Pulse,
    }

    impl Camera {
        fn new() -> Self {
            let zero = Instant::now();
            Self { zero, pulse: Pulse::new(zero) }
        }

        fn at(&self, ms: u64) -> Instant {
            self.zero + Duration::from_millis(ms)
        }

        fn picture(&mut self, ms: u64, random_access: bool) {
            let unit = AccessUnit {
                track: Track::Video,
                stamp: 0,
                clock_rate: NonZeroU32::MIN,
                arrival_us: ms as i64 * 1000,
                random_access,
                loss: false,
                data: bytes::Bytes::new(),
            };
            self.pulse.unit(&unit, self.at(ms));
        }

        fn outages(&self, ms: u64) -> Vec<(u64, Option<u64>, String)> {
            let told = self.pulse.outages(self.at(ms)).0.into_iter();
            told.map(|outage| (ms - outage.from_age_ms, outage.to_age_ms.map(|age| ms - age), outage.reason))
                .collect()
        }
    }

    #[test]
    fn an_outage_begins_at_the_last_picture_and_ends_at_the_next() {
        let mut camera = Camera::new();
        for ms in (100..=4_000).step_by(40) {
            camera.picture(ms, ms == 100);
        }
        assert!(camera.outages(5_000).is_empty(), "a second is none");
        // The watchdog notices after ten seconds.
        camera.pulse.trouble("stalled");
        assert_eq!(camera.outages(14_000), [(3_980, None, "stalled".to_owned())]);
        camera.pulse.trouble("unreachable");
        camera.picture(21_250, true);
        assert_eq!(camera.outages(60_000)[0], (3_980, Some(21_250), "unreachable".to_owned()));
        assert_eq!(camera.pulse.keyframe_age_ms(camera.at(22_000)), Some(750));
    }

    #[test]
    fn outages_are_told_until_they_are_acknowledged() {
        let mut camera = Camera::new();
        camera.picture(0, true);
        camera.picture(10_000, true);
        let (told, mark) = camera.pulse.outages(camera.at(10_500));
        assert_eq!(told.len(), 1);
        // Another one ends while the report is under way.
        camera.picture(20_000, true);
        assert_eq!(camera.outages(20_500).len(), 2);
        camera.pulse.acknowledge(mark);
        assert_eq!(camera.outages(20_500), [(10_000, Some(20_000), String::new())]);
    }

    #[test]
    fn a_camera_that_flaps_for_ever_is_kept_in_bounds() {
        let mut camera = Camera::new();
        for round in 0..1_000 {
            camera.picture(round * 10_000, true);
        }
        let mut told = 0;
        loop {
            let (outages, mark) = camera.pulse.outages(camera.at(9_990_500));
            assert!(outages.len() <= TOLD);
            if outages.is_empty() {
                break;
            }
            told += outages.len();
            camera.pulse.acknowledge(mark);
        }
        assert_eq!(told, KEPT);
    }

    #[test]
    fn a_camera_that_sends_every_five_seconds_is_not_out() {
        let mut camera = Camera::new();
        for round in 0..40 {
            camera.picture(round * 2_500, true);
        }
        for round in 0..20 {
            camera.picture(100_000 + round * 5_000, true);
        }
        assert!(camera.outages(199_000).is_empty(), "{:?}", camera.outages(199_000));
        assert!(!camera.outages(230_000).is_empty());
    }

    #[test]
    fn latency_is_the_mean_time_until_the_part_ends() {
        let mut camera = Camera::new();
        assert_eq!(camera.pulse.latency_ms(camera.at(0)), None);
        for part in 0..10 {
            for picture in 0..5 {
                camera.picture(part * 200 + picture * 40, true);
            }
            let now = part * 200 + 160;
            camera.pulse.part(camera.at(now), now as i64 * 1000);
        }
        assert_eq!(camera.pulse.latency_ms(camera.at(2_000)), Some(80));
        // The clock is set back by an hour.
        camera.picture(2_000, true);
        camera.pulse.part(camera.at(2_010), -3_600_000_000);
        assert_eq!(camera.pulse.latency_ms(camera.at(2_010)), Some(80));
        assert_eq!(camera.pulse.latency_ms(camera.at(90_000)), None, "old figures are none");
    }

    #[test]
    fn a_camera_that_never_came_is_out_since_the_start() {
        let camera = Camera::new();
        assert!(camera.outages(2_000).is_empty());
        assert_eq!(camera.outages(8_000), [(0, None, String::new())]);
    }
}
