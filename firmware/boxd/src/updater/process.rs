//! How the main process keeps `boxd updater` alive and hears from it. Whatever the updater does, cameras and pages go on.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::Status;
use super::departure::{Departure, Seen, Turn};
use super::journal::Journal;
use super::word::Word;
use crate::cloud::{Files, Time, jittered};
use crate::config::{Config, Usb};
use crate::guard::word::Last;
use crate::state::{Shared, stopping};

/// Pause before the process is started again, the first time and at most.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));
/// A process that lived this long had done its work: its death is not held against the next one.
const GROWN_UP: Duration = Duration::from_secs(60);
/// A word must be taken within this.
const SAY: Duration = Duration::from_secs(5);
/// The journal must be written within this, or nobody waits for it.
const WRITE: Duration = Duration::from_secs(4);
/// Longest line that it says, bytes.
const LINE: u64 = 16 << 10;

/// Between two looks at whether the box is to restart.
const LOOK: Duration = Duration::from_secs(1);
/// Not all boxes ask for their restart in the same second: at most this part of the time between two looks for updates goes
/// by before one does, and at most so long.
const SPREAD: (u32, Duration) = (10, Duration::from_secs(300));
/// Between two copies of the journal while a new system is on trial: 40 of at most 8 KiB in the 20 minutes of a trial.
const COPY: Duration = Duration::from_secs(30);

/// What the main process needs to know of it.
#[derive(Debug, Clone)]
pub(crate) struct Keep {
    /// The configuration file.
    file: Option<PathBuf>,
    /// Whether a guard is there that can restart the machine.
    guarded: bool,
    /// Whether the box restarts by itself into what was installed.
    by_itself: bool,
    /// Between two looks for updates.
    every: Duration,
}

/// What surrounds it in the main process.
pub(crate) struct Around {
    /// The box.
    pub(crate) shared: Shared,
    /// Its clock.
    pub(crate) time: Arc<Time>,
    /// The state directory.
    pub(crate) files: Files,
    /// The last lines of this process, without secrets.
    pub(crate) lines: Box<dyn Fn() -> String>,
    /// The releases on the stick that is plugged in.
    pub(crate) stick: watch::Receiver<Option<PathBuf>>,
}

impl Around {
    /// While this system is on trial, keeps its journal for the system that has to tell why it did not stay. At the end of the
    /// box, when nothing else is to be done meanwhile.
    pub(crate) fn keep_journal(&self) {
        if let Some(version) = self.on_trial() {
            told(Journal::new(&version, &(self.lines)()).keep(&self.files));
        }
    }

    /// The version that runs and is on trial.
    fn on_trial(&self) -> Option<String> {
        self.shared.systems().guard().filter(|guard| guard.trial)?.running?.version
    }

    /// Keeps the journal beside the box's own work: a medium that hangs holds back no camera.
    async fn copy_journal(&self, version: &str) {
        let (journal, files) = (Journal::new(version, &(self.lines)()), self.files.clone());
        let writing = tokio::task::spawn_blocking(move || told(journal.keep(&files)));
        if tokio::time::timeout(WRITE, writing).await.is_err() {
            tracing::debug!("keeping the journal takes long ([state] dir)");
        }
    }
}

fn told(kept: std::io::Result<()>) {
    if let Err(error) = kept {
        tracing::debug!(%error, "cannot keep the journal ([state] dir)");
    }
}

/// What is said between the two processes while one lives.
struct Talk<'a> {
    around: &'a Around,
    stdin: Option<ChildStdin>,
    departure: Departure,
    /// How the last update ended, as far as the updater knows.
    verdict: Option<Last>,
    copied: Option<Instant>,
    /// The stick that the updater knows of.
    stick: Option<PathBuf>,
    began: Instant,
}

impl Keep {
    /// For a board with two slots whose owner wants updates; `None`: there is nothing to keep. `guarded` says whether a guard is there
    /// that can restart the machine.
    pub(crate) fn new(config: &Config, guarded: bool) -> Option<Self> {
        let cloud = config.update.cloud.unwrap_or(config.tunnel.is_some());
        let source = cloud || !config.update.mirrors.is_empty() || config.update.usb != Usb::Off;
        let wanted = config.board.map.is_some() && config.update.enabled && source;
        wanted.then(|| Self {
            file: config.file.clone(),
            guarded,
            by_itself: guarded && config.update.restart,
            every: config.update.every,
        })
    }

