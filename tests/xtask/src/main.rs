//! `cargo xtask`: what people and CI do with this repository.

mod bench;
mod demo;
mod fuzz;
mod image;
mod release;
mod sbom;
mod soak;
mod step;
mod test;
mod web;

use std::process::ExitCode;

use anyhow::{Result, bail};

const HELP: &str = "\
cargo xtask COMMAND

  demo     two sample cameras, a box that finds them, a cloud that it joins, and the pages and public links that play
           [--for SECONDS]  ends by itself after so long     [--port N]  wanted port of the page (8080)
  test     everything that a change must pass: format, lints, licences, tests, the lab
           [--quick]  without the lab
  bench    figures beside other programs' in the same run, one JSON object a line   [words for the benchmark]
  soak     the long tests   [--minutes N]  (30)
           [--link]  only the public link, under random faults     [--seed N]  the same faults as in that run
  fuzz     fuzzing, with cargo-fuzz   [TARGET] [--seconds N]  (60 each)
  image    the box for ARM as a disk that boots through U-Boot in QEMU, and the command that boots it
           [--version WORD]  what it calls itself     [--board NAME]  a folder of board/boards (qemu-aarch64)
  setup    installs what the lab needs (test does it too)
  release  keys, and signed releases as a folder of static files; see cargo xtask release --help
  sbom     what runs on a box, as CycloneDX 1.6 [--out FILE] [--buildroot FILE]; see cargo xtask sbom --help
  web      fetches what the pages need from npm

Examples:
  cargo xtask demo
  cargo xtask test --quick
  cargo xtask fuzz --seconds 600
  cargo xtask image --version 1.2.0
  cargo xtask soak --link --minutes 480
";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (command, rest) =
        words.split_first().map_or(("--help", [].as_slice()), |(first, rest)| (*first, rest));
    if matches!(command, "--help" | "-h" | "help")
        || !matches!(command, "bench" | "release" | "sbom") && rest.contains(&"--help")
    {
        print!("{HELP}");
        return Ok(());
    }
    match command {
        "demo" => demo::run(rest),
        "test" => test::run(rest),
        "bench" => bench::run(rest),
        "soak" => soak::run(rest),
        "release" => release::run(rest),
        "sbom" => sbom::run(rest),
        "fuzz" => fuzz::run(rest),
        "image" => image::run(rest),
        "setup" => lab::setup::ensure(),
        "web" => web::run(),
        other => bail!("{other}: no such command; see cargo xtask --help"),
    }
}
