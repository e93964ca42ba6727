//! Log lines on standard error, as text or JSON. Codes, keys and passwords are never among them.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

/// Starts logging; a second call changes nothing.
pub fn start(log: Log) {
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter(log.level))
        .with_target(false)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    // The only error: logging runs already.
    let _ = match log.format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
}

/// What is written at a level: all of ours, only the warnings of the database's driver, which would show queries, and
/// nothing of boringtun, which calls each box that is switched off an error.
pub fn filter(level: tracing::Level) -> EnvFilter {
    EnvFilter::new(format!("{level},sqlx=warn,boringtun=off"))
}
