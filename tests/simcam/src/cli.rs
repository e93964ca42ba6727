//! The command line.

use std::{net::IpAddr, path::PathBuf};

use crate::{auth::Scheme, control, quirks};

/// What the command line asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Main stream.
    pub clip: PathBuf,
    /// Its frames per second.
    pub fps: f64,
    /// What `clip=second` plays.
    pub second: Option<PathBuf>,
    /// What else the main stream's encoder can be set to.
    pub variants: Vec<PathBuf>,
    /// Sub-stream, and its frames per second.
    pub sub: Option<PathBuf>,
    /// Frames per second of the sub-stream.
    pub sub_fps: f64,
    /// Sound: an ADTS file, or a tone.
    pub sound: Option<SoundOption>,
    /// Number of cameras.
    pub cameras: u16,
    /// Video sources of each camera; more than one: it is a recorder.
    pub channels: u16,
    /// Names of the video sources in order.
    pub channel_names: Vec<String>,
    /// Maker that ONVIF tells.
    pub maker: String,
    /// Model that ONVIF tells.
    pub model: String,
    /// Name of the cameras.
    pub name: String,
    /// Address of the ports.
    pub bind: IpAddr,
    /// RTSP port of the first camera.
    pub rtsp_port: u16,
    /// HTTP port of the first camera.
    pub http_port: u16,
    /// Path of the main stream.
    pub path: String,
    /// Path of the sub-stream.
    pub sub_path: String,
    /// User; none: no login.
    pub user: Option<String>,
    /// Password.
    pub password: String,
    /// User for ONVIF, where that is another one.
    pub onvif_user: Option<String>,
    /// That one's password.
    pub onvif_password: String,
    /// Challenges in order.
    pub schemes: Vec<Scheme>,
    /// Whether digest challenges offer a quality of protection.
    pub qop: bool,
    /// Whether to answer WS-Discovery.
    pub discovery: bool,
    /// Whether to answer SADP.
    pub sadp: bool,
    /// Whether to answer DHIP.
    pub dhip: bool,
    /// Quirks, each KEY=VALUE.
    pub quirks: Vec<String>,
    /// Control socket.
    pub control: Option<String>,
    /// Stamp log.
    pub stamp_log: Option<PathBuf>,
    /// Picture at the snapshot address.
    pub snapshot: Option<PathBuf>,
}

/// Where sound comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum SoundOption {
    /// An ADTS file.
    Aac(PathBuf),
    /// A tone in G.711 A-law.
    Pcma,
}

/// The help.
pub fn help() -> String {
    let mut help = String::from(
        "simcam is an IP camera for tests: RTSP, ONVIF, WS-Discovery, and every quirk on demand.

Usage: simcam --clip FILE [options]

  --clip FILE         plays this Annex B file in a loop: .h264 or .h265, keyframe first, no B pictures
  --fps N             frames per second (25)
  --second FILE       what `--quirk clip=second` plays
  --variant FILE      what a client may set the main stream's encoder to by ONVIF, by codec and distance between
                      keyframes; may be repeated; `--second` counts, too
  --sub FILE          a sub-stream; --sub-fps N (15)
  --sound FILE|pcma   an ADTS AAC file in a loop, or a tone in G.711 A-law
  --cameras N         so many cameras, on consecutive RTSP and HTTP ports, evenly staggered in time (1)
  --channels N        video sources of each camera (1); of more, each has its paths below /ch1, /ch2, ...
  --channel-names L   their names, with commas
  --maker TEXT        what ONVIF tells of it (Streambox); --model TEXT (simcam)
  --name TEXT         name in ONVIF scopes (simcam); camera N of several is TEXT-N
  --bind ADDRESS      address of all ports (0.0.0.0)
  --rtsp-port N       of the first camera (8554)
  --http-port N       ONVIF of the first camera (8080); 0: no ONVIF
  --path P            of the main stream (/main); --sub-path P (/sub)
  --user U            asks for a login; --password P
  --onvif-user U      another user for ONVIF; --onvif-password P
  --auth LIST         challenges in order: basic, md5, sha256 (md5); --no-qop: as before RFC 2617
  --discovery         answers WS-Discovery on each interface
  --sadp              answers SADP as Hikvision's cameras do: to the group; `--quirk activated=off` is told
  --dhip              answers DHIP's search as Dahua's do: only questions with their header
  --quirk KEY=VALUE   see below; may be repeated
  --control ADDRESS   control socket, for example 127.0.0.1:9000
  --stamp-log FILE    a line per video frame handed to the kernel (see `stamps` below)
  --snapshot FILE     JPEG at the snapshot address (a test picture)
  -h, --help          print this

Addresses: rtsp://HOST:8554/main, http://HOST:8080/onvif/device_service. simcam says `ready` when all ports are open, stops
on SIGTERM and SIGINT, and says Bye when it does.

Examples:
  simcam --clip gate.h264 --sound gate.aac --user admin --password secret --auth sha256,md5 --discovery
  simcam --clip hall.h265 --fps 10 --sub gate.h264 --sub-fps 25
  simcam --clip gate.h264 --cameras 32 --control 127.0.0.1:9000 --quirk sprop=missing --quirk sessions=1
  printf 'at 3 set stall=on\\n' | nc -N 127.0.0.1 9000

Quirks:
",
    );
    for (key, values, effect) in quirks::KEYS {
        help += &format!("  {:<38} {effect}\n", format!("{key}={values}"));
    }
    help += "\nThe control socket takes a line and answers with lines, the last one `.`:\n";
    help += control::HELP;
    help.push('\n');
    help
}

