//! What `cargo xtask bench` measures: one JSON object a line on standard output (what, value, unit, peer, ratio), progress on
//! standard error.

mod browser;
mod clouds;
mod crowd;
mod fleet;
mod gateway;
mod latency;
mod polls;
mod process;
mod pull;
mod row;
mod stage;
mod start;
mod tunnel;
mod viewers;

use anyhow::{Result, bail};

const HELP: &str = "\
cargo xtask bench [NAME...] [--cameras N] [--boxes N]

  browser   first picture and end-to-end latency in Chromium
  clouds    5,000 viewers of one camera through nginx before two gateways
  crowd     CPU and memory of many 1080p cameras, beside ffmpeg and GStreamer
  fleet     10,000 boxes and one hub: memory, idle cost, and the storm after a restart
  gateway   500 viewers of one camera through the gateway, beside nginx
  latency   frame sent to part fetched; first playlist after start
  polls     boxes that are told a second what to run, 10,000 of them in the store
  pull      CPU and memory of 200 1080p cameras that the cloud pulls, beside MediaMTX's given figures
  start     a cloud that starts after a million events of updates
  tunnel    TCP through WireGuard on one core a side, beside wireguard-go and boringtun-cli

Without a name, all of them. Example: cargo xtask bench crowd --cameras 8
";

/// What the box is meant to carry on the reference machine.
const CAMERAS: u32 = 32;
/// Cameras without a box that one cloud is meant to pull.
const PULLED: u32 = 200;
/// What one hub is meant to carry.
const BOXES: u32 = 10_000;

fn main() -> Result<()> {
    let (mut names, mut cameras, mut boxes) = (Vec::new(), None, BOXES);
    let mut inside = false;
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--help" | "-h" => {
                print!("{HELP}");
                return Ok(());
            }
            "--cameras" => cameras = Some(words.next().unwrap_or_default().parse()?),
            "--boxes" => boxes = words.next().unwrap_or_default().parse()?,
            fleet::HUB => return fleet::run_hub(),
            fleet::INSIDE => inside = true,
            "browser" | "clouds" | "crowd" | "fleet" | "gateway" | "latency" | "polls" | "pull" | "start"
            | "tunnel" => {
                names.push(word);
            }
            tunnel::INSIDE => return tunnel::run_inside(),
            other => bail!("unknown word {other:?}\n\n{HELP}"),
        }
    }
    if inside {
        return fleet::run_inside(boxes);
    }
    let wanted = |name: &str| names.is_empty() || names.iter().any(|wanted| wanted == name);
    let mut rows = Vec::new();
    if wanted("latency") {
        rows.extend(latency::run(&stage::Stage::set()?)?);
    }
    if wanted("browser") {
        rows.extend(browser::run(&stage::Stage::set()?)?);
    }
    if wanted("crowd") {
        rows.extend(crowd::run(&stage::Stage::set()?, cameras.unwrap_or(CAMERAS))?);
    }
    if wanted("pull") {
        rows.extend(pull::run(&stage::Stage::set()?, cameras.unwrap_or(PULLED))?);
    }
    if wanted("start") {
        rows.extend(start::run()?);
    }
    if wanted("polls") {
        rows.extend(polls::run(boxes)?);
    }
    if wanted("gateway") {
        rows.extend(gateway::run()?);
    }
    if wanted("clouds") {
        rows.extend(clouds::run()?);
    }
    rows.iter().try_for_each(row::Row::print)?;
    if wanted("tunnel") {
        tunnel::run_outside()?;
    }
    if wanted("fleet") {
        fleet::run_outside(boxes)?;
    }
    Ok(())
}
