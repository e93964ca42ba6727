//! A workshop with nine cameras, two of them behind a recorder, of five makers, each simulated with that maker's ways, and the way out to a cloud.
//!
//! Between two walks the cameras are started anew, so that what one owner has put right is wrong again for the next.

use std::{fs, path::PathBuf};

use anyhow::Result;
use serde_json::json;

use crate::{
    boxd::Boxd,
    cameras,
    clips::Paced,
    cloud::Cloud,
    factory::{Factory, Host},
    internet::{Internet, VIDEO},
    owner::{Owner, Screen},
    paths,
    process::Process,
    simcam::Simcam,
    tls::Authority,
    world::SCRATCH,
};

/// The password that owners give the box.
const OWNERS_PASSWORD: &str = "owner-pass-1";
/// The user of every camera.
const USER: &str = "admin";
/// The password of all cameras but one: hard to write in an address, as owners' passwords are.
const PASSWORD: &str = "p@ss:/#%1";
/// That one's.
const OTHER_PASSWORD: &str = "other-pass-2";

/// One camera of the workshop.
#[derive(Debug, Clone, Copy)]
pub struct Persona {
    /// Its host.
    pub host: &'static str,
    /// The maker whose ways it has.
    pub maker: &'static str,
    /// What it plays.
    clip: Clip,
    /// More arguments of simcam.
    words: &'static [&'static str],
}

#[derive(Debug, Clone, Copy)]
enum Clip {
    /// H.264, 640x360, 25 frames/s, a keyframe each second.
    Gate,
    /// H.264, 640x360, 15 frames/s, a keyframe each two seconds.
    Yard,
    /// H.265 large and H.264 small.
    Hall,
    /// H.264 with a keyframe each eight seconds; once the owner has it put right, each second.
    Rare,
}

const fn persona(
    host: &'static str,
    maker: &'static str,
    clip: Clip,
    words: &'static [&'static str],
) -> Persona {
    Persona { host, maker, clip, words }
}

/// The devices.
pub const PERSONAS: [Persona; 8] = [
    persona("gate", "Hikvision", Clip::Gate, &["--model", "DS-2CD2043G2-I", "--discovery", "--sadp"]),
    persona(
        "safe",
        "Hikvision",
        Clip::Gate,
        &["--model", "DS-7604NI", "--sadp", "--channels", "2", "--channel-names", "Till,Store"],
    ),
    persona("hall", "Dahua", Clip::Hall, &["--model", "IPC-HFW2431S", "--dhip"]),
    persona(
        "yard",
        "Dahua",
        Clip::Rare,
        &["--model", "IPC-HDW1431S", "--discovery", "--dhip", "--quirk", "probe=device"],
    ),
    persona(
        "roof",
        "Uniview",
        Clip::Yard,
        &["--model", "IPC2122LB", "--discovery", "--quirk", "probe=transmitter"],
    ),
    persona(
        "road",
        "AXIS",
        Clip::Gate,
        &["--model", "M3045-V", "--path", "/axis-media/media.amp", "--quirk", "probe=none"],
    ),
    persona("shop", "TP-Link", Clip::Yard, &["--quirk", "onvif=off", "--path", "/stream1"]),
    persona("lift", "Uniview", Clip::Gate, &["--model", "IPC3612LB", "--discovery"]),
];
/// The pictures that they give together: the recorder gives two.
pub const CAMERAS: usize = PERSONAS.len() + 1;
/// The camera with the other password.
const OTHER: &str = "lift";

/// All of it but the box.
#[derive(Debug)]
pub struct Workshop {
    /// The LAN: the box, the owner's phone, the cameras.
    pub factory: Factory,
    /// The way to the viewer.
    pub internet: Internet,
    /// The cloud.
    pub cloud: Cloud,
    /// Who signed the cloud's certificate.
    pub authority: Authority,
    cameras: Vec<Simcam>,
    _announced: Process,
}

impl Workshop {
    /// Builds it without cameras.
    ///
    /// # Errors
    /// When something does not come up.
    pub fn new(test: &str) -> Result<Self> {
        let hosts: Vec<&str> = ["box", "phone"].into_iter().chain(PERSONAS.map(|one| one.host)).collect();
        let factory = Factory::new(test, &hosts)?;
        let internet = Internet::new(test, &[factory.host("box")?])?;
        let authority = Authority::new(&PathBuf::from(SCRATCH).join("tls"), &[VIDEO])?;
        let cloud = Cloud::start(internet.cloud(), &authority, None)?;
        let announced = cameras::avahi(factory.host("road")?, 554, "axis-media/media.amp")?;
        Ok(Self { factory, internet, cloud, authority, cameras: Vec::new(), _announced: announced })
    }

    /// Starts the cameras as they came out of their boxes, in place of those that ran.
    ///
    /// # Errors
    /// When one does not come up.
    pub fn cameras(&mut self) -> Result<&[Simcam]> {
        self.cameras.clear();
        for persona in PERSONAS {
            let host = self.factory.host(persona.host)?;
            self.cameras.push(persona.start(host)?);
        }
        Ok(&self.cameras)
    }

    /// An owner with a phone or a computer on the LAN, which has no way out to the internet, before the box's first page;
    /// [`Owner::start`] tells the rest.
    ///
    /// # Errors
    /// When the browser does not start.
    pub fn owner(&self, script: &str, name: &str, language: &str, screen: Screen) -> Result<Owner> {
        let plan = json!({
            "url": format!("http://{}:8080/", self.factory.host("box")?.address()),
            "password": OWNERS_PASSWORD,
            "user": USER,
            "camera_password": PASSWORD,
            "other_password": OTHER_PASSWORD,
            "devices": PERSONAS.len(),
            "cameras": CAMERAS,
        });
        Owner::start(self.factory.host("phone")?, script, name, language, screen, plan)
    }

    /// Starts a box that was never used: nothing in its configuration but where its cloud is.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn new_box(&self) -> Result<Boxd> {
        let host = self.factory.host("box")?;
        let state = Boxd::state_dir(host);
        if state.exists() {
            fs::remove_dir_all(state)?;
        }
        Boxd::start(host, &Cloud::box_config(&self.authority), &[])
    }
}

impl Persona {
    fn start(&self, host: &Host) -> Result<Simcam> {
        let media = |name: &str| paths::workspace().join("tests/media").join(name);
        let (clip, more) = match self.clip {
            Clip::Gate => (media("gate.h264"), Vec::new()),
            Clip::Yard => (media("yard.h264"), words(&["--fps", "15"])),
            Clip::Hall => {
                let sub = media("gate.h264").display().to_string();
                (media("hall.h265"), words(&["--fps", "10", "--sub", &sub, "--sub-fps", "25"]))
            }
            Clip::Rare => {
                let second = Paced { seconds: 1 }.file()?.display().to_string();
                (Paced { seconds: 8 }.file()?, words(&["--variant", &second]))
            }
        };
        let password = if self.host == OTHER { OTHER_PASSWORD } else { PASSWORD };
        let mut all = words(&[
            "--name",
            self.host,
            "--maker",
            self.maker,
            "--http-port",
            "80",
            "--user",
            USER,
            "--password",
            password,
        ]);
        all.extend(more);
        all.extend(words(self.words));
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        Simcam::playing(host, &clip, &all)
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}
