//! `cloud`: the command line of the cloud. `main` → [`cloud_stub::cli`] → [`cloud_stub::wiring`] or
//! [`cloud_stub::owner`] or [`cloud_stub::fleet::console`].

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use cloud_stub::cli::{self, Command, What};
use cloud_stub::config::Config;
use cloud_stub::fleet::{Fleet, console};
use cloud_stub::store::{Options, Store, System};
use cloud_stub::{ingest, log, owner, updates, wiring};
use nix::sys::stat::{Mode, umask};

/// The command line or the configuration is wrong.
const WRONG_USE: u8 = 2;

fn main() -> ExitCode {
    // The database and what lies beside it holds keys.
    umask(Mode::S_IRWXG | Mode::S_IRWXO);
    let arguments = std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned());
    match cli::parse(arguments) {
        Ok(Command::Help) => print(&cli::help()),
        Ok(Command::FleetHelp) => print(cli::FLEET_HELP),
        Ok(Command::Version) => print(&format!("cloud {}\n", env!("CARGO_PKG_VERSION"))),
        Ok(Command::Puller { data }) => finished(ingest::run_puller(data)),
        Ok(Command::Do { config, what }) => match configuration(config.as_deref()) {
            Ok(config) => {
                log::start(config.log);
                finished(match what {
                    What::Serve => wiring::run(config, System),
                    What::Updates => updates::list(config.updates.as_ref()).map(|text| {
                        print(&text);
                    }),
                    what => owner(&config, what),
                })
            }
            Err(sentence) => wrong(&sentence),
        },
        Err(sentence) => wrong(&sentence),
    }
}

fn configuration(file: Option<&Path>) -> Result<Config, String> {
    let Some(file) = file else { return Config::parse("(defaults)", "").map_err(|error| error.to_string()) };
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file).map_err(|error| format!("cannot read {name}: {error}"))?;
    Config::parse(&name, &text).map_err(|error| error.to_string())
}

/// One command of the owner's.
fn owner(config: &Config, what: What) -> anyhow::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    let text = runtime.block_on(async {
        let options = Options { network: config.hub.network, url: config.http.base() };
        let store = Store::open(config.store.expose(), options, System).await?;
        let text = match what {
            What::Fleet(order) => {
                console::run(&Fleet::new(store.clone(), config.updates.as_ref()), order).await?
            }
            what => owner::run(&store, what).await?,
        };
        store.close().await?;
        anyhow::Ok(text)
    })?;
    print(&text);
    Ok(())
}

/// Writes to standard output; a reader that has left (`cloud --help | head -1`) is no error.
fn print(text: &str) -> ExitCode {
    use std::io::Write as _;
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn wrong(sentence: &str) -> ExitCode {
    eprintln!("cloud: {sentence}");
    ExitCode::from(WRONG_USE)
}

fn finished(outcome: anyhow::Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cloud: {error:#}");
            ExitCode::FAILURE
        }
    }
}
