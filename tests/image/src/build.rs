//! From the sources to a disk that boots: what is built, with which choices, and where it lies.
//!
//! [`ensure`] keeps what it builds under `target/image/builds`, in a folder named after all that went into it, so that asking
//! again costs only a look. Tests copy the disk before they boot it.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use board::{
    boot::{
        Table,
        script::{self, Purpose},
    },
    map::BoardMap,
};
use imaging::{
    disk::{self, Slot},
    system::{self, Files, Machine, Release},
    tree::entries,
};
use lab::paths;
use nix::fcntl::{Flock, FlockArg};
use ring::digest::{Context as Digest, SHA256};

use crate::{
    debian::Debian,
    fit::{self, Key},
    kernel,
    qemu::{Net, Parts, U_BOOT},
    rootfs, setup, toolchain,
};

/// A build that nobody has asked for in this time goes when there are newer ones.
const KEPT: Duration = Duration::from_secs(86_400);
/// This code is among what goes into a build.
const BUILDERS: [&str; 4] =
    [include_str!("build.rs"), include_str!("fit.rs"), include_str!("kernel.rs"), include_str!("rootfs.rs")];
/// And of `buildroot`, these.
const SOURCES: [&str; 3] = ["imaging/src", "initramfs", "overlay"];

/// A file that an image has beside, or in place of, those of the overlay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Laid {
    /// Its path from the root, without the first slash.
    pub name: String,
    /// What is in it.
    pub bytes: Vec<u8>,
    /// Its permissions.
    pub mode: u32,
}

/// What an image is to be.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder in board/boards.
    pub board: String,
    /// The version that people read.
    pub version: String,
    /// The security version.
    pub security: u32,
    /// The schema of the data that it writes.
    pub schema: u32,
    /// The box's program; none: it is compiled.
    pub program: Option<PathBuf>,
    /// Files over the overlay's.
    pub files: Vec<Laid>,
    /// Who signs; none: this machine's development key, made when first needed.
    pub key: Option<Key>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            board: "qemu-aarch64".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            security: 1,
            schema: system::SCHEMA,
            program: None,
            files: Vec::new(),
            key: None,
        }
    }
}

impl Options {
    /// The same as another version.
    #[must_use]
    pub fn version(self, version: impl Into<String>) -> Self {
        Self { version: version.into(), ..self }
    }

    /// The same with a text in place of a file of the overlay.
    #[must_use]
    pub fn text(mut self, name: &str, text: &str) -> Self {
        self.files.push(Laid { name: name.into(), bytes: text.into(), mode: 0o644 });
        self
    }

    /// The same with a script in place of a program.
    #[must_use]
    pub fn script(mut self, name: &str, text: &str) -> Self {
        self.files.push(Laid { name: name.into(), bytes: text.into(), mode: 0o755 });
        self
    }

    /// The same with more configuration behind the image's own `box.toml`.
    ///
    /// # Errors
    /// When the overlay has none.
    pub fn configured(self, more: &str) -> Result<Self> {
        let name = "etc/streambox/box.toml";
        let text = fs::read_to_string(paths::workspace().join("buildroot/overlay").join(name))?;
        Ok(self.text(name, &format!("{text}\n{more}")))
    }

    /// The board's own file.
    #[must_use]
    pub fn board_file(&self) -> PathBuf {
        self.board_folder().join("board.toml")
    }

    fn board_folder(&self) -> PathBuf {
        paths::workspace().join("board/boards").join(&self.board)
    }

    fn key(&self) -> Result<Key> {
        if let Some(key) = &self.key {
            return Ok(key.clone());
        }
        Key::ensure(&home().join("keys"), "dev")
    }
}

/// What was built.
#[derive(Debug, Clone)]
pub struct Built {
    /// Where all of it lies.
    pub folder: PathBuf,
    /// The box's program.
    pub program: PathBuf,
    /// The disk as it leaves the factory; copy it before booting it.
    pub disk: PathBuf,
    /// The signed FIT.
    pub fit: PathBuf,
    /// The root with its hash tree.
    pub root: PathBuf,
    /// The slot's header, as in the first sector of the FIT's partition.
    pub header: PathBuf,
    /// U-Boot's device tree: the key that it trusts, and its script.
    pub tree: PathBuf,
    /// The board's map.
    pub board: BoardMap,
}

impl Built {
    /// A machine with a copy of the disk, in `folder`, where its log is kept, too.
    ///
    /// # Errors
    /// When the disk cannot be copied.
    pub fn machine(&self, folder: &Path, net: Net) -> Result<Parts> {
        fs::create_dir_all(folder)?;
        let disk = folder.join("disk.img");
        copy_sparse(&self.disk, &disk)?;
        let log = folder.join("console.log");
        let (tree, boot_loader) = (Some(self.tree.clone()), U_BOOT.into());
        Ok(Parts { disk, tree, boot_loader, net, memory: Vec::new(), log })
    }

    /// The system, to fill a slot with.
    ///
    /// # Errors
    /// When its header cannot be read.
    pub fn header_bytes(&self) -> Result<Vec<u8>> {
        fs::read(&self.header).with_context(|| format!("reading {}", self.header.display()))
    }
}

