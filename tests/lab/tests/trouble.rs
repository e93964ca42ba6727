//! Bad input: each kind shows its own plain sentence, and nothing else suffers.

use std::{collections::HashMap, fs, path::PathBuf, process::Command, thread, time::Duration};

use anyhow::{Context, Result, ensure};
use lab::{
    boxd::{Boxd, CameraConfig},
    browser::{self, Browser, Page},
    cameras::{self, Auth},
    clips::{CLIPS, Places, media},
    factory::Factory,
    judge::record::{Packaging, Recorder, Running},
    paths, test_name, world,
};
use nix::sys::signal::Signal;

/// The camera's id and what the box must say of it.
const EXPECTED: [(&str, &str); 8] = [
    ("wrong-password", "wrong_password"),
    ("no-password", "password_needed"),
    ("unknown-host", "unknown_host"),
    ("not-rtsp", "not_rtsp"),
    ("nobody", "unreachable"),
    ("no-video", "no_video"),
    ("mjpeg", "unsupported_codec"),
    ("no-stream", "no_such_stream"),
];

#[test]
fn each_trouble_has_its_sentence() {
    let test = test_name!();
    world::beside(test, || {
        let factory = Factory::new(test, &["box", "locked", "open", "web", "stall", "viewer"])?;
        let clip = CLIPS[1];
        let locked = cameras::gst(factory.host("locked")?, &cameras::turns(&[clip]), Auth::Digest)?;
        let bad = [("good", clip.file()), ("silent", media("sound-only.mp4")), ("mjpeg", media("mjpeg.mov"))];
        let open = cameras::gst(factory.host("open")?, &bad, Auth::Open)?;
        let web = cameras::web_server(factory.host("web")?)?;
        let mut stalling = cameras::gst(factory.host("stall")?, &cameras::turns(&[clip]), Auth::Open)?;

        let wrong =
            CameraConfig { password: Some("not-it".into()), ..CameraConfig::default().with_password() };
        let configs = [
            CameraConfig::open("good", open.url("good")),
            CameraConfig::open("stalls", stalling.url(clip.name)),
            wrong.at("wrong-password", locked.url(clip.name)),
            CameraConfig::open("no-password", locked.url(clip.name)),
            CameraConfig::open("unknown-host", "rtsp://no-such-camera.invalid/main"),
            CameraConfig::open("not-rtsp", format!("rtsp://{}/main", factory.host("web")?.address())),
            CameraConfig::open("nobody", format!("rtsp://{}/main", lab::boxd::NOBODY)),
            CameraConfig::open("no-video", open.url("silent")),
            CameraConfig::open("mjpeg", open.url("mjpeg")),
            CameraConfig::open("no-stream", open.url("nothing")),
        ];
        let mut boxd = Boxd::start(factory.host("box")?, "[discovery]\nenabled = false\n", &configs)?;
        boxd.wait_streaming(&["good".into(), "stalls".into()], Duration::from_secs(20))?;
        thread::sleep(Duration::from_secs(4));
        let viewer = factory.host("viewer")?;
        let folder = viewer.log("recordings").with_extension("");
        fs::create_dir_all(&folder)?;
        let good = Running::start(vec![
            Recorder::start(boxd.site(), "good", Packaging::Fmp4, &folder)?,
            Recorder::start(boxd.site(), "good", Packaging::Ts, &folder)?,
        ]);

        // A camera that stalls is known within 15 s, although its connection stands.
        stalling.process().signal(Signal::SIGUSR2)?;
        let trouble = |boxd: &Boxd, id: &str| -> Result<String> {
            Ok(boxd.camera(id)?["state"]["trouble"]["trouble"].as_str().unwrap_or("none").to_owned())
        };
        let took = boxd.wait_for(Duration::from_secs(15), "the word of a stall", |boxd| {
            Ok(trouble(boxd, "stalls")? == "stalled")
        });
        let mut complaints = Vec::new();
        match took {
            Ok(took) => println!("a stall is known after {:.1} s", took.as_secs_f64()),
            Err(error) => complaints.push(format!("{error:#}")),
        }
        let sentence = boxd.camera("stalls")?["sentence"].clone();
        println!("stalls: {sentence}");
        let mut sentences: HashMap<String, String> = HashMap::new();
        for (id, code) in EXPECTED {
            // A camera that is being tried again is `connecting` for a moment; its sentence stays.
            let waited = boxd.wait_for(Duration::from_secs(12), code, |boxd| Ok(trouble(boxd, id)? == code));
            let camera = boxd.camera(id)?;
            let sentence = camera["sentence"].as_str().unwrap_or_default();
            println!("{id:<16} {code:<18} {sentence}");
            if waited.is_err() {
                complaints.push(format!("{id}: {} instead of {code}", camera["state"]));
            }
            if sentence.len() < 20 || sentence.contains('_') {
                complaints.push(format!("{id}: {sentence:?} is no sentence"));
            }
            if let Some(other) = sentences.insert(sentence.to_owned(), id.to_owned()) {
                complaints.push(format!("{id} and {other} share a sentence"));
            }
        }
        if let Some(other) = sentences.get(sentence.as_str().unwrap_or_default()) {
            complaints.push(format!("stalls and {other} share a sentence"));
        }
        complaints.extend(on_the_pages(&boxd, viewer, &sentences)?);

        stalling.process().signal(Signal::SIGUSR2)?;
        let took = boxd.wait_streaming(&["stalls".into()], Duration::from_secs(70))?;
        println!("the stalled camera streams again {:.1} s after it went on", took.as_secs_f64());
        drop(web);
        let good = good.finish()?;
        boxd.finish()?;
        let places = Places::of(&clip.file())?;
        for recording in good {
            let run = places.compare(&recording.file)?;
            println!("meanwhile: {} frames of the good camera, {} breaks", run.frames, run.breaks.len());
            let found = recording.faults.into_iter().chain(run.breaks);
            complaints.extend(found.map(|fault| format!("the good camera: {fault}")));
        }
        complaints.extend(bad_config()?);
        ensure!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
        fs::remove_dir_all(folder)?;
        Ok(())
    });
}

