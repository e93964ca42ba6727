//! Inside the namespaces: a switch, two cameras, a box.

use std::{fs, path::PathBuf, process::Stdio, time::Duration};

use anyhow::{Context, Result, bail};
use lab::{
    factory::{Factory, Host},
    paths,
    process::Process,
    world,
};

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

/// Builds the factory and keeps it until killed. Standard input is the page's listening socket.
///
/// # Errors
/// When something cannot be built, or ends.
pub(super) fn run() -> Result<()> {
    world::furnish()?;
    let factory = Factory::new("demo", &["box", "cam1", "cam2"])?;
    let mut processes = Vec::new();
    for sample in &SAMPLES {
        processes.push(camera(factory.host(sample.host)?, sample)?);
    }
    processes.push(boxd(factory.host("box")?)?);
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

fn boxd(host: &Host) -> Result<Process> {
    let scratch = PathBuf::from(world::SCRATCH);
    let config = scratch.join("box.toml");
    let text = format!(
        "[state]\ndir = \"{}\"\n\n[discovery]\nsweep = false\nadopt = true\nuser = {USER:?}\npassword = {PASSWORD:?}\n",
        scratch.join("state").display()
    );
    fs::write(&config, text).context("writing the box's configuration")?;
    // the shell puts the socket where the protocol wants it (sd_listen_fds(3))
    let mut command = host.command("sh");
    command.args(["-c", "exec \"$@\" 3<&0 0</dev/null", "sh"]);
    command.arg(paths::binary("boxd")?).arg("--config").arg(config).env("LISTEN_FDS", "1");
    Process::start(command, &host.log("boxd"), Stdio::inherit())
}
