//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use model::CameraId;

use crate::config::KEYS;

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Be the box.
    Run {
        /// The configuration file, if one was named.
        config: Option<PathBuf>,
    },
    /// Be one camera's worker (started by the supervisor only).
    Camera(CameraId),
    /// Be the set-up page (started by the main process only).
    Setup {
        /// How long from the start on the box can be claimed.
        claim: Duration,
    },
    /// Print what belongs on the box's label.
    Label {
        /// The configuration file, if one was named.
        config: Option<PathBuf>,
    },
    /// Be one end of a standard WireGuard tunnel.
    Tunnel {
        /// The wg-quick file.
        config: PathBuf,
    },
    /// Own the watchdog and the verdict over a new system (started by init).
    Guard {
        /// The configuration file, if one was named.
        config: Option<PathBuf>,
    },
    /// Fetch and install updates (started by the main process only).
    Updater {
        /// The configuration file, if one was named.
        config: Option<PathBuf>,
    },
    /// Show the state of updates, look for one, or install one.
    Update(Update),
    /// Print the help.
    Help,
    /// Print the version.
    Version,
}

/// What `boxd update` is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Update {
    /// The configuration file, if one was named.
    pub(crate) config: Option<PathBuf>,
    /// Only show, or more.
    pub(crate) errand: Errand,
    /// Print JSON for programs.
    pub(crate) json: bool,
}

/// How far `boxd update` goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Errand {
    /// Print what is known.
    Show,
    /// Look for an update and say what it would cost.
    Check,
    /// Install from a folder or a web server.
    From(String),
}

/// Reads the arguments after the program's name.
///
/// # Errors
/// A sentence for the owner.
pub(crate) fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Command, String> {
    let mut arguments = arguments.into_iter();
    let (mut config, mut tunnel, mut label) = (None, false, false);
    let mut part = None;
    let (mut json, mut errand) = (false, Errand::Show);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--help" | "-h" => return Ok(Command::Help),
            "--version" | "-V" => return Ok(Command::Version),
            "--config" | "-c" => {
                let path = arguments.next().ok_or("--config needs a file: boxd --config box.toml")?;
                config = Some(PathBuf::from(path));
            }
            "tunnel" => tunnel = true,
            "label" => label = true,
            "guard" | "updater" | "update" if part.is_none() => part = Some(argument),
            "--json" if part.as_deref() == Some("update") => json = true,
            "--check" if part.as_deref() == Some("update") => errand = Errand::Check,
            "--from" if part.as_deref() == Some("update") => {
                let place = arguments.next().ok_or(
                    "--from needs a folder or an address: boxd update --from https://updates.example.org",
                )?;
                errand = Errand::From(place);
            }
            "camera" => {
                let id = arguments.next().ok_or("camera needs an id")?;
                return CameraId::new(&id).map(Command::Camera).map_err(|error| error.to_string());
            }
            "setup" => {
                let seconds = arguments.next().and_then(|text| text.parse().ok());
                let claim = seconds.map(Duration::from_secs).ok_or("setup needs a number of seconds")?;
                return Ok(Command::Setup { claim });
            }
            other => match other.strip_prefix("--config=") {
                Some(path) => config = Some(PathBuf::from(path)),
                None => return Err(format!("unknown argument {other:?}: see boxd --help")),
            },
        }
    }
    match part.as_deref() {
        Some("guard") => return Ok(Command::Guard { config }),
        Some("updater") => return Ok(Command::Updater { config }),
        Some(_) => return Ok(Command::Update(Update { config, errand, json })),
        None => {}
    }
    match (tunnel, config) {
        (false, config) if label => Ok(Command::Label { config }),
        (false, config) => Ok(Command::Run { config }),
        (true, Some(config)) => Ok(Command::Tunnel { config }),
        (true, None) => Err("tunnel needs a wg-quick file: boxd tunnel --config wg0.conf".to_owned()),
    }
}

