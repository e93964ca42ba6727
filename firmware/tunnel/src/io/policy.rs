//! Networks that may hold the other end of the tunnel, such as all addresses there are: they go into the tunnel, but for the
//! tunnel's own datagrams.
//!
//! As wg-quick(8) does it: routes in a table of their own, which a rule asks for packets without [`MARK`], after another rule
//! has asked the main table for everything but its default routes, so that the machine's own networks stay where they are.
//! The rules go at the end. After a kill they stay, but the routes are gone with the interface, and an empty table
//! changes nothing; the next start takes them over and removes them at its end.

use std::io;
use std::net::IpAddr;

use super::netlink::{Netlink, Rule};
use crate::net::Cidr;

/// The mark of the tunnel's datagrams, and the table: wg-quick's first choice, so that two such tunnels find out.
pub(super) const MARK: u32 = 51_820;
/// Before the main table's own rule (32766), after what somebody else may have put first.
const RULES: [Rule; 2] = [Rule::MainWithoutDefault(32_700), Rule::Unmarked(32_701, MARK, MARK)];

/// The kinds of addresses for which the rules stand: one address of each.
#[derive(Debug, Default)]
pub(super) struct Policy(Vec<IpAddr>);

impl Policy {
    /// Sends a network into the interface. An error when another tunnel has it.
    pub(super) fn add(&mut self, netlink: &Netlink, index: u32, network: Cidr) -> io::Result<()> {
        // First, because only one tunnel can have the route, and that one owns the rules.
        netlink.add_route(index, network, MARK)?;
        if self.0.iter().any(|known| known.is_ipv4() == network.address.is_ipv4()) {
            return Ok(());
        }
        self.0.push(network.address);
        for rule in RULES {
            match netlink.add_rule(network.address, rule) {
                // Left by a tunnel that was killed.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                other => other?,
            }
        }
        Ok(())
    }

    /// Removes the rules.
    pub(super) fn undo(&mut self, netlink: &Netlink) {
        for kind in self.0.drain(..) {
            for rule in RULES {
                // Nobody is left to be told; a rule that stays does no harm.
                let _ = netlink.remove_rule(kind, rule);
            }
        }
    }
}
