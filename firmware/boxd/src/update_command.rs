//! `boxd update`: shows the state of updates, looks for one, or installs one.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context as _, bail};
use board::slot::{SlotName, State};
use serde::Serialize;
use tokio::runtime::Builder;

use crate::cli::{Errand, Update};
use crate::cloud::{Files, date};
use crate::config::Config;
use crate::door::{self, LastView};
use crate::guard::LAST;
use crate::updater::{self, Bytes, Goal, Machine, Outcome, Phase, Place, Status, Work};

/// A slot, for people and programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct SlotView {
    /// `a` or `b`.
    pub(crate) name: char,
    /// Whether it runs.
    pub(crate) running: bool,
    /// Whether the next start takes it, if it can.
    pub(crate) first: bool,
    /// The version in it; null when it holds no whole system.
    pub(crate) version: Option<String>,
    /// Its security version.
    pub(crate) security: Option<u32>,
    /// `empty`, `trial`, `good`, `failed` or `unknown`.
    pub(crate) state: &'static str,
    /// How often it may still be started.
    pub(crate) tries: u8,
    /// How many rounds of trials ended without a verdict.
    pub(crate) rounds: u8,
}

/// All that is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct View {
    /// Both slots, the running one first; empty on a board with one system.
    pub(crate) slots: Vec<SlotView>,
    /// What is being done.
    pub(crate) phase: Phase,
    /// The version that is being installed or waits for a restart.
    pub(crate) version: Option<String>,
    /// How far an installation is.
    pub(crate) bytes: Bytes,
    /// Per cent of it.
    pub(crate) percent: u64,
    /// How the last look or installation ended.
    pub(crate) last: Option<Outcome>,
    /// What became of the last new system that was started.
    pub(crate) verdict: Option<LastView>,
}

/// What is known of updates, read from the disk and the state directory at this moment.
///
/// # Errors
/// When the board has one system only, or the disk cannot be read.
pub(crate) fn view(config: &Config) -> anyhow::Result<View> {
    let machine = Machine::open(&config.board)?;
    let files = Files::new(&config.state_dir);
    let mut status = Status::kept(&files);
    if !updater::is_under_way(&files) && matches!(status.phase, Phase::Looking | Phase::Installing) {
        // Cut off; the next one goes on where it was.
        status.phase = Phase::Idle;
    }
    let slots = machine.slots()?;
    let vars = slots.vars()?.vars;
    let slot = |name: SlotName| -> anyhow::Result<SlotView> {
        let (record, header) = (vars.of(name), slots.header(name)?);
        Ok(SlotView {
            name: name.letter(),
            running: name == machine.running,
            first: name == vars.first,
            security: header.as_ref().map(|header| header.security),
            version: header.map(|header| header.version),
            state: word(record.state),
            tries: record.tries,
            rounds: record.rounds,
        })
    };
    let verdict = machine.store()?.get(LAST)?;
    let verdict = verdict.and_then(|bytes| serde_json::from_slice(&bytes).ok()).map(door::ended);
    Ok(View {
        verdict,
        slots: vec![slot(machine.running)?, slot(machine.running.other())?],
        percent: status.percent(),
        phase: status.phase,
        version: status.version,
        bytes: status.bytes,
        last: status.last,
    })
}

/// Does what the command line asks for.
///
/// # Errors
/// A sentence for the owner.
pub(crate) fn run(config: &Config, update: &Update) -> anyhow::Result<()> {
    let (from, goal) = match &update.errand {
        Errand::Show => {
            let view = view(config)?;
            let text = if update.json { json(&view)? } else { text(&view) };
            print(&text);
            return Ok(());
        }
        Errand::Check => (Place::Configured, Goal::Cost),
        Errand::From(place) => (Place::Given(place.clone()), Goal::Complete),
    };
    let mut work = Work::open(config, progress)?;
    let runtime = Builder::new_current_thread().enable_all().build().context("cannot start")?;
    let outcome = runtime.block_on(work.once(&from, goal))?;
    if update.json {
        print(&json(&outcome)?);
    }
    if !outcome.good {
        bail!(outcome.why);
    }
    if !update.json {
        print(&format!("{}\n", sentence(&outcome.why)));
    }
    Ok(())
}

/// One line to standard error for each step, so that standard output holds the result only.
fn progress(status: &Status) {
    if status.phase == Phase::Installing && status.bytes.whole > 0 {
        let Bytes { whole, installed, to_fetch, fetched, .. } = status.bytes;
        eprintln!(
            "{:>3} %: {} of {} in place; fetched {} of {}",
            status.percent(),
            amount(installed),
            amount(whole),
            amount(fetched),
            amount(to_fetch)
        );
    }
}

fn print(text: &str) {
    // A reader that has left (`| head -1`) is no error.
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn json(what: &impl Serialize) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(what)? + "\n")
}

fn text(view: &View) -> String {
    let mut text = String::new();
    for slot in &view.slots {
        let version = slot.version.as_deref().unwrap_or("no system");
        let role = if slot.running { "running" } else { "other" };
        let rounds = if slot.rounds > 0 { format!(", round {}", slot.rounds + 1) } else { String::new() };
        let next = if slot.first { ", starts first" } else { "" };
        let _ = writeln!(
            text,
            "{role:<8} slot {}: {version} ({}, {} {}{rounds}{next})",
            slot.name,
            slot.state,
            slot.tries,
            if slot.tries == 1 { "try" } else { "tries" }
        );
    }
    let version = view.version.as_deref().unwrap_or("an update");
    let Bytes { to_fetch, fetched, .. } = view.bytes;
    let _ = match view.phase {
        Phase::Idle => writeln!(text, "now      nothing is under way"),
        Phase::Looking => writeln!(text, "now      looking for an update"),
        Phase::Installing => writeln!(
            text,
            "now      installing {version}: {} %, {} of {} fetched",
            view.percent,
            amount(fetched),
            amount(to_fetch)
        ),
        Phase::Complete => writeln!(text, "now      {version} is installed; the next start runs it"),
    };
    if let Some(verdict) = &view.verdict {
        let at = date(Duration::from_millis(verdict.at_ms));
        let _ = writeln!(text, "verdict  {at}: {}", verdict.sentence);
    }
    if let Some(Outcome { good, why, at_ms, .. }) = &view.last {
        let at = date(Duration::from_millis(*at_ms));
        let _ = writeln!(text, "last     {at}: {}{}", if *good { "" } else { "failed: " }, sentence(why));
    }
    text
}

const fn word(state: State) -> &'static str {
    match state {
        State::Empty => "empty",
        State::Trial => "trial",
        State::Good => "good",
        State::Failed => "failed",
        State::Unknown => "unknown",
    }
}

/// Bytes as people read them.
fn amount(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} bytes"),
        10_000..10_000_000 => format!("{} kB", bytes / 1000),
        _ => format!("{} MB", bytes / 1_000_000),
    }
}

/// With a full stop.
fn sentence(why: &str) -> String {
    let mut letters = why.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str().trim_end_matches('.'))
}
