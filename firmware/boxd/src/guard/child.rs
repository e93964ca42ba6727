//! The box's main process: how it is started, heard and ended.

use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixDatagram as StdUnixDatagram;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::Context as _;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::net::UnixDatagram;
use tokio::process::{Child as Process, Command};
use update::health::Facts;

use super::word::{self, MOST, Status, VARIABLE};

/// How long it has to end by itself.
const END: Duration = Duration::from_secs(5);

/// What the child has done.
pub(super) enum Sign {
    /// It told how it is.
    Facts(Facts),
    /// It ended.
    Ended(io::Result<ExitStatus>),
}

/// The running main process.
pub(super) struct Child {
    process: Process,
    socket: UnixDatagram,
}

impl Child {
    /// Starts it. It inherits what this process was given: arguments of init, an inherited listening socket, the environment.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) fn start(config: Option<&Path>) -> anyhow::Result<Self> {
        let (ours, theirs) = StdUnixDatagram::pair().context("cannot make a socket pair")?;
        ours.set_nonblocking(true).context("cannot make a socket pair")?;
        // Only this end outlives the start of another program, and this process starts no other meanwhile.
        fcntl(&theirs, FcntlArg::F_SETFD(FdFlag::empty())).context("cannot hand a socket over")?;
        let mut command = Command::new("/proc/self/exe");
        command.arg0("boxd").env(VARIABLE, theirs.as_raw_fd().to_string()).kill_on_drop(true);
        if let Some(config) = config {
            command.arg("--config").arg(config);
        }
        let process = command.spawn().context("cannot start the box")?;
        Ok(Self { process, socket: UnixDatagram::from_std(ours).context("cannot watch the box")? })
    }

    /// The next thing that it does. Whatever else it says is not heard.
    pub(super) async fn sign(&mut self) -> Sign {
        let mut message = [0; MOST];
        loop {
            tokio::select! {
                // Its last words first.
                biased;
                read = self.socket.recv(&mut message) => match read {
                    Ok(length) => {
                        if let Some(facts) = word::facts(message.get(..length).unwrap_or_default()) {
                            return Sign::Facts(facts);
                        }
                    }
                    // It closed its end: only its own end is left to wait for.
                    Err(_) => return Sign::Ended(self.process.wait().await),
                },
                status = self.process.wait() => return Sign::Ended(status),
            }
        }
    }

    /// Tells it how the board is. Who does not listen misses it: it is told again.
    pub(super) fn tell(&self, status: &Status) {
        if let Ok(message) = serde_json::to_vec(status) {
            let _ = self.socket.try_send(&message);
        }
    }

    /// Ends it at once. Its end is still to be waited for.
    pub(super) fn kill(&mut self) {
        let _ = self.process.start_kill();
    }

    /// Ends it in order, or after some seconds at once.
    pub(super) async fn end(mut self) {
        if let Some(pid) = self.process.id().and_then(|pid| i32::try_from(pid).ok()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        if tokio::time::timeout(END, self.process.wait()).await.is_err() {
            let _ = self.process.kill().await;
        }
    }
}
