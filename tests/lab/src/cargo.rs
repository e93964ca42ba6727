//! Cargo started by a program that cargo started.

use std::{env, process::Command};

use crate::paths;

/// What cargo tells whom it runs of its package, by the start of the variables' names.
const OF_A_PACKAGE: [&str; 2] = ["CARGO_PKG_", "CARGO_MANIFEST_"];

/// A cargo command at the root of the workspace, with the cargo that runs us.
///
/// What cargo said of our own package is left out: ring's build script is run again when that differs, and all that needs ring
/// is compiled again after it, each time that another program of ours asks.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(paths::workspace()).args(arguments);
    for (name, _) in env::vars_os() {
        if OF_A_PACKAGE.iter().any(|start| name.to_string_lossy().starts_with(start)) {
            command.env_remove(name);
        }
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_our_own_package_is_told() {
        assert!(env::var_os("CARGO_MANIFEST_DIR").is_some(), "cargo tells tests, too");
        let command = command(&["build"]);
        let told = |name: &str| command.get_envs().all(|(key, value)| key != name || value.is_some());
        for name in ["CARGO_MANIFEST_DIR", "CARGO_PKG_NAME", "CARGO_PKG_VERSION"] {
            assert!(!told(name), "{name}");
        }
    }
}
