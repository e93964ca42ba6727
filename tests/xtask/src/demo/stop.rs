//! Ctrl-C and its like, as something to wait for.

use std::{os::fd::AsFd, time::Duration};

use anyhow::{Context, Result};
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        signal::{SigSet, Signal},
        signalfd::{SfdFlags, SignalFd},
    },
};

/// SIGINT, SIGTERM and SIGHUP, which no longer end this process by themselves.
pub(super) struct Stop(SignalFd);

impl Stop {
    /// To be called before any thread is started. Child processes get a clear mask from std.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(super) fn new() -> Result<Self> {
        let mut signals = SigSet::empty();
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            signals.add(signal);
        }
        signals.thread_block()?;
        SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC).map(Self).context("watching for Ctrl-C")
    }

    /// Whether one has come, waiting for at most `limit`.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(super) fn came_within(&self, limit: Duration) -> Result<bool> {
        let mut fds = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        Ok(poll(&mut fds, PollTimeout::try_from(limit)?)? > 0)
    }
}
