//! A world of its own for one scenario: mount, process and network namespaces that vanish with the process,
//! whatever happens to it.
//!
//! A test that needs the world re-executes itself inside `unshare`; its first process is the test, and the
//! kernel kills everything else in there when it ends. `/run` is private, so network namespaces, PID files and
//! scratch data are never seen outside.

use std::{
    env, fs,
    io::Write,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use nix::{
    fcntl::{Flock, FlockArg},
    unistd::geteuid,
};

use crate::paths;

/// Set inside the world to the scenario's name.
const INSIDE: &str = "STREAMBOX_LAB_WORLD";

/// Scratch space of the world, in memory, gone with it.
pub const SCRATCH: &str = "/run/lab";

/// The name of the calling test as libtest knows it.
#[macro_export]
macro_rules! test_name {
    () => {{
        fn here() {}
        $crate::world::libtest_name(std::any::type_name_of_val(&here))
    }};
}

/// `crate::module::test::here` as libtest says it: `module::test`.
pub fn libtest_name(path: &str) -> &str {
    let path = path.strip_suffix("::here").unwrap_or(path);
    path.split_once("::").map_or(path, |(_, rest)| rest)
}

/// Runs a scenario inside a world of its own; `test` is [`test_name!`]. Scenarios run one after the other,
/// also across test binaries, because they measure.
///
/// # Panics
/// When the world cannot be made or the scenario fails, with the reason.
pub fn inside(test: &str, scenario: impl FnOnce() -> Result<()>) {
    run_in(test, FlockArg::LockExclusive, scenario);
}

/// The same for a scenario that measures nothing but waits, which others of its kind may run beside.
///
/// # Panics
/// When the world cannot be made or the scenario fails, with the reason.
pub fn beside(test: &str, scenario: impl FnOnce() -> Result<()>) {
    run_in(test, FlockArg::LockShared, scenario);
}

#[allow(clippy::panic, reason = "the way a test fails")]
fn run_in(test: &str, turn: FlockArg, scenario: impl FnOnce() -> Result<()>) {
    let outcome = if env::var_os(INSIDE).is_some() {
        prepare(test).and_then(|()| scenario())
    } else {
        enter(test, turn)
    };
    if let Err(error) = outcome {
        panic!("{error:#}");
    }
}

/// Where a scenario's processes log.
pub fn logs(test: &str) -> PathBuf {
    paths::lab().join("logs").join(test.replace("::", "-"))
}

/// A command that runs another program inside a fresh world, as root in there. The world dies with the
/// calling thread.
///
/// # Errors
/// When neither root nor user namespaces are at hand; the message says what to do.
pub fn unshared(program: &Path) -> Result<Command> {
    let mut flags = vec!["--mount", "--pid", "--fork", "--net", "--mount-proc", "--kill-child"];
    if !geteuid().is_root() {
        flags.push("--map-root-user");
    }
    let probe = Command::new("unshare").args(&flags).arg("true").output().context("unshare (util-linux)")?;
    if !probe.status.success() {
        bail!(
            "network namespaces cannot be made here ({}): run as root, or allow user namespaces",
            String::from_utf8_lossy(&probe.stderr).trim()
        );
    }
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "unshare"]).args(&flags).arg("--").arg(program);
    Ok(command)
}

fn enter(test: &str, turn: FlockArg) -> Result<()> {
    crate::setup::check()?;
    fs::create_dir_all(paths::lab())?;
    let lock = fs::File::create(paths::lab().join("lock"))?;
    let _turn =
        Flock::lock(lock, turn).map_err(|(_, errno)| errno).context("waiting for another scenario")?;
    let logs = logs(test);
    if logs.exists() {
        fs::remove_dir_all(&logs)?;
    }
    fs::create_dir_all(&logs)?;
    let entered = logs.join("entered");
    let status = unshared(&env::current_exe()?)?
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(INSIDE, &entered)
        .status()?;
    ensure!(entered.exists(), "no test is named {test}: inside() was given another test's name");
    ensure!(status.success(), "the scenario failed; its processes logged to {}", logs.display());
    Ok(())
}

fn prepare(test: &str) -> Result<()> {
    furnish()?;
    fs::write(logs(test).join("entered"), "")?;
    Ok(())
}

/// Makes a fresh world habitable: a private `/run`, the loopback interface. To be called once by the first
/// process inside.
///
/// # Errors
/// When a command fails.
pub fn furnish() -> Result<()> {
    run("mount", &["-t", "tmpfs", "tmpfs", "/run"])?;
    fs::create_dir_all(SCRATCH)?;
    run("ip", &["link", "set", "lo", "up"])
}

/// Runs a short command to its end.
///
/// # Errors
/// When it cannot start or fails, with what it said.
pub fn run(program: &str, arguments: &[&str]) -> Result<()> {
    let output = Command::new(program)
        .arg0(program)
        .args(arguments)
        .output()
        .with_context(|| format!("starting {program}"))?;
    ensure!(
        output.status.success(),
        "{program} {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

/// Runs a short command to its end with `input` on its standard input.
///
/// # Errors
/// When it cannot start or fails, with what it said.
pub fn feed(mut command: Command, input: &str) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {program}"))?;
    child.stdin.take().context("no pipe")?.write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    ensure!(
        output.status.success(),
        "{program}: {}\n{input}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}
