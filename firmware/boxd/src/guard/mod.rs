//! `boxd guard`: owns the watchdog and the verdict over a new system.
//!
//! Init starts it, and it starts the box, `boxd`, as its child. It hears from the box how it is ([`word`]), feeds the watchdog while
//! it does ([`dog`]), decides what that means for the running and the other system ([`course`]) and writes it down ([`keeper`]).
//!
//! No byte from a network comes near it: it opens no socket but the pair to its child and parses one JSON object of at most 4 KiB,
//! from its own binary. That binary contains HTTP, TLS, RTSP and more, which this process links and never calls. It keeps the rights
//! that its child needs, because a child cannot have more than its parent may give: the raw disk, the watchdog, and the restart of
//! the machine. What it gives up: core dumps, being read by a debugger, and being chosen when memory runs out.
//!
//! SIGTERM ends the box first, then this process. The watchdog runs on then (`nowayout`): whoever stops the guard for good and not
//! for a restart of the machine gets one all the same, after the watchdog's time.
//!
//! Without `[board] map` there is one system and nothing to decide: the guard keeps the box running and feeds the watchdog. Where the
//! boot script has started a slot and the board cannot be seen, it does not feed ([`blind`]).

mod blind;
mod child;
mod course;
mod dog;
mod keeper;
mod power;
pub(crate) mod word;

pub(crate) use keeper::LAST;

use std::future::pending;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use update::health::{Before, Limits, Why};

use self::child::{Child, Sign};
use self::course::{Act, Course, Times};
use self::dog::Dog;
use self::keeper::Keeper;
use self::power::Asked;
use self::word::{Ending, Last, Status};
use crate::cloud::jittered;
use crate::config::{Config, Restart};

/// Pause before the box is started again, the first time and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));
/// A box that lived this long had done its work: its death is not held against the next one.
const GROWN_UP: Duration = Duration::from_secs(20);
/// Between two looks at the clock.
const LOOK: Duration = Duration::from_millis(500);
/// The box is told how the board is so often, or when that changes.
const TELL: Duration = Duration::from_secs(30);
/// What failed on the disk is tried again after this.
const AGAIN: Duration = Duration::from_secs(10);
/// How likely the kernel is to end this process when memory runs out (proc(5)); -1000: never.
pub(crate) const OOM: &str = "/proc/self/oom_score_adj";
/// How long init has to take the machine down.
const INIT: Duration = Duration::from_secs(60);

/// Why the guard ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It was told to.
    Stopped,
    /// Whoever started it is to restart the machine.
    Restart,
}

/// Starts the box with the configuration in `file` and watches over it until SIGTERM, or until the machine is to be restarted.
///
/// # Errors
/// When it cannot even begin to.
pub(crate) fn run(config: &Config, file: Option<&Path>) -> anyhow::Result<End> {
    give_up_what_is_not_needed();
    let runtime = Builder::new_current_thread().enable_all().build().context("cannot start the guard")?;
    runtime.block_on(async { Guard::open(config, file)?.keep().await })
}

fn give_up_what_is_not_needed() {
    // None of it is worth not starting the box for.
    let _ = std::fs::write(OOM, "-1000");
    let _ = prctl::set_dumpable(false);
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
}

struct Guard {
    file: Option<PathBuf>,
    restart: Restart,
    began: Instant,
    dog: Dog,
    keeper: Option<Keeper>,
    course: Course,
    status: Status,
    child: Option<Child>,
    born: Instant,
    pause: Duration,
    /// When the box is to be started.
    start_at: Instant,
    /// When the box is to be told how the board is.
    tell_at: Instant,
    /// No act before this: the last one failed.
    act_at: Instant,
    terminate: Signal,
    interrupt: Signal,
}

