//! TCP through the tunnel from one network namespace to another: ours beside wireguard-go and boringtun-cli. Each side, its
//! iperf3 included, has one core. Rounds take turns, so that a busy machine is busy for all.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::{available_parallelism, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use lab::world::{self, run};
use lab::{cargo, paths};
use serde_json::Value;

use crate::process::Measured;
use crate::row::{Row, median};
use crate::stage;

/// The word that makes this program measure: it runs itself again in a world of its own.
pub(crate) const INSIDE: &str = "tunnel-inside";
/// Measurements of which the middle one counts.
const ROUNDS: usize = 5;
/// Seconds of each measurement, after one that does not count.
const SECONDS: &str = "3";
/// Bytes of the largest packet inside, for everybody.
const MTU: &str = "1420";
const BORINGTUN_VERSION: &str = "0.7.1";
/// How long a tunnel may take to stand.
const STANDS: Duration = Duration::from_secs(15);

/// One end: a namespace, its core, its addresses outside and inside. Interfaces have different names, because control sockets
/// lie in one directory.
struct End {
    namespace: &'static str,
    core: &'static str,
    outside: &'static str,
    inside: &'static str,
    interface: &'static str,
    private: String,
    public: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ours,
    WireguardGo,
    Boringtun,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::WireguardGo => "wireguard-go",
            Self::Boringtun => "boringtun-cli",
        }
    }
}

/// Measures in a world of its own, which prints the rows.
pub(crate) fn run_outside() -> Result<()> {
    let cores = available_parallelism()?.get();
    ensure!(cores >= 2, "each side needs a core of its own; this machine has {cores}");
    stage::build("boxd", &["--package", "boxd"])?;
    if let Err(error) = boringtun() {
        eprintln!("bench: boringtun-cli cannot be had, so it is left out: {error:#}");
    }
    let status = world::unshared(&std::env::current_exe()?)?.arg(INSIDE).status()?;
    ensure!(status.success(), "measuring the tunnel failed");
    Ok(())
}

fn tools() -> PathBuf {
    paths::lab().join("tools")
}

/// Installs it once, in the lab's own directory.
fn boringtun() -> Result<PathBuf> {
    let program = tools().join("bin/boringtun-cli");
    if !program.exists() {
        eprintln!("bench: installing boringtun-cli (some minutes, once)");
        let words =
            ["install", "--quiet", "--locked", "--version", BORINGTUN_VERSION, "boringtun-cli", "--root"];
        let status = cargo::command(&words).arg(tools()).status()?;
        ensure!(status.success(), "cargo install ended with {status}");
    }
    Ok(program)
}

/// Measures. To be called in a fresh world.
pub(crate) fn run_inside() -> Result<()> {
    world::furnish()?;
    let ends =
        [end("a", "0", "10.99.0.1", "10.98.0.1", "wga")?, end("b", "1", "10.99.0.2", "10.98.0.2", "wgb")?];
    for end in &ends {
        run("ip", &["netns", "add", end.namespace])?;
    }
    let [a, b] = &ends;
    run(
        "ip",
        &["link", "add", "cable", "netns", "a", "type", "veth", "peer", "name", "cable", "netns", "b"],
    )?;
    for end in &ends {
        let inside = |words: &[&str]| run("ip", &[&["-n", end.namespace], words].concat());
        inside(&["address", "add", &format!("{}/24", end.outside), "dev", "cable"])?;
        inside(&["link", "set", "lo", "up"])?;
        inside(&["link", "set", "cable", "up"])?;
    }
    let mut kinds = vec![Kind::Ours, Kind::WireguardGo];
    kinds.extend(boringtun().is_ok().then_some(Kind::Boringtun));
    // By kind, then direction, then round.
    let mut found = vec![[const { Vec::new() }; 2]; kinds.len()];
    for round in 1..=ROUNDS {
        for (kind, found) in kinds.iter().zip(&mut found) {
            let both = measure(*kind, a, b).with_context(|| format!("measuring {}", kind.name()))?;
            eprintln!(
                "bench: tunnel: round {round}: {}: {:.2} and {:.2} Gbit/s",
                kind.name(),
                both[0],
                both[1]
            );
            for (direction, value) in found.iter_mut().zip(both) {
                direction.push(value);
            }
        }
    }
    rows(&kinds, &found).iter().try_for_each(Row::print)
}

fn rows(kinds: &[Kind], found: &[[Vec<f64>; 2]]) -> Vec<Row> {
    let mut rows = Vec::new();
    let Some((ours, others)) = found.split_first() else { return rows };
    for (direction, words) in ["initiator to responder", "responder to initiator"].iter().enumerate() {
        let of = |values: &[Vec<f64>; 2]| values.get(direction).cloned().unwrap_or_default();
        let what = format!("TCP through the tunnel, {words}, one core a side");
        let value = median(&mut of(ours));
        for (kind, theirs) in kinds.iter().skip(1).zip(others) {
            let mut ratios: Vec<f64> =
                of(ours).iter().zip(of(theirs)).map(|(ours, theirs)| ours / theirs).collect();
            rows.push(Row::alone(&format!("{what}: {}", kind.name()), median(&mut of(theirs)), "Gbit/s"));
            rows.push(Row::beside(&what, value, "Gbit/s", kind.name(), median(&mut ratios)));
        }
    }
    rows
}

