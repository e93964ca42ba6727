//! An update of the whole box from a plain web server: what it costs, and that the plug may be pulled at any moment.
//!
//! What changes between two versions are forty pages of the box's program, 2 % of it, and with them what must follow: the
//! version, the root's hash tree, its root hash in the initramfs, the FIT's signature. The pages are in the program's unwind
//! tables, so that it runs as before (only a panic reads them), in one place or spread over all of the tables; a third program, of which
//! only the cost is looked at, has its forty pages spread over everything, code and all.
//!
//! `STREAMBOX_KILLS` says how often the plug is pulled at a random moment (4), `STREAMBOX_SEED` at which.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    ops::Range,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, ensure};
use board::{
    env::{self, Env},
    header::Header,
    map::PartitionMap,
    slot::{SlotName, State},
};
use image::{
    build::{self, Built, Options},
    lan::Lan,
    publish::{CHUNK, Draft, Expiry, Key, Published, Publisher, keys},
    qemu::{Machine, Parts},
    toolchain,
};
use lab::{factory::Factory, process::Process, test_name, world};
use time::OffsetDateTime;
use update::{ImageKind, Release};

/// What runs, and what it is updated to.
const OLD: &str = "1.0.0";
const NEW: &str = "1.1.0";
/// Pages that change: 2 % of a program of 8 MB.
const PAGES: usize = 40;
const PAGE: usize = 4096;
/// Most of the full download that such an update may cost, per cent.
const MOST_PERCENT: f64 = 15.0;
/// Most writes of the boot environment in an update that nothing disturbs.
const MOST_WRITES: u32 = 4;
/// The web server's port, and how fast it serves one connection: a slow line, so that there is a middle to be disturbed in.
const PORT: u16 = 8000;
const BYTES_PER_SECOND: u32 = 100_000;
/// Longest that a box may take for all of it, from its switch to the new version being kept.
const LIMIT: Duration = Duration::from_secs(300);

/// Where the forty pages are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Change {
    /// In one place of the unwind tables.
    Together,
    /// Over the unwind tables.
    Apart,
    /// Over all of the program, which does not run then.
    Everywhere,
}

/// Releases in a folder, and the two images that are run.
struct Shop {
    folder: PathBuf,
    old: Built,
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
    fn open(name: &str, changes: &[Change]) -> Result<Self> {
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
        for change in changes {
            let other = changed(&program, *change)?;
            let built = build::ensure(&options(NEW, &other)?)?;
            let version = if changes.len() == 1 { NEW.to_owned() } else { format!("{NEW}-{change:?}") };
            published.insert(version.clone(), publish(&publisher, &built, &version, &offline)?);
        }
        Ok(Self { folder, old, published })
    }

    fn release(&self, version: &str) -> &Published {
        &self.published[version]
    }

    /// Bytes of the chunks that a box with the old release does not have.
    fn cost(&self, version: &str) -> u64 {
        let has: BTreeSet<&str> = chunks(&self.release(OLD).release).into_keys().collect();
        let wants = chunks(&self.release(version).release);
        wants.into_iter().filter(|(hash, _)| !has.contains(hash)).map(|(_, bytes)| u64::from(bytes)).sum()
    }
}

