//! Log lines on standard error, as text or JSON. The shell logs where it decides; nothing else does.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

/// Starts logging; a second call changes nothing.
pub(crate) fn start(log: Log) {
    let lines = tracing_subscriber::fmt()
        // boringtun calls a peer that does not answer an error; the tunnel's own lines say what the owner needs.
        .with_env_filter(EnvFilter::new(format!("{},boringtun=off", log.level)))
        .with_target(false)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    // The only error: logging runs already.
    let _ = match log.format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
}
