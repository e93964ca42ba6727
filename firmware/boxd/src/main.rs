//! The box: supervisor, camera workers, front door.
//!
//! `main` → [`cli`] → [`wiring`] → the rest. `boxd` alone is the supervisor and front door; `boxd camera ID` is one
//! camera's worker and `boxd setup` the set-up page, both started by `boxd` only, as `boxd updater` is on a
//! board with two slots; `boxd guard` is what init starts there: it owns the watchdog. `boxd tunnel` joins a standard WireGuard server and does nothing else.
//!
//! ```text
//!             ┌── boxd camera gate (sandbox) ── RTSP ── camera
//! supervisor ─┤        │ link: formats and access units
//!             └── ...  ▼
//!                     feed (media::Stream) ── door ── browsers
//! ```

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "boxd is the shell around the sans-IO rooms"
)]

mod adopt;
mod beside;
mod certificate;
mod cli;
mod cloud;
mod config;
mod data;
mod door;
mod facts;
mod floor;
mod guard;
mod kernel;
mod label;
mod lan;
mod lights;
mod link;
mod log;
mod logins;
mod moved;
mod names;
mod owner;
mod ping;
mod rest;
mod setup_process;
mod state;
mod stick;
mod supervisor;
mod tunnel_command;
mod update_command;
mod updater;
mod whereabouts;
mod wiring;
mod worker;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use cli::Command;
use config::Config;

/// The command line or the configuration is wrong.
const WRONG_USE: u8 = 2;
/// The box wants to be started anew (EX_TEMPFAIL of sysexits.h).
const AGAIN: u8 = 75;
/// The guard wants the machine to be restarted; beside EX_TEMPFAIL, and no other program's of a box.
const RESTART: u8 = 76;

fn main() -> ExitCode {
    let arguments = std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned());
    match cli::parse(arguments) {
        Ok(Command::Help) => print(&cli::help()),
        Ok(Command::Version) => print(&format!("boxd {}\n", env!("CARGO_PKG_VERSION"))),
        Ok(Command::Camera(id)) => finished(worker::run(&id)),
        Ok(Command::Setup { claim }) => finished(setup_process::run(claim)),
        Ok(Command::Tunnel { config }) => {
            log::start(config::Log { format: config::LogFormat::Text, level: tracing::Level::INFO });
            finished(tunnel_command::run(&config))
        }
        Ok(Command::Label { config }) => match configuration(config.as_deref()) {
            Ok(config) => {
                let cloud = config.tunnel.as_ref().map(|tunnel| &tunnel.cloud);
                match label::print(&cloud::Files::new(&config.state_dir), cloud, &config.http.name) {
                    Ok(text) => print(&text),
                    Err(error) => finished(Err(error)),
                }
            }
            Err(sentence) => wrong(&sentence),
        },
        Ok(Command::Guard { config: file }) => match configuration(file.as_deref()) {
            Ok(config) => {
                log::start(config.log);
                match guard::run(&config, file.as_deref()) {
                    Ok(guard::End::Restart) => ExitCode::from(RESTART),
                    outcome => finished(outcome.map(|_| ())),
                }
            }
            Err(sentence) => wrong(&sentence),
        },
        Ok(Command::Updater { config }) => match configuration(config.as_deref()) {
            Ok(config) => {
                log::start(config.log);
                finished(updater::run(&config))
            }
            Err(sentence) => wrong(&sentence),
        },
        Ok(Command::Update(update)) => match configuration(update.config.as_deref()) {
            Ok(config) => finished(update_command::run(&config, &update)),
            Err(sentence) => wrong(&sentence),
        },
        Ok(Command::Run { config }) => match configuration(config.as_deref()) {
            Ok(config) => {
                let lines = log::start(config.log);
                match wiring::run(config, lines) {
                    Ok(wiring::End::Again) => again(),
                    outcome => finished(outcome.map(|_| ())),
                }
            }
            Err(sentence) => wrong(&sentence),
        },
        Err(sentence) => wrong(&sentence),
    }
}

/// Starts the box anew in its own place. With an inherited socket, which is gone now, whoever gave it starts the box: its guard,
/// which also knows whether a new system waits for a restart of the machine.
fn again() -> ExitCode {
    use std::os::unix::process::CommandExt as _;
    if std::env::var_os("LISTEN_FDS").is_some() || std::env::var_os(guard::word::VARIABLE).is_some() {
        return ExitCode::from(AGAIN);
    }
    let error =
        std::process::Command::new("/proc/self/exe").arg0("boxd").args(std::env::args_os().skip(1)).exec();
    tracing::warn!(%error, "the box cannot start itself anew");
    ExitCode::from(AGAIN)
}

fn configuration(file: Option<&Path>) -> Result<Config, String> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    let home = variable("XDG_STATE_HOME").or_else(|| Some(variable("HOME")?.join(".local/state")));
    let state_dir = config::default_state_dir(nix::unistd::geteuid().is_root(), home);
    let Some(file) = file else { return Config::defaults(state_dir).map_err(|error| error.to_string()) };
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file).map_err(|error| format!("cannot read {name}: {error}"))?;
    let config = Config::parse(&name, &text, state_dir).map_err(|error| error.to_string())?;
    Ok(Config { file: Some(file.to_owned()), ..config })
}

/// Writes to standard output; a reader that has left (`boxd --help | head -1`) is no error.
fn print(text: &str) -> ExitCode {
    use std::io::Write as _;
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn wrong(sentence: &str) -> ExitCode {
    eprintln!("boxd: {sentence}");
    ExitCode::from(WRONG_USE)
}

fn finished(outcome: anyhow::Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("boxd: {error:#}");
            ExitCode::FAILURE
        }
    }
}
