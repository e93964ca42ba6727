//! The time floor of a box, kept in a file: seconds since 1970, as decimal text.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

/// Beside what else the box keeps.
const FILE: &str = "time-floor";

/// The kept time.
#[derive(Debug)]
pub(crate) struct Floor {
    directory: PathBuf,
    floor: feed::Floor,
}

impl Floor {
    /// Reads what an earlier run kept in a directory; `now` is the clock, since 1970.
    pub(crate) fn open(directory: &Path, now: Duration) -> Self {
        let kept = fs::read_to_string(directory.join(FILE)).ok().and_then(|text| text.trim().parse().ok());
        let floor = feed::Floor::new(kept.map(Duration::from_secs), now);
        Self { directory: directory.to_owned(), floor }
    }

    /// The time since 1970 that is never before one of an earlier run.
    pub(crate) fn time(&self, now: Duration) -> Duration {
        self.floor.time(now)
    }

    /// Keeps the time; makes the directory when it is not there.
    ///
    /// # Errors
    /// When the directory cannot be written. The file is then as it was.
    pub(crate) fn keep(&self, now: Duration) -> io::Result<()> {
        fs::create_dir_all(&self.directory)?;
        let fresh = self.directory.join(format!("{FILE}.new"));
        fs::write(&fresh, format!("{}\n", self.time(now).as_secs()))?;
        fs::rename(fresh, self.directory.join(FILE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_run_keeps_the_next_one_finds() {
        let directory = std::env::temp_dir().join(format!("boxd-floor-{}", std::process::id()));
        let seconds = Duration::from_secs;
        let first = Floor::open(&directory, seconds(1_800_000_000));
        assert_eq!(first.time(seconds(1_800_000_000)), seconds(1_800_000_000));
        first.keep(seconds(1_800_000_100)).unwrap();
        assert!(Floor::open(&directory, seconds(5)).time(seconds(5)) > seconds(1_800_000_100));
        fs::write(directory.join(FILE), "rubbish\n").unwrap();
        assert_eq!(Floor::open(&directory, seconds(5)).time(seconds(5)), seconds(5));
        fs::remove_dir_all(directory).unwrap();
    }
}
