//! A program running on a host: it leads its own process group, logs to a file, and dies with its handle.

use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// A running program.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
    /// The log's length when it was started, bytes.
    before: u64,
}

impl Process {
    /// Starts a command with both outputs in `log`.
    ///
    /// # Errors
    /// When the log or the program cannot be opened.
    pub fn spawn(command: Command, log: &Path) -> Result<Self> {
        Self::start(command, log, Stdio::null())
    }

    /// The same with a pipe to its standard input.
    ///
    /// # Errors
    /// As [`Process::spawn`].
    pub fn spawn_with_input(command: Command, log: &Path) -> Result<(Self, ChildStdin)> {
        let mut process = Self::start(command, log, Stdio::piped())?;
        let input = process.child.stdin.take().context("no pipe")?;
        Ok((process, input))
    }

    /// The same with any standard input.
    ///
    /// # Errors
    /// As [`Process::spawn`].
    pub fn start(mut command: Command, log: &Path, input: Stdio) -> Result<Self> {
        let out = File::options().create(true).append(true).open(log)?;
        let before = out.metadata()?.len();
        let err = out.try_clone()?;
        let child = command
            .stdin(input)
            .stdout(out)
            .stderr(err)
            .process_group(0)
            .spawn()
            .with_context(|| format!("starting {}", command.get_program().display()))?;
        Ok(Self { child, log: log.to_path_buf(), before })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where it logs.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Everything that it, and those of its name before it, have said so far.
    pub fn said(&self) -> String {
        self.said_from(0)
    }

    /// What is in its log from this byte on.
    fn said_from(&self, start: u64) -> String {
        let mut text = Vec::new();
        if let Ok(mut file) = File::open(&self.log) {
            let _ = file.seek(SeekFrom::Start(start)).and_then(|_| file.read_to_end(&mut text));
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Waits until it has said `word`.
    ///
    /// # Errors
    /// When it ends first, or the time is over; with the end of its log.
    pub fn wait_for(&mut self, word: &str, limit: Duration) -> Result<()> {
        let end = Instant::now() + limit;
        loop {
            // An earlier one of its name has said the word, too.
            let said = self.said_from(self.before);
            if said.contains(word) {
                return Ok(());
            }
            let ended = self.child.try_wait()?;
            if ended.is_some() || Instant::now() > end {
                let tail = tail(&said);
                bail!("{} never said {word:?} ({ended:?}):\n{tail}", self.log.display());
            }
            thread::sleep(LOOK);
        }
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends a signal to the program itself.
    ///
    /// # Errors
    /// When it is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill(Pid::from_raw(self.pid() as i32), signal)?)
    }

    /// Asks it to stop (SIGTERM) and waits.
    ///
    /// # Errors
    /// When it is still there after `limit`.
    pub fn stop(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.signal(Signal::SIGTERM)?;
        self.wait(limit)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it is still there after `limit`.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > end {
                bail!("{} still runs after {limit:?}:\n{}", self.log.display(), tail(&self.said()));
            }
            thread::sleep(LOOK);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = killpg(Pid::from_raw(self.pid() as i32), Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

/// The last lines of a log.
pub fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(15)..).unwrap_or_default().join("\n")
}

/// Runs a command to its end and gives what it printed, keeping both outputs beside `log` for later reading.
///
/// # Errors
/// When it cannot start, fails, or takes longer than `limit`.
pub fn output(mut command: Command, log: &Path, limit: Duration) -> Result<String> {
    let printed = log.with_extension("out");
    let out = File::create(&printed)?;
    let err = File::create(log)?;
    let child = command
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .process_group(0)
        .spawn()
        .with_context(|| format!("starting {}", command.get_program().display()))?;
    let mut process = Process { child, log: log.to_path_buf(), before: 0 };
    let status = process.wait(limit)?;
    let text = String::from_utf8_lossy(&fs::read(&printed)?).into_owned();
    if !status.success() {
        bail!("{} ended with {status}:\n{}\n{}", log.display(), tail(&text), tail(&process.said()));
    }
    Ok(text)
}