fn end(
    namespace: &'static str,
    core: &'static str,
    outside: &'static str,
    inside: &'static str,
    interface: &'static str,
) -> Result<End> {
    let wg = |words: &str| -> Result<String> {
        let output = Command::new("sh").args(["-c", words]).output()?;
        ensure!(output.status.success(), "wg failed: install wireguard-tools");
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    };
    let private = wg("wg genkey")?;
    let public = wg(&format!("echo {private} | wg pubkey"))?;
    Ok(End { namespace, core, outside, inside, interface, private, public })
}

/// A command in an end's namespace, on its core.
fn there(end: &End, program: &Path) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/run/netns/{}", end.namespace));
    command.args(["--", "taskset", "--cpu-list", end.core]).arg(program);
    command
}

/// Gbit/s from `a` to `b` and back.
fn measure(kind: Kind, a: &End, b: &End) -> Result<[f64; 2]> {
    let _tunnels = [start(kind, b, a, false)?, start(kind, a, b, true)?];
    wait_for("the tunnel stands", || {
        let ping = there(a, Path::new("ping")).args(["-c", "1", "-W", "1", "-q", b.inside]).output()?;
        Ok(ping.status.success())
    })?;
    iperf(a, b, &[])?;
    Ok([iperf(a, b, &[])?, iperf(a, b, &["--reverse"])?])
}

fn start(kind: Kind, own: &End, other: &End, initiates: bool) -> Result<Measured> {
    let scratch = Path::new(world::SCRATCH);
    let log = scratch.join(format!("{}-{}.log", kind.name(), own.interface));
    let peer = format!(
        "[Peer]\nPublicKey = {}\nAllowedIPs = {}/32\n{}",
        other.public,
        other.inside,
        if initiates { format!("Endpoint = {}:51820\n", other.outside) } else { String::new() }
    );
    let interface = format!("[Interface]\nPrivateKey = {}\nListenPort = 51820\n", own.private);
    let file = scratch.join(format!("{}.conf", own.interface));
    if kind == Kind::Ours {
        fs::write(&file, format!("{interface}Address = {}/24\nMTU = {MTU}\n{peer}", own.inside))?;
        let boxd = paths::binary("boxd")?;
        return Measured::start(there(own, &boxd).arg("tunnel").arg("--config").arg(&file), &log);
    }
    fs::write(&file, format!("{interface}{peer}"))?;
    let mut command = if kind == Kind::WireguardGo {
        there(own, Path::new("wireguard-go"))
    } else {
        let mut command = there(own, &boringtun()?);
        command.args(["--disable-drop-privileges", "--threads", "1", "--verbosity", "error"]);
        command
    };
    let control = PathBuf::from(format!("/var/run/wireguard/{}.sock", own.interface));
    // Left behind by the round before, which was killed.
    let _ = fs::remove_file(&control);
    let tunnel = Measured::start(command.args(["--foreground", own.interface]), &log)?;
    wait_for("its control socket", || Ok(control.exists()))?;
    let inside = |program: &str, words: &[&str]| -> Result<()> {
        let output = there(own, Path::new(program)).args(words).output()?;
        ensure!(output.status.success(), "{program} {words:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    };
    // Up before it has a peer, or its first handshake waits for 5 s.
    inside("ip", &["link", "set", own.interface, "mtu", MTU, "up"])?;
    inside("wg", &["setconf", own.interface, &file.display().to_string()])?;
    inside("ip", &["address", "add", &format!("{}/24", own.inside), "dev", own.interface])?;
    Ok(tunnel)
}

/// One connection for some seconds, in Gbit/s as received.
fn iperf(a: &End, b: &End, more: &[&str]) -> Result<f64> {
    let log = Path::new(world::SCRATCH).join("iperf3.log");
    let iperf3 = Path::new("iperf3");
    let _server =
        Measured::start(there(b, iperf3).args(["--server", "--one-off", "--bind", b.inside]), &log)?;
    let mut result = None;
    wait_for("iperf3 answers", || {
        let client =
            there(a, iperf3).args(["--client", b.inside, "--time", SECONDS, "--json"]).args(more).output()?;
        let answer: Value = serde_json::from_slice(&client.stdout).context("iperf3's answer")?;
        result = answer["end"]["sum_received"]["bits_per_second"].as_f64();
        Ok(result.is_some())
    })?;
    Ok(result.context("no figure")? / 1e9)
}

fn wait_for(what: &str, mut condition: impl FnMut() -> Result<bool>) -> Result<()> {
    let end = Instant::now() + STANDS;
    while !condition()? {
        if Instant::now() > end {
            bail!("{what}: not within {STANDS:?}");
        }
        sleep(Duration::from_millis(100));
    }
    Ok(())
}
