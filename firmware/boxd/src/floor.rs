//! A clock that never goes back, on boxes without a battery behind theirs.
//!
//! The latest time that was seen is kept in a file. When the clock is behind it at a start (a box after a power cut,
//! before it has asked the network for the time), time goes on from the file instead: names that count from the time
//! stay unique, so caches of an earlier run can never answer for this one.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

/// How often the time is kept, and how far a clock that is behind is set ahead of what was kept: an earlier run
/// may have gone on for that long after its last write. 24 small writes a day do not wear flash out.
pub(crate) const KEEP_EVERY: Duration = Duration::from_secs(3600);
/// Seconds since 1970, as decimal text.
const FILE: &str = "time-floor";

/// The kept time.
#[derive(Debug)]
pub(crate) struct Floor {
    directory: PathBuf,
    /// The clock was behind by this much at the start.
    behind: Duration,
}

impl Floor {
    /// Reads what an earlier run kept in a directory; `now` is the clock, since 1970.
    pub(crate) fn open(directory: &Path, now: Duration) -> Self {
        let kept = fs::read_to_string(directory.join(FILE)).ok().and_then(|text| text.trim().parse().ok());
        let kept = Duration::from_secs(kept.unwrap_or(0));
        let behind = match kept.saturating_sub(now) {
            Duration::ZERO => Duration::ZERO,
            behind => behind.saturating_add(KEEP_EVERY),
        };
        Self { directory: directory.to_owned(), behind }
    }

    /// The time since 1970 that is never before one of an earlier run.
    pub(crate) fn time(&self, now: Duration) -> Duration {
        now.saturating_add(self.behind)
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
    fn time_goes_on_when_the_clock_went_back() {
        let directory = std::env::temp_dir().join(format!("boxd-floor-{}", std::process::id()));
        let seconds = Duration::from_secs;
        let first = Floor::open(&directory, seconds(1_800_000_000));
        assert_eq!(first.time(seconds(1_800_000_000)), seconds(1_800_000_000), "a good clock is believed");
        first.keep(seconds(1_800_000_100)).unwrap();

        // The power went right before the next write, and the box woke in 1970.
        let latest_used = first.time(seconds(1_800_000_099) + KEEP_EVERY);
        let second = Floor::open(&directory, seconds(5));
        assert!(second.time(seconds(5)) > latest_used);
        second.keep(seconds(6)).unwrap();
        assert!(Floor::open(&directory, seconds(5)).time(seconds(5)) > second.time(seconds(6)));

        let later = seconds(1_900_000_000);
        assert_eq!(
            Floor::open(&directory, later).time(later),
            later,
            "a clock that is right again is believed"
        );
        fs::write(directory.join(FILE), "rubbish\n").unwrap();
        assert_eq!(Floor::open(&directory, seconds(5)).time(seconds(5)), seconds(5));
        fs::remove_dir_all(directory).unwrap();
    }
}
