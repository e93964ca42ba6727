//! Cameras by other people's software: gst-rtsp-server, VLC and rtsp-streaming-server as RTSP servers, ipycam
//! as an ONVIF device. Each is one process on one host with many streams, at `rtsp://host:port/NAME`.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use anyhow::Result;

use crate::{
    clips::Clip,
    factory::Host,
    paths,
    process::Process,
    tls::Authority,
    world::{SCRATCH, run},
};

/// How long a camera may take to its first listening. Four start at once on two cores.
const START: Duration = Duration::from_secs(60);

/// A camera's user.
pub const USER: &str = "admin";
/// A camera's password.
pub const PASSWORD: &str = "test-pass";

/// How a camera asks for its password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// Not at all.
    Open,
    /// RTSP Basic.
    Basic,
    /// RTSP Digest, MD5.
    Digest,
}

/// A server that is a camera.
#[derive(Debug)]
pub struct Camera {
    process: Process,
    base: String,
}

impl Camera {
    /// The address of a stream.
    pub fn url(&self, stream: &str) -> String {
        format!("{}/{stream}", self.base)
    }

    /// The server's process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// The paths of one server's streams.
pub type Streams<'a> = &'a [(&'a str, PathBuf)];

/// Clips as streams of the same name, each one turn long.
pub fn turns(clips: &[Clip]) -> Vec<(&'static str, PathBuf)> {
    clips.iter().map(|clip| (clip.name, clip.file())).collect()
}

/// Clips as streams of the same name, in files that last as long as a scenario.
pub fn long(clips: &[Clip]) -> Vec<(&'static str, PathBuf)> {
    clips.iter().map(|clip| (clip.name, clip.long_file())).collect()
}

/// gst-rtsp-server: TCP and UDP, RTCP, shared media that start with the first client.
///
/// # Errors
/// When it does not come up.
pub fn gst(host: &Host, streams: Streams, auth: Auth) -> Result<Camera> {
    start(host, "gst", gst_command(host, streams, auth), "ready", 554)
}

/// The same over TLS (`rtsps`) with a certificate that the authority signed; Basic.
///
/// # Errors
/// When it does not come up.
pub fn gst_over_tls(host: &Host, streams: Streams, authority: &Authority) -> Result<Camera> {
    let mut command = gst_command(host, streams, Auth::Basic);
    command.arg("--tls").arg(authority.certificate_file()).arg(authority.key_file());
    let camera = start(host, "gst", command, "ready", 554)?;
    Ok(Camera { base: camera.base.replacen("rtsp:", "rtsps:", 1), ..camera })
}

fn gst_command(host: &Host, streams: Streams, auth: Auth) -> Command {
    let mut command = host.command(paths::python());
    command.arg(paths::sources().join("cameras/gst_camera.py"));
    command.args(["--bind", &host.address().to_string(), "--port", "554"]);
    command.args(["--user", USER, "--password", PASSWORD, "--auth"]);
    command.arg(match auth {
        Auth::Open => "none",
        Auth::Basic => "basic",
        Auth::Digest => "digest",
    });
    for (name, file) in streams {
        command.arg("--mount").arg(format!("/{name}={}", file.display()));
    }
    command
}

/// VLC: UDP only, absolute control URLs. It refuses to be root, so it gets a user namespace where it is nobody.
///
/// # Errors
/// When it does not come up.
pub fn vlc(host: &Host, streams: Streams) -> Result<Camera> {
    let address = host.address();
    let set_up = streams.iter().map(|(name, file)| {
        let file = file.display();
        format!(
            "new {name} broadcast enabled loop\nsetup {name} input \"{file}\"\n\
             setup {name} output #rtp{{sdp=rtsp://{address}:8554/{name}}}\nsetup {name} option sout-keep\n"
        )
    });
    let play = streams.iter().map(|(name, _)| format!("control {name} play\n"));
    let plan: String = set_up.chain(play).collect();
    let file = PathBuf::from(SCRATCH).join(format!("{}-vlm.conf", host.name()));
    fs::write(&file, plan)?;
    let mut command = host.command("unshare");
    command.args(["--user", "cvlc", "-I", "dummy", "--no-dbus", "--vlm-conf"]).arg(file);
    command.arg("--rtsp-timeout=0");
    start(host, "vlc", command, "dummy interface", 8554)
}

/// rtsp-streaming-server in Node.js, fed by ffmpeg through ANNOUNCE: UDP only, passes RTP on untouched.
///
/// # Errors
/// When it does not come up.
pub fn relay(host: &Host, streams: Streams) -> Result<Camera> {
    let mut command = node(host, "cameras/relay_camera.mjs")?;
    command.args([&host.address().to_string(), "8554"]);
    for (name, file) in streams {
        command.arg(format!("{name}={}", file.display()));
    }
    start(host, "relay", command, "ready", 8554)
}

/// ipycam: an ONVIF device with WS-Discovery and its own H.264 RTSP server, playing a clip that it encodes anew.
///
/// # Errors
/// When it does not come up.
pub fn ipycam(host: &Host, clip: &Clip) -> Result<Camera> {
    let config = PathBuf::from(SCRATCH).join(format!("{}-ipycam.json", host.name()));
    let settings = serde_json::json!({
        "name": "Gate", "manufacturer": "Lab", "model": "Virtual",
        "local_ip": host.address().to_string(), "onvif_port": 8000, "rtsp_port": 8554,
        "main_width": 640, "main_height": 360, "main_fps": 15, "main_bitrate": "500K",
        "sub_width": 320, "sub_height": 180, "sub_fps": 15, "sub_bitrate": "200K",
        "hw_accel": "cpu",
    });
    fs::write(&config, settings.to_string())?;
    let mut command = host.command(paths::python());
    command.args(["-m", "ipycam", "--config"]).arg(config).arg("--source").arg(clip.file());
    command.current_dir(SCRATCH);
    start(host, "ipycam", command, "IP Camera is running", 8554)
}

/// avahi-daemon: announces an Axis-like camera by mDNS, with the path of its stream.
///
/// # Errors
/// When it does not come up.
pub fn avahi(host: &Host, port: u16, path: &str) -> Result<Process> {
    // Both places are fixed in Debian's build; in this world they are the host's own.
    let services = PathBuf::from(SCRATCH).join("avahi-services");
    fs::create_dir_all(&services)?;
    run("mount", &["--bind", &services.to_string_lossy(), "/etc/avahi/services"])?;
    let service = |kind: &str| {
        format!(
            "<service><type>{kind}</type><port>{port}</port><txt-record>path={path}</txt-record>\
             <txt-record>macaddress=00408C18A2F1</txt-record></service>"
        )
    };
    let group = format!(
        "<?xml version=\"1.0\"?><!DOCTYPE service-group SYSTEM \"avahi-service.dtd\"><service-group>\
         <name>Yard camera</name>{}{}</service-group>",
        service("_axis-video._tcp"),
        service("_rtsp._tcp")
    );
    fs::write(services.join("camera.service"), group)?;
    let config = PathBuf::from(SCRATCH).join("avahi.conf");
    fs::write(
        &config,
        "[server]\nhost-name=yard\nallow-interfaces=eth0\nuse-ipv6=no\nenable-dbus=no\n\
         [publish]\npublish-hinfo=no\npublish-workstation=no\n",
    )?;
    let mut command = host.command("avahi-daemon");
    command.arg("--file").arg(config).args(["--no-drop-root", "--no-chroot", "--no-rlimits"]);
    let mut process = host.spawn(&format!("{}-avahi", host.name()), command)?;
    process.wait_for("successfully established", START)?;
    Ok(process)
}

/// node-ssdp: a UPnP root device.
///
/// # Errors
/// When it does not come up.
pub fn ssdp(host: &Host) -> Result<Process> {
    let mut command = node(host, "cameras/ssdp_device.mjs")?;
    command.arg(host.address().to_string());
    let mut process = host.spawn(&format!("{}-ssdp", host.name()), command)?;
    process.wait_for("ready", START)?;
    Ok(process)
}

/// Something that answers on the RTSP port but is a web server.
///
/// # Errors
/// When it does not come up.
pub fn web_server(host: &Host) -> Result<Process> {
    let mut command = host.command("/usr/bin/python3");
    command.args(["-u", "-m", "http.server", "554", "--directory", SCRATCH]);
    let mut process = host.spawn(&format!("{}-web", host.name()), command)?;
    process.wait_for("Serving HTTP", START)?;
    Ok(process)
}

/// A script of the lab in Node.js on a host, with the lab's npm packages around it.
///
/// # Errors
/// When the script cannot be laid beside its packages.
pub fn node(host: &Host, script: &str) -> Result<Command> {
    let mut command = host.command("node");
    command.arg(node_script(script)?);
    Ok(command)
}

/// A script of the lab, laid beside the lab's npm packages: Node.js looks for packages only above the script's own folder.
///
/// # Errors
/// When it cannot be laid there.
pub fn node_script(script: &str) -> Result<PathBuf> {
    let home = paths::lab().join("npm/lab");
    for folder in ["cameras", "players"] {
        fs::create_dir_all(home.join(folder))?;
        for entry in fs::read_dir(paths::sources().join(folder))? {
            let entry = entry?;
            fs::copy(entry.path(), home.join(folder).join(entry.file_name()))?;
        }
    }
    Ok(home.join(script))
}

fn start(host: &Host, kind: &str, command: Command, word: &str, port: u16) -> Result<Camera> {
    let mut process = host.spawn(&format!("{}-{kind}", host.name()), command)?;
    process.wait_for(word, START)?;
    Ok(Camera { process, base: format!("rtsp://{}:{port}", host.address()) })
}
