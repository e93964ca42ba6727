//! A box that updates itself in QEMU from nginx: what it fetches, how often it writes its boot environment, and that it goes on
//! where it was, or stays what it was, whenever the plug is pulled.

use std::{
    fs::{self, File},
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
    lan::Lan,
    qemu::{Machine, Parts},
};
use lab::{factory::Factory, process::Process, test_name, world};

use crate::shop::{Change, NEW, OLD, PORT, Shop};
use crate::{MOST_PERCENT, percent};

/// Most writes of the boot environment in an update that nothing disturbs.
const MOST_WRITES: u32 = 4;
/// How fast the web server serves one connection: a slow line, so that there is a middle to be disturbed in.
const BYTES_PER_SECOND: u32 = 100_000;
/// Longest that a box may take for all of it, from its switch to the new version being kept; emulated, on a machine that does
/// other things, too.
const LIMIT: Duration = Duration::from_secs(600);

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
    shop.image(OLD).machine(&logs.join(name), lan.net())
}

fn until(machine: &Machine, what: &str, mut condition: impl FnMut() -> bool) -> Result<Duration> {
    image::lan::until(machine, LIMIT, what, &mut condition)
}

#[test]
fn the_plug_may_be_pulled_at_any_moment() {
    let test = test_name!();
    let shop = Shop::open("plug", &[Change::Apart]).unwrap();
    world::beside(test, || {
        let factory = Factory::new(test, &["web"])?;
        let logs = world::logs(test);
        let lan = Lan::new(&factory, &logs)?;
        let web = Web::start(&factory, &shop.folder)?;
        let map = &shop.image(OLD).board.partitions;
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
    let kills = number("STREAMBOX_KILLS").unwrap_or(2);
    let clock = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos() as u64;
    let mut state = number("STREAMBOX_SEED").unwrap_or(clock);
    println!("update: {kills} cuts, STREAMBOX_SEED={state}");
    let map = &shop.image(OLD).board.partitions;
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
