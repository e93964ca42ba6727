//! "Make it browser-ready" against ONVIF devices that are not ours.
//!
//! | device | from | what it shows |
//! |---|---|---|
//! | oxvif's mock | crates.io | Media 2, H.265; keeps what it is told; writes elements for the schema's attributes |
//! | `onvif_strict.py`, Media 2 and 1 | our script; schemas and judge from PyPI | takes and gives only what ONVIF's official schema allows |
//! | ipycam | PyPI | a device that knows no SetVideoEncoderConfiguration: a plain sentence, nothing changed |
//! | whatever `STREAMBOX_ONVIF` names | you | devices that no registry has: cameras, and firmware built from its source |
//!
//! No package of crates.io, PyPI, npm or Debian that we found is a second device which keeps a GOP: onvif-device-rs (crates.io)
//! says yes and drops it, onvif-server (crates.io) and ipycam only tell theirs, onvif (npm) has recorded answers. Two firmwares
//! keep it and were run by hand: onvif-rust for Anyka's cameras, and MorseMicro's camera-onvif-server.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, bail, ensure};
use camera::{
    Source,
    errand::{Encoder, Errand, Outcome, run},
};
use lab::{
    cameras::{PASSWORD, USER},
    clips::CLIPS,
    paths,
    process::Process,
    setup, test_name,
    world::{self, SCRATCH},
};
use model::{CameraId, Trouble};

/// How long a device may take to its first listening: schemas of 20,000 lines are read in Python.
const START: Duration = Duration::from_secs(120);

/// Devices remember nonces: none comes twice.
static SEED: AtomicU64 = AtomicU64::new(7);

fn ask(address: &str, errand: Errand) -> Result<Result<Outcome, Trouble>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos() as u64;
    let seed = now.wrapping_add(SEED.fetch_add(1, Relaxed));
    let source = Source::new(CameraId::new("cam")?, address, None, None)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(run(&source, errand, seed)))
}

fn improved(address: &str) -> Result<(Encoder, Encoder)> {
    match ask(address, Errand::Improve)? {
        Ok(Outcome::Improved { before, after }) => {
            println!("before {before:?}\nafter  {after:?}");
            Ok((before, after))
        }
        other => bail!("improving {address}: {other:?}"),
    }
}

/// What the device says of itself is what it was set to, and nothing is left to do.
fn stays(address: &str, after: &Encoder) -> Result<()> {
    let Ok(Outcome::Encoder(now)) = ask(address, Errand::Inspect)? else { bail!("{address} no longer says") };
    ensure!(now == *after && !now.improvable, "afterwards it says {now:?}");
    let (same, again) = improved(address)?;
    ensure!(same == again, "a second time it changes {same:?} to {again:?}");
    Ok(())
}

fn start(test: &str, name: &str, command: Command, word: &str) -> Result<Process> {
    let mut process = Process::spawn(command, &world::logs(test).join(format!("{name}.log")))?;
    process.wait_for(word, START)?;
    Ok(process)
}

#[test]
fn a_mock_device_from_crates_io_becomes_browser_ready() {
    let test = test_name!();
    world::beside(test, || {
        setup::check_devices()?;
        let mut command = Command::new(paths::lab().join("oxvif/bin/mock_server"));
        let state = PathBuf::from(SCRATCH).join("oxvif.toml");
        command.arg("18080").arg("--config").arg(&state);
        let _device = start(test, "oxvif", command, "listening on")?;
        let address = "http://127.0.0.1:18080/onvif/device";
        let (before, after) = improved(address)?;
        ensure!(before.encoding == "H265" && before.gop == 50, "it came as {before:?}");
        ensure!(
            after.encoding == "H264"
                && f64::from(after.gop) <= after.fps
                && after.bit_rate_kbps <= before.bit_rate_kbps,
            "{after:?}"
        );
        stays(address, &after)?;
        // What it keeps over a restart says the same.
        let kept = fs::read_to_string(&state)?;
        ensure!(
            kept.contains("encoding = \"H264\"") && kept.contains(&format!("gov_length = {}", after.gop)),
            "{kept}"
        );
        Ok(())
    });
}

