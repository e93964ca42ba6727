//! The box's clock: what [`clock`](super::clock) decides is done here.
//!
//! Where the clock may not be set (no CAP_SYS_TIME), the box counts with the right time beside it: certificates are
//! judged by [`Time::now`]. What WireGuard stamps its handshakes with is the system's clock; then the status says that
//! it is wrong.

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_settime};
use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;
use tokio::sync::watch;

use super::clock::{self, Step};
use super::files::Files;
use crate::state::lock;

/// The latest trusted time, seconds since 1970 as decimal text. Not the media's own `time-floor`, which follows the
/// box's clock.
const FLOOR: &str = "trusted-time";
/// How often the clock is looked at for others setting it.
const LOOK: Duration = Duration::from_secs(2);
/// When this program was built, seconds since 1970.
const BUILT: &str = env!("BOXD_BUILT");

/// The system's clock, or a test's.
pub(crate) trait SystemClock: Send + Sync {
    /// The time since 1970.
    fn now(&self) -> Duration;
    /// Sets it.
    ///
    /// # Errors
    /// When this process may not.
    fn set(&self, time: Duration) -> io::Result<()>;
}

/// The kernel's real-time clock.
pub(crate) struct RealTime;

impl SystemClock for RealTime {
    fn now(&self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }

    fn set(&self, time: Duration) -> io::Result<()> {
        Ok(clock_settime(ClockId::CLOCK_REALTIME, TimeSpec::from_duration(time))?)
    }
}

/// Why the phone's time was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotNeeded {
    /// The clock is known already.
    #[error("The box knows the time already.")]
    Known,
    /// It is before something that has certainly happened.
    #[error("The phone's clock is behind: set it right, then try again.")]
    Past,
}

/// When this program was built, since 1970.
fn built() -> Duration {
    Duration::from_secs(BUILT.parse().unwrap_or(0))
}

/// The box's clock and the floor below it.
pub(crate) struct Time {
    files: Files,
    clock: Box<dyn SystemClock>,
    /// The floor as it is kept.
    kept: Mutex<Option<Duration>>,
    /// What is right where the clock could not be set.
    beside: Mutex<Option<Beside>>,
    /// The clock was behind at the start, and nobody has told the time since.
    unsure: AtomicBool,
    /// Somebody has set the clock since the start, or told the time.
    known: AtomicBool,
    /// The box itself has set it, to a time that is only not too early.
    guessed: AtomicBool,
    /// What the owner should know.
    sentence: Mutex<Option<String>>,
    /// What the cloud has proven last, and when; counts on whatever happens to the clock.
    proven: Mutex<Option<(Duration, Instant)>>,
    /// Counts every jump of the clock, whoever set it.
    jumps: watch::Sender<u64>,
}

/// The right time beside a clock that could not be set, at one moment.
#[derive(Debug, Clone, Copy)]
struct Beside {
    right: Duration,
    clock: Duration,
    at: Instant,
}

impl Beside {
    /// The right time when the clock says `clock`; `None`: somebody has set it since, and is believed to know better.
    fn now(self, clock: Duration) -> Option<Duration> {
        let set = clock::jumped(self.clock, clock, self.at.elapsed());
        (!set).then(|| self.right.saturating_add(clock).saturating_sub(self.clock))
    }
}

impl std::fmt::Debug for Time {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Time").field("now", &self.now()).finish_non_exhaustive()
    }
}

impl TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(self.now()))
    }
}

impl Time {
    /// Reads the floor, and sets a clock that is behind it or behind the build.
    pub(crate) fn open(files: Files, clock: Box<dyn SystemClock>) -> Self {
        let time = Self::look(files, clock);
        let step = time.first_step();
        time.unsure.store(step != Step::Leave, Ordering::Relaxed);
        time.guessed.store(step != Step::Leave, Ordering::Relaxed);
        time.step(step, "what an earlier run knew");
        time
    }

    /// Reads the floor and leaves the clock as it is: whoever wants no cloud needs no exact time.
    pub(crate) fn look(files: Files, clock: Box<dyn SystemClock>) -> Self {
        let time = Self {
            files,
            clock,
            kept: Mutex::new(None),
            beside: Mutex::new(None),
            unsure: AtomicBool::new(false),
            known: AtomicBool::new(false),
            guessed: AtomicBool::new(false),
            sentence: Mutex::new(None),
            proven: Mutex::new(None),
            jumps: watch::Sender::new(0),
        };
        let floor = time.read_floor();
        *lock(&time.kept) = floor;
        time
    }

