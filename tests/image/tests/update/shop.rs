//! Two images of which one is an update of the other, and the folder that both are published in.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    ops::Range,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use image::{
    build::{self, Built, Options},
    publish::{Draft, Expiry, Key, Published, Publisher, keys},
    toolchain,
};
use time::OffsetDateTime;
use update::{ImageKind, Release};

/// What runs, and what it is updated to.
pub(crate) const OLD: &str = "1.0.0";
pub(crate) const NEW: &str = "1.1.0";
/// Pages that change: 2 % of a program of 8 MB.
pub(crate) const PAGES: usize = 40;
const PAGE: usize = 4096;
/// The web server's port.
pub(crate) const PORT: u16 = 8000;

/// Where the forty pages are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Change {
    /// In one place of the unwind tables.
    Together,
    /// Over the unwind tables.
    Apart,
    /// Over all of the program, which does not run then.
    Everywhere,
}

/// Releases in a folder, and the two images that are run.
pub(crate) struct Shop {
    pub(crate) folder: PathBuf,
    images: BTreeMap<String, Built>,
    published: BTreeMap<String, Published>,
}

/// The development keys of this machine, made when first needed.
fn release_keys() -> Result<PathBuf> {
    let folder = build::home().join("release-keys");
    if !folder.join(keys::FIRST_ROOT).exists() {
        let _ = fs::remove_dir_all(&folder);
        keys::make(&folder, OffsetDateTime::now_utc(), Expiry::default())?;
    }
    Ok(folder)
}

/// An image whose box looks for updates soon and is sure of itself after some seconds.
fn options(version: &str, program: &Path) -> Result<Options> {
    let configured = format!(
        "[update]\nurl = [\"http://10.77.0.1:{PORT}\"]\ncloud = false\ninterval_minutes = 1\nhealthy_s = 5\n\
         deadline_s = 240\nretry_s = 60\n"
    );
    let root = fs::read_to_string(release_keys()?.join(keys::FIRST_ROOT))?;
    let options = Options { program: Some(program.to_path_buf()), ..Options::default() };
    Ok(options.version(version).configured(&configured)?.text("etc/streambox/root.json", &root))
}

impl Shop {
    /// A folder of its own with the old release and the new ones.
    pub(crate) fn open(name: &str, changes: &[Change]) -> Result<Self> {
        let program = toolchain::firmware()?;
        let keys_at = release_keys()?;
        let folder = build::home().join("releases").join(name);
        // The chunks stay: they are what their names say.
        for part in ["metadata", "targets"] {
            let _ = fs::remove_dir_all(folder.join(part));
        }
        let key = |name: &str| Key::open(&keys_at.join(format!("{name}.pem")));
        let (online, offline) = (key(keys::ONLINE)?, [key(keys::OFFLINE[0])?, key(keys::OFFLINE[1])?]);
        let publisher = Publisher {
            folder: &folder,
            first_root: &fs::read(keys_at.join(keys::FIRST_ROOT))?,
            online: &online,
            now: OffsetDateTime::now_utc(),
            expiry: Expiry::default(),
            progress: &|_, _| {},
        };
        let old = build::ensure(&options(OLD, &program)?)?;
        let mut published = BTreeMap::new();
        published.insert(OLD.to_owned(), publish(&publisher, &old, OLD, &offline)?);
        let mut images = BTreeMap::from([(OLD.to_owned(), old)]);
        for change in changes {
            let other = changed(&program, *change)?;
            let built = build::ensure(&options(NEW, &other)?)?;
            let version = if changes.len() == 1 { NEW.to_owned() } else { format!("{NEW}-{change:?}") };
            published.insert(version.clone(), publish(&publisher, &built, &version, &offline)?);
            images.insert(version, built);
        }
        Ok(Self { folder, images, published })
    }

    pub(crate) fn image(&self, version: &str) -> &Built {
        &self.images[version]
    }

    pub(crate) fn release(&self, version: &str) -> &Published {
        &self.published[version]
    }

    /// Bytes of the chunks that a box with the old release does not have.
    pub(crate) fn cost(&self, version: &str) -> u64 {
        let has: BTreeSet<&str> = chunks(&self.release(OLD).release).into_keys().collect();
        let wants = chunks(&self.release(version).release);
        wants.into_iter().filter(|(hash, _)| !has.contains(hash)).map(|(_, bytes)| u64::from(bytes)).sum()
    }
}

fn publish(publisher: &Publisher<'_>, built: &Built, version: &str, keys: &[Key]) -> Result<Published> {
    publisher.publish(&Draft::first(&built.fit, &built.root, &built.board.name, version), keys)
}

fn chunks(release: &Release) -> BTreeMap<&str, u32> {
    let both = [ImageKind::Fit, ImageKind::Root].into_iter().flat_map(|kind| &release.image(kind).chunks);
    both.map(|chunk| (chunk.0.as_str(), chunk.1)).collect()
}

/// A copy of the program with forty other pages.
fn changed(program: &Path, change: Change) -> Result<PathBuf> {
    let mut bytes = fs::read(program)?;
    let tables = unwind_tables(&bytes).context("the program has no unwind tables")?;
    let (within, step) = match change {
        Change::Together => (tables.clone(), PAGE),
        Change::Apart => (tables.clone(), tables.len() / PAGES),
        Change::Everywhere => (0..bytes.len(), bytes.len() / PAGES),
    };
    ensure!(step >= PAGE && within.len() >= PAGES * PAGE, "{} bytes of unwind tables", tables.len());
    for page in 0..PAGES {
        let at = within.start + page * step;
        for byte in bytes.get_mut(at..at + PAGE).context("a page past the end")? {
            *byte ^= 0x5a;
        }
    }
    let into = build::home().join(format!("boxd-{change:?}"));
    if fs::read(&into).ok().as_deref() != Some(&bytes[..]) {
        fs::write(&into, bytes)?;
    }
    Ok(into)
}

/// Where `.eh_frame` and `.gcc_except_table`, which follow each other, are in the file (System V ABI, chapter 4).
fn unwind_tables(elf: &[u8]) -> Option<Range<usize>> {
    let number = |at: usize, length: usize| -> Option<usize> {
        let bytes = elf.get(at..at + length)?;
        Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    };
    let (sections, each, count, names) =
        (number(0x28, 8)?, number(0x3a, 2)?, number(0x3c, 2)?, number(0x3e, 2)?);
    let names = number(sections + names * each + 0x18, 8)?;
    let mut found: Option<Range<usize>> = None;
    for section in (0..count).map(|index| sections + index * each) {
        let name = elf.get(names + number(section, 4)?..)?;
        let (at, length) = (number(section + 0x18, 8)?, number(section + 0x20, 8)?);
        if name.starts_with(b".eh_frame\0") || name.starts_with(b".gcc_except_table\0") {
            let start = found.map_or(at, |range| range.start);
            found = Some(start..at + length);
        }
    }
    found
}
