//! Updates: `boxd updater`, the process that looks for them and installs them into the slot that does not run, and what
//! `boxd update` does by hand.
//!
//! ```text
//! work ── ask ─────── the cloud: which release shall it be?
//!      ├─ metadata ── verified by update::tuf, kept in files and floors ── choose
//!      ├─ orders ──── what was ordered: which version, when to restart
//!      ├─ fill ────── update::install over board::slots
//!      ├─ status ──── told to the main process, kept for people
//!      └─ reports ─── what the cloud is told, the verdict with the journal included
//! source ── a folder, or http
//! second ── a week later: the other slot gets a copy
//! process ── departure   the main process keeps it and decides when the box restarts; word: what it says to it
//! ```

mod ask;
mod choose;
mod departure;
mod fill;
mod http;
mod journal;
mod machine;
mod metadata;
mod orders;
mod process;
mod reports;
mod second;
mod source;
mod status;
mod word;
mod work;

use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::runtime::Builder;
use tokio::sync::mpsc;

pub(crate) use fill::Goal;
pub(crate) use machine::Machine;
pub(crate) use process::{Around, Keep};
pub(crate) use status::{Bytes, Outcome, Phase, Status};
pub(crate) use work::{Place, Work, is_under_way};

use crate::cloud;
use crate::config::Config;
use sandbox::Duty;
use word::Word;

/// Until the first look, and at most between two that failed, unless the configuration says less.
const PAUSE: Duration = Duration::from_secs(10);

/// `boxd updater`: looks for updates for ever. Each line on standard output is a [`Status`] in JSON, each line on standard input
/// a [`Word`]; the end of standard input is the end of the main process.
///
/// # Errors
/// When the board has no two slots.
pub(crate) fn run(config: &Config) -> anyhow::Result<()> {
    sandbox::limit_heaps(1);
    // Before anything is opened: it closes what it does not know.
    let sandbox = sandbox::enter(Duty::Updater).context("cannot enter the sandbox")?;
    if !sandbox.seccomp {
        tracing::warn!("this kernel cannot restrict system calls: the updater runs without");
    }
    let runtime = Builder::new_current_thread().enable_all().build().context("cannot start the updater")?;
    let mut work = Work::open(config, say)?;
    let (sender, mut words) = mpsc::channel(word::WAITING);
    std::thread::Builder::new().name("parent".to_owned()).spawn(move || end_with_parent(&sender))?;
    let started = Instant::now();
    runtime.block_on(async {
        let every = config.update.every;
        let mut pause = PAUSE.min(every);
        work.verdict().await;
        let mut look_at = tokio::time::Instant::now() + cloud::jittered(pause);
        loop {
            let word = tokio::select! {
                () = tokio::time::sleep_until(look_at) => Word::Look,
                Some(word) = words.recv() => word,
            };
            let place = match word {
                Word::Look if work.has_sources() => Place::Configured,
                // Only sticks bring releases to this box.
                Word::Look => {
                    second_copy(&mut work, started);
                    look_at += every;
                    continue;
                }
                Word::Stick(folder) => Place::Stick(folder),
                Word::NoStick => {
                    work.no_stick();
                    continue;
                }
                Word::Leave => {
                    work.leave().await;
                    continue;
                }
                Word::Verdict => {
                    work.verdict().await;
                    continue;
                }
            };
            let good = match work.once(&place, Goal::Complete).await {
                Ok(outcome) if outcome.good => {
                    tracing::info!(outcome = %outcome.why, "looked for an update");
                    true
                }
                Ok(outcome) => {
                    tracing::warn!(outcome = %outcome.why, "no update");
                    false
                }
                Err(error) => {
                    tracing::warn!(%error, "no update");
                    false
                }
            };
            second_copy(&mut work, started);
            if place != Place::Configured {
                continue;
            }
            pause = if good && !work.has_news() { every } else { (pause * 2).min(every) };
            look_at = tokio::time::Instant::now() + cloud::jittered(pause);
        }
    })
}

/// Gives a system that has run well the copy that it has deserved; this process runs since `started`.
fn second_copy(work: &mut Work, started: Instant) {
    match work.second_copy(started.elapsed()) {
        Ok(true) => tracing::info!("the other slot holds a copy of this system now"),
        Ok(false) => {}
        Err(error) => tracing::warn!(error = %format_args!("{error:#}"), "no copy of this system"),
    }
}

/// Tells the main process. One that is gone needs no telling.
fn say(status: &Status) {
    let mut line = serde_json::to_vec(status).unwrap_or_default();
    line.push(b'\n');
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(&line).and_then(|()| out.flush());
}

/// Leaves when nobody holds the other end of standard input any more: at any moment, since an installation is resumed.
fn end_with_parent(words: &mpsc::Sender<Word>) {
    word::hear(std::io::stdin().lock(), words);
    std::process::exit(0);
}
