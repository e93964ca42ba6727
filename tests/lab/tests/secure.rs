//! A camera that speaks RTSP over TLS only (`rtsps`) plays from its sandbox, and one that comes back with another
//! certificate is not shown the password again.

use std::{fs, path::Path, thread, time::Duration};

use anyhow::ensure;
use lab::{
    boxd::{Boxd, CameraConfig},
    cameras,
    clips::{CLIPS, Places},
    factory::Factory,
    judge::record::{Packaging, Recorder, Running},
    test_name,
    tls::Authority,
    world::{self, SCRATCH},
};

#[test]
fn a_camera_behind_tls_plays_and_stays_the_same() {
    let test = test_name!();
    world::beside(test, || {
        let factory = Factory::new(test, &["box", "camera", "viewer"])?;
        let clip = CLIPS[1];
        let streams = cameras::turns(&[clip]);
        let first = Authority::new(&Path::new(SCRATCH).join("first"), &["camera.example"])?;
        let camera = cameras::gst_over_tls(factory.host("camera")?, &streams, &first)?;
        ensure!(camera.url("x").starts_with("rtsps://"), "the camera is open: {}", camera.url("x"));
        let config = CameraConfig::open("gate", camera.url(clip.name)).with_password();
        let mut boxd = Boxd::start(factory.host("box")?, "[discovery]\nenabled = false\n", &[config])?;
        boxd.wait_streaming(&["gate".into()], Duration::from_secs(20))?;

        let folder = factory.host("viewer")?.log("recordings").with_extension("");
        fs::create_dir_all(&folder)?;
        let running = Running::start(vec![Recorder::start(boxd.site(), "gate", Packaging::Fmp4, &folder)?]);
        thread::sleep(Duration::from_secs(15));
        let places = Places::of(&clip.file())?;
        for recording in running.finish()? {
            let run = places.compare(&recording.file)?;
            println!(
                "{} frames over TLS, {} breaks, {} faults",
                run.frames,
                run.breaks.len(),
                recording.faults.len()
            );
            ensure!(run.frames > 200 && run.breaks.is_empty(), "{:?}", run.breaks);
            ensure!(recording.faults.is_empty(), "{:?}", recording.faults);
        }

        // Somebody else takes the camera's place, with a certificate of his own.
        drop(camera);
        let second = Authority::new(&Path::new(SCRATCH).join("second"), &["camera.example"])?;
        let _other = cameras::gst_over_tls(factory.host("camera")?, &streams, &second)?;
        boxd.wait_for(Duration::from_secs(40), "the word about the certificate", |boxd| {
            let state = boxd.camera("gate")?;
            Ok(state["sentence"].as_str().is_some_and(|sentence| sentence.contains("certificate")))
        })?;
        println!("{}", boxd.camera("gate")?["sentence"]);
        boxd.finish()?;
        fs::remove_dir_all(folder)?;
        Ok(())
    });
}
