//! How the machine is restarted once the box has ended.

use std::process::Command;

use nix::sys::reboot::{RebootMode, reboot};
use nix::unistd::sync;

use crate::config::Restart;

/// What becomes of a wish to restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// Whoever started the guard restarts the machine when it ends.
    Starter,
    /// Init is taking the machine down and ends this process, too.
    Init,
    /// The kernel has to do it, at once.
    Kernel,
}

/// Asks for a restart as the configuration says. What was written is on the medium then.
pub(super) fn ask(how: &Restart) -> Asked {
    sync();
    let program = match how {
        Restart::Exit => return Asked::Starter,
        Restart::Kernel => return Asked::Kernel,
        Restart::Program(program) => program,
    };
    let outcome = match Command::new(program).status() {
        Ok(status) if status.success() => return Asked::Init,
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    };
    tracing::warn!(program = %program.display(), outcome, "the program did not restart the machine: the kernel does");
    Asked::Kernel
}

/// Restarts the machine without a word to anybody. Returns when the kernel refuses: the watchdog, which nobody feeds any more, does
/// it then.
pub(super) fn at_once() {
    let Err(error) = reboot(RebootMode::RB_AUTOBOOT);
    tracing::error!(%error, "the kernel does not restart the machine");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_restart_the_machine_is_not_waited_for() {
        assert_eq!(ask(&Restart::Exit), Asked::Starter);
        assert_eq!(ask(&Restart::Program("/bin/true".into())), Asked::Init);
        assert_eq!(ask(&Restart::Program("/bin/false".into())), Asked::Kernel);
        assert_eq!(ask(&Restart::Program("/absent/reboot".into())), Asked::Kernel);
    }
}