fn publish(publisher: &Publisher<'_>, built: &Built, version: &str, keys: &[Key]) -> Result<Published> {
    let draft = Draft {
        fit: built.fit.clone(),
        root: built.root.clone(),
        board: built.board.name.clone(),
        version: version.to_owned(),
        security: 1,
        schema: 1,
        chunk: CHUNK,
    };
    publisher.publish(&draft, keys)
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

/// nginx in front of the folder, as an operator would have it.
struct Web {
    _process: Process,
    log: PathBuf,
}

impl Web {
    fn start(factory: &Factory, folder: &Path) -> Result<Self> {
        let home = Path::new(world::SCRATCH).join("nginx");
        fs::create_dir_all(&home)?;
        let (at, log, file) = (home.display(), home.join("access.log"), home.join("nginx.conf"));
        let text = format!(
            "daemon off;\nuser root;\npid {at}/pid;\nevents {{}}\nhttp {{\n log_format bytes '$body_bytes_sent $status $uri';\n \
             access_log {at}/access.log bytes;\n client_body_temp_path {at}/b;\n proxy_temp_path {at}/p;\n \
             fastcgi_temp_path {at}/f;\n uwsgi_temp_path {at}/u;\n scgi_temp_path {at}/s;\n server {{\n listen {PORT};\n \
             root {};\n limit_rate {BYTES_PER_SECOND};\n }}\n}}\n",
            folder.display()
        );
        fs::write(&file, text)?;
        let web = factory.host("web")?;
        let mut nginx = web.command("nginx");
        nginx.arg("-p").arg(&home).arg("-c").arg(&file).arg("-e").arg(home.join("error.log"));
        Ok(Self { _process: web.spawn("nginx", nginx)?, log })
    }

    /// Bytes of all bodies so far: of chunks, and of everything.
    fn served(&self) -> (u64, u64) {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let mut sums = (0, 0);
        for line in text.lines() {
            let mut words = line.split(' ');
            let bytes = words.next().and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
            if words.nth(1).is_some_and(|path| path.starts_with("/chunks/")) {
                sums.0 += bytes;
            }
            sums.1 += bytes;
        }
        sums
    }
}

/// What the disk says, read from outside while the box may be running.
struct Disk<'a> {
    file: File,
    map: &'a PartitionMap,
}

impl<'a> Disk<'a> {
    fn of(parts: &Parts, map: &'a PartitionMap) -> Result<Self> {
        Ok(Self { file: File::open(&parts.disk)?, map })
    }

    /// The newest copy of the environment that is whole.
    fn env(&self) -> Option<Env> {
        let copies = self.map.env().into_iter().filter_map(|region| {
            let mut block = vec![0; env::BYTES];
            self.file.read_exact_at(&mut block, region.at).ok()?;
            Env::decode(&block)
        });
        copies.max_by_key(|env| env.seq)
    }

    fn version(&self, slot: SlotName) -> Option<String> {
        let mut sector = vec![0; 512];
        self.file.read_exact_at(&mut sector, self.map.fit(slot).at).ok()?;
        Header::decode(&sector).map(|header| header.version)
    }

    /// The version that is kept and would be started next.
    fn kept(&self) -> Option<String> {
        let vars = self.env()?.vars;
        (vars.of(vars.first).state == State::Good).then(|| self.version(vars.first)).flatten()
    }

    /// Whether there is a whole system that was healthy once: what the box can always go back to.
    fn has_good(&self) -> bool {
        self.env().is_some_and(|env| {
            SlotName::BOTH
                .into_iter()
                .any(|slot| env.vars.of(slot).state == State::Good && self.version(slot).is_some())
        })
    }
}

/// A box with a disk as from the factory.
fn new_box(shop: &Shop, lan: &Lan, logs: &Path, name: &str) -> Result<Parts> {
    shop.old.machine(&logs.join(name), lan.net())
}

fn until(machine: &Machine, what: &str, mut condition: impl FnMut() -> bool) -> Result<Duration> {
    image::lan::until(machine, LIMIT, what, &mut condition)
}

fn percent(part: u64, of: u64) -> f64 {
    part as f64 * 100.0 / of as f64
}

#[test]
fn two_per_cent_of_the_program_cost_at_most_fifteen_of_the_download() {
    let changes = [Change::Together, Change::Apart, Change::Everywhere];
    let shop = Shop::open("cost", &changes).unwrap();
    for change in changes {
        let version = format!("{NEW}-{change:?}");
        let (cost, whole) = (shop.cost(&version), shop.release(&version).download);
        let share = percent(cost, whole);
        println!("update, 40 pages {change:?}: {cost} of {whole} bytes, {share:.1} %");
        assert!(share <= MOST_PERCENT, "{change:?}: {share:.1} %");
        assert!(cost > 0, "nothing has changed");
    }
}

