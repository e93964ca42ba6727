//! What a machine says on its serial port, and what is typed there.
//!
//! Everything said is kept in a log from power-on, and every wait has a deadline: a wait that fails ends with the log's tail, so
//! that a failed test shows what the machine was doing. Words are looked for behind the last ones found, never twice.

use std::{
    fs::{self, File},
    io::{Read, Write},
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

/// Bytes of the log that an error quotes.
const TAIL: usize = 2000;

/// A serial port.
pub struct Console {
    heard: Arc<Heard>,
    /// Where the search for the next words begins.
    at: usize,
    typed: Box<dyn Write + Send>,
    log: PathBuf,
}

#[derive(Default)]
struct Heard {
    text: Mutex<Text>,
    more: Condvar,
}

#[derive(Default)]
struct Text {
    bytes: Vec<u8>,
    ended: bool,
}

impl Heard {
    fn text(&self) -> MutexGuard<'_, Text> {
        self.text.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Console {
    /// Listens to `said` until it ends, keeping all of it in `log`; what is typed goes to `typed`.
    ///
    /// # Errors
    /// When the log cannot be made.
    pub fn new(
        mut said: impl Read + Send + 'static,
        typed: impl Write + Send + 'static,
        log: &Path,
    ) -> Result<Self> {
        if let Some(folder) = log.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut file = File::create(log).with_context(|| format!("making {}", log.display()))?;
        let heard = Arc::new(Heard::default());
        let ear = Arc::clone(&heard);
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            loop {
                let length = said.read(&mut buffer).unwrap_or(0);
                let bytes = buffer.get(..length).unwrap_or_default();
                // A log that cannot be written must not stop the machine: the tail in memory still tells.
                let _ = file.write_all(bytes);
                let mut text = ear.text();
                text.bytes.extend_from_slice(bytes);
                text.ended = length == 0;
                ear.more.notify_all();
                if length == 0 {
                    return;
                }
            }
        });
        Ok(Self { heard, at: 0, typed: Box::new(typed), log: log.to_path_buf() })
    }

    /// Waits until the machine says one of `words`, and returns which (its place in `words`) and everything said up to its end.
    /// Of several that were said the earliest counts.
    ///
    /// # Errors
    /// When none was said in time, or the machine ended; the error quotes the end of the log.
    pub fn expect_any(&mut self, words: &[&str], within: Duration) -> Result<(usize, String)> {
        let deadline = Instant::now() + within;
        let heard = Arc::clone(&self.heard);
        let mut text = heard.text();
        loop {
            let rest = text.bytes.get(self.at..).unwrap_or_default();
            let found = words
                .iter()
                .enumerate()
                .filter_map(|(index, word)| Some((find(rest, word.as_bytes())?, word.len(), index)))
                .min();
            if let Some((start, length, index)) = found {
                let said = plain(rest.get(..start + length).unwrap_or_default());
                self.at += start + length;
                return Ok((index, said));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let why = if text.ended {
                "the machine ended"
            } else if left.is_zero() {
                "it said nothing of the kind in time"
            } else {
                text = heard.more.wait_timeout(text, left).unwrap_or_else(PoisonError::into_inner).0;
                continue;
            };
            let tail = plain(text.bytes.get(text.bytes.len().saturating_sub(TAIL)..).unwrap_or_default());
            bail!(
                "waited {within:?} for {words:?} on the serial port: {why}\n{} ends with\n{tail}",
                self.log.display()
            );
        }
    }

    /// Waits for one thing to be said and returns everything up to its end.
    ///
    /// # Errors
    /// As [`Console::expect_any`].
    pub fn expect(&mut self, words: &str, within: Duration) -> Result<String> {
        Ok(self.expect_any(&[words], within)?.1)
    }

    /// Waits for a line with `words` in it and returns what follows them on that line.
    ///
    /// # Errors
    /// As [`Console::expect_any`].
    pub fn line(&mut self, words: &str, within: Duration) -> Result<String> {
        self.expect(words, within)?;
        Ok(self.expect("\n", within)?.trim().to_owned())
    }

    /// Everything said since power-on.
    #[must_use]
    pub fn said(&self) -> String {
        plain(&self.heard.text().bytes)
    }

    /// Types `text` as it is; a line wants its own `\n`.
    ///
    /// # Errors
    /// When the machine ended.
    pub fn send(&mut self, text: &str) -> Result<()> {
        self.typed
            .write_all(text.as_bytes())
            .and_then(|()| self.typed.flush())
            .context("typing to the machine")
    }

    /// Types a line and returns what was said up to the next `prompt`.
    ///
    /// # Errors
    /// As [`Console::expect_any`] and [`Console::send`].
    pub fn command(&mut self, line: &str, prompt: &str, within: Duration) -> Result<String> {
        self.send(&format!("{line}\n"))?;
        self.expect(prompt, within)
    }
}

/// A serial port ends its lines with two characters.
fn plain(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\r', "")
}

fn find(text: &[u8], words: &[u8]) -> Option<usize> {
    text.windows(words.len().max(1)).position(|window| window == words)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::io::{Cursor, sink};

    use super::*;

    fn console(text: &str) -> Console {
        let log = std::env::temp_dir().join(format!("console-{}-{text:.8}.log", std::process::id()));
        let console = Console::new(Cursor::new(text.to_owned()), sink(), &log).unwrap();
        // The listener has the file open; its name is not needed.
        fs::remove_file(log).unwrap();
        console
    }

    #[test]
    fn words_are_found_once_and_in_order() {
        let mut console = console("one two one three\r\n");
        let soon = Duration::from_secs(5);
        assert_eq!(console.expect("one", soon).unwrap(), "one");
        assert_eq!(console.expect_any(&["three", "one"], soon).unwrap(), (1, " two one".to_owned()));
        assert_eq!(console.line("thr", soon).unwrap(), "ee");
        assert!(console.expect("one", soon).is_err());
    }

    #[test]
    fn an_error_says_what_was_awaited_and_quotes_the_end() {
        let error = console("Kernel panic").expect("login:", Duration::from_secs(5)).unwrap_err().to_string();
        for part in ["login:", "the machine ended", "Kernel panic"] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_machine_that_says_nothing_is_not_awaited_for_ever() {
        let (quiet, _open) = std::os::unix::net::UnixStream::pair().unwrap();
        let log = std::env::temp_dir().join(format!("console-{}-quiet.log", std::process::id()));
        let mut console = Console::new(quiet, sink(), &log).unwrap();
        let began = Instant::now();
        let error = console.expect("=> ", Duration::from_millis(200)).unwrap_err().to_string();
        assert!(error.contains("in time") && began.elapsed() < Duration::from_secs(5), "{error}");
        fs::remove_file(log).unwrap();
    }
}