#[test]
fn a_device_that_takes_only_what_the_schema_allows_becomes_browser_ready() {
    let test = test_name!();
    world::beside(test, || {
        setup::check_devices()?;
        for (media, port, encoding) in [("2", "8002", "H265"), ("1", "8001", "H264")] {
            let mut command = Command::new(paths::lab().join("strict/bin/python"));
            command.arg("-u").arg(paths::sources().join("cameras/onvif_strict.py"));
            command.args(["--port", port, "--media", media, "--user", USER, "--password", PASSWORD]);
            let device = start(test, &format!("strict-{media}"), command, "ready")?;
            let address = format!("http://{USER}:{PASSWORD}@127.0.0.1:{port}/onvif/device_service");
            let (before, after) = improved(&address)?;
            ensure!(
                before.encoding == encoding && before.gop == 200 && before.bit_rate_kbps == 9000,
                "{before:?}"
            );
            ensure!(after.encoding == "H264" && after.gop == 20 && after.bit_rate_kbps < 9000, "{after:?}");
            stays(&address, &after)?;
            let said = device.said();
            ensure!(said.matches("set H264").count() == 1, "it was set once: {said}");
            ensure!(!said.contains("INVALID") && !said.contains("OWN ANSWER"), "against the schema: {said}");
        }
        Ok(())
    });
}

/// Devices of your own, by `STREAMBOX_ONVIF`: addresses as in `boxd`'s configuration, with user and password, and blanks between
/// them. What they encode IS CHANGED. Each must have something to improve, such as a GOP of five seconds.
#[test]
fn devices_that_you_name_become_browser_ready() -> Result<()> {
    let named = std::env::var("STREAMBOX_ONVIF").unwrap_or_default();
    for address in named.split_whitespace() {
        let (before, after) = improved(address).with_context(|| hidden(address))?;
        ensure!(before.improvable, "{}: it has nothing to improve: {before:?}", hidden(address));
        let second = after.fps.round().max(1.0) as u32;
        ensure!(
            after.encoding == "H264" && (1..=second).contains(&after.gop),
            "{}: {after:?}",
            hidden(address)
        );
        stays(address, &after).with_context(|| hidden(address))?;
    }
    Ok(())
}

/// An address without what stands before its host.
fn hidden(address: &str) -> String {
    address.rsplit_once('@').map_or(address, |(_, rest)| rest).to_owned()
}

#[test]
fn a_device_that_cannot_be_set_is_left_as_it_is_with_a_sentence() {
    let test = test_name!();
    world::beside(test, || {
        let config = PathBuf::from(SCRATCH).join("ipycam.json");
        let settings = serde_json::json!({
            "name": "Gate", "local_ip": "127.0.0.1", "onvif_port": 8000, "rtsp_port": 8554,
            "main_width": 640, "main_height": 360, "main_fps": 15, "main_bitrate": "4000K",
            "sub_width": 320, "sub_height": 180, "sub_fps": 15, "sub_bitrate": "200K", "hw_accel": "cpu",
        });
        fs::write(&config, settings.to_string())?;
        let mut command = Command::new(paths::python());
        command.args(["-m", "ipycam", "--config"]).arg(config).arg("--source").arg(CLIPS[2].file());
        command.current_dir(SCRATCH);
        let _device = start(test, "ipycam", command, "IP Camera is running")?;
        let address = "http://127.0.0.1:8000/onvif/device_service";
        let Ok(Outcome::Encoder(before)) = ask(address, Errand::Inspect)? else {
            bail!("it says nothing of its encoder")
        };
        println!("{before:?}");
        ensure!(before.encoding == "H264" && (before.width, before.height) == (640, 360), "{before:?}");
        // Four times the bits that such a picture needs.
        ensure!(before.improvable && before.bit_rate_kbps == 4000, "{before:?}");
        match ask(address, Errand::Improve)? {
            Err(trouble @ Trouble::Refused { .. }) => {
                ensure!(trouble.to_string().contains("own menu"), "{trouble}");
            }
            other => bail!("{other:?}"),
        }
        let again = ask(address, Errand::Inspect)?;
        ensure!(again == Ok(Outcome::Encoder(before)), "{again:?}");
        // Its first frame may take a moment.
        let mut tries = 0;
        let jpeg = loop {
            match ask(address, Errand::Snapshot)? {
                Ok(Outcome::Snapshot { jpeg }) => break jpeg,
                other => ensure!(tries < 20, "no picture: {other:?}"),
            }
            tries += 1;
            thread::sleep(Duration::from_millis(500));
        };
        println!("a picture of {} bytes", jpeg.len());
        Ok(())
    });
}