/// Reads the arguments after the program's name; none: print the help.
///
/// # Errors
/// A sentence.
pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Option<Options>, String> {
    let mut options = Options {
        clip: PathBuf::new(),
        fps: 25.0,
        second: None,
        variants: Vec::new(),
        sub: None,
        sub_fps: 15.0,
        sound: None,
        cameras: 1,
        channels: 1,
        channel_names: Vec::new(),
        maker: "Streambox".into(),
        model: "simcam".into(),
        name: "simcam".into(),
        bind: IpAddr::from([0, 0, 0, 0]),
        rtsp_port: 8554,
        http_port: 8080,
        path: "/main".into(),
        sub_path: "/sub".into(),
        user: None,
        password: String::new(),
        onvif_user: None,
        onvif_password: String::new(),
        schemes: vec![Scheme::Md5],
        qop: true,
        discovery: false,
        sadp: false,
        dhip: false,
        quirks: Vec::new(),
        control: None,
        stamp_log: None,
        snapshot: None,
    };
    let mut arguments = arguments.into_iter();
    while let Some(name) = arguments.next() {
        match name.as_str() {
            "--help" | "-h" => return Ok(None),
            "--no-qop" => options.qop = false,
            "--discovery" => options.discovery = true,
            "--sadp" => options.sadp = true,
            "--dhip" => options.dhip = true,
            _ => {
                let value = arguments
                    .next()
                    .ok_or_else(|| format!("{name}: unknown, or its value is missing; see simcam --help"))?;
                set(&mut options, &name, value)?;
            }
        }
    }
    if options.clip.as_os_str().is_empty() {
        return Err("--clip FILE is missing; see simcam --help".into());
    }
    let last = |first: u16| first.checked_add(options.cameras.saturating_sub(1));
    if last(options.rtsp_port).is_none() || last(options.http_port).is_none() {
        return Err(format!("--cameras {}: there are not so many ports", options.cameras));
    }
    Ok(Some(options))
}

fn set(options: &mut Options, name: &str, value: String) -> Result<(), String> {
    let wrong = || format!("{name} {value}: not a number that fits");
    let fps = |text: &str| text.parse().ok().filter(|fps: &f64| (0.1..=1000.0).contains(fps));
    match name {
        "--clip" => options.clip = value.into(),
        "--fps" => options.fps = fps(&value).ok_or_else(wrong)?,
        "--second" => options.second = Some(value.into()),
        "--variant" => options.variants.push(value.into()),
        "--channels" => {
            options.channels =
                value.parse().ok().filter(|&count| (1..=64).contains(&count)).ok_or_else(wrong)?;
        }
        "--channel-names" => options.channel_names = value.split(',').map(str::to_owned).collect(),
        "--maker" => options.maker = value,
        "--model" => options.model = value,
        "--onvif-user" => options.onvif_user = Some(value),
        "--onvif-password" => options.onvif_password = value,
        "--sub" => options.sub = Some(value.into()),
        "--sub-fps" => options.sub_fps = fps(&value).ok_or_else(wrong)?,
        "--sound" if value == "pcma" => options.sound = Some(SoundOption::Pcma),
        "--sound" => options.sound = Some(SoundOption::Aac(value.into())),
        "--cameras" => options.cameras = value.parse().ok().filter(|&count| count > 0).ok_or_else(wrong)?,
        "--name" => options.name = value,
        "--bind" => options.bind = value.parse().map_err(|_| format!("{name} {value}: not an IP address"))?,
        "--rtsp-port" => options.rtsp_port = value.parse().map_err(|_| wrong())?,
        "--http-port" => options.http_port = value.parse().map_err(|_| wrong())?,
        "--path" | "--sub-path" => {
            let path = format!("/{}", value.trim_matches('/'));
            *(if name == "--path" { &mut options.path } else { &mut options.sub_path }) = path;
        }
        "--user" => options.user = Some(value),
        "--password" => options.password = value,
        "--auth" => options.schemes = value.split(',').map(Scheme::parse).collect::<Result<_, _>>()?,
        "--quirk" => options.quirks.push(value),
        "--control" => options.control = Some(value),
        "--stamp-log" => options.stamp_log = Some(value.into()),
        "--snapshot" => options.snapshot = Some(value.into()),
        _ => return Err(format!("{name}: unknown; see simcam --help")),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Option<Options>, String> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn arguments_are_understood() {
        let options =
            parsed("--clip a.h264 --auth sha256,basic --path x/y --no-qop --sound pcma").unwrap().unwrap();
        assert_eq!(options.schemes, [Scheme::Sha256, Scheme::Basic]);
        assert_eq!((options.path.as_str(), options.qop), ("/x/y", false));
        assert_eq!(options.sound, Some(SoundOption::Pcma));
        for wrong in [
            "",
            "--clip",
            "--clip a --fps 0",
            "--clip a --wat 1",
            "--clip a --cameras 65000",
            "--clip a --auth md4",
        ] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parsed("--help"), Ok(None));
    }
}
