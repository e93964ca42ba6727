//! Who was sent to: packets that a host sends to given addresses, counted by its kernel, refused or not.

use std::{fmt::Write, net::Ipv4Addr, time::Duration};

use anyhow::{Context, Result};

use crate::{factory::Host, process, world::feed};

/// Counters on one host.
#[derive(Debug)]
pub struct Counters {
    host: Host,
    targets: Vec<Ipv4Addr>,
}

impl Counters {
    /// Starts counting UDP packets to these addresses, and TCP packets to ports that servers have: above them are the box's own,
    /// for a moment each, where it talks to itself (ip(7), ip_local_port_range).
    ///
    /// # Errors
    /// When nftables fails.
    pub fn start(host: &Host, targets: &[Ipv4Addr]) -> Result<Self> {
        let (mut counters, mut rules) = (String::new(), String::new());
        for (index, target) in targets.iter().enumerate() {
            writeln!(counters, "counter t{index} {{}}")?;
            writeln!(rules, "ip daddr {target} meta l4proto udp counter name t{index}")?;
            writeln!(rules, "ip daddr {target} tcp dport 1-32767 counter name t{index}")?;
        }
        let mut nft = host.command("nft");
        nft.args(["-f", "-"]);
        feed(
            nft,
            &format!(
                "table inet watch {{\n{counters}chain out {{\ntype filter hook output priority -300\n{rules}}}\n}}\n"
            ),
        )?;
        Ok(Self { host: host.clone(), targets: targets.to_vec() })
    }

    /// Packets so far, by address.
    ///
    /// # Errors
    /// When nftables fails.
    pub fn packets(&self) -> Result<Vec<(Ipv4Addr, u64)>> {
        let count = |(index, target): (usize, &Ipv4Addr)| -> Result<(Ipv4Addr, u64)> {
            let mut nft = self.host.command("nft");
            nft.args(["list", "counter", "inet", "watch", &format!("t{index}")]);
            let said = process::output(nft, &self.host.log("nft"), Duration::from_secs(5))?;
            let mut words = said.split_whitespace().skip_while(|word| *word != "packets");
            let number = words.nth(1).and_then(|word| word.parse().ok()).context("nft's counter")?;
            Ok((*target, number))
        };
        self.targets.iter().enumerate().map(count).collect()
    }
}
