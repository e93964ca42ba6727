//! Where releases are: a folder, such as a USB stick's, or a web server. Both give a file by its path, bounded in bytes and time.

use std::fs::OpenOptions;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::libc;
use update::install::Fault;

use super::http::Web;

/// How much of a file is wanted, and for how long that is waited for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Most bytes; not one more is read.
    pub(crate) most: u64,
    /// Whether it must be exactly so many.
    pub(crate) exact: bool,
    /// Longest silence.
    pub(crate) stall: Duration,
    /// Longest time for all of it.
    pub(crate) whole: Duration,
}

/// One place with releases.
#[derive(Debug)]
pub(crate) enum Source {
    /// A folder.
    Folder(PathBuf),
    /// A web server.
    Web(Web),
}

impl Source {
    /// Its name, for people.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Folder(folder) => folder.display().to_string(),
            Self::Web(web) => web.base().to_owned(),
        }
    }

    /// A file below it.
    ///
    /// # Errors
    /// [`Fault`]; one that is not there is status 404, in a folder, too.
    pub(crate) async fn get(&mut self, path: &str, bounds: Bounds) -> Result<Vec<u8>, Fault> {
        match self {
            Self::Folder(folder) => {
                let (folder, path) = (folder.clone(), path.to_owned());
                // In a thread of its own: a stick that is going bad may take its time.
                let reading = tokio::task::spawn_blocking(move || read(&folder, &path, bounds));
                match tokio::time::timeout(bounds.whole, reading).await {
                    Ok(Ok(outcome)) => outcome,
                    Ok(Err(_)) => Err(Fault::Broken),
                    Err(_) => Err(Fault::Late),
                }
            }
            Self::Web(web) => web.get(path, bounds).await,
        }
    }
}

impl Bounds {
    /// Judges an announced length.
    pub(crate) fn check(&self, offered: u64) -> Result<(), Fault> {
        let fits = if self.exact { offered == self.most } else { offered <= self.most };
        if fits { Ok(()) } else { Err(Fault::Length { offered }) }
    }
}

/// A path of a release never leads out of its folder.
fn inside(path: &str) -> bool {
    !path.is_empty() && path.split('/').all(|part| !part.is_empty() && !part.starts_with('.'))
}

fn read(folder: &Path, path: &str, bounds: Bounds) -> Result<Vec<u8>, Fault> {
    let fault = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Fault::Status { code: 404, retry_after_ms: None },
        _ => Fault::Unreachable(format!("{}: {error}", folder.join(path).display())),
    };
    if !inside(path) {
        return Err(Fault::Unreachable(format!("{path:?} is no path of a release")));
    }
    // Neither a link that leads elsewhere, nor a pipe that never says anything.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(folder.join(path)).map_err(fault)?;
    let about = file.metadata().map_err(fault)?;
    if !about.is_file() {
        return Err(Fault::Unreachable(format!("{} is no file", folder.join(path).display())));
    }
    bounds.check(about.len())?;
    let mut bytes = Vec::new();
    file.take(bounds.most).read_to_end(&mut bytes).map_err(fault)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::files_tests::Scratch;

    fn get(folder: &Path, path: &str, most: u64, exact: bool) -> Result<Vec<u8>, Fault> {
        let second = Duration::from_secs(1);
        read(folder, path, Bounds { most, exact, stall: second, whole: second })
    }

    #[test]
    fn a_folder_gives_what_is_in_it_within_bounds_and_nothing_outside() {
        let scratch = Scratch::new("source");
        scratch.files().write("secret", b"canary").unwrap();
        let folder = scratch.0.join("stick");
        std::fs::create_dir_all(folder.join("chunks/ab")).unwrap();
        std::fs::write(folder.join("chunks/ab/x.zst"), b"12345").unwrap();
        assert_eq!(get(&folder, "chunks/ab/x.zst", 5, true), Ok(b"12345".to_vec()));
        assert_eq!(get(&folder, "chunks/ab/x.zst", 9, false), Ok(b"12345".to_vec()));
        for (most, exact) in [(4, true), (6, true), (4, false)] {
            assert_eq!(get(&folder, "chunks/ab/x.zst", most, exact), Err(Fault::Length { offered: 5 }));
        }
        let missing = Fault::Status { code: 404, retry_after_ms: None };
        assert_eq!(get(&folder, "chunks/ab/y.zst", 5, true), Err(missing));
        std::os::unix::fs::symlink(scratch.0.join("secret"), folder.join("link")).unwrap();
        nix::unistd::mkfifo(&folder.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        for outside in
            ["link", "pipe", "chunks", "../secret", "chunks/../../secret", "/etc/hostname", "", "chunks//x"]
        {
            assert!(matches!(get(&folder, outside, 99, false), Err(Fault::Unreachable(_))), "{outside}");
        }
    }
}
