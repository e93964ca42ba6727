//! How the main process keeps `boxd updater` alive and hears from it. Whatever the updater does, cameras and pages go on.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

use super::{Phase, Status};
use crate::cloud::jittered;
use crate::config::Config;
use crate::facts::Systems;
use crate::state::stopping;

/// Pause before the process is started again, the first time and at most.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));
/// A process that lived this long had done its work: its death is not held against the next one.
const GROWN_UP: Duration = Duration::from_secs(60);
/// Longest line that it says, bytes.
const LINE: u64 = 16 << 10;

/// What the main process needs to know of it.
#[derive(Debug, Clone)]
pub(crate) struct Keep {
    /// The configuration file.
    file: Option<PathBuf>,
    /// Whether the box restarts by itself into what was installed.
    restart: bool,
}

impl Keep {
    /// For a board with two slots whose owner wants updates; `None`: there is nothing to keep. `guarded` says whether a guard is there
    /// that can restart the machine.
    pub(crate) fn new(config: &Config, guarded: bool) -> Option<Self> {
        let wanted = config.board.map.is_some() && config.update.enabled;
        let cloud = config.update.cloud.unwrap_or(config.tunnel.is_some());
        let wanted = wanted && (cloud || !config.update.mirrors.is_empty());
        wanted.then(|| Self { file: config.file.clone(), restart: guarded && config.update.restart })
    }

    /// Keeps the process until `stop`, or until the box is to be restarted into a new system.
    pub(crate) async fn alive(self, systems: &Systems, mut stop: watch::Receiver<bool>) {
        let mut pause = PAUSE.0;
        loop {
            let born = Instant::now();
            let reason = match self.start() {
                Ok(mut child) => {
                    let heard = tokio::select! {
                        heard = self.hear(&mut child, systems) => heard,
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

    async fn hear(&self, child: &mut Child, systems: &Systems) -> Heard {
        let Some(said) = child.stdout.take() else { return Heard::Ended };
        let mut said = BufReader::new(said);
        let mut before = Phase::Idle;
        loop {
            let mut line = Vec::new();
            match (&mut said).take(LINE).read_until(b'\n', &mut line).await {
                Ok(0) | Err(_) => return Heard::Ended,
                Ok(_) => {}
            }
            let Ok(status) = serde_json::from_slice::<Status>(&line) else { continue };
            let phase = status.phase;
            systems.set_updater(status);
            // Only what was installed just now: what waits for long, waits for somebody.
            if self.restart && phase == Phase::Complete && before == Phase::Installing {
                tracing::info!("a new version is installed: the box restarts into it");
                return Heard::Restart;
            }
            before = phase;
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    Ended,
    Restart,
}
