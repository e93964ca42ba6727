//! Machines on the factory's switch: a cable for each, and a DHCP server of the kind that a router has.
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
    qemu::{self, Machine, Net},
};

/// What the DHCP server gives to the first machine; those after it get the next ones.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 200);
/// Where the first machine's image serves its pages.
pub const SITE: Site = site(0);

/// Where the image of the machine of this number, from 0, serves its pages.
#[must_use]
pub const fn site(number: u8) -> Site {
    Site::new(address(number), 80)
}

const fn address(number: u8) -> Ipv4Addr {
    let [a, b, c, d] = ADDRESS.octets();
    Ipv4Addr::new(a, b, c, d + number)
}

/// The machine's end of its cable.
fn cable(number: u8) -> String {
    format!("box-tap{number}")
}

/// The cables and the server; they go with it.
#[derive(Debug)]
pub struct Lan {
    _server: Process,
}

impl Lan {
    /// Lays one cable and starts the server, which logs to `dhcp.log` in `logs`.
    ///
    /// # Errors
    /// When iproute2 or dnsmasq fails.
    pub fn new(factory: &Factory, logs: &Path) -> Result<Self> {
        Self::of(1, factory, logs)
    }

    /// The same with a cable for each of so many machines.
    ///
    /// # Errors
    /// As [`Lan::new`].
    pub fn of(machines: u8, _factory: &Factory, logs: &Path) -> Result<Self> {
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
        let last = address(machines.saturating_sub(1));
        server.arg(format!("--dhcp-range={ADDRESS},{last},255.255.255.0,1h"));
        for number in 0..machines {
            let cable = cable(number);
            run("ip", &["tuntap", "add", "dev", &cable, "mode", "tap"])?;
            run("ip", &["link", "set", &cable, "master", "lan", "up"])?;
            server.arg(format!("--dhcp-host={},{}", qemu::card(&cable), address(number)));
        }
        server.arg(format!("--dhcp-option=option:router,{}", Factory::OBSERVER));
        server.arg(format!("--dhcp-leasefile={SCRATCH}/leases"));
        Ok(Self { _server: Process::spawn(server, &logs.join("dhcp.log"))? })
    }

    /// What the first machine on it is given.
    #[must_use]
    pub fn net(&self) -> Net {
        self.net_of(0)
    }

    /// What the machine of this number, from 0, is given.
    #[must_use]
    pub fn net_of(&self, number: u8) -> Net {
        Net::Tap(cable(number))
    }
}

/// Waits until the machine's page answers; gives the time since power-on.
///
/// # Errors
/// When it does not within `limit`, with the end of what the machine said.
pub fn serving(machine: &Machine, limit: Duration) -> Result<Duration> {
    serving_at(machine, SITE, limit)
}

/// The same for a machine with this page.
///
/// # Errors
/// As [`serving`].
pub fn serving_at(machine: &Machine, site: Site, limit: Duration) -> Result<Duration> {
    until(machine, limit, "page", || {
        site.ask("/healthz", Duration::from_secs(2)).is_ok_and(|it| it.status == 200)
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
