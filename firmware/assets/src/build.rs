//! A room's `web/` as a table of files. A file is added after those that it names, so that every reference can be made to fit;
//! nothing in the table changes afterwards.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "cargo tells a build script everything by environment and files"
)]

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;

/// Where the files stand that several rooms' pages share, and the end of the path by which modules import them.
const SHARED: (&str, &str) = (concat!(env!("CARGO_MANIFEST_DIR"), "/web"), "/assets/web/");
/// A build script ends with whatever went wrong.
type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The files of one room's pages.
#[derive(Debug)]
pub struct Web {
    dir: PathBuf,
    out: PathBuf,
    /// (name in the sources, name as served)
    names: Vec<(String, String)>,
    table: String,
}

impl Web {
    /// The `web/` beside the manifest of the crate whose build script this is.
    ///
    /// # Errors
    /// Outside of a build script.
    pub fn of_this_crate() -> Result<Self> {
        println!("cargo::rerun-if-changed=build.rs");
        Ok(Self {
            dir: Path::new(&std::env::var("CARGO_MANIFEST_DIR")?).join("web"),
            out: PathBuf::from(std::env::var("OUT_DIR")?),
            names: Vec::new(),
            table: "&[\n".to_owned(),
        })
    }

    /// Adds a file of `web/`. Modules that it imports are found as `"./name"`, or by the name of their package.
    ///
    /// # Errors
    /// When it cannot be read, or its content type is unknown.
    pub fn add(&mut self, name: &str) -> Result<()> {
        let text = self.read(name)?;
        self.add_text(name, &text)
    }

    /// Adds a file that several rooms' pages share. Modules import it by its path, which ends with `assets/web/` and its name.
    ///
    /// # Errors
    /// As [`Web::add`].
    pub fn share(&mut self, name: &str) -> Result<()> {
        let text = read(&Path::new(SHARED.0).join(name))?;
        self.add_text(name, &text)
    }

    /// Adds a text under a name, as [`Web::add`] adds a file.
    ///
    /// # Errors
    /// When its content type is unknown, or the build's directory cannot be written.
    pub fn add_text(&mut self, name: &str, text: &str) -> Result<()> {
        let mut text = text.to_owned();
        for (known, served) in &self.names {
            let package = known.trim_end_matches(".js");
            text = text
                .replace(&format!("\"./{known}\""), &format!("\"./{served}\""))
                .replace(&format!("from \"{package}\""), &format!("from \"./{served}\""))
                .replace(&format!("from\"{package}\""), &format!("from\"./{served}\""));
            text = by_path(&text, &format!("{}{known}", SHARED.1), served);
        }
        let hash = fnv1a(text.as_bytes());
        let (stem, extension) = name.rsplit_once('.').ok_or("a file of a page has an extension")?;
        let stem = stem.replace('/', "-");
        let content_type = match extension {
            "css" => "text/css; charset=utf-8",
            "js" => "text/javascript; charset=utf-8",
            "json" => "application/json",
            "svg" => "image/svg+xml",
            _ => return Err(format!("{name}: which content type is that?").into()),
        };
        let served = format!("{stem}-{hash:016x}.{extension}");
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(text.as_bytes())?;
        let (plain_path, gzip_path) = (self.out.join(&served), self.out.join(format!("{served}.gz")));
        fs::write(&plain_path, text)?;
        fs::write(&gzip_path, gzip.finish()?)?;
        writeln!(
            self.table,
            "::assets::Asset {{ name: {served:?}, content_type: {content_type:?}, etag: {:?}, plain: include_bytes!({:?}), gzip: include_bytes!({:?}) }},",
            format!("\"{hash:016x}\""),
            plain_path.to_string_lossy(),
            gzip_path.to_string_lossy(),
        )?;
        self.names.push((name.to_owned(), served));
        Ok(())
    }

