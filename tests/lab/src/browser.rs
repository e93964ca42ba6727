//! Real browsers on the viewer's machine: they open the box's pages and tell what their `<video>` did.

use std::{
    io::Write,
    process::{ChildStdin, Command},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::json;

use crate::{cameras, factory::Host, process::Process};

/// Which browser, by the script that drives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Browser {
    /// Debian's Chromium through playwright-core.
    Chromium,
    /// Debian's Firefox through puppeteer-core and WebDriver BiDi.
    Firefox,
}

/// A neighbour of a virtual machine may have stopped it for a moment: pages that are complained of are played again, and the
/// last try counts.
pub const TRIES: usize = 3;

/// A page to be opened.
#[derive(Debug, Clone)]
pub struct Page {
    /// Its name in the report.
    pub name: String,
    /// Its address.
    pub url: String,
}

/// What happened on one page.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Watched {
    /// The page's name.
    pub name: String,
    /// Whether a picture came at all.
    pub playing: bool,
    /// From the start of the page's load to the first decoded frame, milliseconds.
    pub first_frame_ms: f64,
    /// Seconds watched since the first frame.
    pub seconds: f64,
    /// Seconds by which the media time moved on meanwhile.
    pub media_seconds: f64,
    /// Frames decoded meanwhile.
    pub frames: f64,
    /// The longest time for which the picture stood still, milliseconds.
    pub longest_stall_ms: f64,
    /// The times for which it stood still for more than half a second.
    pub stalls: Vec<Stall>,
    /// How long the picture has stood still by now, milliseconds.
    pub stall_ms: f64,
    /// Where the media time is, seconds.
    pub position: f64,
    /// How wide the picture is, pixels of the stream.
    pub width: u32,
    /// The number in the picture, if it carries one.
    pub number: Option<Number>,
    /// The sentence over the picture.
    pub notice: Option<String>,
    /// The element's own error.
    pub error: Option<String>,
    /// What the page says of itself.
    pub stats: serde_json::Value,
}

/// The number that a picture carries ([`crate::clips::Numbered`]).
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Number {
    /// Which frame of the clip.
    pub value: u32,
    /// When it was on the screen, milliseconds since 1970.
    pub at: f64,
}

/// The picture stood still.
#[derive(Debug, Clone, Deserialize)]
pub struct Stall {
    /// When it moved again, milliseconds since 1970.
    pub at: f64,
    /// How long it stood, milliseconds.
    pub ms: f64,
}

impl Watched {
    /// What a viewer would complain about, in words: no picture, less than `share` of the frames, media time that does
    /// not keep up, a picture that stands still for more than half a second.
    pub fn complaints(&self, frames_per_second: f64, share: f64) -> Vec<String> {
        let name = &self.name;
        if !self.playing {
            return vec![format!("{name}: no picture ({:?}, {})", self.error, self.stats)];
        }
        let mut complaints = Vec::new();
        if self.longest_stall_ms > 500.0 {
            complaints.push(format!("{name}: the picture stood still for {} ms", self.longest_stall_ms));
        }
        // A player may run a few per cent slower or faster to hold its distance from the live edge.
        if (self.media_seconds / self.seconds - 1.0).abs() > 0.05 {
            complaints.push(format!("{name}: {:.1} s of media in {:.1} s", self.media_seconds, self.seconds));
        }
        if self.frames < share * self.media_seconds * frames_per_second {
            complaints
                .push(format!("{name}: {} frames in {:.1} s of media", self.frames, self.media_seconds));
        }
        if let Some(error) = &self.error {
            complaints.push(format!("{name}: {error}"));
        }
        complaints
    }

    /// One line of figures.
    pub fn figures(&self) -> String {
        let number =
            |key: &str| self.stats[key].as_f64().map_or("?".to_owned(), |value| format!("{value:.2}"));
        format!(
            "{:<28} first frame {:>5.0} ms, {:>6.1} s media in {:>5.1} s, {:>5} frames, longest stall {:>4.0} ms, \
             latency {} s, recoveries {}",
            self.name,
            self.first_frame_ms,
            self.media_seconds,
            self.seconds,
            self.frames,
            self.longest_stall_ms,
            number("latency"),
            number("recoveries"),
        )
    }
}

/// Plays pages side by side for `seconds` after their first frame.
///
/// # Errors
/// When the browser itself fails.
pub fn play(
    viewer: &Host,
    browser: Browser,
    log: &str,
    pages: &[Page],
    seconds: u64,
) -> Result<Vec<Watched>> {
    let mut command = cameras::node(viewer, browser.script())?;
    command.arg(plan(pages, seconds, "time", &[]));
    let printed = viewer.output(log, command, Duration::from_secs(seconds + 120))?;
    reports(&printed)
}

/// The same, again and again until a viewer would complain of nothing; gives the last try's complaints. Each page's figures
/// are printed.
///
/// # Errors
/// As [`play`], and when the browser does not report on each page.
pub fn play_well(
    viewer: &Host,
    browser: Browser,
    pages: &[Page],
    seconds: u64,
    wanted: (f64, f64),
) -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    for attempt in 1..=TRIES {
        let log = format!("{browser:?}-{attempt}").to_lowercase();
        let watched = play(viewer, browser, &log, pages, seconds)?;
        ensure!(watched.len() == pages.len(), "the browser reported on {} pages", watched.len());
        complaints.clear();
        for page in watched {
            println!("  {}", page.figures());
            complaints.extend(page.complaints(wanted.0, wanted.1));
        }
        if complaints.is_empty() {
            break;
        }
    }
    Ok(complaints)
}

