//! What the boot script says on the kernel's command line: which slot it started, and how the last run ended.
//!
//! Text comes from an argument (`/proc/cmdline` on a box). The marker in memory by which the script knows a crash is cleared by the
//! image's init on an orderly restart, not here.

use crate::slot::SlotName;

/// What the boot script said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Started {
    /// The slot that runs; `None`: started by something else than the boot script.
    pub slot: Option<SlotName>,
    /// Whether the watchdog or a panic ended the last run. A script that does not say, or says what nobody knows, is taken to have
    /// seen no crash: it then did not count this start either.
    pub crashed: bool,
}

impl Started {
    /// Reads `slot=a|b` and `reset=normal|crash` among the words of a command line; the last of each counts, as with the
    /// kernel's own parameters. What comes behind `--` is init's.
    pub fn parse(command_line: &str) -> Self {
        let mut started = Self { slot: None, crashed: false };
        for word in command_line.split_ascii_whitespace().take_while(|word| *word != "--") {
            match word.split_once('=') {
                Some(("slot", letter)) => started.slot = SlotName::of(letter),
                Some(("reset", how)) => started.crashed = how == "crash",
                _ => {}
            }
        }
        started
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn slot_and_reset_are_found_among_the_kernels_own_words() {
        let line = "console=ttyAMA0,115200 mem=255M panic=5 slot=b reset=crash ro\n";
        assert_eq!(Started::parse(line), Started { slot: Some(SlotName::B), crashed: true });
        assert_eq!(
            Started::parse("slot=a reset=normal"),
            Started { slot: Some(SlotName::A), crashed: false }
        );
    }

    #[test]
    fn what_only_looks_like_it_says_nothing() {
        let nothing = Started { slot: None, crashed: false };
        for line in [
            "",
            "slot reset",
            "slot= reset=",
            "xslot=a yreset=crash",
            "slot=c reset=Crash",
            "slot=ab",
            "-- slot=a reset=crash",
        ] {
            assert_eq!(Started::parse(line), nothing, "{line:?}");
        }
        assert_eq!(Started::parse("slot=a slot=b").slot, Some(SlotName::B), "the last counts");
        assert_eq!(Started::parse("slot=a slot=zzz").slot, None);
    }

    proptest! {
        #[test]
        fn no_command_line_panics(line in ".*") {
            let _ = Started::parse(&line);
        }
    }
}