#[test]
fn the_plug_may_be_pulled_at_any_moment() {
    let test = test_name!();
    let shop = Shop::open("plug", &[Change::Apart]).unwrap();
    world::inside(test, || {
        let factory = Factory::new(test, &["web"])?;
        let logs = world::logs(test);
        let lan = Lan::new(&factory, &logs)?;
        let web = Web::start(&factory, &shop.folder)?;
        let map = &shop.old.board.partitions;
        let whole = shop.release(NEW).download;

        // Undisturbed.
        let parts = new_box(&shop, &lan, &logs, "undisturbed")?;
        let disk = Disk::of(&parts, map)?;
        let before = disk.env().map_or(0, |env| env.seq);
        let machine = Machine::start(&parts)?;
        let span = until(&machine, "new version that is kept", || disk.kept().as_deref() == Some(NEW))?;
        drop(machine);
        let (cost, all) = web.served();
        let writes = disk.env().context("no environment")?.seq - before;
        println!("update: {cost} bytes of chunks, {all} in all, of {whole}: {:.1} %", percent(all, whole));
        println!(
            "update: {:.0} s from the switch to the new version being kept, {writes} environment writes",
            span.as_secs_f64()
        );
        ensure!(percent(all, whole) <= MOST_PERCENT, "{all} of {whole} bytes");
        ensure!(writes <= MOST_WRITES, "{writes} writes of the environment");

        // Cut off in the middle of the download: what is there is not fetched again.
        let parts = new_box(&shop, &lan, &logs, "halfway")?;
        let disk = Disk::of(&parts, map)?;
        let start = web.served().0;
        let machine = Machine::start(&parts)?;
        until(&machine, "half of the download", || web.served().0 - start > cost / 2)?;
        drop(machine);
        let cut = web.served().0;
        ensure!(disk.has_good() && disk.kept().as_deref() == Some(OLD), "the old version is not kept");
        let machine = Machine::start(&parts)?;
        until(&machine, "new version that is kept", || disk.kept().as_deref() == Some(NEW))?;
        drop(machine);
        let rest = web.served().0 - cut;
        println!("update: cut off after {} bytes of chunks; {rest} of {cost} after that", cut - start);
        ensure!(rest < cost * 3 / 4, "{rest} of {cost} bytes were fetched after half was there");

        random_cuts(&shop, &lan, &logs, span)
    });
}

/// Pulls the plug at random moments of an update, again and again; after each box is through, a new one.
fn random_cuts(shop: &Shop, lan: &Lan, logs: &Path, span: Duration) -> Result<()> {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let kills = number("STREAMBOX_KILLS").unwrap_or(4);
    let clock = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos() as u64;
    let mut state = number("STREAMBOX_SEED").unwrap_or(clock);
    println!("update: {kills} cuts, STREAMBOX_SEED={state}");
    let map = &shop.old.board.partitions;
    let mut boxes = 0;
    let mut parts = new_box(shop, lan, logs, "random")?;
    for cut in 1..=kills {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let after = span.mul_f64((state >> 33) as f64 / f64::from(1_u32 << 31));
        let machine = Machine::start(&parts)?;
        thread::sleep(after);
        drop(machine);
        let disk = Disk::of(&parts, map)?;
        let kept = disk.kept();
        let vars = disk.env().map(|env| (env.seq, env.vars));
        println!("update: cut {cut} after {:.1} s: kept {kept:?}, {vars:?}", after.as_secs_f64());
        ensure!(disk.has_good(), "no good system is left: {vars:?}");
        if kept.as_deref() == Some(NEW) {
            boxes += 1;
            parts = new_box(shop, lan, logs, "random")?;
        }
    }
    let disk = Disk::of(&parts, map)?;
    let machine = Machine::start(&parts)?;
    let took = until(&machine, "new version that is kept", || disk.kept().as_deref() == Some(NEW))?;
    println!(
        "update: {} boxes through {kills} cuts, the last one {:.0} s after its power came",
        boxes + 1,
        took.as_secs_f64()
    );
    Ok(())
}
