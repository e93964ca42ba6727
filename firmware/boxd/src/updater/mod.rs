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

/// At most between two looks that failed while the system may be on trial: when the line is back, what is left of the deadline must
/// do for being well.
const PROOF: Duration = Duration::from_secs(60);

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
            let ended = good && !work.has_news();
            let proves = !work.has_verified() && started.elapsed() < config.update.deadline;
            pause = if ended { every } else { longer(pause, every, proves) };
            look_at = tokio::time::Instant::now() + cloud::jittered(pause);
        }
    })
}

/// The pause after a look that failed, `before` being the one before it. `proves`: there is still time to show that this system can
/// update itself.
fn longer(before: Duration, every: Duration, proves: bool) -> Duration {
    (before * 2).min(if proves { PROOF.min(every) } else { every })
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

#[cfg(test)]
mod tests {
    use super::*;

    /// When a process looks that fails each time, with pauses as long as they may be by chance.
    fn looks(every: Duration, deadline: Duration) -> Vec<Duration> {
        let (mut at, mut pause) = (PAUSE.min(every), PAUSE.min(every));
        let mut looks = Vec::new();
        while at < Duration::from_secs(86_400) {
            looks.push(at);
            pause = longer(pause, every, at < deadline);
            at += pause;
        }
        looks
    }

    #[test]
    fn a_line_that_comes_back_in_the_middle_of_a_trial_is_found_in_time_and_later_ones_cost_little() {
        let (hour, deadline) = (Duration::from_secs(3600), Duration::from_secs(1200));
        let looks = looks(hour, deadline);
        let proof = deadline.saturating_sub(Duration::from_secs(300));
        for back_s in 0..800 {
            let back = Duration::from_secs(back_s);
            let found = looks.iter().find(|at| **at >= back).unwrap();
            assert!(*found < proof, "back after {back_s} s, found after {found:?}");
        }
        let late = looks.iter().filter(|at| **at > deadline).count();
        assert!(late < 24 + 6, "{late} looks in a day");
        assert_eq!(longer(PAUSE, Duration::from_secs(15), true), Duration::from_secs(15));
    }
}
