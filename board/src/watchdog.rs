//! The watchdog: hardware that restarts the box unless it is fed.
//!
//! Once opened it never stops, however its owner ends: nothing here writes the `V` that would let it. The kernel is built or
//! started with `nowayout`, too, so that nobody else stops it either.

mod kernel;

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

pub use kernel::KernelWatchdog;

/// Something that restarts the box.
pub trait Watchdog {
    /// Puts the restart off by [`Watchdog::timeout`] from now.
    ///
    /// # Errors
    /// When it cannot be told. It then bites at the end of its time.
    fn feed(&mut self) -> io::Result<()>;

    /// How long after the last feeding it bites; what it really does, which may be another time than the one that was wanted.
    fn timeout(&self) -> Duration;
}

/// A simulated watchdog: a file that says how often it was fed, always whole. It never bites; whoever simulates the board looks at
/// the file and does.
#[derive(Debug)]
pub struct WatchdogFile {
    path: PathBuf,
    timeout: Duration,
    fed: u64,
}

impl WatchdogFile {
    /// A watchdog in this file, opened now, as after its first feeding.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn open(path: PathBuf, timeout: Duration) -> io::Result<Self> {
        let mut dog = Self { path, timeout, fed: 0 };
        dog.feed()?;
        Ok(dog)
    }
}

impl Watchdog for WatchdogFile {
    fn feed(&mut self) -> io::Result<()> {
        self.fed += 1;
        let fresh = self.path.with_extension("new");
        fs::write(&fresh, format!("timeout {} s, fed {} times\n", self.timeout.as_secs(), self.fed))?;
        fs::rename(&fresh, &self.path)
    }

    fn timeout(&self) -> Duration {
        self.timeout
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::button::tests::Scratch;

    #[test]
    fn whoever_simulates_the_board_sees_each_feeding() {
        let scratch = Scratch::new("watchdog-file");
        let path = scratch.0.join("watchdog");
        let mut dog = WatchdogFile::open(path.clone(), Duration::from_secs(20)).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "timeout 20 s, fed 1 times\n");
        dog.feed().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "timeout 20 s, fed 2 times\n");
        assert_eq!(dog.timeout(), Duration::from_secs(20));
        drop(dog);
        assert!(!fs::read_to_string(&path).unwrap().contains('V'));
        assert!(WatchdogFile::open(scratch.0.join("absent/watchdog"), Duration::from_secs(20)).is_err());
    }
}
