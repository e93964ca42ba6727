//! Whether the machine was the scenario's own while something was measured.
//!
//! Inside a world `/proc` shows the world's processes only, but the CPU time of the whole machine: the difference
//! was used by somebody else, and a stall meanwhile says nothing about the box.

use std::{fs, time::Instant};

use anyhow::{Context, Result};

/// Ticks of a second in /proc (USER_HZ on every Linux).
const TICKS: f64 = 100.0;

/// CPU time used so far.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    machine: f64,
    own: f64,
    at: Instant,
}

impl Load {
    /// Reads /proc.
    ///
    /// # Errors
    /// When /proc is not readable.
    pub fn now() -> Result<Self> {
        let machine = busy(&fs::read_to_string("/proc/stat")?).context("/proc/stat")?;
        let mut own = 0.0;
        for entry in fs::read_dir("/proc")? {
            let path = entry?.path();
            // A process may end between listing and reading; its parent then has its time.
            if path.file_name().is_some_and(|name| name.to_string_lossy().parse::<u32>().is_ok())
                && let Ok(stat) = fs::read_to_string(path.join("stat"))
            {
                own += used(&stat).unwrap_or(0.0);
            }
        }
        Ok(Self { machine, own, at: Instant::now() })
    }

    /// Cores that others kept busy since then, on average.
    ///
    /// # Errors
    /// As [`Load::now`].
    pub fn foreign_cores(&self) -> Result<f64> {
        let now = Self::now()?;
        let foreign = (now.machine - self.machine) - (now.own - self.own);
        Ok((foreign / TICKS / self.at.elapsed().as_secs_f64()).max(0.0))
    }
}

/// Busy ticks of all cores: user, nice, system, irq, softirq, steal (proc(5)).
fn busy(stat: &str) -> Option<f64> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let ticks: Vec<f64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    Some([0, 1, 2, 5, 6, 7].iter().filter_map(|at| ticks.get(*at)).sum())
}

/// Ticks of a process and of its children that it waited for: utime, stime, cutime, cstime (proc(5)).
fn used(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks = fields.split_whitespace().skip(11).take(4);
    Some(ticks.filter_map(|word| word.parse::<f64>().ok()).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_read_where_proc_puts_them() {
        assert_eq!(busy("cpu  10 1 20 4000 50 3 4 2 0 0\ncpu0 1"), Some(40.0));
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 1 2 3 4 100 20 3 1 20 0 1 0 99";
        assert_eq!(used(stat), Some(124.0));
    }
}
