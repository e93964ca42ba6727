//! Debian packages for the box's processor, unpacked and not installed.
//!
//! apt gets lists and a cache of its own under `target/image`, so the machine's own package system stays as it is: no foreign
//! architecture is added to it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use imaging::tool::finish;

use crate::build;

/// What the images take from Debian: a kernel, a shell, what sets up a proved root and what makes and mends the data's
/// file system, and the libraries of these.
const PACKAGES: &[&str] = &[
    "busybox-static",
    "dmsetup",
    "e2fsprogs",
    "libblkid1",
    "libc6",
    "libcom-err2",
    "libdevmapper1.02.1",
    "libext2fs2",
    "libpcre2-8-0",
    "libselinux1",
    "libss2",
    "libudev1",
    "libuuid1",
];
/// Depends on the kernel of the day.
const KERNEL: &str = "linux-image-cloud-arm64";

/// The unpacked packages, each in a folder of its name.
#[derive(Debug, Clone)]
pub struct Debian(PathBuf);

impl Debian {
    /// Fetches and unpacks whatever is missing. What is there stays as it is, so that the images of one checkout are alike;
    /// `cargo clean` brings newer ones.
    ///
    /// # Errors
    /// When apt cannot fetch them.
    pub fn ensure() -> Result<Self> {
        let folder = build::home().join("debian");
        let whole = folder.join("whole");
        if whole.exists() {
            return Ok(Self(folder));
        }
        eprintln!("image: fetching Debian packages for arm64");
        let (lists, archives) = (folder.join("lists/partial"), folder.join("archives/partial"));
        fs::create_dir_all(&lists)?;
        fs::create_dir_all(&archives)?;
        apt(&folder, "apt-get", &["-qq", "update"])?;
        let depends = apt(&folder, "apt-cache", &["depends", "--important", KERNEL])?;
        let kernel = depends
            .split_whitespace()
            .find(|word| word.starts_with("linux-image-") && *word != KERNEL)
            .with_context(|| format!("{KERNEL} names no kernel"))?;
        let mut download = vec!["-qq", "download", kernel];
        download.extend(PACKAGES);
        apt(&folder, "apt-get", &download)?;
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.extension().is_none_or(|ending| ending != "deb") {
                continue;
            }
            let package = name.split('_').next().unwrap_or_default();
            let package = if package == kernel { "linux-image" } else { package };
            finish(Command::new("dpkg").arg("-x").arg(&path).arg(folder.join(package)))?;
            fs::remove_file(&path)?;
        }
        fs::write(whole, "")?;
        Ok(Self(folder))
    }

    /// A file of a package, links followed.
    ///
    /// # Errors
    /// When the package has no such file.
    pub fn file(&self, package: &str, path: &str) -> Result<PathBuf> {
        let file = self.0.join(package).join(path);
        file.canonicalize().with_context(|| format!("{package} has no {path}"))
    }

    /// The kernel's package.
    #[must_use]
    pub fn kernel(&self) -> PathBuf {
        self.0.join("linux-image")
    }

    /// A shared library by its soname, from whichever package has it.
    ///
    /// # Errors
    /// When none has it.
    pub fn library(&self, soname: &str) -> Result<PathBuf> {
        PACKAGES
            .iter()
            .flat_map(|package| ["lib", "usr/lib"].map(|folder| (package, folder)))
            .find_map(|(package, folder)| {
                self.file(package, &format!("{folder}/aarch64-linux-gnu/{soname}")).ok()
            })
            .with_context(|| format!("no package has {soname}"))
    }
}

/// apt with everything that it keeps under `folder`, for one foreign architecture.
fn apt(folder: &Path, program: &str, words: &[&str]) -> Result<String> {
    let mut command = Command::new(program);
    command.current_dir(folder);
    let place = |key: &str, name: &str| format!("Dir::{key}={}", folder.join(name).display());
    for option in [
        "APT::Architecture=arm64",
        "APT::Architectures=arm64",
        "APT::Sandbox::User=",
        "Dir::State::status=/dev/null",
        &place("State::lists", "lists"),
        &place("Cache", ""),
        &place("Cache::archives", "archives"),
    ] {
        command.args(["-o", option]);
    }
    let output = command.args(words).output().with_context(|| format!("starting {program}"))?;
    ensure!(
        output.status.success(),
        "{program} {}: {}",
        words.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
