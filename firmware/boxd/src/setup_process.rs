//! `boxd setup`: the page's process, and how it is kept alive.
//!
//! It holds the owner's sessions and reads what browsers send, so it has nothing else: no network of its own, no file, no other
//! process. Standard input is the socket pair to the box's main process (`setup::desk`), standard output the listening socket
//! on which the front door is its only client.
//!
//! That socket has no name that anybody could use: it is unlinked at once, and the front door reaches it through a descriptor.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream as StdUnixStream};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::mkdtemp;
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::sync::watch;

use crate::cloud::jittered;
use crate::log;
use crate::state::stopping;
use sandbox::Duty;

/// Pause before the process is started again, the first time and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));
/// A process that lived this long had done its work: its death is not held against the next one.
const GROWN_UP: Duration = Duration::from_secs(20);

/// Where the front door finds the page.
#[derive(Debug)]
pub(crate) struct Address(OwnedFd);

impl Address {
    /// A path that leads to the socket, in this process only.
    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.0.as_raw_fd()))
    }
}

/// A listening socket for the page, and where it is found.
///
/// # Errors
/// When no directory takes a socket.
pub(crate) fn listen(state_dir: &Path) -> io::Result<(UnixListener, Address)> {
    let directories = [std::env::temp_dir(), PathBuf::from("/run"), state_dir.to_owned()];
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for directory in directories {
        match listen_in(&directory) {
            Ok(both) => return Ok(both),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn listen_in(directory: &Path) -> io::Result<(UnixListener, Address)> {
    // For this user only, for the moment that it exists.
    let own = mkdtemp(&directory.join("streambox-XXXXXX"))?;
    let path = own.join("page");
    let both = UnixListener::bind(&path).and_then(|listener| {
        let address = open(&path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())?;
        Ok((listener, Address(address)))
    });
    let removed = fs::remove_file(&path).and_then(|()| fs::remove_dir(&own));
    let both = both?;
    removed?;
    Ok(both)
}

/// Keeps the page's process alive until `stop`. Each new process is given to `desk`, which answers what it asks.
pub(crate) async fn keep(
    listener: UnixListener,
    claim: Duration,
    mut stop: watch::Receiver<bool>,
    desk: impl AsyncFn(UnixStream),
) {
    let mut pause = PAUSE.0;
    loop {
        let born = Instant::now();
        let reason = match start(&listener, claim) {
            Ok((mut child, socket)) => {
                let reason = tokio::select! {
                    status = child.wait() => ended(status),
                    () = desk(socket) => "it left its desk".to_owned(),
                    () = stopping(&mut stop) => String::new(),
                };
                if let Err(error) = child.kill().await {
                    tracing::warn!(%error, "cannot end the set-up page's process");
                }
                reason
            }
            Err(error) => format!("{error:#}"),
        };
        if *stop.borrow() {
            return;
        }
        if born.elapsed() >= GROWN_UP {
            pause = PAUSE.0;
        }
        let wait = jittered(pause);
        tracing::warn!(%reason, again_in_ms = wait.as_millis() as u64, "the set-up page's process ended");
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stopping(&mut stop) => return,
        }
        pause = (pause * 2).min(PAUSE.1);
    }
}

fn ended(status: io::Result<ExitStatus>) -> String {
    status.map_or_else(|error| error.to_string(), |status| status.to_string())
}

fn start(listener: &UnixListener, claim: Duration) -> anyhow::Result<(Child, UnixStream)> {
    let (ours, theirs) = StdUnixStream::pair().context("cannot make a socket pair")?;
    ours.set_nonblocking(true).context("cannot make a socket pair")?;
    let listener = listener.try_clone().context("cannot hand the page's socket over")?;
    let child = Command::new("/proc/self/exe")
        .arg0("boxd")
        .args(["setup", &claim.as_secs().to_string()])
        .env_clear()
        .env("MALLOC_ARENA_MAX", "1")
        // The 19 MiB of each password go back to the system, always: the C library would begin to keep them.
        .env("MALLOC_MMAP_THRESHOLD_", "131072")
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::from(OwnedFd::from(listener)))
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .context("cannot start the set-up page's process")?;
    Ok((child, UnixStream::from_std(ours).context("cannot watch its desk")?))
}

/// `boxd setup SECONDS`: serves the page until the main process is gone.
///
/// # Errors
/// When the process was not started by boxd, the sandbox is refused, or the main process is gone.
pub(crate) fn run(claim: Duration) -> anyhow::Result<()> {
    const STARTED_BY_BOXD: &str = "the set-up page is started by boxd only";
    // However it was started: a heap for each thread would not leave room for a password's 19 MiB.
    sandbox::limit_heaps(1);
    let desk: StdUnixStream = sandbox::inherited(0).context(STARTED_BY_BOXD)?.into();
    let listener: UnixListener = sandbox::inherited(1).context(STARTED_BY_BOXD)?.into();
    desk.peer_addr().context(STARTED_BY_BOXD)?;
    listener.local_addr().context(STARTED_BY_BOXD)?;
    let sandbox = sandbox::enter(Duty::Setup).context("cannot enter the sandbox")?;
    if !sandbox.seccomp {
        log::start(crate::config::Log {
            format: crate::config::LogFormat::Text,
            level: tracing::Level::WARN,
        });
        tracing::warn!("this kernel cannot restrict system calls: the set-up page runs without");
    }
    match setup::serve::run(desk, listener, claim) {
        // That is how it always ends.
        Ok(()) | Err(setup::serve::ServeError::Gone) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_socket_leaves_nothing_behind_and_is_found_by_its_descriptor_only() {
        let directory = std::env::temp_dir().join(format!("boxd-page-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let (listener, address) = listen_in(&directory).unwrap();
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
        fs::remove_dir(&directory).unwrap();
        let _client = StdUnixStream::connect(address.path()).unwrap();
        listener.accept().unwrap();
    }
}