    /// Keeps the process until `stop`, or until the box is to be restarted into a new system.
    pub(crate) async fn alive(self, around: &Around, mut stop: watch::Receiver<bool>) {
        let mut pause = PAUSE.0;
        loop {
            let born = Instant::now();
            let reason = match self.start() {
                Ok(mut child) => {
                    let heard = tokio::select! {
                        heard = self.hear(&mut child, around) => heard,
                        () = stopping(&mut stop) => Heard::Ended,
                    };
                    if heard == Heard::Restart {
                        return;
                    }
                    // It may be in the middle of an installation, which is then resumed.
                    let _ = child.start_kill();
                    child.wait().await.map_or_else(|error| error.to_string(), |status| status.to_string())
                }
                Err(error) => format!("{error:#}"),
            };
            if *stop.borrow() {
                return std::future::pending().await;
            }
            if born.elapsed() >= GROWN_UP {
                pause = PAUSE.0;
            }
            let wait = jittered(pause);
            tracing::warn!(%reason, again_in_ms = wait.as_millis() as u64, "the updater's process ended");
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = stopping(&mut stop) => return std::future::pending().await,
            }
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    fn start(&self) -> anyhow::Result<Child> {
        let mut command = Command::new("/proc/self/exe");
        command.arg0("boxd").arg("updater").env_clear();
        // Where the state is when the configuration does not say.
        for name in ["HOME", "XDG_STATE_HOME"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        if let Some(file) = &self.file {
            command.arg("--config").arg::<&Path>(file);
        }
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .context("cannot start the updater's process")
    }

    async fn hear(&self, child: &mut Child, around: &Around) -> Heard {
        let Some(said) = child.stdout.take() else { return Heard::Ended };
        let mut said = BufReader::new(said);
        let spread = jittered((self.every / SPREAD.0).min(SPREAD.1));
        let mut talk = Talk {
            around,
            stdin: child.stdin.take(),
            departure: Departure::new(self.by_itself, spread.as_millis() as u64),
            // What an updater finds when it starts, it tells without being told.
            verdict: around.shared.systems().guard().and_then(|guard| guard.last),
            copied: None,
            stick: None,
            began: Instant::now(),
        };
        let mut tick = tokio::time::interval(LOOK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut line = Vec::new();
        loop {
            // What was read of a line stays in it when the clock ticks in between.
            let room = LINE.saturating_sub(line.len() as u64);
            let read = tokio::select! {
                _ = tick.tick() => {
                    talk.tell_of_sticks().await;
                    if self.guarded && talk.turn().await {
                        return Heard::Restart;
                    }
                    continue;
                }
                read = async { (&mut said).take(room).read_until(b'\n', &mut line).await } => read,
            };
            match read {
                Ok(0) | Err(_) => return Heard::Ended,
                Ok(_) => {}
            }
            if let Ok(status) = serde_json::from_slice::<Status>(&line) {
                around.shared.systems().set_updater(status);
            }
            line.clear();
        }
    }
}

impl Talk<'_> {
    /// Tells which stick is plugged in, when that changes.
    async fn tell_of_sticks(&mut self) {
        let stick = self.around.stick.borrow().clone();
        if stick != self.stick {
            self.stick.clone_from(&stick);
            self.say(stick.map_or(Word::NoStick, Word::Stick)).await;
        }
    }

    /// What is to be done once a second; gives whether the box is to restart.
    async fn turn(&mut self) -> bool {
        let systems = self.around.shared.systems();
        let guard = systems.guard();
        if self.copied.is_none_or(|copied| copied.elapsed() >= COPY)
            && let Some(version) = self.around.on_trial()
        {
            self.copied = Some(Instant::now());
            self.around.copy_journal(&version).await;
        }
        if let Some(last) = guard.as_ref().and_then(|guard| guard.last.as_ref())
            && self.verdict.as_ref() != Some(last)
        {
            // Of this system itself: its own lines belong to it.
            let runs = guard.as_ref().and_then(|guard| guard.running.as_ref()?.version.as_ref());
            if runs == Some(&last.version) {
                self.around.copy_journal(&last.version).await;
            }
            self.verdict = Some(last.clone());
            self.say(Word::Verdict).await;
        }
        let Some(status) = systems.updater() else { return false };
        let seen = Seen {
            status: &status,
            proven: self.around.time.proven().map(|time| time.as_secs()),
            quiet_s: self.around.shared.quiet().map(|quiet| quiet.as_secs()),
            wish: systems.wish(),
        };
        let now_ms = self.began.elapsed().as_millis() as u64;
        let turn = self.departure.turn(now_ms, seen);
        systems.set_wait(self.departure.wait());
        match turn {
            Turn::Rest => false,
            Turn::Say(word) => {
                if word == Word::Leave {
                    systems.forget_leave();
                }
                self.say(word).await;
                false
            }
            Turn::Go => {
                tracing::info!(
                    version = status.version,
                    "the box restarts into the version that was installed"
                );
                true
            }
        }
    }

    /// Says a word. One that is not taken is said again when it matters.
    async fn say(&mut self, word: Word) {
        let Some(stdin) = &mut self.stdin else { return };
        let mut line = serde_json::to_vec(&word).unwrap_or_default();
        line.push(b'\n');
        if !matches!(tokio::time::timeout(SAY, stdin.write_all(&line)).await, Ok(Ok(()))) {
            tracing::debug!(?word, "the updater does not listen");
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    Ended,
    Restart,
}
