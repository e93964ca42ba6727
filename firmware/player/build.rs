//! Turns `web/` into what front door and gateway serve: every file under a name that holds the hash of its content (so that
//! browsers may keep it for ever), with the references between the files made to fit, and gzipped once.
//!
//! hls.js is not in this repository. It is taken from, in this order: the file that `STREAMBOX_HLS_JS` names;
//! `web/node_modules` (made by `npm ci` or `cargo xtask web`); an `npm ci` into the build directory. Without any of
//! them the build goes on, says so, and the player uses the browser's own HLS.

#![allow(clippy::disallowed_methods, reason = "cargo tells a build script everything by environment")]

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;

/// The pages' own files and their content types. A file comes after those that it imports.
const FILES: [(&str, &str); 7] = [
    ("icon.svg", "image/svg+xml"),
    ("style.css", "text/css; charset=utf-8"),
    ("lists.js", JS),
    ("logic.js", JS),
    ("engines.js", JS),
    ("index.js", JS),
    ("player.js", JS),
];
const JS: &str = "text/javascript; charset=utf-8";
/// Pages: rendered by the server, so only the names of files are filled in here.
const PAGES: [&str; 3] = ["index.html", "join.html", "player.html"];
/// The build of hls.js without subtitles, DRM and alternate audio: it keeps low latency and sound in the same file.
const HLS_JS: &str = "node_modules/hls.js/dist/hls.light.min.js";

fn main() -> Result<(), Box<dyn Error>> {
    let web = Path::new(&std::env::var("CARGO_MANIFEST_DIR")?).join("web");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    println!("cargo::rerun-if-changed=build.rs");

    // (name in the sources, name under /assets/)
    let mut names: Vec<(String, String)> = Vec::new();
    let mut table = String::from("&[\n");
    if let Some(text) = hls_js(&web, &out)? {
        add(&mut names, &mut table, &out, "hls.js", JS, &text)?;
    }
    for (name, content_type) in FILES {
        let mut text = read(&web, name)?;
        for (known, served) in &names {
            text = text.replace(&format!("\"./{known}\""), &format!("\"./{served}\""));
        }
        add(&mut names, &mut table, &out, name, content_type, &text)?;
    }
    table.push_str("]\n");
    fs::write(out.join("assets.rs"), table)?;

    for page in PAGES {
        let mut text = read(&web, page)?;
        for (known, served) in &names {
            text = text.replace(&format!("{{{{{known}}}}}"), &format!("/assets/{served}"));
        }
        text = text.replace("{{hls.js}}", "").replace("<link rel=\"preload\" as=\"script\" href=\"\">\n", "");
        fs::write(out.join(page), text)?;
    }
    Ok(())
}

fn read(web: &Path, name: &str) -> Result<String, Box<dyn Error>> {
    let path = web.join(name);
    println!("cargo::rerun-if-changed={}", path.display());
    fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()).into())
}

/// Writes a file as it is and gzipped, and its row of the table.
fn add(
    names: &mut Vec<(String, String)>,
    table: &mut String,
    out: &Path,
    name: &str,
    content_type: &str,
    text: &str,
) -> Result<(), Box<dyn Error>> {
    let hash = fnv1a(text.as_bytes());
    let (stem, extension) = name.rsplit_once('.').ok_or("an asset has an extension")?;
    let served = format!("{stem}-{hash:016x}.{extension}");
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(text.as_bytes())?;
    let (plain_path, gzip_path) = (out.join(name), out.join(format!("{name}.gz")));
    fs::write(&plain_path, text)?;
    fs::write(&gzip_path, gzip.finish()?)?;
    writeln!(
        table,
        "Asset {{ name: {served:?}, content_type: {content_type:?}, etag: {:?}, plain: include_bytes!({:?}), gzip: include_bytes!({:?}) }},",
        format!("\"{hash:016x}\""),
        plain_path.to_string_lossy(),
        gzip_path.to_string_lossy(),
    )?;
    names.push((name.to_owned(), served));
    Ok(())
}

/// FNV-1a, 64 bits: tells versions of our own files apart, the same with every compiler.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The text of hls.js, or `None` with a warning that says what to do.
fn hls_js(web: &Path, out: &Path) -> Result<Option<String>, Box<dyn Error>> {
    println!("cargo::rerun-if-env-changed=STREAMBOX_HLS_JS");
    println!("cargo::rerun-if-changed={}", web.join("package-lock.json").display());
    if let Ok(path) = std::env::var("STREAMBOX_HLS_JS") {
        println!("cargo::rerun-if-changed={path}");
        let text = fs::read_to_string(&path).map_err(|error| format!("STREAMBOX_HLS_JS={path}: {error}"))?;
        return Ok(Some(without_map(&text)));
    }
    let lock = fs::read_to_string(web.join("package-lock.json"))?;
    if let Some(text) = installed(web, &lock) {
        println!("cargo::rerun-if-changed={}", web.join(HLS_JS).display());
        return Ok(Some(text));
    }
    let copy = out.join("npm");
    if let Some(text) = installed(&copy, &lock) {
        return Ok(Some(text));
    }
    let why = match npm_ci(web, &copy) {
        Ok(()) => match installed(&copy, &lock) {
            Some(text) => return Ok(Some(text)),
            None => "npm ci brought no hls.js".to_owned(),
        },
        Err(why) => why,
    };
    // Named although it is not there: cargo then looks again at each build, until it is.
    println!("cargo::rerun-if-changed={}", web.join(HLS_JS).display());
    println!(
        "cargo::warning=The player is built without hls.js ({why}): only browsers with HLS of their own will play. \
         Install npm, run `cargo xtask web` and build again, or name the file in STREAMBOX_HLS_JS."
    );
    Ok(None)
}

/// hls.js under `dir`, if it is there in the version that the lock file names.
fn installed(dir: &Path, lock: &str) -> Option<String> {
    let manifest = fs::read_to_string(dir.join("node_modules/hls.js/package.json")).ok()?;
    let version = manifest.lines().find(|line| line.trim_start().starts_with("\"version\":"))?;
    if !lock.contains(version.trim().trim_end_matches(',')) {
        return None;
    }
    fs::read_to_string(dir.join(HLS_JS)).ok().map(|text| without_map(&text))
}

/// Without the comment that makes a browser's developer tools ask for a source map that is not served.
fn without_map(text: &str) -> String {
    text.lines().filter(|line| !line.starts_with("//# sourceMappingURL=")).collect::<Vec<_>>().join("\n")
}

/// `npm ci` into `dir`: exactly what the lock file names, checked against its hashes, no scripts run.
fn npm_ci(web: &Path, dir: &Path) -> Result<(), String> {
    fs::create_dir_all(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    for name in ["package.json", "package-lock.json", ".npmrc"] {
        fs::copy(web.join(name), dir.join(name)).map_err(|error| format!("{name}: {error}"))?;
    }
    let output = Command::new("npm")
        .args([
            "ci",
            "--ignore-scripts",
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
