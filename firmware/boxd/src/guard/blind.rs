//! A guard that cannot see the board under it: it does not know whether the running system is on trial, and could neither keep it nor
//! give it up.
//!
//! On a box that the boot script has started, such a guard ends and feeds nothing, so that the start counts as a crash: a new system
//! that broke this is left for the old one, and a good one for the other, if there is a better one. A box on which no system sees its
//! board does not restart for ever, though: after [`MOST`] starts of the machine in a row it runs and is fed for as it is. Pictures
//! without updates are better than neither.

use std::fs;

use anyhow::anyhow;
use board::reset::Started;

use crate::cloud::Files;
use crate::config::{self, Config};

/// Starts that are given back: a new system has six, three rounds of two. A good one has three, and then its other slot.
const MOST: u32 = 6;
/// Where they are counted, below the state directory: which start of the machine was the last, and how many there were.
const FILE: &str = "update/blind";
/// Another one for each start of the machine (random(4)).
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// Decides what follows from not seeing the board: nothing, or the end of this process.
///
/// # Errors
/// With `why`, when this start is to count as a crash.
pub(super) fn bear(config: &Config, why: Option<anyhow::Error>) -> anyhow::Result<()> {
    let from_slot = was_started_from_a_slot(&config.board);
    let why = match why {
        Some(why) => why,
        None if from_slot => {
            anyhow!("the box was started from a slot, and has no partition map ([board] map)")
        }
        None => return Ok(()),
    };
    if from_slot {
        let boot = fs::read_to_string(BOOT).unwrap_or_default();
        match count(&Files::new(&config.state_dir), boot.trim()) {
            Ok(starts) if starts <= MOST => {
                return Err(why.context("nobody feeds for a system that does not see its board"));
            }
            Ok(_) => {}
            // What cannot be counted would never end.
            Err(error) => tracing::warn!(%error, "cannot count the starts without a board ([state] dir)"),
        }
    }
    tracing::error!("this box cannot be updated: {why:#}");
    Ok(())
}

/// The board is seen.
pub(super) fn over(config: &Config) {
    let files = Files::new(&config.state_dir);
    if let Err(error) = fs::remove_file(files.path(FILE))
        && files.path(FILE).exists()
    {
        tracing::warn!(%error, "cannot forget the starts without a board ([state] dir)");
    }
}

fn was_started_from_a_slot(board: &config::Board) -> bool {
    let line = board.command_line.clone().unwrap_or_else(|| "/proc/cmdline".into());
    fs::read_to_string(line).is_ok_and(|words| Started::parse(&words).slot.is_some())
}

/// Counts this start of the machine, however often the guard is started in it; gives how many there were in a row.
fn count(files: &Files, boot: &str) -> std::io::Result<u32> {
    let kept = files.read(FILE)?.unwrap_or_default();
    let kept = String::from_utf8_lossy(&kept);
    let (last, starts) = kept.split_once(' ').unwrap_or_default();
    let starts = starts.trim().parse::<u32>().unwrap_or(0);
    if last == boot {
        return Ok(starts);
    }
    let starts = starts.saturating_add(1);
    files.write(FILE, format!("{boot} {starts}\n").as_bytes())?;
    Ok(starts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::files_tests::Scratch;

    #[test]
    fn each_start_of_the_machine_counts_once_and_rubbish_is_nothing() {
        let scratch = Scratch::new("blind");
        let files = scratch.files();
        for (boot, starts) in [("one", 1), ("one", 1), ("two", 2), ("two", 2), ("three", 3), ("one", 4)] {
            assert_eq!(count(&files, boot).unwrap(), starts, "{boot}");
        }
        for rubbish in ["", "one", "four x", "five -1", "six 99999999999999"] {
            files.write(FILE, rubbish.as_bytes()).unwrap();
            assert_eq!(count(&files, "seven").unwrap(), 1, "{rubbish}");
        }
        files.write(FILE, b"one 4294967295").unwrap();
        assert_eq!(count(&files, "two").unwrap(), u32::MAX);
    }
}
