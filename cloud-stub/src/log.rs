//! Log lines on standard error, as text or JSON. Codes, keys and passwords are never among them.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

/// Starts logging; a second call changes nothing.
pub fn start(log: Log) {
    // The database's driver would show whole queries; boringtun calls each box that is switched off an error.
    let filter = EnvFilter::new(format!("{},sqlx=warn,boringtun=off", log.level));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    // The only error: logging runs already.
    let _ = match log.format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
}
