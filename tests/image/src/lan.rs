//! The machine on the factory's switch: a cable for it, and a DHCP server of the kind that a router has.
//!
//! For scenarios inside a [`lab::world`]: the switch of its [`Factory`](lab::factory::Factory) is the bridge `lan`.

use std::{
    net::Ipv4Addr,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use lab::{
    factory::Factory,
    http::Site,
    process::Process,
    world::{SCRATCH, run},
};

use crate::{
    console::Console,
    qemu::{Machine, Net},
};

/// The machine's end of the cable.
const CABLE: &str = "box-tap";
/// What the DHCP server gives to whoever asks; there is one to ask.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 200);
/// Where the image serves its pages.
pub const SITE: Site = Site::new(ADDRESS, 80);

/// The cable and the server; they go with it.
#[derive(Debug)]
pub struct Lan {
    _server: Process,
}

impl Lan {
    /// Lays the cable and starts the server, which logs to `dhcp.log` in `logs`.
    ///
    /// # Errors
    /// When iproute2 or dnsmasq fails.
    pub fn new(_factory: &Factory, logs: &Path) -> Result<Self> {
        run("ip", &["tuntap", "add", "dev", CABLE, "mode", "tap"])?;
        run("ip", &["link", "set", CABLE, "master", "lan", "up"])?;
        let mut server = Command::new("dnsmasq");
        server.args([
            "--no-daemon",
            "--conf-file=/dev/null",
            "--no-resolv",
            "--no-hosts",
            "--no-ping",
            "--port=0",
        ]);
        server.args(["--interface=lan", "--bind-interfaces", "--user=root", "--dhcp-authoritative"]);
        server.arg(format!("--dhcp-range={ADDRESS},{ADDRESS},255.255.255.0,1h"));
        server.arg(format!("--dhcp-option=option:router,{}", Factory::OBSERVER));
        server.arg(format!("--dhcp-leasefile={SCRATCH}/leases"));
        Ok(Self { _server: Process::spawn(server, &logs.join("dhcp.log"))? })
    }

    /// What a machine on it is given.
    #[must_use]
    pub fn net(&self) -> Net {
        Net::Tap(CABLE.into())
    }
}

/// Waits until the machine's page answers; gives the time since power-on.
///
/// # Errors
/// When it does not within `limit`, with the end of what the machine said.
pub fn serving(machine: &Machine, limit: Duration) -> Result<Duration> {
    until(machine, limit, "page", || {
        SITE.ask("/healthz", Duration::from_secs(2)).is_ok_and(|it| it.status == 200)
    })
}

/// Waits for a condition; gives the time since power-on.
///
/// # Errors
/// When it does not come within `limit`; names `what` was waited for and quotes the end of what the machine said.
pub fn until(
    machine: &Machine,
    limit: Duration,
    what: &str,
    mut condition: impl FnMut() -> bool,
) -> Result<Duration> {
    let end = Instant::now() + limit;
    while !condition() {
        if Instant::now() > end {
            bail!(
                "no {what} within {limit:?}; the machine said\n{}",
                lab::process::tail(&machine.console.said())
            );
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(machine.elapsed())
}

/// The next line of `word`s on the serial port as numbers by name: `WORD name 12 name 34`.
///
/// # Errors
/// When there is none in time, or it is none.
pub fn figures(console: &mut Console, word: &str, within: Duration) -> Result<Vec<(String, u64)>> {
    let line = console.line(word, within)?;
    let words: Vec<&str> = line.split_whitespace().collect();
    words
        .chunks_exact(2)
        .map(|pair| match pair {
            [name, number] => Ok(((*name).to_owned(), number.parse().with_context(|| line.clone())?)),
            _ => bail!("{line}"),
        })
        .collect()
}
