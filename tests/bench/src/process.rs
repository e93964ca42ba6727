//! What a process and its children cost, from /proc.

use std::fs;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

/// A process that is measured, and killed when dropped.
pub(crate) struct Measured {
    child: Child,
}

impl Measured {
    /// Starts `command` quietly; its errors go to `log`.
    pub(crate) fn start(command: &mut Command, log: &std::path::Path) -> Result<Self> {
        let log = fs::OpenOptions::new().create(true).append(true).open(log).context("open the log")?;
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("start {}", command.get_program().display()))?;
        Ok(Self { child })
    }

    /// The process and all below it.
    pub(crate) fn tree(&self) -> Vec<u32> {
        let mut all = vec![self.child.id()];
        let mut next = 0;
        while let Some(&pid) = all.get(next) {
            next += 1;
            let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
            for task in tasks {
                let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
                all.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
            }
        }
        all
    }

    /// Milliseconds on a processor so far, of the whole tree. The scheduler's own nanoseconds, not ticks.
    pub(crate) fn cpu_ms(&self) -> f64 {
        self.tree().into_iter().map(cpu_ns).sum::<u64>() as f64 / 1e6
    }

    /// Proportional set size of the whole tree in MiB: shared pages are counted once, split between their users.
    pub(crate) fn pss_mib(&self) -> f64 {
        self.tree().into_iter().map(pss_kib).sum::<u64>() as f64 / 1024.0
    }
}

impl Measured {
    /// Asks it to stop and waits, so that it writes out its logs.
    pub(crate) fn stop(mut self) -> Result<()> {
        Command::new("kill").arg(self.child.id().to_string()).status()?;
        self.child.wait().map(drop).context("wait for its end")
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        for pid in self.tree().into_iter().skip(1) {
            let _ = Command::new("kill").arg(pid.to_string()).status();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Nanoseconds on a processor so far, of one process.
pub(crate) fn cpu_ns(pid: u32) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    tasks
        .filter_map(|task| fs::read_to_string(task.path().join("schedstat")).ok())
        .filter_map(|line| line.split_whitespace().next()?.parse::<u64>().ok())
        .sum()
}

/// Proportional set size of one process, KiB.
pub(crate) fn pss_kib(pid: u32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = rollup.lines().find(|line| line.starts_with("Pss:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
}