impl Guard {
    fn open(config: &Config, file: Option<&Path>) -> anyhow::Result<Self> {
        let times = Times {
            limits: Limits {
                healthy_ms: millis(config.update.healthy),
                deadline_ms: millis(config.update.deadline),
                silent_ms: millis(config.guard.silent),
                ..Limits::default()
            },
            retry_ms: millis(config.update.retry),
        };
        // Before the watchdog: opening that feeds it.
        let opened = Keeper::open(config).and_then(|keeper| {
            let found = keeper.as_ref().map(Keeper::found).transpose()?;
            Ok(keeper.zip(found))
        });
        let (keeper, course) = match opened {
            Ok(Some((keeper, found))) => {
                blind::over(config);
                (Some(keeper), Course::new(times, &found, 0))
            }
            unseen => {
                blind::bear(config, unseen.err())?;
                (None, Course::alone(times))
            }
        };
        // A box without a watchdog is better than none.
        let watchdog = dog::open(&config.guard.watchdog, config.guard.bite).unwrap_or_else(|error| {
            tracing::error!(%error, "the box runs without its watchdog ([guard] watchdog)");
            None
        });
        let now = Instant::now();
        let mut guard = Self {
            file: file.map(Path::to_owned),
            restart: config.guard.restart.clone(),
            began: now,
            dog: Dog::new(watchdog, config.guard.silent),
            keeper,
            course,
            status: Status::default(),
            child: None,
            born: now,
            pause: PAUSE.0,
            start_at: now,
            tell_at: now,
            act_at: now,
            terminate: signal(SignalKind::terminate()).context("cannot watch for SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("cannot watch for SIGINT")?,
        };
        guard.look_at_the_board();
        tracing::info!(trial = guard.course.trial(), watchdog = guard.dog.is_there(), "guarding the box");
        Ok(guard)
    }

    async fn keep(mut self) -> anyhow::Result<End> {
        loop {
            if self.child.is_none() && Instant::now() >= self.start_at {
                self.start();
            }
            let sign = async {
                match &mut self.child {
                    Some(child) => child.sign().await,
                    None => pending().await,
                }
            };
            tokio::select! {
                sign = sign => {
                    if self.heard(sign) {
                        return Ok(self.take_down().await);
                    }
                }
                () = tokio::time::sleep(LOOK) => {}
                _ = self.terminate.recv() => return Ok(self.stop().await),
                _ = self.interrupt.recv() => return Ok(self.stop().await),
            }
            if self.look() {
                return Ok(self.take_down().await);
            }
        }
    }

    fn now_ms(&self) -> u64 {
        millis(self.began.elapsed())
    }

    fn start(&mut self) {
        match Child::start(self.file.as_deref()) {
            Ok(child) => {
                self.child = Some(child);
                self.dog.sign(self.now_ms());
                self.tell_at = Instant::now();
            }
            Err(error) => {
                tracing::warn!("{error:#}");
                self.course.ended(false);
                self.come_back();
            }
        }
        self.born = Instant::now();
    }

    /// What the box did; gives whether the machine is to be restarted.
    fn heard(&mut self, sign: Sign) -> bool {
        match sign {
            Sign::Facts(facts) => {
                let now = self.now_ms();
                self.dog.sign(now);
                self.course.tell(now, facts);
                false
            }
            Sign::Ended(status) => {
                self.child = None;
                let wanted = matches!(&status, Ok(status) if status.code() == Some(crate::AGAIN.into()));
                let how = status.map_or_else(|error| error.to_string(), |status| status.to_string());
                let leaving = self.course.leaving();
                self.course.ended(wanted);
                if wanted {
                    tracing::info!("the box wants to start anew");
                    self.start_at = Instant::now();
                    return self.is_left_for_a_new_system(leaving);
                }
                if self.born.elapsed() >= GROWN_UP {
                    self.pause = PAUSE.0;
                }
                self.come_back();
                let again_in_ms = millis(self.start_at.saturating_duration_since(Instant::now()));
                tracing::warn!(how, again_in_ms, "the box ended");
                false
            }
        }
    }

    /// Whoever restarts the box while a new system waits means that one. Keeps what it is measured by.
    fn is_left_for_a_new_system(&mut self, before: Option<Before>) -> bool {
        let trial = self.course.trial();
        let Some(keeper) = self.keeper.as_mut().filter(|_| !trial) else { return false };
        if !matches!(keeper.other_is_next(), Ok(true)) {
            return false;
        }
        if let Some(Err(error)) = before.map(|before| keeper.keep_before(before)) {
            tracing::warn!("{error:#}");
        }
        true
    }

    fn come_back(&mut self) {
        self.start_at = Instant::now() + jittered(self.pause);
        self.pause = (self.pause * 2).min(PAUSE.1);
    }

    /// Does what is due; gives whether the machine is to be restarted.
    fn look(&mut self) -> bool {
        let now = self.now_ms();
        self.dog.look(now);
        // Where no watchdog does it, the guard ends a box that hangs.
        if !self.dog.is_there()
            && self.dog.silent(now)
            && let Some(child) = &mut self.child
        {
            tracing::error!("the box says nothing any more: it is ended");
            child.kill();
            self.dog.sign(now);
        }
        if Instant::now() >= self.tell_at {
            self.tell_at = Instant::now() + TELL;
            self.look_at_the_board();
            if let Some(child) = &self.child {
                child.tell(&self.status);
            }
        }
        if Instant::now() < self.act_at {
            return false;
        }
        let Some(act) = self.course.next(now) else { return false };
        match self.perform(act) {
            Ok(restart) => {
                self.course.done();
                self.tell_at = Instant::now();
                restart
            }
            Err(error) => {
                tracing::warn!(?act, "{error:#}");
                self.act_at = Instant::now() + AGAIN;
                false
            }
        }
    }

    fn look_at_the_board(&mut self) {
        let Some(keeper) = &self.keeper else { return };
        match keeper.status(self.course.trial()) {
            Ok(status) => self.status = status,
            Err(error) => tracing::warn!("{error:#}"),
        }
    }

    fn perform(&mut self, act: Act) -> anyhow::Result<bool> {
        let Some(keeper) = &mut self.keeper else { return Ok(false) };
        let last = |keeper: &Keeper, running, end, why| {
            let (version, system) = keeper.named(running)?;
            let at_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            anyhow::Ok(Last { end, why, version, system, at_s })
        };
        // What cannot be kept for people must not keep the machine from its way back.
        let tell = |keeper: &mut Keeper, running, end, why| {
            let kept = last(keeper, running, end, why).and_then(|last| keeper.keep_last(&last));
            if let Err(error) = kept {
                tracing::warn!("{error:#}");
            }
        };
        match act {
            Act::Commit { blind } => {
                keeper.commit()?;
                tell(keeper, true, if blind { Ending::CommittedBlind } else { Ending::Committed }, None);
                tracing::info!(blind, "the new system is well: it stays");
                Ok(false)
            }
            Act::Refresh => keeper.commit().map(|()| false),
            Act::KeepBefore(before) => keeper.keep_before(before).map(|()| false),
            Act::Fail(why) => {
                tell(keeper, true, Ending::RolledBack, Some(why));
                keeper.fail()?;
                tracing::error!(reason = %why, "the new system is given up: back to the old one");
                Ok(true)
            }
            Act::LetGo(why) => {
                tell(keeper, true, Ending::NoVerdict, Some(why));
                tracing::warn!(reason = %why, "nothing can be said of the new system: it may be tried again");
                Ok(true)
            }
            Act::Note(end, why) => {
                let last = last(keeper, false, end, Some(why))?;
                keeper.keep_last(&last)?;
                tracing::warn!(?end, reason = %why, "an update did not stay");
                Ok(false)
            }
            Act::TryAgain(why) => {
                let last = last(keeper, false, Ending::Again, Some(why))?;
                keeper.keep_last(&last)?;
                keeper.try_again()?;
                tracing::info!(reason = %why, "the new system is tried once more");
                Ok(true)
            }
            Act::Settle => {
                let again = keeper.settle()?;
                if !again {
                    tell(
                        keeper,
                        false,
                        Ending::GivenUp,
                        self.status.last.as_ref().map_or(Some(Why::NoVerdict), |last| last.why),
                    );
                }
                tracing::info!(again, "an update that ended without a verdict");
                Ok(again)
            }
        }
    }

    /// Ends the box, then the guard.
    async fn stop(mut self) -> End {
        tracing::info!("stopping");
        self.end_child().await;
        End::Stopped
    }

    /// Ends the box and has the machine restarted.
    async fn take_down(mut self) -> End {
        tracing::info!("restarting the machine");
        self.end_child().await;
        match power::ask(&self.restart) {
            Asked::Starter => return End::Restart,
            Asked::Kernel => power::at_once(),
            Asked::Init => {
                let until = Instant::now() + INIT;
                while Instant::now() < until {
                    self.dog.sign(self.now_ms());
                    self.dog.look(self.now_ms());
                    tokio::select! {
                        _ = self.terminate.recv() => return End::Stopped,
                        () = tokio::time::sleep(LOOK) => {}
                    }
                }
                power::at_once();
            }
        }
        End::Restart
    }

    async fn end_child(&mut self) {
        if let Some(child) = self.child.take() {
            child.end().await;
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