    fn first_step(&self) -> Step {
        clock::at_start(self.clock.now(), *lock(&self.kept), built())
    }

    /// Whether the clock can be right: it is plausible without the box's doing, or somebody has set it since.
    pub(crate) fn is_known(&self) -> bool {
        let guessed = self.guessed.load(Ordering::Relaxed);
        self.known.load(Ordering::Relaxed) || !guessed && self.first_step() == Step::Leave
    }

    /// The owner's phone tells the time. It is believed only while nobody else has told it, sets the clock, and is never
    /// kept as trusted.
    ///
    /// # Errors
    /// [`NotNeeded`].
    pub(crate) fn told_by_phone(&self, time: Duration) -> Result<(), NotNeeded> {
        let least = lock(&self.kept).map_or(built(), |floor| floor.max(built()));
        if self.is_known() {
            return Err(NotNeeded::Known);
        }
        if time < least {
            return Err(NotNeeded::Past);
        }
        self.step(Step::Forward(time), "the owner's phone");
        self.known.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// The best that the box knows, since 1970.
    pub(crate) fn now(&self) -> Duration {
        let clock = self.clock.now();
        let mut beside = lock(&self.beside);
        let right = beside.and_then(|beside| beside.now(clock));
        if right.is_none() {
            *beside = None;
        }
        right.unwrap_or(clock)
    }

    /// The cloud has told its time with proof. Sets a clock that is wrong, and keeps the time now and then.
    pub(crate) fn told(&self, time: Duration) {
        self.step(clock::when_told(self.now(), time), "the cloud");
        self.unsure.store(false, Ordering::Relaxed);
        self.known.store(true, Ordering::Relaxed);
        *lock(&self.proven) = Some((time, Instant::now()));
        let floor = {
            let mut kept = lock(&self.kept);
            let floor = clock::floor_to_keep(*kept, time);
            *kept = floor.or(*kept);
            floor
        };
        let Some(floor) = floor else { return };
        if let Err(error) = self.files.write(FLOOR, format!("{}\n", floor.as_secs()).as_bytes()) {
            tracing::warn!(%error, "cannot keep the trusted time for the next start ([state] dir)");
        }
    }

    /// The time since 1970 as the cloud has proven it since the start, whatever the clock says; `None`: it has not.
    pub(crate) fn proven(&self) -> Option<Duration> {
        let (time, at) = (*lock(&self.proven))?;
        Some(time.saturating_add(at.elapsed()))
    }

    /// A server whose certificate is not valid yet has told its time: the clock is certainly behind. Whether it changed.
    pub(crate) fn hinted(&self, time: Duration) -> bool {
        let step = clock::when_hinted(self.now(), time);
        self.step(step, "the cloud, unproven");
        step != Step::Leave
    }

    /// Whether the clock was behind at the start and nobody has told the time since.
    pub(crate) fn is_unsure(&self) -> bool {
        self.unsure.load(Ordering::Relaxed)
    }

    /// Nobody tells the time: sets the clock ahead of all that an earlier run can have stamped.
    pub(crate) fn assume(&self) {
        let floor = *lock(&self.kept);
        self.step(clock::when_nobody_tells(self.now(), floor), "caution, for nobody tells the time");
        self.unsure.store(false, Ordering::Relaxed);
    }

    /// What is wrong with the clock and what the owner can do, if anything.
    pub(crate) fn sentence(&self) -> Option<String> {
        lock(&self.sentence).clone()
    }

    /// Changes whenever the clock jumped.
    pub(crate) fn jumps(&self) -> watch::Receiver<u64> {
        self.jumps.subscribe()
    }

    /// Notices when others set the clock (an NTP daemon, an administrator), for ever.
    pub(crate) async fn watch(&self) {
        let mut before = (self.clock.now(), Instant::now());
        loop {
            tokio::time::sleep(LOOK).await;
            let after = (self.clock.now(), Instant::now());
            if clock::jumped(before.0, after.0, after.1.saturating_duration_since(before.1)) {
                *lock(&self.sentence) = None;
                if self.first_step() == Step::Leave {
                    self.known.store(true, Ordering::Relaxed);
                }
                self.jumps.send_modify(|jumps| *jumps += 1);
            }
            before = after;
        }
    }

    fn step(&self, step: Step, who: &str) {
        let Some(target) = step.target() else { return };
        let before = self.now();
        match self.clock.set(target) {
            Ok(()) => {
                *lock(&self.beside) = None;
                *lock(&self.sentence) = None;
                tracing::info!(from = %date(before), to = %date(target), by = who, "set the clock");
            }
            Err(error) => {
                let clock = self.clock.now();
                *lock(&self.beside) = Some(Beside { right: target, clock, at: Instant::now() });
                let sentence = format!(
                    "The box's clock is wrong (it says {}, it should say {}) and the box may not set it: set it, or \
                     give boxd the right to (CAP_SYS_TIME). The tunnel may be refused until then.",
                    date(clock),
                    date(target)
                );
                tracing::warn!(%error, "{sentence}");
                *lock(&self.sentence) = Some(sentence);
            }
        }
        self.jumps.send_modify(|jumps| *jumps += 1);
    }

    fn read_floor(&self) -> Option<Duration> {
        let text = match self.files.read(FLOOR) {
            Ok(text) => String::from_utf8(text?).ok()?,
            Err(error) => {
                tracing::warn!(%error, "cannot read the trusted time ([state] dir)");
                return None;
            }
        };
        text.trim().parse().ok().map(Duration::from_secs)
    }
}

/// A time since 1970 for people: `Thu, 01 Jan 1970 00:00:12 GMT`.
pub(crate) fn date(time: Duration) -> String {
    // The year 9999 is the last one that can be written so.
    let last = Duration::from_secs(253_402_300_799);
    httpdate::fmt_http_date(UNIX_EPOCH + time.min(last))
}

/// The time of an HTTP `Date` header (RFC 9110, 5.6.7), since 1970.
pub(crate) fn parse_date(text: &str) -> Option<Duration> {
    httpdate::parse_http_date(text).ok()?.duration_since(UNIX_EPOCH).ok()
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicI64;

    use super::*;
    use crate::cloud::files::tests::Scratch;

    /// A clock that a test holds, milliseconds.
    #[derive(Clone, Default)]
    pub(crate) struct Fake {
        now: Arc<AtomicI64>,
        fixed: bool,
    }

    impl Fake {
        pub(crate) fn at(seconds: i64) -> Self {
            Self { now: Arc::new(AtomicI64::new(seconds * 1000)), fixed: false }
        }
    }

    impl SystemClock for Fake {
        fn now(&self) -> Duration {
            Duration::from_millis(self.now.load(Ordering::Relaxed) as u64)
        }

        fn set(&self, time: Duration) -> io::Result<()> {
            if self.fixed {
                return Err(io::ErrorKind::PermissionDenied.into());
            }
            self.now.store(time.as_millis() as i64, Ordering::Relaxed);
            Ok(())
        }
    }

    const TRUTH: i64 = 4_000_000_000;

    fn s(seconds: i64) -> Duration {
        Duration::from_secs(seconds as u64)
    }

    #[test]
    fn a_box_without_a_battery_goes_on_where_the_cloud_last_saw_it() {
        let scratch = Scratch::new("time");
        let clock = Fake::at(TRUTH);
        let time = Time::open(scratch.files(), Box::new(clock.clone()));
        assert_eq!(time.now(), s(TRUTH), "a clock that can be right is left alone");
        time.told(s(TRUTH + 1));
        assert_eq!(time.now(), s(TRUTH));

        let clock = Fake::at(7);
        let time = Time::open(scratch.files(), Box::new(clock.clone()));
        assert_eq!(clock.now(), s(TRUTH + 1), "the clock itself is set");
        assert_eq!(time.sentence(), None);
        assert!(time.is_unsure());
        let jumps = time.jumps();
        time.told(s(TRUTH + 86_400));
        assert_eq!(clock.now(), s(TRUTH + 86_400));
        assert!(jumps.has_changed().unwrap(), "the tunnel must take the new clock");
        assert!(!time.is_unsure());

        // Nobody tells the time: later than all that was stamped before, and so it stays.
        let clock = Fake::at(7);
        let time = Time::open(scratch.files(), Box::new(clock.clone()));
        time.assume();
        assert!(clock.now() > s(TRUTH + 86_400 + 300));
        let assumed = clock.now();
        time.told(s(TRUTH + 86_430));
        assert_eq!(clock.now(), assumed);
    }

    #[test]
    fn a_lying_time_server_moves_no_floor() {
        let scratch = Scratch::new("time-ntp");
        let clock = Fake::at(TRUTH);
        let time = Time::open(scratch.files(), Box::new(clock.clone()));
        time.told(s(TRUTH));
        // It says 2160, then the cloud tells the time again.
        clock.set(s(6_000_000_000)).unwrap();
        time.told(s(TRUTH + 600));
        assert_eq!(clock.now(), s(TRUTH + 600));
        let proven = time.proven().unwrap();
        assert!(
            proven >= s(TRUTH + 600) && proven < s(TRUTH + 660),
            "nor what a restart waits for: {proven:?}"
        );
        // An unproven hint sets the clock, and is not kept either.
        assert!(time.hinted(s(6_000_000_000)));
        let again = Time::open(scratch.files(), Box::new(Fake::at(7)));
        assert!(again.now() < s(TRUTH + 3600), "{:?}", again.now());
    }

    #[test]
    fn a_box_that_may_not_set_the_clock_says_so_and_counts_beside_it() {
        let scratch = Scratch::new("time-fixed");
        let clock = Fake { fixed: true, ..Fake::at(7) };
        let time = Time::open(scratch.files(), Box::new(clock.clone()));
        time.told(s(TRUTH));
        assert_eq!(clock.now(), s(7));
        assert_eq!(time.now(), s(TRUTH));
        let sentence = time.sentence().unwrap();
        assert!(sentence.contains("01 Jan 1970") && sentence.contains("CAP_SYS_TIME"), "{sentence}");
        time.told(s(TRUTH));
        assert_eq!(time.now(), s(TRUTH), "being told the same again changes nothing");
    }

    #[test]
    fn what_was_counted_beside_the_clock_is_not_counted_twice_when_another_process_sets_it() {
        let scratch = Scratch::new("time-another");
        let clock = Fake { fixed: true, ..Fake::at(TRUTH - 100 * 86_400) };
        let time = Time::look(scratch.files(), Box::new(clock.clone()));
        assert!(time.hinted(s(TRUTH)));
        assert_eq!(time.now(), s(TRUTH));
        let another = Fake { fixed: false, ..clock };
        another.set(s(TRUTH)).unwrap();
        assert_eq!(time.now(), s(TRUTH), "no certificate has expired");
        another.set(s(TRUTH - 86_400)).unwrap();
        assert_eq!(time.now(), s(TRUTH - 86_400), "nor does it come back");
    }

    #[test]
    fn the_phone_is_asked_only_while_nobody_knows_the_time_and_moves_no_floor() {
        let scratch = Scratch::new("time-phone");
        let right = Time::open(scratch.files(), Box::new(Fake::at(TRUTH)));
        assert!(right.is_known());
        assert_eq!(right.told_by_phone(s(TRUTH + 500)), Err(NotNeeded::Known));
        right.told(s(TRUTH));

        let clock = Fake::at(7);
        let time = Time::open(scratch.files(), Box::new(clock.clone()));
        assert!(!time.is_known());
        assert_eq!(time.told_by_phone(s(TRUTH - 1)), Err(NotNeeded::Past), "before what the cloud has told");
        time.told_by_phone(s(TRUTH + 7_000_000)).unwrap();
        assert_eq!(time.proven(), None);
        assert_eq!(clock.now(), s(TRUTH + 7_000_000));
        assert!(time.is_known());
        // A phone of 2038 locks nobody in: the next start and the cloud know better.
        let again = Time::open(scratch.files(), Box::new(Fake::at(7)));
        assert_eq!(again.now(), s(TRUTH));
        time.told(s(TRUTH + 60));
        assert_eq!(clock.now(), s(TRUTH + 60));

        let alone = Fake::at(7);
        let time = Time::look(scratch.files(), Box::new(alone.clone()));
        assert_eq!((alone.now(), time.is_known()), (s(7), false), "a box without a cloud keeps its clock");
    }

    #[test]
    fn rubbish_in_the_file_is_no_time() {
        let scratch = Scratch::new("time-rubbish");
        scratch.files().write(FLOOR, b"\xff 99999999999999999999999").unwrap();
        assert_eq!(Time::open(scratch.files(), Box::new(Fake::at(TRUTH))).now(), s(TRUTH));
        assert_eq!(date(Duration::MAX), "Fri, 31 Dec 9999 23:59:59 GMT");
        assert_eq!(parse_date("Thu, 01 Jan 1970 00:00:12 GMT"), Some(s(12)));
        assert_eq!(parse_date("yesterday"), None);
    }
}
