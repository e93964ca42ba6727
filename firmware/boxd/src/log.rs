//! Log lines on standard error, as text or JSON, and the last [`KEPT`] of them in memory, for the owner's diagnostics. The shell
//! logs where it decides; nothing else does.

use std::collections::VecDeque;
use std::io::{self, IsTerminal as _};
use std::sync::{Arc, Mutex};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::{MakeWriter, layer};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{Log, LogFormat};
use crate::state::lock;

/// Lines that are kept.
const KEPT: usize = 500;
/// Most bytes of one of them.
const LINE: usize = 1024;

/// The last lines; a handle, cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<VecDeque<String>>>);

impl Lines {
    /// All of them, the oldest first.
    pub(crate) fn all(&self) -> Vec<String> {
        lock(&self.0).iter().cloned().collect()
    }
}

/// One event on its way into the lines.
pub(crate) struct Line<'a>(&'a Lines);

impl io::Write for Line<'_> {
    /// An event comes as a whole, its end of line included.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut lines = lock(&self.0.0);
        for line in String::from_utf8_lossy(bytes).lines() {
            lines.push_back(line.chars().take(LINE).collect());
        }
        while lines.len() > KEPT {
            lines.pop_front();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(self)
    }
}

/// Starts logging; a second call changes nothing. Gives the lines that are kept.
pub(crate) fn start(log: Log) -> Lines {
    let kept = Lines::default();
    // boringtun calls a peer that does not answer an error; the tunnel's own lines say what the owner needs.
    let filter = EnvFilter::new(format!("{},boringtun=off", log.level));
    let memory = layer().with_target(false).with_ansi(false).with_writer(kept.clone());
    let registry = tracing_subscriber::registry().with(filter).with(memory);
    let lines = layer().with_target(false).with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
    // The only error: logging runs already.
    let _ = match log.format {
        LogFormat::Text => registry.with(lines).try_init(),
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init(),
    };
    kept
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn the_last_lines_are_kept_and_no_line_fills_the_memory() {
        let lines = Lines::default();
        for number in 0..600 {
            lines.make_writer().write_all(format!("line {number}\n").as_bytes()).unwrap();
        }
        lines.make_writer().write_all("ж".repeat(5_000).as_bytes()).unwrap();
        let all = lines.all();
        assert_eq!((all.len(), all[0].as_str()), (KEPT, "line 101"));
        assert_eq!(all[KEPT - 1].chars().count(), LINE);
    }
}
