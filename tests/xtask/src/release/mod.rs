//! `cargo xtask release`: keys, and releases as a folder of static files. What is written and in which order is
//! `image::publish`'s; here are the words, and what people are told.

mod words;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, bail};
use image::publish::keys::{self, FIRST_ROOT, OFFLINE};
use image::publish::{CHUNK, Draft, Key, Publisher};

use words::{Words, key_file};

const HELP: &str = "\
cargo xtask release COMMAND    signed releases as a folder of static files, for any web server or a USB stick

  keys DIR     makes the keys, once: three offline ones, of which two must sign each release, an online one, and 1.root.json,
               which goes into the image
  build        adds a release to the folder
               --fit FILE --root FILE     the images
               --board B --version V      as the box calls them; B/V can be published once
               --security N --schema S    a box never goes below a security version that it has had; the data's schema
               --keys DIR --key NAME --key NAME    1.root.json and online.pem, and two of the offline keys
               --out DIR                  the folder
               [--chunk BYTES]            a power of two from 4096 to 1048576  (65536)
  refresh      signs snapshot and timestamp anew before they expire; needs no offline key: run it daily where online.pem is
               --keys DIR --out DIR
  rotate       other keys from now on: the next root, signed by old and new ones
               --keys DIR --key NAME --key NAME --to DIR --out DIR

  A NAME is a file in DIR without its .pem, or a path with a slash.
  [--online NAME]        the online key, if it is not online.pem in the folder of keys
  [--offline-days N]     root and targets are good for so long  (365)
  [--snapshot-days N]    snapshot  (30)        [--timestamp-days N]   timestamp  (7)
  [--now TIME]           such as 2026-11-21T12:00:00Z: the same files, keys and time give the same bytes

Examples:
  cargo xtask release keys ~/keys       # then put the offline keys into three drawers
  cargo xtask release build --fit box.fit --root root.img --board qemu-aarch64 --version 1.2.0 --security 1 --schema 1 \\
      --keys ~/keys --key offline-1 --key /media/stick/offline-2.pem --out /srv/updates
  cargo xtask release refresh --keys ~/keys --out /srv/updates
";

/// Does what the words say.
///
/// # Errors
/// When a word is wrong, or the work cannot be done; a release is then not published.
pub(crate) fn run(words: &[&str]) -> Result<()> {
    let (command, rest) =
        words.split_first().map_or(("--help", [].as_slice()), |(first, rest)| (*first, rest));
    if matches!(command, "--help" | "-h" | "help") || rest.iter().any(|word| matches!(*word, "--help" | "-h"))
    {
        print!("{HELP}");
        return Ok(());
    }
    let words = Words::read(rest)?;
    match command {
        "keys" => make_keys(words),
        "build" => build(words),
        "refresh" => refresh(words),
        "rotate" => rotate(words),
        other => bail!("{other}: no such command; see cargo xtask release --help"),
    }
}

fn make_keys(mut words: Words<'_>) -> Result<()> {
    let folder = Path::new(words.plain("the folder for the keys")?);
    let (now, expiry) = (words.now()?, words.expiry()?);
    words.end()?;
    keys::make(folder, now, expiry)?;
    println!("keys: {}", folder.display());
    println!(
        "{} go into three drawers; two of them sign a release",
        OFFLINE.map(|name| format!("{name}.pem")).join(", ")
    );
    println!("online.pem goes where `release refresh` runs daily, and to the cloud ([updates] key)");
    println!("{FIRST_ROOT} goes into the image");
    Ok(())
}

fn build(mut words: Words<'_>) -> Result<()> {
    let draft = Draft {
        fit: words.needed("--fit")?.into(),
        root: words.needed("--root")?.into(),
        board: words.needed("--board")?.to_owned(),
        version: words.needed("--version")?.to_owned(),
        security: words.number("--security")?.context("--security is missing")?,
        schema: words.number("--schema")?.context("--schema is missing")?,
        chunk: words.number("--chunk")?.unwrap_or(CHUNK),
    };
    let folder = Path::new(words.needed("--keys")?);
    let offline = words.offline(folder)?;
    with_publisher(words, folder, |publisher| {
        let published = publisher.publish(&draft, &offline)?;
        let count = published.release.fit.chunks.len() + published.release.root.chunks.len();
        println!("published {}: {count} chunks, targets version {}", published.target, published.metadata);
        println!(
            "download  {} from nothing, {} of it new in this folder",
            mib(published.download),
            mib(published.new)
        );
        Ok(())
    })
}

fn refresh(mut words: Words<'_>) -> Result<()> {
    let folder = Path::new(words.needed("--keys")?);
    with_publisher(words, folder, |publisher| {
        publisher.refresh()?;
        let days = publisher.expiry.timestamp.whole_days();
        println!("refreshed {}: good for {days} days", publisher.folder.display());
        Ok(())
    })
}

fn rotate(mut words: Words<'_>) -> Result<()> {
    let folder = Path::new(words.needed("--keys")?);
    let to = Path::new(words.needed("--to")?);
    let old = words.offline(folder)?;
    let new: Result<Vec<Key>> = OFFLINE.iter().map(|name| Key::open(&key_file(to, name))).collect();
    let (new, new_online) = (new?, Key::open(&key_file(to, keys::ONLINE))?);
    with_publisher(words, folder, |publisher| {
        let version = publisher.rotate(&old, &new, &new_online)?;
        // Boxes still begin with the first root of all; whoever publishes with the new keys does, too.
        fs::write(to.join(FIRST_ROOT), publisher.first_root)
            .context("writing the first root beside the new keys")?;
        println!("published {version}.root.json: from now on use --keys {}", to.display());
        println!("{FIRST_ROOT} there is now the one that all roots follow from, as in the image");
        Ok(())
    })
}

/// Does something as whoever the words say, and tells how far it is.
fn with_publisher(
    mut words: Words<'_>,
    folder: &Path,
    act: impl FnOnce(&Publisher<'_>) -> Result<()>,
) -> Result<()> {
    let out = Path::new(words.needed("--out")?);
    let online = words.online(folder)?;
    let (now, expiry) = (words.now()?, words.expiry()?);
    words.end()?;
    let first = folder.join(FIRST_ROOT);
    let first_root = fs::read(&first).with_context(|| format!("reading {}", first.display()))?;
    let told = AtomicUsize::new(0);
    let progress = |done: usize, of: usize| {
        let tenth = done * 10 / of.max(1);
        if told.fetch_max(tenth, Ordering::Relaxed) < tenth {
            eprintln!("xtask: release: {} % of {of} chunks", tenth * 10);
        }
        if done == of {
            told.store(0, Ordering::Relaxed);
        }
    };
    let publisher =
        Publisher { folder: out, first_root: &first_root, online: &online, now, expiry, progress: &progress };
    act(&publisher)
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
