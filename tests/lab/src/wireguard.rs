//! WireGuard by other people: wireguard-go on a host, set up by the `wg` command.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context, Result};

use crate::{
    factory::Host,
    process::{self, Process},
    world::{SCRATCH, feed, run},
};

/// How long a short command may take.
const SHORT: Duration = Duration::from_secs(5);

/// A new private key, base64.
///
/// # Errors
/// When `wg` cannot be run.
pub fn private_key(host: &Host) -> Result<String> {
    let mut command = host.command("wg");
    command.arg("genkey");
    Ok(process::output(command, &host.log("wg"), SHORT)?.trim().to_owned())
}

/// The public key of a private one, both base64.
///
/// # Errors
/// When `wg` cannot be run or does not take the key.
pub fn public_key(host: &Host, private: &str) -> Result<String> {
    let file = PathBuf::from(SCRATCH).join(format!("{}-key", host.name()));
    fs::write(&file, private)?;
    let mut command = host.command("sh");
    command.args(["-c", "wg pubkey < \"$0\""]).arg(&file);
    Ok(process::output(command, &host.log("wg"), SHORT)?.trim().to_owned())
}

/// Puts a file where `wg-quick` looks for it, under the host's own name, which the interface gets, and starts it. Gives the
/// file's path.
///
/// # Errors
/// When `wg-quick` fails, or takes longer than 15 s.
pub fn quick_up(host: &Host, file: &str) -> Result<String> {
    let path = PathBuf::from(SCRATCH).join(format!("{}.conf", host.name()));
    fs::write(&path, file)?;
    // In a session of its own, because wireguard-go stays when the command has ended.
    let mut command = host.command("setsid");
    command.args(["--fork", "--wait", "wg-quick", "up"]).arg(&path);
    process::output(command, &host.log("wg-quick"), Duration::from_secs(15)).context("wg-quick up")?;
    Ok(path.display().to_string())
}

/// One end of a tunnel.
#[derive(Debug)]
pub struct Peer {
    host: Host,
    interface: String,
    _process: Process,
}

impl Peer {
    /// Starts wireguard-go with an interface of this name and address (`10.99.0.2/24`).
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start(
        host: &Host,
        interface: &str,
        private: &str,
        address: &str,
        port: Option<u16>,
    ) -> Result<Self> {
        fs::create_dir_all("/run/wireguard")?;
        let mut command = host.command("wireguard-go");
        command.args(["--foreground", interface]).env("LOG_LEVEL", "verbose");
        let mut process = host.spawn(&format!("{}-{interface}", host.name()), command)?;
        process.wait_for("UAPI listener started", SHORT)?;
        let peer = Self { host: host.clone(), interface: interface.to_owned(), _process: process };
        run("ip", &["-n", host.name(), "address", "add", address, "dev", interface])?;
        // first up, then peers: otherwise the first handshake waits 5 s
        run("ip", &["-n", host.name(), "link", "set", interface, "up", "mtu", "1280"])?;
        let file = PathBuf::from(SCRATCH).join(format!("{}-{interface}-key", host.name()));
        fs::write(&file, private)?;
        let mut words = vec!["private-key".to_owned(), file.display().to_string()];
        if let Some(port) = port {
            words.extend(["listen-port".to_owned(), port.to_string()]);
        }
        peer.set(&words)?;
        Ok(peer)
    }

    /// Adds the other end. `allowed` are networks, which are also routed there.
    ///
    /// # Errors
    /// When `wg` or iproute2 refuses.
    pub fn add(
        &self,
        public: &str,
        endpoint: Option<&str>,
        allowed: &[&str],
        keepalive_s: u16,
    ) -> Result<()> {
        let mut words =
            vec!["peer".to_owned(), public.to_owned(), "allowed-ips".to_owned(), allowed.join(",")];
        if let Some(endpoint) = endpoint {
            words.extend(["endpoint".to_owned(), endpoint.to_owned()]);
        }
        if keepalive_s > 0 {
            words.extend(["persistent-keepalive".to_owned(), keepalive_s.to_string()]);
        }
        self.set(&words)?;
        for network in allowed {
            run("ip", &["-n", self.host.name(), "route", "replace", network, "dev", &self.interface])?;
        }
        Ok(())
    }

    /// Where the first other end's datagrams come from.
    ///
    /// # Errors
    /// When none has come.
    pub fn endpoint(&self) -> Result<String> {
        let mut command = self.host.command("wg");
        command.args(["show", &self.interface, "endpoints"]);
        let said = process::output(command, &self.host.log("wg"), SHORT)?;
        Ok(said.split_whitespace().nth(1).context("no peer")?.to_owned())
    }

    /// Gives the interface one more address, to send from.
    ///
    /// # Errors
    /// When iproute2 refuses.
    pub fn pretend(&self, address: &str) -> Result<()> {
        run("ip", &["-n", self.host.name(), "address", "add", address, "dev", &self.interface])
    }

    fn set(&self, words: &[String]) -> Result<()> {
        let mut command = self.host.command("wg");
        command.args(["set", &self.interface]).args(words);
        feed(command, "")
    }
}

/// What came of some pings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pings {
    /// Sent.
    pub sent: u32,
    /// Answered.
    pub answered: u32,
}

/// Sends `count` pings, one each `every`, and waits a second for the last answer.
///
/// # Errors
/// When `ping` cannot be run.
pub fn ping(host: &Host, words: &[&str], target: &str, count: u32, every: Duration) -> Result<Pings> {
    let mut command = host.command("sh");
    let every = every.as_secs_f64();
    // ping's own exit code says only whether any came
    command.args(["-c", "ping -q -n \"$@\"; true", "sh", "-W", "1", "-c", &count.to_string()]);
    command.args(["-i", &every.to_string()]).args(words).arg(target);
    let limit = Duration::from_secs_f64(f64::from(count) * every + 5.0);
    let said = process::output(command, &host.log("ping"), limit)?;
    let answered = said
        .split(',')
        .find_map(|part| part.trim().strip_suffix(" received"))
        .and_then(|number| number.parse().ok())
        .unwrap_or(0);
    Ok(Pings { sent: count, answered })
}
