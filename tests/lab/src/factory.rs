//! The factory's LAN: one switch, a host per name, all in network namespaces of this world.
//!
//! Hosts get 10.77.0.1, .2, ... in the order of their names; the test itself sits on the switch at
//! 10.77.0.254 and reaches them all. Multicast and broadcast work between hosts.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use anyhow::{Context, Result, anyhow};
use nix::sched::{CloneFlags, setns};

use crate::{
    process::{self, Process},
    world::{self, run},
};

/// The hosts on one switch.
#[derive(Debug)]
pub struct Factory {
    hosts: BTreeMap<String, Host>,
}

/// One host: a network namespace with `eth0` on the switch.
#[derive(Debug, Clone)]
pub struct Host {
    name: String,
    address: Ipv4Addr,
    logs: PathBuf,
}

impl Factory {
    /// The test's own address on the LAN.
    pub const OBSERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 254);

    /// Builds the LAN. `test` names the directory of its logs; `hosts` are at most 250 names of at most 12
    /// characters.
    ///
    /// # Errors
    /// When a command of iproute2 fails.
    pub fn new(test: &str, hosts: &[&str]) -> Result<Self> {
        let logs = world::logs(test);
        fs::create_dir_all(&logs)?;
        run("ip", &["link", "add", "lan", "type", "bridge", "mcast_snooping", "0"])?;
        run("ip", &["address", "add", &format!("{}/24", Self::OBSERVER), "brd", "+", "dev", "lan"])?;
        run("ip", &["link", "set", "lan", "up"])?;
        let mut built = BTreeMap::new();
        for (name, last) in hosts.iter().zip(1_u8..=250) {
            let host = Host::new(name, Ipv4Addr::new(10, 77, 0, last), &logs)?;
            host.connect()?;
            built.insert((*name).to_owned(), host);
        }
        Ok(Self { hosts: built })
    }

    /// A host by its name.
    ///
    /// # Errors
    /// When there is none.
    pub fn host(&self, name: &str) -> Result<&Host> {
        self.hosts.get(name).with_context(|| format!("this factory has no host {name}"))
    }

    /// Gives a host another address on the LAN, as a DHCP server would: the old one is gone, and with it the routes that
    /// went out from it. Whoever has a way out keeps it.
    ///
    /// # Errors
    /// When there is no such host, or iproute2 fails.
    pub fn readdress(&mut self, name: &str, address: Ipv4Addr) -> Result<()> {
        let host = self.hosts.get_mut(name).with_context(|| format!("this factory has no host {name}"))?;
        host.readdress(address)
    }
}

impl Drop for Factory {
    fn drop(&mut self) {
        for name in self.hosts.keys() {
            let _ = run("ip", &["netns", "delete", name]);
        }
        let _ = run("ip", &["link", "delete", "lan"]);
    }
}

impl Host {
    /// A host without a cable.
    ///
    /// # Errors
    /// When iproute2 fails.
    pub(crate) fn new(name: &str, address: Ipv4Addr, logs: &Path) -> Result<Self> {
        run("ip", &["netns", "add", name])?;
        run("ip", &["-n", name, "link", "set", "lo", "up"])?;
        let host = Self { name: name.to_owned(), address, logs: logs.to_path_buf() };
        // An IPv6 address that is looked for on the link first comes a second after the rest, and Chromium drops what it is
        // loading then (ERR_NETWORK_CHANGED).
        host.within(|| Ok(fs::write("/proc/sys/net/ipv6/conf/default/dad_transmits", "0")?))?;
        Ok(host)
    }

    /// Connects `eth0` to the factory's switch.
    ///
    /// # Errors
    /// When iproute2 fails.
    pub(crate) fn connect(&self) -> Result<()> {
        let (name, cable) = (self.name.as_str(), format!("v-{}", self.name));
        run("ip", &["link", "add", &cable, "type", "veth", "peer", "name", "eth0", "netns", name])?;
        run("ip", &["link", "set", &cable, "master", "lan", "up"])?;
        run("ip", &["-n", name, "link", "set", "eth0", "up"])?;
        run(
            "ip",
            &["-n", name, "address", "add", &format!("{}/24", self.address), "brd", "+", "dev", "eth0"],
        )?;
        run("ip", &["-n", name, "route", "add", "224.0.0.0/4", "dev", "eth0"])
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address on the LAN.
    pub const fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Pulls its cable, or puts it back.
    ///
    /// # Errors
    /// When iproute2 fails.
    pub fn plugged(&self, plugged: bool) -> Result<()> {
        run("ip", &["link", "set", &format!("v-{}", self.name), if plugged { "up" } else { "down" }])
    }

    fn readdress(&mut self, address: Ipv4Addr) -> Result<()> {
        let name = self.name.as_str();
        let mut ask = Command::new("ip");
        ask.args(["-n", name, "route", "show", "default"]);
        let default = process::output(ask, &self.log("ip"), Duration::from_secs(5))?;
        // routes go with their address
        run("ip", &["-n", name, "address", "delete", &format!("{}/24", self.address), "dev", "eth0"])?;
        run("ip", &["-n", name, "address", "add", &format!("{address}/24"), "brd", "+", "dev", "eth0"])?;
        self.address = address;
        run("ip", &["-n", name, "route", "replace", "224.0.0.0/4", "dev", "eth0"])?;
        let route: Vec<&str> = default.split_whitespace().collect();
        if route.is_empty() {
            Ok(())
        } else {
            run("ip", &[&["-n", name, "route", "replace"], route.as_slice()].concat())
        }
    }

    /// Does something on this host's network: sockets made in there belong to it.
    ///
    /// # Errors
    /// When the namespace cannot be entered, or what was done fails.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let there = fs::File::open(format!("/run/netns/{}", self.name))?;
        thread::scope(|scope| {
            let worker = scope.spawn(move || {
                setns(there, CloneFlags::CLONE_NEWNET)?;
                work()
            });
            worker.join().map_err(|_| anyhow!("what was done on {} panicked", self.name))?
        })
    }

    /// A command that will run on this host.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.name)).arg("--").arg(program);
        command.env("HOME", world::SCRATCH).env("XDG_RUNTIME_DIR", world::SCRATCH);
        command
    }

    /// Starts a command made by [`Host::command`]; it logs under `name`.
    ///
    /// # Errors
    /// When it cannot start.
    pub fn spawn(&self, name: &str, command: Command) -> Result<Process> {
        Process::spawn(command, &self.log(name))
    }

    /// Runs a command made by [`Host::command`] to its end and gives what it printed.
    ///
    /// # Errors
    /// As [`process::output`].
    pub fn output(&self, name: &str, command: Command, limit: Duration) -> Result<String> {
        process::output(command, &self.log(name), limit)
    }

    /// Where a program of this name logs.
    pub fn log(&self, name: &str) -> PathBuf {
        self.logs.join(format!("{name}.log"))
    }
}
