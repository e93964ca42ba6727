//! What `cargo xtask bench` measures: one JSON object a line on standard output (what, value, unit, peer, ratio), progress on
//! standard error.

mod browser;
mod crowd;
mod gateway;
mod latency;
mod process;
mod row;
mod stage;
mod viewers;

use anyhow::{Result, bail};

const HELP: &str = "\
cargo xtask bench [NAME...] [--cameras N]

  browser   first picture and end-to-end latency in Chromium
  crowd     CPU and memory of many 1080p cameras, beside ffmpeg and GStreamer
  gateway   500 viewers of one camera through the gateway, beside nginx
  latency   frame sent to part fetched; first playlist after start

Without a name, all of them. Example: cargo xtask bench crowd --cameras 8
";

/// What the box is meant to carry on the reference machine.
const CAMERAS: u32 = 32;

fn main() -> Result<()> {
    let (mut names, mut cameras) = (Vec::new(), CAMERAS);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--help" | "-h" => {
                print!("{HELP}");
                return Ok(());
            }
            "--cameras" => cameras = words.next().unwrap_or_default().parse()?,
            "browser" | "crowd" | "gateway" | "latency" => names.push(word),
            other => bail!("unknown word {other:?}\n\n{HELP}"),
        }
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
        rows.extend(crowd::run(&stage::Stage::set()?, cameras)?);
    }
    if wanted("gateway") {
        rows.extend(gateway::run()?);
    }
    rows.iter().try_for_each(row::Row::print)
}