/// The help: usage, then every key of the configuration.
pub(crate) fn help() -> String {
    let mut help = String::from(
        "boxd shows the IP cameras of a network in a browser.\n\n\
         Usage: boxd [--config FILE]\n\
         \x20      boxd label [--config FILE]\n\
         \x20      boxd tunnel --config WG-QUICK-FILE\n\
         \x20      boxd update [--config FILE] [--check | --from DIR-OR-URL] [--json]\n\
         \x20      boxd guard [--config FILE]\n\n\
         \x20 -c, --config FILE  read this configuration (TOML); without it the defaults below hold\n\
         \x20 -h, --help         print this\n\
         \x20 -V, --version      print the version\n\n\
         Examples:\n\
         \x20 boxd                      look for cameras, pages on port 8080 of every address\n\
         \x20 boxd --config box.toml    the same, with the owner's choices\n\
         \x20 boxd label --config box.toml     print what belongs on the box's label, and draw its QR code\n\
         \x20 boxd tunnel --config wg0.conf    join any WireGuard server (as root), as interface wg0, and nothing else\n\
         \x20 boxd update --config box.toml    show both slots, what is under way and how the last update ended\n\
         \x20 boxd update --check              look for an update and say how much would be fetched\n\
         \x20 boxd update --from /media/usb    install the release in a folder, or from a web server's address\n\
         \x20 boxd guard --config box.toml     start the box under the watchdog, and judge a new system (for init)\n\n\
         A small box.toml:\n\
         \x20 [[camera]]\n\
         \x20 id = \"gate\"\n\
         \x20 url = \"rtsp://192.168.1.20/stream1\"\n\
         \x20 user = \"admin\"\n\
         \x20 password = \"secret\"\n\n\
         Every key of the configuration, with its default and an example:\n",
    );
    help.push_str(&settings::manual(KEYS, &["camera"]));
    help.push_str(
        "\nA listening socket may be inherited (LISTEN_FDS=1, descriptor 3); it is then used instead of http.listen.\n\
         Exit codes: 0 stopped by a signal, 1 something failed, 2 the command line or the configuration is wrong.\n",
    );
    help
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Command, String> {
        parse(arguments.iter().map(|&argument| argument.to_owned()))
    }

    #[test]
    fn arguments_are_understood() {
        assert_eq!(parsed(&[]), Ok(Command::Run { config: None }));
        let run = Ok(Command::Run { config: Some("box.toml".into()) });
        assert_eq!(parsed(&["--config", "box.toml"]), run);
        assert_eq!(parsed(&["--config=box.toml"]), run);
        assert_eq!(parsed(&["--config"]).unwrap_err(), "--config needs a file: boxd --config box.toml");
        assert!(parsed(&["--confg"]).unwrap_err().contains("--confg"));
        assert!(parsed(&["camera", "../x"]).is_err());
        assert_eq!(parsed(&["setup", "60"]), Ok(Command::Setup { claim: Duration::from_secs(60) }));
        assert!(parsed(&["setup"]).is_err() && parsed(&["setup", "-1"]).is_err());
        assert_eq!(
            parsed(&["label", "-c", "box.toml"]),
            Ok(Command::Label { config: Some("box.toml".into()) })
        );
        let tunnel = Ok(Command::Tunnel { config: "wg0.conf".into() });
        assert_eq!(parsed(&["tunnel", "--config", "wg0.conf"]), tunnel);
        let update =
            |errand, json| Ok(Command::Update(Update { config: Some("b.toml".into()), errand, json }));
        assert_eq!(parsed(&["update", "-c", "b.toml"]), update(Errand::Show, false));
        assert_eq!(parsed(&["update", "--json", "--check", "--config=b.toml"]), update(Errand::Check, true));
        let from = Errand::From("/media/usb".to_owned());
        assert_eq!(parsed(&["update", "--from", "/media/usb", "-c", "b.toml"]), update(from, false));
        assert!(parsed(&["update", "--from"]).unwrap_err().contains("needs a folder or an address"));
        assert!(parsed(&["--check"]).is_err() && parsed(&["update", "guard"]).is_err());
        assert_eq!(parsed(&["guard", "-c", "b.toml"]), Ok(Command::Guard { config: Some("b.toml".into()) }));
        assert_eq!(parsed(&["updater"]), Ok(Command::Updater { config: None }));
        assert!(parsed(&["tunnel"]).unwrap_err().contains("boxd tunnel --config wg0.conf"));
    }

    #[test]
    fn the_help_shows_each_key_with_an_example_that_is_valid() {
        let help = help();
        for key in KEYS {
            assert!(help.contains(&format!("  {} = {}\n", key.name, key.example)), "{key:?}");
            let section = if key.section == "camera" { "[camera]".into() } else { key.section.to_owned() };
            let rest = match (key.section, key.name) {
                ("camera", "id") => "url = \"cam\"\n",
                ("camera", "url") => "id = \"a\"\n",
                ("camera", "password") => "id = \"a\"\nurl = \"cam\"\nuser = \"u\"\n",
                ("camera", _) => "id = \"a\"\nurl = \"cam\"\n",
                _ => "",
            };
            let text = format!("[{section}]\n{rest}{} = {}\n", key.name, key.example);
            crate::config::Config::parse("x", &text, PathBuf::new()).unwrap();
        }
    }
}
