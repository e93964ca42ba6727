//! What breaks on the way. A fault lasts until it is taken back; several may hold at once.
//!
//! Invariant: the rules at the outer NAT are rendered from the state as a whole, so no fault depends on an earlier one.

use std::{net::Ipv4Addr, time::Duration};

use anyhow::{Context, Result};

use super::{HUB, HUB_ADDRESSES, Internet, route};
use crate::{
    factory::Host,
    process,
    world::{feed, run},
};

/// Ports of the mappings; each rebinding takes the other range.
const PORTS: [(u16, u16); 2] = [(20_000, 39_999), (40_000, 59_999)];

/// What is wrong now.
#[derive(Debug, Default)]
pub(super) struct Faults {
    no_udp: bool,
    cut: bool,
    loss_percent: u32,
}

/// How the outer NAT translates.
#[derive(Debug, Default)]
pub(super) struct NatState {
    rebindings: usize,
    moves: u8,
}

impl NatState {
    /// The NAT's address on the internet.
    pub(super) const fn outside(&self) -> Ipv4Addr {
        Ipv4Addr::new(198, 51, 100, 2 + self.moves % 200)
    }
}

impl Internet {
    /// Drops all UDP, or lets it through again.
    ///
    /// # Errors
    /// When nftables fails; so do all of these.
    pub fn block_udp(&mut self, on: bool) -> Result<()> {
        self.faults.no_udp = on;
        self.apply_faults()
    }

    /// Drops everything without a word, or lets it through again.
    ///
    /// # Errors
    /// When nftables fails.
    pub fn cut(&mut self, on: bool) -> Result<()> {
        self.faults.cut = on;
        self.apply_faults()
    }

    /// Drops so many of a hundred packets at random, in both directions; 0: none.
    ///
    /// # Errors
    /// When nftables fails.
    pub fn lose(&mut self, percent: u32) -> Result<()> {
        self.faults.loss_percent = percent;
        self.apply_faults()
    }

    /// The outer NAT forgets all its mappings and makes the next ones elsewhere: other ports.
    ///
    /// # Errors
    /// When nftables or conntrack fails.
    pub fn rebind(&mut self) -> Result<()> {
        self.nat.rebindings += 1;
        self.apply_nat()?;
        self.forget_mappings()
    }

    /// The outer NAT gets another address from its provider, and its old mappings are gone.
    ///
    /// # Errors
    /// When iproute2 or conntrack fails.
    pub fn move_nat(&mut self) -> Result<()> {
        let old = self.nat.outside();
        self.nat.moves = self.nat.moves.wrapping_add(1);
        let new = self.nat.outside();
        run("ip", &["-n", "nat2", "address", "delete", &format!("{old}/24"), "dev", "out"])?;
        run("ip", &["-n", "nat2", "address", "add", &format!("{new}/24"), "dev", "out"])?;
        route(&self.nat2, &["default", "via", "198.51.100.1"])?;
        self.forget_mappings()
    }

    /// The hub gets its other address, and its name with it; nobody answers at the old one.
    ///
    /// # Errors
    /// When iproute2 fails.
    pub fn move_hub(&mut self) -> Result<()> {
        let [first, second] = HUB_ADDRESSES;
        run("ip", &["-n", "cloud", "address", "delete", &format!("{}/24", self.hub), "dev", "eth0"])?;
        self.hub = if self.hub == first { second } else { first };
        self.place_hub()?;
        self.name(HUB, self.hub)
    }

    /// Bounds what the factory may send to so many kbit/s; none: no bound.
    ///
    /// # Errors
    /// When tc fails.
    pub fn uplink(&mut self, kbit: Option<u32>) -> Result<()> {
        let device = ["-n", "nat2", "qdisc"];
        match kbit {
            Some(kbit) => {
                let rate = format!("{kbit}kbit");
                let shape = [
                    "replace", "dev", "out", "root", "tbf", "rate", &rate, "burst", "16kb", "latency",
                    "300ms",
                ];
                run("tc", &[device.as_slice(), &shape].concat())
            }
            None => run("tc", &[device.as_slice(), &["delete", "dev", "out", "root"]].concat()),
        }
    }

    /// The outer NAT's current mapping of the box's flow to a UDP port, as `address:port` on the internet.
    ///
    /// # Errors
    /// When there is none.
    pub fn mapping(&self, port: u16) -> Result<String> {
        let mut list = self.nat2.command("conntrack");
        list.args(["-L", "-p", "udp", "--orig-port-dst", &port.to_string()]);
        let listed = process::output(list, &self.nat2.log("conntrack"), Duration::from_secs(5))?;
        // the second dst and dport are those of the answer: where the NAT listens for it
        let line = listed.lines().next().with_context(|| format!("no flow to UDP port {port}"))?;
        let last = |name: &str| line.split_whitespace().rev().find_map(|word| word.strip_prefix(name));
        let (address, port) = last("dst=").zip(last("dport=")).context("conntrack's line")?;
        Ok(format!("{address}:{port}"))
    }

    pub(super) fn apply_nat(&self) -> Result<()> {
        let [low, high] = PORTS;
        let (first, last) = if self.nat.rebindings.is_multiple_of(2) { low } else { high };
        translate(&self.nat1, "eth0", "masquerade")?;
        translate(&self.nat2, "in", &format!("masquerade to :{first}-{last}"))
    }

    fn forget_mappings(&self) -> Result<()> {
        let mut flush = self.nat2.command("conntrack");
        flush.arg("-F");
        feed(flush, "")
    }

    fn apply_faults(&self) -> Result<()> {
        let mut rules = Vec::new();
        if self.faults.cut {
            rules.push("counter drop".to_owned());
        }
        if self.faults.no_udp {
            rules.push("meta l4proto udp counter drop".to_owned());
        }
        if self.faults.loss_percent > 0 {
            rules.push(format!("numgen random mod 100 < {} counter drop", self.faults.loss_percent));
        }
        table(
            &self.nat2,
            "inet faults",
            &format!("chain way {{\ntype filter hook forward priority -10\n{}\n}}", rules.join("\n")),
        )
    }
}

/// A NAT between `inside` and its interface `out`: masks what goes out, lets in only what answers it.
fn translate(host: &Host, inside: &str, masquerade: &str) -> Result<()> {
    table(
        host,
        "ip nat",
        &format!(
            "chain out {{\ntype nat hook postrouting priority 100\n\
             oifname \"out\" meta l4proto {{ tcp, udp }} {masquerade}\noifname \"out\" masquerade\n}}"
        ),
    )?;
    table(
        host,
        "ip wall",
        &format!(
            "chain through {{\ntype filter hook forward priority 0; policy drop\n\
             ct state established,related accept\niifname \"{inside}\" accept\n}}\n\
             chain in {{\ntype filter hook input priority 0; policy drop\n\
             ct state established,related accept\niifname != \"out\" accept\n}}"
        ),
    )
}

/// Puts a table of nftables in place of the one of the same name, in one step.
fn table(host: &Host, name: &str, chains: &str) -> Result<()> {
    let mut nft = host.command("nft");
    nft.args(["-f", "-"]);
    feed(nft, &format!("add table {name}\ndelete table {name}\ntable {name} {{\n{chains}\n}}\n"))
}