/// The player page of a camera in trouble says the same sentence as the API.
fn on_the_pages(
    boxd: &Boxd,
    viewer: &lab::factory::Host,
    sentences: &HashMap<String, String>,
) -> Result<Vec<String>> {
    let pages: Vec<Page> = sentences
        .values()
        .map(|id| Page { name: id.clone(), url: boxd.site().url(&format!("/{id}/")) })
        .collect();
    let watched = browser::play(viewer, Browser::Chromium, "pages", &pages, 4)?;
    ensure!(watched.len() == pages.len(), "{} of {} pages reported", watched.len(), pages.len());
    let mut complaints = Vec::new();
    for page in watched {
        let sentence =
            sentences.iter().find(|(_, id)| **id == page.name).map(|(sentence, _)| sentence.as_str());
        if page.notice.as_deref() != sentence {
            complaints.push(format!("the page of {} says {:?}, not {sentence:?}", page.name, page.notice));
        }
    }
    Ok(complaints)
}

/// A mistake in the configuration is named with file, line and key, and the exit code is 2.
fn bad_config() -> Result<Vec<String>> {
    let file = PathBuf::from(world::SCRATCH).join("mistake.toml");
    fs::write(
        &file,
        "[http]\nlisten = \"0.0.0.0:8080\"\n\n[[camera]]\nid = \"gate\"\nurll = \"rtsp://x/\"\n",
    )?;
    let output = Command::new(paths::binary("boxd")?).arg("--config").arg(&file).output().context("boxd")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    println!("a mistake in the configuration: {}", said.trim());
    let mut complaints = Vec::new();
    if output.status.code() != Some(2) {
        complaints.push(format!("a mistake in the configuration ends with {}", output.status));
    }
    for word in ["mistake.toml", "6", "urll"] {
        if !said.contains(word) {
            complaints.push(format!("a mistake in the configuration is told without {word:?}: {said}"));
        }
    }
    Ok(complaints)
}
