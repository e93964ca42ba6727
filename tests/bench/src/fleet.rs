//! Ten thousand boxes and one hub process: what an idle box costs the hub in memory and processor time, and how long it
//! takes until all are back after a restart. The boxes are the box's own state machines (keys, route, pings) with a socket
//! each, in one process; the hub is the cloud's, in another. Both share this machine's cores.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lab::world;

use crate::process::{cpu_ns, pss_kib};
use crate::row::{Row, quantile};

mod boxes;
mod hub;

use boxes::Fleet;

/// The words that make this program play one of the two parts.
pub(crate) const INSIDE: &str = "fleet-inside";
pub(crate) const HUB: &str = "fleet-hub";
/// Where the hub listens, in the world of its own.
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 51820);
/// After this the storm has failed.
const STORM: Duration = Duration::from_secs(120);
/// How long the hub is gone; all boxes are trying by then.
const GONE: Duration = Duration::from_secs(20);
/// How long idling is measured.
const IDLE: Duration = Duration::from_secs(30);
/// What the issue of the storm may last.
const DEADLINE_S: f64 = 60.0;
/// What an idle peer may cost, KiB.
const PEER_KIB: f64 = 40.0;

/// Measures in a world of its own, which prints the rows.
pub(crate) fn run_outside(boxes: u32) -> Result<()> {
    let status =
        world::unshared(&std::env::current_exe()?)?.args([INSIDE, "--boxes", &boxes.to_string()]).status()?;
    ensure!(status.success(), "measuring the fleet failed");
    Ok(())
}

/// Plays the hub: see [`hub`].
pub(crate) fn run_hub() -> Result<()> {
    hub::run(LISTEN)
}

/// Measures. To be called in a fresh world.
pub(crate) fn run_inside(boxes: u32) -> Result<()> {
    world::furnish()?;
    boxes::more_descriptors(boxes)?;
    for row in measure(boxes)? {
        row.print()?;
    }
    Ok(())
}

fn measure(boxes: u32) -> Result<Vec<Row>> {
    let count = f64::from(boxes);
    let mut hub = HubProcess::start()?;
    let empty = hub.memory();
    hub.enrol(boxes)?;
    let enrolled = hub.memory();
    eprintln!("bench: {boxes} boxes make their first handshake");
    let mut fleet = Fleet::new(boxes, LISTEN)?;
    let first = storm(&mut fleet, "the first handshakes")?;
    // Two pings each, so that every peer has been through all it does while nobody watches.
    fleet.run(IDLE, |_| false)?;
    let (cpu, start) = (hub.cpu_ms(), Instant::now());
    fleet.run(IDLE, |_| false)?;
    let busy = (hub.cpu_ms() - cpu) / start.elapsed().as_secs_f64() / 10.0;
    let idle = hub.memory();
    drop(hub);

    eprintln!("bench: the hub is gone for {} s", GONE.as_secs());
    fleet.run(GONE, |_| false)?;
    let mut hub = HubProcess::start()?;
    hub.enrol(boxes)?;
    eprintln!("bench: the hub is back");
    fleet.forget();
    let cpu = hub.cpu_ms();
    let mut again = storm(&mut fleet, "the handshakes after the restart")?;
    let storm_ms = hub.cpu_ms() - cpu;
    let all = quantile(&mut again, 1.0);
    ensure!(all <= DEADLINE_S, "the last box was back after {all} s");

    let per_peer = (idle - empty) / count;
    ensure!(per_peer <= PEER_KIB, "an idle peer costs {per_peer:.1} KiB");
    let rows = [
        ("hub: boxes", count, "boxes"),
        ("hub: memory per enrolled box without a session", (enrolled - empty) / count, "KiB"),
        ("hub: memory per idle box with a session", per_peer, "KiB"),
        ("hub: memory of the process with all boxes idle", idle / 1024.0, "MiB"),
        ("hub: processor time with all boxes idle", busy, "% of a core"),
        ("hub: all boxes connected, first time", quantile(&mut first.clone(), 1.0), "s"),
        ("hub: half of the boxes back after a restart", quantile(&mut again, 0.5), "s"),
        ("hub: all boxes back after a restart", all, "s"),
        ("hub: processor time per box that came back", storm_ms / count, "ms"),
    ];
    Ok(rows.into_iter().map(|(what, value, unit)| Row::alone(what, value, unit)).collect())
}

/// Runs until every box has an answered handshake; the seconds that each took.
fn storm(fleet: &mut Fleet, what: &str) -> Result<Vec<f64>> {
    let start = Instant::now();
    while start.elapsed() < STORM && !fleet.all_stand() {
        fleet.run(Duration::from_secs(5), Fleet::all_stand)?;
        let (connected, standing) = fleet.count();
        eprintln!("bench: {connected} boxes have come through, {standing} stand");
    }
    let seconds = fleet.since(start);
    ensure!(fleet.all_stand(), "{what}: only {} boxes came through in {} s", seconds.len(), STORM.as_secs());
    Ok(seconds)
}

/// The hub's process, killed when dropped.
struct HubProcess {
    child: Child,
}

impl HubProcess {
    fn start() -> Result<Self> {
        let log = PathBuf::from(world::SCRATCH).join("hub.log");
        let log = fs::OpenOptions::new().create(true).append(true).open(log)?;
        let child = Command::new(std::env::current_exe()?)
            .arg(HUB)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .context("start the hub")?;
        let mut hub = Self { child };
        hub.heard("ready")?;
        Ok(hub)
    }

    /// Waits for a word of the hub's.
    fn heard(&mut self, word: &str) -> Result<()> {
        let mut line = vec![0; word.len() + 1];
        let out = self.child.stdout.as_mut().context("no pipe")?;
        out.read_exact(&mut line).context("the hub ended")?;
        ensure!(line.starts_with(word.as_bytes()), "the hub said {:?}", String::from_utf8_lossy(&line));
        Ok(())
    }

    /// Gives it so many boxes.
    fn enrol(&mut self, boxes: u32) -> Result<()> {
        let pipe = self.child.stdin.as_mut().context("no pipe")?;
        writeln!(pipe, "{boxes}")?;
        pipe.flush()?;
        self.heard("enrolled")
    }

    /// KiB.
    fn memory(&self) -> f64 {
        pss_kib(self.child.id()) as f64
    }

    fn cpu_ms(&self) -> f64 {
        cpu_ns(self.child.id()) as f64 / 1e6
    }
}

impl Drop for HubProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
