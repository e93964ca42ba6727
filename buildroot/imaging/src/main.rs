//! `box-image`: what Buildroot's scripts call to make of a root and a kernel what a box boots from.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result, bail};
use board::boot::{
    Table,
    script::{self, Purpose},
};
use imaging::{
    device_tree::{self, Trust},
    disk::Slot,
    fit::Key,
    genimage, initramfs,
    system::{self, Files, Machine, Release},
    target,
};

const HELP: &str = "\
box-image COMMAND --board FOLDER --keys FOLDER --into PATH [more]

  slot     root.img, box.fit, header.bin, and genimage.cfg with what it names, into the folder PATH, where the kernel `Image` is
           --sources FOLDER  this repository's buildroot     --target FOLDER  Buildroot's target
           --version WORD     --security NUMBER
  include  the boot loader's trust and script as a device tree source, for its own build
  qemu     the same as QEMU's device tree     --boot-loader FILE  U-Boot for QEMU

The key is KEYS/dev.key with KEYS/dev.crt; it is made when it is not there.
";

fn main() -> ExitCode {
    match run(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("box-image: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The words behind the command: `--name value`.
struct Words<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Words<'a> {
    fn parse(words: &'a [String]) -> Result<Self> {
        let mut pairs = Vec::new();
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            let name = word.strip_prefix("--").with_context(|| format!("{word}: --name is wanted"))?;
            pairs.push((name, rest.next().with_context(|| format!("{word} wants a value"))?.as_str()));
        }
        Ok(Self(pairs))
    }

    fn one(&self, name: &str) -> Result<&'a str> {
        self.0
            .iter()
            .find(|(other, _)| *other == name)
            .map(|(_, value)| *value)
            .with_context(|| format!("--{name} is wanted"))
    }

    fn path(&self, name: &str) -> Result<PathBuf> {
        Ok(PathBuf::from(self.one(name)?))
    }
}

fn run(words: &[String]) -> Result<()> {
    let Some((command, rest)) = words.split_first().filter(|(command, _)| *command != "--help") else {
        print!("{HELP}");
        return Ok(());
    };
    let words = Words::parse(rest)?;
    let machine = Machine::read(&words.path("board")?.join("board.toml"))?;
    let key = Key::ensure(&words.path("keys")?, "dev")?;
    let into = words.path("into")?;
    if command == "slot" {
        return slot(&words, &machine, &key, &into);
    }
    let script = script::script(&Table::ours()?, &machine.map, &machine.boot, Purpose::Box);
    let trust = Trust { key: Some(&key), script: Some(&script), marker: machine.boot.marker };
    match command.as_str() {
        "include" => device_tree::include(trust, &words.path("board")?, &into),
        "qemu" => device_tree::for_qemu(trust, &words.path("boot-loader")?, &into),
        other => bail!("{other}: no such command; see box-image --help"),
    }
}

fn slot(words: &Words<'_>, machine: &Machine, key: &Key, into: &Path) -> Result<()> {
    let (sources, target_folder) = (words.path("sources")?, words.path("target")?);
    let release = Release {
        version: words.one("version")?.to_owned(),
        security: words.one("security")?.parse().context("--security wants a number")?,
        schema: system::SCHEMA,
    };
    let scratch = into.join("scratch");
    let at = |name: &str| into.join(name);
    let files = Files { root: at("root.img"), fit: at("box.fit"), header: at("header.bin") };
    target::root(&target_folder, &scratch, &files.root)?;
    let small = |table: &str, place: &Path| {
        initramfs::write(&sources, &target::parts(&target_folder, table)?, &scratch, place)
    };
    system::complete(machine, &release, &at("Image"), small, key, &files)?;
    fs::remove_dir_all(&scratch)?;
    let header = fs::read(&files.header)?;
    let system = Slot { header: &header, fit: &files.fit, root: &files.root };
    genimage::write(&machine.map, system, into)
}
