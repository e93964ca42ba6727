//! A clock of its own for one host's programs, so that a test may set it to 1970 and the program may set it right
//! again, while this machine's clock stays as it is.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, ensure};

use crate::{paths, world::SCRATCH};

/// A clock that programs may be given.
#[derive(Debug, Clone)]
pub struct Clock {
    library: PathBuf,
    file: PathBuf,
}

impl Clock {
    /// A clock that shows `time`, seconds since 1970, and goes on from there.
    ///
    /// # Errors
    /// When the C compiler, which Rust needs as well, does not build the library.
    pub fn showing(name: &str, time: Duration) -> Result<Self> {
        let library = PathBuf::from(SCRATCH).join("clock.so");
        if !library.exists() {
            compile(&library)?;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let offset = i64::try_from(time.as_nanos())? - i64::try_from(now.as_nanos())?;
        let file = PathBuf::from(SCRATCH).join(format!("{name}-clock"));
        fs::write(&file, offset.to_ne_bytes())?;
        Ok(Self { library, file })
    }

    /// Gives it to a program that will be started.
    pub fn give(&self, command: &mut Command) {
        command.env("LD_PRELOAD", &self.library).env("LAB_CLOCK", &self.file);
    }

    /// By how many seconds it is ahead of this machine's clock; negative: behind.
    ///
    /// # Errors
    /// When its file is gone.
    pub fn ahead(&self) -> Result<f64> {
        let bytes = fs::read(&self.file)?.try_into().ok().context("the clock's file")?;
        Ok(i64::from_ne_bytes(bytes) as f64 / 1e9)
    }
}

fn compile(library: &Path) -> Result<()> {
    let source = paths::sources().join("shim/clock.c");
    let built = Command::new("cc")
        .args(["-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o"])
        .arg(library)
        .arg(&source)
        .output()
        .context("starting cc")?;
    ensure!(built.status.success(), "{}: {}", source.display(), String::from_utf8_lossy(&built.stderr));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds since 1970 by a program that was given the clock, or its answer to setting it.
    fn date(library: &Path, file: &Path, words: &[&str]) -> u64 {
        let mut command = Command::new("date");
        Clock { library: library.into(), file: file.into() }.give(&mut command);
        let output = command.args(words).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().parse().unwrap()
    }

    #[test]
    fn a_program_sets_its_own_clock_and_nobody_elses() {
        let folder = std::env::temp_dir().join(format!("lab-clock-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (library, file) = (folder.join("clock.so"), folder.join("clock"));
        compile(&library).unwrap();
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let offset = -i64::try_from(now().as_nanos()).unwrap();
        fs::write(&file, offset.to_ne_bytes()).unwrap();
        assert!(date(&library, &file, &["+%s"]) < 10, "1970");
        date(&library, &file, &["--set", "@1700000000", "+%s"]);
        assert!((1_700_000_000..1_700_000_010).contains(&date(&library, &file, &["+%s"])));
        assert!(now().as_secs() > 1_750_000_000, "this machine's clock was set");
        fs::remove_dir_all(folder).unwrap();
    }
}