/// The same outside any factory, on this machine: for benchmarks, which want loopback alone.
///
/// # Errors
/// When the browser itself fails.
pub fn play_here(browser: Browser, pages: &[Page], seconds: u64) -> Result<Vec<Watched>> {
    let script = cameras::node_script(browser.script())?;
    let out =
        Command::new("node").arg(script).arg(plan(pages, seconds, "time", &[])).output().context("node")?;
    ensure!(out.status.success(), "the browser: {}", String::from_utf8_lossy(&out.stderr));
    reports(&String::from_utf8_lossy(&out.stdout))
}

/// Pages that stay open while the test does something to the box.
#[derive(Debug)]
pub struct Open {
    process: Process,
    stop: ChildStdin,
    looks: usize,
}

/// Opens pages and returns once each shows a picture.
///
/// # Errors
/// When that takes more than a minute.
pub fn open(viewer: &Host, browser: Browser, log: &str, pages: &[Page]) -> Result<Open> {
    open_with(viewer, browser, log, pages, &[])
}

/// The same in a Chromium that takes a server's key for good by its fingerprint ([`crate::tls::Authority::fingerprint`]).
///
/// # Errors
/// As [`open`].
pub fn open_trusting(viewer: &Host, log: &str, pages: &[Page], fingerprint: &str) -> Result<Open> {
    let flag = format!("--ignore-certificate-errors-spki-list={fingerprint}");
    open_with(viewer, Browser::Chromium, log, pages, &[flag])
}

fn open_with(viewer: &Host, browser: Browser, log: &str, pages: &[Page], flags: &[String]) -> Result<Open> {
    let mut command = cameras::node(viewer, browser.script())?;
    command.arg(plan(pages, 60, "stdin", flags));
    let (mut process, stop) = Process::spawn_with_input(command, &viewer.log(log))?;
    process.wait_for("opened\n", Duration::from_secs(90))?;
    Ok(Open { process, stop, looks: 0 })
}

impl Open {
    /// What has happened on the pages so far; they stay open.
    ///
    /// # Errors
    /// When the browser does not answer within 10 s.
    pub fn look(&mut self) -> Result<Vec<Watched>> {
        self.stop.write_all(b"look\n")?;
        self.looks += 1;
        let end = Instant::now() + Duration::from_secs(10);
        loop {
            if let Some(told) = nth_look(&self.process.said(), self.looks) {
                return reports(&told);
            }
            ensure!(Instant::now() < end && self.process.runs(), "the browser does not answer");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Closes the pages and tells what happened on them.
    ///
    /// # Errors
    /// When the browser died meanwhile.
    pub fn close(mut self) -> Result<Vec<Watched>> {
        self.stop.write_all(b"\n")?;
        self.process.wait(Duration::from_secs(60))?;
        let said = self.process.said();
        reports(said.rsplit("looked\n").next().unwrap_or(&said))
    }
}

/// What was told for the `count`th look, from 1: all lines up to its "looked", whatever the pages' consoles say after it.
fn nth_look(said: &str, count: usize) -> Option<String> {
    let mut looks = said.split_inclusive('\n').scan(String::new(), |told, line| {
        if line.trim_end() == "looked" {
            return Some(Some(std::mem::take(told)));
        }
        told.push_str(line);
        Some(None)
    });
    looks.by_ref().flatten().nth(count.checked_sub(1)?)
}

impl Browser {
    const fn script(self) -> &'static str {
        match self {
            Self::Chromium => "players/chromium.mjs",
            Self::Firefox => "players/firefox.mjs",
        }
    }
}

fn plan(pages: &[Page], seconds: u64, until: &str, flags: &[String]) -> String {
    let pages: Vec<_> = pages.iter().map(|page| json!({ "name": page.name, "url": page.url })).collect();
    json!({ "pages": pages, "seconds": seconds, "until": until, "flags": flags }).to_string()
}

fn reports(printed: &str) -> Result<Vec<Watched>> {
    printed
        .lines()
        .filter(|line| line.starts_with("{\"name\":"))
        .map(|line| serde_json::from_str(line).with_context(|| format!("the browser's report: {line}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_ends_at_its_own_line() {
        let said = "{a}\nlooked\nan error\n{b}\nlooked\nanother error\n{c}\n";
        assert_eq!(nth_look(said, 1).as_deref(), Some("{a}\n"));
        assert_eq!(nth_look(said, 2).as_deref(), Some("an error\n{b}\n"));
        assert_eq!(nth_look(said, 3), None, "not looked yet");
    }

    #[test]
    fn a_viewer_complains_of_what_can_be_seen() {
        let fine = Watched {
            playing: true,
            seconds: 60.0,
            media_seconds: 60.2,
            frames: 1203.0,
            longest_stall_ms: 120.0,
            ..Watched::default()
        };
        assert!(fine.complaints(20.0, 0.95).is_empty());
        for bad in [
            Watched { playing: false, ..fine.clone() },
            Watched { longest_stall_ms: 700.0, ..fine.clone() },
            Watched { media_seconds: 50.0, ..fine.clone() },
            Watched { frames: 1000.0, ..fine.clone() },
            Watched { error: Some("decode".into()), ..fine.clone() },
        ] {
            assert!(!bad.complaints(20.0, 0.95).is_empty(), "{bad:?}");
        }
    }
}
