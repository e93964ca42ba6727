//! Inside the namespaces: a switch, two cameras, a box, two NATs and a cloud.

use std::{
    fs, io,
    os::fd::AsFd,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use lab::{
    factory::{Factory, Host},
    internet::{Internet, VIDEO},
    paths,
    process::Process,
    tls::Authority,
    world,
};

use super::home;

/// Login of the sample cameras. The odd characters are there to be met.
const USER: &str = "demo";
const PASSWORD: &str = "demo@:/#%";
/// Both are ready at once; the limit is for busy machines.
const START: Duration = Duration::from_secs(20);

/// A sample camera: its host, its name, what it plays and how it asks for the password.
struct Sample {
    host: &'static str,
    arguments: &'static [&'static str],
    clip: &'static str,
    sound: Option<&'static str>,
}

const SAMPLES: [Sample; 2] = [
    Sample {
        host: "cam1",
        arguments: &["--name", "Gate", "--fps", "25", "--auth", "sha256,md5"],
        clip: "gate.h264",
        sound: Some("gate.aac"),
    },
    Sample {
        host: "cam2",
        arguments: &["--name", "Yard", "--fps", "15", "--auth", "md5,basic"],
        clip: "yard.h264",
        sound: None,
    },
];

/// Builds the factory and the way to its cloud, and keeps them until killed. Standard input is the listening socket of
/// the box's page, standard output that of the public links.
///
/// # Errors
/// When something cannot be built, or ends.
pub(super) fn run() -> Result<()> {
    world::furnish()?;
    let factory = Factory::new("demo", &["box", "cam1", "cam2"])?;
    let internet = Internet::new("demo", &[factory.host("box")?])?;
    let authority = Authority::new(&home().join("tls"), &[VIDEO])?;
    let mut processes = vec![cloud(internet.cloud())?];
    for sample in &SAMPLES {
        processes.push(camera(factory.host(sample.host)?, sample)?);
    }
    processes.push(boxd(factory.host("box")?, authority.root_file())?);
    loop {
        std::thread::sleep(Duration::from_millis(200));
        for process in &mut processes {
            if !process.runs() {
                bail!("a process of the demo ended: {}", process.log().display());
            }
        }
    }
}

fn camera(host: &Host, sample: &Sample) -> Result<Process> {
    let media = paths::workspace().join("tests/media");
    let mut command = host.command(paths::binary("simcam")?);
    command.arg("--clip").arg(media.join(sample.clip));
    if let Some(sound) = sample.sound {
        command.arg("--sound").arg(media.join(sound));
    }
    command.args([
        "--discovery",
        "--rtsp-port",
        "554",
        "--http-port",
        "80",
        "--user",
        USER,
        "--password",
        PASSWORD,
    ]);
    command.args(sample.arguments);
    let mut process = host.spawn(sample.host, command)?;
    process.wait_for("ready", START)?;
    Ok(process)
}

fn cloud(host: &Host) -> Result<Process> {
    let config = home().join("cloud.toml").display().to_string();
    serve(host, "cloud", &config, Stdio::from(io::stdout().as_fd().try_clone_to_owned()?))
}

fn boxd(host: &Host, root: &Path) -> Result<Process> {
    let scratch = PathBuf::from(world::SCRATCH);
    let config = scratch.join("box.toml");
    let text = format!(
        "[state]\ndir = \"{}\"\n\n[discovery]\nsweep = false\nadopt = true\nuser = {USER:?}\npassword = {PASSWORD:?}\n\n\
         [tunnel]\ncloud = \"https://{VIDEO}\"\nca = \"{}\"\n",
        scratch.join("state").display(),
        root.display()
    );
    fs::write(&config, text).context("writing the box's configuration")?;
    serve(host, "boxd", &config.display().to_string(), Stdio::inherit())
}

/// Starts a server with a listening socket from outside.
fn serve(host: &Host, program: &str, config: &str, listener: Stdio) -> Result<Process> {
    // the shell puts the socket where the protocol wants it (sd_listen_fds(3))
    let mut command = host.command("sh");
    command.args(["-c", "exec \"$@\" 3<&0 0</dev/null", "sh"]);
    command.arg(paths::binary(program)?).args(["--config", config]).env("LISTEN_FDS", "1");
    Process::start(command, &host.log(program), listener)
}
