//! The way from a factory to its viewers: two NATs in series, a router that is the internet, a cloud and a viewer.
//!
//! ```text
//! factory's switch ── nat1 ──────────── nat2 ──────────── internet ─┬─ cloud  203.0.113.10 (web), .20 and .21 (hub)
//! 10.77.0.0/24        .250  100.64.0.2   .1  198.51.100.2    .1     └─ viewer 192.0.2.10
//! ```
//!
//! Both NATs masquerade and let nothing in that they did not see going out. Nobody outside has a route to the factory;
//! [`Internet::lead_to_factory`] gives them one, so that a test can show that this does not help either. What may break
//! on the way is in [`faults`]. Names are looked up in a hosts file that this world alone sees.

mod faults;

use std::{collections::BTreeMap, fs, net::Ipv4Addr, path::PathBuf};

use anyhow::Result;

use self::faults::{Faults, NatState};
use crate::{
    factory::Host,
    world::{self, SCRATCH, run},
};

/// The name in public links.
pub const VIDEO: &str = "video.example.org";
/// The name of the hub.
pub const HUB: &str = "hub.example.org";
/// Where the cloud's web server is.
pub const WEB_ADDRESS: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
/// Where the cloud's hub is at first, and where it is once it has moved.
pub const HUB_ADDRESSES: [Ipv4Addr; 2] = [Ipv4Addr::new(203, 0, 113, 20), Ipv4Addr::new(203, 0, 113, 21)];
/// Where the viewer is.
pub const VIEWER_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
/// The factory's way out.
const NAT1_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 250);

/// The internet between a factory and the rest of the world.
#[derive(Debug)]
pub struct Internet {
    nat1: Host,
    nat2: Host,
    router: Host,
    cloud: Host,
    viewer: Host,
    names: BTreeMap<String, Ipv4Addr>,
    faults: Faults,
    nat: NatState,
    hub: Ipv4Addr,
}

impl Internet {
    /// Connects these hosts of the factory to the internet. `test` names the directory of the logs.
    ///
    /// # Errors
    /// When a command of iproute2 or nftables fails.
    pub fn new(test: &str, boxes: &[&Host]) -> Result<Self> {
        let logs = world::logs(test);
        fs::create_dir_all(&logs)?;
        let nat1 = Host::new("nat1", NAT1_ADDRESS, &logs)?;
        nat1.connect()?;
        let [nat2, router] = ["nat2", "internet"].map(|name| Host::new(name, Ipv4Addr::UNSPECIFIED, &logs));
        let (nat2, router) = (nat2?, router?);
        let cloud = Host::new("cloud", WEB_ADDRESS, &logs)?;
        let viewer = Host::new("viewer", VIEWER_ADDRESS, &logs)?;

        cable(&nat1, "out", "100.64.0.2/24", &nat2, "in", "100.64.0.1/24")?;
        cable(&nat2, "out", "198.51.100.2/24", &router, "to-nat2", "198.51.100.1/24")?;
        cable(&cloud, "eth0", "203.0.113.10/24", &router, "to-cloud", "203.0.113.1/24")?;
        cable(&viewer, "eth0", "192.0.2.10/24", &router, "to-viewer", "192.0.2.1/24")?;
        for (host, gateway) in [(&nat1, "100.64.0.1"), (&nat2, "198.51.100.1"), (&viewer, "192.0.2.1")] {
            route(host, &["default", "via", gateway])?;
        }
        for host in [&nat1, &nat2, &router] {
            let mut forward = host.command("sysctl");
            forward.args(["-qw", "net.ipv4.ip_forward=1"]);
            world::feed(forward, "")?;
        }
        for name in boxes {
            name.route_out()?;
        }
        let [first, _] = HUB_ADDRESSES;
        let mut internet = Self {
            nat1,
            nat2,
            router,
            cloud,
            viewer,
            names: BTreeMap::new(),
            faults: Faults::default(),
            nat: NatState::default(),
            hub: first,
        };
        internet.apply_nat()?;
        internet.place_hub()?;
        fs::write(hosts_file(), "")?;
        run("mount", &["--bind", &hosts_file().to_string_lossy(), "/etc/hosts"])?;
        internet.name(VIDEO, WEB_ADDRESS)?;
        internet.name(HUB, first)?;
        Ok(internet)
    }

    /// Where the cloud runs.
    pub const fn cloud(&self) -> &Host {
        &self.cloud
    }

    /// Where the viewer's browser runs.
    pub const fn viewer(&self) -> &Host {
        &self.viewer
    }

    /// The outer NAT, where most faults are.
    pub const fn nat(&self) -> &Host {
        &self.nat2
    }

    /// Gives a name an address, from the next look-up on.
    ///
    /// # Errors
    /// When the file of names cannot be written.
    pub fn name(&mut self, name: &str, address: Ipv4Addr) -> Result<()> {
        self.names.insert(name.to_owned(), address);
        let lines = self.names.iter().map(|(name, address)| format!("{address} {name}\n"));
        // in place: the file is mounted over /etc/hosts
        fs::write(hosts_file(), "127.0.0.1 localhost\n".to_owned() + &lines.collect::<String>())?;
        Ok(())
    }

    /// Tells the routers of the internet the way to the factory's addresses, which no real router knows.
    ///
    /// # Errors
    /// When iproute2 fails.
    pub fn lead_to_factory(&self) -> Result<()> {
        for network in ["10.77.0.0/24", "100.64.0.0/24"] {
            route(&self.router, &[network, "via", &self.nat.outside().to_string()])?;
        }
        Ok(())
    }

    /// The cloud's host has the hub's address, and sends from it.
    fn place_hub(&self) -> Result<()> {
        let address = self.hub.to_string();
        run("ip", &["-n", "cloud", "address", "add", &format!("{address}/24"), "dev", "eth0"])?;
        route(&self.cloud, &["default", "via", "203.0.113.1", "src", &address])
    }
}

impl Host {
    /// Its way out of the factory.
    ///
    /// # Errors
    /// When iproute2 fails.
    pub fn route_out(&self) -> Result<()> {
        route(self, &["default", "via", &NAT1_ADDRESS.to_string()])
    }
}

impl Drop for Internet {
    fn drop(&mut self) {
        let _ = run("umount", &["/etc/hosts"]);
        for host in [&self.nat1, &self.nat2, &self.router, &self.cloud, &self.viewer] {
            let _ = run("ip", &["netns", "delete", host.name()]);
        }
    }
}

fn hosts_file() -> PathBuf {
    PathBuf::from(SCRATCH).join("hosts")
}

/// Lays a cable between two hosts; the names are those of the interfaces, with their addresses.
fn cable(a: &Host, a_name: &str, a_net: &str, b: &Host, b_name: &str, b_net: &str) -> Result<()> {
    run(
        "ip",
        &[
            "link",
            "add",
            a_name,
            "netns",
            a.name(),
            "type",
            "veth",
            "peer",
            "name",
            b_name,
            "netns",
            b.name(),
        ],
    )?;
    for (host, name, net) in [(a, a_name, a_net), (b, b_name, b_net)] {
        run("ip", &["-n", host.name(), "address", "add", net, "dev", name])?;
        run("ip", &["-n", host.name(), "link", "set", name, "up"])?;
    }
    Ok(())
}

fn route(host: &Host, words: &[&str]) -> Result<()> {
    run("ip", &[&["-n", host.name(), "route", "replace"], words].concat())
}
