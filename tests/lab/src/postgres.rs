//! A PostgreSQL server of Debian's for one scenario, on a Unix socket in scratch space. It refuses to run as root, so it
//! runs as its package's user, or as nobody in a user namespace where that user is out of reach.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, User, chown},
};

use crate::{
    process::{self, Process, tail},
    world::SCRATCH,
};

/// Where Debian 12 has its programs.
const PROGRAMS: &str = "/usr/lib/postgresql/15/bin";
/// The superuser of the cluster.
const USER: &str = "cloud";
/// A server starts in about a second; the limit is for busy machines.
const START: Duration = Duration::from_secs(30);
/// A short command.
const SHORT: Duration = Duration::from_secs(60);

/// The server. It is killed when dropped.
#[derive(Debug)]
pub struct Postgres {
    folder: PathBuf,
    logs: PathBuf,
    process: Option<Process>,
}

impl Postgres {
    /// Makes a cluster and starts its server; the server logs into the folder `logs`.
    ///
    /// # Errors
    /// When a program is missing or fails.
    pub fn start(logs: &Path) -> Result<Self> {
        let folder = PathBuf::from(SCRATCH).join("postgres");
        fs::create_dir_all(&folder)?;
        if let Some(user) = package_user()? {
            chown(&folder, Some(user.uid), Some(user.gid))?;
            // Scratch space is root's own.
            crate::world::run("chmod", &["o+x", SCRATCH])?;
        }
        let mut server = Self { folder, logs: logs.to_owned(), process: None };
        let mut initdb = server.command("initdb")?;
        initdb.args(["--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C", "--username", USER]);
        initdb.arg("--pgdata").arg(server.data());
        process::output(initdb, &logs.join("initdb.log"), SHORT).context("initdb")?;
        server.go_on()?;
        Ok(server)
    }

    /// Makes an empty database and gives its address.
    ///
    /// # Errors
    /// When the server does not.
    pub fn database(&self, name: &str) -> Result<String> {
        self.sql("postgres", &format!("CREATE DATABASE {name}"))?;
        Ok(format!("postgres://{USER}@localhost/{name}?host={}", self.folder.display()))
    }

    /// Runs statements and gives what was printed.
    ///
    /// # Errors
    /// When they fail.
    pub fn sql(&self, database: &str, statements: &str) -> Result<String> {
        process::output(self.psql(database, statements)?, &self.logs.join("psql.log"), SHORT)
    }

    /// A command that runs statements.
    ///
    /// # Errors
    /// When the package is not installed.
    pub fn psql(&self, database: &str, statements: &str) -> Result<Command> {
        let mut psql = self.command("psql")?;
        psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--set=ON_ERROR_STOP=1", "--username", USER]);
        psql.arg("--host").arg(&self.folder).args(["--dbname", database, "--command", statements]);
        Ok(psql)
    }

    /// Stops the server as an administrator would who cannot wait.
    ///
    /// # Errors
    /// When it does not stop.
    pub fn stop(&mut self) -> Result<()> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        process.signal(Signal::SIGINT)?;
        process.wait(Duration::from_secs(20))?;
        Ok(())
    }

    /// Freezes every process of the server, as a disk does that no longer answers, or lets them go on.
    ///
    /// # Errors
    /// When a process cannot be signalled.
    pub fn freeze(&self, frozen: bool) -> Result<()> {
        let signal = if frozen { Signal::SIGSTOP } else { Signal::SIGCONT };
        for entry in fs::read_dir("/proc")? {
            let entry = entry?;
            let Ok(pid) = entry.file_name().to_string_lossy().parse() else { continue };
            // One that has ended meanwhile has no name any more.
            let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            if name.trim() == "postgres" {
                kill(Pid::from_raw(pid), signal)?;
            }
        }
        Ok(())
    }

    /// Starts the server again.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn go_on(&mut self) -> Result<()> {
        let mut command = self.command("postgres")?;
        command.arg("-D").arg(self.data()).arg("-k").arg(&self.folder);
        command.args(["-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=60"]);
        self.process = Some(Process::spawn(command, &self.logs.join("postgres.log"))?);
        let start = Instant::now();
        while self.sql("postgres", "SELECT 1").is_err() {
            let process = self.process.as_mut().context("no server")?;
            if !process.runs() || start.elapsed() > START {
                bail!("PostgreSQL does not come up:\n{}", tail(&process.said()));
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn command(&self, program: &str) -> Result<Command> {
        let path = Path::new(PROGRAMS).join(program);
        ensure!(path.exists(), "{} is missing: run `cargo xtask setup`", path.display());
        let mut command;
        if let Some(user) = package_user()? {
            command = Command::new("setpriv");
            command.arg(format!("--reuid={}", user.uid)).arg(format!("--regid={}", user.gid));
            command.args(["--clear-groups", "--"]);
        } else {
            command = Command::new("unshare");
            command.args(["--user", "--map-user=1000", "--map-group=1000", "--"]);
        }
        command.arg(path).current_dir(&self.folder);
        Ok(command)
    }
}

/// The package's user, if this namespace knows it.
fn package_user() -> Result<Option<User>> {
    let map = fs::read_to_string("/proc/self/uid_map")?;
    let known: u64 = map.lines().filter_map(|line| line.split_whitespace().nth(2)?.parse::<u64>().ok()).sum();
    if known <= 1 {
        return Ok(None);
    }
    let user = User::from_name("postgres")?;
    Ok(Some(user.context("there is no user postgres: run `cargo xtask setup`")?))
}