    /// Writes a page of `web/` to the build's directory: `{{name}}` becomes the address of the file `name`, under `base`; other
    /// placeholders stay. Gives the page's text.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn page(&self, name: &str, base: &str) -> Result<String> {
        let mut text = self.read(name)?;
        for (known, served) in &self.names {
            text = text.replace(&format!("{{{{{known}}}}}"), &format!("{base}{served}"));
        }
        fs::write(self.out.join(name), &text)?;
        Ok(text)
    }

    /// Writes `name` of the build's directory.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, name: &str, text: &str) -> Result<()> {
        Ok(fs::write(self.out.join(name), text)?)
    }

    /// Writes the table, `assets.rs` in the build's directory: an expression, a slice of [`crate::Asset`].
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self) -> Result<()> {
        self.table.push_str("]\n");
        Ok(fs::write(self.out.join("assets.rs"), self.table)?)
    }

    /// Texts of files from npm, named as below `node_modules`. They are taken from `web/node_modules` (made by `npm ci` or
    /// `cargo xtask web`), else from an `npm ci` into the build's directory; at the lock file's versions either way. Inside:
    /// why there are none.
    ///
    /// # Errors
    /// When there is no lock file.
    pub fn npm(&self, files: &[&str]) -> Result<std::result::Result<Vec<String>, String>> {
        println!("cargo::rerun-if-changed={}", self.dir.join("package-lock.json").display());
        let lock = fs::read_to_string(self.dir.join("package-lock.json"))?;
        let copy = self.out.join("npm");
        let look =
            |dir: &Path| files.iter().map(|file| installed(dir, &lock, file)).collect::<Option<Vec<_>>>();
        // Named also while they are missing: cargo then looks again at each build, until they are there.
        let watch = || {
            for file in files {
                println!("cargo::rerun-if-changed={}", self.dir.join("node_modules").join(file).display());
            }
        };
        if let Some(texts) = look(&self.dir) {
            watch();
            return Ok(Ok(texts));
        }
        if let Some(texts) = look(&copy) {
            return Ok(Ok(texts));
        }
        let why = match npm_ci(&self.dir, &copy) {
            Ok(()) => match look(&copy) {
                Some(texts) => return Ok(Ok(texts)),
                None => "npm ci brought other files than expected".to_owned(),
            },
            Err(why) => why,
        };
        watch();
        Ok(Err(why))
    }

    fn read(&self, name: &str) -> Result<String> {
        read(&self.dir.join(name))
    }
}

fn read(path: &Path) -> Result<String> {
    println!("cargo::rerun-if-changed={}", path.display());
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()).into())
}

/// A module in which quoted paths that end with `tail` have become the name as served.
fn by_path(text: &str, tail: &str, served: &str) -> String {
    let end = format!("{tail}\"");
    let mut pieces = text.split(end.as_str()).peekable();
    let mut whole = String::with_capacity(text.len());
    while let Some(piece) = pieces.next() {
        match piece.rfind('"').filter(|_| pieces.peek().is_some()) {
            Some(quote) => {
                whole.push_str(piece.get(..=quote).unwrap_or_default());
                whole.extend(["./", served, "\""]);
            }
            None => whole.push_str(piece),
        }
    }
    whole
}

/// FNV-1a, 64 bits: tells versions of our own files apart, the same with every compiler.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// A file under `dir/node_modules`, if its package is there in the version that the lock file names.
fn installed(dir: &Path, lock: &str, file: &str) -> Option<String> {
    let (package, _) = file.split_once('/')?;
    let manifest = fs::read_to_string(dir.join("node_modules").join(package).join("package.json")).ok()?;
    let (_, locked) = lock.split_once(&format!("\"node_modules/{package}\": {{"))?;
    if version(&manifest)? != version(locked)? {
        return None;
    }
    fs::read_to_string(dir.join("node_modules").join(file)).ok().map(|text| without_map(&text))
}

/// The first `version` of a manifest or of an entry of a lock file.
fn version(json: &str) -> Option<&str> {
    let (_, rest) = json.split_once("\"version\":")?;
    rest.trim_start().strip_prefix('"')?.split('"').next()
}

/// Without the comment that makes a browser's developer tools ask for a source map that is not served.
#[must_use]
pub fn without_map(text: &str) -> String {
    text.lines().filter(|line| !line.starts_with("//# sourceMappingURL=")).collect::<Vec<_>>().join("\n")
}

/// `npm ci` into `dir`: exactly what the lock file names, checked against its hashes, no scripts run.
fn npm_ci(web: &Path, dir: &Path) -> std::result::Result<(), String> {
    fs::create_dir_all(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    for name in ["package.json", "package-lock.json", ".npmrc"] {
        fs::copy(web.join(name), dir.join(name)).map_err(|error| format!("{name}: {error}"))?;
    }
    let output = Command::new("npm")
        .args([
            "ci",
            "--ignore-scripts",
            "--omit=dev",
            "--no-audit",
            "--no-fund",
            "--fetch-retries=1",
            "--fetch-timeout=20000",
        ])
        .current_dir(dir)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("npm did not run: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let line = said.lines().find(|line| line.contains("npm error")).unwrap_or("npm ci failed").trim();
    Err(line.to_owned())
}