/// Where images and all that makes them are kept: `target/image`, or what `STREAMBOX_IMAGE` names.
pub fn home() -> PathBuf {
    std::env::var_os("STREAMBOX_IMAGE").map_or_else(|| paths::target().join("image"), PathBuf::from)
}

/// Builds an image, or finds it built, installing what that needs.
///
/// # Errors
/// Naming the step that failed.
pub fn ensure(options: &Options) -> Result<Built> {
    fs::create_dir_all(home())?;
    let lock = File::create(home().join("lock"))?;
    let _alone = Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, errno)| errno)?;
    setup::ensure()?;
    let program = options.program.clone().map_or_else(toolchain::firmware, Ok)?;
    let debian = Debian::ensure()?;
    let key = options.key()?;
    let board = Machine::read(&options.board_file())?.map;

    let builds = home().join("builds");
    let folder = builds.join(fingerprint(options, &program, &key)?);
    let at = |name: &str| folder.join(name);
    let built = Built {
        program,
        disk: at("disk.img"),
        fit: at("box.fit"),
        root: at("root.img"),
        header: at("header.bin"),
        tree: at("u-boot.dtb"),
        folder: folder.clone(),
        board,
    };
    let whole = at("whole");
    if !whole.exists() {
        clear(&builds)?;
        fs::create_dir_all(&folder)?;
        put_together(options, &debian, &key, &built)?;
    }
    // The time of the last asking.
    fs::write(whole, "")?;
    Ok(built)
}

fn put_together(options: &Options, debian: &Debian, key: &Key, built: &Built) -> Result<()> {
    let folder = &built.folder;
    let machine = &Machine::read(&options.board_file())?;
    let scratch = folder.join("scratch");
    step("root", || rootfs::squashfs(debian, &built.program, options, &scratch, &built.root))?;
    let image = folder.join("Image");
    let files = Files { root: built.root.clone(), fit: built.fit.clone(), header: built.header.clone() };
    let release =
        Release { version: options.version.clone(), security: options.security, schema: options.schema };
    step("hash tree, kernel and initramfs, signed", || {
        kernel::image(debian, &image)?;
        let initramfs = |table: &str, into: &Path| kernel::initramfs(debian, table, &scratch, into);
        system::complete(machine, &release, &image, initramfs, key, &files)
    })?;
    step("U-Boot's device tree", || {
        let script = script::script(&Table::ours()?, &machine.map, &machine.boot, Purpose::Box);
        fit::tree(
            fit::Trust { key: Some(key), script: Some(&script), marker: machine.boot.marker },
            &built.tree,
        )
    })?;
    let header = fs::read(&built.header)?;
    step("disk", || {
        let slot = Slot { header: &header, fit: &built.fit, root: &built.root };
        disk::write(&machine.map, slot, &built.disk)
    })?;
    fs::remove_dir_all(&scratch)?;
    Ok(fs::remove_file(image)?)
}

fn step<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    let done = work().with_context(|| format!("making the {what}"))?;
    eprintln!("image: {what}: {:.1} s", start.elapsed().as_secs_f64());
    Ok(done)
}

/// The hash of all that goes into an image.
fn fingerprint(options: &Options, program: &Path, key: &Key) -> Result<String> {
    let mut all = Digest::new(&SHA256);
    let mut add = |bytes: &[u8]| {
        all.update(&(bytes.len() as u64).to_le_bytes());
        all.update(bytes);
    };
    for text in BUILDERS {
        add(text.as_bytes());
    }
    add(&fs::read(program).with_context(|| format!("reading {}", program.display()))?);
    let name = (&options.board, &options.version, options.security, options.schema);
    add(format!("{name:?} {key:?}").as_bytes());
    for file in &options.files {
        add(format!("{} {:o}", file.name, file.mode).as_bytes());
        add(&file.bytes);
    }
    let sources = SOURCES.map(|name| paths::workspace().join("buildroot").join(name));
    for folder in sources.into_iter().chain([options.board_folder()]) {
        for (name, path) in entries(&folder)? {
            add(name.as_bytes());
            if path.is_file() {
                add(&fs::read(path)?);
            }
        }
    }
    let all = all.finish();
    let short = all.as_ref().first_chunk().context("a hash is longer")?;
    let short = u64::from_be_bytes(*short);
    Ok(format!("{short:016x}"))
}

/// Removes builds that nobody asks for any more.
fn clear(builds: &Path) -> Result<()> {
    for entry in fs::read_dir(builds).into_iter().flatten() {
        let folder = entry?.path();
        let whole = folder.join("whole");
        let asked = whole.metadata().or_else(|_| folder.metadata()).and_then(|meta| meta.modified());
        if asked.is_ok_and(|time| time.elapsed().is_ok_and(|age| age > KEPT)) {
            fs::remove_dir_all(folder)?;
        }
    }
    Ok(())
}

/// Copies a disk of which most is empty.
fn copy_sparse(from: &Path, to: &Path) -> Result<()> {
    let (from, to) = (from.to_string_lossy(), to.to_string_lossy());
    lab::world::run("cp", &["--sparse=always", &from, &to])
}
